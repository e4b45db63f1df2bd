"""Views of another shape, and stacks: which dimensions of two shapes hold the same values."""

import math

import torch
from torch import Tensor

from vizcnn.geometry import signed
from vizcnn.receptive.extent import Extent, Reach, from_marks
from vizcnn.receptive.reading import Edge, Shape

RESHAPES = frozenset(
    "View UnsafeView ReshapeAlias Squeeze Unsqueeze UnsqueezeCopy ViewCopy".split()
)
"""Operations that keep the order of the values and change the shape."""

Group = tuple[tuple[int, ...], tuple[int, ...]]


def read_reshaped(reach: Reach, inputs: Shape) -> tuple[Reach, bool]:
    """Give what is reached of a view's input, and whether it is exact.

    Args:
        reach: What is reached of the view, dimension by dimension.
        inputs: Shape of the input.

    Returns:
        Where dimensions were joined, the places along each of them that are reached with any of
        the others; it is exact if what is reached is all of their combinations.
    """
    outputs = tuple(extent.size for extent in reach)
    extents: dict[int, Extent] = {}
    exact = True
    for ours, theirs in pair_dimensions(inputs, outputs):
        if len(ours) == len(theirs) == 1:
            extents[ours[0]] = reach[theirs[0]]
            continue
        flat = _flatten([reach[dim].marks for dim in theirs])
        marks = _unflatten(flat, [inputs[dim] for dim in ours])
        exact = exact and _is_product(flat, marks)
        extents |= {dim: from_marks(mark) for dim, mark in zip(ours, marks, strict=True)}
    return tuple(extents[dim] for dim in range(len(inputs))), exact


def read_stacked(reach: Reach, edge: Edge) -> Reach:
    """Give what is reached of one of the tensors of a stack: only what its own number reaches."""
    new = signed(edge.node._saved_dim) % len(reach)
    reached = reach[new].marks[:, edge.index, None]
    others = [extent for dim, extent in enumerate(reach) if dim != new]
    return tuple(Extent(one.marks & reached, one.first, one.last) for one in others)


def pair_dimensions(inputs: Shape, outputs: Shape) -> list[Group]:
    """Pair the dimensions of two shapes of equal volume, as few as possible at a time.

    Example:
        >>> pair_dimensions((2, 3, 4, 5), (6, 4, 5))
        [((0, 1), (0,)), ((2,), (1,)), ((3,), (2,))]
        >>> pair_dimensions((2, 3, 1, 1), (2, 3))
        [((0,), (0,)), ((1,), (1,)), ((2,), ()), ((3,), ())]
    """
    groups: list[Group] = []
    i = j = 0
    while i < len(inputs) or j < len(outputs):
        ours, theirs = inputs[i : i + 1], outputs[j : j + 1]
        while math.prod(ours) != math.prod(theirs):
            if math.prod(ours) < math.prod(theirs):
                ours = inputs[i : i + len(ours) + 1]
            else:
                theirs = outputs[j : j + len(theirs) + 1]
        groups.append(
            (tuple(range(i, i + len(ours))), tuple(range(j, j + len(theirs)))),
        )
        i, j = i + len(ours), j + len(theirs)
    return groups


def _flatten(marks: list[Tensor]) -> Tensor:
    """Mark the combinations of marked places (K, n) of several dimensions: (K, n * m * ...)."""
    flat = torch.ones(1, 1, dtype=torch.bool)
    for mark in marks:
        flat = (flat[:, :, None] & mark[:, None, :]).flatten(1)
    return flat


def _unflatten(flat: Tensor, sizes: list[int]) -> list[Tensor]:
    """Mark the places along each of several dimensions that any marked combination holds."""
    shaped = flat.view(len(flat), *sizes)
    return [
        shaped.movedim(dim + 1, 1).reshape(len(flat), size, -1).any(dim=2)
        for dim, size in enumerate(sizes)
    ]


def _is_product(flat: Tensor, marks: list[Tensor]) -> bool:
    return torch.equal(_flatten(marks), flat)
