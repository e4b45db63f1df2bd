"""The autograd graph between a layer and the input: the exact record of what lies between them."""

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Any

from torch import Tensor
from torch.autograd.function import BackwardCFunction

from vizcnn.basics.errors import LayerError, UnsupportedOperationError
from vizcnn.recording.backward import Activate, Gate, GateMatrix, MaxPool, Normalise, Rectify

Node = Any
"""A node of torch's autograd graph; its saved attributes depend on its kind."""

OURS = tuple(
    function._backward_cls for function in (Activate, Gate, GateMatrix, MaxPool, Normalise, Rectify)
)
"""Nodes of the operations of :mod:`vizcnn.recording.backward`."""

_FOREIGN = " (a function of its own)"


def kind_of(node: Node) -> str:
    """Give the name of a node's operation, without autograd's decoration."""
    name = _undecorate(str(node.name()))
    # of another's function the name says nothing, not even if it is one of ours
    if isinstance(node, BackwardCFunction) and not isinstance(node, OURS):
        return f"{name}{_FOREIGN}"
    return name


@cache
def _undecorate(name: str) -> str:
    return re.sub(r"Backward(\d*|AutogradForward)$", "", name.split("::")[-1])


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


def find_foreign(nodes: Iterable[Node]) -> Counter[str]:
    """Count the functions of others on the way, whose backward pass only they know."""
    names = (kind_of(node) for node in nodes)
    return Counter(name for name in names if name.endswith(_FOREIGN))


def refuse_rerouted(nodes: Iterable[Node]) -> None:
    """Refuse graphs whose way back is not that of their operations, under any method.

    Raises:
        UnsupportedOperationError: If a hook or a checkpoint lies on the way.
    """
    for node in nodes:
        if kind_of(node) in _NAMED:
            raise UnsupportedOperationError(
                f"{_NAMED[kind_of(node)]} lies between this layer and the input: the way back "
                "through it is not that of the net's operations"
            )


_NAMED = {
    f"BackwardHookFunction{_FOREIGN}": "a full backward hook on a module (remove it)",
    f"CheckpointFunction{_FOREIGN}": "a checkpoint with use_reentrant=True (switch it off)",
}
