"""One image per unit: its projections in a grid, beside the photos' patches in the same windows."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path

import numpy as np
from matplotlib import get_data_path
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from vizcnn.drawing.tiles import Scaling, scale_projections, to_bytes
from vizcnn.photos.pixels import Array

Pixels = NDArray[np.uint8]
"""An image (H, W, 3) of 8 bits."""

SMALL_SIDE, SMALL_MOST = 54, 64
"""Side in pixels that small tiles come near to, and that none exceeds once it must be reduced."""
LARGE_LEAST, LARGE_MOST = 96, 224
"""Least and largest side of large tiles in pixels."""

SILENT = 248
"""Ground of a tile without a picture: lighter than the gaps, so that it is seen to be one."""
LABELS = 28
"""Height in pixels of the labels above a strip."""
LARGEST_LETTERS = 24
"""Most pixels of the letters on a tile without a picture."""

BLANK = 235
"""Light neutral grey of gaps and of slots without a photo; a projection's zero is mid grey."""


@dataclass(frozen=True)
class SheetForm:
    """How a layer's sheets are laid out; all sizes in pixels.

    Attributes:
        tile: Height and width of a tile.
        rows: Rows of tiles in either half.
        columns: Columns of tiles in either half.
        gap: Between two tiles.
        middle: Between the projections' half and the patches'.

    Example:
        >>> SheetForm(tile=(96, 96), rows=3, columns=3, gap=2, middle=12).size
        (596, 292)
    """

    tile: tuple[int, int]
    rows: int
    columns: int
    gap: int
    middle: int

    @property
    def half(self) -> tuple[int, int]:
        """Height and width of one half."""
        height, width = self.tile
        return (
            self.rows * (height + self.gap) - self.gap,
            self.columns * (width + self.gap) - self.gap,
        )

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the whole sheet."""
        height, width = self.half
        return 2 * width + self.middle, height


def plan_small(window: tuple[int, int], top: int) -> SheetForm:
    """Lay out a layer's small sheets: tiles of about 54 pixels.

    Args:
        window: Height and width of the projections' windows in pixels.
        top: Places of a unit.

    Example:
        >>> [plan_small((side, side), 9).tile[0] for side in (7, 27, 59, 123)]
        [56, 54, 59, 54]
    """
    side = max(window)
    rows, columns = fit_grid(top)
    if side > SMALL_MOST:
        return SheetForm(_reduce_size(window, SMALL_SIDE), rows, columns, gap=1, middle=6)
    times = max(round(SMALL_SIDE / side), 1)
    return SheetForm((window[0] * times, window[1] * times), rows, columns, gap=1, middle=6)


def plan_large(window: tuple[int, int], top: int) -> SheetForm:
    """Lay out a layer's large sheets: the windows' own pixels, enlarged or reduced to 96..224.

    Args:
        window: Height and width of the projections' windows in pixels.
        top: Places of a unit.

    Example:
        >>> [plan_large((side, side), 9).tile[0] for side in (7, 27, 123, 299)]
        [98, 108, 123, 224]
    """
    side = max(window)
    rows, columns = fit_grid(top)
    if side > LARGE_MOST:
        return SheetForm(_reduce_size(window, LARGE_MOST), rows, columns, gap=3, middle=15)
    times = ceil(LARGE_LEAST / side)
    return SheetForm((window[0] * times, window[1] * times), rows, columns, gap=3, middle=15)


def fit_grid(count: int) -> tuple[int, int]:
    """Give rows and columns of the squarest grid for so many tiles.

    Example:
        >>> fit_grid(9), fit_grid(5), fit_grid(1)
        ((3, 3), (2, 3), (1, 1))
    """
    columns = ceil(sqrt(count))
    return ceil(count / columns), columns


def _reduce_size(window: tuple[int, int], side: int) -> tuple[int, int]:
    factor = side / max(window)
    return max(round(window[0] * factor), 1), max(round(window[1] * factor), 1)


def show_projections(projections: Sequence[Array], scaling: Scaling) -> list[Pixels]:
    """Bring a unit's projections to 8 bits, zero as mid grey.

    Args:
        projections: (h, w, 3) each, signed, strongest first.
        scaling: ``"unit"`` gives each its own full contrast, ``"shared"`` all of them one.
    """
    return [to_bytes(image) for image in scale_projections(projections, scaling)]


def make_sheet(projections: Sequence[Pixels], patches: Sequence[Pixels], form: SheetForm) -> Pixels:
    """Lay a unit's projections and patches out side by side, row by row.

    Args:
        projections: (h, w, 3) each, strongest first; slots that are left over stay blank.
        patches: As many, of the same size.
        form: The layout.

    Returns:
        The sheet, (height, width, 3).

    Example:
        >>> tiles = [np.zeros((7, 7, 3), dtype=np.uint8)] * 4
        >>> make_sheet(tiles, tiles, plan_small((7, 7), 9)).shape
        (170, 346, 3)
    """
    width, height = form.size
    sheet = np.full((height, width, 3), BLANK, dtype=np.uint8)
    half = form.half[1]
    sheet[:, :half] = lay_out(projections, form)
    sheet[:, half + form.middle :] = lay_out(patches, form)
    return sheet


def draw_silent(size: tuple[int, int]) -> Pixels:
    """Draw the tile of a photo in which the unit is silent: there is no picture to show.

    Args:
        size: Height and width.

    Returns:
        The word on a light ground, (h, w, 3).
    """
    height, width = size
    tile = Image.new("RGB", (width, height), (SILENT,) * 3)
    letters = min(max(round(width / 4.5), 8), LARGEST_LETTERS)
    _write(tile, "silent", (width / 2, height / 2), letters)
    return np.asarray(tile)


def _write(image: Image.Image, text: str, centre: tuple[float, float], letters: int) -> None:
    font = ImageFont.truetype(Path(get_data_path()) / "fonts/ttf/DejaVuSans.ttf", letters)
    ImageDraw.Draw(image).text(centre, text, fill=(68,) * 3, font=font, anchor="mm")


def fit_photo(photo: Pixels, size: tuple[int, int]) -> Pixels:
    """Bring a whole photo to a tile, for one of which no place stands out.

    Args:
        photo: (H, W, 3).
        size: Height and width of the tile.
    """
    kinds = Image.Resampling
    kind = kinds.LANCZOS if max(photo.shape[:2]) > max(size) else kinds.NEAREST
    image = ImageOps.pad(Image.fromarray(photo), size[::-1], kind, (BLANK,) * 3)
    return np.asarray(image)


def plan_strip(window: tuple[int, int], count: int) -> SheetForm:
    """Lay out a unit's range: labels, a row of projections, and the patches below.

    Args:
        window: Height and width of the projections' windows in pixels.
        count: How many photos it shows.

    Example:
        >>> plan_strip((27, 27), 8).half
        (108, 885)
    """
    large = plan_large(window, 1)
    return SheetForm(large.tile, rows=1, columns=count, gap=large.gap, middle=large.gap)


def make_strip(
    projections: Sequence[Pixels],
    patches: Sequence[Pixels],
    labels: Sequence[str],
    form: SheetForm,
) -> Pixels:
    """Lay the photos of a unit's range out in two rows, below their labels.

    Args:
        projections: (h, w, 3) each.
        patches: As many, of the same size.
        labels: What is written above each.
        form: From :func:`plan_strip`.

    Returns:
        The strip, (height, width, 3).
    """
    width, step = form.half[1], form.tile[1] + form.gap
    band = Image.new("RGB", (width, LABELS), (SILENT,) * 3)
    for number, label in enumerate(labels):
        centre = (number * step + form.tile[1] / 2, LABELS / 2)
        _write(band, label, centre, min(form.tile[1] // 8, LABELS // 2 + 2))
    gap = np.full((form.middle, width, 3), BLANK, dtype=np.uint8)
    rows = [np.asarray(band), lay_out(projections, form), gap, lay_out(patches, form)]
    return np.concatenate(rows)


def measure_strip(form: SheetForm) -> tuple[int, int]:
    """Give width and height of a strip in pixels."""
    return form.half[1], LABELS + 2 * form.half[0] + form.middle


def lay_out(tiles: Sequence[Pixels], form: SheetForm) -> Pixels:
    """Lay one half of a sheet out: tiles row by row, blank where there are none.

    Args:
        tiles: (h, w, 3) each, brought to the size of the form's tiles.
        form: The layout.
    """
    half = np.full((*form.half, 3), BLANK, dtype=np.uint8)
    height, width = form.tile
    for index, tile in enumerate(tiles):
        top = index // form.columns * (height + form.gap)
        left = index % form.columns * (width + form.gap)
        half[top : top + height, left : left + width] = _resize(tile, form.tile)
    return half


def _resize(tile: Pixels, size: tuple[int, int]) -> Pixels:
    """Enlarge by whole pixels, without smoothing, or reduce smoothly."""
    if tile.shape[0] <= size[0]:
        times = size[0] // tile.shape[0]
        return tile.repeat(times, axis=0).repeat(times, axis=1)
    return np.asarray(Image.fromarray(tile).resize(size[::-1], Image.Resampling.LANCZOS))
