"""Charts are text: well formed, to scale, and safe whatever the data are called."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import pytest

from orchestration.reports import charts
from orchestration.reports.charts import Series

NASTY = '<script>alert("x")</script> & "co"'


def svg(markup: str) -> ET.Element:
    """The first SVG of a chart, parsed strictly."""
    found = re.search(r"<svg.*</svg>", str(markup), re.DOTALL)
    assert found, markup
    return ET.fromstring(found.group(0))


def numbers(points: str) -> list[tuple[float, float]]:
    return [tuple(float(one) for one in pair.split(",")) for pair in points.split()]  # type: ignore[misc]


@pytest.mark.parametrize(
    "markup",
    [
        charts.sparkline([1, 2], title=NASTY),
        charts.stack([(NASTY, 2), ("b", 1)], title=NASTY),
        charts.lines([Series(NASTY, ((0, 1), (1, 2)))], title=NASTY, x_label=NASTY, y_label=NASTY),
        charts.heat([NASTY], [NASTY], {(0, 0): 1.0}, caption=NASTY, corner=NASTY),
        charts.triangle([NASTY, "b"], {(1, 0): (0.5, NASTY)}, title=NASTY),
        charts.sankey([(NASTY, "b", 3.0)], [NASTY, "b"], title=NASTY, left=NASTY, right=NASTY),
    ],
)
def test_no_name_of_the_data_becomes_markup(markup: str) -> None:
    ET.fromstring(f"<all>{markup}</all>")  # well formed
    assert "<script" not in markup and "&lt;script&gt;" in markup


def test_a_bar_is_as_long_as_its_share() -> None:
    assert [svg(charts.bar(share, width=100))[1].get("width") for share in (0.0, 0.25, 1.0, 7.0)] == [
        "0.0", "25.0", "100.0", "100.0",
    ]  # fmt: skip


def test_a_line_rises_where_its_values_rise() -> None:
    drawn = svg(charts.lines([Series("a", ((0, 0), (5, 5), (10, 10)))], title="t", x_label="x", y_label="y"))
    (line,) = list(drawn.iter("polyline"))
    (x0, y0), (x1, y1), (x2, y2) = numbers(line.get("points", ""))
    assert x0 < x1 < x2 and y0 > y1 > y2  # SVG counts downwards
    assert math.isclose(x1 - x0, x2 - x1, abs_tol=0.2) and math.isclose(y0 - y1, y1 - y2, abs_tol=0.2)


def test_the_bands_of_a_flow_are_as_wide_as_they_are_heavy() -> None:
    flows = [("a", "a", 30.0), ("a", "b", 10.0), ("b", "b", 20.0)]
    drawn = svg(charts.sankey(flows, ["a", "b"], title="t", left="then", right="now"))
    widths = {
        band.findtext("title"): float(band.get("stroke-width", "0")) for band in drawn.iter("path")
    }  # fmt: skip
    assert set(widths) == {"a to a: 30", "a to b: 10", "b to b: 20"}
    assert math.isclose(widths["a to a: 30"], 3 * widths["a to b: 10"], rel_tol=0.02)
    assert math.isclose(widths["b to b: 20"], 2 * widths["a to b: 10"], rel_tol=0.02)


def test_the_parts_of_a_stack_fill_it() -> None:
    drawn = svg(charts.stack([("a", 1), ("b", 3)], title="t", width=400))
    first, second = list(drawn.iter("rect"))
    assert (first.get("width"), second.get("x"), second.get("width")) == ("99.0", "100.0", "299.0")


def test_text_stays_readable_on_every_shade() -> None:
    for step in range(101):
        background, ink = charts.shade(step / 100)

        def luminance(colour: str) -> float:
            parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
            linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
            return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

        light, dark = sorted((luminance(background), luminance(ink)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (step, background, ink)  # WCAG 2.2, level AA


def test_nothing_to_draw_is_no_error() -> None:
    assert "No data yet" in charts.lines([], title="t", x_label="x", y_label="y")
    assert "Nobody moved" in charts.sankey([], ["a"], title="t", left="", right="")
    assert charts.sparkline([], title="t") == ""
    svg(charts.sparkline([3.0], title="t"))
    svg(charts.sparkline([3.0, 3.0, 3.0], title="t"))
