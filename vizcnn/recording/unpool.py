"""Unpooling by switches: each value goes back to the place its maximum came from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Window:
    """Geometry of a sliding window, (vertical, horizontal) each.

    Attributes:
        size: Window size in input pixels, before dilation.
        stride: Step of the window.
        padding: Padding on each side.
        dilation: Distance between the window's elements.
        ceil: Whether the output size is rounded up.
    """

    size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    ceil: bool = False

    def measure(self, size: Sequence[int]) -> tuple[int, int]:
        """Give height and width of what outputs of a size read, padding included.

        Example:
            >>> Window((3, 3), (2, 2)).measure((4, 5))
            (9, 11)
        """
        height, width = (
            (size[axis] - 1) * self.stride[axis] + self.dilation[axis] * (self.size[axis] - 1) + 1
            for axis in (0, 1)
        )
        return height, width


def pair(value: Any) -> tuple[int, int]:
    """Spell a size out that torch takes as one number or as two.

    Example:
        >>> pair(3), pair((2, 1)), pair([5])
        ((3, 3), (2, 1), (5, 5))
    """
    if isinstance(value, int):
        return value, value
    values = tuple(int(item) for item in value)
    return values[0], values[-1]


def pool_with_switches(x: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    """Take the maximum of every window and remember where it was.

    Args:
        x: Feature maps (N, C, H, W).
        window: The pooling window.

    Returns:
        The maxima (N, C, h, w) and the switches (N, C, h, w), int64: row * W + column of each
        maximum in its input map (ZF, section 2.1).
    """
    return F.max_pool2d_with_indices(
        x, window.size, window.stride, window.padding, window.dilation, window.ceil
    )


def unpool(signal: Tensor, switches: Tensor, window: Window, size: tuple[int, int]) -> Tensor:
    """Send each value back to its switch; values that meet in one place are added.

    Windows of overlapping pooling (3 x 3, stride 2) can share their maximum. The adjoint of
    pooling adds there; ``torch.nn.functional.max_unpool2d`` overwrites, in an order that it does
    not promise. One strided addition per window element has neither problem on any device.

    Args:
        signal: (N, C, h, w).
        switches: From :func:`pool_with_switches`, (N, C, h, w).
        window: The pooling window.
        size: Height and width of the unpooled maps.

    Returns:
        (N, C, height, width).

    Example:
        >>> x = torch.tensor([[[[1.0, 5.0, 2.0]]]])
        >>> window = Window((1, 2), (1, 1))
        >>> maxima, switches = pool_with_switches(x, window)
        >>> unpool(maxima, switches, window, (1, 3))
        tensor([[[[ 0., 10.,  0.]]]])
    """
    if window == Window((1, 1), (1, 1), ceil=window.ceil):
        return signal.clone()
    (height, width), (rows, columns) = size, signal.shape[-2:]
    (step_y, step_x), (pad_y, pad_x) = window.stride, window.padding
    reach_y = (rows - 1) * step_y + (window.size[0] - 1) * window.dilation[0] + 1
    reach_x = (columns - 1) * step_x + (window.size[1] - 1) * window.dilation[1] + 1
    canvas = signal.new_zeros(
        (*signal.shape[:-2], max(reach_y, pad_y + height), max(reach_x, pad_x + width))
    )
    row = torch.arange(rows, device=signal.device)[:, None] * step_y - pad_y
    column = torch.arange(columns, device=signal.device)[None, :] * step_x - pad_x
    for down in range(0, window.size[0] * window.dilation[0], window.dilation[0]):
        for right in range(0, window.size[1] * window.dilation[1], window.dilation[1]):
            y, x = row + down, column + right
            inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            chosen = (switches == y * width + x) & inside
            bottom, end = down + (rows - 1) * step_y + 1, right + (columns - 1) * step_x + 1
            canvas[..., down:bottom:step_y, right:end:step_x] += signal * chosen
    return canvas.narrow(-2, pad_y, height).narrow(-1, pad_x, width)
