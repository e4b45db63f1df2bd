"""How alike the pictures of one place's units are, whatever unit they are of."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vizcnn.basics.errors import LayerError
from vizcnn.basics.progress import Progress, silent
from vizcnn.measures.method_pictures import MethodSet, choose_classes, to_array
from vizcnn.photos.pixels import Array
from vizcnn.projection.active_units import Compare, draw_others
from vizcnn.projection.parts import find_common, find_common_part, find_cosines
from vizcnn.projection.projection import Projection
from vizcnn.projection.targets import places, strongest
from vizcnn.recording.recording import Recording
from vizcnn.zoo.model import ZooModel

AT_ONCE = 4
"""Photos that go through the net together, at most: their graphs are kept meanwhile."""
SHOWN = 10
"""Units of a place that are shown."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Sameness:
    """How alike pictures are, a value for each photo; NaN where it is not defined.

    Attributes:
        cosines: Cosine of the picture of a place's strongest unit with that of another active unit
            of the place, the median over the others; of the predicted class with the second.
        effective: How many different pictures the place's active units make
            (:func:`~vizcnn.projection.parts.find_common`); NaN for classes.
        active: How many units are active at the place; for classes how many were compared.
        compared: How many of them were projected.
    """

    cosines: Values
    effective: Values
    active: Values
    compared: Values


@dataclass(frozen=True)
class ShownPlace:
    """Pictures of one place, for a figure; each cut to the receptive field.

    Attributes:
        layer: Name of the layer.
        position: Row and column in its maps.
        units: Numbers of the units, the strongest first.
        patch: The photo in their receptive field, (3, h, w), RGB 0..1.
        pictures: By method, (K, 3, h, w).
        own: The units' own parts, the same.
        selectivity: 1 - cos² with the common picture, by method; NaN where there is none.
        active: How many units are active there.
        compared: From how many of them the common picture was found.
    """

    layer: str
    position: tuple[int, int]
    units: tuple[int, ...]
    patch: Array
    pictures: dict[str, Array]
    own: dict[str, Array]
    selectivity: dict[str, tuple[float, ...]]
    active: int
    compared: int


@dataclass(frozen=True)
class SamenessStudy:
    """How alike pictures are, layer by layer and method by method.

    Attributes:
        last: Name of the layer of the classes.
        found: By layer and method; the last layer's are those of the classes.
        shown: A place of the deepest layer in the first photo.
    """

    last: str
    found: dict[tuple[str, str], Sameness]
    shown: ShownPlace


@dataclass(frozen=True)
class _Place:
    """A place of a photo, and the units that are compared there, the strongest first."""

    image: int
    position: Tensor
    units: Tensor
    active: int


_Row = tuple[float, float, float, float]


def study_sameness(
    model: ZooModel,
    pixels: Tensor,
    layers: Sequence[str],
    methods: Sequence[str],
    compare: Compare,
    progress: Progress = silent,
) -> SamenessStudy:
    """Compare the pictures of units that are active at one place.

    The place is, for each photo and layer, that of the layer's strongest unit; active is what is
    above zero there.

    Args:
        model: The net.
        pixels: Photos (N, 3, S, S), RGB 0..1.
        layers: Names of convolutional layers, lowest first.
        methods: Names of methods.
        compare: With how many other active units of its place the strongest is compared, at most,
            evenly spread by number, or ``"all"``; they stand for all.
        progress: Shows how far it is.

    Raises:
        LayerError: If there is no such layer, or it has no feature maps.
        UnsupportedOperationError: If a method has no rule for an operation on the way.
    """
    attached, last = MethodSet(model, methods), model.find_class_layer()
    chunks = pixels.split(AT_ONCE)
    rows: dict[tuple[str, str], list[_Row]] = {}
    shown: list[ShownPlace] = []

    def study(chunk: Tensor) -> Iterator[None]:
        recording = attached.record(chunk, layers)
        for layer in layers:
            for image in range(len(chunk)):
                place = _choose_place(attached.find_maps(recording, layer), layer, image, compare)
                projections = _project(attached, recording, layer, place, chunk)
                for method, projection in projections.items():
                    rows.setdefault((layer, method), []).append(_measure(projection, place))
                if layer == layers[-1] and not shown:
                    shown.append(_show(projections, place, layer, chunk))
            yield
        del recording
        for method, cosines in _compare_classes(attached, last, chunk).items():
            found = [(cosine, math.nan, 2.0, 2.0) for cosine in cosines]
            rows.setdefault((last, method), []).extend(found)
        yield

    steps = (step for chunk in chunks for step in study(chunk))
    total = len(chunks) * (len(layers) + 1)
    for _ in progress(steps, label=f"compare units of {model.title}", total=total, unit="step"):
        pass
    table = {key: Sameness(*np.array(values, dtype=np.float64).T) for key, values in rows.items()}
    return SamenessStudy(last, table, shown[0])


def check_layers(model: ZooModel, layers: Sequence[str], methods: Sequence[str]) -> None:
    """Find at once what would fail after minutes of measuring.

    Raises:
        LayerError: If there is no layer, one does not exist, has no feature maps, or is the last;
            or if the last that the net names is not that of its classes.
        UnsupportedOperationError: If a method has no rule for an operation on the way.
    """
    if not layers:
        raise LayerError("no layer is named; needed: at least one, for example conv5")
    if not model.layers:
        raise LayerError(
            f"{model.title} names no layers, and the last that a net names stands for its classes: "
            "give ZooModel.layers that one at least"
        )
    last = model.find_class_layer()
    attached = MethodSet(model, methods)
    grey = torch.full((1, 3, model.input_size, model.input_size), 0.5)
    classes = model.logits(grey).shape[1]
    for layer in (*layers, last):
        recording = attached.record(grey, [layer])
        maps = attached.find_maps(recording, layer)
        if layer == last and maps.shape[1] != classes:
            raise LayerError(
                f"{last}, the last layer that {model.title} names, has {maps.shape[1]} units for "
                f"{classes} classes: give ZooModel.layers the layer of the classes as its last"
            )
        if layer == last and layer in layers:
            raise LayerError(f"the units of {last} are the classes: give a layer below it")
        if layer in layers and maps.ndim != 4:
            raise LayerError(f"{layer} has no feature maps: give a convolutional layer")
        attached.project(recording, layer, attached.aim(recording, layer), grey)


def _choose_place(maps: Tensor, layer: str, image: int, compare: Compare) -> _Place:
    target = strongest(maps[image : image + 1], 1)
    first, position = int(target.units[0]), target.positions[0]
    values = maps.detach()[image, :, position[0], position[1]]
    active = (values > 0).nonzero()[:, 0].tolist()
    chosen = [first, *draw_others(active, first, compare)]
    return _Place(image, position, torch.tensor(chosen, device=maps.device), len(active))


def _project(
    attached: MethodSet, recording: Recording, layer: str, place: _Place, pixels: Tensor
) -> dict[str, Projection]:
    maps, count = attached.find_maps(recording, layer), len(place.units)
    images = torch.full((count,), place.image, device=maps.device)
    targets = places(maps, images, place.units, place.position.expand(count, -1))
    return attached.project(recording, layer, targets, pixels)


def _measure(projection: Projection, place: _Place) -> _Row:
    """Give cosine, effective number, how many units are active, and how many were compared."""
    compared, windows = len(place.units), projection.windows
    if compared < 2:
        return math.nan, math.nan, place.active, compared
    number = find_common(windows, 1, place.active).effective_number
    cosines = find_cosines(windows[0], windows[1:]).numpy()
    cosines = cosines[~np.isnan(cosines)]
    # torch's median is the lower of two in the middle
    middle = float(np.median(cosines)) if cosines.size else math.nan
    return middle, number, place.active, compared


def _compare_classes(attached: MethodSet, layer: str, pixels: Tensor) -> dict[str, list[float]]:
    """Give the cosine of the likeliest class's picture with that of the second, by method."""
    classes = choose_classes(attached.model, pixels)
    if classes.shape[1] < 2:
        return {method: [math.nan] * len(pixels) for method in attached.names}
    recording = attached.record(pixels, [layer])
    one, other = (
        attached.project(recording, layer, attached.aim(recording, layer, units), pixels)
        for units in classes.T
    )
    return {
        method: [
            float(find_cosines(first, second[None]))
            for first, second in zip(one[method].windows, other[method].windows, strict=True)
        ]
        for method in attached.names
    }


def _show(
    projections: dict[str, Projection], place: _Place, layer: str, pixels: Tensor
) -> ShownPlace:
    """Take the strongest units of a place, with what their pictures do not share."""
    some = next(iter(projections.values()))
    order = some.activations.sort(descending=True, stable=True).indices[:SHOWN].tolist()
    top, left, bottom, right = some.boxes[0].tolist()
    row, column = place.position.tolist()
    pictures: dict[str, Array] = {}
    own: dict[str, Array] = {}
    selectivity: dict[str, tuple[float, ...]] = {}
    for method, projection in projections.items():
        # where no unit is active at all, the strongest stands alone
        common = find_common(projection.windows, 1, max(place.active, 1))
        compares = common.compares(is_one=True)
        direction = common.direction if compares else torch.zeros_like(common.direction)
        shared = [find_common_part(picture, direction) for picture in projection.windows]
        without = replace(projection, windows=projection.windows - torch.stack(shared))
        pictures[method] = np.stack([to_array(projection.cut(unit)) for unit in order])
        own[method] = np.stack([to_array(without.cut(unit)) for unit in order])
        selectivity[method] = tuple(common.selectivity[order].tolist())
    return ShownPlace(
        layer=layer,
        position=(row, column),
        units=tuple(some.units[order].tolist()),
        patch=to_array(pixels[place.image, :, top:bottom, left:right]),
        pictures=pictures,
        own=own,
        selectivity=selectivity,
        active=place.active,
        compared=len(place.units),
    )
