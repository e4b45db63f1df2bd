"""Pictures of a layer's units on a photo: each projected back to pixels, cut to what it sees."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from vizcnn.basics.errors import VizcnnError, quote
from vizcnn.drawing.tiles import robust_limit, scale_signed, to_bytes
from vizcnn.explorer.answers import Answer, Content, shorten_number
from vizcnn.explorer.explorer import read_numbers, read_place
from vizcnn.explorer.webp import encode_picture
from vizcnn.projection.deconvnet import Projector
from vizcnn.projection.projection import Projection
from vizcnn.projection.targets import Targets, strongest, units_at
from vizcnn.zoo.model import ZooModel

if TYPE_CHECKING:
    from vizcnn.explorer.explorer import Explorer, Question

LOT = 16
"""Units that are projected in one call, by their rank: a picture's last bits depend on what it is
computed with, so a unit that is asked for alone is computed in the same company as in a list of
all."""


def answer_pictures(explorer: "Explorer", question: "Question") -> Answer:
    """Give pictures of units (``net``, ``photo``, ``layer``, ``method``).

    ``units`` are their numbers; all when null, or the strongest, as the explorer's settings say.
    ``place`` is row and column, for all of them; each unit's strongest when null.

    Fields:

    - ``units``: of each, by number, ``unit``; ``place`` (empty for a unit without places, or that
      is silent everywhere); ``activation`` there; ``box`` (top, left, bottom, right of what it
      sees, in pixels); ``image`` (where a WebP of the box lies; of length 0 where it sees nothing
      of the photo); ``limit`` (the value that is shown as white, zero is mid grey). Of own parts
      also ``selectivity`` of the whole picture (null where nothing is to compare with),
      ``compared`` (from how many active units) and ``active`` (how many are)
    - ``left_out``: of each group ``units`` and ``why``
    """
    way = explorer.find_way(question)
    maps = explorer.find_maps(question)
    place = read_place(question)
    ranked = strongest(maps, maps.shape[1])
    order = ranked.units.tolist()
    most = explorer.settings.top if way.part == "whole" else explorer.settings.own
    units = _read_units(question, len(order)) or order[:most]
    if place is None:
        lots = list(_choose_lots(ranked, units, 1 if way.part == "own" else LOT))
    else:
        lots = [units_at(maps, units, place)]
    model = explorer.find_net(question).net
    projector = Projector(model, way.method)
    recording, layer = explorer.look(question).recording, explorer.find_layer(question)
    compare = explorer.settings.compare if way.part == "own" else None
    wanted = set(units)
    are_all = question.get("units") is None

    def has_place(activation: float) -> bool:
        return place is not None or (maps.ndim == 4 and activation != 0)

    pictures: list[_Picture] = []
    for lot in lots:
        projection = projector.project_targets(recording, layer, lot, compare).take_part(way.part)
        pictures += _show(model, projection, wanted, has_place)
        if are_all:  # which takes seconds
            explorer.breathe()
    content = Content()
    described = [
        {**picture.fields, "image": content.add(picture.image)}
        for picture in sorted(pictures, key=lambda picture: picture.fields["unit"])
    ]
    left = sorted(set(order) - wanted) if are_all else []
    what = "pictures" if way.part == "whole" else "own parts"
    why = f"{what} are of the {len(units)} strongest units of each layer and photo"
    left_out = [{"units": left, "why": why}] if left else []
    return Answer({"units": described, "left_out": left_out}, content.join())


def check_ways(explorer: "Explorer") -> None:
    """Project one unit of every layer by every method: what is refused is refused before the rest.

    Raises:
        VizcnnError: If a net has something that a method has no rule for.
    """
    for number, net in enumerate(explorer.nets):
        recording = explorer.look({"net": number, "photo": 0}).recording
        for method in explorer.settings.methods:
            projector = Projector(net.net, method)
            for at, layer in enumerate(net.layers):
                maps = explorer.find_maps({"net": number, "photo": 0, "layer": at})
                projector.project_targets(recording, layer, strongest(maps, 1))


def _read_units(question: "Question", count: int) -> list[int]:
    """Read which units are asked for, each once; none where all are."""
    units = question.get("units")
    if units is None:
        return []
    needed = f"numbers 0..{count - 1}"
    numbers = read_numbers(units, "units", needed)
    if not numbers or not all(0 <= number < count for number in numbers):
        raise VizcnnError(f"got {quote(units)} as units; needed: {needed}")
    return list(dict.fromkeys(numbers))


def _choose_lots(ranked: Targets, units: Sequence[int], size: int) -> Iterator[Targets]:
    """Choose the lots of a layer's ranked units that hold the units that are asked for."""
    ranks = {unit: rank for rank, unit in enumerate(ranked.units.tolist())}
    for lot in sorted({ranks[unit] // size for unit in units}):
        rows = torch.arange(lot * size, min((lot + 1) * size, len(ranked)))
        yield ranked.take(rows.to(ranked.units.device))


@dataclass(frozen=True)
class _Picture:
    fields: dict[str, Any]
    image: bytes


def _show(
    model: ZooModel,
    projection: Projection,
    wanted: set[int],
    has_place: Callable[[float], bool],
) -> Iterator[_Picture]:
    """Show the projections of wanted units, each in its own contrast, as ``vizcnn deconv`` does."""
    evidence = _list_evidence(projection)
    for row, unit in enumerate(projection.units.tolist()):
        if unit not in wanted:
            continue
        cut = model.preprocessing.to_visible(projection.cut(row)).permute(1, 2, 0)
        values = cut.float().cpu().numpy()
        limit = robust_limit(values)
        activation = float(projection.activations[row])
        fields = {
            "unit": unit,
            "place": projection.positions[row].tolist() if has_place(activation) else [],
            "activation": shorten_number(activation),
            "box": projection.boxes[row].tolist(),
            "limit": shorten_number(limit),
            **evidence[row],
        }
        yield _Picture(fields, encode_picture(to_bytes(scale_signed(values, limit))))


def _list_evidence(projection: Projection) -> list[dict[str, Any]]:
    if projection.comparison is None:
        return [{}] * len(projection)
    return [
        {**row, "selectivity": row["selectivity"] and shorten_number(row["selectivity"])}
        for row in projection.comparison.list_evidence()
    ]
