"""Project a unit's activation back to pixels: a recording, a unit and a rule -> an image."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from vizcnn.backward import Way
from vizcnn.errors import LayerError, ModelError
from vizcnn.graph import refuse_unruled, trace_nodes
from vizcnn.receptive import find_boxes, find_field
from vizcnn.recording import Recording
from vizcnn.rules import Rule

Position = Literal["max", "all"] | tuple[int, int]
"""Where in a feature map: its maximum, the whole map, or (row, column)."""

SEEDS_AT_ONCE = 16
"""Units whose backward passes run as one batch."""


@dataclass(frozen=True)
class Projection:
    """Units projected back to pixels; every field has one row per unit and image.

    Attributes:
        pixels: The projections (R, 3, H, W), in the units of the input times the activation;
            signed, not scaled.
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
    """

    pixels: Tensor
    images: Tensor
    units: Tensor
    activations: Tensor
    positions: Tensor
    boxes: Tensor
    field: tuple[int, int]
    layer: str
    method: str

    def __len__(self) -> int:
        return len(self.units)


@dataclass(frozen=True)
class Targets:
    """Which units to project, (R,) and (R, 2); ordered by image, then unit."""

    images: Tensor
    units: Tensor
    positions: Tensor
    activations: Tensor


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
) -> Projection:
    """Project units of a recorded layer back to the recording's input.

    The backward pass is seeded with the unit's activation at one place (or its whole map) and
    zero elsewhere, as ZF section 2.1 sets all other activations to zero.

    Args:
        recording: From :func:`vizcnn.record`, after the forward pass.
        layer: Module path of the layer.
        rule: One of :data:`vizcnn.rules.RULES`.
        unit: Unit number, several, or ``"top"`` for each image's strongest.
        position: ``"max"`` (where the unit is strongest), (row, column), or ``"all"``.
        count: How many units ``"top"`` takes.
        passes_over_normalisation: Skip contrast normalisation on the way back; the rule's own
            habit when None.
        unruled: What to do about operations that the rule does not know.
        name: What to call the layer in the result.

    Returns:
        The projections, N * units rows.

    Raises:
        LayerError: If the layer, a unit or the position does not exist.
        UnsupportedOperationError: If an operation on the way has no rule.
    """
    if recording.input is None:
        raise ModelError("the recording is empty: run the model inside `with record(model)`")
    output = recording.find_output(layer)
    nodes = trace_nodes(output, recording.input)
    if rule.needs_rules and unruled == "refuse":
        refuse_unruled(nodes, recording.gates, rule.name)
    skip = rule.skips_normalisation(passes_over_normalisation)
    targets = choose_targets(output.detach(), unit, position, count)
    with follow(recording, Way(rule, skip)):
        pixels = _send_back(output, recording.input, targets)
    return Projection(
        pixels=pixels,
        images=targets.images,
        units=targets.units,
        activations=targets.activations,
        positions=targets.positions,
        boxes=find_boxes(output, recording.input, targets.positions),
        field=find_field(output, recording.input),
        layer=name or layer,
        method=rule.name,
    )


def parse_position(text: str) -> Position:
    """Read a position from text: ``max``, ``all`` or ``ROW,COLUMN``.

    Raises:
        LayerError: If it is none of these.

    Example:
        >>> parse_position("3,7")
        (3, 7)
    """
    if text == "max":
        return "max"
    if text == "all":
        return "all"
    row, _, column = text.partition(",")
    if row.strip().isdigit() and column.strip().isdigit():
        return int(row), int(column)
    raise LayerError(f"position {text!r} is not known; needed: max, all, or ROW,COLUMN")


@contextmanager
def follow(recording: Recording, way: Way) -> Iterator[None]:
    """Let backward passes of a recording follow a way, then the former one again."""
    former = recording.way.rule, recording.way.passes_over_normalisation
    recording.way.rule, recording.way.passes_over_normalisation = (
        way.rule,
        way.passes_over_normalisation,
    )
    try:
        yield
    finally:
        recording.way.rule, recording.way.passes_over_normalisation = former


def choose_targets(
    maps: Tensor, unit: int | Sequence[int] | Literal["top"], position: Position, count: int
) -> Targets:
    """Settle which units of which images at which places are meant.

    Args:
        maps: Feature maps (N, C, h, w) or units (N, C).
        unit: Unit number, several, or ``"top"``.
        position: ``"max"``, (row, column) or ``"all"``.
        count: How many units ``"top"`` takes.

    Returns:
        The targets. Ties go to the lower unit and to the first place in row order.

    Raises:
        LayerError: If a unit or the position lies outside the maps.
    """
    grid = maps if maps.ndim == 4 else maps[:, :, None, None]
    images, _, height, width = grid.shape
    flat = grid.flatten(2)
    if position not in ("max", "all"):
        row, column = _check_position(position, height, width)
        values = grid[:, :, row, column]
        places = torch.full_like(values, row * width + column, dtype=torch.int64)
    else:
        values, places = flat.amax(dim=2), _first_maximum(flat)
    units = _choose_units(values, unit, count)
    chosen = places.gather(1, units).flatten()
    rows_columns = torch.stack([chosen // width, chosen % width], dim=1)
    return Targets(
        images=torch.arange(images, device=maps.device).repeat_interleave(units.shape[1]),
        units=units.flatten(),
        positions=torch.full_like(rows_columns, -1) if position == "all" else rows_columns,
        activations=values.gather(1, units).flatten(),
    )


def _first_maximum(flat: Tensor) -> Tensor:
    # argmax does not say which of several equal maxima it takes; the first is the first True
    return (flat == flat.amax(dim=2, keepdim=True)).to(torch.uint8).argmax(dim=2)


def _check_position(position: Position, height: int, width: int) -> tuple[int, int]:
    if isinstance(position, tuple) and len(position) == 2:
        row, column = position
        if 0 <= row < height and 0 <= column < width:
            return row, column
    raise LayerError(
        f"position {position!r} is not in the {height} x {width} feature map; needed: 'max', 'all' "
        f"or (row, column) with row 0..{height - 1} and column 0..{width - 1}"
    )


def _choose_units(values: Tensor, unit: int | Sequence[int] | Literal["top"], count: int) -> Tensor:
    """Give unit numbers (N, K) from the units' values (N, C)."""
    images, channels = values.shape
    if unit == "top":
        order = values.sort(dim=1, descending=True, stable=True).indices
        return order[:, : max(min(count, channels), 0)]
    several = isinstance(unit, Sequence) and not isinstance(unit, str)
    wanted = list(unit) if several else [unit]  # type: ignore[arg-type]
    for number in wanted:
        if type(number) is not int or not 0 <= number < channels:
            raise LayerError(
                f"unit {number!r} does not exist: the layer has units 0..{channels - 1}, or 'top'"
            )
    return torch.tensor(wanted, dtype=torch.int64, device=values.device).expand(images, -1)


def _send_back(output: Tensor, input: Tensor, targets: Targets) -> Tensor:
    """Run the backward passes, several units of every image as one batch."""
    images = output.shape[0]
    per_image = len(targets.units) // images
    units = targets.units.view(images, per_image)
    positions = targets.positions.view(images, per_image, 2)
    parts = []
    for first in range(0, per_image, SEEDS_AT_ONCE):
        chunk = slice(first, first + SEEDS_AT_ONCE)
        seeds = _make_seeds(output.detach(), units[:, chunk], positions[:, chunk])
        parts.append(_backward(output, input, seeds))
    if not parts:
        return input.new_zeros((0, *input.shape[1:]))
    return torch.cat(parts).transpose(0, 1).reshape(-1, *input.shape[1:])


def _make_seeds(maps: Tensor, units: Tensor, positions: Tensor) -> Tensor:
    """Make (K, N, C, h, w): the maps with all but one unit and place set to zero."""
    seeds = maps.new_zeros((units.shape[1], *maps.shape))
    for image, row in enumerate(units.tolist()):
        for k, unit in enumerate(row):
            y, x = positions[image, k].tolist()
            place = (unit,) if maps.ndim == 2 or y < 0 else (unit, y, x)
            seeds[(k, image, *place)] = maps[(image, *place)]
    return seeds


def _backward(output: Tensor, input: Tensor, seeds: Tensor) -> Tensor:
    """Give (K, N, 3, H, W) for seeds (K, N, C, h, w)."""
    batched = len(seeds) > 1
    with exact_arithmetic():
        (signal,) = torch.autograd.grad(
            output,
            input,
            seeds if batched else seeds[0],
            retain_graph=True,
            is_grads_batched=batched,
        )
    return signal.detach() if batched else signal.detach()[None]


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Make convolutions repeatable to the bit and full float32 on a GPU, inside the context."""
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    ):
        yield
