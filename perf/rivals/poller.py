"""A reader as Amazon MWAA's entrypoint was before August 2024: one loop that polls each child's pipe between its other duties,
and sleeps a second when no child had a line. See shipping.py for what it does with a line.
"""

import time

import shipping

IDLE_S = 1


def read_all(children):
    ended = False
    while True:
        had_line = False
        for child in children:
            had_line |= child.take()
        if had_line:
            continue
        if ended:
            return
        # What they wrote before they ended is read in the next turn.
        ended = all(child.ended() for child in children)
        if not ended:
            time.sleep(IDLE_S)


shipping.run(read_all)
