"""The report: one HTML file that needs nothing else. Puts charts and tables in order; draws and counts nothing itself."""

import shlex
from html import escape
from pathlib import Path

from . import charts, plots
from .readers import TITLES

def style():
    # After .key and .fill, whose default they take the place of.
    own = "\n".join(f"svg .{name}, .key.{name} {{ --own: var(--{name}) }}" for name in TITLES)
    return Path(__file__).with_name("report.css").read_text(encoding="utf-8") + own


def page(summary):
    first = summary.machines[0]
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>logpump: speed, shown</title>',
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style()}</style></head><body>',
        "<h1>logpump: speed, shown</h1>",
        f'<p class="soft">{escape(when(first))}. Writers, readers and the stand-in for CloudWatch Logs share this machine\'s '
        "cores: trust ratios within a chart and CPU seconds, not wall times. Bars are medians; the thin lines go from the least to "
        "the largest.</p>",
        legend(summary),
        headline(summary),
        section("Accepted lines a second", "How fast the children could write, all together.",
                plots.bars(summary, "accepted_lines_per_s")),  # fmt: skip
        section("CPU seconds for a million lines", "What the reader took of the processors, without its children: for lines that "
                "arrived; of cat, for lines that were read.", plots.bars(summary, "cpu_s_per_million")),  # fmt: skip
        section("How long a write() takes", "The slowest write() calls: further right are rarer ones, lower is better. Both axes "
                "are logarithmic.", plots.latencies(summary), key=legend(summary)),  # fmt: skip
        section("Memory in an outage", "Pss of the reader. In the shaded time every connection is reset.",
                plots.outages(summary), wide=True, key=legend(summary, "memory")),  # fmt: skip
        tables(summary),
        machine(summary),
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part)


def when(first):
    return ", ".join(fact.split(None, 1)[1] for fact in first["facts"][:3])


def legend(summary, having="curve"):
    """Of the readers that have a run with this figure."""
    there = {run["reader"] for run in summary.of("run") if having in run}
    return charts.legend([(TITLES[name], name) for name in TITLES if name in there])


def section(title, words, drawn, wide=False, key=""):
    """`drawn`: (title, svg)."""
    if not drawn:
        return ""
    cards = "".join(card(name, body) for name, body in drawn)
    return f'<h2>{escape(title)}</h2><p>{escape(words)}</p>{key}<div class="cards{" wide" if wide else ""}">{cards}</div>'


def card(title, body):
    return f'<figure class="card"><h3>{escape(title)}</h3>{body}</figure>'


def headline(summary):
    drawn = plots.headline(summary)
    if not drawn:
        return ""
    flames = plots.flames(summary)
    words = ("A Python child like Airflow's scheduler: rounds of 100 ms of work, each of which logs 2,000 lines. It should get as "
             "much done as with its output in /dev/null.")  # fmt: skip
    text = section("What a scheduler gets done", words, drawn)
    if flames:
        cards = "".join(card(title, body) for title, body in flames)
        text += ('<p class="after">Where the child\'s time goes, sampled by py-spy in runs of their own. Callers are above; time in '
                 'write() is red.</p>'
                 f'<div class="cards wide">{cards}</div>')  # fmt: skip
    return text


# ---- tables ------------------------------------------------------------------------------------

whole = "{:,.0f}".format
COLUMNS = [
    ("accepted lines/s", "accepted_lines_per_s", whole),
    ("CPU s / M lines", "cpu_s_per_million", "{:,.2f}".format),
    ("CPU s / GB", "cpu_s_per_gb", "{:,.2f}".format),
    ("peak Pss, MiB", "pss_mib", "{:.1f}".format),
    ("write() p50", "write_p50_us", plots.time_of),
    ("p99", "write_p99_us", plots.time_of),
    ("p99.9", "write_p99_9_us", plots.time_of),
    ("max", "write_max_us", plots.time_of),
    ("delivered", "delivered", whole),
    ("lost", "lost", whole),
    ("altered", "altered", whole),
    ("doubled", "doubled", whole),
    ("out of order", "out_of_order", whole),
]
FAULTS = ("lost", "altered", "out_of_order")


def tables(summary):
    parts = ["<h2>All figures</h2>", "<p>Medians, and below each the least and the largest. Delivered to out of order are as a "
             "reader of the log group gets the lines; altered ones are not what was written, or none that was. Faults are red.</p>"]  # fmt: skip
    for cell, title in summary.cells().items():
        head = "".join(f"<th>{escape(name)}</th>" for name, _, _ in COLUMNS)
        rows, commands = [], []
        for reader in summary.readers(cell):
            figures = "".join(figure(summary, cell, reader, *column[1:]) for column in COLUMNS)
            rows.append(f"<tr><td>{TITLES[reader]}</td>{figures}</tr>")
            commands.append(f"# {TITLES[reader]}\n{summary.runs(cell, reader)[0]['command']}")
        parts.append(f'<h3 class="after">{escape(title)} <code class="soft">{cell}</code></h3><div class="scroll"><table>'
                     f"<tr><th>reader</th>{head}</tr>{''.join(rows)}</table></div>")  # fmt: skip
        parts.append(f"<details><summary>Commands</summary><pre>{escape(chr(10).join(commands))}</pre></details>")
    return "\n".join(parts)


def figure(summary, cell, reader, name, show):
    found = summary.figure(cell, reader, name)
    if found is None:
        return "<td></td>"
    bad = ' class="bad"' if name in FAULTS and found.largest > 0 else ""
    differ = found.count > 1 and found.least != found.largest
    spread = f"<small>{show(found.least)}</small><small>{show(found.largest)}</small>" if differ else ""
    return f"<td{bad}>{show(found.median)}{spread}</td>"


def machine(summary):
    parts = ["<h2>Machine and commands</h2>"]
    for one in summary.machines:
        facts = "\n".join(one["facts"])
        parts.append(f"<pre>{escape(shlex.join(one['command']))}\n\n{escape(facts)}\nrounds    {one['rounds']}</pre>")
    shares = [run["others"] for kind in ("run", "headline") for run in summary.of(kind)]
    if shares:
        parts.append(f"<p>Other processes took {100 * sorted(shares)[len(shares) // 2]:.0f} % of the cores (median of all runs; "
                     f"at most {100 * max(shares):.0f} %).</p>")  # fmt: skip
    left_out = [f"{TITLES[name]}: {why}" for one in summary.machines for name, why in one["skipped"].items()]
    left_out += [f"{one['what']}: {one['why']}" for one in summary.skipped]
    failed = [f"{one['cell']}, {TITLES[one['reader']]}: {one['why']}" for one in summary.failures]
    for title, lines in (("Skipped", left_out), ("Failed", failed)):
        if lines:
            items = "".join(f"<li>{escape(text)}</li>" for text in dict.fromkeys(lines))
            parts.append(f"<p>{title}:</p><ul>{items}</ul>")
    return "\n".join(parts)
