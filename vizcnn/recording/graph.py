"""The autograd graph between a layer and the input: the exact record of what lies between them."""

import re
from collections import Counter
from typing import Any

from torch import Tensor
from torch.autograd.function import BackwardCFunction

from vizcnn.basics.errors import LayerError, UnsupportedOperationError
from vizcnn.recording.backward import MaxPool, Normalise, Rectify

Node = Any
"""A node of torch's autograd graph; its saved attributes depend on its kind."""

LINEAR = frozenset(
    """Convolution MkldnnConvolution CudnnConvolution Addmm Mm Bmm Baddbmm Mv Linear T Transpose
    Permute NativeBatchNorm CudnnBatchNorm BatchNorm Add Sub Neg Mul Div AvgPool2D AdaptiveAvgPool2D
    Mean Sum View UnsafeView ReshapeAlias AsStrided Alias Squeeze Unsqueeze Expand Repeat Clone Copy
    CopyBackwards CopySlices Cat Stack Split SplitWithSizes Chunk Slice Select Index IndexSelect
    Narrow Unbind ConstantPadNd ReflectionPad2D ReplicationPad2D UpsampleNearest2D
    UpsampleBilinear2D UpsampleBicubic2D PixelShuffle PixelUnshuffle Flip Roll ToCopy Contiguous
    AccumulateGrad NativeChannelShuffle ChannelShuffle Im2Col Col2Im""".split()
)
"""Operations that are linear in the feature maps: their transpose is the way back."""

SWITCHED = frozenset(
    "MaxPool Max Amax AdaptiveMaxPool2D FractionalMaxPool2D MaxPool2DWithIndices".split()
)
"""Maxima: the way back goes through their switches."""

OURS = tuple(function._backward_cls for function in (MaxPool, Normalise, Rectify))
"""Nodes of the operations of :mod:`vizcnn.recording.backward`."""

RULED = frozenset(["Rectify", "Normalise"])
"""Operations of :mod:`vizcnn.recording.backward`."""

NORMALISING = frozenset(["NativeGroupNorm", "NativeLayerNorm", "InstanceNorm", "LinalgVectorNorm"])
"""Normalisations whose true gradient is taken under every rule."""

GATES = frozenset(["Mul", "Div", "Mm", "Bmm", "Baddbmm", "Addmm"])
"""Linear when one factor is fixed; a gate when both depend on the input."""


def kind_of(node: Node) -> str:
    """Give the name of a node's operation, without autograd's decoration."""
    name = re.sub(r"Backward(\d*|AutogradForward)$", "", str(node.name()).split("::")[-1])
    # of another's function the name says nothing, not even if it is one of ours
    if isinstance(node, BackwardCFunction) and not isinstance(node, OURS):
        return f"{name} (a function of its own)"
    return name


def inputs_of(node: Node) -> list[Node]:
    """List the nodes that made a node's inputs.

    Contrast normalisation is one operation: what it computes inside is not looked into.
    """
    parents = [parent for parent, _ in node.next_functions if parent is not None]
    return parents[:1] if kind_of(node) == "Normalise" else parents


def trace_nodes(output: Tensor, input: Tensor) -> list[Node]:
    """List the nodes between a layer's output and the input.

    Args:
        output: The output of a layer of a recording.
        input: The recording's input.

    Returns:
        The nodes on any path from the output to the input, each before the nodes it feeds on the
        way back; the last is the input's own.

    Raises:
        LayerError: If no path leads to the input.
    """
    order: list[Node] = []
    reaches: dict[Node, bool] = {}
    stack: list[tuple[Node, bool]] = [(output.grad_fn, False)]
    while stack:
        node, done = stack.pop()
        if done:
            reaches[node] = any(reaches[parent] for parent in inputs_of(node)) or _is_leaf(
                node, input
            )
            if reaches[node]:
                order.append(node)
        elif node not in reaches:
            reaches[node] = False
            stack.append((node, True))
            stack.extend((parent, False) for parent in inputs_of(node))
    if not order:
        raise LayerError("the layer does not depend on the input image")
    return order[::-1]


def _is_leaf(node: Node, input: Tensor) -> bool:
    return getattr(node, "variable", None) is input


def find_unruled(nodes: list[Node], gates: list[str]) -> Counter[str]:
    """Count the operations that only the plain gradient is right for.

    Args:
        nodes: From :func:`trace_nodes`.
        gates: Comparisons on feature maps, from a recording.

    Returns:
        Names of operations with how often they occur; empty when every rule applies.
    """
    known = LINEAR | SWITCHED | RULED | NORMALISING
    on_path = set(nodes)
    found: Counter[str] = Counter(f"comparison '{name}'" for name in gates)
    for node in nodes:
        kind = kind_of(node)
        inputs = sum(parent in on_path for parent in inputs_of(node))
        if kind not in known:
            found[kind] += 1
        elif kind in GATES and inputs > 1:
            found[f"product of feature maps ({kind})"] += 1
    return found


def refuse_unruled(nodes: list[Node], gates: list[str], method: str) -> None:
    """Refuse, by name, operations that a method has no rule for.

    Raises:
        UnsupportedOperationError: If there are any.
    """
    found = find_unruled(nodes, gates)
    if found:
        names = ", ".join(f"{name} ({count}x)" for name, count in found.most_common())
        raise UnsupportedOperationError(
            f"{method} has no rule for {names} between this layer and the input; use a layer "
            "below, method 'gradient', or unruled='gradient' to take the plain gradient there"
        )
