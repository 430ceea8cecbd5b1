"""A reader as Amazon MWAA's entrypoint is since August 2024: a thread for each child, which reads line by line and sleeps
100 ms when there is none. See shipping.py for what it does with a line.
"""

import threading
import time

import shipping

IDLE_S = 0.1


def read(child):
    ended = False
    while True:
        if child.take():
            continue
        if ended:
            return
        # What it wrote before it ended is read in the next turn.
        ended = child.ended()
        if not ended:
            time.sleep(IDLE_S)


def read_all(children):
    threads = [threading.Thread(target=read, args=(child,)) for child in children]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


shipping.run(read_all)
