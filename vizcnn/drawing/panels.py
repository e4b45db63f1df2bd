"""Pictures made of pixels, in figures: every one is shown by :func:`show_panel`.

By itself matplotlib stores a picture at the figure's resolution, not at its own, and smooths what
it draws less than three times as large. A lab on aliasing could so show the aliasing of the
plotting library, and a filter of 7 x 7 weights would become a blur.
"""

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.transforms import Bbox
from numpy.typing import NDArray
from PIL import Image

from vizcnn.drawing.tiles import GREY, to_bytes

Extent = tuple[float, float, float, float]
"""Left, right, bottom and top of a picture on its axes."""


class _Panel(AxesImage):
    """A picture (h, w, 3) of 8 bits that a PDF or an SVG stores as it is.

    In a PNG each of its pixels is a rectangle of its own colour. A picture that is drawn smaller
    than it is has to be averaged there: leaving rows out would be an alias.
    """

    def make_image(
        self, renderer: Any, magnification: float = 1.0, unsampled: bool = False
    ) -> tuple[Any, float, float, Any]:
        """Give the picture for a renderer: as it is, or at the resolution of a PNG.

        Matplotlib's own way to the latter cuts digits off, so that colours change by one in 255.
        """
        if unsampled:  # the renderer can scale it
            return super().make_image(renderer, magnification, unsampled)
        drawn = Bbox(magnification * self.get_window_extent(renderer).get_points())
        seen = Bbox.intersection(drawn, Bbox(magnification * self.axes.bbox.get_points()))
        if seen is None:
            return None, 0, 0, None
        left, bottom, right, top = (int(edge) for edge in np.floor(np.array(seen.extents) + 0.5))
        pixels = np.asarray(self.get_array())
        rows, columns = pixels.shape[:2]

        def find(x: Any, y: Any) -> tuple[Any, Any]:
            """Turn places on the canvas into places in the picture."""
            across = (x - drawn.xmin) / drawn.width * columns
            down = (drawn.ymax - y) / drawn.height * rows
            return np.clip(across, 0, columns), np.clip(down, 0, rows)

        if drawn.height >= rows and drawn.width >= columns:
            across, down = find(np.arange(left, right) + 0.5, np.arange(bottom, top)[::-1] + 0.5)
            places = (
                np.minimum(down.astype(int), rows - 1)[:, None],
                np.minimum(across.astype(int), columns - 1),
            )
            shown = pixels[places]
        else:
            box = (*find(left, top), *find(right, bottom))
            size = (right - left, top - bottom)
            lanczos = Image.Resampling.LANCZOS
            shown = np.asarray(Image.fromarray(pixels).resize(size, lanczos, box))
        opaque = np.full((*shown.shape[:2], 1), 255, dtype=np.uint8)
        # the renderer counts rows from below
        canvas = np.concatenate([shown, opaque], axis=2)[::-1]
        return canvas, left / magnification, bottom / magnification, None


def show_panel(
    axes: Axes,
    image: NDArray[Any],
    *,
    cmap: str = "gray",
    vmin: float | None = None,
    vmax: float | None = None,
    aspect: str = "equal",
    extent: Extent | None = None,
    zorder: float = 0,
) -> AxesImage:
    """Show a picture pixel by pixel: unsmoothed, and stored at its own resolution.

    Args:
        axes: Where.
        image: Colours (h, w, 3), 0..1 or 8 bits, or values (h, w).
        cmap: Colours of values, by matplotlib's name.
        vmin: Value of the first colour; the smallest if None.
        vmax: Value of the last colour; the largest if None.
        aspect: ``"equal"`` keeps pixels square, ``"auto"`` fills the axes.
        extent: Where on the axes, in their units; pixels' middles at whole numbers if None.
        zorder: What it lies over.

    Returns:
        The picture, whose pixels are what :func:`colour_pixels` gives.
    """
    panel = _Panel(axes, interpolation="none", origin="upper", extent=extent, zorder=zorder)
    panel.set_data(colour_pixels(image, cmap, vmin, vmax))
    panel.set_clip_path(axes.patch)
    axes.set_aspect(aspect)  # type: ignore[arg-type]  # it is one of two words
    panel.set_extent(panel.get_extent())  # which fits the axes to it
    axes.add_image(panel)
    return panel


def show_tile(axes: Axes, image: NDArray[Any], left: float, top: float, side: float) -> AxesImage:
    """Show a picture in the middle of a square, as large as it goes, around it mid grey.

    Args:
        axes: Where, with limits of its own, downwards.
        image: (h, w, 3), 0..1 or 8 bits.
        left: Left edge of the square, in the axes' units.
        top: Upper edge of the square.
        side: Its side.
    """
    rows, columns = image.shape[:2]
    pixel = side / max(rows, columns)
    across, down = left + (side - columns * pixel) / 2, top + (side - rows * pixel) / 2
    if rows != columns:
        ground = Rectangle((left, top), side, side, color=str(GREY), linewidth=0, zorder=-1)
        axes.add_patch(ground)
    extent = (across, across + columns * pixel, down + rows * pixel, down)
    return show_panel(axes, image, aspect="auto", extent=extent)


def colour_pixels(
    image: NDArray[Any],
    cmap: str = "gray",
    vmin: float | None = None,
    vmax: float | None = None,
) -> NDArray[np.uint8]:
    """Give the colours that a picture is shown in; arguments as of :func:`show_panel`.

    Returns:
        (h, w, 3), 8 bits.

    Example:
        >>> colour_pixels(np.array([[-1.0, 0.0, 1.0]], dtype=np.float32))[0].tolist()
        [[0, 0, 0], [128, 128, 128], [255, 255, 255]]
    """
    if image.ndim == 3:
        return image if image.dtype == np.uint8 else to_bytes(image)
    values = image.astype(np.float64)
    low = float(values.min()) if vmin is None else vmin
    high = float(values.max()) if vmax is None else vmax
    share = np.clip((values - low) / ((high - low) or 1.0), 0, 1)
    if cmap == "gray":  # exactly, not as one of a map's 256 steps
        return to_bytes(np.repeat(share[..., None], 3, axis=2))
    coloured: NDArray[np.uint8] = colormaps[cmap](share, bytes=True)[..., :3]
    return coloured
