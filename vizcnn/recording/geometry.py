"""Geometry of one operation of a recorded graph: which places of its input a place depends on."""

from collections.abc import Container
from typing import Any

from vizcnn.recording.graph import Node, inputs_of, kind_of
from vizcnn.recording.unpool import Window, pair

POINTWISE = frozenset(
    """Rectify Activate Gate Normalise Add Sub Rsub Neg Mul Div Clone Alias Copy CopyBackwards
    Contiguous ToCopy Relu Silu Gelu Sigmoid LogSigmoid Tanh Hardswish Hardsigmoid Elu Selu
    Celu Softplus LeakyRelu Prelu PreluKernel RreluWithNoise Hardtanh Clamp ClampMin
    ClampMax Threshold Mish Abs Pow Exp Expm1 Log Log1P Sqrt Rsqrt Reciprocal Sin Cos Sgn
    Erf Where MaskedFill Maximum Minimum Lerp Addcmul Addcdiv Atan Expand NativeDropout""".split()
)
"""Operations whose output at a place depends on that place of each input, broadcasting aside."""

BATCH_NORMALISATIONS = frozenset("NativeBatchNorm CudnnBatchNorm MiopenBatchNorm".split())
"""Pointwise with fixed statistics; with the batch's own they see all of it."""

UNIT_WINDOW = Window((1, 1), (1, 1))
"""An output place reads the input at the same place."""


def find_window(node: Node, on_path: Container[Node] | None = None) -> Window | None:
    """Find the sliding window by which an operation reads its input.

    Output place i depends on the input places i * stride - padding + dilation * k for k = 0 ...
    size - 1, as far as they lie inside the input. ``padding`` is that on the upper and left side;
    a negative one cuts off. How far the output goes on the other side is its own size's matter.
    Padding by reflection or replication has the window of a pad by zeros: what an output place in
    the margin shows instead is for the caller to mind (:mod:`vizcnn.receptive.steps` does).

    Args:
        node: A node of the autograd graph of a recording, with feature maps (N, C, H, W) on both
            sides.
        on_path: The nodes that lead to the image, from :func:`~vizcnn.recording.graph.trace_nodes`;
            without them, all that are no parameters are taken for such.

    Returns:
        The window; that of one place for pointwise operations, None where there is no such window
        or none is known.

    Example:
        >>> import torch
        >>> x = torch.zeros(1, 3, 8, 8, requires_grad=True)
        >>> find_window(torch.nn.functional.avg_pool2d(x, 3, stride=2, padding=1).grad_fn)
        Window(size=(3, 3), stride=(2, 2), padding=(1, 1), dilation=(1, 1), ceil=False)
        >>> find_window(x.flatten(1).grad_fn) is None
        True
    """
    kind = kind_of(node)
    if not _keeps_places(node, on_path):
        return None
    if kind in POINTWISE or (kind in BATCH_NORMALISATIONS and not node._saved_training):
        return UNIT_WINDOW
    if kind == "Cat" or kind == "Softmax" or kind == "LogSoftmax":
        return UNIT_WINDOW if signed(node._saved_dim) in (1, -3) else None
    if kind == "Convolution" and not node._saved_transposed:
        return Window(
            pair(node._saved_weight.shape[2:]),
            pair(node._saved_stride),
            pair(node._saved_padding),
            pair(node._saved_dilation),
        )
    if kind == "MaxPool":
        window = getattr(node, "window", None)  # a function of others may have this name
        return window if isinstance(window, Window) else None
    if kind in ("AvgPool2D", "MaxPool2DWithIndices"):
        return _pooling_window(node)
    if kind == "ConstantPadNd":
        return _padding_window(node._saved_pad)
    if kind in ("ReflectionPad2D", "ReplicationPad2D"):
        return _padding_window(node._saved_padding)
    return _slicing_window(node) if kind == "Slice" else None


def shape_of(node: Node, number: int = 0) -> tuple[int, ...]:
    """Give the shape of one of the tensors that a node's operation put out."""
    return tuple(node._input_metadata[number].shape)


def edges_of(node: Node) -> list[tuple[Node, int]]:
    """List the nodes that made a node's inputs, each with the number of its output."""
    edges = [(parent, number) for parent, number in node.next_functions if parent is not None]
    return edges[: len(inputs_of(node))]


def signed(value: int) -> int:
    """Undo that autograd's saved numbers come without a sign.

    Example:
        >>> signed(2**64 - 1), signed(3)
        (-1, 3)
    """
    return value - 2**64 if value >= 2**63 else value


def _keeps_places(node: Node, on_path: Container[Node] | None) -> bool:
    """Tell whether a node takes and gives feature maps, none of them spread over many places."""
    shape = shape_of(node)
    shapes = [
        shape_of(parent, number)
        for parent, number in edges_of(node)
        if (kind_of(parent) != "AccumulateGrad" if on_path is None else parent in on_path)
    ]
    if any(len(other) != 4 for other in (shape, *shapes)):
        return False
    return kind_of(node) not in POINTWISE or all(other[2:] == shape[2:] for other in shapes)


def _pooling_window(node: Node) -> Window:
    size = pair(node._saved_kernel_size)
    stride = pair(node._saved_stride) if node._saved_stride else size
    dilation = pair(getattr(node, "_saved_dilation", (1, 1)))
    return Window(size, stride, pair(node._saved_padding), dilation, bool(node._saved_ceil_mode))


def _padding_window(padding: Any) -> Window:
    """Make the window of a pad (left, right, top, bottom, ...); None for pads of channels."""
    left, _, top, *_ = *(signed(side) for side in padding), 0, 0, 0
    return Window((1, 1), (1, 1), (top, left))


def find_slice(node: Node) -> tuple[int, int, int]:
    """Give the dimension, the first place and the step of a Slice."""
    sizes = node._saved_self_sym_sizes
    dim, start = signed(node._saved_dim) % len(sizes), signed(node._saved_start)
    size = int(sizes[dim])
    first = max(start + size, 0) if start < 0 else min(start, size)
    return dim, first, int(node._saved_step)


def _slicing_window(node: Node) -> Window:
    dim, first, step = find_slice(node)
    if dim == 2:
        return Window((1, 1), (step, 1), (-first, 0))
    return Window((1, 1), (1, step), (0, -first)) if dim == 3 else UNIT_WINDOW
