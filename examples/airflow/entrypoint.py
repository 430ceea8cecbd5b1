"""Supervises as an image's Python entrypoint does, in short, with logpump before each command: a new session each, 90 s of
patience, one stopped after the other, the end of one ends all. $WRAP has logpump and its options up to --name."""

import os
import shlex
import signal
import subprocess
import sys
import threading

PATIENCE_SECONDS = 90

stop = threading.Event()


def stop_one(child):
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGTERM)
        try:
            child.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            print(f"entrypoint: {child.args} did not end within {PATIENCE_SECONDS} s", flush=True)
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def main(parts):
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    children = []
    for part in parts:
        report = os.path.join(os.environ["TRIAL_REPORTS"], f"{part}.json")
        # The line that changes; it was ["airflow", part].
        command = [*shlex.split(os.environ["WRAP"]), "--name", part, "--report", report, "--", "airflow", part]
        children.append(subprocess.Popen(command, start_new_session=True))
    while not stop.wait(1):
        if any(child.poll() is not None for child in children):
            print("entrypoint: one has ended", flush=True)
            break
    for child in children:
        stop_one(child)
    print("entrypoint: codes", [child.returncode for child in children], flush=True)


main(sys.argv[1:])
