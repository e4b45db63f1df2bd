"""Bootstrapped intervals: how far a median over these photos is one over others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
"""Share of the resampled medians that an interval holds."""
RESAMPLES = 1000
"""Draws of as many photos, with replacement."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A median over photos with its interval.

    Attributes:
        value: The median; None where it is defined on no photo.
        low: Lower end of the 95 % interval; None where it is defined on fewer than two photos.
        high: Upper end.
        photos: On how many photos the measure is defined.
    """

    value: float | None
    low: float | None
    high: float | None
    photos: int


def estimate(values: Sequence[float] | NDArray[np.float64], seed: int = 0) -> Estimate:
    """Estimate a median with the percentile bootstrap (Efron 1979).

    The photos are drawn anew :data:`RESAMPLES` times, with replacement, and the interval holds
    the middle 95 % of the medians. It says how far other photos of the same kind would move the
    number; it knows nothing of other nets, or of other seeds.

    Args:
        values: One per photo; NaN, where the measure is not defined, is left out.
        seed: Of numpy's default generator, which draws the photos.

    Example:
        >>> estimate([1.0, 2.0, float("nan"), 3.0])
        Estimate(value=2.0, low=1.0, high=3.0, photos=3)
        >>> estimate([5.0])
        Estimate(value=5.0, low=None, high=None, photos=1)
        >>> estimate([]).value is None
        True
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if not known.size:
        return Estimate(value=None, low=None, high=None, photos=0)
    middle = float(np.median(known))
    if known.size == 1:  # nothing is known of how photos differ: no width is not the same as zero
        return Estimate(value=middle, low=None, high=None, photos=1)
    drawn = np.random.default_rng(seed).integers(0, known.size, (RESAMPLES, known.size))
    medians = np.median(known[drawn], axis=1)
    outside = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(medians, [outside, 100 - outside])
    return Estimate(value=middle, low=float(low), high=float(high), photos=known.size)
