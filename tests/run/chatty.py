"""The children of the tests that log from Python: `chatty.py logging|print|both|workers`. The same output every time."""

import logging
import os
import sys


def with_logging():
    log = logging.getLogger("app")
    for n in range(20_000):
        log.info("line %d \u00e4 \u20ac \U0001f600 with some \"words\" and a number %f", n, n / 7)
        if n % 500 == 0:
            try:
                {}["missing"]
            except KeyError:
                log.exception("job %d failed", n)


def with_print():
    for n in range(20_000):
        print("line", n, "of a program without a buffer")


def with_both():
    for n in range(5_000):
        print("to stdout", n)
        print("to stderr", n, file=sys.stderr)


def with_workers():
    workers = []
    for number in range(4):
        worker = os.fork()
        if worker == 0:
            log = logging.getLogger(f"worker-{number}")
            for n in range(5_000):
                log.info("job %d is done", n)
            os._exit(0)
        workers.append(worker)
    for worker in workers:
        os.waitpid(worker, 0)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s [%(name)s] %(message)s")
    {"logging": with_logging, "print": with_print, "both": with_both, "workers": with_workers}[sys.argv[1]]()
