"""Receptive fields: which input pixels a unit can depend on, exact from the recorded graph."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vizcnn.graph import Node, inputs_of, kind_of, trace_nodes

POINTWISE = frozenset(
    """Rectify Normalise NativeBatchNorm CudnnBatchNorm BatchNorm Add Sub Neg Mul Div Clone Alias
    Copy CopyBackwards Cat Stack Contiguous ToCopy Relu Silu Gelu Sigmoid Tanh Hardswish Hardsigmoid
    Elu Softplus LeakyRelu PreluKernel Hardtanh Clamp AccumulateGrad Pow Exp Abs Mish""".split()
)
"""Operations whose output at a place depends on the same place of each input."""


@dataclass(frozen=True)
class Span:
    """Rows (or columns) that are reached, inclusive; in input pixels, padding counted outside."""

    first: int
    last: int

    def join(self, other: "Span | None") -> "Span":
        """Give the smallest span that holds both."""
        if other is None:
            return self
        return Span(min(self.first, other.first), max(self.last, other.last))


Place = tuple[Span, Span]


def find_boxes(output: Tensor, input: Tensor, positions: Tensor, clip: bool = True) -> Tensor:
    """Find the receptive field of units at given places of a layer.

    Args:
        output: The layer's output from a recording, (N, C, h, w) or (N, C).
        input: The recording's input, (N, 3, H, W).
        positions: Rows and columns in the feature map, (K, 2); -1 stands for all.
        clip: Cut the boxes at the image's edge; else padding counts, and they may be negative.

    Returns:
        (K, 4) int64: top, left, bottom, right in input pixels, bottom and right exclusive.
        Branches are joined; where the graph holds an operation of unknown geometry the box is the
        whole image.

    Example:
        >>> from vizcnn.recording import record
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, stride=2))
        >>> with record(net) as recording:
        ...     _ = net(torch.zeros(1, 3, 9, 9))
        >>> find_boxes(recording.find_output("0"), recording.input, torch.tensor([[1, 2]]))
        tensor([[2, 4, 5, 7]])
    """
    nodes = trace_nodes(output, input)
    height, width = input.shape[-2:]
    known: dict[tuple[int, int], list[int]] = {}
    for row, column in {(row, column) for row, column in positions.tolist()}:
        place = _start(output, row, column)
        rows, columns = _walk_back(nodes, place, (height, width))
        known[row, column] = [rows.first, columns.first, rows.last + 1, columns.last + 1]
    boxes = torch.tensor([known[row, column] for row, column in positions.tolist()]).view(-1, 4)
    limit = torch.tensor([height, width, height, width])
    return boxes.clamp(min=0).minimum(limit) if clip else boxes


def find_field(output: Tensor, input: Tensor) -> tuple[int, int]:
    """Give height and width in pixels of the receptive field of a layer's middle unit, uncut."""
    middle = [[output.shape[-2] // 2, output.shape[-1] // 2]] if output.ndim == 4 else [[0, 0]]
    top, left, bottom, right = find_boxes(output, input, torch.tensor(middle), clip=False)[
        0
    ].tolist()
    return bottom - top, right - left


def _start(output: Tensor, row: int, column: int) -> Place:
    if output.ndim == 2:
        return Span(0, 0), Span(0, 0)
    height, width = output.shape[-2:]
    rows = Span(row, row) if row >= 0 else Span(0, height - 1)
    columns = Span(column, column) if column >= 0 else Span(0, width - 1)
    return rows, columns


def _walk_back(nodes: list[Node], start: Place, size: tuple[int, int]) -> Place:
    whole = (Span(0, size[0] - 1), Span(0, size[1] - 1))
    reached: dict[Node, Place | None] = {nodes[0]: start}
    on_path = set(nodes)
    for node in nodes[:-1]:
        place = _step_back(node, reached[node])
        if place is None:
            return whole
        for parent in inputs_of(node):
            if parent in on_path:
                before = reached.get(parent)
                reached[parent] = (
                    place
                    if before is None
                    else (place[0].join(before[0]), place[1].join(before[1]))
                )
    return reached[nodes[-1]] or whole


def _step_back(node: Node, place: Place | None) -> Place | None:
    """Give the place in a node's input that a place in its output depends on; None if unknown."""
    kind = kind_of(node)
    if place is None or kind in POINTWISE:
        return place
    if kind == "Convolution" and not node._saved_transposed:
        size = node._saved_weight.shape[-2:]
        return _slide_back(
            place, size, node._saved_stride, node._saved_padding, node._saved_dilation
        )
    if kind == "MaxPool":
        window = node.window
        return _slide_back(place, window.size, window.stride, window.padding, window.dilation)
    if kind == "AvgPool2D":
        size = node._saved_kernel_size
        return _slide_back(place, size, node._saved_stride or size, node._saved_padding, (1, 1))
    if kind == "AdaptiveAvgPool2D" or kind == "Mean":
        return _whole_map(node)
    return None


def _whole_map(node: Node) -> Place | None:
    saved = getattr(node, "_saved_self", None)
    shape: tuple[int, ...] = (
        saved.shape if saved is not None else getattr(node, "_saved_self_sym_sizes", ())
    )
    return (Span(0, shape[-2] - 1), Span(0, shape[-1] - 1)) if len(shape) == 4 else None


def _slide_back(
    place: Place,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Place:
    """Undo a sliding window: output i depends on inputs i*s - p ... i*s - p + d*(k-1)."""
    spans = []
    for axis, span in enumerate(place):
        first = span.first * stride[axis] - padding[axis]
        last = span.last * stride[axis] - padding[axis] + dilation[axis] * (size[axis] - 1)
        spans.append(Span(first, last))
    return spans[0], spans[1]
