"""Types on a pseudo-terminal: `typist.py PROGRAM ARGS... ::: AWAITED TYPED AWAITED TYPED ...`. What is typed is echoed by
the terminal, so an answer is awaited with something that its echo does not hold."""

import os
import pty
import select
import signal
import sys
import time

split = sys.argv.index(":::")
words, steps = sys.argv[1:split], sys.argv[split + 1 :]
pid, tty = pty.fork()
if pid == 0:
    os.environ["PS1"] = "prompt> "
    os.execvp(words[0], words)
seen, at, deadline = b"", 0, time.monotonic() + 60


def more():
    global seen
    if not select.select([tty], [], [], max(0, deadline - time.monotonic()))[0]:
        os.kill(pid, signal.SIGTERM)
        sys.exit("awaited %r in vain; so far:\n%s" % (steps, seen.decode(errors="replace")))
    try:
        data = os.read(tty, 65536)
    except OSError:
        data = b""
    seen += data
    return data


while steps:
    wanted = steps[0].encode()
    found = seen.find(wanted, at)
    if found >= 0:
        at = found + len(wanted)
        os.write(tty, steps[1].encode())
        steps = steps[2:]
    elif not more():
        sys.exit("ended before %r; so far:\n%s" % (steps, seen.decode(errors="replace")))
while more():
    pass
print(seen.decode(errors="replace").replace("\r\n", "\n"))
print("the end:", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
