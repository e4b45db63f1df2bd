"""Filtering with transposed filters, in the form that is cheapest."""

from torch import Tensor
from torch.nn import functional as F

FEW_CHANNELS = 16
"""Below so many input channels a strided transposed convolution is done as a sub-pixel one."""

MOST_COLUMNS = 2
"""Columns may take so many times the signal's memory."""


def filter_back(
    signal: Tensor,
    weight: Tensor,
    stride: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> Tensor:
    """Filter with the transposed filters of a convolution, padding not counted.

    Args:
        signal: At the convolution's output, (R, C_out, h, w).
        weight: Of the convolution, (C_out, C_in / groups, k, k).
        stride: Its stride.
        dilation: Its dilation.
        groups: Its groups.

    Returns:
        At its padded input, (R, C_in, (h - 1) * stride + dilation * (k - 1) + 1, ...).
    """
    if groups == 1 and weight.shape[1] < FEW_CHANNELS and dilation == (1, 1):
        if stride == (1, 1) and weight[0].numel() <= MOST_COLUMNS * weight.shape[0]:
            return _filter_by_columns(signal, weight)
        if stride[0] == stride[1]:
            return _filter_sub_pixels(signal, weight, stride[0])
    return F.conv_transpose2d(signal, weight, None, stride, groups=groups, dilation=dilation)


def _filter_sub_pixels(signal: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Compute each of the stride x stride sub-grids of pixels as a channel of its own.

    The same sums (Shi et al. 2016, arXiv 1609.05158, section 2), by a convolution of stride 1
    with many output channels, several times as fast as one of stride 4 with three.
    """
    maps, channels, height, width = weight.shape
    rows, columns = -(-height // stride), -(-width // stride)
    padded = F.pad(weight, (0, columns * stride - width, 0, rows * stride - height))
    # output pixel stride * q + r gets signal i through the filter's element stride * (q - i) + r
    parts = padded.view(maps, channels, rows, stride, columns, stride)
    filters = parts.permute(1, 3, 5, 0, 2, 4).reshape(-1, maps, rows, columns).flip(2, 3)
    grids = F.conv2d(signal, filters, padding=(rows - 1, columns - 1))
    pixels = F.pixel_shuffle(grids, stride)
    bottom = (signal.shape[-2] - 1) * stride + height
    right = (signal.shape[-1] - 1) * stride + width
    return pixels[..., :bottom, :right]


def _filter_by_columns(signal: Tensor, weight: Tensor) -> Tensor:
    """Multiply by the filters as one matrix, and add up what falls on the same pixel."""
    height = signal.shape[-2] + weight.shape[-2] - 1
    width = signal.shape[-1] + weight.shape[-1] - 1
    columns = weight.flatten(1).t() @ signal.flatten(2)
    return F.fold(columns, (height, width), tuple(weight.shape[-2:]))
