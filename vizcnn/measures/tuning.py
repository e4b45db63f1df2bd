"""What filters are tuned to: peak frequency, orientation, selectivity and bandwidth."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vizcnn.measures.filters import check_filters
from vizcnn.measures.spectrum import transfer_function

INNER_SCALE = 1.0
"""Standard deviation in pixels of the Gaussian whose derivatives the orientation is read with."""

UNORIENTED = 1 / 3
"""Below this selectivity a filter has no orientation: the larger second moment is then less than
twice the smaller. The border is ours; 99 of 100 filters of white noise, 7 x 7 x 3, lie below."""

HALF = 0.5
"""Share of the peak's amplitude at which a bandwidth is read (De Valois, Albrecht & Thorell)."""

_FINE = 16
"""Frequencies of the search grid per pixel of a filter's side; Newton's steps go on from there."""
_NEWTON_STEPS = 20
_RAY_STEPS = 256
_AT_ONCE = 64
"""Filters that are transformed together, for the memory's sake."""


@dataclass(frozen=True)
class Tuning:
    """What :func:`measure_tuning` finds for F filters.

    Attributes:
        peak: (F,), radial frequency of the spectrum's maximum in cycles per pixel, 0..0.71; 0 for
            a low-pass filter and for a filter of zeros.
        orientation: (F,), of the bars that a filter answers to most, in degrees 0..180,
            anticlockwise from the horizontal as one sees it: 0 is horizontal, 90 vertical, 45
            rises to the right. NaN where the selectivity is below :data:`UNORIENTED`.
        selectivity: (F,), 0 (as much energy in every direction) .. 1 (a grating).
        bandwidth: (F,), full width at half amplitude in octaves; NaN where the band is open: it
            does not fall to half towards zero (low-pass) or below the sampling limit.
    """

    peak: Tensor
    orientation: Tensor
    selectivity: Tensor
    bandwidth: Tensor


def measure_tuning(weight: Tensor) -> Tuning:
    """Measure which gratings filters answer to most.

    All is read off the energy spectrum ``P(f)``: the squared magnitude of the Fourier transform,
    summed over the channels. It is computed exactly at any frequency as a sum of cosines over the
    autocorrelation (Wiener-Khinchin).

    - Peak: the largest value on a grid of 16 frequencies per pixel of the filter's side, from
      there by Newton's steps to the maximum itself; of equal maxima the lowest.
    - Orientation and selectivity: the least-squares line through the spectrum, that is the axis of
      its second moments ``J = integral of f f^T P(f) G(f)``; bars lie across it. This is the
      structure tensor (Bigün & Granlund 1987, "Optimal orientation detection of linear symmetry",
      ICCV), with derivatives of a Gaussian of one pixel, ``G = exp(-4 pi^2 f^2)``: without it the
      noise of single pixels outweighs the bars. The integral over the plane is solved, not
      sampled. The selectivity is ``(l1 - l2) / (l1 + l2)`` of the two eigenvalues; Bigün &
      Granlund's certainty is its square.
    - Bandwidth: ``log2(f2 / f1)`` where the amplitude ``sqrt(P)``, along the ray from zero through
      the peak, is first half of the peak's on either side (full width at half amplitude: De
      Valois, Albrecht & Thorell 1982, "Spatial frequency selectivity of cells in macaque visual
      cortex", Vision Research 22). A filter of n pixels cannot be narrower than about 1/n cycles
      per pixel.

    Args:
        weight: (F, C, kh, kw), the weights of a convolution.

    Returns:
        A measure per filter, float64 on the CPU.

    Raises:
        LayerError: If the weight is not four-dimensional or not finite.

    Example:
        >>> edge = torch.tensor([[1.0, -1.0]]).expand(1, 1, 2, 2)  # answers to vertical bars
        >>> measured = measure_tuning(edge)
        >>> measured.peak.item(), measured.orientation.item()
        (0.5, 90.0)
    """
    values = check_filters(weight)
    lags, correlation = _correlate(values)
    waves = _find_peaks(lags, correlation, max(values.shape[2:]))
    orientation, selectivity = _measure_axis(lags, correlation)
    return Tuning(
        peak=waves.norm(dim=1),
        orientation=torch.where(selectivity >= UNORIENTED, orientation, math.nan),
        selectivity=selectivity,
        bandwidth=_measure_bandwidth(lags, correlation, waves),
    )


def _correlate(values: Tensor) -> tuple[Tensor, Tensor]:
    """Autocorrelate filters; the lags (D, 2) are half of the plane, the other half is the same.

    Returns:
        Lags, and weights (F, D) with which ``P(f) = sum weight cos(2 pi f lag)``.
    """
    height, width = values.shape[2:]
    size = 2 * max(height, width)
    power = torch.cat(
        [transfer_function(part, size).abs().square().sum(1) for part in values.split(_AT_ONCE)]
    )
    correlation = torch.fft.ifft2(power).real
    rows, columns = torch.arange(height), torch.arange(1 - width, width)
    lags = torch.cartesian_prod(rows, columns)
    lags = lags[(lags[:, 0] > 0) | (lags[:, 1] >= 0)]
    both = torch.where((lags == 0).all(dim=1), 1.0, 2.0).double()
    return lags.double(), correlation[:, lags[:, 0], lags[:, 1]] * both


def _evaluate(lags: Tensor, correlation: Tensor, waves: Tensor) -> Tensor:
    """Give P at one wave vector (F, 2) per filter."""
    return (correlation * torch.cos(2 * math.pi * waves @ lags.T)).sum(1)


def _find_peaks(lags: Tensor, correlation: Tensor, side: int) -> Tensor:
    """Find the wave vectors (F, 2) of the maxima, cycles per pixel in -0.5..0.5."""
    size = _FINE * side
    grid = torch.zeros(len(correlation), size, size, dtype=torch.float64)
    rows, columns = lags.long().unbind(1)
    grid[:, rows % size, columns % size] = correlation
    # the real part of the transform of half the lags is the sum of cosines
    power = torch.fft.fft2(grid).real.flatten(1)
    line = torch.fft.fftfreq(size, dtype=torch.float64)
    places = torch.cartesian_prod(line, line)
    highest = power.amax(dim=1, keepdim=True)
    # of equal maxima the lowest: rounding would choose any
    radius = torch.where(power >= highest * (1 - 1e-9), places.norm(dim=1), math.inf)
    waves = places[radius.argmin(dim=1)]
    for _ in range(_NEWTON_STEPS):
        waves = _climb(lags, correlation, waves, 1 / size)
    return waves - waves.round()


def _climb(lags: Tensor, correlation: Tensor, waves: Tensor, longest: float) -> Tensor:
    """Take one of Newton's steps towards the maximum, where it leads up."""
    phase = 2 * math.pi * waves @ lags.T
    scaled = 2 * math.pi * lags
    slope = -(correlation * phase.sin()) @ scaled
    curvature = -torch.einsum("fd,di,dj->fij", correlation * phase.cos(), scaled, scaled)
    values, axes = torch.linalg.eigh(curvature)
    # where the spectrum is flat or bends up, the slope is followed instead
    bend = values.abs().clamp(min=1e-9 * correlation[:, :1].abs().clamp(min=1e-300))
    step = torch.einsum("fij,fj,fkj,fk->fi", axes, 1 / bend, axes, slope)
    step = step * (longest / step.norm(dim=1, keepdim=True).clamp(min=longest))
    better = _evaluate(lags, correlation, waves + step) > _evaluate(lags, correlation, waves)
    return torch.where(better[:, None], waves + step, waves)


def _measure_axis(lags: Tensor, correlation: Tensor) -> tuple[Tensor, Tensor]:
    """Give the orientation of the bars in degrees and the selectivity, (F,) each.

    ``integral of f_i f_j exp(-4 pi^2 s^2 f^2) cos(2 pi f lag)`` over the plane is, up to a factor,
    ``(2 s^2 [i = j] - lag_i lag_j) exp(-lag^2 / (4 s^2))``.
    """
    rows, columns = lags.unbind(1)
    window = correlation * torch.exp(-lags.square().sum(1) / (4 * INNER_SCALE**2))
    # twice the double-angle vector; what the two diagonal moments have in common falls out
    difference = (window * (rows.square() - columns.square())).sum(1)
    mixed = -(window * 2 * rows * columns).sum(1)
    total = (window * (4 * INNER_SCALE**2 - lags.square().sum(1))).sum(1)
    # the image's rows go down, angles go up: the bars are the mirrored axis turned by 90 degrees
    angle = 90 - torch.rad2deg(torch.atan2(mixed, difference)) / 2
    selectivity = torch.hypot(difference, mixed) / total.clamp(min=1e-300)
    return angle.remainder(180), selectivity.clamp(0, 1)


def _measure_bandwidth(lags: Tensor, correlation: Tensor, waves: Tensor) -> Tensor:
    """Give the octaves between the points of half amplitude along the rays, (F,)."""
    reach = waves.abs().amax(dim=1)
    farthest = torch.where(reach > 0, HALF / reach.clamp(min=1e-300), 1.0)
    steps = torch.linspace(0, 1, _RAY_STEPS + 1, dtype=torch.float64)
    parts = [part.split(_AT_ONCE) for part in (correlation, waves, farthest)]
    octaves = []
    for weights, ends, limit in zip(*parts, strict=True):
        inner = _first_half(lags, weights, ends, 1 - steps.expand(len(ends), -1))
        outer = _first_half(lags, weights, ends, 1 + (limit[:, None] - 1) * steps)
        octaves.append(torch.log2(outer / inner))
    return torch.where(reach > 0, torch.cat(octaves), math.nan)


def _first_half(lags: Tensor, correlation: Tensor, waves: Tensor, times: Tensor) -> Tensor:
    """Find where, in multiples (F, T) of the peak, the amplitude is first half; else NaN."""
    phase = 2 * math.pi * waves @ lags.T
    power = torch.einsum("fd,ftd->ft", correlation, torch.cos(times[:, :, None] * phase[:, None]))
    amplitude = power.clamp(min=0).sqrt()
    level = HALF * amplitude[:, :1]
    below = amplitude < level
    after = below.int().argmax(dim=1, keepdim=True).clamp(min=1)
    (high, low), (near, far) = (
        (line.gather(1, after - 1), line.gather(1, after)) for line in (amplitude, times)
    )
    crossing = near + (far - near) * (high - level) / (high - low).clamp(min=1e-300)
    return torch.where(below.any(dim=1, keepdim=True), crossing, math.nan)[:, 0]
