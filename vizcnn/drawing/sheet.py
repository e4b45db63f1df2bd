"""A figure laid out in inches from its upper left corner: title, body, caption."""

import textwrap
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any, ParamSpec

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from torch import Tensor

from vizcnn.drawing.display import ShownFigure
from vizcnn.drawing.panels import show_panel, show_tile
from vizcnn.drawing.style import (
    find_dpi,
    find_style,
    letter_size,
    points,
    scale_letters,
    tone,
    use_style,
)
from vizcnn.photos.pixels import Array

P = ParamSpec("P")

SLIDE_WIDTH = 13.33
"""Width of a slide in inches."""
SLIDE_SHAPE = 16 / 9
"""Width of a slide over its height."""
SLIDE_EXACT = 40 / 3
"""The width of a slide in its own style, of a whole number of pixels."""
MARGIN = 0.15
"""Inches that stay free at every edge."""

TITLE_SIZE, SUBTITLE_SIZE, CAPTION_SIZE = 17.0, 11.0, 8.5
PLOT_SIZE = 11.0
"""Size of the labels of a plot's axes, in points."""
LINE = 1.3 / 72
"""Inches that a line takes per point of its letters' size."""
SMALLEST = 0.75
"""Share of their size that letters may shrink to before a text is cut."""


def fit_slide(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Make a function that draws on a sheet draw a slide of the usual size, in a style for slides.

    What stands on it decides how large a sheet is; it is drawn again, at another scale.
    """

    @wraps(draw)
    def draw_fitted(*args: P.args, **settings: P.kwargs) -> Figure:
        figure, style = draw(*args, **settings), find_style()
        width = float(figure.get_size_inches()[0])
        if not style.wide or abs(width - SLIDE_EXACT) < 1e-3:
            return figure
        with use_style(replace(style, scale=style.scale * SLIDE_EXACT / width)):
            return draw(*args, **settings)

    return draw_fitted


class Sheet:
    """A figure with a title above and a caption below, around a body of a given height.

    Args:
        width: Width in inches.
        body: Height in inches of what is between title and caption.
        title: Heading; shrunk, then cut in its middle where it is too long.
        caption: Small print, wrapped over as many lines as it needs.
        subtitle: A line below the title.

    Attributes:
        figure: The matplotlib figure.
        top: Where the body begins, in inches from the upper edge.
        title_size: Size of the title's letters in points; so for subtitle and caption.
        spare: Inches by which the body might be higher, on a sheet of the shape of a slide.

    Example:
        >>> sheet = Sheet(6.0, 2.0, "ZFNet: a photo", "random weights")
        >>> axes = sheet.add_axes(0.15, sheet.top, 2.0, 2.0)
        >>> [text.get_text() for text in sheet.figure.texts]
        ['ZFNet: a photo', 'random weights']
    """

    title_size, subtitle_size, caption_size = TITLE_SIZE, SUBTITLE_SIZE, CAPTION_SIZE

    def __init__(
        self, width: float, body: float, title: str, caption: str, subtitle: str = ""
    ) -> None:
        style = find_style()
        title = style.name_figure(title)
        self.width = self._canvas = width
        self._left = 0.0
        self.spare = 0.0
        self.figure = ShownFigure(
            figsize=(style.scale * width, 1.0), dpi=find_dpi(), facecolor=tone("white")
        )
        FigureCanvasAgg(self.figure)
        heading = LINE * scale_letters(self.title_size) if title else 0.0
        self.top = MARGIN + heading + 0.1
        self.top += LINE * scale_letters(self.subtitle_size) if subtitle else 0.0

        def add_caption() -> tuple[list[str], float]:
            lines = self._wrap(caption, self.caption_size) if style.captions else []
            below = LINE * scale_letters(self.caption_size) * len(lines)
            self.height = self.top + body + 0.12 + below + MARGIN / 2
            return lines, below

        lines, below = add_caption()
        if style.wide:
            self._canvas = max(width, self.height * SLIDE_SHAPE)
            if self._canvas - SLIDE_WIDTH < 0.01 and width == SLIDE_WIDTH:
                self._canvas = SLIDE_EXACT
            lines, below = add_caption()  # which may have become shorter
            added = self._canvas / SLIDE_SHAPE - self.height
            self.spare = added
            self.height += added
            # the body stands in the middle of what is added
            self.top += added / 2
            self._left = (self._canvas - width) / 2
        self.figure.set_size_inches(style.scale * self._canvas, style.scale * self.height)
        room = self._canvas - 2 * MARGIN
        self._write_beside(title, MARGIN, self.title_size, room=room, weight="bold")
        if subtitle:
            self._write_beside(subtitle, MARGIN + heading, self.subtitle_size, room=room)
        bottom = self.height - MARGIN / 2 - below
        self._write_beside("\n".join(lines), bottom, self.caption_size, color=tone(QUIET))

    def _write_beside(self, text: str, top: float, size: float, **style: Any) -> None:
        """Write a text at the figure's left edge, beside which the body may stand further in."""
        if text:
            self.write(text, MARGIN - self._left, top, size, **style)

    def write(
        self, text: str, left: float, top: float, size: float, room: float = 0.0, **style: Any
    ) -> Text:
        """Write a text.

        Args:
            text: Line or lines, taken letter by letter (a dollar sign is no formula).
            left: Inches from the left edge; of the middle or the right end with ``ha``.
            top: Inches from the upper edge; of the middle or the lower end with ``va``.
            size: Size of the letters in points.
            room: Inches that the text may be wide; 0 for any.
            **style: Further properties of matplotlib's text.
        """
        placed = self.figure.text(
            (left + self._left) / self._canvas,
            1 - top / self.height,
            show_plainly(text),
            **{"va": "top", "fontsize": letter_size(size), "parse_math": False, **style},
        )
        if room:
            fit_text(placed, room)
        return placed

    def add_axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Add axes without frame, placed by their upper left corner in inches."""
        bottom = 1 - (top + height) / self.height
        axes = self.figure.add_axes(
            ((left + self._left) / self._canvas, bottom, width / self._canvas, height / self.height)
        )
        axes.set_axis_off()
        return axes

    def add_image(self, image: Array, left: float, top: float, width: float, height: float) -> Axes:
        """Add axes with an image, (h, w, 3), 0..1, stretched to their size."""
        axes = self.add_axes(left, top, width, height)
        show_panel(axes, image, aspect="auto")
        return axes

    def add_tile(self, image: Array, left: float, top: float, side: float) -> Axes:
        """Add axes with a picture in the middle of a square, around it mid grey.

        Pixels are their units, and pixels' middles at whole numbers.

        Args:
            image: (h, w, 3), 0..1 or 8 bits.
            left: Inches from the left edge.
            top: Inches from the upper edge.
            side: Inches.
        """
        axes = self.add_axes(left, top, side, side)
        rows, columns = image.shape[:2]
        longer = max(rows, columns)
        left, top = (columns - longer - 1) / 2, (rows - longer - 1) / 2
        axes.set(xlim=(left, left + longer), ylim=(top + longer, top))
        show_tile(axes, image, left, top, longer)
        return axes

    def add_plot(
        self, left: float, top: float, width: float, height: float, across: str = "", up: str = ""
    ) -> Axes:
        """Add axes with ticks and labels for curves, placed by their inner upper left corner.

        Args:
            left: Inches from the left edge to the vertical axis.
            top: Inches from the upper edge.
            width: Inches along the horizontal axis.
            height: Inches along the vertical axis.
            across: What the horizontal axis shows, with its unit.
            up: What the vertical axis shows, with its unit.
        """
        axes = self.add_axes(left, top, width, height)
        axes.set_axis_on()
        axes.spines[["top", "right"]].set_visible(False)
        size = letter_size(PLOT_SIZE)
        axes.tick_params(labelsize=size - points(1))
        axes.set_xlabel(across, fontsize=size)
        axes.set_ylabel(up, fontsize=size)
        axes.grid(color=tone("#e5e5e5"), linewidth=points(0.7))
        axes.set_axisbelow(True)
        return axes

    def _wrap(self, text: str, size: float) -> list[str]:
        probe = self.figure.text(0, 0, "", fontsize=letter_size(size), parse_math=False)
        room = self._canvas - 2 * MARGIN
        letters = int(room * 72 / (0.45 * scale_letters(size)))
        lines = [show_plainly(text)]
        # the longest first: one that is too wide is enough
        while any(measure_width(probe, line) > room for line in sorted(lines, key=len)[::-1]):
            lines = textwrap.wrap(show_plainly(text), max(letters, 1))
            letters -= 2
        probe.remove()
        return lines


def show_plainly(text: str) -> str:
    r"""Replace what a font cannot show (control characters, bytes that are no UTF-8).

    Example:
        >>> show_plainly("two\nlines, a\x07bell")
        'two\nlines, a�bell'
    """
    kept = "\n\N{NO-BREAK SPACE}"
    return "".join(c if c.isprintable() or c in kept else "\N{REPLACEMENT CHARACTER}" for c in text)


def measure_width(text: Text, content: str | None = None) -> float:
    """Measure a placed text, or another content in its letters, in inches on a slide."""
    if content is not None:
        text.set_text(content)
    figure = text.get_figure(root=True)
    assert figure is not None
    return float(text.get_window_extent().width / figure.dpi / find_style().scale)


def fit_text(text: Text, room: float) -> None:
    """Bring a placed text to a width: smaller letters first, then an ellipsis in its middle.

    Args:
        text: A text on a figure.
        room: Inches that it may be wide.
    """
    whole, wide = text.get_text(), measure_width(text)
    if wide <= room:
        return
    size = float(text.get_fontsize())
    share = max(room / wide, SMALLEST)
    text.set_fontsize(size * share)
    # letters are rounded to whole pixels, and may come out a little wider than planned
    while measure_width(text) > room and share > SMALLEST:
        share = max(share * 0.98, SMALLEST)
        text.set_fontsize(size * share)
    kept = len(whole)
    while measure_width(text) > room and kept > 1:
        kept -= max(kept // 20, 1)
        text.set_text(f"{whole[: (kept + 1) // 2]}…{whole[len(whole) - kept // 2 :]}")


BODY = 16.0
"""Size of the letters of labels and cells in points, on a slide of 13.33 inches."""
SMALL = 13.0
"""Smallest size of letters that say something."""
INK, QUIET, FAINT = "#000000", "#444444", "#d9d9d9"
"""Greys of what matters, of what is said beside, of lines that only guide, on a light ground."""


def to_image(pixels: Tensor) -> Array:
    """Turn pixels (3, H, W) of 0..1 into an array (H, W, 3) that can be shown.

    Example:
        >>> import torch
        >>> to_image(torch.zeros(3, 4, 5)).shape
        (4, 5, 3)
    """
    array: Array = pixels.detach().permute(1, 2, 0).float().clamp(0, 1).cpu().numpy()
    return array


class Slide(Sheet):
    """A figure of a slide's width, its letters large.

    Args:
        body: Height in inches of what is between title and caption.
        title: Heading.
        caption: What was computed, how and from what.
        width: Width in inches.

    Example:
        >>> slide = Slide(2.0, "AlexNet", "computed")
        >>> slide.width
        13.33
    """

    title_size, subtitle_size, caption_size = 24.0, 16.0, 12.5

    def __init__(self, body: float, title: str, caption: str, width: float = SLIDE_WIDTH) -> None:
        super().__init__(width, body, title, caption)
        self.room = width - 2 * MARGIN

    def say(self, text: str, left: float, top: float, **style: Any) -> Text:
        """Write a label at the body's size."""
        return self.write(text, left, top, style.pop("size", BODY), **style)

    def plot(
        self, left: float, top: float, width: float, height: float, across: str = "", up: str = ""
    ) -> Axes:
        """Add axes for curves, with labels at the slide's sizes."""
        axes = self.add_plot(left, top, width, height, across, up)
        axes.tick_params(labelsize=letter_size(SMALL + 1))
        axes.xaxis.label.set_fontsize(letter_size(BODY))
        axes.yaxis.label.set_fontsize(letter_size(BODY))
        return axes

    def picture(self, image: Array, left: float, top: float, side: float, **style: Any) -> Axes:
        """Show an image in a square of so many inches, its pixels' middles at whole numbers.

        Args:
            image: (H, W, 3) of 0..1 or bytes, or (H, W) with matplotlib's ``vmin`` and ``vmax``.
            left: Inches from the left edge.
            top: Inches below the title.
            side: Inches.
            **style: Further arguments of :func:`~vizcnn.drawing.panels.show_panel`.
        """
        axes = self.add_axes(left, self.top + top, side, side)
        show_panel(axes, image, **style)
        return axes

    def canvas(self, left: float, top: float, width: float, height: float) -> Axes:
        """Add axes whose unit is an inch, with (0, 0) at the upper left corner."""
        axes = self.add_axes(left, top, width, height)
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)
        return axes
