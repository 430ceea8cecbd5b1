"""The headline: what a child like Airflow's scheduler gets done, and where its time goes, under each reader.

Figures and flame graphs come from runs of their own: being sampled takes time.
"""

import json
import re
import shlex
import sys
from pathlib import Path

from . import cells, grid, readers, venv
from .processes import Failure
from .service import Service

CELL = grid.Cell(1, "full", ("null", "poller", "thread", "uring"))
SAMPLES_PER_S = 200
# What stands before it is Python's start and end.
FIRST_FRAME = "main (scheduler_child.py)"
LINE_NUMBER = re.compile(r":\d+\)$")


def measure(bench, names, rounds):
    """Loops a minute and the share of them in write(), a round in each order; then one flame graph each."""
    steps = cells.output([sys.executable, str(cells.SCHEDULER_CHILD), "--calibrate"]).strip()
    names = [name for name in CELL.readers if name in names]
    for number in range(rounds):
        for name in reversed(names) if number % 2 else names:
            bench.one("scheduler", name, number, rounds, lambda name=name: loops(bench, name, steps, []), kind="headline")
    try:
        py_spy = venv.program("py-spy")
    except venv.Missing as why:
        bench.out.put("skipped", what="flame graphs of the child", why=str(why))
        print(f"flame graphs of the child are skipped: {why}", file=sys.stderr)
        return
    for name in names:
        bench.one("scheduler-flame", name, 0, 1, lambda name=name: flame(bench, name, steps, py_spy), kind="flame")


def loops(bench, name, steps, sampler):
    """`sampler`: a command that runs the child behind a `--`."""
    stage = bench.stage
    out = stage.fresh("scheduler.json")
    child = [sys.executable, "-u", str(cells.SCHEDULER_CHILD), "--work", steps, "--out", str(out)]
    child += ["--seconds", f"{bench.sizes.scheduler_s:g}"]
    # In a shell's string: a `--` of its own would begin another child.
    child = ["sh", "-c", "exec " + shlex.join([*sampler, "--", *child])] if sampler else child
    with Service(stage, ["--fault", grid.LATENCY, "--count-only"]) as service:
        running = readers.start(name, stage, service, CELL, [child])
        try:
            running.wait(bench.sizes.scheduler_s)
        finally:
            running.stop()
    did = json.loads(Path(out).read_text(encoding="ascii"))
    figures = {"loops_per_min": 60 * did["loops"] / did["seconds"], "write_share": did["write_s"] / did["seconds"]}
    return figures | {"child_cpu_s_per_loop": did["cpu_s"] / did["loops"], "lines": did["lines"]} | running.cost()


def flame(bench, name, steps, py_spy):
    """Folded stacks of the child. It is the sampler's child, so no privilege is needed; that a sleep in write() counts needs --idle."""
    folded = bench.stage.fresh("folded.txt")
    sampler = [py_spy, "record", "--rate", str(SAMPLES_PER_S), "--format", "raw", "--idle", "--nonblocking", "--output", str(folded)]
    loops(bench, name, steps, sampler)
    stacks = {}
    for line in folded.read_text(encoding="utf-8").splitlines():
        stack, _, count = line.rpartition(" ")
        # A function is one frame, wherever in it the time goes.
        frames = [LINE_NUMBER.sub(")", frame) for frame in stack.split(";")]
        if FIRST_FRAME in frames:
            shown = ";".join(frames[frames.index(FIRST_FRAME) :])
            stacks[shown] = stacks.get(shown, 0) + int(count)
    if not stacks:
        raise Failure("py-spy saw nothing")
    return {"stacks": stacks, "samples": sum(stacks.values())}
