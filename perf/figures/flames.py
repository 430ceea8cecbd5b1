"""Flame graphs from folded stacks, as inline SVG without scripts: widths are shares, a frame's text is in its tooltip."""

from html import escape

from .charts import svg

ROW_PX = 15
WIDTH_PX = 560
# Narrower ones are left out: nobody sees them.
WIDTH_PX_MIN = 0.4
CHAR_PX = 5.6


class Frame:
    def __init__(self):
        self.samples, self.callees = 0, {}


def tree(stacks):
    root = Frame()
    for stack, samples in stacks.items():
        frame = root
        frame.samples += samples
        for name in stack.split(";"):
            frame = frame.callees.setdefault(name, Frame())
            frame.samples += samples
    return root


def flame(stacks, hot, label):
    """`hot(name)`: the class of a frame's colour. The callers stand above, and what they call hangs below."""
    root = tree(stacks)
    parts, rows = [], 0
    todo = [(root, 0, 0.0)]
    while todo:
        frame, depth, x = todo.pop()
        for name, callee in sorted(frame.callees.items()):
            width = WIDTH_PX * callee.samples / root.samples
            if width >= WIDTH_PX_MIN:
                parts.append(box(name, callee.samples / root.samples, x, depth * ROW_PX, width, hot(name)))
                todo.append((callee, depth + 1, x))
                rows = max(rows, depth + 1)
            x += width
    return svg(WIDTH_PX, rows * ROW_PX + 1, parts, label)


def box(name, share, x, y, width, kind):
    room = int((width - 4) / CHAR_PX)
    shown = name if len(name) <= room else name[: room - 1] + "…" if room >= 4 else ""
    rect = f'<rect x="{x:.1f}" y="{y}" width="{max(0.3, width - 0.6):.1f}" height="{ROW_PX - 1}" rx="1.5" class="flame {kind}"/>'
    words = f'<text x="{x + 3:.1f}" y="{y + 11}" class="frame">{escape(shown)}</text>' if shown else ""
    return f"<g><title>{escape(name)}: {100 * share:.1f} %</title>{rect}{words}</g>"
