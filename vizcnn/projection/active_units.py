"""Projections set against those of the other active units of their places."""

import math
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vizcnn.basics.errors import VizcnnError, check_number, quote
from vizcnn.photos.patches import spread
from vizcnn.projection.parts import (
    correct_cosines,
    find_commons,
    measure_cosines,
    measure_selectivity,
)
from vizcnn.projection.targets import Targets, places
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

    def list_evidence(self) -> list[dict[str, Any]]:
        """List of each projection, as plain values, what it was compared with and what came of it.

        Returns:
            ``selectivity`` (None if it is not known), ``compared`` and ``active`` of each.
        """
        values = (self.selectivity.tolist(), self.compared.tolist(), self.active.tolist())
        return [
            {
                "selectivity": None if math.isnan(selectivity) else selectivity,
                "compared": compared,
                "active": active,
            }
            for selectivity, compared, active in zip(*values, strict=True)
        ]

    def take(self, rows: Tensor) -> "Comparison":
        """Give that of some of the projections, by the numbers of their rows."""
        return replace(
            self,
            places=self.places[rows.to(self.places.device)],
            cosines=self.cosines[rows.to(self.cosines.device)],
            active=self.active[rows.to(self.active.device)],
            compared=self.compared[rows.to(self.compared.device)],
            effective_number=self.effective_number[rows.to(self.effective_number.device)],
        )


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

    rows: list[int]
    units: list[int]
    is_one: bool


@dataclass(frozen=True)
class _Place:
    """A place of an image, and the units whose pictures are compared there.

    Attributes:
        image: The image's number.
        position: The place in its maps, -1 for the whole of them.
        rows: Of each unit that was asked for there, its first projection.
        active: How many units are active there.
        samples: What is compared.
        others: Units that are to be projected for it.
    """

    image: int
    position: list[int]
    rows: dict[int, int]
    active: int
    samples: list[_Sample]
    others: list[int]


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
    found = _choose_units(maps.detach(), targets, compare)
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
    first = 0
    for group in _cut_into_calls(found, most):
        others = _project_into(maps, projection, group, project_others)
        _compare(comparison, first, group, windows, others, most)
        first += sum(len(place.samples) for place in group)
    return comparison


def _compare(
    comparison: Comparison,
    first: int,
    found: Sequence[_Place],
    windows: Tensor,
    others: Tensor,
    most: int,
) -> None:
    """Find the common pictures of samples, the first of a number, and set projections against them.

    Samples of one size are compared together, as far as there is room for their pictures.
    """
    by_size: dict[int, list[tuple[int, _Sample, list[int], int]]] = {}
    number, other = first, len(windows)
    for place in found:
        pictures = place.rows | {unit: other + k for k, unit in enumerate(place.others)}
        other += len(place.others)
        for sample in place.samples:
            rows = torch.tensor(sample.rows)
            comparison.places[rows] = number
            comparison.active[rows] = place.active
            comparison.compared[rows] = len(sample.units)
            if sample.units:
                shown = [pictures[unit] for unit in sample.units]
                by_size.setdefault(len(shown), []).append((number, sample, shown, place.active))
            number += 1
    for size, samples in by_size.items():
        step = max(most // size, 1)
        for start in range(0, len(samples), step):
            _compare_samples(comparison, samples[start : start + step], windows, others)


def _compare_samples(
    comparison: Comparison,
    samples: Sequence[tuple[int, _Sample, list[int], int]],
    windows: Tensor,
    others: Tensor,
) -> None:
    """Compare samples of one size: their numbers, what they are, their pictures, who is active."""
    numbers = torch.tensor([number for number, *_ in samples])
    size = len(samples[0][2])
    known = [size if size == active else int(sample.is_one) for _, sample, _, active in samples]
    totals = [active for *_, active in samples]
    pictures = _gather(windows, others, torch.tensor([shown for _, _, shown, _ in samples]))
    common = find_commons(pictures, torch.tensor(known), torch.tensor(totals))
    is_one = torch.tensor([sample.is_one for _, sample, _, _ in samples])
    finite = common.cosines.isfinite().sum(dim=1).cpu()
    compares = finite > is_one
    directions = common.directions * compares.to(windows.device).view(-1, *[1] * (windows.ndim - 1))
    comparison.directions[numbers.to(windows.device)] = directions
    rows = torch.tensor([row for _, sample, _, _ in samples for row in sample.rows])
    of_rows = torch.tensor([k for k, (_, one, _, _) in enumerate(samples) for _ in one.rows])
    comparison.effective_number[rows] = common.effective_numbers.cpu()[of_rows]
    cosines = measure_cosines(windows[rows], directions[of_rows]).cpu()
    corrected = correct_cosines(cosines, common.corrections.cpu()[of_rows])
    comparison.cosines[rows] = torch.where(compares[of_rows], corrected, math.nan)


def _gather(windows: Tensor, others: Tensor, numbers: Tensor) -> Tensor:
    """Give pictures by number: first those that were asked for, then the others."""
    count = len(windows)
    numbers = numbers.to(windows.device)
    asked = windows[numbers.clamp(max=count - 1)]
    if len(others):
        drawn = numbers >= count
        asked[drawn] = others[numbers[drawn] - count]
    return asked


def _choose_units(maps: Tensor, targets: Targets, compare: Compare) -> list[_Place]:
    """Choose the units of each different place that are compared with the projections there."""
    if not len(targets):
        return []
    keys = torch.column_stack([targets.images, targets.positions, targets.units]).cpu().numpy()
    different, of_rows = np.unique(keys[:, :-1], axis=0, return_inverse=True)
    order = np.argsort(of_rows, kind="stable")
    ends = np.cumsum(np.bincount(of_rows.ravel(), minlength=len(different)))[:-1]
    is_active = _look_up(maps, different).numpy()
    return [
        _choose_units_of_place(
            place.tolist(), np.flatnonzero(active).tolist(), rows.tolist(), keys[:, -1], compare
        )
        for place, active, rows in zip(
            different, is_active, np.split(order.ravel(), ends), strict=True
        )
    ]


def _look_up(maps: Tensor, different: NDArray[np.int64]) -> Tensor:
    """Tell which units are active at places (P, 1 + dimensions): (P, C), on the CPU."""
    images, *along = torch.from_numpy(different).to(maps.device).unbind(1)
    if maps.ndim > 2 and (different[:, 1:] < 0).any():
        values = maps.flatten(2).amax(dim=2)[images]
    elif maps.ndim > 2:
        values = maps.movedim(1, -1)[(images, *along)]
    else:
        values = maps[images]
    return (values > 0).cpu()


def _choose_units_of_place(
    place: list[int], active: list[int], rows: list[int], units: NDArray[np.int64], compare: Compare
) -> _Place:
    asked = units[rows].tolist()
    if compare == "all" or compare + 1 >= len(active):
        known = set(active)
        parted = (
            (
                [row for row, unit in zip(rows, asked, strict=True) if (unit in known) is is_one],
                is_one,
            )
            for is_one in (True, False)
        )
        samples = [_Sample(some, active, is_one) for some, is_one in parted if some]
    else:
        samples = [
            _draw_sample(
                [row for row, one in zip(rows, asked, strict=True) if one == unit],
                unit,
                active,
                compare,
            )
            for unit in dict.fromkeys(asked)
        ]
    others = {unit for sample in samples for unit in sample.units} - set(asked)
    first_rows = dict(zip(reversed(asked), reversed(rows), strict=True))
    return _Place(place[0], place[1:], first_rows, len(active), samples, sorted(others))


def _draw_sample(rows: list[int], unit: int, active: list[int], compare: int) -> _Sample:
    """Take a unit and so many other active ones.

    The active units, in their order, are cut into one stretch more, of which each gives its first;
    that of the unit gives the unit. So most of them are the same for all units of a place.
    """
    firsts = [number * len(active) // (compare + 1) for number in range(compare + 1)]
    stretch = bisect_right(firsts, bisect_left(active, unit)) - 1
    others = [active[first] for number, first in enumerate(firsts) if number != stretch]
    is_one = unit in active
    return _Sample(rows, [unit, *others] if is_one else others, is_one)


def _cut_into_calls(found: Sequence[_Place], most: int) -> Iterator[Sequence[_Place]]:
    """Cut places into groups of so many pictures at most, or of a single place."""
    first = held = 0
    for number, place in enumerate(found):
        count = len(place.others)
        if held and held + count > most:
            yield found[first:number]
            first, held = number, 0
        held += count
    if first < len(found):
        yield found[first:]


def _project_into(
    maps: Tensor,
    projection: "Projection",
    found: Sequence[_Place],
    project_others: Callable[[Targets], "Projection"],
) -> Tensor:
    """Project the other units of places into the windows of the projections there."""
    windows = projection.windows
    counts = [len(place.others) for place in found]
    if not sum(counts):
        return windows[:0]
    others = project_others(_make_targets(maps.detach(), found))
    rows = [next(iter(place.rows.values())) for place in found for _ in place.others]
    goal = projection.corners[rows]
    if others.windows.shape[1:] == windows.shape[1:] and torch.equal(others.corners, goal):
        return others.windows
    height, width = windows.shape[-2:]
    return move(others.windows, others.corners, Windows(goal, (height, width)))


def _make_targets(maps: Tensor, found: Sequence[_Place]) -> Targets:
    """Make targets of the other units of places."""
    listed = [(place.image, unit, place.position) for place in found for unit in place.others]
    images = torch.tensor([image for image, _, _ in listed], device=maps.device)
    units = torch.tensor([unit for _, unit, _ in listed], device=maps.device)
    positions = torch.tensor([position for _, _, position in listed], device=maps.device)
    if all(position[0] >= 0 for _, _, position in listed):
        return places(maps, images, units, positions)
    whole = maps[images, units]
    return Targets(images, units, positions, whole.reshape(len(units), -1).amax(dim=1), whole)
