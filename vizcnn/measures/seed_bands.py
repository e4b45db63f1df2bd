"""Bands over seeds: how far a number moves when a net is trained again from other weights."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from vizcnn.basics.errors import VizcnnError

CONFIDENCE = 0.95
"""Of the intervals: the share of repetitions of the whole experiment that hold the true mean."""


@dataclass(frozen=True, kw_only=True)
class SeedBand:
    """What several seeds gave.

    Attributes:
        mean: Their mean.
        least: The smallest.
        most: The largest.
        low: Lower end of the 95 % t interval of the mean; None of one seed, which says nothing of
            how far seeds differ.
        high: Its upper end.
        seeds: How many they are.
    """

    mean: float
    least: float
    most: float
    low: float | None
    high: float | None
    seeds: int


def measure_band(values: Sequence[float]) -> SeedBand:
    """Measure mean, range and t interval of what seeds gave.

    With three seeds the interval is 4.3 standard errors to either side (Student 1908), where the
    familiar two of a normal distribution would promise more than three runs can know. It holds for
    other seeds of the same recipe on the same photos, not for other photos.

    Args:
        values: One per seed.

    Raises:
        VizcnnError: If there is none.

    Example:
        >>> measure_band([0.25, 0.5])
        SeedBand(mean=0.375, least=0.25, most=0.5, low=-1.213..., high=1.963..., seeds=2)
        >>> measure_band([0.25]).low is None
        True
    """
    known = np.asarray(values, dtype=np.float64)
    if not known.size:
        raise VizcnnError("no seed gave a number; needed: one at least")
    mean, low, high = float(known.mean()), None, None
    if known.size > 1:
        half = _find_quantile(known.size - 1) * float(known.std(ddof=1)) / np.sqrt(known.size)
        low, high = mean - float(half), mean + float(half)
    return SeedBand(
        mean=mean,
        least=float(known.min()),
        most=float(known.max()),
        low=low,
        high=high,
        seeds=known.size,
    )


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far two means over seeds are apart.

    Attributes:
        mean: The one mean minus the other.
        low: Lower end of the 95 % interval; None where either is of one seed.
        high: Its upper end.
    """

    mean: float
    low: float | None
    high: float | None

    @property
    def is_told(self) -> bool:
        """Whether these seeds tell the two apart: the interval does not hold zero."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def compare_seeds(values: Sequence[float], others: Sequence[float]) -> Difference:
    """Compare what seeds gave of two nets, whose scatter may differ (Welch 1947).

    Args:
        values: One per seed of the one.
        others: One per seed of the other.

    Raises:
        VizcnnError: If there is none of either.

    Example:
        >>> compare_seeds([0.5, 0.625], [0.125, 0.25])
        Difference(mean=0.375, low=-0.005..., high=0.755...)
        >>> compare_seeds([0.5, 0.6], [0.1, 0.2]).is_told
        True
    """
    one, other = (np.asarray(some, dtype=np.float64) for some in (values, others))
    if not one.size or not other.size:
        raise VizcnnError("no seed gave a number; needed: one at least of either net")
    mean = float(one.mean() - other.mean())
    if min(one.size, other.size) < 2:
        return Difference(mean=mean, low=None, high=None)
    shares = np.array([some.var(ddof=1) / some.size for some in (one, other)])
    if not shares.any():
        return Difference(mean=mean, low=mean, high=mean)
    parts = shares / shares.sum()
    freedom = 1 / (parts**2 / [one.size - 1, other.size - 1]).sum()
    half = _find_quantile(float(freedom)) * float(np.sqrt(shares.sum()))
    return Difference(mean=mean, low=mean - half, high=mean + half)


def _find_quantile(freedom: float) -> float:
    """Give the quantile of Student's t distribution that an interval reaches to either side."""
    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
