"""Projections set against those of the other active units of their places."""

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from vizcnn.basics.errors import VizcnnError, check_number, quote
from vizcnn.projection.parts import find_common, inner_product, measure_selectivity
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

    K is the number of different places among R projections.

    Attributes:
        directions: The common picture C of each place, (K, 3, h, w), of length 1, in the windows of
            the projections; zero where nothing is shared.
        places: Which of them belongs to each projection, (R,).
        cosines: Of each projection with its C, (R,), float64; nan where there is none.
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


@dataclass(frozen=True)
class _Place:
    """A place of an image, and the units whose pictures are compared there.

    Attributes:
        rows: The projections of this place.
        units: The units that C is found from: first those of the projections, then the others.
        known: How many of them are those of the projections.
        active: How many units are active there.
    """

    rows: Tensor
    units: Targets
    known: int
    active: int


def compare_with_active(
    maps: Tensor,
    targets: Targets,
    projection: "Projection",
    project_others: Callable[[Targets], "Projection"],
    compare: Compare,
    room: int = ROOM,
) -> Comparison:
    """Project the active units of the targets' places, and find what they have in common.

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
    comparison = Comparison(
        directions=windows.new_zeros((len(found), *windows.shape[1:])),
        places=torch.zeros(len(targets), dtype=torch.int64),
        cosines=torch.full((len(targets),), math.nan, dtype=torch.float64),
        active=torch.zeros(len(targets), dtype=torch.int64),
        compared=torch.zeros(len(targets), dtype=torch.int64),
        effective_number=torch.full((len(targets),), math.nan, dtype=torch.float64),
    )
    most = max(room // max(windows[:1].nbytes, 1), 1)
    for first, last in _cut_into_calls([len(place.units) for place in found], most):
        others = project_others(_join([place.units for place in found[first:last]]))
        row = 0
        for number in range(first, last):
            place = found[number]
            there = slice(row, row + len(place.units))
            row = there.stop
            comparison.places[place.rows] = number
            comparison.active[place.rows] = place.active
            comparison.compared[place.rows] = len(place.units)
            if len(place.units):
                common = find_common(others.windows[there], place.known, place.active)
                comparison.effective_number[place.rows] = common.effective_number
                pictured = int(common.cosines.isfinite().sum())
                if pictured > 1 or not place.known:  # else a picture is compared with itself
                    corners, goal = others.corners[there][:1], projection.corners[place.rows[:1]]
                    direction = _bring(common.direction[None], corners, goal, windows)
                    comparison.directions[number] = direction[0]
                    cosines = _measure_cosines(windows[place.rows], direction[0])
                    comparison.cosines[place.rows] = cosines
    return comparison


def _group_by_place(targets: Targets) -> list[Tensor]:
    """Give the rows of each different place."""
    keys = torch.column_stack([targets.images, targets.positions]).cpu()
    _, of_rows = torch.unique(keys, dim=0, return_inverse=True)
    return [(of_rows == number).nonzero()[:, 0] for number in of_rows.unique().tolist()]


def _choose_units(maps: Tensor, targets: Targets, rows: Tensor, compare: Compare) -> _Place:
    """Choose the active units of a place: those of the targets, and all others or a sample."""
    image, position = int(targets.images[rows[0]]), targets.positions[rows[0]]
    values = maps.detach()[image]
    whole = bool(position[0] < 0)
    if whole:
        values = values.flatten(1).amax(dim=1)
    elif maps.ndim > 2:
        values = values[(slice(None), *position.tolist())]
    active = (values > 0).nonzero()[:, 0]
    is_asked = torch.isin(active, targets.units[rows].to(active.device))
    asked, others = active[is_asked], active[~is_asked]
    if compare != "all" and compare < len(others):
        others = others[torch.arange(compare, device=others.device) * len(others) // compare]
    units = torch.cat([asked, others])
    images = torch.full_like(units, image)
    if whole:
        chosen = Targets(
            images,
            units,
            position.expand(len(units), -1),
            values[units],
            maps[image, units].detach(),
        )
    else:
        chosen = places(maps, images, units, position.expand(len(units), -1))
    return _Place(rows, chosen, len(asked), len(active))


def _join(targets: Sequence[Targets]) -> Targets:
    return Targets(
        *(torch.cat([getattr(some, field.name) for some in targets]) for field in fields(Targets))
    )


def _cut_into_calls(counts: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
    """Cut places into groups of so many pictures at most, or of a single place."""
    first = held = 0
    for number, count in enumerate(counts):
        if held and held + count > most:
            yield first, number
            first, held = number, 0
        held += count
    if held:
        yield first, len(counts)


def _bring(picture: Tensor, corners: Tensor, goal: Tensor, windows: Tensor) -> Tensor:
    """Bring a picture into the windows of other projections of its place."""
    if picture.shape[1:] == windows.shape[1:] and bool((corners == goal).all()):
        return picture
    height, width = windows.shape[-2:]
    return move(picture, corners, Windows(goal, (height, width)))


def _measure_cosines(pictures: Tensor, direction: Tensor) -> Tensor:
    """Give the cosines of pictures (r, ...) with a direction of length 1 or 0; nan for black."""
    scaled = [picture / picture.abs().amax() for picture in pictures]  # no square is lost
    lengths = [math.sqrt(inner_product(picture, picture)) for picture in scaled]
    products = [inner_product(picture, direction) for picture in scaled]
    return torch.tensor(products, dtype=torch.float64) / torch.tensor(lengths, dtype=torch.float64)
