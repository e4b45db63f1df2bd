"""Intervals against SciPy's bootstrap."""

import math

import numpy as np
import pytest
from scipy.stats import bootstrap

from vizcnn.measures.bootstrap import CONFIDENCE, RESAMPLES, estimate

VALUES = np.random.default_rng(1).exponential(size=24)


@pytest.mark.parametrize("seed", [0, 7])
def test_interval_is_scipys(seed):
    expected = bootstrap(
        (VALUES,),
        np.median,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    found = estimate(VALUES, seed)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.value == np.median(VALUES) and found.photos == 24
    assert found.low and found.value and found.high
    assert found.low < found.value < found.high


def test_one_photo_has_no_interval():
    found = estimate([3.0, math.nan])
    assert (found.value, found.low, found.high, found.photos) == (3.0, None, None, 1)
    assert estimate([3.0, 4.0]).low == 3.0


def test_what_is_not_defined_is_left_out():
    found = estimate([*VALUES, math.nan], seed=2)
    assert found == estimate(VALUES, seed=2)
    assert estimate([math.nan]).photos == 0 and estimate([math.nan]).low is None
