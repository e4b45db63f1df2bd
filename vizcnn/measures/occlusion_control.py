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

from vizcnn.attribution.occlusion import drop_rounding
from vizcnn.basics.progress import Progress, silent
from vizcnn.measures.agreement import correlate, rank
from vizcnn.measures.method_pictures import GRADIENT_X_INPUT, GREY, MethodSet
from vizcnn.mining.passes import watch_layers
from vizcnn.photos.pixels import Array, Box
from vizcnn.projection.targets import places, strongest
from vizcnn.recording.layers import find_layer
from vizcnn.zoo.model import ZooModel

SHARE = 8
"""A square's side is so many times in the longer side of what the unit sees of the photo."""
AT_ONCE = 32
"""Occluded photos that go through the net together."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Squares:
    """Where a grey square is put: all within a box, by steps of half its side.

    Attributes:
        side: Its side in pixels.
        corners: Tops and lefts in the photo, (K, 2).
    """

    side: int
    corners: tuple[tuple[int, int], ...]


def place_squares(box: Box) -> Squares:
    """Place squares inside what a unit sees; outside of it nothing falls, whatever the picture.

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


def sum_squares(values: Array, squares: Squares) -> Values:
    """Sum values (S, S) of a photo's pixels over each square: (K,).

    Example:
        >>> sum_squares(np.ones((4, 4), dtype=np.float32), Squares(2, ((0, 0), (1, 2)))).tolist()
        [4.0, 4.0]
    """
    sums = np.zeros((values.shape[0] + 1, values.shape[1] + 1), dtype=np.float64)
    sums[1:, 1:] = values.astype(np.float64).cumsum(axis=0).cumsum(axis=1)
    top, left = np.array(squares.corners, dtype=np.int64).reshape(-1, 2).T
    bottom, right = top + squares.side, left + squares.side
    found: Values = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    return found


def measure_drops(
    model: ZooModel,
    pixels: Tensor,
    layer: str,
    unit: int,
    position: Sequence[int],
    squares: Squares,
) -> Values:
    """Measure how far a unit falls at its place under each grey square.

    Args:
        model: The net.
        pixels: A photo (3, S, S), RGB 0..1.
        layer: Canonical name or module path of a convolutional layer.
        unit: Number of the unit.
        position: Row and column in its map.
        squares: Where the square is put.

    Returns:
        Activation on the photo as it is minus that with the square, (K,); below zero where the
        unit rises.
    """
    like = next(model.module.parameters())
    row, column = position
    photo, side = pixels.to(like.device, like.dtype), squares.side
    found: list[Tensor] = []

    def see(name: str, maps: Tensor) -> None:
        found.append(maps[:, unit, row, column].double().cpu())

    with watch_layers(model.module, {layer: find_layer(model, layer)}) as forward:
        forward(model.preprocessing.normalise(photo[None]), see)
        for first in range(0, len(squares.corners), AT_ONCE):
            corners = squares.corners[first : first + AT_ONCE]
            hidden = photo.repeat(len(corners), 1, 1, 1)
            for image, (top, left) in zip(hidden, corners, strict=True):
                image[:, top : top + side, left : left + side] = GREY
            forward(model.preprocessing.normalise(hidden), see)
    whole, *rest = found
    drops: Values = drop_rounding(whole - torch.cat(rest), whole).numpy()
    return drops


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
        drops = measure_drops(model, photo, layer, unit, position, squares)
        ranks = rank(drops)
        for method, projection in projections.items():
            found = [
                correlate(ranks, rank(sum_squares(values, squares)))
                for values in foretell(_to_array(projection.pixels), method)
            ]
            own[method].append(found[0])
            other[method].append(found[1] if len(found) > 1 else math.nan)
        taken.append(squares)
        if shown is None and len(pair) > 1:
            shown = ShownControl(
                unit=pair[0],
                other=pair[1],
                box=(top, left, bottom, right),
                photo=photo.cpu().float().numpy(),
                drops=drops,
                squares=squares,
                pictures={m: _to_array(p.pixels) for m, p in projections.items()},
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


def _to_array(values: Tensor) -> Array:
    array: Array = values.detach().cpu().float().numpy()
    return array
