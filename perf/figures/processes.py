"""Starting, watching and ending processes, and what they cost. Ends only what it started."""

import os
import signal
import subprocess
import threading
import time

from . import machine


class Failure(Exception):
    """A run that cannot be counted."""


class Process:
    """A child whose CPU time is known when it has ended."""

    def __init__(self, command, stdin=subprocess.DEVNULL, **options):
        self.command = command
        self.started = time.monotonic()
        self.child = subprocess.Popen(command, stdin=stdin, **options)
        self.pid = self.child.pid
        self.cpu_s = None

    def wait(self, timeout_s):
        """Its exit code. `cpu_s` is then its own and that of the children it waited for, `wall_s` its life."""
        killer = threading.Timer(timeout_s, self.kill)
        killer.start()
        try:
            _, status, usage = os.wait4(self.pid, 0)
        finally:
            killer.cancel()
        self.wall_s = time.monotonic() - self.started
        self.cpu_s = usage.ru_utime + usage.ru_stime
        # Popen must not wait for it again.
        self.child.returncode = os.waitstatus_to_exitcode(status)
        return self.child.returncode

    def checked(self, timeout_s):
        code = self.wait(timeout_s)
        if code != 0:
            raise Failure(f"{' '.join(self.command[:3])} ...: exit code {code} after {self.wall_s:.1f} s")
        return self

    def kill(self):
        self.signal(signal.SIGKILL)

    def signal(self, number):
        if self.child.returncode is None:
            os.kill(self.pid, number)

    def stop(self):
        self.signal(signal.SIGTERM)
        self.wait(10)


def cpu_s(pid):
    """User and system time of a living process, in steps of 10 ms."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / machine.TICKS_PER_S


def pss_mib(pid):
    return int(machine.first_value(f"/proc/{pid}/smaps_rollup", "Pss").split()[0]) / 1024


def switches(pid):
    """How often its threads were put to sleep or aside, by thread name."""
    counts = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        path = f"/proc/{pid}/task/{task}/status"
        name = machine.first_value(path, "Name")
        count = sum(int(machine.first_value(path, f"{kind}_ctxt_switches")) for kind in ("voluntary", "nonvoluntary"))
        counts[name] = counts.get(name, 0) + count
    return counts


class Watch:
    """Looks at a process every now and then until it ends or `stop` is called."""

    def __init__(self, pid, interval_s):
        self.pid, self.interval_s = pid, interval_s
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self):
        while not self.over.wait(self.interval_s):
            try:
                self.look()
            except (OSError, ValueError):
                return  # It has ended.

    def stop(self):
        self.over.set()
        self.thread.join()


class ThreadCpu(Watch):
    """The CPU time of one of its threads, by name, as far as it was seen: to some 10 ms."""

    def __init__(self, pid, name, interval_s=0.02):
        self.name, self.path, self.cpu_s = name, None, 0.0
        super().__init__(pid, interval_s)

    def look(self):
        if self.path is None:
            tasks = [f"/proc/{self.pid}/task/{task}" for task in os.listdir(f"/proc/{self.pid}/task")]
            named = [task for task in tasks if machine.first_value(f"{task}/status", "Name") == self.name]
            self.path = f"{named[0]}/schedstat" if named else None
            return
        with open(self.path, encoding="ascii") as schedstat:
            self.cpu_s = int(schedstat.read().split()[0]) / 1e9


class PssPeak(Watch):
    """Samples a process's Pss."""

    def __init__(self, pid, interval_s=0.05):
        self.peak_mib, self.samples = 0.0, 0
        super().__init__(pid, interval_s)

    def look(self):
        self.peak_mib = max(self.peak_mib, pss_mib(self.pid))
        self.samples += 1

    def stop(self):
        super().stop()
        return self.peak_mib
