"""What is measured. A cell has variants, one for each reader; a variant's run returns figures by name.

The readers: "logpump" (and other builds of it, by name), "cat" (`cat >/dev/null`), "null" (the writer's own stdout is
/dev/null). Within a round all variants of a cell run after one another, in the next round the other way round.
"""

import json
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

from . import machine, processes, scene
from .processes import Failure, Process, PssPeak, ThreadCpu

MILLION = 1e6
SILENT_CHILDREN = 8
# Says when it runs and when it is about to end; between, its stream is created and its first line is gone.
TELLS_WHEN = 'date +%s%N >"$0"; echo a line; sleep 2; echo another; date +%s%N >>"$0"'
STARTS = 5
# On a machine that others use: how often a disturbed run is tried, and how long one waits for calm before each.
TRIES_MAX = 4
CALM_WAIT_S_MAX = 60
# Of the cells that hold one engine against the other: how many children, and lines a second, all together (None: full speed).
ENGINE_CHILDREN = (1, 8, 64)
ENGINE_RATES = {"20k": 20_000, "200k": 200_000, "full": None}
SCHEDULER_CHILD = scene.REPOSITORY / "perf" / "scheduler_child.py"


@dataclass(frozen=True)
class Sizes:
    """How much of everything: the whole run, and --quick."""

    full_lines: int
    bulk_lines: int
    paced_s: int
    slow_s: int
    scheduler_s: float
    silent_s: int


WHOLE = Sizes(full_lines=6_000_000, bulk_lines=20_000_000, paced_s=10, slow_s=30, scheduler_s=10, silent_s=10)
QUICK = Sizes(full_lines=2_000_000, bulk_lines=5_000_000, paced_s=4, slow_s=10, scheduler_s=4, silent_s=10)


class Cells:
    def __init__(self, stage, sizes):
        self.stage = stage
        self.sizes = sizes
        # Made by `prepare`.
        self.work_steps = None
        self.bench = None
        pumps = list(stage.pumps)
        self.all = {
            "full": (self.full, [*pumps, "cat", "null"]),
            "rate-100k": (lambda reader: self.paced(reader, 100_000, sizes.paced_s), [*pumps, "cat"]),
            "rate-10k": (lambda reader: self.paced(reader, 10_000, sizes.slow_s), [*pumps, "cat"]),
            "busy": (self.busy, [*pumps, "cat"]),
            "bulk": (self.bulk, [*pumps, "cat"]),
            "scheduler": (self.scheduler, ["null", *pumps, "cat"]),
            "encode": (self.encode, ["logpump"]),
            "memory": (self.memory, pumps),
            "silent": (lambda reader: self.silent(reader, "sleep 120"), pumps),
            "start-end": (self.start_end, pumps),
            "silent-after-a-line": (lambda reader: self.silent(reader, "echo one line; exec sleep 120"), pumps),
        }
        # By name only, or as `engines`: they are many.
        self.engines = {engine_cell(*cell): self.engine(*cell) for cell in engine_cells()}
        self.all |= self.engines

    def named(self, text):
        """The cells that --cells asks for; without it all but those of the engines."""
        if not text:
            return [name for name in self.all if name not in self.engines]
        words = text.split(",")
        return [name for word in words for name in (self.engines if word == "engines" else [word])]

    def prepare(self, names):
        """What these cells need beforehand: nothing may be built while something is measured."""
        if "encode" in names:
            self.bench = scene.executables("bench", "--bench", "lines", "--no-run")["lines"]
        if "scheduler" in names:
            self.work_steps = output([sys.executable, str(SCHEDULER_CHILD), "--calibrate"]).strip()

    # ---- cells -------------------------------------------------------------------------------

    def full(self, reader):
        return self.write(reader, ["--no-times", "--count", str(self.sizes.full_lines)])

    def paced(self, reader, lines_per_s, seconds):
        return self.write(reader, ["--rate", str(lines_per_s), "--duration", f"{seconds}s"])

    def busy(self, reader):
        with every_core_busy(self.sizes.paced_s + 60):
            return self.paced(reader, 100_000, self.sizes.paced_s)

    def bulk(self, reader):
        arguments = ["--mode", "bulk", "--no-times", "--count", str(self.sizes.bulk_lines)]
        return self.write(reader, arguments, **({} if reader == "cat" else {"sink": "null"}))

    def memory(self, reader):
        peaks = []

        def watch(pid):
            peaks.append(PssPeak(pid))
            return peaks[0]

        arguments = ["--no-times", "--count", str(self.sizes.full_lines // 2)]
        return self.write(reader, arguments, watch=watch) | {"pss_mib": peaks[0].peak_mib, "samples": peaks[0].samples}

    def scheduler(self, reader):
        """Loops a second of wall time, of two runs: the second in the other order, see `run`."""
        out = self.stage.fresh("scheduler.json")
        command = [sys.executable, "-u", str(SCHEDULER_CHILD), "--work", self.work_steps, "--out", str(out)]
        command += ["--seconds", str(self.sizes.scheduler_s)]
        figures = self.stage.into(reader, command)
        did = json.loads(out.read_text(encoding="ascii"))
        if reader in self.stage.pumps and figures["delivered_lines"] != did["lines"]:
            raise Failure(f"{did['lines']} lines were logged, {figures['delivered_lines']} delivered")
        return figures | {"loops_per_s": did["loops"] / did["seconds"], "child_cpu_s_per_loop": did["cpu_s"] / did["loops"]}

    def encode(self, _reader):
        return divan_medians(output([self.bench, "--bench", "whole"]))

    def silent(self, reader, script):
        process = self.stage.start_pump(reader, [["sh", "-c", script]] * SILENT_CHILDREN)
        try:
            time.sleep(5)
            pss_mib = processes.pss_mib(process.pid)
            before = processes.switches(process.pid)
            time.sleep(self.sizes.silent_s)
            after = processes.switches(process.pid)
            calls = system_calls(process.pid, self.sizes.silent_s)
        finally:
            process.stop()
        woken = {name: after[name] - before.get(name, 0) for name in after if after[name] > before.get(name, 0)}
        figures = {"pss_mib": pss_mib, "wake_ups": sum(woken.values()), "woken": woken, "in_s": self.sizes.silent_s}
        return figures | ({} if calls is None else {"system_calls": sum(calls.values()), "by_name": calls})

    def start_end(self, reader):
        """What logpump adds before its child runs and after it has ended: the same command by itself is taken away."""
        alone, pumped = [], []
        for _ in range(STARTS):
            alone.append(self.moments(lambda command: Process(command, stdout=subprocess.DEVNULL).checked(scene.RUN_S_MAX)))
            pumped.append(self.moments(lambda command: self.stage.under_pump(reader, [command])))
        start_ms, end_ms = ([median(run[at] for run in runs) for runs in (alone, pumped)] for at in (0, 1))
        return {"start_ms": start_ms[1] - start_ms[0], "end_ms": end_ms[1] - end_ms[0], "alone_ms": [start_ms[0], end_ms[0]]}

    def moments(self, run):
        """Milliseconds from the start of `run` to the child's first word, and from its last to the end."""
        file = self.stage.fresh("moments.txt")
        began = time.time_ns()
        run(["sh", "-c", TELLS_WHEN, str(file)])
        ended = time.time_ns()
        first, last = map(int, file.read_text(encoding="ascii").split())
        return (first - began) / MILLION, (ended - last) / MILLION

    def engine(self, children, rate):
        return lambda reader: self.writers(reader, children, rate), list(scene.ENGINES)

    # ---- parts -------------------------------------------------------------------------------

    def writers(self, engine, children, rate):
        """Several load generators under one logpump: how fast they were together, and what its intake took."""
        if rate is None:
            arguments = ["--no-times", "--count", str(self.sizes.full_lines // children)]
        else:
            arguments = ["--rate", str(rate // children), "--duration", f"{self.sizes.paced_s}s"]
        commands, files = zip(*(self.stage.writer(arguments) for _ in range(children)))
        watched = []

        def watch(pid):
            watched.append(ThreadCpu(pid, "pump-intake"))
            return watched[0]

        figures = self.stage.under_pump(engine, commands, watch=watch)
        times = [json.loads(file.read_text(encoding="utf-8")) for file in files]
        lines, wall_s = sum(one["lines"] for one in times), max(one["wall_ns"] for one in times) / 1e9
        if figures["engine"] != engine or figures["delivered_lines"] != lines:
            raise Failure(f"{lines} lines were written, {figures['delivered_lines']} delivered by {figures['engine']}")
        figures |= {"lines": lines, "accepted_lines_per_s": lines / wall_s}
        figures |= {"cpu_s_per_million": figures["pump_cpu_s"] / lines * MILLION}
        return figures | {"intake_cpu_s_per_million": watched[0].cpu_s / lines * MILLION}

    def write(self, reader, arguments, **options):
        """The load generator into a reader: what the writer saw, and what the reader cost."""
        command, times_file = self.stage.writer(arguments)
        figures = self.stage.into(reader, command, **options)
        times = json.loads(times_file.read_text(encoding="utf-8"))
        lines, wall_s = times["lines"], times["wall_ns"] / 1e9
        figures |= {"lines": lines, "accepted_lines_per_s": lines / wall_s, "mb_per_s": times["bytes"] / wall_s / 1e6}
        figures |= {"writer_wall_s": wall_s, "writer_cpu_s": times["cpu_s"]}
        if times["write_ns"]:
            figures |= {f"write_{name}_us": times["write_ns"][name] / 1000 for name in ("p50", "p99", "p99_9", "max")}
        if times["pace"]:
            figures["put_off_s"] = times["pace"]["put_off_ns"] / 1e9
        if "reader_cpu_s" in figures:
            figures["cpu_s_per_million"] = figures["reader_cpu_s"] / lines * MILLION
        if "pump_cpu_s" in figures:
            if figures["delivered_lines"] != lines:
                raise Failure(f"{lines} lines were written, {figures['delivered_lines']} delivered")
            figures["cpu_s_per_million"] = figures["pump_cpu_s"] / lines * MILLION
            figures["delivered_of_accepted"] = wall_s / figures["pump_wall_s"]
        return figures

    def run(self, name, backwards, calm):
        """One round of a cell: (variant, figures or Failure, share of the machine that others took).

        `calm` is the share that others may take: a run that had less of the machine is done again, a few times.
        """
        measure, readers = self.all[name]
        order = list(reversed(readers)) if backwards else list(readers)
        if name == "scheduler":
            # There and back within the round: what it is held against is a per cent or two.
            order += reversed(order)
        for reader in order:
            for _ in range(TRIES_MAX):
                wait_for_calm(self.stage, calm)
                others = Others(self.stage)
                try:
                    figures = measure(reader)
                except Failure as failure:
                    figures = failure
                share = others.share()
                if share <= calm:
                    break
            yield reader, figures, share


def engine_cells():
    return [(children, rate) for children in ENGINE_CHILDREN for rate in ENGINE_RATES.values()]


def engine_cell(children, rate):
    name = next(name for name, value in ENGINE_RATES.items() if value == rate)
    return f"engines-{children}-{name}"


class Others:
    """The share of all cores that processes other than ours took, and the hypervisor: a run's quality."""

    def __init__(self, stage):
        self.stage = stage
        self.before = self._now()

    def _now(self):
        busy_s, steal_s = machine.busy_s()
        times = [processes.cpu_s("self"), processes.cpu_s(self.stage.standin.pid), children_cpu_s()]
        return time.monotonic(), busy_s, steal_s, sum(times)

    def share(self):
        wall_s, busy_s, steal_s, ours_s = (now - before for now, before in zip(self._now(), self.before))
        return max(0.0, (busy_s + steal_s - ours_s) / (wall_s * machine.cores()))


def wait_for_calm(stage, share_max):
    """Until others take no more than this share of the cores for half a second, or patience ends."""
    end = time.monotonic() + CALM_WAIT_S_MAX
    while share_max < 1 and time.monotonic() < end:
        others = Others(stage)
        time.sleep(0.5)
        if others.share() <= share_max:
            return


def children_cpu_s():
    with open("/proc/self/stat", encoding="utf-8", errors="replace") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / machine.TICKS_PER_S


@contextmanager
def every_core_busy(seconds_max):
    """A spinner of ordinary priority for each core; each ends by itself, whatever becomes of us."""
    spin = f"import time\nend = time.monotonic() + {seconds_max}\nwhile time.monotonic() < end: pass"
    spinners = [Process([sys.executable, "-c", spin]) for _ in range(machine.cores())]
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.stop()


def system_calls(pid, seconds):
    """All its threads' system calls in so long, counted by strace; None where strace is missing or not allowed."""
    try:
        command = ["timeout", "--signal=INT", str(seconds), "strace", "-c", "-f", "-U", "calls,name", "-p", str(pid)]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=seconds + 30, check=False)
    except OSError:
        return None
    if "attached" not in done.stderr:
        return None
    rows = re.findall(r"^\s*(\d+)\s+([a-z_0-9]+)\s*$", done.stderr, re.MULTILINE)
    return {name: int(count) for count, name in rows if name != "total"}


def output(command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=scene.RUN_S_MAX, check=True).stdout


def divan_medians(text):
    """GB/s by bench and load, from divan's tree: a load's rates stand in the line after it, the median third."""
    figures, bench, load = {}, None, None
    for line in text.splitlines():
        if found := re.match(r"[├╰]─ (\w+)", line):
            bench = found[1]
        elif found := re.match(r".{3}[├╰]─ (\w+)", line):
            load = found[1]
        rates = [cell.strip() for cell in line.split("│") if cell.strip().endswith("B/s")]
        if load and len(rates) >= 3:
            value, unit = rates[2].split()
            figures[f"{bench} {load}"] = float(value) * {"GB/s": 1, "MB/s": 1e-3, "KB/s": 1e-6}[unit]
    if not figures:
        raise Failure("the bench printed no throughput")
    return figures
