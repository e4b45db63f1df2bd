"""What units and classes are left with while a square of the photo is grey."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vizcnn.attribution.filling import describe_filling, fill_photo
from vizcnn.attribution.gradients import AT_ONCE
from vizcnn.attribution.hidden_passes import Squares
from vizcnn.attribution.occlusion import drop_rounding, list_starts
from vizcnn.attribution.patchwork import paste
from vizcnn.attribution.readout import read_spots
from vizcnn.basics.errors import ImageError, LayerError, VizcnnError, quote
from vizcnn.explorer.answers import Answer, Content
from vizcnn.explorer.explorer import read_number, read_numbers, read_place
from vizcnn.measures.occlusion_maps import SIDES
from vizcnn.projection.targets import strongest, units_at
from vizcnn.zoo.classification import check_logits
from vizcnn.zoo.model import ZooModel

if TYPE_CHECKING:
    from vizcnn.explorer.explorer import Explorer, Question

FILLING = "grey"
"""What squares are filled with, a word of :data:`~vizcnn.attribution.filling.FILLINGS`."""
STEPS = 2
"""Strides of the squares that are measured ahead in a side: each pixel is hidden by four."""
CLASSES = 10
"""Classes that are followed, the most probable ones of the untouched photo."""
MOST_WATCHED = 64
"""Units that one question may watch."""
LEVELS = 127
"""Steps from no change to a unit's largest in what is measured ahead."""


@dataclass(frozen=True, eq=False)
class Spots:
    """Units of a layer, each at a place of its map.

    Attributes:
        units: Their numbers, (R,).
        places: Row and column of each, (R, 2); zeros in a layer without places.
    """

    units: Tensor
    places: Tensor


def answer_hide(explorer: "Explorer", question: "Question") -> Answer:
    """Make one square grey (``net``, ``photo``) and tell what is left.

    ``square`` is row and column of its upper left pixel, and its side; ``watch`` a list of
    ``layer``, ``unit`` and ``place`` (row and column; the unit's strongest when null); ``classes``
    numbers of classes, the most probable when empty. For the fields see :func:`hide_square`.
    """
    square = read_numbers(question.get("square"), "square", "row, column and side", 3)
    classes = read_numbers(question.get("classes") or [], "classes", "numbers of classes")
    watched = question.get("watch") or []
    if not isinstance(watched, list) or len(watched) > MOST_WATCHED:
        raise VizcnnError(f"watch has to be a list of {MOST_WATCHED} units at most")
    spots: dict[str, Spots] = {}
    for one in watched:
        entry = one if isinstance(one, dict) else {}
        # of the question's net and photo, whatever else it says
        about = {**question, **{name: entry.get(name) for name in ("layer", "unit", "place")}}
        layer, maps = explorer.find_layer(about), explorer.find_maps(about)
        unit = read_number(about, "unit", maps.shape[1])
        target = units_at(maps, [unit], read_place(about) or "max")
        former = spots.get(layer, Spots(target.units[:0], target.positions[:0]))
        spots[layer] = Spots(
            torch.cat([former.units, target.units]), torch.cat([former.places, target.positions])
        )
    top, left, side = square
    model, pixels = explorer.find_net(question).net, explorer.look(question).pixels
    return hide_square(model, pixels, (top, left, side), spots, classes)


def answer_hidden(explorer: "Explorer", question: "Question") -> Answer:
    """Make squares all over a photo grey, one after the other (``net``, ``photo``).

    Watched are the units that the explorer has pictures of, each at its strongest place. For the
    fields see :func:`hide_grid`.
    """
    net, spots = explorer.find_net(question), {}
    for number, layer in enumerate(net.layers):
        maps = explorer.find_maps({**question, "layer": number})
        most = explorer.settings.top
        targets = strongest(maps, maps.shape[1] if most is None else most)
        order = targets.units.argsort()
        spots[layer] = Spots(targets.units[order], targets.positions[order])
    return hide_grid(net.net, explorer.look(question).pixels, spots)


def find_side(height: int, width: int) -> int:
    """Give the side in pixels of the squares that are measured ahead.

    Example:
        >>> find_side(128, 128)
        16
    """
    return max(round(min(height, width) / SIDES), 1)


def hide_square(
    model: ZooModel,
    pixels: Tensor,
    square: tuple[int, int, int],
    spots: Mapping[str, Spots],
    classes: Sequence[int] = (),
) -> Answer:
    """Make one square of a photo grey, and read units and classes before and after.

    Args:
        model: A net of the zoo.
        pixels: The photo as the net sees it, (1, 3, H, W), RGB 0..1.
        square: Row and column of its upper left pixel, and its side; wholly in the photo.
        spots: By layer the units to read.
        classes: Numbers of the classes to read; the :data:`CLASSES` most probable when empty.

    Returns:
        ``square``, ``filling`` (in words); ``classes`` (a list of number, name, whole,
        probability), ``best`` (number, name, probability of the class that is the most probable
        with the square; None where the net has no classes); ``units`` (a list of layer, unit,
        whole, value, in the order of ``spots``).

    Raises:
        ImageError: If the square does not lie in the photo.
        LayerError: If a layer, unit, place or class does not exist.
        ModelError: If a class's score is not finite.

    Example:
        >>> import vizcnn
        >>> net = vizcnn.load("lenet", weights=None)
        >>> spots = {"conv2": Spots(torch.tensor([3]), torch.tensor([[0, 0]]))}
        >>> answer = hide_square(net, torch.rand(1, 3, 32, 32), (20, 20, 8), spots, [7])
        >>> answer.fields["units"][0]["value"] == answer.fields["units"][0]["whole"]
        True
    """
    top, left, side = square
    height, width = pixels.shape[-2:]
    if side < 1 or not 0 <= top <= height - side or not 0 <= left <= width - side:
        raise ImageError(
            f"a square of side {side} at row {top}, column {left} does not lie in a photo of "
            f"{height} x {width} px: choose one that does"
        )
    hidden = _hide(model, pixels, Squares(side, ((top, left),)))
    # one pass of both takes little longer than one of each alone
    values, probabilities = _read(model, torch.cat([pixels.float().cpu(), hidden]), spots)
    units = [
        {
            "layer": layer,
            "unit": unit,
            "whole": whole,
            "value": value,
        }
        for layer, some in spots.items()
        for unit, whole, value in zip(
            some.units.tolist(),
            values[layer][0].tolist(),
            _settle(values[layer][1], values[layer][0]).tolist(),
            strict=True,
        )
    ]
    fields: dict[str, Any] = {
        "square": [top, left, side],
        "filling": describe_filling(FILLING, side),
        "classes": [],
        "best": None,
        "units": units,
    }
    if probabilities is not None:
        before, after = probabilities
        numbers = _choose_classes(before, classes)
        best = int(after.argmax())
        fields |= {
            "classes": [
                {
                    "number": number,
                    "name": _name_class(model, number),
                    "whole": before[number].item(),
                    "probability": after[number].item(),
                }
                for number in numbers
            ],
            "best": {
                "number": best,
                "name": _name_class(model, best),
                "probability": after[best].item(),
            },
        }
    return Answer(fields)


def hide_grid(
    model: ZooModel,
    pixels: Tensor,
    spots: Mapping[str, Spots],
) -> Answer:
    """Make one square of a photo grey after the other, and read units and classes.

    The squares begin at every half of their side, the last flush with the edge, row by row.

    Args:
        model: A net of the zoo.
        pixels: The photo as the net sees it, (1, 3, H, W), RGB 0..1.
        spots: By layer the units to read.

    Returns:
        ``side``, ``tops``, ``lefts`` (of the K squares), ``filling`` (in words); ``classes`` (a
        list of number, name, whole), ``probabilities`` (f4, K x classes), ``best`` (u2, K: number
        of the most probable class) and ``names`` of those by number; ``layers``: a list of
        ``layer``, ``units`` (u2, R), ``places`` (u2, R x 2), ``whole`` (f4, R), ``reach`` (f4, R:
        the largest change of the unit's value, up or down) and ``changes`` (i1, R x K), where a
        unit's value is ``whole + change / 127 * reach``: its own value exactly where no pixel that
        it sees is hidden, and within 1/254 of its largest change elsewhere.

    Raises:
        LayerError: If a layer, unit, place or class does not exist.
        ModelError: If a class's score is not finite.

    Example:
        >>> import vizcnn
        >>> net = vizcnn.load("lenet", weights=None)
        >>> spots = {"conv2": Spots(torch.tensor([3]), torch.tensor([[0, 0]]))}
        >>> answer = hide_grid(net, torch.rand(1, 3, 32, 32), spots)
        >>> answer.fields["side"], len(answer.fields["tops"]), answer.fields["layers"][0]["changes"]
        (4, 15, (16, 225))
    """
    height, width = pixels.shape[-2:]
    side = find_side(height, width)
    tops, lefts = (list_starts(extent, side, max(side // STEPS, 1)) for extent in (height, width))
    corners = [(top, left) for top in tops for left in lefts]
    whole, before = _read(model, pixels, spots)
    numbers = [] if before is None else _choose_classes(before[0])
    values: dict[str, list[NDArray[np.float32]]] = {layer: [] for layer in spots}
    probabilities: list[NDArray[np.float64]] = []
    best: list[int] = []
    for squares in _split(side, corners):
        found, after = _read(model, _hide(model, pixels, squares), spots)
        for layer in spots:
            changes = _settle(found[layer], whole[layer]) - whole[layer]
            values[layer].append(changes.float().numpy())
        if after is not None:
            probabilities.append(after[:, numbers].numpy())
            best += after.argmax(dim=1).tolist()
    content = Content()
    layers = []
    for layer, some in spots.items():
        all_changes = np.concatenate(values[layer]).T
        reach = np.abs(all_changes).max(axis=1)
        shares = all_changes / np.where(reach > 0, reach, 1)[:, None]
        layers.append(
            {
                "layer": layer,
                "units": content.add_array(some.units.cpu().numpy(), "u2"),
                "places": content.add_array(some.places.cpu().numpy(), "u2"),
                "whole": content.add_array(whole[layer][0].numpy(), "f4"),
                "reach": content.add_array(reach, "f4"),
                "changes": content.add_array(np.rint(shares * LEVELS), "i1"),
            }
        )
    fields = {
        "side": side,
        "tops": tops,
        "lefts": lefts,
        "filling": describe_filling(FILLING, side),
        "classes": [
            {
                "number": number,
                "name": _name_class(model, number),
                "whole": before[0, number].item(),  # type: ignore[index]  # no classes, no number
            }
            for number in numbers
        ],
        "probabilities": content.add_array(np.concatenate(probabilities or [np.zeros(0)]), "f4"),
        "best": content.add_array(np.array(best), "u2"),
        "names": {str(number): _name_class(model, number) for number in sorted(set(best))},
        "layers": layers,
    }
    return Answer(fields, content.join())


def _split(side: int, corners: Sequence[tuple[int, int]]) -> Iterator[Squares]:
    for first in range(0, len(corners), AT_ONCE):
        yield Squares(side, tuple(corners[first : first + AT_ONCE]))


def _hide(model: ZooModel, pixels: Tensor, squares: Squares) -> Tensor:
    """Give copies of a photo, each with a square hidden, (K, 3, H, W)."""
    photo, side = pixels.float().cpu(), squares.side
    filling = fill_photo(model, photo, FILLING, side)
    windows = torch.cat(
        [filling[:, :, row : row + side, column : column + side] for row, column in squares.corners]
    )
    return paste(photo, windows, np.array(squares.corners))


def _read(
    model: ZooModel, photos: Tensor, spots: Mapping[str, Spots]
) -> tuple[dict[str, Tensor], Tensor | None]:
    """Give units' values by layer, (N, R), and probabilities, (N, classes), float64, on the CPU."""
    asked = {layer: (some.units, some.places) for layer, some in spots.items()}
    try:
        if any(numbers.lt(0).any() for pair in asked.values() for numbers in pair):
            raise IndexError("numbers begin at 0")
        values, output = read_spots(model, photos, asked)
    except IndexError as error:
        raise LayerError(
            f"a unit or place of {', '.join(map(quote, spots))} does not exist: {error}"
        ) from None
    found = {layer: some.cpu().double() for layer, some in values.items()}
    if not isinstance(output, Tensor) or output.ndim != 2:
        return found, None
    check_logits(output, model.name)
    return found, output.cpu().double().softmax(dim=1)


def _settle(found: Tensor, whole: Tensor) -> Tensor:
    """Give values as on the untouched photo where they differ by rounding only."""
    return whole - drop_rounding(whole - found, whole)


def _choose_classes(probabilities: Tensor, asked: Sequence[int] = ()) -> list[int]:
    count = len(probabilities)
    wrong = [number for number in asked if not 0 <= number < count]
    if wrong:
        raise LayerError(f"class {wrong[0]} does not exist; the net has 0..{count - 1}")
    # stable, so that of equal ones the first comes first
    order = probabilities.argsort(descending=True, stable=True)
    return list(asked) or order[:CLASSES].tolist()


def _name_class(model: ZooModel, number: int) -> str:
    return model.classes[number] if number < len(model.classes) else f"class {number}"
