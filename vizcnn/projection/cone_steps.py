"""The way back of each operation on windows: one function each."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from vizcnn.projection.windows import Move, Windows, cut
from vizcnn.recording.backward import Way
from vizcnn.recording.geometry import edges_of, shape_of, signed
from vizcnn.recording.graph import Node, kind_of
from vizcnn.recording.unpool import Window

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
    units: Tensor | None = None,
) -> Tensor:
    """Filter with the transposed filters of a convolution, padding not counted.

    Args:
        signal: At the convolution's output, (R, C_out, h, w).
        weight: Of the convolution, (C_out, C_in / groups, k, k).
        stride: Its stride.
        dilation: Its dilation.
        groups: Its groups.
        units: The map of each row beside which all are zero, (R,), where that is known.

    Returns:
        At its padded input, (R, C_in, (h - 1) * stride + dilation * (k - 1) + 1, ...).
    """
    if units is not None and groups == 1 and dilation == (1, 1) and signal.shape[2:] == (1, 1):
        return signal.flatten(1).gather(1, units[:, None])[..., None, None] * weight[units]
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


def unpool_windows(
    signal: Tensor, codes: Tensor, window: Window, step: Move | None = None
) -> Tensor:
    """Send values back to their switches; where pooling windows share a place they are added.

    Args:
        signal: (R, C, h, w).
        codes: From :func:`encode_switches`, cut like the signal.
        window: The pooling window.
        step: How the result is moved; it has to keep all places that switches are in.

    Returns:
        (R, C, (h - 1) * stride + dilation * (k - 1) + 1, ...): all that the pooling windows hold,
        padding included, or what the move makes of that.

    Example:
        >>> codes = torch.tensor([[[[1, 0]]]], dtype=torch.uint8)
        >>> unpool_windows(torch.tensor([[[[5.0, 2.0]]]]), codes, Window((1, 2), (1, 1)))
        tensor([[[[0., 7., 0.]]]])
    """
    step = step or Move((0, 0, 0, 0), None, window.measure(signal.shape[-2:]))
    if signal.device.type == "cpu":
        return _scatter(signal, codes, window, step)
    return step.run(_add_element_by_element(signal, codes, window))


def _scatter(signal: Tensor, codes: Tensor, window: Window, step: Move) -> Tensor:
    """Scatter right into the place to move to: no copy of the large map is made."""
    height, width = step.size
    elements = torch.arange(window.size[0] * window.size[1])
    down = elements // window.size[1] * window.dilation[0]
    places = down * width + elements % window.size[1] * window.dilation[1]
    offsets = torch.tensor([[step.pad[2], step.pad[0]]])
    if step.shifts is not None:
        offsets = offsets - step.shifts
    rows = torch.arange(signal.shape[-2]) * window.stride[0] + offsets[:, :1]
    columns = torch.arange(signal.shape[-1]) * window.stride[1] + offsets[:, 1:]
    corners = (rows[:, :, None] * width + columns[:, None])[:, None]
    targets = places[codes.to(torch.int64)].add_(corners).flatten(2)
    canvas = signal.new_zeros((*signal.shape[:2], height * width))
    return canvas.scatter_add_(2, targets, signal.flatten(2)).view(*signal.shape[:2], height, width)


def _add_element_by_element(signal: Tensor, codes: Tensor, window: Window) -> Tensor:
    """Do the same without scattering, whose order of additions a GPU does not promise."""
    canvas = signal.new_zeros((*signal.shape[:2], *window.measure(signal.shape[-2:])))
    bottom = (signal.shape[-2] - 1) * window.stride[0] + 1
    end = (signal.shape[-1] - 1) * window.stride[1] + 1
    for code in range(window.size[0] * window.size[1]):
        down = code // window.size[1] * window.dilation[0]
        right = code % window.size[1] * window.dilation[1]
        place = canvas[..., down : down + bottom, right : right + end]
        place[..., :: window.stride[0], :: window.stride[1]] += signal * (codes == code)
    return canvas


@dataclass(frozen=True)
class Batch:
    """A batch of windows in a node's output.

    Attributes:
        node: The node of the autograd graph.
        way: What rectifiers and contrast normalisation do.
        windows: Where the windows lie.
        images: Which image each belongs to, (R,).
        codes: For max pooling: the winners' places in their pooling windows, (N, C, h, w).
        units: The map of each row beside which the signal is zero, (R,); None where there may be
            several.
        step: For an operation of :data:`MOVING`: how its signal is moved.
    """

    node: Node
    way: Way
    windows: Windows
    images: Tensor
    codes: Tensor | None = None
    units: Tensor | None = None
    step: Move | None = None

    def cut(self, maps: Tensor) -> Tensor:
        """Cut the windows out of maps of the node's shape."""
        return cut(maps, self.images, self.windows)


Back = Callable[[Batch, Tensor], Sequence[Tensor | None]]
"""From the signal at a node's output (R, C, h, w) to those at its inputs: one for each entry of
``next_functions``, as far as they are feature maps; None is zero. Padding is not cut off."""


def _filter(batch: Batch, signal: Tensor) -> list[Tensor]:
    node = batch.node
    weight = node._saved_weight.detach()
    stride, dilation = tuple(node._saved_stride), tuple(node._saved_dilation)
    return [filter_back(signal, weight, stride, dilation, node._saved_groups, batch.units)]


def _rectify(batch: Batch, signal: Tensor) -> list[Tensor]:
    way = batch.way
    active = (
        batch.cut(batch.node.saved_tensors[0]) if way.needs_activity else signal
    )  # costs a copy
    return [way.rectify(signal, active)]


def _unpool(batch: Batch, signal: Tensor) -> list[Tensor]:
    assert batch.codes is not None
    return [unpool_windows(signal, batch.cut(batch.codes), batch.node.window, batch.step)]


def _normalise(batch: Batch, signal: Tensor) -> list[Tensor]:
    node = batch.node
    if batch.way.passes_over_normalisation:
        return [signal]
    with torch.enable_grad():
        # the responses of one place only meet each other: a window is as good as the map
        source = batch.cut(node.saved_tensors[0].detach()).requires_grad_()
        return [torch.autograd.grad(node.normalise(source), source, signal)[0]]


def _scale(batch: Batch, signal: Tensor) -> list[Tensor]:
    node = batch.node
    cudnn = kind_of(node) == "CudnnBatchNorm"
    epsilon = node._saved_epsilon if cudnn else node._saved_eps
    scale = node._saved_running_var.to(torch.promote_types(signal.dtype, torch.float32)) + epsilon
    scale = scale.rsqrt()
    if node._saved_weight is not None:
        scale = scale * node._saved_weight.detach()
    return [signal * scale[:, None, None].to(signal.dtype)]


def _average(batch: Batch, signal: Tensor) -> list[Tensor]:
    node = batch.node
    size = tuple(node._saved_kernel_size)
    stride = tuple(node._saved_stride) or size
    ones = signal.new_ones((1, 1, *node._saved_self.shape[-2:]))
    # what a window's sum is divided by at the edge depends on settings: ask torch for it
    divisors = cut(_find_divisors(node, ones), torch.zeros_like(batch.images), batch.windows)
    channels = signal.shape[1]
    weight = signal.new_ones((channels, 1, *size))
    return [filter_back(signal / divisors, weight, stride, groups=channels)]


def _find_divisors(node: Node, ones: Tensor) -> Tensor:
    """Give what each window's sum is divided by, (1, 1, h, w)."""
    size = tuple(node._saved_kernel_size)
    geometry = (size, tuple(node._saved_stride) or size, tuple(node._saved_padding))
    mean = torch.nn.functional.avg_pool2d(
        ones,
        *geometry,
        node._saved_ceil_mode,
        node._saved_count_include_pad,
        None if node._saved_divisor_override is None else signed(node._saved_divisor_override),
    )
    total = torch.nn.functional.avg_pool2d(ones, *geometry, node._saved_ceil_mode, True, 1)
    return total / mean


def _add(batch: Batch, signal: Tensor) -> list[Tensor]:
    alpha = getattr(batch.node, "_saved_alpha", 1)  # a number has none
    return [signal, signal if alpha == 1 else signal * alpha]


def _subtract(batch: Batch, signal: Tensor) -> list[Tensor]:
    return [signal, signal * -getattr(batch.node, "_saved_alpha", 1)]


def _negate(batch: Batch, signal: Tensor) -> list[Tensor]:
    return [-signal]


def _split(batch: Batch, signal: Tensor) -> list[Tensor]:
    maps = [shape_of(parent, number)[1] for parent, number in batch.node.next_functions]
    return list(signal.split(maps, dim=1))


def _copy(batch: Batch, signal: Tensor) -> list[Tensor | None]:
    return [None, signal]  # what was written over has no part in the result


def _pass(batch: Batch, signal: Tensor) -> list[Tensor]:
    return [signal]


BACK: Mapping[str, Back] = {
    "Convolution": _filter,
    "Rectify": _rectify,
    "MaxPool": _unpool,
    "Normalise": _normalise,
    "NativeBatchNorm": _scale,
    "CudnnBatchNorm": _scale,
    "AvgPool2D": _average,
    "Add": _add,
    "Sub": _subtract,
    "Neg": _negate,
    "Cat": _split,
    "CopyBackwards": _copy,
    "Clone": _pass,
    "Alias": _pass,
    "ConstantPadNd": _pass,
}
"""The way back by kind of node; what is not here is projected over the full image."""


FILTERING = frozenset(["Convolution", "NativeBatchNorm", "CudnnBatchNorm"])
"""Operations with parameters, which are theirs and not the image's."""


MOVING = frozenset(["MaxPool"])
"""Operations whose way back brings the signal into the windows below by itself."""

KEEPING = frozenset(
    "Rectify MaxPool NativeBatchNorm CudnnBatchNorm AvgPool2D Add Sub Neg CopyBackwards Clone "
    "Alias ConstantPadNd".split()
)
"""Operations through which a map of the signal becomes the map of the same number."""


def keeps_map(node: Node, way: Way) -> bool:
    """Tell whether a signal in a single map is in that map below an operation as well."""
    kind = kind_of(node)
    return kind in KEEPING or (kind == "Normalise" and way.passes_over_normalisation)


def has_way_back(node: Node, nodes: Container[Node]) -> bool:
    """Tell whether an operation can be followed on windows.

    Args:
        node: A node between a layer and the input, whose sliding window is known.
        nodes: All of them.
    """
    kind, edges = kind_of(node), edges_of(node)
    if kind not in BACK:
        return False
    if kind in FILTERING and [edge[0] in nodes for edge in node.next_functions][1:].count(True):
        return False  # filters that depend on the image themselves
    if any(_dtype(node) != _dtype(parent) for parent, _ in edges if parent in nodes):
        return False
    if any(number for parent, number in edges if parent in nodes):
        return False  # a part of what an operation with several outputs put out
    if kind in ("Add", "Sub", "CopyBackwards"):
        return all(shape_of(*edge) == shape_of(node) for edge in edges if edge[0] in nodes)
    if kind == "Cat":
        return signed(node._saved_dim) in (1, -3) and len(edges) == len(node.next_functions)
    if kind == "ConstantPadNd":
        return len(node._saved_pad) == 4
    return True


def _dtype(node: Node) -> torch.dtype:
    dtype: torch.dtype = node._input_metadata[0].dtype
    return dtype
