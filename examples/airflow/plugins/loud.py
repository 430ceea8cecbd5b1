"""Numbered lines from inside Airflow's own processes: so that a missing, doubled or broken one is seen."""

import atexit
import logging
import os
import sys
import threading
import time

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

LINES_PER_BATCH = 250
BATCH_SECONDS = 0.5
PADDING = "0123456789abcdef" * 8

# Airflow forks: not while our thread holds a lock of the output's.
writing = threading.RLock()
os.register_at_fork(before=writing.acquire, after_in_parent=writing.release, after_in_child=writing.release)
# Nor do we write while it ends: Python calls abort() when a thread still holds such a lock.
atexit.register(writing.acquire)

log = logging.getLogger("airflow.loud")
PARTS = ("scheduler", "dag-processor", "triggerer")


def write(source, count):
    Writer(f"{source}-{time.monotonic_ns()}").write(count)


class Writer:
    """Numbers its lines. With `noted`, a file of that name in $TRIAL_WRITTEN says how many were written."""

    def __init__(self, name, noted=False):
        self.name = name
        self.written = 0
        self.note = None
        if noted:
            self.note = os.open(os.path.join(os.environ["TRIAL_WRITTEN"], name), os.O_CREAT | os.O_WRONLY, 0o644)

    def write(self, count):
        for number in range(self.written, self.written + count):
            with writing:
                self.write_one(number)
        self.written += count
        if self.note:
            os.pwrite(self.note, b"%d" % self.written, 0)

    def write_one(self, number):
        text = f"loud {self.name} {number} {PADDING[: number % 100]} end"
        match number % 100:
            case 10 | 60:
                log.warning(text)
            case 20:
                log.error(text)
            case 30:
                try:
                    raise ValueError("a traceback of several lines\nand a message of two")
                except ValueError:
                    log.exception(text)
            case 40:
                print(text, flush=True)
            case 50:
                print(text, file=sys.stderr, flush=True)
            case 70:
                log.info("%s \u2013 caf\u00e9 \u65e5\u672c\u8a9e \t  ", text)
            case 80:
                log.info("%s\n\nbehind an empty line", text)
            case 90:
                log.info("%s %s", text, "x" * 3000)
            case _:
                log.info(text)


def told_to_end():
    return os.path.exists(os.path.join(os.environ["TRIAL_WRITTEN"], "end"))


def write_on(name, until=lambda: False):
    writer = Writer(f"{name}-{os.getpid()}", noted=True)
    while not until():
        writer.write(LINES_PER_BATCH)
        time.sleep(BATCH_SECONDS)


class Listener:
    """Scheduler, DAG processor and triggerer log from their start to their end."""

    @hookimpl
    def on_starting(self, component):
        name = next((part for part in PARTS if part in sys.argv), None)
        # What is forked for a task is a job too.
        if name and not os.environ.get("TRIAL_STARTED"):
            os.environ["TRIAL_STARTED"] = name
            threading.Thread(target=write_on, args=(name,), daemon=True).start()

    @hookimpl
    def on_dag_run_success(self, dag_run, msg):
        write(f"success-{dag_run.dag_id}", 500)

    @hookimpl
    def on_dag_run_failed(self, dag_run, msg):
        write(f"failure-{dag_run.dag_id}", 500)


class Loud(AirflowPlugin):
    name = "loud"
    listeners = [Listener()]
