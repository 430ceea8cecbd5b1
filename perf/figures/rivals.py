"""`perf/run rivals`: logpump beside what one would take instead, cell by cell, interleaved in one run.

Within a round all readers of a cell run after one another, in the next round the other way round. Every line that arrives is
kept by the stand-in, read back and checked. Writers time each write() into an HDR histogram. What is missing on this machine
is named and skipped. Readers, writers and the stand-in share the cores: trust ratios and CPU seconds, not wall times.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from . import cells, grid, headline, machine, readers, scene, venv
from .hdr import Histogram
from .processes import Failure, Watch
from .service import Service

PSS_INTERVAL_S = 0.1
# One child's command stands for all.
COMMAND_CHARS_MAX = 600


def arguments(words):
    parser = argparse.ArgumentParser(prog="perf/run rivals", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="shorter runs and 2 rounds: meant for 15 minutes")
    parser.add_argument("--runs", type=int, metavar="N", help="rounds (default 5, with --quick 2)")
    parser.add_argument("--cells", metavar="A,B", help="only these; --cells help lists them")
    parser.add_argument("--readers", metavar="A,B", help=f"only these of {', '.join(readers.TITLES)}")
    parser.add_argument("--json", metavar="FILE", required=True, help="every run, one JSON object a line, for perf/report and "
                        "perf/compare; an existing file is gone on with")  # fmt: skip
    parser.add_argument("--calm", type=float, metavar="PERCENT", default=100, help="wait up to a minute before each run until others "
                        "take at most so much of the cores")  # fmt: skip
    parser.add_argument("--bin-dir", type=Path, metavar="DIR", help="programs from here; default: build them")
    args = parser.parse_args(words)
    known = [*grid.BY_NAME, "scheduler"]
    args.cells = args.cells.split(",") if args.cells else known
    if unknown := set(args.cells) - set(known):
        raise Failure(f"cells are {', '.join(known)}; unknown: {', '.join(sorted(unknown))}")
    args.readers = args.readers.split(",") if args.readers else list(readers.TITLES)
    if unknown := set(args.readers) - set(readers.TITLES):
        raise Failure(f"readers are {', '.join(readers.TITLES)}; unknown: {', '.join(sorted(unknown))}")
    return args


def main(words):
    args = arguments(words)
    sizes = grid.QUICK if args.quick else grid.WHOLE
    rounds = args.runs or sizes.rounds
    with scene.Scene(args.bin_dir, {}) as stage:
        missing = readers.missing(args.readers, stage)
        for name, why in missing.items():
            print(f"{readers.TITLES[name]} is skipped: {why}", file=sys.stderr)
        out = Output(args.json)
        facts = machine.facts()
        out.put("machine", facts=facts, rounds=rounds, quick=args.quick, skipped=missing, command=["perf/run", "rivals", *told(words)])
        bench = Bench(stage, sizes, out, args.calm / 100)
        names = [name for name in args.readers if name not in missing]
        for number in range(rounds):
            for cell in (grid.BY_NAME[name] for name in args.cells if name in grid.BY_NAME):
                bench.round(cell, [name for name in cell.readers if name in names], number, rounds)
        if "scheduler" in args.cells:
            headline.measure(bench, names, rounds)
    print("\n".join(facts))
    print(f"\n{out.lines} lines were added to {args.json}; perf/report {args.json} >report.html draws them")
    return 1 if bench.failures else 0


def told(words):
    """Without what says where this machine has something."""
    places = [place for place, word in enumerate(words) if word in ("--bin-dir", "--json")]
    return [word for place, word in enumerate(words) if place not in places and place - 1 not in places]


class Output:
    def __init__(self, path):
        self.path, self.lines = path, 0

    def put(self, kind, **fields):
        with open(self.path, "a", encoding="utf-8") as out:
            out.write(json.dumps({"kind": kind} | fields) + "\n")
        self.lines += 1


class Bench:
    def __init__(self, stage, sizes, out, calm):
        self.stage, self.sizes, self.out, self.calm = stage, sizes, out, calm
        self.failures = 0
        self.started = time.monotonic()

    def round(self, cell, names, number, rounds):
        for name in reversed(names) if number % 2 else names:
            self.one(cell.name, name, number, rounds, lambda name=name: self.run(cell, name))

    def one(self, cell, name, number, rounds, measure, kind="run"):
        """Measures, says so in a line, and keeps it."""
        cells.wait_for_calm(self.stage, self.calm)
        others = cells.Others(self.stage)
        told = lambda: f"[{time.monotonic() - self.started:5.0f} s] round {number + 1}/{rounds} {cell} {name}"
        try:
            figures = measure()
        except (Failure, OSError, ValueError) as failure:
            self.failures += 1
            self.out.put("failure", cell=cell, reader=name, round=number, why=str(failure))
            print(f"{told()}: FAILED: {failure}", file=sys.stderr, flush=True)
            return
        self.out.put(kind, cell=cell, reader=name, round=number, others=round(others.share(), 4), **figures)
        print(f"{told()}: {brief(figures)}", file=sys.stderr, flush=True)

    def run(self, cell, name):
        commands, files = zip(*(self.stage.writer(cell.writer(number, self.sizes)) for number in range(cell.children)))
        if name in readers.SHIP_NOTHING:
            return self.through(cell, name, None, commands, files)
        options = ["--fault", cell.faults(self.sizes)]
        with Service(self.stage, options, tls=cell.transport == "tls") as service:
            figures = self.through(cell, name, service, commands, files)
            service.calm()
            return figures | arrived(service.read_back(), figures)

    def through(self, cell, name, service, commands, files):
        seconds = cell.seconds(self.sizes)
        running = readers.start(name, self.stage, service, cell, commands)
        memory = Memory(running.pids) if running.pids else None
        try:
            running.wait(seconds)
        finally:
            running.stop()
            if memory:
                memory.stop()
        figures = accepted([json.loads(file.read_text(encoding="utf-8")) for file in files])
        figures["command"] = self.shown(running.command)
        figures["cell_title"], figures["pss_mib"] = cell.title, memory.peak_mib if memory else None
        if cell.service == "dead" and memory:
            figures |= {"memory": memory.samples, "dead_from_s": self.sizes.well_s, "dead_for_s": self.sizes.dead_s}
        return figures | running.cost()

    def shown(self, command):
        """Programs by their names, and nothing of where this machine has them."""
        places = {path: name for name, path in self.stage.programs.items()}
        places |= {str(venv.directory() / "bin" / "python"): "python3", f"{scene.REPOSITORY}/": "", str(self.stage.directory): "/tmp/perf"}
        for place, name in places.items():
            command = command.replace(place, name)
        return command[:COMMAND_CHARS_MAX]


class Memory(Watch):
    """The Pss of all its processes over time: [seconds, MiB]."""

    def __init__(self, pids):
        self.pids, self.samples, self.peak_mib = pids, [], 0.0
        self.began = time.monotonic()
        super().__init__(pids[0], PSS_INTERVAL_S)

    def look(self):
        mib = readers.pss_mib(self.pids)
        self.peak_mib = max(self.peak_mib, mib)
        self.samples.append([round(time.monotonic() - self.began, 2), round(mib, 2)])


def accepted(times):
    """What the writers saw, all together."""
    histogram = Histogram()
    for one in times:
        histogram.add(one["hdr_v2_base64"])
    if histogram.total != sum(one["writes"] for one in times):
        raise Failure(f"{histogram.total} write() calls are in the histograms: that is not how many there were")
    lines, sent = sum(one["lines"] for one in times), sum(one["bytes"] for one in times)
    wall_s = max(one["wall_ns"] for one in times) / 1e9
    figures = {"lines": lines, "bytes": sent, "wall_s": wall_s, "accepted_lines_per_s": lines / wall_s, "mb_per_s": sent / wall_s / 1e6}
    return figures | histogram.summary_us() | {"curve": histogram.curve()}


def arrived(findings, figures):
    """What a reader of the log group gets: each line once, whatever came twice."""
    kept = sum(found["expected"] - found["missing"] - found["beyond"] for found in findings["writers"])
    named = {name: sum(found[name] for found in findings["writers"]) for name in ("doubled", "out_of_order", "altered")}
    # What is no writer's line is most often a piece of one.
    named["altered"] += findings["foreign"]
    return {"delivered": kept, "lost": figures["lines"] - kept, **named}


BRIEF = {"accepted_lines_per_s": ",.0f", "cpu_s": ".2f", "pss_mib": ".1f", "write_p99_9_us": ",.1f", "write_max_us": ",.0f", "lost": ",",
         "out_of_order": ",", "altered": ",", "loops_per_min": ".1f", "write_share": ".3f"}  # fmt: skip


def brief(figures):
    shown = [f"{name} {figures[name]:{form}}" for name, form in BRIEF.items() if figures.get(name) is not None]
    return ", ".join(shown) or "done"
