"""Frequencies in cycles per pixel: transfer functions of filters and the folding of spectra."""

import torch
from torch import Tensor

from vizcnn.basics.errors import LayerError


def frequency_grid(size: int) -> tuple[Tensor, Tensor]:
    """Give the vertical and horizontal frequency of every place of a discrete spectrum.

    Args:
        size: Side of the square spectrum.

    Returns:
        Two tensors (size, size), float64, cycles per pixel in -0.5..0.5, in the order of
        :func:`torch.fft.fft2` (zero first).

    Example:
        >>> frequency_grid(4)[1][0].tolist()
        [0.0, 0.25, -0.5, -0.25]
    """
    line = torch.fft.fftfreq(size, dtype=torch.float64)
    vertical, horizontal = torch.meshgrid(line, line, indexing="ij")
    return vertical, horizontal


def transfer_function(weight: Tensor, size: int) -> Tensor:
    """Give the exact response of filters to complex gratings at every frequency of a grid.

    A convolution layer multiplies the grating ``exp(2 pi i (v y + u x))`` by
    ``sum w[y, x] exp(2 pi i (v y + u x))``, for torch's convolutions correlate; filters have no
    other memory, so that this is the whole of what a linear layer does before it subsamples.

    Args:
        weight: (..., h, w), real, at most ``size`` on a side.
        size: Side of the grid of frequencies.

    Returns:
        (..., size, size), complex128, zero frequency first.

    Raises:
        LayerError: If a filter is larger than the grid.

    Example:
        >>> mean = torch.full((1, 2, 2), 0.25)
        >>> transfer_function(mean, 4)[0, 0].abs().round(decimals=3).tolist()
        [1.0, 0.707, 0.0, 0.707]
    """
    height, width = weight.shape[-2:]
    if max(height, width) > size:
        raise LayerError(f"filters of {height} x {width} do not fit a grid of {size} frequencies")
    transfer: Tensor = torch.fft.fft2(weight.detach().cpu().double(), s=(size, size)).conj()
    return transfer


def fade_edges(maps: Tensor) -> Tensor:
    """Take the mean off maps and fade them out at their edges: a Hann window in each direction.

    A discrete spectrum is that of the map repeated without end: what differs at opposite edges
    would pass for high frequencies (Harris 1978, Proc. IEEE 66, 51).

    Args:
        maps: (C, h, w), float64.

    Returns:
        (C, h, w), each with a mean of 0.

    Example:
        >>> fade_edges(torch.ones(1, 4, 4, dtype=torch.float64)).abs().max().item()
        0.0
    """
    down, across = (
        torch.hann_window(side, periodic=True, dtype=torch.float64, device=maps.device)
        for side in maps.shape[-2:]
    )
    window = down[:, None] * across[None, :]
    return (maps - (maps * window).sum(dim=(1, 2), keepdim=True) / window.sum()) * window


def fold_spectrum(power: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Split the power that a subsampling by ``stride`` leaves into what was there and what folds.

    Keeping every s-th value lays the s x s shifted copies of a spectrum over each other: at a
    frequency f of the new grid (cycles per pixel of the old, below 1/(2s)) one finds
    ``sum over k, l of power(f + (k, l) / s)``; all but ``k = l = 0`` are aliases (Oppenheim &
    Schafer, Discrete-Time Signal Processing, section 4.6: downsampling). Powers of the copies add
    where their phases are unrelated, as in natural images.

    Args:
        power: (..., N, N), zero frequency first; N divisible by ``2 * stride``.
        stride: Subsampling step, the same in both directions.

    Returns:
        ``kept`` and ``aliased``, (..., N / stride, N / stride) each, zero frequency first. Together
        they hold all the power.

    Raises:
        LayerError: If the grid cannot be folded by the stride.

    Example:
        >>> power = torch.zeros(8, 8)
        >>> power[0, 3] = 1.0  # 3/8 cycles per pixel: above the limit of 1/4 at stride 2
        >>> kept, aliased = fold_spectrum(power, 2)
        >>> kept.sum().item(), aliased[0].tolist()  # now at -1/8: 3/8 - 1/2
        (0.0, [0.0, 0.0, 0.0, 1.0])
    """
    size = power.shape[-1]
    if stride < 1 or size % (2 * stride) or power.shape[-2] != size:
        raise LayerError(
            f"a spectrum of {tuple(power.shape[-2:])} cannot be folded by a stride of {stride}; "
            "needed: a square whose side is a multiple of twice the stride"
        )
    passed = power * inside_limit(size, stride)
    return _lay_together(passed, stride), _lay_together(power - passed, stride)


def _lay_together(power: Tensor, stride: int) -> Tensor:
    side = power.shape[-1] // stride
    copies = power.reshape(*power.shape[:-2], stride, side, stride, side)
    return copies.sum(dim=(-4, -2))


def inside_limit(size: int, stride: int) -> Tensor:
    """Mark the frequencies that survive a subsampling by ``stride`` in their own places.

    Returns:
        (size, size), bool: both frequencies in -1/(2 stride) .. 1/(2 stride), the upper bound
        excluded, as in a discrete spectrum.

    Example:
        >>> inside_limit(8, 2)[0].tolist()
        [True, True, False, False, False, False, True, True]
    """
    vertical, horizontal = frequency_grid(size)
    limit = 1 / (2 * stride)
    rows, columns = (((line >= -limit) & (line < limit)) for line in (vertical, horizontal))
    inside: Tensor = rows & columns
    return inside
