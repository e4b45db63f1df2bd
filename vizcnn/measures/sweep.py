"""A sweep of gratings through a strided layer: what comes out, and where it should not be."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vizcnn.aliasing.first_layer import FirstLayer
from vizcnn.aliasing.signals import (
    Frequency,
    find_frequency,
    fold_frequency,
    make_grating,
    point_frequency,
)
from vizcnn.progress import Progress, silent
from vizcnn.spectrum import transfer_function

SAMPLES = 16
"""Values on a side of a response; a grating's amplitude and frequency are exact on any number."""


@dataclass(frozen=True)
class Sweep:
    """Gratings of R frequencies in A directions, sent through a layer.

    Amplitudes are root mean squares over the layer's filters, for a grating of amplitude 1 in all
    three colours.

    Attributes:
        frequencies: (R,), cycles per pixel along the wave.
        orientations: (A,), degrees, direction of the wave.
        strided: (R, A), amplitude that the strided layer really gave.
        ideal: (R, A), what it would give after an ideal low-pass at the stride's limit: the
            transfer function's amplitude below, nothing above.
        predicted: (R, A), radial frequency at which the grating should be found after the stride.
        found: (R, A), radial frequency at which it was found, by the phase steps of the filter
            that answered most; NaN where none answers.
        limit: Highest frequency that the stride keeps, cycles per pixel.
        worst_miss: Largest distance between predicted and found frequency, cycles per pixel.
    """

    frequencies: Tensor
    orientations: Tensor
    strided: Tensor
    ideal: Tensor
    predicted: Tensor
    found: Tensor
    limit: float
    worst_miss: float

    @property
    def answered(self) -> int:
        """Number of gratings that the layer answered."""
        return int((~self.found.isnan()).sum())

    @property
    def aliased_share(self) -> float:
        """Share of the energy of all answers that the ideal layer would not have given, 0..1."""
        answered = self.strided.square().sum().item()
        wanted = self.ideal.square().sum().item()
        return max(1 - wanted / answered, 0.0) if answered else 0.0


@dataclass(frozen=True)
class _Answer:
    amplitude: float
    ideal: float
    predicted: Frequency
    found: Frequency | None


def sweep_gratings(
    layer: FirstLayer,
    frequencies: Sequence[float],
    orientations: Sequence[float],
    stride: int | None = None,
    progress: Progress = silent,
) -> Sweep:
    """Send gratings through the layer as it is, and compare with theory.

    Args:
        layer: Filters and stride.
        frequencies: Cycles per pixel along the wave, 0..0.5.
        orientations: Directions of the wave in degrees.
        stride: Another step than the layer's own.
        progress: Shows how far it is.

    Returns:
        Answers by frequency and direction.
    """
    step = stride or layer.stride
    places = [point_frequency(radial, angle) for radial in frequencies for angle in orientations]
    shown = progress(places, label="gratings", total=len(places))
    answers = [_ask(layer, place, step) for place in shown]
    shape = (len(frequencies), len(orientations))
    misses = [
        math.dist(answer.predicted, answer.found) for answer in answers if answer.found is not None
    ]
    return Sweep(
        frequencies=torch.tensor(frequencies, dtype=torch.float64),
        orientations=torch.tensor(orientations, dtype=torch.float64),
        strided=_table([answer.amplitude for answer in answers], shape),
        ideal=_table([answer.ideal for answer in answers], shape),
        predicted=_table([math.hypot(*answer.predicted) for answer in answers], shape),
        found=_table([math.hypot(*(answer.found or (math.nan, 0))) for answer in answers], shape),
        limit=0.5 / step,
        worst_miss=max(misses, default=0.0),
    )


def _table(values: list[float], shape: tuple[int, int]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).reshape(shape)


def _ask(layer: FirstLayer, place: Frequency, stride: int) -> _Answer:
    response = respond_to_grating(layer, place, stride)
    amplitudes = response.abs().square().mean(dim=(1, 2)).sqrt()
    amplitude = amplitudes.square().mean().sqrt().item()
    inside = all(-0.5 / stride <= part <= 0.5 / stride for part in place)
    strongest = response[amplitudes.argmax()]
    # weights of 32 bits leave that much where a filter's colours cancel
    mute = amplitude <= 1e-6 * layer.weight.abs().sum(dim=(1, 2, 3)).max().item()
    folded = fold_frequency(place, stride)
    return _Answer(
        amplitude=amplitude,
        ideal=_transfer_amplitude(layer, place) if inside else 0.0,
        predicted=folded,
        found=None if mute else _match_sign(find_frequency(strongest, stride), folded),
    )


def _match_sign(found: Frequency, folded: Frequency) -> Frequency:
    """Take the limit itself as the predicted end of its range: +1/(2s) and -1/(2s) are one."""
    matched = (
        -part if abs(part + aim) < 1e-9 else part for part, aim in zip(found, folded, strict=True)
    )
    vertical, horizontal = matched
    return vertical, horizontal


def respond_to_grating(layer: FirstLayer, place: Frequency, stride: int) -> Tensor:
    """Send a complex grating through the layer: its real and imaginary part, one after the other.

    Args:
        layer: Filters and stride.
        place: (v, u), cycles per pixel.
        stride: Step of the layer.

    Returns:
        (F, SAMPLES, SAMPLES), complex128; each a pure grating of the folded frequency, with the
        transfer function's amplitude (of the sum over colours).
    """
    size = (SAMPLES - 1) * stride + max(layer.weight.shape[2:])
    grating = make_grating(size, place)
    parts = torch.stack([grating.real, grating.imag])[:, None].expand(-1, 3, -1, -1)
    real, imaginary = layer.respond(parts.contiguous(), stride)[:, :, :SAMPLES, :SAMPLES]
    return torch.complex(real, imaginary)


def _transfer_amplitude(layer: FirstLayer, place: Frequency) -> float:
    """Give the root mean square over filters of |H| at one frequency, by its definition."""
    weight = layer.weight.double().sum(dim=1)
    wave = make_grating(max(weight.shape[1:]), place)[: weight.shape[1], : weight.shape[2]]
    transfer = (weight * wave).sum(dim=(1, 2))
    return transfer.abs().square().mean().sqrt().item()


def sample_transfer(layer: FirstLayer, size: int) -> Tensor:
    """Give the layer's amplitude at every frequency of a grid, for the same grating in all colours.

    Args:
        layer: Filters.
        size: Side of the grid.

    Returns:
        (size, size), float64: root mean square over the filters, zero frequency first.
    """
    transfer = transfer_function(layer.weight.double().sum(dim=1), size)
    return transfer.abs().square().mean(dim=0).sqrt()
