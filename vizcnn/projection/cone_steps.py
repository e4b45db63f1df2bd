"""The way back of each operation on windows: one function each."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vizcnn.backward import Way
from vizcnn.cones.transposed_filter import filter_back
from vizcnn.cones.unpooling import unpool_windows
from vizcnn.cones.windows import Windows, cut
from vizcnn.geometry import edges_of, shape_of, signed
from vizcnn.graph import Node, kind_of


@dataclass(frozen=True)
class Batch:
    """A batch of windows in a node's output.

    Attributes:
        node: The node of the autograd graph.
        way: What rectifiers and contrast normalisation do.
        windows: Where the windows lie.
        images: Which image each belongs to, (R,).
        codes: For max pooling: the winners' places in their pooling windows, (N, C, h, w).
    """

    node: Node
    way: Way
    windows: Windows
    images: Tensor
    codes: Tensor | None = None

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
    return [filter_back(signal, weight, stride, dilation, node._saved_groups)]


def _rectify(batch: Batch, signal: Tensor) -> list[Tensor]:
    rule = batch.way.rule
    active = (
        batch.cut(batch.node.saved_tensors[0]) if rule.needs_activity else signal
    )  # costs a copy
    return [rule.rectify(signal, active)]


def _unpool(batch: Batch, signal: Tensor) -> list[Tensor]:
    assert batch.codes is not None
    return [unpool_windows(signal, batch.cut(batch.codes), batch.node.window)]


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
