"""Gaussians found again, and no other nearer to a noisy map."""

import numpy as np
import pytest

from vizcnn.measures.gaussian_fit import GaussianFit, fit_gaussian

ROWS, COLUMNS = np.arange(41.0), np.arange(37.0)


def paint(height, y, x, down, across, rows=ROWS, columns=COLUMNS):
    from_y, from_x = (rows[:, None] - y) / down, (columns[None, :] - x) / across
    return height * np.exp(-0.5 * (from_y**2 + from_x**2))


@pytest.mark.parametrize(
    "numbers",
    [
        (1.0, 20.0, 18.0, 4.0, 6.0),
        (3e-5, 20.5, 17.5, 2.0, 2.0),
        (7e6, 12.3, 25.1, 8.0, 3.0),
        (2.0, 2.0, 33.0, 5.0, 7.0),  # most of it cut off
        (1.0, 20.0, 18.0, 40.0, 30.0),  # hardly falls off at all
    ],
)
def test_a_gaussian_is_found_again(numbers):
    found = fit_gaussian(paint(*numbers))
    assert found is not None
    height, y, x, down, across = numbers
    np.testing.assert_allclose(
        [found.height, *found.centre, *found.sigma], [height, y, x, down, across], rtol=1e-5
    )
    assert found.r2 == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("seed", range(4))
def test_no_other_gaussian_is_nearer(seed):
    generator = np.random.default_rng(seed)
    numbers = (1.0, *generator.uniform(10, 28, 2), *generator.uniform(2, 12, 2))
    noisy = (
        paint(*numbers) * generator.uniform(0.3, 1.7, (41, 37)) + generator.random((41, 37)) / 20
    )
    found = fit_gaussian(noisy, (100, 200))
    assert found is not None
    ours = [found.height, found.centre[0] - 100, found.centre[1] - 200, *found.sigma]

    def measure_error(given):
        return ((noisy - paint(*given)) ** 2).sum()

    least = measure_error(ours)
    for far in (1e-1, 1e-3, 1e-4):
        for _ in range(200):
            step = generator.normal(size=5) * far * [0.1, 1, 1, 1, 1]
            assert measure_error(np.add(ours, step)) >= least
    r2 = 1 - least / ((noisy - noisy.mean()) ** 2).sum()
    assert found.r2 == pytest.approx(r2, abs=1e-8) and found.r2 < 0.99


def test_it_is_evaluated_where_it_lies():
    fit = GaussianFit((4.0, 6.0), (20.0, 18.0), 3.0, 1.0)
    np.testing.assert_allclose(fit.evaluate(ROWS, COLUMNS), paint(3.0, 20.0, 18.0, 4.0, 6.0))


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((9, 9)),
        np.ones((9, 9)),
        np.eye(9)[:2, :2],
        np.diag([0.0] * 8 + [1.0]),
        np.exp(np.arange(9.0))[:, None] * np.hanning(9),  # it only rises: the middle is far away
    ],
)
def test_what_has_no_width_has_no_fit(values):
    assert fit_gaussian(values) is None
