"""Projections set against those of the other active units of their places."""

import math
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from vizcnn.basics.errors import VizcnnError, check_number, quote
from vizcnn.photos.patches import spread
from vizcnn.projection.parts import find_common, measure_cosines, measure_selectivity
from vizcnn.projection.targets import Targets, join_targets, places
from vizcnn.projection.windows import Windows, move

if TYPE_CHECKING:
    from vizcnn.projection.projection import Projection

Compare = Literal["all"] | int
"""With how many other active units of its place a projection is compared, at most."""

ROOM = 256 * 2**20
"""Bytes of the pictures of whole places that are in memory at a time; one place is, in any case."""


@dataclass(frozen=True)
class Comparison:
    """What projections have in common with those of the other active units of their places.

    K is the number of different common pictures of R projections: one for each place, or for each
    unit of a place where a sample of its active units is compared, for the unit is one of them.

    Attributes:
        directions: The common pictures C, (K, 3, h, w), of length 1, in the windows of the
            projections; zero where nothing is shared.
        places: Which of them belongs to each projection, (R,).
        cosines: Of each projection with its C, (R,), float64; nan where there is none. Where C is
            of a sample, what they would be if it were of all, as far as that can be told.
        active: How many units are active (above zero) at each projection's place, (R,).
        compared: How many of them C was found from, (R,).
        effective_number: How many different pictures the active units of the place make, (R,);
            nan where there is none.
    """

    directions: Tensor
    places: Tensor
    cosines: Tensor
    active: Tensor
    compared: Tensor
    effective_number: Tensor

    @property
    def selectivity(self) -> Tensor:
        """1 - cos²(P, C), (R,): 0 is the common picture, 1 has nothing of it; nan if not known."""
        return measure_selectivity(self.cosines)


def check_compare(compare: object) -> Compare:
    """Make sure that something says with how many units to compare.

    Raises:
        VizcnnError: If it does not.
    """
    if isinstance(compare, str):
        if compare == "all":
            return "all"
        raise VizcnnError(f"compare={quote(compare)} is not known; needed: 'all', or a number")
    return check_number("compare", compare, 1, sys.maxsize)


def draw_others(active: Sequence[int], unit: int, compare: Compare) -> list[int]:
    """Take active units beside a unit, evenly spread by number.

    Example:
        >>> draw_others([2, 3, 5, 7, 9], 5, 2), draw_others([2, 3, 5], 0, "all")
        ([2, 7], [2, 3, 5])
    """
    others = [other for other in active if other != unit]
    count = len(others) if compare == "all" else compare
    return [others[index] for index in spread(len(others), count)]


@dataclass(frozen=True)
class _Sample:
    """Units of a place whose pictures a common picture is found from.

    Attributes:
        rows: The projections that are set against it.
        units: The numbers of these units.
        is_one: Whether the projections' units are among them, the first where they are not all.
    """

    rows: Tensor
    units: list[int]
    is_one: bool


@dataclass(frozen=True)
class _Place:
    """A place of an image, and the units whose pictures are compared there.

    Attributes:
        rows: Of each unit that was asked for there, its first projection.
        active: How many units are active there.
        samples: What is compared.
        others: Units that are to be projected for it.
    """

    rows: dict[int, int]
    active: int
    samples: list[_Sample]
    others: Targets


def compare_with_active(
    maps: Tensor,
    targets: Targets,
    projection: "Projection",
    project_others: Callable[[Targets], "Projection"],
    compare: Compare,
    room: int = ROOM,
) -> Comparison:
    """Project the active units of the targets' places, and find what they have in common.

    What is said of a projection does not depend on which others were asked for with it.

    Args:
        maps: Feature maps of the layer (N, C, h, w) or units (N, C).
        targets: What was projected, R rows.
        projection: Its projections.
        project_others: Projects more targets of the layer in the same way.
        compare: ``"all"``, or how many other active units of a place, evenly spread by number;
            they stand for all of it.
        room: Bytes of pictures that are in memory at a time.
    """
    found = [_choose_units(maps, targets, rows, compare) for rows in _group_by_place(targets)]
    windows = projection.windows
    count = sum(len(place.samples) for place in found)
    comparison = Comparison(
        directions=windows.new_zeros((count, *windows.shape[1:])),
        places=torch.zeros(len(targets), dtype=torch.int64),
        cosines=torch.full((len(targets),), math.nan, dtype=torch.float64),
        active=torch.zeros(len(targets), dtype=torch.int64),
        compared=torch.zeros(len(targets), dtype=torch.int64),
        effective_number=torch.full((len(targets),), math.nan, dtype=torch.float64),
    )
    most = max(room // max(windows[:1].nbytes, 1), 1)
    number = 0
    for first, last in _cut_into_calls([len(place.others) for place in found], most):
        others = _project_into(windows, projection, found[first:last], project_others)
        for place in found[first:last]:
            pictures = {unit: windows[row] for unit, row in place.rows.items()}
            pictures |= dict(zip(place.others.units.tolist(), others, strict=False))
            others = others[len(place.others) :]
            for sample in place.samples:
                comparison.places[sample.rows] = number
                comparison.active[sample.rows] = place.active
                comparison.compared[sample.rows] = len(sample.units)
                _compare(comparison, number, sample, place.active, pictures, windows)
                number += 1
    return comparison


def _compare(
    comparison: Comparison,
    number: int,
    sample: _Sample,
    active: int,
    pictures: dict[int, Tensor],
    windows: Tensor,
) -> None:
    """Find a sample's common picture, and set projections against it."""
    if not sample.units:
        return
    shown = torch.stack([pictures[unit] for unit in sample.units])
    known = len(shown) if len(shown) == active else int(sample.is_one)
    common = find_common(shown, known, active)
    comparison.effective_number[sample.rows] = common.effective_number
    if common.compares(sample.is_one):
        comparison.directions[number] = common.direction
        cosines = measure_cosines(windows[sample.rows], common.direction)
        comparison.cosines[sample.rows] = common.correct(cosines)


def _group_by_place(targets: Targets) -> list[Tensor]:
    """Give the rows of each different place."""
    keys = torch.column_stack([targets.images, targets.positions]).cpu()
    _, of_rows = torch.unique(keys, dim=0, return_inverse=True)
    return [(of_rows == number).nonzero()[:, 0] for number in of_rows.unique().tolist()]


def _choose_units(maps: Tensor, targets: Targets, rows: Tensor, compare: Compare) -> _Place:
    """Choose the units of a place that are compared with its projections."""
    image, position = int(targets.images[rows[0]]), targets.positions[rows[0]]
    values = maps.detach()[image]
    whole = bool(position[0] < 0)
    if whole:
        values = values.reshape(len(values), -1).amax(dim=1)
    elif maps.ndim > 2:
        values = values[(slice(None), *position.tolist())]
    active = (values > 0).nonzero()[:, 0].tolist()
    asked = targets.units[rows].tolist()
    if compare == "all" or compare + 1 >= len(active):
        is_active = torch.tensor([unit in active for unit in asked])
        parted = ((rows[is_active], True), (rows[~is_active], False))
        samples = [_Sample(some, active, is_one) for some, is_one in parted if len(some)]
    else:
        samples = [
            _draw_sample(rows[torch.tensor([one == unit for one in asked])], unit, active, compare)
            for unit in dict.fromkeys(asked)
        ]
    drawn = {unit for sample in samples for unit in sample.units} - set(asked)
    units = torch.tensor(sorted(drawn), dtype=torch.int64, device=maps.device)
    images = torch.full_like(units, image)
    if whole:
        others = Targets(
            images,
            units,
            position.expand(len(units), -1),
            values[units],
            maps[image, units].detach(),
        )
    else:
        others = places(maps, images, units, position.expand(len(units), -1))
    first_rows = dict(zip(reversed(asked), reversed(rows.tolist()), strict=True))
    return _Place(first_rows, len(active), samples, others)


def _draw_sample(rows: Tensor, unit: int, active: list[int], compare: int) -> _Sample:
    """Take a unit and so many other active ones.

    The active units, in their order, are cut into one stretch more, of which each gives its first;
    that of the unit gives the unit. So most of them are the same for all units of a place.
    """
    firsts = [number * len(active) // (compare + 1) for number in range(compare + 1)]
    stretch = bisect_right(firsts, bisect_left(active, unit)) - 1
    others = [active[first] for number, first in enumerate(firsts) if number != stretch]
    return _Sample(rows, [unit, *others] if unit in active else others, unit in active)


def _cut_into_calls(counts: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
    """Cut places into groups of so many pictures at most, or of a single place."""
    first = held = 0
    for number, count in enumerate(counts):
        if held and held + count > most:
            yield first, number
            first, held = number, 0
        held += count
    if first < len(counts):
        yield first, len(counts)


def _project_into(
    windows: Tensor,
    projection: "Projection",
    found: Sequence[_Place],
    project_others: Callable[[Targets], "Projection"],
) -> Tensor:
    """Project the other units of places into the windows of the projections there."""
    targets = join_targets([place.others for place in found])
    if not len(targets):
        return windows[:0]
    others = project_others(targets)
    rows = [next(iter(place.rows.values())) for place in found for _ in range(len(place.others))]
    goal = projection.corners[rows]
    if others.windows.shape[1:] == windows.shape[1:] and torch.equal(others.corners, goal):
        return others.windows
    height, width = windows.shape[-2:]
    return move(others.windows, others.corners, Windows(goal, (height, width)))
