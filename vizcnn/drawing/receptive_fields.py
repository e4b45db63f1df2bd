"""Receptive fields drawn on a photo: nested boxes with labels beside, padding hatched."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from vizcnn.drawing.labels import COLOURS, Point, add_frame, is_bright
from vizcnn.drawing.panels import show_panel
from vizcnn.drawing.sheet import MARGIN, Sheet, fit_slide
from vizcnn.drawing.style import find_style, plain_style, points, scale_letters, tone
from vizcnn.photos.pixels import Array, Box

PANEL = 6.0
"""Side of the picture in inches."""
LEADERS, LABELS = 0.45, 3.2
"""Inches beside the picture for the lines to the labels and for the labels."""
NAME_SIZE, NOTE_SIZE = 13.0, 9.5
"""Sizes of a label's letters in points."""
LABEL_STEP = 0.56
"""Inches from one label to the next, at least."""
BEYOND = 0.55
"""Share of the image's side that a box may lie beyond its edge and still be in the picture."""
EDGE, HINT = 0.02, 0.1
"""Shares of it that are shown beyond the outermost box, and at least where one is too large."""
MOST_BOXES = len(COLOURS)
"""Boxes in a figure: as many as there are colours."""
LINE_WIDTH, CASING = 2.2, 1.6
"""Widths in points of a box's line and of what sets it off from the photo."""
PADDING, HATCH = "#ededed", "#bdbdbd"
"""Colours of what lies outside the image."""


@dataclass(frozen=True)
class FieldBox:
    """A unit's receptive field and its label.

    Attributes:
        box: Uncut, in pixels of the image.
        name: The layer's name.
        notes: Lines below the name.
    """

    box: Box
    name: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class View:
    """The square of the image's plane that the picture shows, in pixels."""

    top: float
    left: float
    side: float

    @property
    def right(self) -> float:
        """Right edge."""
        return self.left + self.side


def choose_view(boxes: Sequence[Box], size: int) -> View:
    """Choose a square that holds the image, and the boxes as far as they are not much larger.

    Args:
        boxes: Uncut receptive fields.
        size: Side of the image.

    Example:
        >>> choose_view([(-10, -20, 50, 60), (-900, -900, 99, 99)], 100)
        View(top=-22.0, left=-22.0, side=122.0)
    """
    before = _choose_margin([-min(box[:2]) for box in boxes], size)
    after = _choose_margin([max(box[2:]) - size for box in boxes], size)
    return View(-before, -before, size + before + after)


def _choose_margin(overhangs: Sequence[int], size: int) -> float:
    """Give how far the picture goes beyond an edge of the image, in pixels."""
    if max(overhangs) < 0:
        return 0.0
    shown = [overhang for overhang in overhangs if 0 <= overhang <= BEYOND * size]
    hint = HINT * size if max(overhangs) > BEYOND * size else 0.0
    return max(max(shown, default=0) + EDGE * size, hint)


@fit_slide
def draw_fields(
    photo: Array,
    fields: Sequence[FieldBox],
    title: str,
    caption: str,
    led_from: Literal["top", "bottom"] = "top",
) -> Figure:
    """Draw boxes on a photo, their labels beside it.

    Args:
        photo: (S, S, 3), 0..1.
        fields: At least one and at most :data:`MOST_BOXES`, smallest first.
        title: Heading.
        caption: Below the picture.
        led_from: Which of the right corners of a box the line to its label begins at.

    Returns:
        A figure of one picture; what lies outside the image is hatched.
    """
    size = photo.shape[0]
    view = choose_view([field.box for field in fields], size)
    height = max(PANEL, scale_letters(LABEL_STEP) * len(fields))
    panel = height if find_style().wide else PANEL
    with plain_style():
        width = MARGIN + panel + LEADERS + scale_letters(LABELS) + MARGIN
        sheet = Sheet(width, height, title, caption)
        axes = sheet.add_axes(MARGIN, sheet.top, panel, panel)
        _show_photo(axes, photo, view)
        for number, field in reversed(list(enumerate(fields))):
            add_frame(axes, field.box, COLOURS[number], LINE_WIDTH, CASING)
        corners = [_find_corner(field.box, view, led_from) for field in fields]
        # from above; of boxes that end at the picture's edge the outer ones lie further out
        outward = -1 if led_from == "top" else 1
        order = sorted(range(len(fields)), key=lambda k: (corners[k][1], outward * k))
        _write_labels(
            sheet, axes, [(fields[k], COLOURS[k], corners[k]) for k in order], view, panel
        )
    return sheet.figure


def _show_photo(axes: Axes, photo: Array, view: View) -> None:
    edge = 0.5  # pixel centres have whole coordinates
    axes.set_xlim(view.left - edge, view.right - edge)
    axes.set_ylim(view.top + view.side - edge, view.top - edge)
    axes.autoscale(False)
    axes.add_patch(
        Rectangle(
            (view.left - edge, view.top - edge),
            view.side,
            view.side,
            facecolor=tone(PADDING),
            edgecolor=tone(HATCH),
            hatch="///",
            linewidth=0,
        )
    )
    height, width = photo.shape[:2]
    extent = (-edge, width - edge, height - edge, -edge)
    show_panel(axes, photo, extent=extent, zorder=1, aspect="auto")


def _write_labels(
    sheet: Sheet,
    axes: Axes,
    labels: Sequence[tuple[FieldBox, str, Point]],
    view: View,
    panel: float,
) -> None:
    """Write labels in a column, from above, each led to a corner of its box."""
    inch = view.side / panel
    wanted = [(corner[1] - view.top) / inch for _, _, corner in labels]
    step = scale_letters(LABEL_STEP)
    middles = spread_labels(wanted, step, max(panel, step * len(labels)))
    for (field, colour, (x, y)), middle in zip(labels, middles, strict=True):
        casing = "black" if is_bright(colour) else "white"
        end = view.right + LEADERS * inch, view.top + middle * inch
        axes.plot(
            [x - 0.5, view.right, end[0]],
            [y - 0.5, y - 0.5, end[1]],
            color=colour,
            linewidth=points(1.1),
            zorder=4,
            clip_on=False,
            path_effects=[withStroke(linewidth=points(2.2), foreground=casing, alpha=0.7)],
        )
        _write_label(sheet, field, colour, middle, panel)


def _find_corner(box: Box, view: View, which: Literal["top", "bottom"]) -> Point:
    """Give x and y of a box's right corner, or of where the picture ends."""
    y, end = box[0 if which == "top" else 2], view.top + view.side
    return min(max(box[3], view.left), view.right), min(max(y, view.top), end)


def _write_label(sheet: Sheet, field: FieldBox, colour: str, middle: float, panel: float) -> None:
    left, top = MARGIN + panel + LEADERS + 0.08, sheet.top + middle
    ink = "black" if is_bright(colour) else "white"
    chip: dict[str, Any] = {"facecolor": colour, "edgecolor": "none", "pad": points(2.2)}
    placed = sheet.write(
        field.name,
        left,
        top,
        NAME_SIZE,
        room=scale_letters(0.9),
        va="center",
        weight="bold",
        color=ink,
        bbox=chip,
    )
    extent = placed.get_window_extent()
    start = left + float(extent.width) / sheet.figure.dpi / find_style().scale + 0.13
    room = MARGIN + panel + LEADERS + scale_letters(LABELS) - start
    step = 1.25 * scale_letters(NOTE_SIZE) / 72
    above = top - step * (len(field.notes) - 1) / 2
    for line, note in enumerate(field.notes):
        sheet.write(note, start, above + line * step, NOTE_SIZE, room=room, va="center")


def spread_labels(wanted: Sequence[float], step: float, length: float) -> list[float]:
    """Move labels along a line apart, as little as it goes from the first to the last.

    Args:
        wanted: Where their middles would best be, in ascending order.
        step: Least distance of two middles.
        length: Length of the line; the labels stay half a step from its ends if they fit.

    Example:
        >>> spread_labels([0.0, 1.0, 1.2, 9.9], 1.0, 10.0)
        [0.5, 1.5, 2.5, 9.5]
    """
    placed: list[float] = []
    for middle in wanted:
        placed.append(max(middle, placed[-1] + step if placed else step / 2))
    limit = length - step / 2
    for index in reversed(range(len(placed))):
        placed[index] = min(placed[index], limit)
        limit = placed[index] - step
    return placed
