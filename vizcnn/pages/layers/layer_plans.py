"""What is known of a layer before a single photo is read, and whether it can be projected."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from vizcnn.basics.errors import LayerError
from vizcnn.pages.layers.records import name_folders
from vizcnn.projection.deconvnet import Projector
from vizcnn.receptive import find_boxes
from vizcnn.recording.recording import Recording
from vizcnn.zoo.model import ZooModel


@dataclass(frozen=True)
class LayerPlan:
    """A layer that is going to be shown.

    Attributes:
        name: The layer as asked for.
        path: Its module path.
        folder: Folder of its pages and sheets.
        units: The units to show, sorted.
        units_total: Number of units that the layer has.
        map_size: Rows and columns of a feature map; None for a vector of units.
        field: Height and width of a receptive field in pixels, before the edges cut it.
        stride: Pixels from one unit to the next, down and across; None where there is none.
        window: Height and width in pixels of the windows that are shown.
        computed: How it is projected: ``"windows"`` or ``"full image"``.
        classes: What the units stand for, in the net's last layer; else empty.
    """

    name: str
    path: str
    folder: str
    units: tuple[int, ...]
    units_total: int
    map_size: tuple[int, int] | None
    field: tuple[int, int]
    stride: tuple[int, int] | None
    window: tuple[int, int]
    computed: str
    classes: tuple[str, ...] = ()


def plan_layers(
    projector: Projector, model: ZooModel, layers: Sequence[str], units: Sequence[int] | None
) -> list[LayerPlan]:
    """Look at the layers on a blank photo: hours of mining are not spent on what must fail.

    Args:
        projector: The method, attached to the net.
        model: The net.
        layers: Canonical names or module paths.
        units: Unit numbers, or None for all.

    Returns:
        One plan per layer, in the order given.

    Raises:
        LayerError: If a layer or a unit does not exist, or a layer puts out no units.
        UnsupportedOperationError: If the method has no rule for an operation on the way.
    """
    size = model.input_size
    recording = projector.record(torch.zeros(1, 3, size, size), layers)
    return [
        _plan_layer(projector, model, recording, layer, folder, units)
        for layer, folder in zip(layers, name_folders(layers), strict=True)
    ]


def measure_pass(projector: Projector, model: ZooModel) -> int:
    """Give the bytes of all that a net's modules put out for one photo."""
    size = model.input_size
    outputs = projector.record(torch.zeros(1, 3, size, size)).outputs.values()
    tensors = [output for calls in outputs for output in calls if isinstance(output, torch.Tensor)]
    return sum(tensor.nbytes for tensor in tensors)


def _plan_layer(
    projector: Projector,
    model: ZooModel,
    recording: Recording,
    layer: str,
    folder: str,
    units: Sequence[int] | None,
) -> LayerPlan:
    path = projector.find_path(layer)
    shape = tuple(recording.find_output(path).shape[1:])
    first = torch.zeros(1, dtype=torch.int64)
    projection = projector.project_places(
        recording, layer, first, first, torch.zeros(1, 2, dtype=torch.int64)
    )
    return LayerPlan(
        name=layer,
        path=path,
        folder=folder,
        units=_choose_units(layer, shape[0], units),
        units_total=shape[0],
        map_size=(shape[1], shape[2]) if len(shape) == 3 else None,
        field=(projection.field[0], projection.field[1]),
        stride=_find_stride(recording, path, shape),
        window=_find_window(recording, path, shape, (model.input_size, model.input_size)),
        computed=projection.computed,
        classes=model.name_units(path, shape[0]) if len(shape) == 1 else (),
    )


def _choose_units(layer: str, total: int, units: Sequence[int] | None) -> tuple[int, ...]:
    if units is None:
        return tuple(range(total))
    for unit in units:
        if not 0 <= unit < total:
            raise LayerError(f"layer {layer}: no unit {unit}; it has units 0..{total - 1}")
    return tuple(sorted(set(units)))


def _find_window(
    recording: Recording, path: str, shape: tuple[int, ...], image: tuple[int, int]
) -> tuple[int, int]:
    """Find the size in which the field of each place of a map fits, no larger than the image."""
    assert recording.input is not None  # it was projected from
    rows, columns = shape[1:] if len(shape) == 3 else (1, 1)
    # rows and columns do not depend on each other: a walk along both meets them all
    places = [[min(n, rows - 1), min(n, columns - 1)] for n in range(max(rows, columns))]
    output = recording.find_output(path)
    boxes = find_boxes(output, recording.input, torch.tensor(places), clip=False)
    height, width = (boxes[:, 2:] - boxes[:, :2]).amax(dim=0).minimum(torch.tensor(image)).tolist()
    return height, width


def _find_stride(recording: Recording, path: str, shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Measure how far the receptive field moves from one unit to the next."""
    if len(shape) == 1 or min(shape[1:]) < 2 or recording.input is None:
        return None
    row, column = shape[1] // 2 - 1, shape[2] // 2 - 1
    places = torch.tensor([[row, column], [row + 1, column + 1]])
    here, there = find_boxes(recording.find_output(path), recording.input, places, clip=False)
    down, across = (there - here)[:2].tolist()
    return (down, across) if down > 0 and across > 0 else None
