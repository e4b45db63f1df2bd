"""A deconvnet attached to a convnet, drawn as Zeiler & Fergus' Figure 1 with real numbers."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from torch import Tensor

from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.sheet import MARGIN, QUIET, SMALL, Slide, fit_slide
from vizcnn.drawing.style import find_style, letter_size, plain_style, points, scale_letters, tone
from vizcnn.drawing.words import show_number
from vizcnn.photos.pixels import Array
from vizcnn.projection.attachment import LayerPair, Region

TILE = 1.12
"""Side of a map in inches, and height of a grid of numbers."""
GRID = 1.5
"""Width of a grid: numbers are wider than high."""
STEP = 0.5
"""Inches between two stages, for the arrow and the name of the operation."""
TEXT = 2.35
"""Inches for the name of a stage."""
GAP = 0.14
"""Inches between a map, its grid and the text."""
MOST_CELLS, GRAIN = 5, 28.0
"""Rows or columns of a grid whose numbers can still be read; their points per inch of a cell."""
MOST_LETTERS = 1.1
"""Factor of the size of letters that there is room for."""
MAXIMUM, SIGNAL = COLOURS[1], COLOURS[4]
"""Colours of the window's maximum, and of what is sent to its switch."""
FRAME = COLOURS[5]
"""Colour of the frame around the window in a map."""


@dataclass(frozen=True, eq=False)
class PairPictures:
    """Pictures of what a layer pair begins and ends with.

    Attributes:
        below: The layer below, (H, W, 3), 0..1: the photo, or one of its maps.
        reconstruction: Its reconstruction, likewise.
        filter: The filter, (kh, kw, 3), 0..1.
        name: What the layer below is called, such as the photo's name.
    """

    below: Array
    reconstruction: Array
    filter: Array
    name: str


@dataclass(frozen=True, eq=False)
class Stage:
    """A stage of a column.

    Attributes:
        name: Its name, as in the paper.
        note: What is shown of it.
        image: A map (h, w), or a picture (h, w, 3).
        frame: What is framed in it.
        values: Numbers of the grid beside it; NaN where there is nothing.
        marked: Row and column of the number that is told apart, and its colour.
        patch: A picture in the grid's place.
    """

    name: str
    note: str
    image: Array
    frame: Region
    values: Array | None = None
    marked: tuple[int, int] | None = None
    colour: str = MAXIMUM
    patch: Array | None = None


def list_stages(pair: LayerPair, pictures: PairPictures) -> tuple[list[Stage], list[Stage]]:
    """List the stages of the deconvnet's column and of the convnet's, from above."""
    # spaces that no line ends at
    place, switch = (f"({row},\u00a0{column})" for row, column in (pair.place, pair.switch))
    neighbours = (*(p - 1 for p in pair.place), *(p + 2 for p in pair.place))
    around: Region = (neighbours[0], neighbours[1], neighbours[2], neighbours[3])
    size = f"{pair.window.size[0]}×{pair.window.size[1]} window"
    marked = find_in_window(pair)

    def window(values: Tensor) -> Array:
        found: Array = pair.read_window(values).numpy()
        return found

    down = [
        Stage(
            "Layer above reconstruction",
            f"of pooled map {pair.unit}; at {place}: {show_number(pair.signal)}",
            pair.above.numpy(),
            around,
            pair.read_around(pair.above).numpy(),
            (1, 1),
            SIGNAL,
        ),
        Stage(
            "Unpooled maps",
            f"the same {size}: what comes from above, at the switches",
            pair.unpooled.numpy(),
            pair.region,
            window(pair.unpooled),
            marked,
            SIGNAL,
        ),
        Stage(
            "Rectified unpooled maps",
            f"only what is positive; at the switch {show_number(float(pair.passed[pair.switch]))}",
            pair.passed.numpy(),
            pair.region,
            window(pair.passed),
            marked,
            SIGNAL,
        ),
        Stage(
            "Reconstruction",
            f"all maps together; right: where the filter is added {show_number(pair.sent)} times",
            pictures.reconstruction,
            pair.footprint,
            patch=cut_region(pictures.reconstruction, pair.footprint),
        ),
    ]
    up = [
        Stage(
            "Pooled maps",
            f"map {pair.unit}; at {place} the maximum {show_number(pair.maximum)}",
            pair.pooled.numpy(),
            around,
            pair.read_around(pair.pooled).numpy(),
            (1, 1),
        ),
        Stage(
            "Rectified feature maps" + (", normalised" if pair.steps[1] else ""),
            f"the {size}: its maximum is at row {pair.switch[0]}, column {pair.switch[1]}",
            pair.compared.numpy(),
            pair.region,
            window(pair.compared),
            marked,
        ),
        Stage(
            "Feature maps",
            f"map {pair.unit}, before the rectifier; at {switch} "
            f"{show_number(float(pair.features[pair.switch]))}",
            pair.features.numpy(),
            pair.region,
            window(pair.features),
            marked,
        ),
        Stage(
            "Layer below",
            f"{pictures.name}; right: what the filter reads for {switch}",
            pictures.below,
            pair.footprint,
            patch=cut_region(pictures.below, pair.footprint),
        ),
    ]
    return down, up


def cut_region(image: Array, region: Region) -> Array:
    """Cut a region that may reach beyond a picture, mid grey there: (h, w, 3).

    Example:
        >>> cut_region(np.ones((4, 4, 3)), (-1, 2, 1, 4))[:, 0, 0].tolist()
        [0.5, 1.0]
    """
    top, left, bottom, right = region
    found = np.full((bottom - top, right - left, 3), 0.5, dtype=image.dtype)
    rows = slice(max(top, 0), min(bottom, image.shape[0]))
    columns = slice(max(left, 0), min(right, image.shape[1]))
    found[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = image[
        rows, columns
    ]
    return found


@fit_slide
def draw_layer_pair(pair: LayerPair, pictures: PairPictures, title: str, caption: str) -> Figure:
    """Draw a deconvnet (left, downwards) attached to a convnet (right, upwards).

    Args:
        pair: The values.
        pictures: Pictures of the layer below, of its reconstruction and of the filter.
        title: Heading.
        caption: Small print below.
    """
    down, up = list_stages(pair, pictures)
    heads = 0.42
    body = heads + 4 * TILE + 3 * STEP
    with plain_style():
        slide = Slide(body, title, caption)
        canvas = slide.canvas(0, slide.top, slide.width, body)
        column = TILE + GRID + 2 * GAP + TEXT
        lefts = (MARGIN, slide.width - MARGIN - column)
        for left, words in zip(lefts, ("Deconvnet, downwards", "Convnet, upwards"), strict=True):
            slide.say(words, left, slide.top - 0.02, weight="bold")
        tops = [heads + number * (TILE + STEP) for number in range(4)]
        for left, stages in zip(lefts, (down, up), strict=True):
            for top, stage in zip(tops, stages, strict=True):
                _draw_stage(slide, canvas, stage, left, top)
        _draw_operations(slide, canvas, pair, lefts, tops)
        sides = (lefts[0] + column, lefts[1])
        _draw_switches(slide, canvas, pair, sides, tops[0] + TILE + STEP / 2)
        _draw_filter(slide, canvas, pair, pictures.filter, sides, tops[2] + TILE + STEP / 2)
    return slide.figure


def _draw_stage(slide: Slide, canvas: Axes, stage: Stage, left: float, top: float) -> None:
    axes = slide.picture(_shade(stage.image), left, top, TILE, aspect="auto")
    above, start, below, end = stage.frame
    axes.add_patch(
        Rectangle(
            (start - 0.5, above - 0.5),
            end - start,
            below - above,
            fill=False,
            edgecolor=FRAME,
            linewidth=points(2.0),
            zorder=3,
        )
    )
    axes.set_xlim(-0.5, stage.image.shape[1] - 0.5)
    axes.set_ylim(stage.image.shape[0] - 0.5, -0.5)
    beside = left + TILE + GAP
    if stage.patch is not None:
        slide.picture(stage.patch, beside, top, TILE, aspect="auto")
        edge = Rectangle(
            (beside, top), TILE, TILE, fill=False, edgecolor=FRAME, linewidth=points(2.0), zorder=3
        )
        canvas.add_patch(edge)
    elif stage.values is not None:
        _draw_grid(canvas, stage, beside, top)
    text = beside + GRID + GAP
    line = _write_lines(slide, stage.name, text, slide.top + top, SMALL, weight="bold")
    _write_lines(slide, stage.note, text, line + 0.05, SMALL - 1, color=tone(QUIET))


def _size(size: float) -> float:
    """Hold letters back where a style has them larger than there is room for."""
    return size * min(MOST_LETTERS / find_style().letters, 1.0)


def _write_lines(
    slide: Slide, words: str, left: float, top: float, size: float, **style: Any
) -> float:
    """Write words beside a grid in as many lines as they need; gives where the next begins."""
    inches = scale_letters(_size(size)) / 72
    for line in textwrap.wrap(words, int(TEXT / (0.58 * inches))):
        slide.write(line, left, top, _size(size), room=TEXT, **style)
        top += 1.25 * inches
    return top


def _shade(image: Array) -> Array:
    """Give a map in greys: black is zero, or mid grey is where some values are negative."""
    if image.ndim == 3:
        return image
    limit = float(np.abs(image).max()) or 1.0
    shares = image / limit / 2 + 0.5 if image.min() < 0 else image / limit
    grey: Array = np.repeat(shares[..., None], 3, axis=2)
    return grey


def _draw_grid(canvas: Axes, stage: Stage, left: float, top: float) -> None:
    """Draw numbers in cells; the one that counts is told apart."""
    assert stage.values is not None
    rows, columns = stage.values.shape
    high, wide = TILE / rows, GRID / columns
    size = letter_size(_size(min(GRAIN * high, 0.75 * GRAIN * wide)))
    for row in range(rows):
        for column in range(columns):
            value = float(stage.values[row, column])
            marked = (row, column) == stage.marked
            place = (left + column * wide, top + row * high)
            face = stage.colour if marked else tone("#ffffff" if value else "#efefef")
            canvas.add_patch(
                Rectangle(
                    place,
                    wide,
                    high,
                    facecolor=face,
                    edgecolor=tone("#888888"),
                    linewidth=points(0.8),
                    hatch="////" if math.isnan(value) else None,
                )
            )
            if max(rows, columns) <= MOST_CELLS and not math.isnan(value):
                canvas.text(
                    place[0] + wide / 2,
                    place[1] + high / 2,
                    write_cell(value),
                    ha="center",
                    va="center",
                    fontsize=size,
                    color="black" if marked else tone("#000000" if value else "#999999"),
                    weight="bold" if marked else "normal",
                    parse_math=False,
                )


def write_cell(value: float) -> str:
    """Write a number so that it fits a cell.

    Example:
        >>> [write_cell(value) for value in (0.0, 1.2762, -0.0388, 10.8, 1234.5, 4e-5)]
        ['0', '1.28', '−0.04', '10.8', '1234', '4e-5']
    """
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 100_000 or size < 0.005:
        mantissa, _, power = f"{value:.0e}".partition("e")
        text = f"{mantissa}e{int(power)}"
    else:
        text = f"{value:.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"
    return text.replace("-", "−", 1) if value < 0 else text


def _draw_operations(
    slide: Slide,
    canvas: Axes,
    pair: LayerPair,
    lefts: Sequence[float],
    tops: Sequence[float],
) -> None:
    """Draw the arrows between stages, with the operations beside."""
    scaled = ", batch norm’s scale" if pair.steps[0] else ""
    passed = "; normalisation passed over" if pair.steps[1] else ""
    down = ("max unpooling", f"rectify: max(0, x){passed}", f"transposed filter Fᵀ{scaled}")
    up = (
        "max pooling",
        "rectify: max(0, x)" + ("; normalise" if pair.steps[1] else ""),
        "filter F" + ("; batch normalise" if pair.steps[0] else ""),
    )
    for left, words, heads_down in ((lefts[0], down, True), (lefts[1], up, False)):
        for number, word in enumerate(words):
            top = tops[number] + TILE
            ends = (top + 0.05, top + STEP - 0.05)
            at = left + TILE + GAP + TILE / 2
            _draw_arrow(canvas, (at, ends[not heads_down]), (at, ends[heads_down]), tone("#000000"))
            middle = slide.top + top + STEP / 2
            slide.write(word, at + 0.2, middle, _size(SMALL), room=3.3, va="center")


def _draw_arrow(
    canvas: Axes, start: tuple[float, float], end: tuple[float, float], colour: str
) -> None:
    canvas.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=points(16),
            color=colour,
            linewidth=points(2.2),
            shrinkA=0,
            shrinkB=0,
            zorder=5,
        )
    )


SIDE = 0.72
"""Side in inches of what stands between the columns."""


def _draw_switches(
    slide: Slide, canvas: Axes, pair: LayerPair, sides: tuple[float, float], level: float
) -> None:
    """Draw the window's switch between the columns, and the arrows from pooling to unpooling."""
    rows, columns = pair.window.size
    middle, cell = sum(sides) / 2, SIDE / max(rows, columns)
    left, top = middle - columns * cell / 2, level - rows * cell / 2
    for row in range(rows):
        for column in range(columns):
            chosen = (row, column) == find_in_window(pair)
            canvas.add_patch(
                Rectangle(
                    (left + column * cell, top + row * cell),
                    cell,
                    cell,
                    facecolor=MAXIMUM if chosen else tone("#efefef"),
                    edgecolor=tone("#888888"),
                    linewidth=points(0.8),
                )
            )
    _draw_arrow(canvas, (sides[1] - 0.05, level), (left + columns * cell + 0.06, level), MAXIMUM)
    _draw_arrow(canvas, (left - 0.06, level), (sides[0] + 0.05, level), MAXIMUM)
    told = (f"row {pair.switch[0]},", f"column {pair.switch[1]}", f"of map {pair.unit}")
    _write_between(slide, "switch", told, middle, top, rows * cell)


def _draw_filter(
    slide: Slide,
    canvas: Axes,
    pair: LayerPair,
    picture: Array,
    sides: tuple[float, float],
    level: float,
) -> None:
    """Draw the filter between the columns, which both use."""
    middle, top = sum(sides) / 2, level - SIDE / 2
    slide.picture(picture, middle - SIDE / 2, top, SIDE, aspect="auto")
    grey = tone("#666666")
    for end, side in zip(sides, (-1, 1), strict=True):
        start = middle + side * (SIDE / 2 + 0.06)
        _draw_arrow(canvas, (start, level), (end - side * 0.05, level), grey)
    height, width = pair.filter.shape[1:]
    told = (f"{height}×{width}, of map {pair.unit}", f"left × {show_number(pair.sent)}")
    _write_between(slide, "filter F", told, middle, top, SIDE)


def _write_between(
    slide: Slide, name: str, told: Sequence[str], middle: float, top: float, height: float
) -> None:
    """Write the name of what stands between the columns above it, and what it is below."""
    style: dict[str, Any] = {"ha": "center", "room": 2.0}
    above = slide.top + top - 0.05
    slide.write(name, middle, above, _size(SMALL + 1), va="bottom", weight="bold", **style)
    for number, words in enumerate(told):
        below = slide.top + top + height + 0.06 + 0.21 * number
        slide.write(words, middle, below, _size(SMALL - 1), color=tone(QUIET), **style)


def find_in_window(pair: LayerPair) -> tuple[int, int]:
    """Find the row and column inside the window that its switch names."""
    down, across = (
        (at - start) // step
        for at, start, step in zip(pair.switch, pair.region[:2], pair.window.dilation, strict=True)
    )
    return down, across
