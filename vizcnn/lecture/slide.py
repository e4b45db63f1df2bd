"""A sheet for slides: letters that can be read from the last row."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.text import Text
from torch import Tensor

from vizcnn.sheet import MARGIN, SLIDE_WIDTH, Sheet
from vizcnn.tiles import Array

BODY = 16.0
"""Size of the letters of labels and cells in points, on a slide of 13.33 inches."""
SMALL = 13.0
"""Smallest size of letters that say something."""
INK, QUIET, FAINT = "#000000", "#444444", "#d9d9d9"
"""Colours of what matters, of what is said beside, of lines that only guide."""


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
        axes.tick_params(labelsize=SMALL + 1)
        axes.xaxis.label.set_fontsize(BODY)
        axes.yaxis.label.set_fontsize(BODY)
        return axes

    def picture(self, image: Array, left: float, top: float, side: float, **style: Any) -> Axes:
        """Show an image in a square of so many inches, its pixels' middles at whole numbers.

        Args:
            image: (H, W, 3) of 0..1 or bytes, or (H, W) with matplotlib's ``vmin`` and ``vmax``.
            left: Inches from the left edge.
            top: Inches below the title.
            side: Inches.
            **style: Further arguments of matplotlib's ``imshow``.
        """
        axes = self.add_axes(left, self.top + top, side, side)
        axes.imshow(image, **{"interpolation": "nearest", "cmap": "gray", **style})
        return axes

    def canvas(self, left: float, top: float, width: float, height: float) -> Axes:
        """Add axes whose unit is an inch, with (0, 0) at the upper left corner."""
        axes = self.add_axes(left, top, width, height)
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)
        return axes
