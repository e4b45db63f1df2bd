"""How far two pictures agree: rank correlation and structural similarity, in the same pixels."""

import math

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from vizcnn.photos.pixels import Array

FULL_CONTRAST = 99.5
"""Percentile of the magnitudes that is full contrast, as in figures; a maximum is one pixel's."""
WINDOW = 7
"""Side in pixels of the windows that structural similarity is computed in."""

Ranks = NDArray[np.float64]


def rank(values: Array | Ranks) -> Ranks:
    """Rank values from 1; equal ones share the mean of their ranks.

    Args:
        values: Any shape.

    Returns:
        As many ranks, in one row.

    Example:
        >>> rank(np.array([3.0, 0.0, 0.0, 8.0])).tolist()
        [3.0, 1.5, 1.5, 4.0]
    """
    _, places, counts = np.unique(values.ravel(), return_inverse=True, return_counts=True)
    means: Ranks = np.cumsum(counts) - (counts - 1) / 2
    return means[places]


def correlate(one: Ranks, other: Ranks) -> float:
    """Give the linear correlation of two rows; of ranks it is Spearman's rank correlation.

    Returns:
        -1 to 1; NaN where one of them is the same everywhere.

    Example:
        >>> correlate(rank(np.array([1.0, 2.0, 9.0])), rank(np.array([0.1, 0.2, 0.3])))
        1.0
    """
    one, other = one - one.mean(), other - other.mean()
    energy = math.sqrt(float(one @ one) * float(other @ other))
    return min(max(float(one @ other) / energy, -1.0), 1.0) if energy > 0 else math.nan


def find_magnitudes(picture: Array) -> Array:
    """Sum the absolute values of a picture (channels, h, w) over its channels: (h, w)."""
    magnitudes: Array = np.abs(picture).sum(axis=0)
    return magnitudes


def stretch(magnitudes: Array) -> Array:
    """Bring magnitudes to 0..1, the :data:`FULL_CONTRAST` percentile and all above to 1.

    Peers divide by the maximum: then one pixel decides how alike the rest is.
    """
    limit = float(np.percentile(magnitudes, FULL_CONTRAST)) or float(magnitudes.max())
    stretched: Array = np.clip(magnitudes / limit, 0, 1) if limit > 0 else magnitudes * 0
    return stretched


def find_similarity(one: Array, other: Array) -> float:
    """Give the structural similarity (SSIM, Wang et al. 2004) of two magnitude maps.

    Both are stretched to 0..1 (:func:`stretch`); means, variances and covariance are those of
    scikit-image, in windows of 7 x 7 pixels, with a data range of 1.

    Args:
        one: (h, w), 0 or more.
        other: The same shape.

    Returns:
        -1 to 1; NaN for maps smaller than a window, and where one is zero everywhere.

    Example:
        >>> ramp = np.arange(100.0).reshape(10, 10)
        >>> round(find_similarity(ramp, ramp * 5), 6)
        1.0
    """
    if min(one.shape) < WINDOW or not (one.any() and other.any()):
        return math.nan
    pair = (stretch(one), stretch(other))
    return float(structural_similarity(*pair, win_size=WINDOW, data_range=1.0))
