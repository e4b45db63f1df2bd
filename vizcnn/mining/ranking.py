"""Rankings of places: kept up to date lot by lot, and joined."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vizcnn.basics.errors import DataError
from vizcnn.mining.identity import list_differences, list_shape_differences
from vizcnn.mining.index import LayerRanking, StrongestIndex

AT_ONCE = 1 << 22
"""Activations that are looked at closely at a time: a bound on the memory that this takes."""

MANY = 4
"""One in so many maps that are stronger than the weakest in the ranking are many."""

_PARTS = ("values", "photos", "positions")


def make_ranking(
    name: str, path: str, shape: tuple[int, ...], top: int, device: torch.device | str = "cpu"
) -> LayerRanking:
    """Make a ranking without a place in it.

    Args:
        name: The layer as asked for.
        path: Its module path.
        shape: Of the layer's output for one photo: (units, rows, columns) or (units,).
        top: Places kept per unit.
        device: Where its tensors are.
    """
    units = shape[0]
    return LayerRanking(
        name=name,
        path=path,
        map_size=(shape[1], shape[2]) if len(shape) == 3 else None,
        values=torch.full((units, top), -torch.inf, device=device),
        photos=torch.full((units, top), -1, device=device),
        positions=torch.full((units, top, 2), -1, device=device),
    )


def move_ranking(ranking: LayerRanking, device: torch.device | str) -> LayerRanking:
    """Give a ranking on another device."""
    return replace(ranking, **{part: getattr(ranking, part).to(device) for part in _PARTS})


@dataclass(frozen=True)
class Places:
    """Places of M maps of a lot, ordered by unit and then by photo.

    Attributes:
        units: Unit of each map, (M,).
        slots: Which photo of the lot each map is of, (M,).
        values: Activations (M, K), the strongest first.
        positions: Row and column (M, K, 2); -1 in a vector of units.
    """

    units: Tensor
    slots: Tensor
    values: Tensor
    positions: Tensor


def find_peaks(maps: Tensor) -> Tensor:
    """Give the maximum of each map (N, units); NaN where a map holds one."""
    return maps if maps.ndim == 2 else maps.amax(dim=(2, 3))


def find_hopeful(ranked: Tensor, peaks: Tensor, usable: Tensor) -> Tensor:
    """Tell which maps of a lot may have a place in the ranking: after some lots these are few.

    Args:
        ranked: The activations in the ranking, (units, top), of earlier photos.
        peaks: From :func:`find_peaks`, (N, units).
        usable: Which of the N are photos, (N,).

    Returns:
        (N, units). A map that is as strong as the weakest in the ranking comes after it and is not
        among them.
    """
    hopeful = (peaks > ranked[:, -1]) & usable[:, None]
    if hopeful.count_nonzero() * MANY < hopeful.numel():
        return hopeful
    # in the first lots of a run most maps are stronger, but only so many of them stay
    peaks = peaks.float().masked_fill(~usable[:, None], -torch.inf)
    together = torch.cat([ranked, peaks.t()], dim=1)
    return hopeful & (peaks >= together.topk(ranked.shape[1], dim=1).values[:, -1])


def find_places(maps: Tensor, hopeful: Tensor, per_photo: int, at_once: int = AT_ONCE) -> Places:
    """Find the strongest places of some maps.

    Args:
        maps: What a layer puts out for a lot: (N, units, rows, columns) or (N, units).
        hopeful: Which of the maps to look at, (N, units), from :func:`find_hopeful`.
        per_photo: Places of one photo, at most.
        at_once: Activations that are looked at closely at a time; changes nothing in the result.

    Returns:
        The places; of equally strong ones the first in row-major order go first.
    """
    grid = maps if maps.ndim == 4 else maps[:, :, None, None]
    height, width = grid.shape[2:]
    units, slots = hopeful.t().nonzero(as_tuple=True)
    count = min(per_photo, height * width)
    rows = max(at_once // (height * width), 1)
    parts = []
    for some, theirs in zip(slots.split(rows), units.split(rows), strict=True):
        flat = grid[some, theirs].flatten(1)
        if count == 1:
            values, best = flat.max(dim=1, keepdim=True)  # of equal ones it gives the first
        else:
            values, best = flat.sort(dim=1, descending=True, stable=True)
        parts.append((values[:, :count], best[:, :count]))
    strongest, places = (torch.cat(part) for part in zip(*parts, strict=True))
    positions = torch.stack([places // width, places % width], dim=-1)
    if maps.ndim == 2:
        positions.fill_(-1)
    # of -0 and 0, which are equal, always 0
    return Places(units, slots, strongest.float() + 0.0, positions)


def update_ranking(ranking: LayerRanking, places: Places, first: int) -> LayerRanking:
    """Take the places of a lot into a ranking of earlier photos.

    Args:
        ranking: The former ranking; it is left as it is.
        places: From :func:`find_places`.
        first: Number of the lot's first photo.
    """
    if not len(places.units):
        return ranking
    units, found = _arrange(ranking, places, first)
    former = replace(ranking, **{part: getattr(ranking, part)[units] for part in _PARTS})
    better = _keep_strongest(_set_side_by_side([former, found]), ranking.values.shape[1])
    changed = {
        part: getattr(ranking, part).index_copy(0, units, getattr(better, part)) for part in _PARTS
    }
    return replace(ranking, **changed)


def _arrange(like: LayerRanking, places: Places, first: int) -> tuple[Tensor, LayerRanking]:
    """Give the units that have places, (R,), and a ranking (R, most) of their places alone."""
    units, rows, counts = places.units.unique_consecutive(return_inverse=True, return_counts=True)
    columns = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
    most, count = int(counts.max()), places.values.shape[1]
    found = make_ranking(like.name, like.path, (len(units),), most * count, rows.device)
    found.values.view(-1, most, count)[rows, columns] = places.values
    found.photos.view(-1, most, count)[rows, columns] = places.slots[:, None] + first
    found.positions.view(-1, most, count, 2)[rows, columns] = places.positions
    return units, found


def join_rankings(rankings: list[LayerRanking]) -> LayerRanking:
    """Join rankings of one layer over disjoint photos whose numbers are of one list."""
    together = _set_side_by_side(rankings)
    by_photo = together.photos.argsort(dim=1, stable=True)  # of a photo's places the order stays
    return _keep_strongest(_choose(together, by_photo), rankings[0].values.shape[1])


def _keep_strongest(ranking: LayerRanking, top: int) -> LayerRanking:
    """Sort the places of each unit and keep some; equally strong ones stay in their order."""
    order = ranking.values.argsort(dim=1, descending=True, stable=True)
    return _choose(ranking, order[:, :top])


def _set_side_by_side(rankings: list[LayerRanking]) -> LayerRanking:
    values, photos, positions = (
        torch.cat([getattr(ranking, part) for ranking in rankings], dim=1) for part in _PARTS
    )
    return replace(rankings[0], values=values, photos=photos, positions=positions)


def _choose(ranking: LayerRanking, order: Tensor) -> LayerRanking:
    """Give the places (units, n) that stand at the numbers (units, n) of an order."""
    return replace(
        ranking,
        values=ranking.values.gather(1, order),
        photos=ranking.photos.gather(1, order),
        positions=ranking.positions.gather(1, order[:, :, None].expand(-1, -1, 2)),
    )


def merge_indexes(
    indexes: Sequence[StrongestIndex], names: Sequence[str] | None = None
) -> StrongestIndex:
    """Join indexes of disjoint photos.

    Args:
        indexes: Complete indexes of one identity.
        names: What to call them in messages; by default their numbers.

    Returns:
        The index of all photos, in the order of their names: written to a file, the same bytes as
        one run over all of them gives.

    Raises:
        DataError: If there are none, one is not complete, they were not made with the same net and
            settings, or a photo is in two of them.
    """
    called = list(names or (f"index {number + 1}" for number in range(len(indexes))))
    if not indexes:
        raise DataError("no index to merge was given")
    for name, index in zip(called, indexes, strict=True):
        _require_mergeable(name, index, called[0], indexes[0])
    sizes = _unite_photos(indexes, called)
    photos = tuple(sorted(sizes))
    numbers = {photo: number for number, photo in enumerate(photos)}
    order = torch.tensor([numbers[photo] for index in indexes for photo in index.photos]).argsort()
    return StrongestIndex(
        identity=indexes[0].identity,
        photos=photos,
        sizes=tuple(sizes[photo] for photo in photos),
        done=len(photos),
        digests=torch.cat([index.digests for index in indexes])[order],
        failures=tuple(sorted(failure for index in indexes for failure in index.failures)),
        layers={
            layer: join_rankings(
                [_renumber(index.layers[layer], index.photos, numbers) for index in indexes]
            )
            for layer in indexes[0].layers
        },
    )


def _require_mergeable(
    name: str, index: StrongestIndex, first_name: str, first: StrongestIndex
) -> None:
    differences = list_differences(index.identity, first.identity)
    differences = differences or list_shape_differences(index, first)
    if differences:
        raise DataError(
            f"{name} cannot be merged with {first_name} ({'; '.join(differences)}): mine it with "
            "the same net and settings"
        )
    if not index.complete:
        raise DataError(
            f"{name} is not complete ({index.done} of {len(index.photos)} photos): run its command "
            "again to go on with it"
        )


def _unite_photos(indexes: Sequence[StrongestIndex], called: Sequence[str]) -> dict[str, int]:
    """Give the size of every photo by name."""
    sizes: dict[str, int] = {}
    homes: dict[str, str] = {}
    for name, index in zip(called, indexes, strict=True):
        for photo, size in zip(index.photos, index.sizes, strict=True):
            if photo in homes:
                raise DataError(
                    f"the photo {photo!r} is both in {homes[photo]} and in {name}: indexes of "
                    "disjoint photos are needed, named relative to one folder"
                )
            homes[photo], sizes[photo] = name, size
    return sizes


def _renumber(layer: LayerRanking, photos: Sequence[str], numbers: dict[str, int]) -> LayerRanking:
    """Give a ranking whose photos have the numbers of the joint list."""
    new = torch.tensor([*(numbers[photo] for photo in photos), -1])  # -1, an empty slot, stays
    return replace(layer, photos=new[layer.photos])
