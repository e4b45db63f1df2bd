"""How much of a first layer's response its stride folds: by theory and on real photos."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vizcnn.basics.errors import ImageError, LayerError
from vizcnn.measures.blur import binomial_kernel
from vizcnn.measures.first_layer import FirstLayer
from vizcnn.measures.spectrum import (
    fade_edges,
    fold_spectrum,
    frequency_grid,
    transfer_function,
)

GRID = 256
"""Least side of the grid of frequencies that integrals over spectra are taken on."""


def choose_grid(*strides: int) -> int:
    """Choose the side of a grid of frequencies that each of some strides can fold.

    Args:
        strides: Subsampling steps, 1 or more.

    Returns:
        The smallest multiple of ``2 * stride``, for every stride, of :data:`GRID` or more.

    Raises:
        LayerError: If a stride is not positive.

    Example:
        >>> choose_grid(2, 4), choose_grid(3), choose_grid(2, 4, 5)
        (256, 258, 280)
    """
    if min(strides, default=1) < 1:
        raise LayerError(f"strides of {strides} fold no spectrum; needed: 1 or more each")
    step = 2 * math.lcm(*strides)
    return math.ceil(GRID / step) * step


@dataclass(frozen=True)
class AliasShares:
    """What share of the response energy lies above the stride's limit.

    Attributes:
        shares: (F,), 0..1, energy of each filter's response at frequencies that the stride folds,
            over its whole energy; 0 for a filter without response.
        layer_share: The same for the sum over all filters' energies, 0..1.
        kept: (N, N), energy of all filters that stays in its place, by its frequency (zero first,
            from -1/(2 stride) to 1/(2 stride) on N places), over the whole energy.
        aliased: (N, N), energy that lands there from above the limit, over the whole energy.
        power: (M, M), energy of all filters before subsampling, over the whole energy.
    """

    shares: Tensor
    layer_share: float
    kept: Tensor
    aliased: Tensor
    power: Tensor


def measure_shares(power: Tensor, stride: int) -> AliasShares:
    """Fold the spectra of filters' responses by a stride and measure what was above the limit.

    Args:
        power: (F, N, N), power spectra, zero frequency first; N divisible by ``2 * stride``.
        stride: Subsampling step.

    Returns:
        The shares. A frequency is above the limit when its vertical or its horizontal part is:
        a square grid keeps a square of frequencies.

    Raises:
        LayerError: If the grid cannot be folded.

    Example:
        >>> flat = torch.ones(1, 64, 64)  # all frequencies alike: 1 - 1/16 of them fold
        >>> measure_shares(flat, 4).layer_share
        0.9375
    """
    kept, aliased = fold_spectrum(power, stride)
    total = power.sum(dim=(1, 2))
    shares = torch.where(total > 0, aliased.sum(dim=(1, 2)) / total.clamp(min=1e-300), 0.0)
    whole = total.sum().clamp(min=1e-300)
    return AliasShares(
        shares=shares,
        layer_share=(aliased.sum() / whole).item(),
        kept=kept.sum(dim=0) / whole,
        aliased=aliased.sum(dim=0) / whole,
        power=power.sum(dim=0) / whole,
    )


_AT_ONCE = 8
"""Filters whose spectra are predicted at a time."""


def predict_power(layer: FirstLayer, covariance: Tensor, size: int | None = None) -> Tensor:
    """Predict the power spectra of the filters' responses to natural images, 1/f^2.

    The response of a filter with transfer functions H_c (c: colour) to images of power
    ``covariance / f^2`` has the power ``sum over c, d of H_c conj(H_d) covariance[c, d] / f^2``;
    the mean (f = 0) is left out. The 1/f^2 law: Field 1987 (J. Opt. Soc. Am. A 4, 2379).

    Frequencies from 1/size to 1/2 cycles per pixel count, from 1/256 as a rule. Shares depend on
    this choice: every octave holds the same energy of 1/f^2, so that whoever counts lower
    frequencies too finds smaller shares above the limit, with no end to it. Only the law is
    theory; how the colours go together is measured, on the photos that the covariance is of.

    Args:
        layer: Filters.
        covariance: (3, 3), of the colours of photos; see :func:`measure_colours`.
        size: Side of the grid of frequencies; that of :func:`choose_grid` for the layer's stride
            when None.

    Returns:
        (F, size, size), zero frequency first.

    Raises:
        LayerError: If a filter is larger than the grid.

    Example:
        >>> layer = FirstLayer(torch.ones(1, 3, 1, 1), 4, "conv1")
        >>> power = predict_power(layer, torch.eye(3))  # 1/f^2, three times
        >>> round(measure_shares(power, 4).layer_share, 2)
        0.26
    """
    size = size or choose_grid(layer.stride)
    natural = natural_power(size)
    power = natural.new_empty((len(layer.weight), size, size))
    # few filters at a time: the transfer functions of all take twelve times the result's memory
    for part, weight in zip(power.split(_AT_ONCE), layer.weight.split(_AT_ONCE), strict=True):
        transfer = transfer_function(weight, size)
        colours = covariance.to(transfer.dtype)
        found = torch.einsum("fcyx,cd,fdyx->fyx", transfer, colours, transfer.conj()).real
        part.copy_(found.clamp(min=0) * natural)
    return power


def blur_power(power: Tensor, taps: int | None) -> Tensor:
    """Give the power after a binomial filter between convolution and subsampling.

    Args:
        power: (..., N, N), zero frequency first.
        taps: Taps of the filter, 1 or more; None changes nothing.

    Returns:
        (..., N, N), zero frequency first.

    Raises:
        LayerError: If there is no such filter, or it has more taps than N.

    Example:
        >>> blur_power(torch.ones(4, 4), 3)[0].tolist()  # |cos(pi f)|^4 at f = 0, 1/4, 1/2, -1/4
        [1.0, 0.25, 0.0, 0.25]
    """
    if taps is None:
        return power
    return power * transfer_function(binomial_kernel(taps), power.shape[-1]).abs().square()


def natural_power(size: int) -> Tensor:
    """Give the power of natural images, 1/f^2, on a grid of frequencies; 0 at f = 0.

    Example:
        >>> natural_power(8)[0, 1].item()
        64.0
    """
    vertical, horizontal = frequency_grid(size)
    squared = vertical.square() + horizontal.square()
    return torch.where(squared > 0, 1 / squared.clamp(min=1e-300), 0.0)


def measure_colours(pixels: Tensor) -> Tensor:
    """Measure the covariance of R, G and B over photos, each photo's own mean colour removed.

    Args:
        pixels: (N, 3, H, W).

    Returns:
        (3, 3), float64, per pixel, in the square of the pixels' unit.

    Example:
        >>> red = torch.zeros(1, 3, 1, 2)
        >>> red[0, 0, 0, 1] = 1.0  # half the pixels are red: their variance is 1/4
        >>> measure_colours(red).diag().tolist()
        [0.25, 0.0, 0.0]
    """
    covariance = torch.zeros(3, 3, dtype=torch.float64)
    for photo in pixels:
        values = photo.double().flatten(1)
        centred = values - values.mean(dim=1, keepdim=True)
        covariance += centred @ centred.T
    return covariance / pixels[:, 0].numel()


def measure_power(layer: FirstLayer, pixels: Tensor, stride: int | None = None) -> Tensor:
    """Measure the power spectra of the filters' responses to photos, at stride 1.

    Each response map loses its mean and is faded out at its edges
    (:func:`~vizcnn.measures.spectrum.fade_edges`).

    Args:
        layer: Filters and stride.
        pixels: (N, 3, H, W), RGB 0..1.
        stride: Another step than the layer's own that the spectrum should be divisible by.

    Returns:
        (F, M, M), summed over the photos, zero frequency first; M divisible by twice the stride.

    Raises:
        ImageError: If the photos are too small for the filters.

    Example:
        >>> layer = FirstLayer(torch.ones(1, 3, 1, 1), 4, "conv1")
        >>> line = torch.cos(2 * torch.pi * 3 / 8 * torch.arange(16))  # far above the limit of 1/8
        >>> power = measure_power(layer, line.expand(1, 3, 16, 16))
        >>> power.shape, round(measure_shares(power, 4).layer_share, 6)
        (torch.Size([1, 16, 16]), 1.0)
    """
    step = stride or layer.stride
    height, width = layer.weight.shape[2:]
    room = min(pixels.shape[2] - height, pixels.shape[3] - width) + 1
    size = room // (2 * step) * (2 * step)
    if size < 4 * step:
        raise ImageError(
            f"photos of {tuple(pixels.shape[2:])} pixels are too small to measure filters of "
            f"{height} x {width} at stride {step}: give larger ones"
        )
    power = torch.zeros(len(layer.weight), size, size, dtype=torch.float64)
    for photo in pixels:
        maps = layer.respond(photo[None].double(), stride=1)[0, :, :size, :size]
        power += torch.fft.fft2(fade_edges(maps)).abs().square()
    return power
