"""Operations that read windows of their input: convolutions, pools, pads, resizing."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from vizcnn.geometry import find_window, signed
from vizcnn.graph import kind_of
from vizcnn.receptive.axes import (
    WHOLE,
    Axis,
    Lookup,
    Padded,
    Slide,
    Spread,
    average_adaptively,
    mark_places,
)
from vizcnn.receptive.reading import Edge, Reading, keep


def _read_convolved(edge: Edge) -> Reading | None:
    node = edge.node
    if edge.index > 0 or len(edge.outputs) < 3:
        return None  # the weights depend on the image
    windows = zip(
        node._saved_weight.shape[2:],
        node._saved_stride,
        node._saved_padding,
        node._saved_dilation,
        strict=True,
    )
    slides = [Slide(*map(int, window)) for window in windows]
    axes: Iterable[Axis] = map(Spread, slides) if node._saved_transposed else slides
    of_a_group = _repeat_blocks(edge.outputs[1], edge.inputs[1], int(node._saved_groups))
    return keep(edge, {1: of_a_group, **dict(enumerate(axes, start=2))})


def _repeat_blocks(outputs: int, inputs: int, groups: int) -> Axis:
    if groups == 1:
        return WHOLE
    ours, theirs = torch.arange(outputs), torch.arange(inputs)
    return Lookup(ours[:, None] * groups // outputs == theirs[None, :] * groups // inputs)


def _read_window(edge: Edge) -> Reading | None:
    window = find_window(edge.node)
    if window is None:
        return None
    columns = zip(window.size, window.stride, window.padding, window.dilation, strict=True)
    rows, across = (Slide(*numbers) for numbers in columns)
    return keep(edge, {-2: rows, -1: across})


def _read_pad(edge: Edge) -> Reading:
    left = [signed(side) for side in edge.node._saved_pad[::2]]
    return keep(edge, {-1 - back: Slide(padding=side) for back, side in enumerate(left)})


def _read_mirror(edge: Edge) -> Reading:
    left, _, top, _ = (signed(side) for side in edge.node._saved_padding)
    mirrors = kind_of(edge.node) == "ReflectionPad2D"
    return keep(edge, {-2: Padded(top, mirrors), -1: Padded(left, mirrors)})


def _read_adaptive(edge: Edge) -> Reading:
    return keep(
        edge, {dim: average_adaptively(edge.outputs[dim], edge.inputs[dim]) for dim in (-2, -1)}
    )


def _read_resized(edge: Edge) -> Reading:
    return keep(edge, {dim: Lookup(_resize(edge, dim)) for dim in (-2, -1)})


_RESIZES: dict[str, Callable[..., Tensor]] = {
    "UpsampleNearest2D": torch.ops.aten.upsample_nearest2d,
    "UpsampleNearestExact2D": torch.ops.aten._upsample_nearest_exact2d,
    "UpsampleBilinear2D": torch.ops.aten.upsample_bilinear2d,
    "UpsampleBilinear2DAa": torch.ops.aten._upsample_bilinear2d_aa,
    "UpsampleBicubic2D": torch.ops.aten.upsample_bicubic2d,
    "UpsampleBicubic2DAa": torch.ops.aten._upsample_bicubic2d_aa,
}


def _resize(edge: Edge, dim: int) -> Tensor:
    """Ask torch which places it weighs, with one place of a line lit at a time."""
    node, size = edge.node, edge.inputs[dim]
    corners = (node._saved_align_corners,) if hasattr(node, "_saved_align_corners") else ()
    scale = node._saved_scales_h if dim == -2 else node._saved_scales_w
    lit = torch.eye(size, dtype=torch.float64)[:, None, None, :]
    shown = _RESIZES[kind_of(node)](lit, (1, edge.outputs[dim]), *corners, None, scale)
    return shown[:, 0, 0, :].T != 0


def _read_shuffled(edge: Edge) -> Reading:
    """Read what PixelShuffle laid out: blocks of r x r places show channels of one place."""
    factor = int(edge.node._saved_upscale_factor)
    blocks = {
        dim: Lookup(mark_places(torch.arange(edge.outputs[dim]) // factor, edge.inputs[dim]))
        for dim in (-2, -1)
    }
    return keep(edge, {-3: WHOLE, **blocks})


def _read_unshuffled(edge: Edge) -> Reading:
    factor = int(edge.node._saved_downscale_factor)
    return keep(edge, {-3: WHOLE, -2: Slide(factor, factor), -1: Slide(factor, factor)})


def _read_unfolded(edge: Edge) -> Reading:
    """Read what ``Tensor.unfold`` laid out; the places inside a window are a last dimension."""
    node, count = edge.node, len(edge.inputs)
    window = Slide(int(node._saved_size), int(node._saved_step))
    return keep(edge, {signed(node._saved_dimension) % count: window})[:count]


WINDOWS: dict[str, Callable[[Edge], Reading | None]] = {
    "Convolution": _read_convolved,
    "MaxPool": _read_window,
    "MaxPool2DWithIndices": _read_window,
    "AvgPool2D": _read_window,
    "ConstantPadNd": _read_pad,
    "ReflectionPad2D": _read_mirror,
    "ReplicationPad2D": _read_mirror,
    "AdaptiveAvgPool2D": _read_adaptive,
    "AdaptiveMaxPool2D": _read_adaptive,
    "PixelShuffle": _read_shuffled,
    "PixelUnshuffle": _read_unshuffled,
    "Unfold": _read_unfolded,
    **dict.fromkeys(_RESIZES, _read_resized),
}
"""By kind of node; None where the geometry is not known."""
