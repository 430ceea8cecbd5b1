"""Which chart shows what: from the summary to drawings, each with its title. Knows nothing of the page."""

from . import charts, flames as drawing
from .readers import TITLES



def number(value):
    for bound, unit in ((1e6, "M"), (1e3, "k")):
        if value >= bound:
            return f"{value / bound:.3g}{unit}"
    return f"{value:.3g}"


def bars(summary, figure):
    drawn = []
    for cell, title in summary.cells().items():
        found = ((reader, summary.figure(cell, reader, figure)) for reader in summary.readers(cell))
        rows = [(TITLES[reader], reader, value) for reader, value in found if value]
        if rows:
            drawn.append((title, charts.bars(rows, number, f"{figure}: {title}")))
    return drawn


def latencies(summary):
    drawn = []
    for cell, title in summary.cells().items():
        curves = {reader: summary.curve(cell, reader) for reader in summary.readers(cell)}
        least_share = min(share for curve in curves.values() for share, _ in curve)
        powers = range(0, power_below(least_share) + 1)
        # A write() of less than 0.1 us does not occur.
        us = [max(0.1, value) for curve in curves.values() for _, value in curve]
        low, high = 10 ** -power_below(min(us)), 10 ** power_above(max(us))
        axes = charts.Axes((1, 10 ** -powers[-1]), (low, high), x_log=True, y_log=True)
        axes.grid([(10**-power, percentile(power)) for power in powers], decades(low, high),
                  "per cent of calls that are faster (5×9: 99.999)")  # fmt: skip
        for reader, curve in curves.items():
            axes.curve([(share, max(0.1, value)) for share, value in curve], reader, TITLES[reader])
        drawn.append((title, axes.drawn(f"write() times: {title}")))
    return drawn


def percentile(nines):
    return f"{100 - 100 * 10**-nines:.{max(0, nines - 2)}f}" if nines < 5 else f"{nines}×9"


def power_below(value):
    """The least n with 10^-n <= value."""
    power = 0
    while 10**-power > value:
        power += 1
    return power


def power_above(value):
    power = 0
    while 10**power < value:
        power += 1
    return power


def decades(low, high):
    ticks, value = [], low
    while value <= high * 1.01:
        ticks.append((value, time_of(value)))
        value *= 10
    return ticks


def time_of(us):
    """With its unit: 0.23 us, 43 ms, 1.1 s."""
    for bound, unit in ((1e6, "s"), (1e3, "ms")):
        if us >= bound:
            return f"{us / bound:.3g} {unit}"
    return f"{us:.3g} us"


def outages(summary):
    drawn = []
    for cell, title in summary.cells().items():
        runs = {reader: summary.runs(cell, reader)[0] for reader in summary.readers(cell)}
        runs = {reader: run for reader, run in runs.items() if run.get("memory")}
        if not runs:
            continue
        any_run = next(iter(runs.values()))
        seconds = max(at for run in runs.values() for at, _ in run["memory"])
        mib = charts.round_ticks(max(value for run in runs.values() for _, value in run["memory"]))
        axes = charts.Axes((0, seconds), (0, mib[-1]), width=560, height=270)
        axes.band(any_run["dead_from_s"], any_run["dead_from_s"] + any_run["dead_for_s"], "outage")
        times = [tick for tick in charts.round_ticks(seconds, 6) if tick <= seconds]
        axes.grid([(tick, f"{tick:g}") for tick in times], [(tick, f"{tick:g}") for tick in mib], "seconds; MiB")
        for reader, run in runs.items():
            axes.curve(run["memory"], reader, TITLES[reader])
        drawn.append((title, axes.drawn(f"memory: {title}")))
    return drawn


def headline(summary):
    shown = [
        ("loops_per_min", "Loops a minute", number),
        ("write_share", "Share of its time in write()", lambda value: f"{100 * value:.1f} %"),
    ]
    drawn = []
    for figure, title, show in shown:
        found = ((reader, summary.figure("scheduler", reader, figure, "headline")) for reader in summary.readers("scheduler", "headline"))
        rows = [(TITLES[reader], reader, value) for reader, value in found if value]
        if rows:
            drawn.append((title, charts.bars(rows, show, title)))
    return drawn


def flames(summary):
    hot = lambda name: "hot" if name.startswith("Timed.write (") else ""
    runs = {reader: summary.runs("scheduler-flame", reader, "flame")[-1] for reader in summary.readers("scheduler-flame", "flame")}
    return [(TITLES[reader], drawing.flame(run["stacks"], hot, f"flame graph: {TITLES[reader]}")) for reader, run in runs.items()]
