"""The targets, and the table: medians with the least and the largest, met or missed."""

from dataclasses import dataclass
from statistics import median
from typing import Callable

PUMP = "logpump"


@dataclass(frozen=True)
class Row:
    cell: str
    what: str
    # A figure of one run's figures, by name.
    figure: str
    # Held against the same round's run of this reader.
    against: str | None = None
    target: str | None = None
    met: Callable[[float], bool] | None = None
    digits: int = 2
    # Whose figure is held against the target.
    judged: str = PUMP


def at_most(bound):
    return {"target": f"<= {bound:g}", "met": lambda value: value <= bound}


def at_least(bound):
    return {"target": f">= {bound:g}", "met": lambda value: value >= bound}


CPU = "cpu_s_per_million"
ROWS = [
    Row("full", "full speed: CPU s per million lines", CPU, **at_most(0.33)),
    Row("full", "full speed: accepted lines/s", "accepted_lines_per_s", digits=0),
    Row("full", "full speed: accepted, of cat's", "accepted_lines_per_s", against="cat", **at_least(0.95), digits=3),
    Row("full", "full speed: accepted, of /dev/null's", "accepted_lines_per_s", against="null", digits=3),
    Row("full", "full speed: delivered, of accepted", "delivered_of_accepted", **at_least(0.95), digits=3),
    Row("full", "full speed: wall s until all is delivered", "pump_wall_s"),
    Row("full", "full speed: CPU s of the stand-in", "standin_cpu_s"),
    Row("rate-100k", "100,000 lines/s: CPU s per million lines", CPU, **at_most(0.60)),
    Row("rate-10k", "10,000 lines/s: CPU s per million lines", CPU, **at_most(2.0)),
    Row("rate-100k", "100,000 lines/s, quiet: write() p99.9 us", "write_p99_9_us", **at_most(8), digits=1),
    Row("rate-100k", "100,000 lines/s, quiet: write() max us", "write_max_us", digits=0),
    Row("busy", "100,000 lines/s, cores busy: write() p99.9 us", "write_p99_9_us", **at_most(12), digits=1),
    Row("busy", "100,000 lines/s, cores busy: write() max us", "write_max_us", digits=0),
    Row("busy", "100,000 lines/s, cores busy: CPU s per million", CPU),
    Row("bulk", "64 KiB writes, sink null: MB/s", "mb_per_s", digits=0),
    Row("bulk", "64 KiB writes, sink null: of cat's", "mb_per_s", against="cat", **at_least(0.5)),
    Row("scheduler", "scheduler-like child: loops/s", "loops_per_s"),
    Row("scheduler", "scheduler-like child: of /dev/null's", "loops_per_s", against="null", **at_least(0.97), digits=3),
    Row("encode", "frame + encode, 150-byte lines: GB/s", "whole log_150", **at_least(2.5)),
    Row("memory", "Pss, one writer at full speed: MiB, peak", "pss_mib", **at_most(30), digits=1),
    Row("start-end", "start to the child's exec: ms more than by itself", "start_ms", **at_most(5), digits=1),
    # Of that 25 ms are the stand-in's: its one answer to the last lines.
    Row("start-end", "the child's end to exit: ms more than by itself", "end_ms", **at_most(75), digits=1),
    Row("silent", "Pss, 8 silent children: MiB after 5 s", "pss_mib", **at_most(16), digits=1),
    Row("silent", "wake-ups, 8 silent children: in 10 s", "wake_ups", **at_most(0), digits=0),
    Row("silent", "system calls, 8 silent children: in 10 s (strace)", "system_calls", **at_most(0), digits=0),
    Row("silent-after-a-line", "the same after one line each: Pss MiB", "pss_mib", digits=1),
    Row("silent-after-a-line", "the same after one line each: wake-ups in 10 s", "wake_ups", digits=0),
]


RATES = {"20k": "20,000 lines/s", "200k": "200,000 lines/s", "full": "full speed"}
for _children in (1, 8, 64):
    for _name, _rate in RATES.items():
        _cell, _what = f"engines-{_children}-{_name}", f"{_children} x, {_rate}"
        ROWS += [
            Row(_cell, f"{_what}: intake CPU s per million", "intake_cpu_s_per_million", digits=3),
            Row(_cell, f"{_what}: intake CPU, of uring's", "intake_cpu_s_per_million", against="uring", judged="epoll",
                **at_most(1.2)),  # fmt: skip
            Row(_cell, f"{_what}: accepted lines/s", "accepted_lines_per_s", digits=0),
            Row(_cell, f"{_what}: accepted, of uring's", "accepted_lines_per_s", against="uring", judged="epoll", digits=3,
                **at_least(0.9)),  # fmt: skip
        ]


class Results:
    """Figures by cell, reader and round; a reader that ran twice in a round counts with its mean."""

    def __init__(self, readers):
        self.readers = readers
        self.runs = {}
        self.others = []

    def add(self, cell, reader, number, figures, others):
        self.runs.setdefault((cell, reader), {}).setdefault(number, []).append(figures)
        self.others.append(others)

    def values(self, row, reader):
        """One value a round."""
        values = []
        for number, runs in self.runs.get((row.cell, reader), {}).items():
            own = mean_of(runs, row.figure)
            base = mean_of(self.runs.get((row.cell, row.against), {}).get(number, []), row.figure)
            if own is None or (row.against and not base):
                continue
            values.append(own / base if row.against else own)
        return values

    def rows(self):
        """As JSON and as the table has them: what, target, verdict, and median, least, largest by reader."""
        for row in ROWS:
            found = {}
            for reader in self.readers:
                values = self.values(row, reader)
                if values and reader != row.against:
                    found[reader] = {"median": median(values), "min": min(values), "max": max(values), "n": len(values)}
            if found:
                ours = found.get(row.judged)
                verdict = None if row.met is None or ours is None else "met" if row.met(ours["median"]) else "MISSED"
                yield {"cell": row.cell, "what": row.what, "target": row.target, "verdict": verdict, "readers": found}


def mean_of(runs, figure):
    values = [run[figure] for run in runs if figure in run]
    return sum(values) / len(values) if values else None


def text(results):
    """A Markdown table that also reads well as it is."""
    digits = {row.what: row.digits for row in ROWS}
    names = {"cat": "cat >/dev/null", "null": "/dev/null"}
    rows = list(results.rows())
    readers = [reader for reader in results.readers if any(reader in row["readers"] for row in rows)]
    head = ["what", "target", *(names.get(reader, reader) for reader in readers), ""]
    lines = [head]
    for row in rows:
        cells = [shown(row["readers"].get(reader), digits[row["what"]]) for reader in readers]
        lines.append([row["what"], row["target"] or "", *cells, row["verdict"] or ""])
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines)


def shown(found, digits):
    if found is None:
        return ""
    number = lambda value: f"{value:,.{digits}f}"
    if found["n"] == 1:
        return number(found["median"])
    return f"{number(found['median'])} ({number(found['min'])}-{number(found['max'])})"
