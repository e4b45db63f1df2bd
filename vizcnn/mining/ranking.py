"""Rankings of places: kept up to date lot by lot, and joined."""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, islice
from operator import eq
from typing import Any

import torch
from torch import Tensor

from vizcnn.basics.errors import DataError
from vizcnn.mining.identity import list_differences, list_shape_differences
from vizcnn.mining.index import LayerRanking, StrongestIndex
from vizcnn.mining.machine_kinds import unite_kinds
from vizcnn.mining.ranks import Rank

AT_ONCE = 1 << 22
"""Activations that are looked at closely at a time: a bound on the memory that this takes."""

_PARTS = ("values", "photos", "positions", "activations")


def make_ranking(
    name: str,
    path: str,
    shape: tuple[int, ...],
    top: int,
    device: torch.device | str = "cpu",
    rank: Rank = "activation",
) -> LayerRanking:
    """Make a ranking without a place in it.

    Args:
        name: The layer as asked for.
        path: Its module path.
        shape: Of the layer's output for one photo: (units, rows, columns) or (units,).
        top: Places kept per unit.
        device: Where its tensors are.
        rank: By what places will be ranked.
    """
    units = shape[0]
    return LayerRanking(
        name=name,
        path=path,
        map_size=(shape[1], shape[2]) if len(shape) == 3 else None,
        values=torch.full((units, top), -torch.inf, device=device),
        activations=None
        if rank == "activation"
        else torch.full((units, top), -torch.inf, device=device),
        photos=torch.full((units, top), -1, device=device),
        positions=torch.full((units, top, 2), -1, device=device),
    )


def move_ranking(ranking: LayerRanking, device: torch.device | str) -> LayerRanking:
    """Give a ranking on another device."""
    parts: dict[str, Any] = {part: held.to(device) for part, held in _take_parts(ranking)}
    return replace(ranking, **parts)


def _take_parts(ranking: LayerRanking) -> list[tuple[str, Any]]:
    parts = [(part, getattr(ranking, part)) for part in _PARTS]
    return [(part, held) for part, held in parts if held is not None]


@dataclass(frozen=True)
class Places:
    """Places of a lot's photos, K photos of each unit, in the order of the photos.

    Attributes:
        slots: Which photos of the lot they are, (units, K).
        values: What they are ranked by, (units, K, P), the first of a photo first; -inf where there
            is none.
        positions: Row and column (units, K, P, 2); -1 in a vector of units.
        activations: What the units put out there, (units, K, P); None where they are ranked by
            that.
    """

    slots: Tensor
    values: Tensor
    positions: Tensor
    activations: Tensor | None = None


def find_peaks(maps: Tensor) -> Tensor:
    """Give the maximum of each map (N, units); NaN where a map holds one."""
    return maps if maps.ndim == 2 else maps.amax(dim=(2, 3))


def find_maxima(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Give the maximum of each map and where it is; of equal ones the first in row-major order.

    Args:
        maps: (N, units, rows, columns) or (N, units).

    Returns:
        The maxima, float32, and their places, row by row, both (N, units).
    """
    if maps.ndim == 2:
        return maps.float() + 0.0, torch.zeros_like(maps, dtype=torch.int64)
    values, places = maps.flatten(2).max(dim=2)
    return values.float() + 0.0, places  # of -0 and 0, which are equal, always 0


def look_up(maps: Tensor, places: Places) -> Tensor:
    """Give what units put out at places of a lot, (units, K, P), float32.

    Args:
        maps: (N, units, rows, columns) or (N, units).
        places: The places.
    """
    units = torch.arange(maps.shape[1], device=maps.device)[:, None, None]
    slots = places.slots[:, :, None]
    if maps.ndim == 2:
        return maps[slots, units].expand(places.values.shape).float() + 0.0
    rows, columns = places.positions.unbind(dim=-1)
    return maps[slots, units, rows, columns].float() + 0.0


def find_hopeful(ranked: Tensor, peaks: Tensor, usable: Tensor) -> tuple[Tensor, Tensor]:
    """Choose the maps of a lot that may have a place in the ranking: after some lots few have.

    Args:
        ranked: What the ranking is by, (units, top), of earlier photos.
        peaks: The highest of the same in each photo, (N, units), as from :func:`find_peaks`.
        usable: Which of the N are photos, (N,).

    Returns:
        For each unit the numbers of the K photos with the highest peaks, K = min(top, N), in
        order, (units, K): no other photo of the lot can stay. And which of them may, (units, K): a
        map that is as strong as the weakest in the ranking comes after it and does not, nor one
        that the stronger ones of ranking and lot leave no room for.
    """
    peaks = peaks.float().masked_fill(~usable[:, None], -torch.inf).t()
    strongest = peaks.argsort(dim=1, descending=True, stable=True)[:, : ranked.shape[1]]
    slots = strongest.sort(dim=1).values
    chosen = peaks.gather(1, slots)
    last = torch.cat([ranked, chosen], dim=1).topk(ranked.shape[1], dim=1).values[:, -1:]
    return slots, (chosen > ranked[:, -1:]) & (chosen >= last)


def find_places(
    maps: Tensor,
    slots: Tensor,
    hopeful: Tensor,
    per_photo: int,
    at_once: int = AT_ONCE,
    every: bool | None = None,
) -> Places:
    """Find the strongest places of some maps.

    Args:
        maps: What a layer puts out for a lot: (N, units, rows, columns) or (N, units).
        slots: Photos of each unit, (units, K), from :func:`find_hopeful`.
        hopeful: Which of them count, (units, K).
        per_photo: Places of one photo, at most.
        at_once: Activations that are looked at closely at a time; changes nothing in the result.
        every: Whether to look closely at all of them, not only at those that count; changes
            nothing in the result. How many count is known on the device alone, and asking it means
            to wait until it has done all that it was given. By default all are looked at, except on
            a CPU.

    Returns:
        The places; of equally strong ones the first in row-major order go first.
    """
    grid = maps if maps.ndim == 4 else maps[:, :, None, None]
    height, width = grid.shape[2:]
    count = min(per_photo, height * width)
    values = torch.full((slots.numel(), count), -torch.inf, device=maps.device)
    best = torch.zeros((slots.numel(), count), dtype=torch.int64, device=maps.device)
    units = torch.arange(len(slots), device=maps.device)[:, None].expand_as(slots).flatten()
    photos = slots.flatten()
    if every is None:
        every = maps.device.type != "cpu"
    if every:
        rows = torch.arange(slots.numel(), device=maps.device)
    else:
        rows = hopeful.flatten().nonzero().flatten()
    for some in rows.split(max(at_once // (height * width), 1)):
        flat = grid[photos[some], units[some]].flatten(1)
        if count == 1:
            strongest, places = flat.max(dim=1, keepdim=True)  # of equal ones it gives the first
        else:
            strongest, places = flat.sort(dim=1, descending=True, stable=True)
        values[some], best[some] = strongest[:, :count].float(), places[:, :count]
    # of -0 and 0, which are equal, always 0
    values = (values + 0.0).view(*slots.shape, count)
    positions = torch.stack([best // width, best % width], dim=-1).view(*slots.shape, count, 2)
    if maps.ndim == 2:
        positions.fill_(-1)
    return Places(slots, values.masked_fill(~hopeful[:, :, None], -torch.inf), positions)


def update_ranking(ranking: LayerRanking, places: Places, first: int) -> LayerRanking:
    """Take the places of a lot into a ranking of earlier photos.

    Args:
        ranking: The former ranking; it is left as it is.
        places: From :func:`find_places`.
        first: Number of the lot's first photo.
    """
    photos = (places.slots + first)[:, :, None].expand_as(places.values)
    found = replace(
        ranking,
        values=places.values.flatten(1),
        photos=photos.flatten(1),
        positions=places.positions.flatten(1, 2),
        activations=None if places.activations is None else places.activations.flatten(1),
    )
    return _keep_strongest(_set_side_by_side([ranking, found]), ranking.values.shape[1])


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
    parts: dict[str, Any] = {
        part: torch.cat([getattr(ranking, part) for ranking in rankings], dim=1)
        for part, _ in _take_parts(rankings[0])
    }
    return replace(rankings[0], **parts)


def _choose(ranking: LayerRanking, order: Tensor) -> LayerRanking:
    """Give the places (units, n) that stand at the numbers (units, n) of an order."""
    units = torch.arange(len(order), device=order.device)[:, None]
    parts: dict[str, Any] = {part: held[units, order] for part, held in _take_parts(ranking)}
    return replace(ranking, **parts)


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
            settings, a photo is in two of them, or they need the maxima of all photos, which
            :func:`vizcnn.mining.merging.merge_files` finds beside their files.
    """
    called = list(names or (f"index {number + 1}" for number in range(len(indexes))))
    if not indexes:
        raise DataError("no index to merge was given")
    if indexes[0].identity.keeps_maxima:
        raise DataError(
            "indexes of ranges or of rank 'median' are merged from their files, with the maxima "
            "beside them: call merge_files"
        )
    return join_indexes(indexes, called)


def join_indexes(
    indexes: Sequence[StrongestIndex],
    called: Sequence[str],
    find_home: Callable[[int, str], str] | None = None,
) -> StrongestIndex:
    """Join indexes of disjoint photos, without what follows from the maxima of all of them.

    Args:
        indexes: One or more.
        called: What to call them in messages.
        find_home: What to call the place of a photo, by the index's number and its name, where
            those were joined before.

    Raises:
        DataError: As :func:`merge_indexes`.
    """
    for name, index in zip(called, indexes, strict=True):
        _require_mergeable(name, index, called[0], indexes[0])
    photos, order = _unite_photos(indexes, find_home or (lambda number, photo: called[number]))
    numbers = torch.empty_like(order)
    numbers[order] = torch.arange(len(order))
    of_each = numbers.split([len(index.photos) for index in indexes])
    sizes = [size for index in indexes for size in index.sizes]
    return StrongestIndex(
        identity=indexes[0].identity,
        photos=photos,
        sizes=tuple(map(sizes.__getitem__, order.numpy())),
        done=len(photos),
        digests=torch.cat([index.digests for index in indexes])[order],
        failures=tuple(sorted(failure for index in indexes for failure in index.failures)),
        layers={
            layer: join_rankings(
                [
                    _renumber(index.layers[layer], own)
                    for index, own in zip(indexes, of_each, strict=True)
                ]
            )
            for layer in indexes[0].layers
        },
        unclassed=sum(index.unclassed for index in indexes),
        machines=unite_kinds(*(index.machines for index in indexes)),
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


def _unite_photos(
    indexes: Sequence[StrongestIndex], find_home: Callable[[int, str], str]
) -> tuple[tuple[str, ...], Tensor]:
    """Give all photos in order, and of each the number that it has where indexes follow each other.

    Names are sorted by their numbers, and no table by name is made: of a million photos one takes
    more memory than all else that is known of them.
    """
    names = [photo for index in indexes for photo in index.photos]
    # of equal names the first goes first
    order = array("q", sorted(range(len(names)), key=names.__getitem__))
    photos = tuple(map(names.__getitem__, order))
    for number, is_twice in enumerate(map(eq, photos, islice(photos, 1, None))):
        if is_twice:
            ends = list(accumulate(len(index.photos) for index in indexes))
            homes = (bisect_right(ends, order[number + k]) for k in (0, 1))
            one, other = (find_home(home, photos[number]) for home in homes)
            raise DataError(
                f"the photo {photos[number]!r} is both in {one} and in {other}: indexes of "
                "disjoint photos are needed, named relative to one folder, as --part K/N "
                "(PartOfPhotos) gives them; a DistributedSampler repeats photos to even out its "
                "shares"
            )
    return photos, torch.frombuffer(order, dtype=torch.int64)


def _renumber(layer: LayerRanking, numbers: Tensor) -> LayerRanking:
    """Give a ranking whose photos have the numbers of the joint list."""
    new = torch.cat([numbers, torch.tensor([-1])])  # -1, an empty slot, stays
    return replace(layer, photos=new[layer.photos])
