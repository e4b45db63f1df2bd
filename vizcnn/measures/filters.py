"""Strength and smoothness of filters: RMS, shares of energy by frequency, how many dead.

What they are tuned to is measured in :mod:`vizcnn.measures.tuning`.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vizcnn.basics.errors import LayerError

HIGH_FREQUENCY = 0.25
"""Half of the sampling limit of 0.5 cycles per pixel: a trained filter has little above it."""

DEAD_SHARE = 0.05
"""A filter is dead when its RMS is at most this share of the layer's median RMS."""


@dataclass(frozen=True)
class FilterMeasures:
    """What :func:`measure_filters` finds for F filters.

    Attributes:
        rms: (F,), root mean square of each filter's weights.
        high_share: (F,), share 0..1 of each filter's energy above :data:`HIGH_FREQUENCY`; 0 for a
            filter of zeros. White noise and a single pixel have 1 - pi / 16 = 0.80.
        dead: (F,), bool, whether the RMS is at most :data:`DEAD_SHARE` of the median RMS.
    """

    rms: Tensor
    high_share: Tensor
    dead: Tensor

    @property
    def median_high_share(self) -> float:
        """Median of ``high_share`` over the filters that are not dead; 0 if all are."""
        alive = self.high_share[~self.dead]
        return alive.quantile(0.5).item() if len(alive) else 0.0


def measure_filters(weight: Tensor) -> FilterMeasures:
    """Measure the strength and the smoothness of a layer's filters.

    A filter's energy at a frequency is the squared magnitude of its Fourier transform (the
    discrete-space one, of the filter in an infinite field of zeros), summed over its channels;
    the mean is not removed, as it is part of the filter. The energy inside the disc
    of radial frequency r <= 0.25 is exact, not sampled: integrating the transform over the disc
    turns it into a quadratic form of the weights, ``sum w[i] w[j] K(|i - j|)`` with
    ``K(d) = r J1(2 pi r d) / d``. The total is the sum of squares (Parseval).

    Args:
        weight: (F, C, kh, kw), the weights of a convolution.

    Returns:
        A measure per filter, float64 on the CPU.

    Raises:
        LayerError: If the weight is not four-dimensional or not finite.

    Example:
        >>> pixel = torch.zeros(1, 3, 7, 7)
        >>> pixel[..., 3, 3] = 1
        >>> round(measure_filters(pixel).high_share.item(), 4)
        0.8037
    """
    values = check_filters(weight)
    rms = values.pow(2).mean(dim=(1, 2, 3)).sqrt()
    high_share = torch.where(rms > 0, 1 - share_inside(values, HIGH_FREQUENCY), 0.0)
    return FilterMeasures(rms, high_share.clamp(0, 1), rms <= DEAD_SHARE * rms.quantile(0.5))


def check_filters(weight: Tensor) -> Tensor:
    """Give filters as finite float64 numbers on the CPU.

    Args:
        weight: (F, C, kh, kw).

    Raises:
        LayerError: If the weight is not four-dimensional, empty or not finite.
    """
    if weight.dim() != 4 or not weight.numel() or not weight.isfinite().all():
        raise LayerError(
            f"filters of shape {tuple(weight.shape)} cannot be measured; "
            "needed: finite weights (filters, channels, height, width)"
        )
    return weight.detach().cpu().double()


def share_inside(weight: Tensor, radius: float) -> Tensor:
    """Give the share of each filter's energy at radial frequencies up to a radius.

    Exact, by the quadratic form that :func:`measure_filters` explains.

    Args:
        weight: (F, C, kh, kw).
        radius: In cycles per pixel, 0..0.5.

    Returns:
        (F,), 0..1; 0 for a filter of zeros.

    Raises:
        LayerError: If the weight cannot be measured.

    Example:
        >>> pixel = torch.ones(1, 1, 1, 1)
        >>> round(share_inside(pixel, 0.1).item(), 6)  # pi 0.1^2 of the unit square
        0.031416
    """
    flat = check_filters(weight).flatten(2)
    kernel = _disc_kernel(weight.shape[2], weight.shape[3], radius)
    inside = torch.einsum("fci,ij,fcj->f", flat, kernel, flat)
    total = flat.pow(2).sum(dim=(1, 2))
    return torch.where(total > 0, inside / total.clamp(min=1e-300), 0.0).clamp(0, 1)


def _disc_kernel(height: int, width: int, radius: float) -> Tensor:
    """Integrate exp(2 pi i f (p - q)) over the disc |f| <= radius for all pixel pairs."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = torch.stack([rows.flatten(), columns.flatten()], dim=1).double()
    distance = torch.cdist(places, places, compute_mode="donot_use_mm_for_euclid_dist")
    bessel: Tensor = torch.special.bessel_j1(2 * math.pi * radius * distance)
    return torch.where(
        distance > 0, radius * bessel / distance.clamp(min=1), math.pi * radius * radius
    )
