"""A Gaussian fitted to a map by least squares."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

_STEPS = 200
_SMALLEST_SIGMA = 1e-3
"""Pixels; a single bright pixel would be fitted by ever narrower ones."""
_DONE = 1e-12


@dataclass(frozen=True)
class GaussianFit:
    """A Gaussian A exp(-(y - y0)² / 2 sy² - (x - x0)² / 2 sx²), with axes along rows and columns.

    Attributes:
        sigma: Standard deviations in pixels, down and across.
        centre: Row and column of its middle.
        height: Its largest value.
        r2: Share of the map's variance that it explains: 1 of a perfect fit; 0 and less says no
            more than the mean does.
    """

    sigma: tuple[float, float]
    centre: tuple[float, float]
    height: float
    r2: float

    def evaluate(self, rows: Values, columns: Values) -> Values:
        """Give its values at rows (h,) and columns (w,), (h, w)."""
        down, across = (
            np.exp(-((places - middle) ** 2) / (2 * sigma**2))
            for places, middle, sigma in zip((rows, columns), self.centre, self.sigma, strict=True)
        )
        values: Values = self.height * down[:, None] * across[None, :]
        return values


def fit_gaussian(values: Values, corner: tuple[float, float] = (0, 0)) -> GaussianFit | None:
    """Fit a Gaussian to a map by least squares, from its moments on (Levenberg & Marquardt).

    What is cut off by the map's edge does no harm: only values that are there are compared.

    Args:
        values: (h, w), none negative.
        corner: Row and column of the first value.

    Returns:
        The fit; None where nothing tells a width: a map of fewer values than a Gaussian has
        numbers, one that is the same everywhere or a single value, or one that no step improves.

    Example:
        >>> rows, columns = np.arange(21.0), np.arange(31.0)
        >>> wanted = GaussianFit((3.0, 5.0), (9.0, 16.0), 2.0, 1.0)
        >>> found = fit_gaussian(wanted.evaluate(rows, columns))
        >>> np.allclose([*found.sigma, *found.centre, found.height], [3, 5, 9, 16, 2])
        True
    """
    scale = float(values.max(initial=0))
    if scale <= 0 or values.size < 6 or np.count_nonzero(values) < 2 or np.ptp(values) == 0:
        return None
    wanted = values / scale
    rows, columns = (np.arange(size, dtype=np.float64) for size in values.shape)
    found = _improve(
        lambda numbers: _evaluate(numbers, rows, columns), wanted, _start(wanted, rows, columns)
    )
    height, y, x, sigma_y, sigma_x = found
    if not np.isfinite(found).all() or height <= 0:
        return None
    error = float(((_evaluate(found, rows, columns)[0] - wanted) ** 2).sum())
    spread = float(((wanted - wanted.mean()) ** 2).sum())
    return GaussianFit(
        sigma=(abs(float(sigma_y)), abs(float(sigma_x))),
        centre=(float(y) + corner[0], float(x) + corner[1]),
        height=float(height) * scale,
        r2=1 - error / spread,
    )


def _start(values: Values, rows: Values, columns: Values) -> Values:
    """Begin with the moments: where a map is, and how wide."""
    total = values.sum()
    numbers = [1.0]
    widths = []
    for places, sums in ((rows, values.sum(axis=1)), (columns, values.sum(axis=0))):
        middle = float((places * sums).sum() / total)
        numbers.append(middle)
        widths.append(max(float(((places - middle) ** 2 * sums).sum() / total) ** 0.5, 0.3))
    return np.array([*numbers, *widths])


def _evaluate(numbers: Values, rows: Values, columns: Values) -> tuple[Values, Values]:
    """Give a Gaussian's values (h, w), and their derivatives by its five numbers (5, h, w)."""
    height, y, x, sigma_y, sigma_x = numbers
    from_y, from_x = (rows - y)[:, None] / sigma_y, (columns - x)[None, :] / sigma_x
    shape = np.exp(-(from_y**2) / 2) * np.exp(-(from_x**2) / 2)
    values = height * shape
    by = (
        shape,
        values * from_y / sigma_y,
        values * from_x / sigma_x,
        values * from_y**2 / sigma_y,
        values * from_x**2 / sigma_x,
    )
    return values, np.stack(by)


def _improve(
    evaluate: Callable[[Values], tuple[Values, Values]], wanted: Values, numbers: Values
) -> Values:
    """Lower the sum of squares step by step (Marquardt 1963)."""
    damping = 1e-3
    values, slopes = evaluate(numbers)
    error = float(((wanted - values) ** 2).sum())
    for _ in range(_STEPS):
        flat = slopes.reshape(len(numbers), -1)
        normal, downhill = flat @ flat.T, flat @ (wanted - values).ravel()
        bounds = np.diag(normal) + np.finfo(np.float64).tiny
        step = np.linalg.lstsq(normal + damping * np.diag(bounds), downhill, rcond=None)[0]
        tried = numbers + step
        tried[3:] = np.maximum(np.abs(tried[3:]), _SMALLEST_SIGMA)
        new_values, new_slopes = evaluate(tried)
        new_error = float(((wanted - new_values) ** 2).sum())
        if not new_error < error:
            damping *= 4
            if damping > 1e12:
                break
            continue
        settled = error - new_error <= _DONE * error and np.abs(step).max() < 1e-9
        numbers, values, slopes, error = tried, new_values, new_slopes, new_error
        damping = max(damping / 3, 1e-12)
        if settled or error == 0:
            break
    return numbers
