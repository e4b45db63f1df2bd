"""Bands over seeds, against SciPy's own intervals and the definition of Student's distribution."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vizcnn.basics.errors import VizcnnError
from vizcnn.measures.seed_bands import compare_seeds, measure_band

ERRORS = st.lists(st.floats(0, 1), min_size=2, max_size=6)


@given(ERRORS)
def test_a_band_is_mean_range_and_t_interval(values):
    band = measure_band(values)
    assert (band.least, band.most, band.seeds) == (min(values), max(values), len(values))
    assert band.mean == pytest.approx(sum(values) / len(values))
    scale = stats.sem(values)
    assert band.low is not None and band.high is not None
    if scale > 1e-12:
        low, high = stats.t.interval(0.95, len(values) - 1, loc=band.mean, scale=scale)
        assert (band.low, band.high) == pytest.approx((low, high), rel=1e-9)
    else:
        assert band.high - band.low == pytest.approx(0, abs=1e-9)


def test_the_quantile_is_the_one_of_students_density():
    """Integrated by hand: 95 % of the density of two degrees of freedom lie inside."""
    band = measure_band([0.0, 1.0, 2.0])
    assert band.high is not None
    reach = (band.high - band.mean) / (1 / math.sqrt(3))
    places = np.linspace(-reach, reach, 2_000_001)
    inside = np.trapezoid((2 + places**2) ** -1.5, places)
    assert inside == pytest.approx(0.95, abs=1e-9)
    assert reach == pytest.approx(4.3027, abs=1e-4)  # of every printed table


@given(ERRORS, ERRORS)
def test_a_difference_is_welchs(one, other):
    found = compare_seeds(one, other)
    assert found.mean == pytest.approx(np.mean(one) - np.mean(other))
    if np.std(one) + np.std(other) < 1e-6:
        return
    theirs = stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), rel=1e-7, abs=1e-9)
    assert found.is_told == (theirs.low > 0 or theirs.high < 0)


def test_one_seed_has_no_band():
    band = measure_band([0.25])
    assert (band.low, band.high, band.seeds) == (None, None, 1)
    found = compare_seeds([0.25], [0.5, 0.6])
    assert (found.low, found.high, found.is_told) == (None, None, False)
    same = compare_seeds([0.5, 0.5], [0.25, 0.25])
    assert (same.low, same.high, same.is_told) == (0.25, 0.25, True)
    for call in (lambda: measure_band([]), lambda: compare_seeds([], [1.0])):
        with pytest.raises(VizcnnError, match="no seed gave a number"):
            call()
