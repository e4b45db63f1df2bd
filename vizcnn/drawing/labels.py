"""Labels of boxes on a photo: joined where boxes are equal, moved apart where they overlap."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.text import Text

from vizcnn.drawing.sheet import show_plainly
from vizcnn.drawing.style import letter_size, points
from vizcnn.photos.pixels import LUMINANCE, Box

Point = tuple[float, float]
Size = tuple[float, float]

COLOURS = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#d55e00",
    "#f0e442",
    "#999999",
    "#000000",
)
"""Okabe & Ito's palette: told apart by colour-blind eyes."""

LINE_WIDTH, CASING = 2.0, 1.4
"""Widths in points of a frame's line, and of what sets it off from the photo."""
LETTERS = 16
"""Letters in a line of a joined label."""
REACH = 12
"""Steps, of half a label each, that a label is moved at most."""


def join_labels(boxes: Sequence[Box], labels: Sequence[str]) -> dict[Box, str]:
    """Bring the labels of equal boxes together, largest box first so that none is hidden.

    Example:
        >>> join_labels([(0, 0, 4, 4), (0, 0, 9, 9), (0, 0, 4, 4)], ["7", "1", "5"])
        {(0, 0, 9, 9): '1', (0, 0, 4, 4): '7, 5'}
    """
    joined: dict[Box, str] = {}
    for box, label in zip(boxes, labels, strict=True):
        joined[box] = f"{joined[box]}, {label}" if box in joined else label
    wrapped = {box: textwrap.fill(label, LETTERS) for box, label in joined.items()}
    return dict(sorted(wrapped.items(), key=lambda item: -_area(item[0])))


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def place_apart(
    centres: Sequence[Point], sizes: Sequence[Size], bounds: Size
) -> list[Point | None]:
    """Place labels as near to their centres as they go without overlapping.

    Args:
        centres: Where each label wants its middle, (x, y).
        sizes: Width and height of each label.
        bounds: Width and height of the area that the labels stay in, from (0, 0).

    Returns:
        The middles; None for a label that finds no place.

    Example:
        >>> place_apart([(5, 5), (5, 5)], [(4, 2), (4, 2)], (10, 10))
        [(5.0, 5.0), (5.0, 3.0)]
    """
    placed: list[tuple[Point, Size]] = []
    middles: list[Point | None] = []
    for centre, size in zip(centres, sizes, strict=True):
        free = (
            spot
            for spot in _list_spots(centre, size, bounds)
            if not any(_overlap(spot, size, *other) for other in placed)
        )
        middle = next(free, None)
        middles.append(middle)
        if middle is not None:
            placed.append((middle, size))
    return middles


def _list_spots(centre: Point, size: Size, bounds: Size) -> Iterator[Point]:
    """List places around a centre, nearest first, that lie within the bounds."""
    steps = [
        (column * size[0] / 2, row * size[1] / 2)
        for row in range(-REACH, REACH + 1)
        for column in range(-REACH, REACH + 1)
    ]
    half_x, half_y = size[0] / 2, size[1] / 2
    far_x, far_y = max(bounds[0] - half_x, half_x), max(bounds[1] - half_y, half_y)
    start_x, start_y = (_hold(float(centre[axis]), size[axis] / 2, bounds[axis]) for axis in (0, 1))
    for step_x, step_y in sorted(steps, key=lambda step: step[0] ** 2 + step[1] ** 2):
        x, y = start_x + step_x, start_y + step_y
        if half_x <= x <= far_x and half_y <= y <= far_y:
            yield x, y


def _hold(value: float, half: float, bound: float) -> float:
    return min(max(value, half), max(bound - half, half))


def _overlap(a: Point, a_size: Size, b: Point, b_size: Size) -> bool:
    return all(abs(a[axis] - b[axis]) < (a_size[axis] + b_size[axis]) / 2 for axis in (0, 1))


def colour_boxes(joined: Iterable[Box]) -> dict[Box, str]:
    """Give boxes their colours, in their order."""
    return {box: COLOURS[index % len(COLOURS)] for index, box in enumerate(joined)}


def is_bright(colour: str) -> bool:
    """Tell whether black is read better than white on a colour."""
    return float(np.dot(to_rgb(colour), LUMINANCE)) > 0.5


def add_frame(axes: Axes, box: Box, colour: str, width: float, casing: float) -> None:
    """Draw a box on a photo, set off from whatever is there.

    Args:
        axes: Axes that show the photo.
        box: Top, left, bottom, right in the photo's pixels, the last two exclusive.
        colour: Of the line.
        width: Of the line, in points.
        casing: Width of what is to be seen of black or white on its sides, in points.
    """
    ground = "black" if is_bright(colour) else "white"
    axes.add_patch(
        Rectangle(
            (box[1] - 0.5, box[0] - 0.5),  # pixels' middles have whole coordinates
            box[3] - box[1],
            box[2] - box[0],
            fill=False,
            edgecolor=colour,
            linewidth=points(width),
            zorder=3,
            path_effects=[withStroke(linewidth=points(width + casing), foreground=ground)],
        )
    )


def draw_boxes(axes: Axes, joined: Mapping[Box, str], size: int) -> None:
    """Draw boxes on a photo and, as near to their middles as they go, their labels.

    Args:
        axes: Axes that show the photo.
        joined: From :func:`join_labels`.
        size: Side of the photo in pixels.
    """
    axes.autoscale(False)
    colours = colour_boxes(joined)
    texts = [_write_label(axes, label, colours[box]) for box, label in joined.items()]
    centres = [((box[1] + box[3]) / 2, (box[0] + box[2]) / 2) for box in joined]
    middles = place_apart(centres, [_measure(text, axes, size) for text in texts], (size, size))
    for index, (box, text) in enumerate(zip(joined, texts, strict=True)):
        colour = colours[box]
        add_frame(axes, box, colour, LINE_WIDTH, CASING)
        middle = middles[index]
        if middle is None:
            text.remove()
            continue
        text.set_position((middle[0] - 0.5, middle[1] - 0.5))
        if middle != centres[index]:
            line = zip(centres[index], middle, strict=True)
            axes.plot(*([value - 0.5 for value in pair] for pair in line), color=colour, zorder=4)


def _write_label(axes: Axes, label: str, colour: str) -> Text:
    return axes.text(
        0,
        0,
        show_plainly(label),
        ha="center",
        va="center",
        fontsize=letter_size(8),
        color="black" if is_bright(colour) else "white",
        bbox={"facecolor": colour, "edgecolor": "none", "pad": points(1.5)},
        parse_math=False,
        zorder=5,
    )


def _measure(text: Text, axes: Axes, size: int) -> Size:
    """Give a label's width and height in the photo's pixels, its frame included."""
    extent, frame = text.get_window_extent(), 4 / 72 * axes.figure.dpi
    per_pixel = size / axes.get_window_extent().width
    return (extent.width + frame) * per_pixel, (extent.height + frame) * per_pixel
