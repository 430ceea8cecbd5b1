#!/usr/bin/env python3
"""A child like Airflow's scheduler: rounds of 100 ms of Python work, each of which logs 2,000 lines on stdout through a
logging.StreamHandler. Counts how many rounds it gets done. Run it with `python3 -u`.

--calibrate prints the --work that takes 100 ms here. The work is a number of steps, not a time: a child that is slowed
down gets fewer rounds done.
"""

import argparse
import json
import logging
import sys
import time

LINES_PER_LOOP = 2_000
WORK_S = 0.1
TABLE_KEYS = 10_000


def work(steps, table):
    """Python's daily bread: numbers, strings, a dictionary larger than a core's nearest cache."""
    key = 1
    for step in range(steps):
        key = (key * 48_271 + step) % TABLE_KEYS
        table[key] = f"task-{step}"
    return key


def calibrate():
    table = {}
    steps, best_s = 20_000, None
    for _ in range(30):
        started = time.perf_counter()
        work(steps, table)
        took_s = time.perf_counter() - started
        best_s = took_s if best_s is None else min(best_s, took_s)
    return round(steps * WORK_S / best_s)


class Timed:
    """A stream, and the time that its write() takes; -u makes each a system call."""

    def __init__(self, stream):
        self.stream, self.write_s = stream, 0.0

    def write(self, text):
        started = time.perf_counter()
        self.stream.write(text)
        self.write_s += time.perf_counter() - started

    def flush(self):
        pass  # Nothing is buffered.


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calibrate", action="store_true", help="print the steps that take 100 ms, and end")
    parser.add_argument("--work", type=int, metavar="STEPS", help="steps of work a loop")
    parser.add_argument("--seconds", type=float, default=10.0, help="begin no loop after so long")
    parser.add_argument("--out", metavar="FILE", help="where to write what was done, as JSON")
    args = parser.parse_args()
    if args.calibrate:
        print(calibrate())
        return
    if args.work is None or args.out is None:
        parser.error("--work and --out are needed")

    out = Timed(sys.stdout)
    handler = logging.StreamHandler(out)
    handler.setFormatter(logging.Formatter("[%(asctime)s] {%(filename)s:%(lineno)d} %(levelname)s - %(message)s"))
    log = logging.getLogger("scheduler")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    table = {}
    work(args.work, table)
    loops = 0
    started = time.perf_counter()
    elapsed = 0.0
    while elapsed < args.seconds:
        work(args.work, table)
        for line in range(LINES_PER_LOOP):
            log.info("Setting next_dagrun for dag_%d to 2026-01-01T00:00:00+00:00, run_after=%d", line % 100, loops)
        loops += 1
        elapsed = time.perf_counter() - started
    did = {"loops": loops, "seconds": elapsed, "lines": loops * LINES_PER_LOOP, "write_s": out.write_s}
    with open(args.out, "w", encoding="ascii") as file:
        json.dump(did | {"cpu_s": time.process_time()}, file)


main()
