"""Line charts as small SVG files that can be read on light and on dark ground."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from typing import Final

Points = Sequence[tuple[float, float]]

_WIDTH: Final = 720
_HEIGHT: Final = 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 250, 34, 46
# Apart by lightness as well as by hue, and of enough contrast on either ground.
_COLORS: Final = (
    ("#0a58ca", "#6ea8fe"),
    ("#b35900", "#ffb366"),
    ("#107a4d", "#5ad1a0"),
    ("#8a2d8f", "#dd8fe0"),
)


@dataclass(frozen=True, slots=True)
class Axis:
    """`ticks` are values with what is written at them; the first and the last are the ends."""

    title: str
    ticks: Sequence[tuple[float, str]]
    is_log: bool = False

    def place(self, value: float) -> float:
        """Where `value` is, from 0 to 1."""
        low, high = self.ticks[0][0], self.ticks[-1][0]
        if self.is_log:
            low, high, value = log10(low), log10(high), log10(max(value, 1e-9))
        return min(1.0, max(0.0, (value - low) / (high - low)))


def log_axis(title: str, values: Sequence[float], unit: str = "") -> Axis:
    """Ticks at 1, 2 and 5 of each power of ten that `values` span."""
    exponents = range(floor(log10(min(values))), ceil(log10(max(values))) + 1)
    marks = [digit * 10.0**exponent for exponent in exponents for digit in (1, 2, 5)]
    first = max(i for i, mark in enumerate(marks) if mark <= min(values) or i == 0)
    last = next((i for i, mark in enumerate(marks) if mark >= max(values)), len(marks) - 1)
    return Axis(title, [(m, f"{m:,g}{unit}") for m in marks[first : last + 1]], is_log=True)


def chart(title: str, x: Axis, y: Axis, lines: Mapping[str, Points], *, dots: bool = False) -> str:
    """The whole file. Lines are named at their ends' height, on the right."""
    parts = [_head(title), *_grid(x, y)]
    for number, (name, points) in enumerate(lines.items()):
        parts.append(_line(number, x, y, points, dots=dots))
        parts.append(_name(number, name))
    return "\n".join([*parts, "</svg>", ""])


def _head(title: str) -> str:
    light = "".join(f".c{i}{{stroke:{c[0]};fill:{c[0]}}}" for i, c in enumerate(_COLORS))
    dark = "".join(f".c{i}{{stroke:{c[1]};fill:{c[1]}}}" for i, c in enumerate(_COLORS))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" role="img" font-family="sans-serif" font-size="12">'
        f"<title>{escape(title)}</title>"
        f"<style>text{{fill:#1f2328;stroke:none}}.g{{stroke:#8884;fill:none}}"
        f"polyline.l{{fill:none;stroke-width:2}}{light}"
        f"@media(prefers-color-scheme:dark){{text{{fill:#d1d7e0}}{dark}}}</style>"
        f'<text x="{_LEFT}" y="18" font-size="14">{escape(title)}</text>'
    )


def _grid(x: Axis, y: Axis) -> list[str]:
    bottom = _HEIGHT - _BOTTOM
    parts = []
    for value, shown in x.ticks:
        at = _x(x, value)
        parts.append(f'<path class="g" d="M{at:.1f} {_TOP}V{bottom}"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{shown}</text>')
    for value, shown in y.ticks:
        at = _y(y, value)
        parts.append(f'<path class="g" d="M{_LEFT} {at:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{shown}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(
        f'<text x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x.title)}</text>'
    )
    parts.append(
        f'<text transform="translate(14 {(_TOP + bottom) / 2}) rotate(-90)" '
        f'text-anchor="middle">{escape(y.title)}</text>'
    )
    return parts


def _line(number: int, x: Axis, y: Axis, points: Points, *, dots: bool) -> str:
    places = [(_x(x, px), _y(y, py)) for px, py in points]
    shown = " ".join(f"{px:.1f},{py:.1f}" for px, py in places)
    drawn = f'<polyline class="l c{number}" points="{shown}"/>'
    if dots:
        circles = (
            f'<circle class="c{number}" cx="{px:.1f}" cy="{py:.1f}" r="3"/>' for px, py in places
        )
        drawn += "".join(circles)
    # Presentation attributes lose against the class, so the fill is taken away by style.
    return drawn.replace("polyline class", 'polyline style="fill:none" class')


def _name(number: int, name: str) -> str:
    at = _TOP + 12 + number * 20
    left = _WIDTH - _RIGHT + 14
    return (
        f'<path class="c{number}" stroke-width="3" d="M{left} {at - 4}h16"/>'
        f'<text x="{left + 22}" y="{at}">{escape(name)}</text>'
    )


def _x(axis: Axis, value: float) -> float:
    return _LEFT + axis.place(value) * (_WIDTH - _LEFT - _RIGHT)


def _y(axis: Axis, value: float) -> float:
    return _HEIGHT - _BOTTOM - axis.place(value) * (_HEIGHT - _TOP - _BOTTOM)
