"""Numbers of the checks as plots: bars by layer and method, and curves of the cascade."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.sheet import MARGIN, PLOT_SIZE, SLIDE_WIDTH, Sheet, fit_slide
from vizcnn.drawing.style import plain_style, points, scale_letters, tone
from vizcnn.drawing.words import show_method
from vizcnn.measures.bootstrap import Estimate
from vizcnn.measures.checks import CascadeRow, CheckTables, ControlRow, SamenessRow

LEFT, BETWEEN, BELOW = 1.05, 0.55, 0.45
"""Inches for the first vertical axis, between panels, and for a horizontal axis."""
LETTER, LONGEST = 0.085, 18
"""Inches that a letter of a tick's name takes, and letters that are written of one."""
HEADING, LEGEND = 0.35, 0.3
"""Inches for the name of a net above its panels, and for the legend."""
TALL = 2.3
"""Height of a panel in inches."""
SMALLEST = 1.0
"""The least that an axis of effective numbers shows: one picture."""

Row = TypeVar("Row", SamenessRow, CascadeRow, ControlRow)


@fit_slide
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
    names = [
        list(dict.fromkeys(row.layer for row in _pick(tables.sameness, number)))
        for number in range(len(nets))
    ]
    below = _find_room(names, len(nets))
    with plain_style():
        sheet = Sheet(SLIDE_WIDTH, LEGEND + HEADING + 2 * (TALL + below), title, caption, words)
        methods = _list_methods(tables.sameness)
        _write_legend(sheet, methods)
        panels = _add_panels(sheet, nets, 2, below)
        for axes, net, row in panels:
            table = {(found.layer, found.method): found for found in _pick(tables.sameness, net)}
            layers = [name for name in names[net] if row == 0 or name != last[net]]
            for index, method in enumerate(methods):
                cells = [table[layer, method] for layer in layers]
                values = [cell.effective if row else cell.cosine for cell in cells]
                _add_bars(axes, values, index, len(methods), SMALLEST if row else 0.0)
            _name_ticks(axes, ["class" if name == last[net] else name for name in layers], below)
            if row == 0:
                axes.set_ylim(min(axes.get_ylim()[0], 0.0), 1.02)
                axes.axhline(0, color=tone("#444444"), linewidth=points(0.8))
            else:
                axes.set_yscale("log")
                axes.set_ylim(0.9, max(axes.get_ylim()[1], 10))
                axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        _share_heights(panels)
        for row, up in enumerate(
            ("cosine, strongest unit\nagainst another", "effective number\nof pictures")
        ):
            _name_axis(sheet, up, row, below)
    return sheet.figure


@fit_slide
def draw_curves(tables: CheckTables, nets: Sequence[str], title: str, caption: str) -> Figure:
    """Draw, for each net, what is left of the pictures as layers are shuffled from the top down."""
    words = (
        "medians over photos, bands: bootstrapped 95 % intervals; solid: switches of the shuffled "
        "net, dashed: of the net before"
    )
    measures: tuple[tuple[str, Callable[[CascadeRow], Estimate]], ...] = (
        ("rank correlation\nof signed values", lambda row: row.rank),
        ("structural similarity\nof magnitudes", lambda row: row.similarity),
    )
    names = [
        ["none", *max((row.shuffled for row in _pick(tables.cascade, number)), key=len)]
        for number in range(len(nets))
    ]
    below = _find_room(names, len(nets))
    with plain_style():
        body = LEGEND + HEADING + 2 * (TALL + below) + 0.2
        sheet = Sheet(SLIDE_WIDTH, body, title, caption, words)
        methods = _list_methods(tables.cascade)
        _write_legend(sheet, methods)
        panels = _add_panels(sheet, nets, 2, below)
        for axes, net, row in panels:
            for index, method in enumerate(methods):
                for switches, style in (("recomputed", "-"), ("trained", "--")):
                    rows = [
                        measures[row][1](found)
                        for found in _pick(tables.cascade, net)
                        if found.method == method and found.switches == switches
                    ]
                    _add_curve(axes, rows, COLOURS[index], style)
            _name_ticks(axes, names[net], below)
            axes.set_ylim(min(axes.get_ylim()[0], -0.05), 1.03)
            axes.axhline(0, color=tone("#444444"), linewidth=points(0.8))
        _share_heights(panels)
        for row, (up, _) in enumerate(measures):
            _name_axis(sheet, up, row, below)
        left = scale_letters(LEFT)
        middle = left + (SLIDE_WIDTH - left - MARGIN) / 2
        bottom = sheet.top + body + 0.05
        sheet.write("shuffled down to", middle, bottom, PLOT_SIZE, ha="center", va="bottom")
    return sheet.figure


@fit_slide
def draw_agreements(tables: CheckTables, nets: Sequence[str], title: str, caption: str) -> Figure:
    """Draw, for each net, how far a unit's drops agree with its own and with another's picture."""
    words = (
        "medians over photos; lines: bootstrapped 95 % intervals; full bars: the unit's own "
        "picture, pale bars: another unit's"
    )
    with plain_style():
        sheet = Sheet(SLIDE_WIDTH, LEGEND + HEADING + TALL + 0.1, title, caption, words)
        methods = _list_methods(tables.control)
        _write_legend(sheet, methods)
        panels = _add_panels(sheet, nets, 1, BELOW)
        for axes, net, _ in panels:
            table = {row.method: row for row in _pick(tables.control, net)}
            for index, method in enumerate(methods):
                for place, (estimate, pale) in enumerate(
                    ((table[method].own, False), (table[method].other, True))
                ):
                    _add_bar(axes, estimate, index + 0.36 * (place - 0.5), 0.34, index, pale)
            axes.set_xticks([])
            axes.axhline(0, color=tone("#444444"), linewidth=points(0.8))
        _share_heights(panels)
        _name_axis(sheet, "rank correlation\nwith the drop", 0, BELOW)
    return sheet.figure


def _find_room(names: Sequence[Sequence[str]], nets: int) -> float:
    """Give the inches that the names of ticks need: upright where they do not fit side by side."""
    width = (SLIDE_WIDTH - scale_letters(LEFT) - MARGIN - BETWEEN * (nets - 1)) / nets
    if all(len(name) * scale_letters(LETTER) < width / len(row) for row in names for name in row):
        return BELOW
    return 0.3 + scale_letters(LETTER) * min(
        max(len(name) for row in names for name in row), LONGEST
    )


def _add_panels(
    sheet: Sheet, nets: Sequence[str], rows: int, below: float
) -> list[tuple[Axes, int, int]]:
    """Add a column of panels for each net: axes, the net's number, and the row."""
    width = (SLIDE_WIDTH - scale_letters(LEFT) - MARGIN - BETWEEN * (len(nets) - 1)) / len(nets)
    found = []
    for column, name in enumerate(nets):
        left = scale_letters(LEFT) + column * (width + BETWEEN)
        top = sheet.top + LEGEND + HEADING
        sheet.write(name, left, top - 0.08, 12, room=width, va="bottom", weight="bold")
        for row in range(rows):
            axes = sheet.add_plot(left, top + row * (TALL + below), width, TALL)
            axes.grid(axis="x", visible=False)
            found.append((axes, column, row))
    return found


def _share_heights(panels: Sequence[tuple[Axes, int, int]]) -> None:
    """Give the panels of a row one scale: nets are compared."""
    for wanted in {row for _, _, row in panels}:
        row = [axes for axes, _, number in panels if number == wanted]
        lows, highs = zip(*(axes.get_ylim() for axes in row), strict=True)
        for axes in row:
            axes.set_ylim(min(lows), max(highs))


def _name_axis(sheet: Sheet, words: str, row: int, below: float) -> None:
    middle = sheet.top + LEGEND + HEADING + row * (TALL + below) + TALL / 2
    look: dict[str, Any] = {"rotation": 90, "ha": "left", "va": "center", "ma": "center"}
    sheet.write(words, MARGIN / 2, middle, PLOT_SIZE, **look)


def _write_legend(sheet: Sheet, methods: Sequence[str]) -> None:
    left = scale_letters(LEFT)
    for index, method in enumerate(methods):
        mark = sheet.add_axes(left, sheet.top + 0.05, 0.16, 0.16)
        mark.set_facecolor(COLOURS[index])
        mark.patch.set_visible(True)
        mark.set_axis_on()
        mark.set_xticks([])
        mark.set_yticks([])
        sheet.write(show_method(method), left + 0.23, sheet.top + 0.04, 11)
        left += 0.55 + scale_letters(0.105) * len(method)


def _list_methods(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.method for row in rows))


def _pick(rows: Sequence[Row], net: int) -> list[Row]:
    return [row for row in rows if row.net == net]


def _name_ticks(axes: Axes, names: Sequence[str], below: float) -> None:
    short = [
        n if len(n) <= LONGEST else f"{n[: LONGEST // 2]}…{n[-LONGEST // 2 + 1 :]}" for n in names
    ]
    upright = 90 if below > BELOW else 0
    axes.set_xticks(range(len(names)), short, parse_math=False, rotation=upright)
    axes.set_xlim(-0.6, len(names) - 0.4)


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
    if estimate.value is None:
        return
    height = estimate.value - base
    alpha = 0.35 if pale else 1.0
    axes.bar(middle, height, width, bottom=base, color=COLOURS[index], alpha=alpha, linewidth=0)
    if estimate.low is not None and estimate.high is not None:
        ends = [estimate.low, estimate.high]
        axes.plot([middle, middle], ends, color=tone("#000000"), linewidth=points(1.2))


def _add_curve(axes: Axes, values: Sequence[Estimate], colour: str, style: str) -> None:
    def take(ends: Sequence[float | None]) -> list[float]:
        return [np.nan if end is None else end for end in ends]

    across = range(len(values))
    axes.plot(across, take([v.value for v in values]), style, color=colour, linewidth=points(1.8))
    low, high = take([v.low for v in values]), take([v.high for v in values])
    axes.fill_between(across, low, high, color=colour, alpha=0.12, linewidth=0)
