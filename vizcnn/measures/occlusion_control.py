"""The occlusion control: does a unit's picture foretell its drop better than another unit's does?

Zeiler & Fergus 2013 (section 4.2, Figure 7) hide a part of the photo under a grey square and see
the activation fall where the projection is. That supports a projection only as far as it does so
better than the picture of *another* unit: where all units of a place have one picture, it foretells
the drops of all of them alike.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vizcnn.attribution.gradients import GRADIENT_X_INPUT
from vizcnn.attribution.hidden_passes import Squares
from vizcnn.attribution.occlusion import SHARE, measure_drops, sum_squares
from vizcnn.basics.progress import Progress, silent
from vizcnn.measures.agreement import correlate, rank
from vizcnn.measures.method_pictures import FILL, MethodSet, to_array
from vizcnn.photos.pixels import Array, Box
from vizcnn.projection.targets import places, strongest
from vizcnn.zoo.model import ZooModel

Values = NDArray[np.float64]


def place_squares(box: Box) -> Squares:
    """Place squares by steps of half their side inside what a unit sees.

    Outside of it nothing falls, whatever the picture.

    Args:
        box: Receptive field within the photo.

    Example:
        >>> squares = place_squares((0, 0, 16, 8))
        >>> squares.side, len(squares.corners)
        (2, 105)
    """
    top, left, bottom, right = box
    side = max(round(max(bottom - top, right - left) / SHARE), 1)
    side = min(side, bottom - top, right - left)
    step = max(side // 2, 1)
    return Squares(
        side,
        tuple(
            (row, column)
            for row in range(top, bottom - side + 1, step)
            for column in range(left, right - side + 1, step)
        ),
    )


@dataclass(frozen=True)
class ShownControl:
    """The control on one photo, for a figure.

    Attributes:
        unit, other: Numbers of the unit and of another one of its place.
        box: What they see of the photo.
        photo: The photo, (3, S, S), RGB 0..1.
        drops: The unit's drop under each square.
        squares: The squares.
        pictures: By method, the unit's and the other's, (2, 3, S, S).
    """

    unit: int
    other: int
    box: Box
    photo: Array
    drops: Values
    squares: Squares
    pictures: dict[str, Array]


@dataclass(frozen=True)
class ControlStudy:
    """How far drops agree with pictures, a value for each photo; NaN where it is not defined.

    Attributes:
        layer: Name of the layer.
        own: By method: Spearman's correlation, over the squares, of the strongest unit's drops
            with the sums of its own picture.
        other: The same with the picture of another active unit of the place.
        side: Side of the square in pixels, by photo.
        squares: How many places it took, by photo.
        shown: The first photo in which another unit is active at the place, if there is one.
    """

    layer: str
    own: dict[str, Values]
    other: dict[str, Values]
    side: tuple[int, ...]
    squares: tuple[int, ...]
    shown: ShownControl | None


def study_control(
    model: ZooModel,
    pixels: Tensor,
    layer: str,
    methods: Sequence[str],
    seed: int = 0,
    progress: Progress = silent,
) -> ControlStudy:
    """Hide each photo's parts from its strongest unit and ask whose picture foretold the drops.

    What a picture foretells for a square is the sum of its magnitudes there; for gradient times
    input its signed sum, which is the drop itself to first order.

    Args:
        model: The net.
        pixels: Photos (N, 3, S, S), RGB 0..1.
        layer: Name of a convolutional layer.
        methods: Names of methods.
        seed: Of numpy's generator, which draws the other unit among the place's active ones.
        progress: Shows how far it is.
    """
    attached, draw = MethodSet(model, methods), np.random.default_rng(seed)
    own: dict[str, list[float]] = {method: [] for method in attached.names}
    other: dict[str, list[float]] = {method: [] for method in attached.names}
    taken: list[Squares] = []
    shown: ShownControl | None = None
    label = f"hide parts from {model.title}"
    for photo in progress(pixels, label=label, total=len(pixels), unit="photo"):
        recording = attached.record(photo[None], [layer])
        maps = attached.find_maps(recording, layer).detach()
        target = strongest(maps, 1)
        unit, position = int(target.units[0]), target.positions[0].tolist()
        values = maps[0, :, position[0], position[1]]
        active = [number for number in (values > 0).nonzero()[:, 0].tolist() if number != unit]
        pair = [unit, *draw.permutation(active)[:1].tolist()]
        targets = places(
            maps,
            torch.zeros(len(pair), dtype=torch.int64),
            torch.tensor(pair),
            torch.tensor([position] * len(pair)),
        )
        projections = attached.project(recording, layer, targets, photo[None])
        some = next(iter(projections.values()))
        top, left, bottom, right = some.boxes[0].tolist()
        squares = place_squares((top, left, bottom, right))
        units, place = torch.tensor(pair[:1]), (position[0], position[1])
        drops = measure_drops(model, photo[None], layer, units, place, squares, FILL)[0].numpy()
        ranks = rank(drops)
        for method, projection in projections.items():
            found = [
                correlate(ranks, rank(sum_squares(values, squares)))
                for values in foretell(to_array(projection.pixels), method)
            ]
            own[method].append(found[0])
            other[method].append(found[1] if len(found) > 1 else math.nan)
        taken.append(squares)
        if shown is None and len(pair) > 1:
            shown = ShownControl(
                unit=pair[0],
                other=pair[1],
                box=(top, left, bottom, right),
                photo=to_array(photo),
                drops=drops,
                squares=squares,
                pictures={m: to_array(p.pixels) for m, p in projections.items()},
            )
    return ControlStudy(
        layer=layer,
        own={method: np.array(values) for method, values in own.items()},
        other={method: np.array(values) for method, values in other.items()},
        side=tuple(squares.side for squares in taken),
        squares=tuple(len(squares.corners) for squares in taken),
        shown=shown,
    )


def foretell(pictures: Array, method: str) -> Array:
    """Give what each pixel of pictures (R, 3, S, S) foretells of the drop: (R, S, S).

    That is its magnitude, summed over colours; of gradient times input the signed sum.
    """
    values = pictures if method == GRADIENT_X_INPUT else np.abs(pictures)
    summed: Array = values.sum(axis=1)
    return summed
