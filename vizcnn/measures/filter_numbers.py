"""Everything that is said of filters in numbers, for each and for their layer."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from vizcnn.basics.errors import LayerError
from vizcnn.measures.filters import HIGH_FREQUENCY, check_filters, measure_filters, share_inside
from vizcnn.measures.tuning import measure_tuning

Part = Literal["all", "luminance", "colour"]
"""What of a filter is shown."""

PART_WORDS: Mapping[Part, str] = {
    "all": "",
    "luminance": "luminance part: the mean of the three colours",
    "colour": "colour part: what differs from the mean of the three colours",
}
"""Parts in words, for captions."""


def split_parts(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Split filters into luminance and colour, which are orthogonal and sum to the filter.

    The luminance part is the mean over red, green and blue in each of the three: the projection
    onto the grey axis. The whole of the response to grey pictures is in it; the colour part
    answers to none. Their energies add up to the filter's.

    Args:
        weight: (F, 3, h, w).

    Returns:
        Luminance and colour part, (F, 3, h, w) each.

    Raises:
        LayerError: If there are other than three channels.

    Example:
        >>> import torch
        >>> luminance, colour = split_parts(torch.tensor([3.0, 0.0, 0.0]).view(1, 3, 1, 1))
        >>> luminance.flatten().tolist(), colour.flatten().tolist()
        ([1.0, 1.0, 1.0], [2.0, -1.0, -1.0])
    """
    if weight.shape[1] != 3:
        raise LayerError(
            f"filters of {weight.shape[1]} channels have no colours; needed: red, green and blue"
        )
    luminance = weight.mean(dim=1, keepdim=True).expand_as(weight)
    return luminance, weight - luminance


def take_part(weight: Tensor, part: Part) -> Tensor:
    """Give the asked part of filters (F, 3, h, w); of ``"all"`` any number of channels.

    Raises:
        LayerError: If a part of other than three channels is asked for.
    """
    if part == "all":
        return weight
    luminance, colour = split_parts(weight)
    return luminance if part == "luminance" else colour


LOW_FREQUENCY = 0.1
"""Cycles per pixel below which a frequency is low: a period of more than ten pixels. Zeiler &
Fergus speak of low, mid and high frequencies without borders; both borders here are ours."""

WHITE_SHARES = (
    math.pi * LOW_FREQUENCY**2,
    math.pi * (HIGH_FREQUENCY**2 - LOW_FREQUENCY**2),
    1 - math.pi * HIGH_FREQUENCY**2,
)
"""Shares of low, mid and high frequency in white noise, whose energy is the same everywhere."""


@dataclass(frozen=True, kw_only=True)
class FilterNumbers:
    """One filter in numbers.

    Frequencies are in cycles per pixel of the layer's input: the photo's pixels for the first
    layer, places of the feature map below for others.

    Attributes:
        energy: Sum of squares of its weights.
        rms: Root mean square of its weights.
        dead: Whether the RMS is at most 5 % of the layer's median.
        low: Share 0..1 of the energy below :data:`LOW_FREQUENCY`.
        mid: Share between the two borders.
        high: Share above :data:`~vizcnn.measures.filters.HIGH_FREQUENCY`; the three sum to 1, or
            are all 0 for a filter of zeros.
        peak: Frequency of the spectrum's maximum, 0 for low-pass filters; see
            :class:`~vizcnn.measures.tuning.Tuning`.
        orientation: Of the bars, degrees 0..180 anticlockwise from the horizontal, if any.
        selectivity: Of orientations, 0..1.
        bandwidth: Full width at half amplitude in octaves, if the band is closed.
        colour: Share 0..1 of the energy in the colour part; None where there are no colours.
        strongest_channel: Number of the input channel that holds most of the energy.
        strongest_share: That channel's share 0..1.
        channels_used: Effective number of input channels, ``(sum e)^2 / sum e^2`` over the
            channels' energies (the participation ratio): 1 if one channel holds all of the energy,
            C if all hold the same; 0 for a filter of zeros.
    """

    energy: float
    rms: float
    dead: bool
    low: float
    mid: float
    high: float
    peak: float
    orientation: float | None
    selectivity: float
    bandwidth: float | None
    colour: float | None
    strongest_channel: int
    strongest_share: float
    channels_used: float


def number_filters(
    weight: Tensor, groups: int = 1, coloured: bool = True
) -> tuple[FilterNumbers, ...]:
    """Measure filters.

    The energy at a frequency is the squared magnitude of the Fourier transform, summed over the
    channels; see :func:`~vizcnn.measures.filters.measure_filters` for the shares, which are exact,
    :func:`~vizcnn.measures.tuning.measure_tuning` for what a filter is tuned to, and
    :func:`~vizcnn.measures.filter_numbers.split_parts` for colour.

    Args:
        weight: (F, C, kh, kw), the weights of a convolution.
        groups: Groups of the convolution; a filter sees the channels of its own group only.
        coloured: Whether three channels are red, green and blue.

    Returns:
        The measures of each filter, computed in float64.

    Raises:
        LayerError: If the weight is not four-dimensional or not finite.

    Example:
        >>> (numbers,) = number_filters(torch.full((1, 3, 11, 11), 0.1))
        >>> round(numbers.energy, 2), numbers.peak, round(numbers.low, 2)
        (3.63, 0.0, 0.82)
    """
    values = check_filters(weight)
    strength, tuning = measure_filters(values), measure_tuning(values)
    channels = values.square().sum(dim=(2, 3))
    energy = channels.sum(dim=1)
    below, within = share_inside(values, LOW_FREQUENCY), share_inside(values, HIGH_FREQUENCY)
    positive = energy.clamp(min=1e-300)
    largest, strongest = channels.max(dim=1)
    colour = torch.full_like(energy, math.nan)
    if coloured and values.shape[1] == 3:
        colour = split_parts(values)[1].square().sum(dim=(1, 2, 3)) / positive
    group = torch.arange(len(values)) // (len(values) // groups)
    columns = {
        "energy": energy,
        "rms": strength.rms,
        "dead": strength.dead,
        "low": below,
        "mid": (within - below).clamp(min=0),
        "high": strength.high_share,
        "peak": tuning.peak,
        "orientation": tuning.orientation,
        "selectivity": tuning.selectivity,
        "bandwidth": tuning.bandwidth,
        "colour": colour,
        "strongest_channel": group * values.shape[1] + strongest,
        "strongest_share": largest / positive,
        "channels_used": energy.square() / channels.square().sum(dim=1).clamp(min=1e-300),
    }
    rows: Iterator[tuple[Any, ...]] = zip(*map(_list_known, columns.values()), strict=True)
    return tuple(FilterNumbers(**dict(zip(columns, row, strict=True))) for row in rows)


def _list_known(values: Tensor) -> list[Any]:
    return [None if value != value else value for value in values.tolist()]


@dataclass(frozen=True, kw_only=True)
class FilterSummary:
    """All filters of a layer in a few numbers; dead ones are left out of all but the counts.

    Attributes:
        filters: How many there are.
        dead: How many of them are dead.
        lowpass: How many have the maximum of their spectrum at zero frequency.
        oriented: How many have an orientation.
        energy: Median energy.
        low, mid, high: Mean shares 0..1 of the energy by frequency.
        peak: Median peak frequency of those that are not low-pass, if any.
        selectivity: Median selectivity, 0..1.
        bandwidth: Median bandwidth in octaves of those that have one, if any.
        colour: Mean share of colour in the energy, 0..1; None where there are no colours.
        channels_used: Median effective number of input channels.
    """

    filters: int
    dead: int
    lowpass: int
    oriented: int
    energy: float
    low: float
    mid: float
    high: float
    peak: float | None
    selectivity: float
    bandwidth: float | None
    colour: float | None
    channels_used: float


def summarise_filters(numbers: Sequence[FilterNumbers]) -> FilterSummary:
    """Put a layer's filters into a few numbers.

    Example:
        >>> layer = summarise_filters(number_filters(torch.ones(4, 1, 5, 5)))
        >>> layer.filters, layer.dead, layer.lowpass, layer.peak
        (4, 0, 4, None)
    """
    alive = [filter for filter in numbers if not filter.dead]

    def known(name: str) -> Tensor:
        values = [getattr(filter, name) for filter in alive]
        return torch.tensor([v for v in values if v is not None], dtype=torch.float64)

    def median(values: Tensor) -> float | None:
        return values.quantile(0.5).item() if len(values) else None

    def mean(name: str) -> float | None:
        return known(name).mean().item() if len(known(name)) else None

    peaks = known("peak")
    return FilterSummary(
        filters=len(numbers),
        dead=len(numbers) - len(alive),
        lowpass=int((peaks == 0).sum()),
        oriented=len(known("orientation")),
        energy=median(known("energy")) or 0.0,
        low=mean("low") or 0.0,
        mid=mean("mid") or 0.0,
        high=mean("high") or 0.0,
        peak=median(peaks[peaks > 0]),
        selectivity=median(known("selectivity")) or 0.0,
        bandwidth=median(known("bandwidth")),
        colour=mean("colour"),
        channels_used=median(known("channels_used")) or 0.0,
    )
