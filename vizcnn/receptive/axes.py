"""How one dimension of a tensor is read: which places of an input each place of an output needs."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor


class Axis(Protocol):
    """How the places along one dimension of an output go with those along one of an input."""

    def read(self, marks: Tensor, inputs: int) -> Tensor:
        """Give the input's places (K, inputs) that marked places (K, outputs) read, both bool."""

    def reach(
        self, first: Tensor, last: Tensor, outputs: int, inputs: int
    ) -> tuple[Tensor, Tensor]:
        """Give the first and last place that spans of the output reach.

        Both may lie outside the map on either side, where padding would be: spans go on there as
        they do inside.
        """


@dataclass(frozen=True)
class Slide:
    """A sliding window: place i reads i * stride - padding + dilation * k for k < size."""

    size: int = 1
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    def read(self, marks: Tensor, inputs: int) -> Tensor:
        if self.size == 1 and self.stride > 0:
            return self._pick(marks, inputs)
        return combine(marks, self.table(marks.shape[1], inputs))

    def _pick(self, marks: Tensor, inputs: int) -> Tensor:
        outputs = marks.shape[1]
        places = torch.arange(inputs) + self.padding
        there = (places >= 0) & (places < outputs * self.stride) & (places % self.stride == 0)
        picked = torch.div(places, self.stride, rounding_mode="floor").clamp(0, outputs - 1)
        return marks[:, picked] & there

    def table(self, outputs: int, inputs: int) -> Tensor:
        """Give (outputs, inputs) bool: whether a place of the output reads one of the input."""
        return _slide(self, outputs, inputs)

    def reach(
        self, first: Tensor, last: Tensor, outputs: int, inputs: int
    ) -> tuple[Tensor, Tensor]:
        before, after = first * self.stride - self.padding, last * self.stride - self.padding
        if self.stride < 0:  # a flip
            before, after = after, before
        return before, after + self.dilation * (self.size - 1)


SAME = Slide()
"""Each place reads its own."""


@lru_cache(maxsize=1024)
def _slide(axis: Slide, outputs: int, inputs: int) -> Tensor:
    starts = torch.arange(outputs)[:, None] * axis.stride - axis.padding
    beyond = torch.arange(inputs)[None, :] - starts
    inside = (beyond >= 0) & (beyond <= axis.dilation * (axis.size - 1))
    return inside & (beyond % axis.dilation == 0)


@dataclass(frozen=True)
class Padded:
    """A pad whose margin shows places of the map again: mirrored at its edge, or the edge itself.

    Spans are those of a pad by zeros: they lead out of the map, as every padding's.
    """

    padding: int
    mirrors: bool

    def read(self, marks: Tensor, inputs: int) -> Tensor:
        places = torch.arange(marks.shape[1]) - self.padding
        if self.mirrors:
            places = (inputs - 1) - ((inputs - 1) - places.abs()).abs()
        return combine(marks, mark_places(places.clamp(0, inputs - 1), inputs))

    def reach(
        self, first: Tensor, last: Tensor, outputs: int, inputs: int
    ) -> tuple[Tensor, Tensor]:
        return first - self.padding, last - self.padding


@dataclass(frozen=True)
class Spread:
    """A transposed convolution: the input's places are spread by the window, backwards."""

    window: Slide

    def read(self, marks: Tensor, inputs: int) -> Tensor:
        return combine(marks, self.window.table(inputs, marks.shape[1]).T)

    def reach(
        self, first: Tensor, last: Tensor, outputs: int, inputs: int
    ) -> tuple[Tensor, Tensor]:
        window = self.window
        before = first + window.padding - window.dilation * (window.size - 1)
        start = -torch.div(-before, window.stride, rounding_mode="floor")
        end = torch.div(last + window.padding, window.stride, rounding_mode="floor")
        return torch.minimum(start, end), torch.maximum(start, end)


class Whole:
    """Every place reads all of them."""

    def read(self, marks: Tensor, inputs: int) -> Tensor:
        return marks.any(dim=1, keepdim=True).expand(-1, inputs)

    def reach(
        self, first: Tensor, last: Tensor, outputs: int, inputs: int
    ) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(first), torch.full_like(last, inputs - 1)


WHOLE = Whole()


@dataclass(frozen=True, eq=False)
class Lookup:
    """A table: resizing, adaptive pooling, picked places. Outside the map it goes on evenly."""

    table: Tensor

    def read(self, marks: Tensor, inputs: int) -> Tensor:
        return combine(marks, self.table)

    def reach(
        self, first: Tensor, last: Tensor, outputs: int, inputs: int
    ) -> tuple[Tensor, Tensor]:
        start, end = first.clamp(0, outputs - 1), last.clamp(0, outputs - 1)
        places = torch.arange(outputs)
        reached = combine((places >= start[:, None]) & (places <= end[:, None]), self.table)
        before, after = ends_of(reached)
        left = torch.div((first - start) * inputs, outputs, rounding_mode="floor")
        right = -torch.div((end - last) * inputs, outputs, rounding_mode="floor")
        return before + left, after + right


def combine(marks: Tensor, table: Tensor) -> Tensor:
    """Give the input's places (K, inputs) that marked places (K, outputs) of an output read."""
    return (marks.float() @ table.float()) > 0


def ends_of(marks: Tensor) -> tuple[Tensor, Tensor]:
    """Give the first and the last marked place of each row (K, n); of an empty row the ends."""
    size = marks.shape[1]
    first = marks.to(torch.uint8).argmax(dim=1)
    last = size - 1 - marks.flip(1).to(torch.uint8).argmax(dim=1)
    return first, last


def mark_places(places: Tensor, inputs: int) -> Tensor:
    """Give the table by which each place of an output reads one place of an input."""
    return places[:, None] == torch.arange(inputs)[None, :]


def average_adaptively(outputs: int, inputs: int) -> Lookup:
    """Make the windows of adaptive pooling: floor(i n / m) to ceil((i + 1) n / m), exclusive.

    Example:
        >>> average_adaptively(2, 3).table.int()
        tensor([[1, 1, 0],
                [0, 1, 1]], dtype=torch.int32)
    """
    numbers = torch.arange(outputs)[:, None]
    starts = torch.div(numbers * inputs, outputs, rounding_mode="floor")
    stops = -torch.div(-(numbers + 1) * inputs, outputs, rounding_mode="floor")
    places = torch.arange(inputs)[None, :]
    return Lookup((places >= starts) & (places < stops))


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
