"""Test pictures of known frequency: gratings and the zone plate."""

import math

import torch
from torch import Tensor

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
