"""What a net does without single units: rankings as bars, classes by unit, units by classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.panels import show_panel
from vizcnn.drawing.sheet import (
    MARGIN,
    PLOT_SIZE,
    SLIDE_WIDTH,
    Sheet,
    fit_slide,
    fit_text,
    show_plainly,
)
from vizcnn.drawing.style import letter_size, plain_style, points, scale_letters, tone

LOWERED, RAISED = COLOURS[5], COLOURS[0]
"""What falls without a unit, and what rises."""
STEP = 0.3
"""Inches from bar to bar."""
BELOW, GAP = 0.6, 0.35
"""Inches for a horizontal axis, and between panels."""
PANELS = 3
"""Panels in a row of units."""
LETTER = 0.095
"""Inches that a letter of a class's name takes, upright."""
CELL = 0.26
"""Inches of a cell of the matrix, at most."""


@dataclass(frozen=True)
class EffectBar:
    """A bar.

    Attributes:
        name: What it is of: a unit or a class.
        value: Change.
        error: Standard error over photos; None where it is not known.
    """

    name: str
    value: float
    error: float | None = None


@fit_slide
def draw_ranking(bars: Sequence[EffectBar], across: str, title: str, caption: str) -> Figure:
    """Draw units by what changes without them.

    Args:
        bars: A bar for each unit, from above.
        across: What changes, with its unit.
        title: Heading.
        caption: What the figure depends on, below.
    """
    names, tall = scale_letters(1.5), STEP * len(bars) + 0.1
    with plain_style():
        sheet = Sheet(SLIDE_WIDTH, tall + BELOW + 0.05, title, caption)
        width = SLIDE_WIDTH - names - MARGIN - 0.2
        axes = sheet.add_plot(names, sheet.top + 0.05, width, tall, across)
        _add_bars(axes, bars)
        _write_names(sheet, bars, names, sheet.top + 0.05, names - MARGIN)
    return sheet.figure


def _add_bars(axes: Axes, bars: Sequence[EffectBar]) -> None:
    axes.set_ylim(len(bars) - 0.5 + 0.05 / STEP, -0.5 - 0.05 / STEP)
    axes.set_yticks([])
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    for place, bar in enumerate(bars):
        colour = LOWERED if bar.value < 0 else RAISED
        axes.barh(place, bar.value, height=0.72, color=colour, linewidth=0)
        if bar.error is not None:
            ends = [bar.value - bar.error, bar.value + bar.error]
            axes.plot(ends, [place, place], color=tone("#000000"), linewidth=points(1.2))
    axes.axvline(0, color=tone("#444444"), linewidth=points(1))
    axes.locator_params(axis="x", nbins=6)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))


def _write_names(
    sheet: Sheet, bars: Sequence[EffectBar], right: float, top: float, room: float
) -> None:
    for place, bar in enumerate(bars):
        middle = top + 0.05 + STEP * (place + 0.5)
        look: dict[str, Any] = {"ha": "right", "va": "center"}
        sheet.write(bar.name, right - 0.1, middle, 11, room=room - 0.1, **look)


@fit_slide
def draw_classes(
    panels: Sequence[tuple[str, Sequence[EffectBar]]], across: str, title: str, caption: str
) -> Figure:
    """Draw for each of some units the classes whose score changes most without it.

    Args:
        panels: Heading and bars of each unit.
        across: What changes, with its unit.
        title: Heading.
        caption: What the figure depends on, below.
    """
    columns, names = min(PANELS, len(panels)), scale_letters(1.75)
    rows = -(-len(panels) // columns)
    tall = STEP * max(len(bars) for _, bars in panels) + 0.1
    high = 0.35 + tall + BELOW
    width = (SLIDE_WIDTH - 2 * MARGIN - GAP * (columns - 1)) / columns - names
    with plain_style():
        sheet = Sheet(SLIDE_WIDTH, rows * high, title, caption)
        drawn = []
        for number, (name, bars) in enumerate(panels):
            left = MARGIN + number % columns * (names + width + GAP) + names
            top = sheet.top + number // columns * high + 0.35
            last = number + columns >= len(panels)
            axes = sheet.add_plot(left, top, width, tall, across if last else "")
            _add_bars(axes, bars)
            if len(bars) * STEP + 0.1 < tall:
                axes.set_ylim((tall - 0.1) / STEP - 0.5 + 0.05 / STEP, axes.get_ylim()[1])
            _write_names(sheet, bars, left, top, names)
            sheet.write(name, left, top - 0.05, 12.5, room=width, va="bottom", weight="bold")
            drawn.append(axes)
        _share_widths(drawn)
    return sheet.figure


def _share_widths(panels: Sequence[Axes]) -> None:
    """Give all panels one scale: units are compared."""
    lows, highs = zip(*(axes.get_xlim() for axes in panels), strict=True)
    for axes in panels:
        axes.set_xlim(min(lows), max(highs))
        axes.locator_params(axis="x", nbins=4)  # else their numbers would touch


@fit_slide
def draw_matrix(
    values: NDArray[np.float64],
    units: Sequence[str],
    classes: Sequence[str],
    words: str,
    title: str,
    caption: str,
) -> Figure:
    """Draw the change of every class's score without every unit, in colours around zero.

    Args:
        values: (units, classes).
        units: Names of the rows.
        classes: Names of the columns.
        words: What is drawn, with its unit.
        title: Heading.
        caption: What the figure depends on, below.
    """
    left, beside = scale_letters(1.0), 1.3
    above = scale_letters(min(1.6, 0.3 + LETTER * max(map(len, classes))))
    wide = SLIDE_WIDTH - left - beside - MARGIN
    cell = min(wide / len(classes), 3 * CELL)
    step = min(CELL, cell)
    tall = step * len(units)
    largest = float(np.abs(values).max()) or 1.0
    with plain_style():
        sheet = Sheet(SLIDE_WIDTH, max(above + tall, 1.6) + 0.1, title, caption)
        top = sheet.top + above
        axes = sheet.add_axes(left, top, cell * len(classes), tall)
        scale: dict[str, Any] = {"cmap": "PuOr", "vmin": -largest, "vmax": largest}
        show_panel(axes, values, aspect="auto", **scale)
        size = min(11.0, 60 * step, 60 * cell)
        for place, name in enumerate(units):
            look: dict[str, Any] = {"ha": "right", "va": "center"}
            sheet.write(name, left - 0.08, top + step * (place + 0.5), size, **look)
        sheet.write("unit", left - 0.08, top - 0.06, min(size, 9.5), ha="right", va="bottom")
        for place, name in enumerate(classes):
            across = left + cell * (place + 0.5)
            _write_upright(sheet, name, across, top - 0.06, min(size, 9.5), above - 0.1)
        _add_scale(sheet, left + cell * len(classes) + 0.35, top, largest, words, scale)
    return sheet.figure


def _write_upright(
    sheet: Sheet, text: str, left: float, bottom: float, size: float, room: float
) -> None:
    look: dict[str, Any] = {"ha": "center", "va": "bottom"}
    written = sheet.write(text, left, bottom, size, **look)
    fit_text(written, room)
    written.set_rotation(90)


def _add_scale(
    sheet: Sheet, left: float, top: float, largest: float, words: str, scale: dict[str, Any]
) -> None:
    tall = 1.2
    axes = sheet.add_axes(left, top, 0.18, tall)
    ramp = np.linspace(largest, -largest, 101)[:, None]
    extent = (0.0, 1.0, -largest, largest)
    show_panel(axes, ramp, aspect="auto", extent=extent, **scale)
    for value in (largest, 0.0, -largest):
        middle = top + tall * (largest - value) / (2 * largest)
        written = f"{value:+.2g}".replace("-", "−") if value else "0"
        sheet.write(written, left + 0.25, middle, PLOT_SIZE - 1, va="center")
    sheet.write(show_plainly(words), left, top + tall + 0.08, 9, ma="left")
    axes.tick_params(labelsize=letter_size(9))
