"""A sweep of gratings through a strided layer: what comes out, and where it should not be."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vizcnn.measures.first_layer import FirstLayer
from vizcnn.measures.spectrum import transfer_function

Frequency = tuple[float, float]
"""Vertical and horizontal frequency in cycles per pixel."""


def make_grating(size: int, frequency: Frequency) -> Tensor:
    """Make the complex grating ``exp(2 pi i (v y + u x))``; its real part is a cosine grating.

    Args:
        size: Side in pixels.
        frequency: (v, u), cycles per pixel.

    Returns:
        (size, size), complex128, magnitude 1.

    Example:
        >>> make_grating(4, (0.0, 0.25))[0].real.round().tolist()
        [1.0, 0.0, -1.0, -0.0]
    """
    vertical, horizontal = frequency
    line = torch.arange(size, dtype=torch.float64)
    phase = 2 * math.pi * (vertical * line[:, None] + horizontal * line[None, :])
    return torch.polar(torch.ones_like(phase), phase)


def point_frequency(radial: float, orientation: float) -> Frequency:
    """Give the frequency of a grating whose wave runs in a direction.

    Args:
        radial: Cycles per pixel along the wave.
        orientation: Direction of the wave in degrees, anticlockwise from rightward.

    Returns:
        (v, u); rows count downwards, so v is negative for an upward wave.

    Example:
        >>> [round(part, 3) + 0.0 for part in point_frequency(0.2, 90)]
        [-0.2, 0.0]
    """
    angle = math.radians(orientation)
    return -radial * math.sin(angle), radial * math.cos(angle)


def make_zone_plate(size: int, highest: float = 0.5) -> Tensor:
    """Make a zone plate: concentric rings whose frequency grows from 0 in the middle outwards.

    ``0.5 + 0.5 cos(pi k r^2)`` with k so that the frequency ``k r`` is ``highest`` at the middle
    of each edge: every frequency up to it stands at its own place, so that what appears elsewhere
    after subsampling is an alias.

    Args:
        size: Side in pixels.
        highest: Frequency at the middle of the edges, cycles per pixel; beyond it, in the corners,
            the plate stays grey.

    Returns:
        (size, size), float64, 0..1.

    Example:
        >>> make_zone_plate(65)[32, 32].item()
        1.0
    """
    line = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    squared = line[:, None].square() + line[None, :].square()
    edge = size / 2
    plate = 0.5 + 0.5 * torch.cos(math.pi * highest / edge * squared)
    return torch.where(squared <= edge * edge, plate, 0.5)


def fold_frequency(frequency: Frequency, stride: int) -> Frequency:
    """Predict where a grating appears after subsampling.

    Args:
        frequency: (v, u), cycles per pixel.
        stride: Subsampling step.

    Returns:
        (v, u) in -1/(2 stride) .. 1/(2 stride), in cycles per pixel of the picture before
        subsampling: ``f`` minus the nearest multiple of ``1 / stride`` (Oppenheim & Schafer,
        section 4.6).

    Example:
        >>> fold_frequency((0.0, 0.375), 4)  # 3/8 - 2/4
        (0.0, -0.125)
    """
    half = 0.5 / stride
    vertical, horizontal = ((part + half) % (1 / stride) - half for part in frequency)
    return vertical, horizontal


def find_frequency(response: Tensor, stride: int = 1) -> Frequency:
    """Find the frequency of a complex grating from its phase steps between neighbours.

    Args:
        response: (h, w), complex, a single complex exponential.
        stride: Pixels between neighbours.

    Returns:
        (v, u), cycles per pixel, in -1/(2 stride) .. 1/(2 stride); exact for a pure grating.

    Example:
        >>> find_frequency(make_grating(8, (0.0, 0.375))[::2, ::2], stride=2)
        (0.0, -0.125)
    """
    down = (response[1:] * response[:-1].conj()).sum()
    across = (response[:, 1:] * response[:, :-1].conj()).sum()
    vertical, horizontal = (
        round(step.angle().item() / (2 * math.pi * stride), 12) + 0.0 for step in (down, across)
    )
    return vertical, horizontal


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
) -> Sweep:
    """Send gratings through the layer as it is, and compare with theory.

    Args:
        layer: Filters and stride.
        frequencies: Cycles per pixel along the wave, 0..0.5.
        orientations: Directions of the wave in degrees.
        stride: Another step than the layer's own.

    Returns:
        Answers by frequency and direction.
    """
    step = stride or layer.stride
    places = [point_frequency(radial, angle) for radial in frequencies for angle in orientations]
    answers = [_ask(layer, place, step) for place in places]
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
