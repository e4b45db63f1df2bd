"""Numbers of the checks as plots: bars by layer and method, and curves of the cascade."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vizcnn.drawing.check_pictures import show_method
from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.sheet import MARGIN, PLOT_SIZE, SLIDE_WIDTH, Sheet, fit_text
from vizcnn.drawing.style import letter_size, plain_style, points, tone
from vizcnn.measures.bootstrap import Estimate
from vizcnn.measures.checks import CascadeRow, CheckTables, ControlRow, SamenessRow

LEFT, BETWEEN, BELOW = 1.05, 0.4, 0.5
"""Inches for the first vertical axis, between panels, and for a horizontal axis."""
HEADING, LEGEND = 0.35, 0.3
"""Inches for the name of a net above its panels, and for the legend."""
TALL = 2.3
"""Height of a panel in inches."""
SMALLEST = 1.0
"""The least that an axis of effective numbers shows: one picture."""

Row = TypeVar("Row", SamenessRow, CascadeRow, ControlRow)


def draw_sameness(
    tables: CheckTables, nets: Sequence[str], last: Sequence[str], title: str, caption: str
) -> Figure:
    """Draw, for each net, cosines and effective numbers as bars by layer and method.

    Args:
        tables: The numbers.
        nets: The nets' titles.
        last: The layer of each net's classes.
        title: Heading.
        caption: What the figure depends on, below.
    """
    words = "medians over photos; lines: bootstrapped 95 % intervals"
    with plain_style():
        sheet = Sheet(SLIDE_WIDTH, LEGEND + HEADING + 2 * (TALL + BELOW), title, caption, words)
        methods = _list_methods(tables.sameness)
        _write_legend(sheet, methods)
        for axes, number, (net, row) in _add_panels(sheet, nets, 2):
            rows = _pick(tables.sameness, number)
            if row == 1:
                rows = [found for found in rows if found.layer != last[number]]
            names = list(dict.fromkeys(found.layer for found in rows))
            shown = ["class" if name == last[number] else name for name in names]
            table = {(found.layer, found.method): found for found in rows}
            for index, method in enumerate(methods):
                cells = [table[name, method] for name in names]
                values = [cell.effective if row else cell.cosine for cell in cells]
                _add_bars(axes, values, index, len(methods), SMALLEST if row else 0.0)
            _name_ticks(axes, shown)
            if row == 0:
                axes.set_ylim(min(axes.get_ylim()[0], 0.0), 1.02)
                axes.axhline(0, color=tone("#444444"), linewidth=points(0.8))
            else:
                axes.set_yscale("log")
                axes.set_ylim(0.9, max(axes.get_ylim()[1], 10))
                axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            if net == 0:
                up = ("cosine, strongest unit\nagainst another", "effective number\nof pictures")
                axes.set_ylabel(up[row], fontsize=letter_size(PLOT_SIZE))
    return sheet.figure


def draw_curves(tables: CheckTables, nets: Sequence[str], title: str, caption: str) -> Figure:
    """Draw, for each net, what is left of the pictures as layers are shuffled from the top down."""
    words = (
        "medians over photos, bands: bootstrapped 95 % intervals; solid: switches of the shuffled "
        "net, dashed: of the trained net"
    )
    measures: tuple[tuple[str, Callable[[CascadeRow], Estimate]], ...] = (
        ("rank correlation\nof signed values", lambda row: row.rank),
        ("structural similarity\nof magnitudes", lambda row: row.similarity),
    )
    with plain_style():
        body = LEGEND + HEADING + 2 * (TALL + BELOW) + 0.2
        sheet = Sheet(SLIDE_WIDTH, body, title, caption, words)
        methods = _list_methods(tables.cascade)
        _write_legend(sheet, methods)
        for axes, number, (net, row) in _add_panels(sheet, nets, 2):
            label, measure = measures[row]
            for index, method in enumerate(methods):
                for switches, style in (("recomputed", "-"), ("trained", "--")):
                    rows = [
                        found
                        for found in _pick(tables.cascade, number)
                        if found.method == method and found.switches == switches
                    ]
                    _add_curve(axes, [measure(found) for found in rows], COLOURS[index], style)
            layers = max((r.shuffled for r in _pick(tables.cascade, number)), key=len)
            _name_ticks(axes, ["none", *layers])
            if row == 1:
                axes.set_xlabel("shuffled down to", fontsize=letter_size(PLOT_SIZE))
            axes.set_ylim(min(axes.get_ylim()[0], -0.05), 1.03)
            axes.axhline(0, color=tone("#444444"), linewidth=points(0.8))
            if net == 0:
                axes.set_ylabel(label, fontsize=letter_size(PLOT_SIZE))
    return sheet.figure


def draw_agreements(tables: CheckTables, nets: Sequence[str], title: str, caption: str) -> Figure:
    """Draw, for each net, how far a unit's drops agree with its own and with another's picture."""
    words = (
        "medians over photos; lines: bootstrapped 95 % intervals; full bars: the unit's own "
        "picture, pale bars: another unit's"
    )
    with plain_style():
        sheet = Sheet(SLIDE_WIDTH, LEGEND + HEADING + TALL + BELOW, title, caption, words)
        methods = _list_methods(tables.control)
        _write_legend(sheet, methods)
        for axes, number, (net, _) in _add_panels(sheet, nets, 1):
            table = {row.method: row for row in _pick(tables.control, number)}
            for index, method in enumerate(methods):
                for place, (estimate, pale) in enumerate(
                    ((table[method].own, False), (table[method].other, True))
                ):
                    _add_bar(axes, estimate, index + 0.36 * (place - 0.5), 0.34, index, pale)
            _name_ticks(axes, [show_method(method) for method in methods])
            axes.axhline(0, color=tone("#444444"), linewidth=points(0.8))
            if net == 0:
                up = "rank correlation\nwith the drop"
                axes.set_ylabel(up, fontsize=letter_size(PLOT_SIZE))
    return sheet.figure


def _add_panels(
    sheet: Sheet, nets: Sequence[str], rows: int
) -> list[tuple[Axes, int, tuple[int, int]]]:
    """Add a column of panels for each net: its axes, the net's number, column and row."""
    room = SLIDE_WIDTH - LEFT - MARGIN - BETWEEN * (len(nets) - 1)
    width = room / len(nets)
    found = []
    for column, name in enumerate(nets):
        left = LEFT + column * (width + BETWEEN)
        top = sheet.top + LEGEND + HEADING
        for row in range(rows):
            axes = sheet.add_plot(left, top + row * (TALL + BELOW), width, TALL)
            axes.grid(axis="x", visible=False)
            found.append((axes, column, (column, row)))
            if row == 0:
                look: dict[str, Any] = {"fontsize": letter_size(12), "parse_math": False}
                fit_text(axes.set_title(name, loc="left", weight="bold", **look), width)
    return found


def _write_legend(sheet: Sheet, methods: Sequence[str]) -> None:
    left = LEFT
    for index, method in enumerate(methods):
        mark = sheet.add_axes(left, sheet.top + 0.05, 0.16, 0.16)
        mark.set_facecolor(COLOURS[index])
        mark.patch.set_visible(True)
        mark.set_axis_on()
        mark.set_xticks([])
        mark.set_yticks([])
        sheet.write(show_method(method), left + 0.23, sheet.top + 0.04, 11)
        left += 0.55 + 0.105 * len(method)


def _list_methods(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.method for row in rows))


def _pick(rows: Sequence[Row], net: int) -> list[Row]:
    return [row for row in rows if row.net == net]


def _name_ticks(axes: Axes, names: Sequence[str]) -> None:
    axes.set_xticks(range(len(names)), names, parse_math=False)
    axes.set_xlim(-0.6, len(names) - 0.4)
    room = axes.get_window_extent().width / len(names)
    letters = max(map(len, names)) * 0.62 * letter_size(PLOT_SIZE - 1) * axes.figure.dpi / 72
    if letters > room:
        axes.tick_params(axis="x", labelsize=letter_size(PLOT_SIZE - 1) * max(room / letters, 0.6))


def _add_bars(axes: Axes, values: Sequence[Estimate], index: int, count: int, base: float) -> None:
    width = 0.8 / count
    for place, estimate in enumerate(values):
        _add_bar(
            axes, estimate, place + (index + 0.5) * width - 0.4, width * 0.92, index, base=base
        )


def _add_bar(
    axes: Axes,
    estimate: Estimate,
    middle: float,
    width: float,
    index: int,
    pale: bool = False,
    base: float = 0.0,
) -> None:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return
    height = estimate.value - base
    alpha = 0.35 if pale else 1.0
    axes.bar(middle, height, width, bottom=base, color=COLOURS[index], alpha=alpha, linewidth=0)
    ends = [estimate.low, estimate.high]
    axes.plot([middle, middle], ends, color=tone("#000000"), linewidth=points(1.2))


def _add_curve(axes: Axes, values: Sequence[Estimate], colour: str, style: str) -> None:
    def take(ends: Sequence[float | None]) -> list[float]:
        return [np.nan if end is None else end for end in ends]

    across = range(len(values))
    axes.plot(across, take([v.value for v in values]), style, color=colour, linewidth=points(1.8))
    low, high = take([v.low for v in values]), take([v.high for v in values])
    axes.fill_between(across, low, high, color=colour, alpha=0.12, linewidth=0)
