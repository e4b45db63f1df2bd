"""An index as rows: one for each of a unit's strongest places."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from vizcnn.basics.errors import DataError, LayerError, nearest_names
from vizcnn.mining.index import LayerRanking, StrongestIndex
from vizcnn.mining.ranks import PERCENTILES


@dataclass(frozen=True, kw_only=True)
class RankedPlace:
    """One of the strongest places of a unit, or of those first by another rank.

    Attributes:
        layer: Name of the layer, as the index has it.
        unit: Number of the unit, from 0.
        rank: 1 for the unit's strongest place, 2 for the next.
        photo: Name of the photo: its path in the folder of photos.
        row, column: The place in the feature map, from 0; None in a layer without places.
        activation: The unit's value there, in the net's own units.
        relevance: That times the gradient of the true class's logit; None with another rank.
    """

    layer: str
    unit: int
    rank: int
    photo: str
    row: int | None
    column: int | None
    activation: float
    relevance: float | None = None


@dataclass(frozen=True, kw_only=True)
class RangePlace:
    """A photo at a percentile of a unit's maxima over all photos.

    Attributes:
        layer: Name of the layer, as the index has it.
        unit: Number of the unit, from 0.
        percentile: How many per cent of the photos have a maximum that is no higher.
        photo: Name of the photo: its path in the folder of photos.
        row, column: The place of the maximum in the feature map, from 0; None in a layer without
            places.
        activation: The maximum, in the net's own units.
        silent: Share of the photos in which the unit is above zero nowhere.
    """

    layer: str
    unit: int
    percentile: int
    photo: str
    row: int | None
    column: int | None
    activation: float
    silent: float


def list_ranked_places(
    index: StrongestIndex, layers: Collection[str] = (), units: Collection[int] = ()
) -> Iterator[RankedPlace]:
    """List the places of an index, layer by layer, unit by unit, the strongest first.

    Args:
        index: Complete or not.
        layers: Names of layers in the index, in any order; all of its layers when empty.
        units: Numbers of units; all when empty.

    Yields:
        The places; slots that no photo has filled are left out.

    Raises:
        LayerError: If the index has no such layer, or none of its chosen layers such a unit.
    """
    for layer, unit in _choose_units(index, layers, units):
        yield from _list_places(index, layer, unit)


def list_ranges(
    index: StrongestIndex, layers: Collection[str] = (), units: Collection[int] = ()
) -> Iterator[RangePlace]:
    """List the ranges of an index, layer by layer, unit by unit, the lowest percentile first.

    Args:
        index: A complete index with ranges.
        layers: As of :func:`list_ranked_places`.
        units: As there.

    Yields:
        The photos at :data:`~vizcnn.mining.ranks.PERCENTILES`.

    Raises:
        DataError: If the index has no ranges.
        LayerError: As of :func:`list_ranked_places`.
    """
    if not index.ranges:
        raise DataError(
            "the index has no ranges: mine with --range"
            if not index.identity.ranges
            else "the index has no ranges before all photos are mined: end its mining first"
        )
    count = len(index.photos) - len(index.failures)
    for layer, unit in _choose_units(index, layers, units):
        found = index.ranges[layer.name]
        for number, percentile in enumerate(PERCENTILES):
            photo = int(found.photos[unit, number])
            if photo >= 0:
                row, column = found.positions[unit, number].tolist()
                yield RangePlace(
                    layer=layer.name,
                    unit=unit,
                    percentile=percentile,
                    photo=index.photos[photo],
                    row=row if layer.map_size else None,
                    column=column if layer.map_size else None,
                    activation=float(found.values[unit, number]),
                    silent=int(found.silent[unit]) / count,
                )


def _choose_units(
    index: StrongestIndex, layers: Collection[str], units: Collection[int]
) -> Iterator[tuple[LayerRanking, int]]:
    for name in layers:
        if name not in index.layers:
            raise LayerError(
                f"the index has no layer {name!r}: {nearest_names(name, index.layers)}"
            )
    chosen = [layer for name, layer in index.layers.items() if not layers or name in layers]
    most = max((layer.units for layer in chosen), default=0)
    for unit in units:
        if not 0 <= unit < most:
            raise LayerError(f"no unit {unit} in {_name(chosen)}: there are 0..{most - 1}")
    for layer in chosen:
        for unit in sorted(units) or range(layer.units):
            if unit < layer.units:
                yield layer, unit


def _name(layers: list[LayerRanking]) -> str:
    return ", ".join(layer.name for layer in layers)


def _list_places(index: StrongestIndex, layer: LayerRanking, unit: int) -> Iterator[RankedPlace]:
    values = layer.strengths[unit].tolist()
    ranked = layer.values[unit].tolist()
    is_relevance = index.identity.rank == "relevance"
    photos = layer.photos[unit].tolist()
    positions = layer.positions[unit].tolist()
    for rank, (value, photo, place) in enumerate(zip(values, photos, positions, strict=True), 1):
        if photo >= 0:
            row, column = place if layer.map_size else (None, None)
            yield RankedPlace(
                layer=layer.name,
                unit=unit,
                rank=rank,
                photo=index.photos[photo],
                row=row,
                column=column,
                activation=value,
                relevance=ranked[rank - 1] if is_relevance else None,
            )
