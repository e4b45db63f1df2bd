"""A Gaussian fitted to a map by least squares."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

_SMALLEST_SIGMA = 1e-3
"""Pixels; a single bright pixel would be fitted by ever narrower ones."""
_DONE = {"ftol": 1e-12, "xtol": 1e-12, "gtol": 1e-12}
"""Relative changes from which on a fit is done."""


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
    """Fit a Gaussian to a map by least squares, from its moments on (by SciPy).

    What is cut off by the map's edge does no harm: only values that are there are compared.

    Args:
        values: (h, w), none negative.
        corner: Row and column of the first value.

    Returns:
        The fit; None where nothing tells a width: a map of fewer values than a Gaussian has
        numbers, one that is the same everywhere or a single value, or one whose middle would lie
        farther beyond its edge than it is wide, as of a map that only rises.

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
    # here, not above: it takes longer to load than most maps to fit
    from scipy.optimize import least_squares

    # what is nearly all cut off has its middle beyond the map
    least = [0.0, -3 * len(rows), -3 * len(columns), _SMALLEST_SIGMA, _SMALLEST_SIGMA]
    try:
        found = least_squares(
            lambda numbers: (_evaluate(numbers, rows, columns)[0] - wanted).ravel(),
            _start(wanted, rows, columns),
            lambda numbers: _evaluate(numbers, rows, columns)[1].reshape(5, -1).T,
            bounds=(least, np.inf),
            x_scale="jac",
            **_DONE,
        ).x
    except (ValueError, np.linalg.LinAlgError):  # of numbers beyond what a float holds
        return None
    height, y, x, sigma_y, sigma_x = found
    near = all(-size < middle < 2 * size for middle, size in zip((y, x), values.shape, strict=True))
    if not np.isfinite(found).all() or height <= 0 or not near:
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
