"""Receptive fields of whole layers: size, stride and offset, and the box of any unit."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from vizcnn.basics.codec import LARGEST_SIDE, unwritten
from vizcnn.basics.errors import LayerError, ModelError, check_number
from vizcnn.basics.memory import find_shortage
from vizcnn.photos.pixels import Box
from vizcnn.receptive.boxes import trace_back
from vizcnn.recording.layers import Layer, find_layer, list_layers, name_layer, parse_reference
from vizcnn.recording.recording import Recording, record
from vizcnn.zoo.model import ZooModel, find_module

MOST_CHANNELS = 4096
"""Channels that an input may have at most."""


@dataclass(frozen=True)
class Span:
    """The rows or the columns of the image that units of one row or column of a map depend on.

    Attributes:
        start, stop: Uncut, as if the image went on where the layers pad; ``stop`` is exclusive.
        seen_start, seen_stop: Inside the image, really read; equal if nothing is.
    """

    start: int
    stop: int
    seen_start: int
    seen_stop: int

    @property
    def size(self) -> int:
        """Uncut length in pixels."""
        return self.stop - self.start


@dataclass(frozen=True)
class ReceptiveField:
    """What the units of a layer depend on; sizes are (vertical, horizontal), in input pixels.

    Attributes:
        name: The layer's name, as asked for.
        path: Module path.
        maps: Number of feature maps, or of units of a fully connected layer.
        map_size: Height and width of a feature map; None for a vector of units.
        size: Of the middle unit's receptive field, uncut.
        stride: From a unit's field to its neighbour's; None where it is not the same everywhere,
            or there are no neighbours.
        offset: Top and left of the uncut field of the unit (0, 0); negative in the padding.
        centre: Row and column of the middle of that field; pixels have theirs at whole numbers.
        share: Share 0..1 of the image that the middle unit sees.
        sees_all: Whether every unit sees the whole image.
        exact: Whether all geometry below the layer is known; else fields may be too large, never
            too small.
        input_size: Height and width of the input; this and what follows is not in manifests.
        rows: What the units of each row of the map depend on; of a vector, one for all.
        columns: The same of each column.
    """

    name: str
    path: str
    maps: int
    map_size: tuple[int, int] | None
    size: tuple[int, int]
    stride: tuple[int, int] | None
    offset: tuple[int, int]
    centre: tuple[float, float]
    share: float
    sees_all: bool
    exact: bool
    input_size: tuple[int, int] = unwritten((0, 0))
    rows: tuple[Span, ...] = unwritten(())
    columns: tuple[Span, ...] = unwritten(())

    @property
    def layer(self) -> str:
        """The former name of :attr:`name`."""
        warnings.warn("ReceptiveField.layer is now name", DeprecationWarning, stacklevel=2)
        return self.name

    @property
    def middle(self) -> tuple[int, int]:
        """Row and column of the middle unit."""
        return len(self.rows) // 2, len(self.columns) // 2


def find_centre(span: Span) -> float:
    """Give the middle of an uncut span.

    Example:
        >>> find_centre(Span(-2, 9, 0, 9))
        3.0
    """
    return (span.start + span.stop - 1) / 2


def find_box(field: ReceptiveField, row: int, column: int, clip: bool = True) -> Box:
    """Give the receptive field of one unit of a measured layer.

    Args:
        field: From :func:`measure_fields`.
        row: Row of the unit in its feature map; 0 of a vector of units.
        column: Its column.
        clip: Give what lies inside the image and is really read; else padding counts as if the
            image went on there, and boxes may be negative.

    Returns:
        Top, left, bottom and right in input pixels, bottom and right exclusive; 0 everywhere for a
        unit that sees padding only.

    Raises:
        LayerError: If the map has no such place.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 5, stride=2, padding=2))
        >>> (field,) = measure_fields(net, ["0"], 16)
        >>> find_box(field, 0, 3), find_box(field, 0, 3, clip=False)
        ((0, 4, 3, 9), (-2, 4, 3, 9))
    """
    if not (0 <= row < len(field.rows) and 0 <= column < len(field.columns)):
        raise LayerError(
            f"layer {field.name!r} has no unit at ({row}, {column}); needed: row "
            f"0..{len(field.rows) - 1}, column 0..{len(field.columns) - 1}"
        )
    down, across = field.rows[row], field.columns[column]
    if not clip:
        return down.start, across.start, down.stop, across.stop
    if down.seen_start == down.seen_stop or across.seen_start == across.seen_stop:
        return 0, 0, 0, 0
    return down.seen_start, across.seen_start, down.seen_stop, across.seen_stop


def measure_fields(
    model: ZooModel | nn.Module,
    layers: Sequence[Layer],
    input_size: int | tuple[int, int] | None = None,
    channels: int | None = None,
) -> tuple[ReceptiveField, ...]:
    """Measure the receptive fields of layers, exactly, from a recorded forward pass.

    Chains and branching nets, padding, dilation, ceil_mode: whatever lies between a layer and the
    image is followed step by step; where branches meet, the field is what any of them sees.
    Weights play no part, but where they are zero a unit sees less.

    Args:
        model: A net of the zoo, or any torch module that takes images (N, channels, H, W).
        layers: Canonical names or module paths; see :func:`vizcnn.recording.layers.find_layer`.
        input_size: Side of the input in pixels, or height and width; the zoo net's own when None.
            Layers above one that does not take inputs of this size cannot be measured.
        channels: Channels of the input; when None those that a convolution of the net takes, or 3
            or 1, whichever gets through the net first.

    Returns:
        One per layer, in the order asked for.

    Raises:
        LayerError: If a layer does not exist or does not depend on the image.
        ModelError: If inputs of this size do not reach a layer.

    Example:
        >>> from vizcnn.zoo.alexnet import AlexNet
        >>> conv5, pool5 = measure_fields(AlexNet(hidden=8), ["conv5", "pool5"], 227)
        >>> conv5.size, conv5.stride, conv5.offset
        ((163, 163), (16, 16), (-64, -64))
        >>> pool5.size, pool5.map_size
        ((195, 195), (6, 6))
    """
    listed = list_layers(layers)
    paths = [find_layer(model, layer) for layer in listed]
    recording = _record_geometry(model, paths, _choose_size(model, input_size), channels)
    return tuple(
        _measure(recording, name_layer(layer, path), path)
        for layer, path in zip(listed, paths, strict=True)
    )


def _choose_size(
    model: ZooModel | nn.Module, input_size: int | tuple[int, int] | None
) -> tuple[int, int]:
    if isinstance(input_size, tuple | list) and len(input_size) == 2:
        height, width = (
            check_number("a part of input_size", side, 1, LARGEST_SIDE, ModelError)
            for side in input_size
        )
        return height, width
    if input_size is None:
        if not isinstance(model, ZooModel):
            raise ModelError(
                f"the input size of a {type(model).__name__} is not known: give input_size"
            )
        input_size = model.input_size
    side = check_number("input_size", input_size, 1, LARGEST_SIDE, ModelError)
    return side, side


def _record_geometry(
    model: ZooModel | nn.Module, paths: list[str], size: tuple[int, int], channels: int | None
) -> Recording:
    module = find_module(model)
    if channels is not None:
        channels = check_number("channels", channels, 1, MOST_CHANNELS, ModelError)
    like = next(module.parameters(), torch.zeros(()))
    wanted = {parse_reference(path).path for path in paths}
    reason = ""
    for count in _list_channels(module) if channels is None else [channels]:
        black = torch.zeros(1, count, *size, device=like.device, dtype=like.dtype)
        with record(module, paths) as recording:
            try:
                module(black)
            except (RuntimeError, ValueError, AssertionError) as error:
                if find_shortage(error):
                    raise
                reason = reason or (str(error) or type(error).__name__).splitlines()[0]
        # the layers above may not take this size
        if recording.outputs.keys() >= wanted:
            return recording
    other = ", other channels" if channels is not None else ", channels"
    raise ModelError(
        f"an input of {size[0]} x {size[1]} px does not get through the net ({reason}): give "
        f"another input_size{other}, or lower layers"
    )


def _list_channels(module: nn.Module) -> list[int]:
    """List the channels that a net's input may have: those of its first convolution, 3, 1, ..."""
    taken = [part.in_channels for part in module.modules() if isinstance(part, nn.Conv2d)]
    return list(dict.fromkeys([*taken[:1], 3, 1, *taken[1:]]))


def _measure(recording: Recording, layer: str, path: str) -> ReceptiveField:
    output, input = recording.find_output(path), recording.find_input()
    height, width = output.shape[2:] if output.ndim == 4 else (1, 1)
    # one walk: all rows at the middle column, then all columns at the middle row
    down = torch.stack([torch.arange(height), torch.full((height,), width // 2)], dim=1)
    across = torch.stack([torch.full((width,), height // 2), torch.arange(width)], dim=1)
    positions = torch.cat([down, across])
    reached = trace_back(output, input, positions)
    uncut, seen = (reached.boxes(len(positions), clip) for clip in (False, True))
    spans = [_list_spans(uncut, seen, axis) for axis in (0, 1)]
    rows, columns, exact = spans[0][:height], spans[1][height:], reached.exact
    if _vary(spans[0][height:]) or _vary(spans[1][:height]):
        # rows of the image hang on columns of the map, as when maps are transposed
        rows = (_cover(spans[0]),) * height
        columns = (_cover(spans[1]),) * width
        exact = False
    steps = _find_step(rows), _find_step(columns)
    middle = rows[height // 2], columns[width // 2]
    share = math.prod(span.seen_stop - span.seen_start for span in middle)
    size = (input.shape[-2], input.shape[-1])
    return ReceptiveField(
        name=layer,
        path=path,
        maps=output.shape[1],
        map_size=(height, width) if output.ndim == 4 else None,
        size=(middle[0].size, middle[1].size),
        stride=None if steps[0] is None or steps[1] is None else (steps[0], steps[1]),
        offset=(rows[0].start, columns[0].start),
        centre=(find_centre(rows[0]), find_centre(columns[0])),
        share=share / math.prod(size),
        sees_all=all(
            (span.seen_start, span.seen_stop) == (0, whole)
            for along, whole in zip((rows, columns), size, strict=True)
            for span in along
        ),
        exact=exact,
        input_size=size,
        rows=rows,
        columns=columns,
    )


def _vary(spans: Sequence[Span]) -> bool:
    return len({(span.start, span.stop) for span in spans}) > 1


def _cover(spans: Sequence[Span]) -> Span:
    """Give the span from the first to the last of some; what is not seen does not count."""
    seen = [span for span in spans if span.seen_start < span.seen_stop] or list(spans)
    return Span(
        min(span.start for span in spans),
        max(span.stop for span in spans),
        min(span.seen_start for span in seen),
        max(span.seen_stop for span in seen),
    )


def _list_spans(uncut: Tensor, seen: Tensor, axis: int) -> tuple[Span, ...]:
    ends = torch.cat([uncut[:, axis::2], seen[:, axis::2]], dim=1)
    return tuple(Span(*numbers) for numbers in ends.tolist())


def _find_step(spans: Sequence[Span]) -> int | None:
    """Give the distance of neighbouring spans, if it is the same everywhere."""
    starts = {after.start - before.start for before, after in pairwise(spans)}
    stops = {after.stop - before.stop for before, after in pairwise(spans)}
    (step,) = starts if len(starts) == 1 and starts == stops else (0,)
    return step or None
