"""Arrays -> arrays that can be shown: scaled to 0..1, cut, enlarged, laid out in a grid."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vizcnn.photos.pixels import LUMINANCE, Array, Box

Scaling = Literal["unit", "shared"]
"""Each tile by its own largest value, or all tiles of a figure by one."""

ROBUST_PERCENTILE = 99.5
"""Percentile of absolute values that becomes full contrast; the few above are clipped."""

GREY = 0.5
"""What zero is shown as."""


SHADOW = 0.25
"""Contrast that is left of the photo under an overlay."""


def robust_limit(values: Array) -> float:
    """Find the absolute value that is shown at full contrast.

    Args:
        values: Any shape; zeros are left out, since most of a projection is empty.

    Returns:
        The :data:`ROBUST_PERCENTILE` of the absolute values that are not zero, or 0.0.

    Example:
        >>> robust_limit(np.array([0.0, -2.0, 2.0], dtype=np.float32))
        2.0
    """
    magnitudes = np.abs(values[values != 0])
    return float(np.percentile(magnitudes, ROBUST_PERCENTILE)) if magnitudes.size else 0.0


def scale_signed(values: Array, limit: float) -> Array:
    """Show signed values with zero as mid grey.

    Args:
        values: Any shape.
        limit: Absolute value that reaches black or white; 0 gives plain grey.

    Returns:
        The same shape, 0..1: ``0.5 + values / (2 limit)``, clipped.

    Example:
        >>> scale_signed(np.array([-1.0, 0.0, 3.0], dtype=np.float32), 2.0).tolist()
        [0.25, 0.5, 1.0]
    """
    if limit <= 0:
        return np.full_like(values, GREY)
    scaled: Array = np.clip(GREY + values / (2 * limit), 0, 1).astype(np.float32)
    return scaled


def scale_projections(projections: Sequence[Array], scaling: Scaling) -> list[Array]:
    """Scale projections for showing.

    Args:
        projections: (H, W, 3) each, signed.
        scaling: ``"unit"`` gives each its full contrast, ``"shared"`` keeps their ratios.

    Returns:
        (H, W, 3) each, 0..1, zero as mid grey.
    """
    limits = [robust_limit(projection) for projection in projections]
    if scaling == "shared":
        limits = [max(limits, default=0.0)] * len(limits)
    return [scale_signed(p, limit) for p, limit in zip(projections, limits, strict=True)]


def describe_scaling(scaling: Scaling) -> str:
    """Say in words how projections were scaled."""
    percentile = f"{ROBUST_PERCENTILE} percentile of |values| above zero"
    whose = f"each unit's {percentile}" if scaling == "unit" else f"the units' largest {percentile}"
    return f"zero is mid grey; full contrast: {whose}"


def cut_box(image: Array, box: Box) -> Array:
    """Cut a box (top, left, bottom, right) out of an image (H, W, C)."""
    top, left, bottom, right = box
    return image[top:bottom, left:right]


def pad_tile(image: Array, side: int) -> Array:
    """Set an image into the middle of a square, around it mid grey.

    Args:
        image: (h, w, 3), 0..1.
        side: Side of the square in pixels, of the image's longer side at least.

    Returns:
        (side, side, 3), 0..1.

    Example:
        >>> pad_tile(np.zeros((7, 5, 3), dtype=np.float32), 7).shape
        (7, 7, 3)
    """
    height, width = image.shape[:2]
    tile = np.full((side, side, 3), GREY, dtype=np.float32)
    top, left = (side - height) // 2, (side - width) // 2
    tile[top : top + height, left : left + width] = image
    return tile


def lay_out_grid(
    tiles: Sequence[Array], columns: int, gap: int = 1, background: float = 1.0
) -> Array:
    """Lay tiles of one size out in rows.

    Args:
        tiles: (h, w, 3) each, 0..1.
        columns: Tiles in a row.
        gap: Pixels between tiles.
        background: What gaps and empty places are filled with.

    Returns:
        One image (H, W, 3), 0..1.

    Example:
        >>> lay_out_grid([np.zeros((7, 7, 3), dtype=np.float32)] * 5, columns=3).shape
        (15, 23, 3)
    """
    height, width = tiles[0].shape[:2]
    rows = -(-len(tiles) // columns)
    grid = np.full(
        (rows * (height + gap) - gap, columns * (width + gap) - gap, 3),
        background,
        dtype=np.float32,
    )
    for index, tile in enumerate(tiles):
        top = index // columns * (height + gap)
        left = index % columns * (width + gap)
        grid[top : top + height, left : left + width] = tile
    return grid


def grid_columns(count: int) -> int:
    """Give the number of columns that brings a grid nearest to 3 : 2, full rows preferred.

    Example:
        >>> grid_columns(96), grid_columns(64)
        (12, 8)
    """
    near = max(round((count * 1.5) ** 0.5), 1)
    options = [columns for columns in range(max(near - 2, 1), near + 3) if count % columns == 0]
    return min(options, key=lambda columns: abs(columns - near)) if options else near


def lay_over(photo: Array, projections: Sequence[Array]) -> Array:
    """Lay projections, each at its own contrast, over the photo's pale grey shadow.

    Args:
        photo: (S, S, 3), 0..1.
        projections: (S, S, 3) each, signed.

    Returns:
        (S, S, 3), 0..1; where projections overlap, the one that is strongest there is shown.
    """
    grey = photo @ np.array(LUMINANCE, dtype=np.float32)
    shadow = (grey[:, :, None] - GREY) * np.float32(SHADOW)
    strongest = np.zeros_like(photo)
    for projection in projections:
        shown = scale_signed(projection, robust_limit(projection)) - GREY
        stronger = np.abs(shown).max(axis=2) > np.abs(strongest).max(axis=2)
        strongest = np.where(stronger[:, :, None], shown, strongest)
    laid: Array = np.clip(GREY + shadow + strongest, 0, 1).astype(np.float32)
    return laid


def enlarge(image: Array, side: int) -> Array:
    """Enlarge an image by whole pixels, as far as its longer side stays within a limit."""
    times = max(side // max(image.shape[:2]), 1)
    return image.repeat(times, axis=0).repeat(times, axis=1)


def to_bytes(image: Array) -> NDArray[np.uint8]:
    """Round an image of 0..1 to 8 bits."""
    return np.asarray(np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
