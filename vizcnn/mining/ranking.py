"""Rankings of places: kept up to date lot by lot, and joined."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vizcnn.mining.index import LayerRanking

AT_ONCE = 1 << 22
"""Activations that are looked at closely at a time: a bound on the memory that this takes."""


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
    return replace(
        ranking,
        values=ranking.values.to(device),
        photos=ranking.photos.to(device),
        positions=ranking.positions.to(device),
    )


@dataclass(frozen=True)
class Places:
    """Places that may be among the strongest, of every unit equally many.

    Attributes:
        values: Activations (units, K); -inf where there is none.
        slots: Which photo of its lot each is of (units, K), rising from left to right.
        positions: Row and column (units, K, 2).
    """

    values: Tensor
    slots: Tensor
    positions: Tensor


def find_peaks(maps: Tensor) -> Tensor:
    """Give the maximum of each map (N, units); NaN where a map holds one."""
    return maps if maps.ndim == 2 else maps.amax(dim=(2, 3))


def find_hopeful(ranked: Tensor, peaks: Tensor, usable: Tensor) -> Tensor:
    """Tell which maps of a lot have a place in the ranking: after some lots these are few.

    Args:
        ranked: The activations in the ranking, (units, top), of earlier photos.
        peaks: From :func:`find_peaks`, (N, units).
        usable: Which of the N are photos, (N,).

    Returns:
        (N, units). Maps as strong as the weakest that stays are among them, in case of ties; one
        that is as strong as the weakest in the ranking comes after it and is not.
    """
    peaks = peaks.float().masked_fill(~usable[:, None], -torch.inf)
    together = torch.cat([ranked, peaks.t()], dim=1)
    weakest = together.topk(ranked.shape[1], dim=1).values[:, -1]
    return (peaks > ranked[:, -1]) & (peaks >= weakest)


def find_places(maps: Tensor, hopeful: Tensor, per_photo: int) -> Places:
    """Find the strongest places of some maps.

    Args:
        maps: What a layer puts out for a lot: (N, units, rows, columns) or (N, units).
        hopeful: Which of the maps to look at, (N, units), from :func:`find_hopeful`.
        per_photo: Places of one photo, at most.

    Returns:
        The places, N * per_photo for each unit; of equally strong ones the first in row-major
        order go first.
    """
    grid = maps if maps.ndim == 4 else maps[:, :, None, None]
    height, width = grid.shape[2:]
    count = min(per_photo, height * width)
    images, units = hopeful.nonzero(as_tuple=True)
    strongest, places = _rank_places(grid, images, units, count)
    values = torch.full((*grid.shape[:2], count), -torch.inf, device=maps.device)
    positions = torch.full((*grid.shape[:2], count, 2), -1, device=maps.device)
    values[images, units] = strongest.float() + 0.0  # of -0 and 0, which are equal, always 0
    if maps.ndim == 4:
        positions[images, units] = torch.stack([places // width, places % width], dim=-1)
    slots = torch.arange(len(maps), device=maps.device)[:, None, None].expand(values.shape)
    return Places(_per_unit(values), _per_unit(slots), _per_unit(positions))


def _rank_places(grid: Tensor, images: Tensor, units: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Give the strongest values of M maps and their places in row-major order, (M, count) each."""
    rows = max(AT_ONCE // (grid.shape[2] * grid.shape[3]), 1)
    parts = []
    for some, theirs in zip(images.split(rows), units.split(rows), strict=True):
        flat = grid[some, theirs].flatten(1)
        if count == 1:
            values, places = flat.max(dim=1, keepdim=True)  # of equal ones it gives the first
        else:
            values, places = flat.sort(dim=1, descending=True, stable=True)
        parts.append((values[:, :count], places[:, :count]))
    return torch.cat([values for values, _ in parts]), torch.cat([places for _, places in parts])


def _per_unit(values: Tensor) -> Tensor:
    """Turn (N, units, count, ...) into (units, N * count, ...)."""
    return values.transpose(0, 1).flatten(1, 2)


def update_ranking(ranking: LayerRanking, places: Places, first: int) -> LayerRanking:
    """Take the places of a lot into a ranking of earlier photos.

    Args:
        ranking: The former ranking; it is left as it is.
        places: From :func:`find_places`.
        first: Number of the lot's first photo.
    """
    found = places.values > -torch.inf
    numbers = torch.where(found, places.slots + first, -1)
    positions = torch.where(found[:, :, None], places.positions, -1)
    return _keep_strongest(
        ranking,
        torch.cat([ranking.values, places.values], dim=1),
        torch.cat([ranking.photos, numbers], dim=1),
        torch.cat([ranking.positions, positions], dim=1),
    )


def join_rankings(rankings: list[LayerRanking]) -> LayerRanking:
    """Join rankings of one layer over disjoint photos whose numbers are of one list."""
    values, photos, positions = (
        torch.cat([getattr(ranking, part) for ranking in rankings], dim=1)
        for part in ("values", "photos", "positions")
    )
    order = photos.argsort(dim=1, stable=True)  # of a photo's places the order stays
    return _keep_strongest(
        rankings[0], values.gather(1, order), photos.gather(1, order), _gather(positions, order)
    )


def _keep_strongest(
    like: LayerRanking, values: Tensor, photos: Tensor, positions: Tensor
) -> LayerRanking:
    """Keep as many as a ranking holds; of equally strong ones those that stand first."""
    order = values.argsort(dim=1, descending=True, stable=True)[:, : like.values.shape[1]]
    return replace(
        like,
        values=values.gather(1, order),
        photos=photos.gather(1, order),
        positions=_gather(positions, order),
    )


def _gather(positions: Tensor, order: Tensor) -> Tensor:
    return positions.gather(1, order[:, :, None].expand(-1, -1, 2))
