"""An index as rows: one for each of a unit's strongest places."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from vizcnn.basics.errors import LayerError, nearest_names
from vizcnn.mining.index import LayerRanking, StrongestIndex


@dataclass(frozen=True, kw_only=True)
class RankedPlace:
    """One of the strongest places of a unit.

    Attributes:
        layer: Name of the layer, as the index has it.
        unit: Number of the unit, from 0.
        rank: 1 for the unit's strongest place, 2 for the next.
        photo: Name of the photo: its path in the folder of photos.
        row, column: The place in the feature map, from 0; None in a layer without places.
        activation: The unit's value there, in the net's own units.
    """

    layer: str
    unit: int
    rank: int
    photo: str
    row: int | None
    column: int | None
    activation: float


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
                yield from _list_places(index, layer, unit)


def _name(layers: list[LayerRanking]) -> str:
    return ", ".join(layer.name for layer in layers)


def _list_places(index: StrongestIndex, layer: LayerRanking, unit: int) -> Iterator[RankedPlace]:
    values = layer.values[unit].tolist()
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
            )
