"""Agreement of pictures against SciPy and the formula of Wang et al. in plain numpy."""

import math

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from vizcnn.measures.agreement import (
    correlate,
    find_magnitudes,
    find_similarity,
    rank,
    stretch,
)

RNG = np.random.default_rng(3)


def draw_picture(*shape: int) -> np.ndarray:
    """Noise of which nearly half is exactly zero, as pictures are."""
    values = RNG.normal(size=shape).astype(np.float32)
    return np.where(RNG.random(shape) < 0.4, 0, values).astype(np.float32)


def test_ranks_are_scipys():
    values = draw_picture(3, 9, 7)
    assert rank(values).tolist() == rankdata(values.ravel()).tolist()


def test_rank_correlation_is_that_of_scipy():
    one, other = draw_picture(3, 12, 10), draw_picture(3, 12, 10)
    other += 0.5 * one
    found = correlate(rank(one), rank(other))
    assert found == pytest.approx(spearmanr(one.ravel(), other.ravel()).statistic, abs=1e-12)
    assert 0.2 < found < 0.9


def test_correlation_with_what_is_the_same_everywhere_is_not_defined():
    assert math.isnan(correlate(rank(np.zeros(9)), rank(np.arange(9.0))))


def test_similarity_is_the_formula():
    one, other = (find_magnitudes(draw_picture(3, 20, 16)) for _ in range(2))
    other = 0.3 * other + one

    def slide(values):
        return np.lib.stride_tricks.sliding_window_view(values, (7, 7))

    x, y = (
        np.minimum(m.astype(np.float64) / np.percentile(m, 99.5), 1).astype(np.float64)
        for m in (one, other)
    )
    means = slide(x).mean(axis=(2, 3)), slide(y).mean(axis=(2, 3))
    spread = 49 / 48  # of a sample
    variances = spread * slide(x).var(axis=(2, 3)), spread * slide(y).var(axis=(2, 3))
    covariance = spread * (slide(x * y).mean(axis=(2, 3)) - means[0] * means[1])
    expected = (
        (2 * means[0] * means[1] + 0.01**2)
        * (2 * covariance + 0.03**2)
        / ((means[0] ** 2 + means[1] ** 2 + 0.01**2) * (sum(variances) + 0.03**2))
    ).mean()
    assert find_similarity(one, other) == pytest.approx(expected, abs=1e-5)
    assert find_similarity(one, one) == pytest.approx(1, abs=1e-12)


def test_a_single_bright_pixel_does_not_decide():
    one, other = (find_magnitudes(draw_picture(3, 30, 30)) for _ in range(2))
    plain = find_similarity(one, other)
    one[4, 4] = other[4, 4] = 1e4  # the maximum that others divide by
    assert find_similarity(one, other) == pytest.approx(plain, abs=0.05)
    assert stretch(one).max() == 1 and np.median(stretch(one)) > 0.05


def test_similarity_needs_a_window_and_a_picture():
    small, large = np.ones((6, 9), dtype=np.float32), np.ones((9, 9), dtype=np.float32)
    assert math.isnan(find_similarity(small, small))
    assert math.isnan(find_similarity(0 * large, large))
