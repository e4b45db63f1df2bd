"""What attribution methods are asked: units of a layer, at one place, on one photo."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from vizcnn.basics.errors import (
    LayerError,
    ModelError,
    VizcnnError,
    check_number,
    quote,
)
from vizcnn.photos.pixels import Box
from vizcnn.projection.active_units import Compare, check_compare, draw_others
from vizcnn.projection.deconvnet import Projector
from vizcnn.projection.methods import Gates, Unruled
from vizcnn.projection.targets import Position, choose_targets
from vizcnn.receptive.boxes import find_boxes
from vizcnn.recording.layers import parse_reference
from vizcnn.zoo.model import ZooModel

Fill = Literal["mean", "grey", "black", "white"]
"""What stands for nothing; ``"mean"`` is the colour that the net's preprocessing maps to zero."""


@dataclass(frozen=True, kw_only=True)
class AttributionSettings:
    """Choices of the methods.

    Attributes:
        fill: Colour of hidden squares, and of the image that integrated gradients start from.
        steps: Points of the path that integrated gradients are summed over.
        side: Side of a hidden square in pixels; an eighth of what the unit
            sees when None.
        stride: Pixels from one hidden square to the next; half of the side when None.
        cam_layer: Layer that class activation maps look at; when None the last of the net's named
            layers (conv1, conv2, ... where it has such) with places, below the unit's.
        unruled: What deconvnet and guided backprop do at operations without a rule.
        gates: What they do at gates.

    Raises:
        VizcnnError: If a choice is not known, or a number out of bounds.
    """

    fill: Fill = "mean"
    steps: int = 32
    side: int | None = None
    stride: int | None = None
    cam_layer: str | None = None
    unruled: Unruled = "refuse"
    gates: Gates = "refuse"

    def __post_init__(self) -> None:
        if self.fill not in get_args(Fill):
            raise VizcnnError(
                f"fill={quote(self.fill)} is not known; needed: {', '.join(get_args(Fill))}"
            )
        check_number("steps", self.steps, 1, 10_000)
        for name, value in (("side", self.side), ("stride", self.stride)):
            if value is not None:
                check_number(name, value, 1, 10**6)


@dataclass(frozen=True, eq=False)
class Question:
    """Units of one layer, at one place, on one photo.

    Attributes:
        model: The net.
        pixels: The photo as the net sees it, (1, 3, S, S), RGB 0..1.
        layer: The layer's name.
        position: Row and column in the feature map; (0, 0) in a layer without places.
        has_places: Whether the layer has more than one place.
        units: The units that are asked about, (R,).
        company: Units that the common picture of the place is found from, (n,): the unit of
            interest, if it is active, and other active ones.
        known: How many of the company, from the first on, were not drawn as a sample.
        active: How many units are active (above zero) at the place.
        box: Receptive field of the place in pixels: top, left, bottom, right.
    """

    model: ZooModel
    pixels: Tensor
    layer: str
    position: tuple[int, int]
    has_places: bool
    units: Tensor
    company: Tensor
    known: int
    active: int
    box: Box

    def about(self, units: Tensor) -> "Question":
        """Ask the same about other units."""
        return replace(self, units=units)


def ask(
    model: ZooModel,
    pixels: Tensor,
    layer: str,
    unit: int | None = None,
    position: Position = "max",
    compare: Compare = 12,
) -> tuple[Question, float]:
    """Ask about one unit of a layer, with active units of the same place beside it.

    Args:
        model: A net of the zoo.
        pixels: A photo, from :meth:`~vizcnn.zoo.model.ZooModel.read`.
        layer: Canonical name or module path.
        unit: Number of the unit; the strongest when None.
        position: ``"max"`` (where the unit is strongest) or (row, column).
        compare: How many other active units of the place to keep company, at most, evenly spread
            by number, or ``"all"``.

    Returns:
        The question about the unit, and the unit's value there.

    Raises:
        LayerError: If the layer, unit or place does not exist, or the whole map is asked for.
        ImageError: If the net does not take the photo.

    Example:
        >>> import vizcnn
        >>> net = vizcnn.load("lenet", weights=None)
        >>> question, value = ask(net, torch.rand(1, 3, 32, 32), "conv2", unit=3)
        >>> question.units.tolist(), question.box[2] - question.box[0]
        ([3], 14)
    """
    if isinstance(position, str) and position == "all":
        raise LayerError(
            "position 'all' is a whole map; attributions are compared at one place: give max or "
            "ROW,COLUMN"
        )
    projector = Projector(model, "gradient")
    recording = projector.record(pixels, [layer])
    maps = recording.find_output(projector.find_path(layer))
    if maps.ndim not in (2, 4):
        raise LayerError(
            f"layer {quote(layer)} puts out shape {tuple(maps.shape)}; needed: maps, or units"
        )
    targets = choose_targets(maps, "top" if unit is None else unit, position, 1)
    chosen, value = targets.units, float(targets.activations[0])
    row, column = targets.positions[0].tolist()
    values = maps.detach()[0] if maps.ndim == 2 else maps.detach()[0, :, row, column]
    if not values.isfinite().all():
        raise ModelError(f"layer {quote(layer)} puts out values that are not finite on this photo")
    active = (values > 0).nonzero()[:, 0].tolist()
    rest = draw_others(active, int(chosen), check_compare(compare))
    company = [int(chosen), *rest] if value > 0 else rest
    (box,) = find_boxes(maps, recording.find_input(), targets.positions).tolist()
    if box[2] <= box[0] or box[3] <= box[1]:
        raise LayerError(
            f"position {(row, column)} of layer {quote(layer)} sees padding only: choose another"
        )
    question = Question(
        model=model,
        pixels=pixels,
        layer=layer,
        position=(row, column),
        has_places=maps.ndim == 4 and maps[0, 0].numel() > 1,
        units=chosen.cpu(),
        company=torch.tensor(company, dtype=torch.int64),
        known=int(value > 0),
        active=len(active),
        box=tuple(box),
    )
    return question, value


def search_class_layer(model: ZooModel, pixels: Tensor) -> str:
    """Find the layer whose units are the classes: the first that puts out the net's own output.

    Of a net whose own output no module puts out it is the function that does, if that has a name.

    Args:
        model: A net of the zoo.
        pixels: A photo as the net sees it, (1, 3, S, S).

    Raises:
        LayerError: If nothing that can be addressed puts them out.

    Example:
        >>> import vizcnn
        >>> search_class_layer(vizcnn.load("lenet", weights=None), torch.rand(1, 3, 32, 32))
        'fc5'
    """
    logits = model.logits(pixels).flatten()

    def are_logits(output: object) -> bool:
        return (
            isinstance(output, Tensor)
            and output.ndim in (2, 4)
            and output.numel() == logits.numel()
            and torch.allclose(
                output.detach().flatten(), logits, rtol=1e-4, atol=1e-6, equal_nan=True
            )
        )

    projector = Projector(model, "gradient")
    outputs = projector.record(pixels).outputs
    names = {path: name for name, path in model.layers.items()}
    found = [
        path for path, put_out in outputs.items() if len(put_out) == 1 and are_logits(*put_out)
    ]
    named = [names[path] for path in found if path in names]
    last = parse_reference(list(model.layers.values())[-1] if model.layers else "")
    if not found and last.is_function:
        called = projector.record(pixels, [names[str(last)]]).find_output(str(last))
        found = [names[str(last)]] if are_logits(called) else []
    if not found:
        raise LayerError(
            f"no module of {model.title} puts out its classes: name a layer with --layer"
        )
    return (named or found)[0]


def find_fill(model: ZooModel, fill: Fill) -> Tensor:
    """Give a colour that stands for nothing, (3, 1, 1), RGB 0..1.

    Example:
        >>> import vizcnn
        >>> find_fill(vizcnn.load("lenet", weights=None), "mean").flatten().tolist()
        [0.5, 0.5, 0.5]
    """
    if fill == "mean":
        return model.preprocessing.mean_colour
    return torch.full((3, 1, 1), {"black": 0.0, "grey": 0.5, "white": 1.0}[fill])
