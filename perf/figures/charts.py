"""Charts as inline SVG, coloured by classes, so that one drawing serves light and dark. Knows nothing of what is drawn."""

import math
from html import escape

CHAR_PX = 6.4
BAR_PX, BAR_GAP_PX = 16, 7


def svg(width, height, parts, label):
    body = "".join(parts)
    return f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(label)}">{body}</svg>'


def text(x, y, content, kind="", anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(content)}</text>'


def line(x1, y1, x2, y2, kind):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def bars(rows, show, label, width=430):
    """`rows`: (title, class, Spread). A bar to the median, a thin line from the least to the largest, the number behind."""
    names_px = CHAR_PX * max(len(title) for title, _, _ in rows) + 8
    values_px = CHAR_PX * max(len(show(value.median)) for _, _, value in rows) + 10
    scale = (width - names_px - values_px) / (max(value.largest for _, _, value in rows) or 1)
    parts = []
    for number, (title, kind, value) in enumerate(rows):
        y = number * (BAR_PX + BAR_GAP_PX) + 2
        end, least, largest = (names_px + scale * x for x in (value.median, value.least, value.largest))
        tip = f"{title}: {show(value.median)} ({show(value.least)} to {show(value.largest)}, {value.count} runs)"
        parts.append(f"<g><title>{escape(tip)}</title>")
        parts.append(text(names_px - 6, y + 12, title, "name", "end"))
        box = f'x="{names_px:.1f}" y="{y}" width="{max(1, end - names_px):.1f}" height="{BAR_PX}"'
        parts.append(f'<rect {box} rx="2" class="fill {kind}"/>')
        if value.count > 1:
            parts.append(line(least, y + BAR_PX / 2, largest, y + BAR_PX / 2, "whisker"))
        parts.append(text(max(end, largest) + 6, y + 12, show(value.median), "value") + "</g>")
    return svg(width, len(rows) * (BAR_PX + BAR_GAP_PX), parts, label)


class Axes:
    """A plot's box: from values to pixels, and the grid."""

    def __init__(self, x_range, y_range, width=430, height=230, x_log=False, y_log=False):
        self.width, self.height = width, height
        self.left, self.right, self.top, self.bottom = 52, width - 12, 8, height - 38
        self.x_of = scale(x_range, (self.left, self.right), x_log)
        self.y_of = scale(y_range, (self.bottom, self.top), y_log)
        self.parts = []

    def grid(self, x_ticks, y_ticks, title):
        for value, name in y_ticks:
            y = self.y_of(value)
            self.parts += [line(self.left, y, self.right, y, "grid"), text(self.left - 6, y + 4, name, "tick", "end")]
        for value, name in x_ticks:
            x = self.x_of(value)
            self.parts += [line(x, self.top, x, self.bottom, "grid"), text(x, self.bottom + 15, name, "tick", "middle")]
        self.parts.append(text((self.left + self.right) / 2, self.height - 5, title, "tick", "middle"))

    def band(self, x_from, x_to, name):
        left, right = self.x_of(x_from), self.x_of(x_to)
        box = f'x="{left:.1f}" y="{self.top}" width="{right - left:.1f}" height="{self.bottom - self.top}"'
        self.parts += [f'<rect {box} class="band"/>', text(left + 5, self.top + 13, name, "tick")]

    def curve(self, points, kind, title):
        path = " ".join(f"{self.x_of(x):.1f},{self.y_of(y):.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" class="line {kind}"><title>{escape(title)}</title></polyline>')

    def drawn(self, label):
        return svg(self.width, self.height, self.parts, label)


def scale(values, pixels, log):
    (low, high), (first, last) = values, pixels
    of = (lambda value: math.log10(value)) if log else (lambda value: value)
    low, high = of(low), of(high)
    return lambda value: first + (of(value) - low) / ((high - low) or 1) * (last - first)


def round_ticks(largest, count=4):
    """0 and some round steps, the last at or above the largest."""
    rough = (largest or 1) / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    return [step * number for number in range(math.ceil((largest or 1) / step) + 1)]


def legend(entries):
    items = "".join(f'<li><span class="key {kind}"></span>{escape(title)}</li>' for title, kind in entries)
    return f'<ul class="legend">{items}</ul>'
