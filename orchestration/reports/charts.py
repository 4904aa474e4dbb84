"""Small charts as text: inline SVG and shaded tables, without a script and without anything to load.

What belongs here: how numbers are drawn. What does not: which numbers (`pages`). Every chart carries a
title for screen readers, and none shows what the table beside it does not say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

#: Distinguishable by people who see colours otherwise, in print too (after Okabe and Ito, 2008).
COLOURS = ("#0b6e75", "#d97706", "#5b5bd6", "#b4436c", "#4d7c0f", "#64748b", "#0284c7", "#92400e", "#111827")
_LIGHT, _DARK = (236, 245, 245), (7, 71, 79)


@dataclass(frozen=True)
class Series:
    """One line of a chart: its name and its points (x, y), in order of x."""

    name: str
    points: tuple[tuple[float, float], ...]
    is_dashed: bool = False


def shade(share: float) -> tuple[str, str]:
    """Background and text colour for a share between 0 and 1: the darker the more, always readable."""
    share = min(1.0, max(0.0, share)) if math.isfinite(share) else 0.0
    mixed = [round(low + (high - low) * share) for low, high in zip(_LIGHT, _DARK, strict=True)]
    # Relative luminance (WCAG 2.2); below 0.179 white has the better contrast, above it black.
    red, green, blue = ((part / 255 / 12.92) if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in mixed)
    is_dark = 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.179
    return "#{:02x}{:02x}{:02x}".format(*mixed), "#ffffff" if is_dark else "#000000"


def bar(share: float, *, width: int = 90, colour: str = COLOURS[0]) -> Markup:
    """A horizontal bar for a share between 0 and 1; the number stands beside it, so it is decoration."""
    share = min(1.0, max(0.0, share))
    filled = max(share * width, 1.5 if share > 0 else 0)
    return Markup(
        '<svg class="bar" width="{w}" height="10" aria-hidden="true">'
        '<rect width="{w}" height="10" rx="2" fill="#e8edf0"/><rect width="{f:.1f}" height="10" rx="2" fill="{c}"/></svg>'
    ).format(w=width, f=filled, c=colour)


def sparkline(values: Sequence[float], *, title: str, width: int = 110, height: int = 26) -> Markup:
    """The course of one number, its last value marked. Fewer than two values give a dot."""
    if not values:
        return Markup("")
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    step = (width - 8) / max(1, len(values) - 1)
    points = [
        (4 + index * step, height - 5 - (height - 10) * ((value - low) / span if high > low else 0.5))
        for index, value in enumerate(values)
    ]
    if len(points) == 1:
        points = [(width - 4, points[0][1])]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return Markup(
        '<svg class="spark" width="{w}" height="{h}" role="img"><title>{t}</title>'
        '<polyline points="{p}" fill="none" stroke="{c}" stroke-width="1.6" stroke-linejoin="round"/>'
        '<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{c}"/></svg>'
    ).format(w=width, h=height, t=title, p=path, c=COLOURS[0], x=points[-1][0], y=points[-1][1])


def stack(parts: Sequence[tuple[str, float]], *, title: str, width: int = 860) -> Markup:
    """One bar cut into named parts; parts too thin for their name are explained by the legend alone."""
    total = sum(value for _, value in parts) or 1.0
    x, pieces, legend = 0.0, [], []
    for index, (name, value) in enumerate(parts):
        colour = COLOURS[index % len(COLOURS)]
        wide = width * value / total
        pieces.append(
            Markup(
                '<rect x="{:.1f}" y="0" width="{:.1f}" height="34" fill="{}"><title>{}: {:,.0f}</title></rect>'
            ).format(x, max(wide - 1, 0.5), colour, name, value)
        )
        if wide > 9 * len(name) + 12:
            pieces.append(Markup('<text x="{:.1f}" y="22" fill="#fff" font-size="13">{}</text>').format(x + 8, name))
        legend.append(
            Markup(
                '<li><span class="dot" style="background:{}"></span>{} <b>{:,.0f}</b> <small>{:.0%}</small></li>'
            ).format(colour, name, value, value / total)
        )
        x += wide
    return Markup(
        '<figure><svg viewBox="0 0 {w} 34" class="wide" role="img"><title>{t}</title>{p}</svg>{l}</figure>'
    ).format(
        w=width,
        t=title,
        p=Markup("").join(pieces),
        l=Markup('<ul class="legend">{}</ul>').format(Markup("").join(legend)),
    )


def _ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round values that cover low to high."""
    if high <= low:
        high = low + 1
    rough = (high - low) / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    first = math.floor(low / step)
    return [round(index * step, 10) for index in range(first, math.ceil(high / step - 1e-9) + 1)]


def lines(
    series: Sequence[Series],
    *,
    title: str,
    x_label: str,
    y_label: str,
    x_format: Callable[[float], str] = lambda value: f"{value:g}",
    y_format: Callable[[float], str] = lambda value: f"{value:,.0f}",
    x_ticks: Sequence[float] | None = None,
    from_zero: bool = True,
    has_points: bool = False,
    width: int = 860,
    height: int = 300,
) -> Markup:
    """Lines over one pair of axes, named in a legend above."""
    points = [point for one in series for point in one.points]
    if not points:
        return Markup('<p class="quiet">No data yet.</p>')
    left, right, top, bottom = 64, 16, 12, 44
    x_low, x_high = min(x for x, _ in points), max(x for x, _ in points)
    y_values = [y for _, y in points]
    y_ticks = _ticks(min(0.0, min(y_values)) if from_zero else min(y_values), max(y_values))
    y_low, y_high = y_ticks[0], y_ticks[-1]
    marks = (
        list(x_ticks) if x_ticks is not None else [tick for tick in _ticks(x_low, x_high) if x_low <= tick <= x_high]
    )
    x_span = (x_high - x_low) or 1.0

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            left + (x - x_low) / x_span * (width - left - right),
            top + (1 - (y - y_low) / (y_high - y_low)) * (height - top - bottom),
        )

    drawn = []
    for tick in y_ticks:
        _, y = at(x_low, tick)
        drawn.append(
            Markup(
                '<line x1="{}" x2="{}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e2e8ec"/>'
                '<text x="{}" y="{ty:.1f}" text-anchor="end">{}</text>'
            ).format(left, width - right, left - 8, y_format(tick), y=y, ty=y + 4)
        )
    for tick in marks:
        x, _ = at(tick, y_low)
        drawn.append(
            Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
                min(max(x, left + 8), width - right - 14), height - bottom + 18, x_format(tick)
            )
        )
    drawn.append(
        Markup('<text x="{}" y="{}" text-anchor="middle" class="axis">{}</text>').format(
            (left + width - right) / 2, height - 6, x_label
        )
    )
    legend = []
    for index, one in enumerate(series):
        colour = "#94a3b8" if one.is_dashed else COLOURS[index % len(COLOURS)]
        path = " ".join("{:.1f},{:.1f}".format(*at(*point)) for point in one.points)
        dash = Markup(' stroke-dasharray="5 4"') if one.is_dashed else ""
        drawn.append(
            Markup('<polyline points="{}" fill="none" stroke="{}" stroke-width="2" stroke-linejoin="round"{}/>').format(
                path, colour, dash
            )
        )
        if has_points and not one.is_dashed:
            drawn += [
                Markup('<circle cx="{:.1f}" cy="{:.1f}" r="3.5" fill="{}"/>').format(*at(*point), colour)
                for point in one.points
            ]
        legend.append(Markup('<li><span class="dot" style="background:{}"></span>{}</li>').format(colour, one.name))
    return Markup(
        '<figure><figcaption>{y}</figcaption><ul class="legend">{l}</ul>'
        '<svg viewBox="0 0 {w} {h}" class="wide chart" role="img"><title>{t}</title>{d}</svg></figure>'
    ).format(
        y=y_label, l=Markup("").join(legend), w=width, h=height, t=title, d=Markup("").join(drawn)
    )  # fmt: skip


def heat(
    rows: Sequence[str],
    columns: Sequence[str],
    values: Mapping[tuple[int, int], float],
    *,
    caption: str,
    corner: str = "",
    shown: Callable[[float], str] = lambda value: f"{value:,.0f}",
    share: Callable[[int, int, float], float] | None = None,
) -> Markup:
    """A table whose cells are shaded. `values` by (row, column); `share` gives the shade (value over the highest)."""
    highest = max(values.values(), default=0) or 1
    weigh = share or (lambda _row, _column, value: value / highest)
    body = []
    for r, name in enumerate(rows):
        cells = []
        for c in range(len(columns)):
            value = values.get((r, c))
            if value is None:
                cells.append(Markup('<td class="none"></td>'))
                continue
            background, ink = shade(weigh(r, c, value))
            cells.append(Markup('<td style="background:{};color:{}">{}</td>').format(background, ink, shown(value)))
        body.append(Markup('<tr><th scope="row">{}</th>{}</tr>').format(name, Markup("").join(cells)))
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(name) for name in columns)
    return Markup(
        '<div class="scroll"><table class="heat"><caption>{}</caption><thead><tr><th>{}</th>{}</tr></thead>'
        "<tbody>{}</tbody></table></div>"
    ).format(caption, corner, head, Markup("").join(body))


def triangle(names: Sequence[str], values: Mapping[tuple[int, int], tuple[float, str]], *, title: str) -> Markup:
    """A map of all pairs of `names` below the diagonal: shade in 0 to 1, and the words shown under the pointer."""
    cell, left, top = 13, 218, 6
    count = len(names)
    width, height = left + count * cell + 150, top + count * cell + 150
    drawn = []
    for (r, c), (share, words) in sorted(values.items()):
        background, _ = shade(math.sqrt(max(0.0, share)))
        drawn.append(
            Markup('<rect x="{}" y="{}" width="{s}" height="{s}" fill="{}"><title>{}</title></rect>').format(
                left + c * cell, top + r * cell, background, words, s=cell - 1
            )
        )
    for index, name in enumerate(names):
        y = top + index * cell + cell - 3
        drawn.append(Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(left - 6, y, name))
        x, foot = left + index * cell + cell - 3, top + count * cell + 8
        drawn.append(
            Markup('<text x="{x}" y="{f}" transform="rotate(55 {x} {f})" text-anchor="start">{}</text>').format(
                name, x=x - 6, f=foot
            )
        )
    return Markup('<div class="scroll"><svg class="triangle" width="{w}" height="{h}" viewBox="0 0 {w} {h}" role="img"><title>{t}</title>{d}</svg></div>').format(
        w=width, h=height, t=title, d=Markup("").join(drawn)
    )  # fmt: skip


def sankey(
    flows: Sequence[tuple[str, str, float]], order: Sequence[str], *, title: str, left: str, right: str
) -> Markup:
    """Flows from the names on the left to those on the right, as bands as wide as they are heavy."""
    width, gap, node, top, room = 860, 10, 14, 26, 380
    total = sum(value for *_, value in flows)
    if total <= 0:
        return Markup('<p class="quiet">Nobody moved.</p>')
    froms = [name for name in order if any(one[0] == name for one in flows)]
    tos = [name for name in order if any(one[1] == name for one in flows)]
    scale = (room - gap * (max(len(froms), len(tos)) - 1)) / total

    def places(names: Sequence[str], side: int) -> dict[str, float]:
        found, y = {}, float(top)
        for name in names:
            found[name] = y
            y += scale * sum(one[2] for one in flows if one[side] == name) + gap
        return found

    starts, ends = places(froms, 0), places(tos, 1)
    drawn = []
    for side, x, found, label in ((0, 170, starts, "end"), (1, width - 170 - node, ends, "start")):
        for name, y in found.items():
            value = sum(one[2] for one in flows if one[side] == name)
            colour = COLOURS[order.index(name) % len(COLOURS)]
            at = x - 8 if label == "end" else x + node + 8
            drawn.append(
                Markup(
                    '<rect x="{}" y="{:.1f}" width="{}" height="{:.1f}" fill="{}"/>'
                    '<text x="{}" y="{:.1f}" text-anchor="{}">{} <tspan class="quiet">{:,.0f}</tspan></text>'
                ).format(
                    x,
                    y,
                    node,
                    max(1.0, value * scale),
                    colour,
                    at,
                    y + max(9.0, value * scale / 2 + 4),
                    label,
                    name,
                    value,
                )
            )
    bands = []
    leaving, arriving = dict(starts), dict(ends)
    for start in froms:
        for end in tos:
            value = sum(one[2] for one in flows if (one[0], one[1]) == (start, end))
            if not value:
                continue
            thick = value * scale
            y0, y1 = leaving[start] + thick / 2, arriving[end] + thick / 2
            leaving[start] += thick
            arriving[end] += thick
            x0, x1 = 170 + node, width - 170 - node
            middle = (x0 + x1) / 2
            bands.append(
                Markup(
                    '<path d="M{x0},{y0:.1f} C{m},{y0:.1f} {m},{y1:.1f} {x1},{y1:.1f}" fill="none" stroke="{c}" '
                    'stroke-opacity="{o}" stroke-width="{w:.1f}"><title>{s} to {e}: {v:,.0f}</title></path>'
                ).format(
                    x0=x0, x1=x1, y0=y0, y1=y1, m=middle, c=COLOURS[order.index(start) % len(COLOURS)],
                    w=max(1.0, thick), s=start, e=end, v=value, o=0.22 if start == end else 0.55,
                )
            )  # fmt: skip
    names = Markup(
        '<text x="{}" y="14" text-anchor="end" class="axis">{}</text><text x="{}" y="14" class="axis">{}</text>'
    ).format(170 + node, left, width - 170 - node, right)
    return Markup(
        '<figure><svg viewBox="0 0 {w} {h}" class="wide chart" role="img"><title>{t}</title>{n}{b}{d}</svg></figure>'
    ).format(w=width, h=room + top + 14, t=title, n=names, b=Markup("").join(bands), d=Markup("").join(drawn))


def words(text: object) -> Markup:
    """A name of the data as words: `at_risk` becomes `at risk`."""
    return escape(str(text).replace("_", " "))
