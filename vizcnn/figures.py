"""Arrays -> matplotlib figures; nothing here saves or shows."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vizcnn.tiles import Array, Box, lay_out_grid

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

STYLE: dict[Any, Any] = {
    "font.size": 11,
    "font.family": ["DejaVu Sans"],
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "text.parse_math": False,  # photo and class names may hold a dollar sign
    "savefig.facecolor": "white",
}
SLIDE_WIDTH = 13.33
"""Width of a slide in inches."""
ROW = 1.86
"""Height of a layer's row in a summary, in inches: labels, projections, patches."""
TILE_GAP = 6
"""Pixels between tiles."""


@dataclass(frozen=True)
class UnitPair:
    """A unit's projection and the patch of the photo in its receptive field, as square tiles.

    Attributes:
        projection: (side, side, 3), 0..1.
        patch: (side, side, 3), 0..1.
        label: What is written above.
    """

    projection: Array
    patch: Array
    label: str


@dataclass(frozen=True)
class LayerStrip:
    """The strongest units of a layer, side by side.

    Attributes:
        name: The layer's name.
        note: What is written below the name: maps, receptive field.
        pairs: The units, strongest first.
    """

    name: str
    note: str
    pairs: tuple[UnitPair, ...]


def draw_layer(strip: LayerStrip, title: str, caption: str) -> Figure:
    """Draw one layer: projections in a row, their patches below.

    Args:
        strip: The layer.
        title: Heading.
        caption: Method, weights and scaling, below.

    Returns:
        A figure for a slide's full width.
    """
    columns = len(strip.pairs)
    with mpl.rc_context(STYLE):
        figure = _new_figure(max(1.35 * columns, 6.0), 3.9)
        axes = figure.add_axes((0.01, 0.13, 0.98, 0.69))
        _draw_strip(axes, strip, label_size=11)
        figure.text(0.01, 0.97, title, va="top", fontsize=15, fontweight="bold")
        _write_caption(figure, caption)
    return figure


def draw_summary(
    photo: Array,
    predictions: Sequence[tuple[str, float]],
    strips: Sequence[LayerStrip],
    title: str,
    caption: str,
) -> Figure:
    """Draw a whole photo: what the net saw and said, and each layer's strongest units.

    Args:
        photo: (S, S, 3), 0..1.
        predictions: Class names and probabilities, best first; may be empty.
        strips: One per layer, lowest first.
        title: Heading.
        caption: Method, weights and scaling, below.

    Returns:
        A figure of a slide's width, 13.3 inches.
    """
    height = max(ROW * len(strips) + 1.2, 6.4)
    with mpl.rc_context(STYLE):
        figure = _new_figure(SLIDE_WIDTH, height)
        figure.text(0.015, 1 - 0.16 / height, title, va="top", fontsize=18, fontweight="bold")
        shown = figure.add_axes((0.015, 1 - 4.75 / height, 4.0 / SLIDE_WIDTH, 4.0 / height))
        shown.imshow(photo, interpolation="nearest")
        shown.set_axis_off()
        if predictions and height > 7.4:  # below the photo, where there is room
            place = (0.165, (height - 7.0) / height, 0.15, 1.9 / height)
            _draw_predictions(figure.add_axes(place), predictions)
        for index, strip in enumerate(strips):
            _draw_row(figure, strip, height - 0.7 - index * ROW, height)
        _write_caption(figure, caption)
    return figure


def _draw_row(figure: Figure, strip: LayerStrip, top: float, height: float) -> None:
    """Draw a layer of a summary, its upper edge ``top`` inches above the figure's lower edge."""
    axes = figure.add_axes((0.43, (top - ROW + 0.06) / height, 0.565, (ROW - 0.42) / height))
    _draw_strip(axes, strip, label_size=8)
    middle = (top - ROW / 2 - 0.1) / height
    figure.text(0.42, middle, strip.name, ha="right", fontsize=13, fontweight="bold")
    figure.text(0.42, middle - 0.1 / height, strip.note, ha="right", va="top", fontsize=9)


def draw_overlay(
    photo: Array,
    projection: Array,
    boxes: Sequence[Box],
    labels: Sequence[str],
    title: str,
    caption: str,
) -> Figure:
    """Draw the photo with receptive fields beside the projections in their places.

    Args:
        photo: (S, S, 3), 0..1.
        projection: (S, S, 3), 0..1: all projections in place.
        boxes: Receptive fields in pixels.
        labels: One per box.
        title: Heading.
        caption: Method, weights and scaling, below.

    Returns:
        A figure of two panels.
    """
    with mpl.rc_context(STYLE):
        figure = _new_figure(11.0, 6.3)
        for left, image, name in (
            (0.01, photo, "receptive fields"),
            (0.505, projection, "projections in place"),
        ):
            axes = figure.add_axes((left, 0.08, 0.485, 0.79))
            axes.imshow(image, interpolation="nearest")
            axes.set_title(name, fontsize=12, fontweight="normal")
            axes.set_axis_off()
            for index, (box, label) in enumerate(_join_labels(boxes, labels).items()):
                _draw_box(axes, box, label, COLOURS[index % len(COLOURS)])
        figure.text(0.01, 0.985, title, va="top", fontsize=15, fontweight="bold")
        _write_caption(figure, caption)
    return figure


def draw_filters(filters: Sequence[Array], title: str, caption: str) -> Figure:
    """Draw first-layer filters as a grid.

    Args:
        filters: (h, w, 3) each, 0..1.
        title: Heading.
        caption: Weights and scaling, below.

    Returns:
        A square-celled grid, near 3 : 2.
    """
    columns = grid_columns(len(filters))
    rows = -(-len(filters) // columns)
    with mpl.rc_context(STYLE):
        width = 10.0
        height = width * rows / columns + 1.0
        figure = _new_figure(width, height)
        axes = figure.add_axes((0.01, 0.42 / height, 0.98, (height - 1.0) / height))
        axes.imshow(lay_out_grid(filters, columns), interpolation="nearest")
        axes.set_axis_off()
        figure.text(0.01, 1 - 0.12 / height, title, va="top", fontsize=15, fontweight="bold")
        _write_caption(figure, caption)
    return figure


def grid_columns(count: int) -> int:
    """Give the number of columns that brings a grid nearest to 3 : 2, full rows preferred.

    Example:
        >>> grid_columns(96), grid_columns(64)
        (12, 8)
    """
    near = max(round((count * 1.5) ** 0.5), 1)
    options = [columns for columns in range(max(near - 2, 1), near + 3) if count % columns == 0]
    return min(options, key=lambda columns: abs(columns - near)) if options else near


def _new_figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _draw_strip(axes: Axes, strip: LayerStrip, label_size: float) -> None:
    """Draw projections above patches, labels above both, in the pixels of the tiles."""
    side = strip.pairs[0].projection.shape[0]
    tiles = [pair.projection for pair in strip.pairs] + [pair.patch for pair in strip.pairs]
    axes.imshow(lay_out_grid(tiles, len(strip.pairs), TILE_GAP), interpolation="nearest")
    axes.set_axis_off()
    axes.set_anchor("W")
    for index, pair in enumerate(strip.pairs):
        centre = index * (side + TILE_GAP) + side / 2
        axes.text(centre, -TILE_GAP, pair.label, ha="center", va="bottom", fontsize=label_size)


def _draw_predictions(axes: Axes, predictions: Sequence[tuple[str, float]]) -> None:
    names = [name if len(name) <= 22 else name[:21] + "…" for name, _ in predictions]
    shares = np.array([share for _, share in predictions]) * 100
    places = np.arange(len(names))[::-1]
    axes.barh(places, shares, color=COLOURS[0], height=0.65)
    axes.set_yticks(places, names, fontsize=10)
    axes.set_xlim(0, 100)
    axes.set_xticks([0, 50, 100], ["0", "50", "100 %"], fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def _join_labels(boxes: Sequence[Box], labels: Sequence[str]) -> dict[Box, str]:
    """Bring the labels of equal boxes together, largest box first so that none is hidden."""
    joined: dict[Box, str] = {}
    for box, label in zip(boxes, labels, strict=True):
        joined[box] = f"{joined[box]}, {label}" if box in joined else label
    return dict(sorted(joined.items(), key=lambda item: -_area(item[0])))


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def _draw_box(axes: Axes, box: Box, label: str, colour: str) -> None:
    top, left, bottom, right = box
    size = {"width": right - left, "height": bottom - top}
    corner = (left - 0.5, top - 0.5)
    axes.add_patch(Rectangle(corner, **size, fill=False, edgecolor=colour, linewidth=1.8))
    # units of one layer differ in their centres, where boxes' corners meet at the photo's edge
    axes.text(
        (left + right - 1) / 2,
        (top + bottom - 1) / 2,
        label,
        ha="center",
        va="center",
        fontsize=8,
        color="white",
        bbox={"facecolor": colour, "edgecolor": "none", "pad": 1.5},
        clip_on=True,
    )


def _write_caption(figure: Figure, caption: str) -> None:
    inches = figure.get_size_inches()
    lines = textwrap.fill(caption, width=int(inches[0] * 15.5))
    figure.text(0.01, 0.08 / inches[1], lines, va="bottom", fontsize=8.5, color="#444444")
