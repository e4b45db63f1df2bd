"""The grid that a strided layer leaves in projections: energy at the stride's own frequencies."""

import math
from functools import lru_cache

import torch
from torch import Tensor

from vizcnn.basics.errors import ImageError
from vizcnn.measures.spectrum import fade_edges

LEAST_SIDE = 24
"""Smallest side in pixels of a projection whose grid can be told from its surroundings."""
_REACH = 3
"""Distance of the surroundings from a grid frequency in units of 1 / side: just past the main lobe
of the Hann window, which ends at 2."""


def measure_grid(projection: Tensor, period: int = 4) -> float:
    """Measure how far the energy at the frequencies of a grid stands out from its surroundings.

    A layer of stride s builds its projection from copies of its filters on a grid of s pixels;
    where the copies do not blend, the picture has energy at the grid's frequency 1/s and its
    harmonics 2/s, ... up to 1/2 cycles per pixel (for a period of 4: 1/4 and 1/2), in either or
    both directions. ZF (section 4.1, Figure 6 (d)) see it as "aliasing artifacts".

    The measure is the mean power at those frequencies over the mean power at 24 places around
    each, 3 / side away. Powers are of the picture minus its mean, faded out at its edges (Hann),
    summed over colours.

    Values around 0.7 to 1 mean no grid, values far above 2 mean one. White noise has 1.0 on
    average; a smooth picture has less, for its power falls along a curve that is hollow upwards,
    and then the mean of the surroundings exceeds what lies in their middle. Measured on grey
    pictures of random phase, 51 pixels on a side, whose amplitude falls as 1, 1/f and 1/f^2: means
    of 1.0, 0.94 and 0.80, medians of 0.97, 0.87 and 0.71. A single picture strays further: nine of
    ten lie between 0.25 and 1.75. Unrelated colours stray less, with the same means.

    Args:
        projection: (C, h, w), cut to the receptive field.
        period: Period of the grid in pixels: the stride, 2 or more.

    Returns:
        The ratio, 0 or more; NaN for a picture without any such energy.

    Raises:
        ImageError: If the projection is smaller than :data:`LEAST_SIDE` or the period's
            frequencies lie too close together for its size.

    Example:
        >>> noise = torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(0))
        >>> comb = torch.zeros(3, 64, 64)
        >>> comb[:, ::4, ::4] = 4.0
        >>> measure_grid(noise) < 3, measure_grid(noise + comb) > 30
        (True, True)
    """
    height, width = projection.shape[-2:]
    side = min(height, width)
    if period < 2 or side < max(LEAST_SIDE, 2 * _REACH * period):
        raise ImageError(
            f"a projection of {height} x {width} pixels is too small to show a grid of period "
            f"{period}; needed: {max(LEAST_SIDE, 2 * _REACH * period)} or more on a side"
        )
    faded = fade_edges(projection.double().cpu())
    own, other = (_mean_power(faded, *waves) for waves in _list_waves(height, width, period))
    return own / other if other > 0 else math.nan


@lru_cache(maxsize=64)
def _list_waves(
    height: int, width: int, period: int
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Give the waves at the grid's frequencies, down and across, and those around each."""
    places = list_grid_frequencies(period)
    around = [
        (vertical + down / height, horizontal + across / width)
        for vertical, horizontal in places
        for down, across in _ring()
    ]
    return _make_waves(places, height, width), _make_waves(around, height, width)


def _make_waves(
    places: list[tuple[float, float]], height: int, width: int
) -> tuple[Tensor, Tensor]:
    verticals, horizontals = torch.tensor(places, dtype=torch.float64).T
    rows = torch.arange(height, dtype=torch.float64)
    columns = torch.arange(width, dtype=torch.float64)
    down = torch.exp(-2j * math.pi * verticals[:, None] * rows)
    across = torch.exp(-2j * math.pi * horizontals[:, None] * columns)
    return down, across


def list_grid_frequencies(period: int) -> list[tuple[float, float]]:
    """List the frequencies of a square grid without the mean, each pair (f, -f) once or twice.

    Example:
        >>> sorted({max(abs(v), abs(u)) for v, u in list_grid_frequencies(4)})
        [0.25, 0.5]
    """
    steps = range(-(period // 2), (period + 1) // 2)
    return [(v / period, u / period) for v in steps for u in steps if (v, u) != (0, 0)]


def _ring() -> list[tuple[int, int]]:
    """List the places of a square's edge, in units of 1 / side."""
    line = range(-_REACH, _REACH + 1)
    return [(v, u) for v in line for u in line if max(abs(v), abs(u)) == _REACH]


def _mean_power(picture: Tensor, down: Tensor, across: Tensor) -> float:
    """Give the mean over frequencies of the squared magnitude of the Fourier transform."""
    values = torch.einsum("py,cyx,px->pc", down, picture.to(down.dtype), across)
    return values.abs().square().sum(dim=1).mean().item()
