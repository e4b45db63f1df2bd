"""What is known of one input of an operation, and the plainest way to read it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vizcnn.graph import Node
from vizcnn.receptive.axes import SAME, WHOLE, Axis

Shape = tuple[int, ...]

Reading = list[tuple[int | None, Axis]]
"""For each dimension of an input: the dimension of the output that goes with it, and how its places
are read; None where no dimension of the output does."""


@dataclass(frozen=True)
class Edge:
    """An operation and one of its inputs.

    Attributes:
        node: The operation.
        number: Which of its outputs is meant.
        index: Which of its inputs is meant.
        outputs: Shape of that output.
        shapes: Shapes of all its inputs; None of those that need no gradient.
    """

    node: Node
    number: int
    index: int
    outputs: Shape
    shapes: Sequence[Shape | None]

    @property
    def inputs(self) -> Shape:
        """Shape of the input that is meant."""
        return self.shapes[self.index] or ()


def keep(edge: Edge, others: Mapping[int, Axis]) -> Reading:
    """Read all dimensions in place but some, which may be counted from the last."""
    count = len(edge.outputs)
    given = {dim % count: axis for dim, axis in others.items()}
    return [(dim, given.get(dim, SAME)) for dim in range(count)]


def read_in_place(edge: Edge) -> Reading | None:
    """Read each place at its own; one that was spread over many places, as one."""
    lead = len(edge.outputs) - len(edge.inputs)
    pairs = list(zip(edge.inputs, edge.outputs[lead:], strict=True)) if lead >= 0 else []
    if lead < 0 or any(ours not in (1, theirs) for ours, theirs in pairs):
        return None
    return [
        (lead + dim, SAME if ours == theirs else WHOLE) for dim, (ours, theirs) in enumerate(pairs)
    ]
