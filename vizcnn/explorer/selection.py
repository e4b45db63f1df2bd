"""What is chosen on the explorer's page: a unit of a net at a place of a photo, and a method."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from vizcnn.basics.errors import LayerError, VizcnnError, as_number, nearest_names, quote


@dataclass(frozen=True)
class Selection:
    """What the page shows.

    Attributes:
        net: Key of the net: its name.
        photo: Key of the photo: ``photo1`` is the first.
        layer: Name of the layer.
        unit: Number of the unit in the layer.
        place: Row and column in the unit's feature map; None for where it is strongest.
        method: Key of the method of projection; that of a unit's own part ends in ``-own``.
    """

    net: str
    photo: str
    layer: str
    unit: int
    place: tuple[int, int] | None
    method: str

    @classmethod
    def begin(cls, start: Mapping[str, Any]) -> Self:
        """Choose what is shown first: the first unit of the first net's last layer of maps.

        Args:
            start: The fields of the explorer's answer to ``start``.
        """
        net = start["nets"][0]
        layers = net["layers"]
        layer = next((layer for layer in reversed(layers) if layer["size"]), layers[0])
        keys = net["key"], start["photos"][0]["key"], layer["name"]
        return cls(*keys, unit=0, place=None, method=net["methods"][0]["key"])

    def change(self, start: Mapping[str, Any], changes: Mapping[str, Any]) -> Self:
        """Choose something else.

        Another net or layer has places of its own: then the unit is shown where it is strongest. A
        unit, layer or method that another net or layer lacks becomes the first.

        Args:
            start: The fields of the explorer's answer to ``start``.
            changes: New values by attribute; a photo also by its name.

        Raises:
            VizcnnError: If what is asked for does not exist.

        Example:
            >>> layers = [{"name": "conv1", "units": 96, "size": [112, 112]},
            ...           {"name": "fc8", "units": 10, "size": []}]
            >>> methods = [{"key": "deconvnet"}, {"key": "deconvnet-own"}]
            >>> start = {"nets": [{"key": "zfnet", "layers": layers, "methods": methods}],
            ...          "photos": [{"key": "photo1", "name": "coffee"}]}
            >>> chosen = Selection.begin(start).change(start, {"unit": 37, "place": (5, 2)})
            >>> chosen.layer, chosen.unit, chosen.place
            ('conv1', 37, (5, 2))
            >>> chosen = chosen.change(start, {"layer": "fc8"})
            >>> chosen.layer, chosen.unit, chosen.place
            ('fc8', 0, None)
        """
        wanted = {**asdict(self), **changes}
        known = [field.name for field in fields(self)]
        for name in wanted.keys() - known:
            raise VizcnnError(f"nothing of the explorer is called {quote(name)}; known: {known}")
        net = _find("net", wanted["net"], start["nets"])
        photo = _find("photo", wanted["photo"], start["photos"])
        for name, key in ("layer", "name"), ("method", "key"):
            there = [entry[key] for entry in net[f"{name}s"]]
            if name not in changes and wanted[name] not in there:
                wanted[name] = there[0]
        method = _find("method", wanted["method"], net["methods"])
        layer = _find("layer", wanted["layer"], net["layers"], "name")
        unit = as_number(wanted["unit"])
        if unit is None or not 0 <= unit < layer["units"]:
            if "unit" in changes:
                raise LayerError(
                    f"no unit {quote(wanted['unit'])} in {layer['name']}: "
                    f"it has 0..{layer['units'] - 1}"
                )
            unit = 0
        if (net["key"], layer["name"]) != (self.net, self.layer) and "place" not in changes:
            wanted["place"] = None
        place = _find_place(wanted["place"], layer["size"])
        if place is None and wanted["place"] is not None:
            rows, columns = layer["size"] or (0, 0)
            raise LayerError(
                f"no place {quote(wanted['place'])} in {layer['name']}: "
                + (f"it has (0..{rows - 1}, 0..{columns - 1})" if rows else "it has none")
                + ", or None for where the unit is strongest"
            )
        keys = net["key"], photo["key"], layer["name"]
        return type(self)(*keys, unit=unit, place=place, method=method["key"])


def _find(kind: str, wanted: Any, entries: Sequence[Mapping[str, Any]], key: str = "key") -> Any:
    """Find an entry by its key, or by its name where only one is called so."""
    found = []
    if isinstance(wanted, str):
        found = [entry for entry in entries if entry[key] == wanted]
        found = found or [entry for entry in entries if entry.get("name") == wanted]
    names = [entry[key] for entry in entries]
    if not found:
        raise VizcnnError(
            f"no {kind} {quote(wanted)} in the explorer: {nearest_names(str(wanted), names)}"
        )
    if len(found) > 1:
        several = " and ".join(entry[key] for entry in found)
        raise VizcnnError(f"{several} are all called {quote(wanted)}; needed: one of these keys")
    return found[0]


def _find_place(wanted: Any, size: Sequence[int]) -> tuple[int, int] | None:
    """Give a place as two numbers of Python, if a map of this size has it."""
    try:
        row, column = map(as_number, wanted)
    except Exception:  # what is no two numbers says so in many ways
        return None
    if not size or row is None or column is None:
        return None
    return (row, column) if 0 <= row < size[0] and 0 <= column < size[1] else None
