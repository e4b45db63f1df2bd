"""Project a unit's activation back to pixels: a recording, a unit and a rule -> an image."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from vizcnn.basics.errors import ModelError
from vizcnn.projection.cone import Cone
from vizcnn.projection.full_image import Finish, project_full_image, unchanged
from vizcnn.projection.rules import Rule
from vizcnn.projection.targets import Position, Targets, choose_targets, place_targets
from vizcnn.receptive.boxes import find_fields
from vizcnn.recording.backward import Way
from vizcnn.recording.graph import trace_nodes
from vizcnn.recording.operations import refuse_unruled
from vizcnn.recording.recording import Recording


@dataclass(frozen=True)
class Projection:
    """Units projected back to pixels; every tensor has one row per unit and image.

    A unit's projection is zero outside its receptive field, so that a window as large as the
    field holds all of it.

    Attributes:
        windows: The projections (R, 3, h, w) in windows of one size, which lie in the image and
            hold the whole receptive field; in the units of the input times the activation;
            signed, not scaled.
        corners: Top and left of the windows in the input's pixels, (R, 2), on the CPU.
        size: Height and width of the input in pixels.
        images: Index of the image in the batch, (R,).
        units: Unit (feature map) numbers, (R,).
        activations: The unit's activation that was projected, (R,); for ``position="all"`` its
            maximum over the map.
        positions: Row and column in the feature map, (R, 2); -1 for ``position="all"``.
        boxes: Receptive fields (R, 4): top, left, bottom, right in pixels, the last two exclusive,
            cut at the image's edge.
        field: Height and width of an uncut receptive field in pixels.
        layer: The layer's name, as asked for.
        method: The rule's name.
        computed: How: ``"windows"`` (in the receptive fields only) or ``"full image"``.
    """

    windows: Tensor
    corners: Tensor
    size: tuple[int, int]
    images: Tensor
    units: Tensor
    activations: Tensor
    positions: Tensor
    boxes: Tensor
    field: tuple[int, int]
    layer: str
    method: str
    computed: Literal["windows", "full image"]

    def __len__(self) -> int:
        return len(self.units)

    @property
    def pixels(self) -> Tensor:
        """The projections over the whole input, (R, 3, H, W).

        Put together anew each time, unless the windows are the whole input already.
        """
        height, width = self.windows.shape[-2:]
        if (height, width) == self.size:
            return self.windows
        pixels = self.windows.new_zeros((*self.windows.shape[:2], *self.size))
        for row, (top, left) in enumerate(self.corners.tolist()):
            pixels[row, :, top : top + height, left : left + width] = self.windows[row]
        return pixels


def project(
    recording: Recording,
    layer: str,
    rule: Rule,
    unit: int | Sequence[int] | Literal["top"] = "top",
    position: Position = "max",
    count: int = 9,
    passes_over_normalisation: bool | None = None,
    unruled: Literal["refuse", "gradient"] = "refuse",
    name: str | None = None,
    finish: Finish = unchanged,
) -> Projection:
    """Project units of a recorded layer back to the recording's input.

    The backward pass is seeded with the unit's activation at one place (or its whole map) and
    zero elsewhere, as ZF section 2.1 sets all other activations to zero.

    Args:
        recording: From :func:`vizcnn.record`, after the forward pass.
        layer: Module path of the layer.
        rule: One of :data:`vizcnn.projection.rules.RULES`.
        unit: Unit number, several, or ``"top"`` for each image's strongest.
        position: ``"max"`` (where the unit is strongest), (row, column), or ``"all"``.
        count: How many units ``"top"`` takes.
        passes_over_normalisation: Skip contrast normalisation on the way back; the rule's own
            habit when None.
        unruled: What to do about operations that the rule does not know.
        name: What to call the layer in the result.
        finish: From the input's channels to those of the result, place by place.

    Returns:
        The projections, N * units rows, by image, then unit.

    Raises:
        LayerError: If the layer, a unit or the position does not exist.
        UnsupportedOperationError: If an operation on the way has no rule.
    """
    targets = choose_targets(recording.find_output(layer).detach(), unit, position, count)
    return project_targets(
        recording, layer, rule, targets, passes_over_normalisation, unruled, name, finish
    )


def project_places(
    recording: Recording,
    layer: str,
    rule: Rule,
    images: Tensor,
    units: Tensor,
    positions: Tensor,
    passes_over_normalisation: bool | None = None,
    unruled: Literal["refuse", "gradient"] = "refuse",
    name: str | None = None,
    finish: Finish = unchanged,
) -> Projection:
    """Project units at places of one's own choice, each row another image, unit and place.

    Args:
        recording: From :func:`vizcnn.record`, after the forward pass.
        layer: Module path of the layer.
        rule: One of :data:`vizcnn.projection.rules.RULES`.
        images: Index of the image in the batch, (R,).
        units: Unit numbers, (R,).
        positions: Row and column in the feature map, (R, 2).
        passes_over_normalisation: As in :func:`project`.
        unruled: As in :func:`project`.
        name: What to call the layer in the result.
        finish: From the input's channels to those of the result, place by place.

    Returns:
        The projections, R rows in the order given.

    Raises:
        LayerError: If the layer or a place does not exist.
        UnsupportedOperationError: If an operation on the way has no rule.
    """
    output = recording.find_output(layer).detach()
    targets = place_targets(output, images, units, positions)
    return project_targets(
        recording, layer, rule, targets, passes_over_normalisation, unruled, name, finish
    )


def project_targets(
    recording: Recording,
    layer: str,
    rule: Rule,
    targets: Targets,
    passes_over_normalisation: bool | None,
    unruled: Literal["refuse", "gradient"],
    name: str | None,
    finish: Finish,
) -> Projection:
    """Project targets of a recorded layer; arguments and errors as in :func:`project`."""
    if recording.input is None:
        raise ModelError("the recording is empty: run the model inside `with record(model)`")
    output = recording.find_output(layer)
    nodes = trace_nodes(output, recording.input)
    if rule.needs_rules and unruled == "refuse":
        refuse_unruled(recording.find_step(layer), nodes, rule.name, False, False)
    skip = rule.skips_normalisation(passes_over_normalisation)
    way = Way(rule.rectify, rule.needs_activity, skip)
    fields = find_fields(output, recording.input, targets.positions)
    cone = Cone(output, recording.input, nodes, way)
    in_windows = len(targets) > 0 and cone.exists()
    if in_windows:
        windows, corners = cone.project(targets, fields.uncut, finish)
    else:
        with follow(recording, way):
            windows = finish(project_full_image(output, recording.input, targets, nodes))
        corners = torch.zeros(len(targets), 2, dtype=torch.int64)
    return Projection(
        windows=windows,
        corners=corners,
        size=(recording.input.shape[-2], recording.input.shape[-1]),
        images=targets.images,
        units=targets.units,
        activations=targets.activations,
        positions=targets.positions,
        boxes=fields.boxes,
        field=fields.size,
        layer=name or layer,
        method=rule.name,
        computed="windows" if in_windows else "full image",
    )


@contextmanager
def follow(recording: Recording, way: Way) -> Iterator[None]:
    """Let backward passes of a recording follow a way, then the former one again."""
    former = vars(recording.way).copy()
    vars(recording.way).update(vars(way))
    try:
        yield
    finally:
        vars(recording.way).update(former)
