"""Unpooling in windows, by switches that are counted from each pooling window's own corner."""

import torch
from torch import Tensor

from vizcnn.unpool import Window


def encode_switches(switches: Tensor, window: Window, width: int) -> Tensor:
    """Turn switches into places within their pooling windows: the same wherever one cuts.

    Args:
        switches: row * W + column of each maximum in its input map, (N, C, h, w).
        window: The pooling window.
        width: W.

    Returns:
        Numbers of the window's elements, row by row, (N, C, h, w), uint8 or int32.

    Example:
        >>> encode_switches(torch.tensor([[[[1, 2]]]]), Window((1, 2), (1, 1)), 3)
        tensor([[[[1, 1]]]], dtype=torch.uint8)
    """
    narrow = switches.to(torch.int32)  # half the bytes: this runs over whole maps
    rows, columns = (torch.arange(n, device=narrow.device) for n in narrow.shape[-2:])
    tops = (rows * window.stride[0] - window.padding[0]).to(torch.int32)[:, None]
    lefts = (columns * window.stride[1] - window.padding[1]).to(torch.int32)
    down = narrow // width
    right = (narrow - down * width).sub_(lefts)
    down.sub_(tops)
    if window.dilation != (1, 1):
        down, right = down // window.dilation[0], right // window.dilation[1]
    codes = down.mul_(window.size[1]).add_(right)
    return codes.to(torch.uint8) if window.size[0] * window.size[1] <= 256 else codes


def unpool_windows(signal: Tensor, codes: Tensor, window: Window) -> Tensor:
    """Send values back to their switches; where pooling windows share a place they are added.

    Args:
        signal: (R, C, h, w).
        codes: From :func:`encode_switches`, cut like the signal.
        window: The pooling window.

    Returns:
        (R, C, (h - 1) * stride + dilation * (k - 1) + 1, ...): all that the pooling windows hold,
        padding included.

    Example:
        >>> codes = torch.tensor([[[[1, 0]]]], dtype=torch.uint8)
        >>> unpool_windows(torch.tensor([[[[5.0, 2.0]]]]), codes, Window((1, 2), (1, 1)))
        tensor([[[[0., 7., 0.]]]])
    """
    if signal.device.type == "cpu":
        return _scatter(signal, codes, window)
    return _add_element_by_element(signal, codes, window)


def _scatter(signal: Tensor, codes: Tensor, window: Window) -> Tensor:
    height, width = _measure_reach(signal, window)
    elements = torch.arange(window.size[0] * window.size[1])
    down = elements // window.size[1] * window.dilation[0]
    places = down * width + elements % window.size[1] * window.dilation[1]
    tops = torch.arange(signal.shape[-2])[:, None] * window.stride[0]
    corners = tops * width + torch.arange(signal.shape[-1]) * window.stride[1]
    targets = (places[codes.to(torch.int64)] + corners).flatten(2)
    canvas = signal.new_zeros((*signal.shape[:2], height * width))
    return canvas.scatter_add_(2, targets, signal.flatten(2)).view(*signal.shape[:2], height, width)


def _add_element_by_element(signal: Tensor, codes: Tensor, window: Window) -> Tensor:
    """Do the same without scattering, whose order of additions a GPU does not promise."""
    canvas = signal.new_zeros((*signal.shape[:2], *_measure_reach(signal, window)))
    bottom = (signal.shape[-2] - 1) * window.stride[0] + 1
    end = (signal.shape[-1] - 1) * window.stride[1] + 1
    for code in range(window.size[0] * window.size[1]):
        down = code // window.size[1] * window.dilation[0]
        right = code % window.size[1] * window.dilation[1]
        place = canvas[..., down : down + bottom, right : right + end]
        place[..., :: window.stride[0], :: window.stride[1]] += signal * (codes == code)
    return canvas


def _measure_reach(signal: Tensor, window: Window) -> tuple[int, int]:
    height, width = (
        (signal.shape[axis - 2] - 1) * window.stride[axis]
        + window.dilation[axis] * (window.size[axis] - 1)
        + 1
        for axis in (0, 1)
    )
    return height, width
