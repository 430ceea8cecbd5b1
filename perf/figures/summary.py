"""The JSON lines of `perf/run rivals`, by cell and reader: medians with the least and the largest. Draws nothing."""

import json
from dataclasses import dataclass
from statistics import median

from . import grid, readers

MILLION, GIGA = 1e6, 1e9


@dataclass(frozen=True)
class Spread:
    median: float
    least: float
    largest: float
    count: int


def spread(values):
    values = [value for value in values if value is not None]
    return Spread(median(values), min(values), max(values), len(values)) if values else None


class Summary:
    def __init__(self, path):
        self.lines = []
        with open(path, encoding="utf-8") as file:
            self.lines = [json.loads(line) for line in file]
        self.machines = self.of("machine")
        self.failures, self.skipped = self.of("failure"), self.of("skipped")
        for run in self.of("run"):
            run.update(per_line(run))

    def of(self, kind):
        return [line for line in self.lines if line["kind"] == kind]

    def runs(self, cell, reader, kind="run"):
        return [run for run in self.of(kind) if (run["cell"], run["reader"]) == (cell, reader)]

    def cells(self):
        """Those that were measured, in the grid's order."""
        there = {run["cell"]: run["cell_title"] for run in self.of("run")}
        order = {name: place for place, name in enumerate(grid.BY_NAME)}
        return dict(sorted(there.items(), key=lambda item: order.get(item[0], len(order))))

    def readers(self, cell, kind="run"):
        there = {run["reader"] for run in self.of(kind) if run["cell"] == cell}
        return [reader for reader in readers.TITLES if reader in there]

    def figure(self, cell, reader, name, kind="run"):
        """None where no run has it."""
        return spread([run.get(name) for run in self.runs(cell, reader, kind)])

    def curve(self, cell, reader):
        """Of all rounds' points at a share, the median; the ends are where every round has points."""
        points = {}
        runs = self.runs(cell, reader)
        for run in runs:
            for share, us in run["curve"]:
                points.setdefault(share, []).append(us)
        whole = {share: median(values) for share, values in points.items() if len(values) == len(runs)}
        # A run's last point stands at a share of its own, that of one call.
        last = [run["curve"][-1] for run in runs]
        whole[median(share for share, _ in last)] = median(us for _, us in last)
        return sorted(whole.items(), reverse=True)


def per_line(run):
    """CPU by what it was spent for: lines that arrived; where nothing is shipped, lines that were read."""
    lines = run.get("delivered", run["lines"])
    if not lines or "cpu_s" not in run:
        return {}
    return {"cpu_s_per_million": run["cpu_s"] / lines * MILLION, "cpu_s_per_gb": run["cpu_s"] / lines * run["lines"] / run["bytes"] * GIGA}
