"""Charts as SVG, drawn by hand: they need nothing that is not there, and look right on light and dark paper."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDE, NARROW = 900, 480
_HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 240, 70, 20, 34, 34

_STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #555 } .title { font-weight: 600; font-size: 14px; fill: #222 }
  .bar { fill: #2f6fde } .line { fill: none; stroke: #d9480f; stroke-width: 2 } .grid { stroke: #8884 }
  .paper { fill: #fff }
  @media (prefers-color-scheme: dark) {
    text { fill: #aaa } .title { fill: #eee } .bar { fill: #6ea8fe } .line { stroke: #ff922b } .paper { fill: #16181d }
  }
"""


def bars(title: str, values: Sequence[float], labels: Sequence[str], unit: str, paper: int = WIDE) -> str:
    """The inside of a chart `paper` wide and `_HEIGHT` high: one bar a value, a label under each that has room."""
    top = _round_up(max(values, default=0.0))
    width = (paper - _LEFT - _RIGHT) / max(len(values), 1)
    drawn = [_frame(title, top, unit, paper)]
    for number, (value, label) in enumerate(zip(values, labels, strict=True)):
        height = _span() * value / top
        x, y = _LEFT + number * width, _HEIGHT - _BOTTOM - height
        tip = escape(f"{label}: {value:,.1f} {unit}".rstrip())
        drawn.append(
            f'<rect class="bar" x="{x + 1:.1f}" y="{y:.1f}" width="{max(width - 2, 1):.1f}" height="{height:.1f}">'
            f"<title>{tip}</title></rect>"
        )
        drawn.append(_label(x + width / 2, label, number, len(values), paper))
    return "".join(drawn)


def line(title: str, values: Sequence[float], labels: Sequence[str], unit: str) -> str:
    """The inside of a chart as `bars` draws it, as one line."""
    top = _round_up(max(values, default=0.0))
    step = (WIDE - _LEFT - _RIGHT) / max(len(values), 1)
    points, marks = [], []
    for number, (value, label) in enumerate(zip(values, labels, strict=True)):
        x, y = _LEFT + (number + 0.5) * step, _HEIGHT - _BOTTOM - _span() * value / top
        points.append(f"{x:.1f},{y:.1f}")
        marks.append(_label(x, label, number, len(values), WIDE))
    return f'{_frame(title, top, unit, WIDE)}<polyline class="line" points="{" ".join(points)}"/>{"".join(marks)}'


def page(*charts: str) -> str:
    """A whole SVG file: charts under each other."""
    height = _HEIGHT * len(charts)
    placed = (f'<g transform="translate(0 {_HEIGHT * number})">{chart}</g>' for number, chart in enumerate(charts))
    inside = "".join(placed)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {height}" width="{WIDE}" height="{height}"'
        f' role="img"><style>{_STYLE}</style><rect class="paper" width="{WIDE}" height="{height}"/>{inside}</svg>\n'
    )


def figure(label: str, chart: str) -> str:
    """One narrow chart for a page of HTML, which brings the styles: classes title, bar, line and grid.

    `label` is for who does not see it.
    """
    return f'<svg class="chart" viewBox="0 0 {NARROW} {_HEIGHT}" role="img" aria-label="{escape(label)}">{chart}</svg>'


def _span() -> float:
    return _HEIGHT - _TOP - _BOTTOM


def _frame(title: str, top: float, unit: str, paper: int) -> str:
    drawn = [f'<text class="title" x="{_LEFT}" y="20">{escape(title)}</text>']
    for part in (0.0, 0.5, 1.0):
        y = _HEIGHT - _BOTTOM - _span() * part
        drawn.append(f'<line class="grid" x1="{_LEFT}" x2="{paper - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        value = f"{top * part:g} {escape(unit)}".rstrip()
        drawn.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value}</text>')
    return "".join(drawn)


def _label(x: float, label: str, number: int, count: int, paper: int) -> str:
    """Every so many bars only: they must not run into each other."""
    if number % max(-(-count * 75 // paper), 1):
        return ""
    return f'<text x="{x:.1f}" y="{_HEIGHT - 12}" text-anchor="middle">{escape(label)}</text>'


def _round_up(value: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    size = 1e-3
    while True:
        for step in (1, 2, 5):
            if value <= step * size:
                return step * size
        size *= 10
