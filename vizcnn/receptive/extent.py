"""What units depend on, along one dimension: the places inside the map, and the uncut span."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vizcnn.receptive.axes import SAME, WHOLE, Axis, ends_of


@dataclass(frozen=True, eq=False)
class Extent:
    """The places along one dimension that each of K units depends on.

    Attributes:
        marks: (K, n) bool, which places of the map; of one row where all units agree.
        first: (K,) first place reached, padding counted, so that it may be negative.
        last: (K,) last place reached, inclusive.
    """

    marks: Tensor
    first: Tensor
    last: Tensor

    @property
    def size(self) -> int:
        """Number of places along the dimension."""
        return int(self.marks.shape[1])

    def read_back(self, axis: Axis, inputs: int) -> "Extent":
        """Give the extent along the dimension of the input that this one is read from."""
        outputs = self.size
        if axis == SAME and outputs == inputs:
            return self
        if axis is WHOLE and bool(self.marks.any(dim=1).all()):
            return everything(inputs)
        return Extent(
            axis.read(self.marks, inputs),
            *axis.reach(self.first, self.last, outputs, inputs),
        )


Reach = tuple[Extent, ...]
"""What units depend on of a tensor, dimension by dimension."""


def everything(size: int) -> Extent:
    """Make the extent of units that depend on all places."""
    ends = torch.tensor([0]), torch.tensor([size - 1])
    return Extent(torch.ones(1, size, dtype=torch.bool), *ends)


def from_marks(marks: Tensor) -> Extent:
    """Make the extent whose span is that of its places."""
    return Extent(marks, *ends_of(marks))


def from_positions(positions: Tensor, size: int) -> Extent:
    """Make the extent of places themselves, (K,); -1 stands for all."""
    places = torch.arange(size)[None, :]
    anywhere = positions < 0
    return Extent(
        (places == positions[:, None]) | anywhere[:, None],
        positions.clamp(min=0),
        torch.where(anywhere, size - 1, positions),
    )


def join_reaches(one: Reach, other: Reach) -> Reach:
    """Join what is reached along two paths; a path that meets padding only adds nothing."""
    alive, too = _find_alive(one), _find_alive(other)
    if bool(alive.all() and too.all()):
        return tuple(_join(*pair) for pair in zip(one, other, strict=True))
    pairs = zip(_keep_alive(one, alive, ~too), _keep_alive(other, too, ~alive), strict=True)
    return tuple(_join(*pair) for pair in pairs)


def _find_alive(reach: Reach) -> Tensor:
    """Tell which units meet a place along every dimension; others depend on nothing at all."""
    alive = torch.ones(1, dtype=torch.bool)
    for extent in reach:
        alive = alive & extent.marks.any(dim=1)
    return alive


def _keep_alive(reach: Reach, alive: Tensor, alone: Tensor) -> Reach:
    """Let go of units that depend on nothing, but keep spans where there are no others."""
    far, spans = 2**40, alive | alone
    return tuple(
        Extent(
            extent.marks & alive[:, None],
            torch.where(spans, extent.first, far),
            torch.where(spans, extent.last, -far),
        )
        for extent in reach
    )


def _join(one: Extent, other: Extent) -> Extent:
    return Extent(
        one.marks | other.marks,
        torch.minimum(one.first, other.first),
        torch.maximum(one.last, other.last),
    )
