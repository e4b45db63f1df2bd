"""Figures of invariance: the paper's Figure 5, and layers side by side on one scale."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.sheet import MARGIN, PLOT_SIZE, SLIDE_WIDTH, Sheet, fit_slide
from vizcnn.drawing.style import find_style, plain_style, points, scale_letters, tone
from vizcnn.measures.invariance_curves import Curve, LayerCurves, TransformRow, average
from vizcnn.photos.pixels import Array
from vizcnn.photos.transforms import Kind

TITLES: dict[Kind, str] = {
    "shift": "Vertical translation",
    "scale": "Scale",
    "rotate": "Rotation",
}
ACROSS: dict[Kind, str] = {
    "shift": "pixels down",
    "scale": "factor",
    "rotate": "degrees anticlockwise",
}
LEFT, GAP, BELOW, HEADING, LEGEND = 0.75, 0.72, 0.62, 0.36, 0.34
"""Inches for a vertical axis, between plots, for a horizontal axis, for a heading, a legend."""
TALL = 2.1
"""Height of a plot in inches."""
SLIDE_TALL = 1.5
"""The same of three rows on a slide: to hold higher ones, all of it would be drawn smaller."""
EXAMPLES = 2.55
"""Inches that examples may be wide."""
SHOWN, STEPS = 5, 5
"""Photos and amounts among the examples, at most."""
MOST_LAYERS = 2
"""Layers of one figure that is as the paper's."""
MOST_BANDS = 3
"""Layers on one scale that have bands; those of more would cover each other."""


def choose_examples(amounts: Sequence[float]) -> list[int]:
    """Choose the amounts that are shown as pictures, evenly spread.

    Example:
        >>> choose_examples(range(9))
        [0, 2, 4, 6, 8]
    """
    picks = np.linspace(0, len(amounts) - 1, min(len(amounts), STEPS)).round().astype(int)
    return [int(pick) for pick in picks]


@fit_slide
def draw_distances(
    rows: Sequence[TransformRow],
    examples: Callable[[Kind], Sequence[Sequence[Array]]],
    photos: Sequence[str],
    layers: Sequence[str],
    title: str,
    caption: str,
    subtitle: str,
) -> Figure:
    """Draw Zeiler & Fergus' Figure 5: a row for each kind of transform.

    Args:
        rows: The curves.
        examples: Gives transformed photos of a kind, (S, S, 3) each: a list for each photo, of the
            amounts of :func:`choose_examples`.
        photos: Names of the photos.
        layers: Names of the layers that have a column each.
        title: Heading.
        caption: What the figure depends on, below.
        subtitle: What the lines are.
    """
    scored = all(row.probabilities for row in rows)
    columns = len(layers) + scored
    with plain_style():
        named = len(photos) <= len(COLOURS)
        top = LEGEND * named + HEADING
        tall = SLIDE_TALL if find_style().wide and len(rows) > 2 else TALL
        body = top + len(rows) * (tall + BELOW)
        sheet = Sheet(SLIDE_WIDTH, body, title, caption, subtitle)
        if named:
            _write_legend(sheet, [(name, COLOURS[place]) for place, name in enumerate(photos)])
        left = MARGIN + 0.42 + EXAMPLES + LEFT
        width = (SLIDE_WIDTH - MARGIN - left - GAP * (columns - 1)) / columns
        headings = [f"{layer}: distance" for layer in layers]
        headings += ["class probability"] * scored
        head = sheet.top + top - 0.1
        look: dict[str, Any] = {"va": "bottom", "weight": "bold"}
        sheet.write("examples", MARGIN + 0.42, head, 12, **look)
        for place, words in enumerate(headings):
            sheet.write(words, left + place * (width + GAP), head, 12, room=width, **look)
        for number, row in enumerate(rows):
            down = sheet.top + top + number * (tall + BELOW)
            turned: dict[str, Any] = {"rotation": 90, "ha": "left", "va": "center"}
            sheet.write(TITLES[row.kind], MARGIN, down + tall / 2, 12, weight="bold", **turned)
            _add_examples(sheet, row, examples(row.kind), down, tall, named)
            found = {curves.layer: curves.distances for curves in row.layers}
            panels: list[Sequence[Curve]] = [found[layer] for layer in layers]
            panels += [row.probabilities] if scored else []
            for place, curves in enumerate(panels):
                across = ACROSS[row.kind]
                axes = sheet.add_plot(left + place * (width + GAP), down, width, tall, across)
                _add_lines(axes, row.amounts, curves, named)
                axes.set_ylim(bottom=0)
                if scored and place == len(layers):
                    axes.set_ylim(0, 1.02)
    return sheet.figure


@fit_slide
def draw_layers(
    rows: Sequence[TransformRow],
    title: str,
    caption: str,
    subtitle: str,
) -> Figure:
    """Draw the layers on one scale: how far features change, and what is left of it moved back.

    Args:
        rows: The curves.
        title: Heading.
        caption: What the figure depends on, below.
        subtitle: What the lines are.
    """
    layers = [curves.layer for curves in rows[0].layers]
    colours = _colour_layers(len(layers))
    moving = any(curves.returned for curves in rows[0].layers)
    names = ["distance", "map moved back"][: 1 + moving]
    with plain_style():
        top = LEGEND + HEADING
        tall = TALL + 0.2
        sheet = Sheet(SLIDE_WIDTH, top + len(names) * (tall + BELOW), title, caption, subtitle)
        _write_legend(sheet, list(zip(layers, colours, strict=True)))
        left = MARGIN + scale_letters(0.2) + LEFT
        width = (SLIDE_WIDTH - MARGIN - left - GAP * (len(rows) - 1)) / len(rows)
        for place, row in enumerate(rows):
            sheet.write(
                TITLES[row.kind],
                left + place * (width + GAP),
                sheet.top + top - 0.1,
                12,
                va="bottom",
                weight="bold",
            )
        for number, words in enumerate(names):
            down = sheet.top + top + number * (tall + BELOW)
            panels = []
            for place, row in enumerate(rows):
                across = ACROSS[row.kind] if number == len(names) - 1 else ""
                axes = sheet.add_plot(left + place * (width + GAP), down, width, tall, across)
                _add_layers(axes, row, row.layers, colours, moved_back=number == 1)
                axes.set_xlim(*_find_limits(row.amounts))
                panels.append(axes)
            high = max(axes.get_ylim()[1] for axes in panels)
            for axes in panels:
                axes.set_ylim(0, high)
            turned: dict[str, Any] = {"rotation": 90, "ha": "left", "va": "center", "ma": "center"}
            sheet.write(
                f"{words}\n/ distance of two photos",
                MARGIN / 2,
                down + tall / 2,
                PLOT_SIZE,
                **turned,
            )
    return sheet.figure


def _add_layers(
    axes: Axes,
    row: TransformRow,
    layers: Sequence[LayerCurves],
    colours: Sequence[str],
    moved_back: bool,
) -> None:
    axes.axhline(1, color=tone("#999999"), linewidth=points(1), linestyle=(0, (4, 2)))
    for curves, colour in zip(layers, colours, strict=True):
        shown = curves.returned if moved_back else curves.relative
        if not shown:
            continue
        mean, deviation = average(shown)
        _plot(axes, row.amounts, mean, color=colour, linewidth=points(2))
        if len(layers) <= MOST_BANDS:
            low, high = mean - deviation, mean + deviation
            axes.fill_between(row.amounts, low, high, color=colour, alpha=0.13, linewidth=0)
        if moved_back:
            inside, _ = average(curves.inside)
            _plot(axes, row.amounts, inside, color=colour, linewidth=points(1.6), linestyle=":")


def _plot(axes: Axes, across: Sequence[float], values: Any, **look: Any) -> None:
    """Draw a line; a single value is a dot, which no line would show."""
    alone = (
        np.isfinite(values) & ~np.isfinite(np.roll(values, 1)) & ~np.isfinite(np.roll(values, -1))
    )
    if len(across) == 1 or alone.any():
        look = {**look, "marker": "o", "markersize": points(3)}
    axes.plot(across, values, **look)


def _find_limits(amounts: Sequence[float]) -> tuple[float, float]:
    spare = (amounts[-1] - amounts[0]) * 0.02 or 1.0
    return amounts[0] - spare, amounts[-1] + spare


def _add_lines(axes: Axes, amounts: Sequence[float], curves: Sequence[Curve], named: bool) -> None:
    for place, curve in enumerate(curves):
        values = np.array(curve, dtype=np.float64)
        colour = COLOURS[place] if named else tone("#999999")
        _plot(axes, amounts, values, color=_see(colour), linewidth=points(1.3 if named else 0.6))
    mean, deviation = average(curves)
    ink = tone("#000000")
    if len(curves) > 1:
        axes.fill_between(
            amounts, mean - deviation, mean + deviation, color=ink, alpha=0.12, linewidth=0
        )
        _plot(axes, amounts, mean, color=ink, linewidth=points(2.2), linestyle="--")
    axes.set_xlim(*_find_limits(amounts))


def _see(colour: str) -> str:
    return tone(colour) if colour == "#000000" else colour


def _add_examples(
    sheet: Sheet,
    row: TransformRow,
    examples: Sequence[Sequence[Array]],
    down: float,
    tall: float,
    named: bool,
) -> None:
    """Add photos below each other, and their amounts side by side."""
    picks = choose_examples(row.amounts)
    side = min(tall / len(examples), EXAMPLES / len(picks))
    for place, several in enumerate(examples):
        for column, image in enumerate(several):
            left, top = MARGIN + 0.42 + column * side, down + place * side
            axes = sheet.add_image(image, left, top, side * 0.96, side * 0.96)
            if named and column == 0:
                _mark(axes, COLOURS[place])
    for column, pick in enumerate(picks):
        middle = MARGIN + 0.42 + (column + 0.48) * side
        words = f"{row.amounts[pick]:g}".replace("-", "−")
        bottom = down + len(examples) * side + 0.03
        sheet.write(words, middle, bottom, 9.5, ha="center", va="top")


def _mark(axes: Axes, colour: str) -> None:
    """Put a photo's colour beside its pictures."""
    bar = Rectangle(
        (-0.17, 0), 0.1, 1, transform=axes.transAxes, color=_see(colour), clip_on=False, linewidth=0
    )
    axes.add_patch(bar)


def _write_legend(sheet: Sheet, entries: Sequence[tuple[str, str]]) -> None:
    """Name colours in a line, each with as much room as there is."""
    room = (SLIDE_WIDTH - 2 * MARGIN) / max(len(entries), 5)
    for place, (name, colour) in enumerate(entries):
        left = MARGIN + place * room
        mark = sheet.add_axes(left, sheet.top + 0.06, 0.16, 0.16)
        box = Rectangle((0, 0), 1, 1, transform=mark.transAxes, color=_see(colour), linewidth=0)
        mark.add_patch(box)
        sheet.write(name, left + 0.23, sheet.top + 0.04, 11, room=room - 0.33)


def _colour_layers(count: int) -> list[str]:
    """Give layers their colours; where they are many, in the order of a scale."""
    if count <= len(COLOURS):
        return [_see(colour) for colour in COLOURS[:count]]
    return [to_hex(colormaps["viridis"](place)) for place in np.linspace(0, 0.95, count)]
