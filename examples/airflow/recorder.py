"""Stands on PATH as `airflow`: runs the real one ($TRIAL_AIRFLOW), and copies what it writes, byte by byte, first into a file of
$TRIAL_RECORDED and then to where it was meant to go. So there is a record that logpump has no part in."""

import ctypes
import os
import signal
import subprocess
import sys
import threading

# Of processes that outlive their parent and hold its output open.
EOF_SECONDS_MAX = 5


def copy(pipe, record):
    out = 1
    while chunk := os.read(pipe, 65536):
        os.write(record, chunk)
        while chunk and out is not None:
            try:
                chunk = chunk[os.write(out, chunk) :]
            except BrokenPipeError:
                print("nobody reads any more", file=sys.stderr)
                out = None


def die_with_parent():
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def pass_on(child, number, own_session):
    if "celery" in sys.argv:
        # Sent to us alone, and meant for the worker alone.
        child.send_signal(number)
    elif own_session:
        os.killpg(child.pid, number)


def main():
    name = "-".join(sys.argv[1:])
    record = os.open(os.path.join(os.environ["TRIAL_RECORDED"], name), os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
    # Airflow 2 leaves its process group unless it leads its session, as it does when logpump starts it. Version 3 stays in
    # ours, so that SIGKILL to the group takes all of it.
    own_session = os.environ["AIRFLOW_VERSION"].startswith("2.")
    child = subprocess.Popen(
        [os.environ["TRIAL_AIRFLOW"], *sys.argv[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=own_session,
        preexec_fn=die_with_parent,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: pass_on(child, number, own_session))
    thread = threading.Thread(target=copy, args=(child.stdout.fileno(), record), daemon=True)
    thread.start()
    code = child.wait()
    thread.join(EOF_SECONDS_MAX)
    if thread.is_alive():
        os.write(record, b"recorder: the output is still held open\n")
    os._exit(code if code >= 0 else 128 - code)


main()
