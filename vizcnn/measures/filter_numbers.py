"""Everything that is said of filters in numbers, for each and for their layer."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vizcnn.filters.measures import HIGH_FREQUENCY, check_filters, measure_filters, share_inside
from vizcnn.filters.parts import split_parts
from vizcnn.filters.tuning import measure_tuning
from vizcnn.gallery.filter_manifest import FilterSummary

LOW_FREQUENCY = 0.1
"""Cycles per pixel below which a frequency is low: a period of more than ten pixels. Zeiler &
Fergus speak of low, mid and high frequencies without borders; both borders here are ours."""

WHITE_SHARES = (
    math.pi * LOW_FREQUENCY**2,
    math.pi * (HIGH_FREQUENCY**2 - LOW_FREQUENCY**2),
    1 - math.pi * HIGH_FREQUENCY**2,
)
"""Shares of low, mid and high frequency in white noise, whose energy is the same everywhere."""


@dataclass(frozen=True)
class FilterNumbers:
    """What :func:`number_filters` finds for F filters.

    Frequencies are in cycles per pixel of the layer's input: the photo's pixels for the first
    layer, places of the feature map below for others.

    Attributes:
        energy: (F,), sum of squares of the weights.
        rms: (F,), root mean square of the weights.
        dead: (F,), bool: the RMS is at most 5 % of the layer's median.
        low: (F,), share 0..1 of the energy below :data:`LOW_FREQUENCY`.
        mid: (F,), share between the two borders.
        high: (F,), share above :data:`~vizcnn.filters.measures.HIGH_FREQUENCY`; the three sum to
            1, or are all 0 for a filter of zeros.
        peak: (F,), see :class:`~vizcnn.filters.tuning.Tuning`.
        orientation: (F,), degrees 0..180 or NaN.
        selectivity: (F,), 0..1.
        bandwidth: (F,), octaves or NaN.
        colour: (F,), share 0..1 of the energy in the colour part; NaN for other than 3 channels.
        strongest: (F,), the input channel with the most energy, by its place in the weight.
        strongest_share: (F,), its share 0..1 of the filter's energy.
        channels_used: (F,), effective number of input channels, ``(sum e)^2 / sum e^2`` over the
            channels' energies (the participation ratio): 1 if one channel holds all of the energy,
            C if all hold the same; 0 for a filter of zeros.
    """

    energy: Tensor
    rms: Tensor
    dead: Tensor
    low: Tensor
    mid: Tensor
    high: Tensor
    peak: Tensor
    orientation: Tensor
    selectivity: Tensor
    bandwidth: Tensor
    colour: Tensor
    strongest: Tensor
    strongest_share: Tensor
    channels_used: Tensor


def number_filters(weight: Tensor) -> FilterNumbers:
    """Measure filters.

    The energy at a frequency is the squared magnitude of the Fourier transform, summed over the
    channels; see :func:`~vizcnn.filters.measures.measure_filters` for the shares, which are exact,
    :func:`~vizcnn.filters.tuning.measure_tuning` for what a filter is tuned to, and
    :func:`~vizcnn.filters.parts.split_parts` for colour.

    Args:
        weight: (F, C, kh, kw), the weights of a convolution.

    Returns:
        Measures per filter, float64 on the CPU.

    Raises:
        LayerError: If the weight is not four-dimensional or not finite.

    Example:
        >>> numbers = number_filters(torch.full((1, 3, 11, 11), 0.1))
        >>> round(numbers.energy.item(), 2), numbers.peak.item(), round(numbers.low.item(), 2)
        (3.63, 0.0, 0.82)
    """
    values = check_filters(weight)
    strength, tuning = measure_filters(values), measure_tuning(values)
    channels = values.square().sum(dim=(2, 3))
    energy = channels.sum(dim=1)
    below, within = share_inside(values, LOW_FREQUENCY), share_inside(values, HIGH_FREQUENCY)
    positive = energy.clamp(min=1e-300)
    largest, strongest = channels.max(dim=1)
    return FilterNumbers(
        energy=energy,
        rms=strength.rms,
        dead=strength.dead,
        low=below,
        mid=(within - below).clamp(min=0),
        high=strength.high_share,
        peak=tuning.peak,
        orientation=tuning.orientation,
        selectivity=tuning.selectivity,
        bandwidth=tuning.bandwidth,
        colour=_share_colour(values, positive),
        strongest=strongest,
        strongest_share=largest / positive,
        channels_used=energy.square() / channels.square().sum(dim=1).clamp(min=1e-300),
    )


def _share_colour(values: Tensor, energy: Tensor) -> Tensor:
    if values.shape[1] != 3:
        return torch.full_like(energy, math.nan)
    _, colour = split_parts(values)
    return colour.square().sum(dim=(1, 2, 3)) / energy


def summarise_filters(numbers: FilterNumbers) -> FilterSummary:
    """Put a layer's filters into a few numbers.

    Example:
        >>> layer = summarise_filters(number_filters(torch.ones(4, 1, 5, 5)))
        >>> layer.filters, layer.dead, layer.lowpass, layer.peak
        (4, 0, 4, None)
    """
    alive = ~numbers.dead

    def known(values: Tensor) -> Tensor:
        return values[alive & values.isfinite()]

    def median(values: Tensor) -> float | None:
        return known(values).quantile(0.5).item() if len(known(values)) else None

    def mean(values: Tensor) -> float | None:
        return known(values).mean().item() if len(known(values)) else None

    return FilterSummary(
        filters=len(numbers.energy),
        dead=int(numbers.dead.sum()),
        lowpass=int((alive & (numbers.peak == 0)).sum()),
        oriented=int((alive & numbers.orientation.isfinite()).sum()),
        energy=median(numbers.energy) or 0.0,
        low=mean(numbers.low) or 0.0,
        mid=mean(numbers.mid) or 0.0,
        high=mean(numbers.high) or 0.0,
        peak=median(torch.where(numbers.peak > 0, numbers.peak, math.nan)),
        selectivity=median(numbers.selectivity) or 0.0,
        bandwidth=median(numbers.bandwidth),
        colour=mean(numbers.colour),
        channels_used=median(numbers.channels_used) or 0.0,
    )
