"""Outputs of layers with their graph, as the net itself computes them: in place or not."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge

from vizcnn.basics.errors import LayerError, quote
from vizcnn.recording.arithmetic import chosen_arithmetic
from vizcnn.recording.layers import LayerReference, find_layer, parse_call
from vizcnn.recording.watch import AllRecorded, evaluating, watch
from vizcnn.zoo.model import ZooModel


@dataclass(frozen=True, eq=False)
class Readout:
    """What a layer put out in one pass.

    Attributes:
        maps: (N, C, h, w) or (N, C); values that no later operation writes over.
        edge: Where the layer's output stands in the graph, for :func:`torch.autograd.grad`; None
            where no gradient was asked for.
    """

    maps: Tensor
    edge: GradientEdge | None


def read_layers(model: ZooModel, pixels: Tensor, layers: Sequence[str]) -> dict[str, Readout]:
    """Run a net and keep what layers put out.

    The place in the graph is kept at the moment of the call: a rectifier in place that comes later
    would make the tensor itself its own output. So gradients at a layer are right for modules and
    functions, in place or not, and for each call of a module that is used several times.

    Args:
        model: A net of the zoo.
        pixels: (N, 3, S, S), RGB 0..1.
        layers: Canonical names or module paths.

    Returns:
        By the name given, in the order of the calls.

    Raises:
        LayerError: If a layer does not exist, was not called, or puts out no feature maps.
    """
    paths = {layer: find_layer(model, layer) for layer in layers}
    found: dict[LayerReference, Readout] = {}

    def see(call: LayerReference, args: object, output: object) -> None:
        if isinstance(output, Tensor):
            edge = get_gradient_edge(output) if output.requires_grad else None
            found[call] = Readout(output.clone(), edge)

    like = next(model.module.parameters())
    inputs = model.preprocessing.normalise(pixels.to(like.device, like.dtype))
    if torch.is_grad_enabled() and not inputs.requires_grad:
        # a net whose weights are frozen has a graph only for that; the clone may be written over
        inputs = inputs.requires_grad_().clone()
    # a layer of the zoo is called once, or has the number of its call in its path
    stops = set(layers) <= set(model.layers)
    with (
        evaluating(model.module),
        watch(model.module, paths.values(), see, stops=stops),
        chosen_arithmetic(),
        suppress(AllRecorded),
    ):
        model.module(inputs)
    calls = {layer: parse_call(path) for layer, path in paths.items()}
    for layer, call in calls.items():
        if call not in found or found[call].maps.ndim not in (2, 4):
            raise LayerError(f"layer {quote(layer)} puts out no feature maps in this net's pass")
    order = list(found)
    return {
        layer: found[call]
        for layer, call in sorted(calls.items(), key=lambda item: order.index(item[1]))
    }


def pick_units(maps: Tensor, units: Tensor, position: tuple[int, int]) -> Tensor:
    """Give the values of units at a place, (N, R), of maps (N, C, h, w) or (N, C).

    Example:
        >>> import torch
        >>> pick_units(torch.arange(8.0).view(1, 2, 2, 2), torch.tensor([1]), (0, 1))
        tensor([[5.]])
    """
    at = maps if maps.ndim == 2 else maps[:, :, position[0], position[1]]
    return at[:, units.to(maps.device)]


def read_units(
    model: ZooModel, pixels: Tensor, layer: str, units: Tensor, position: tuple[int, int]
) -> Tensor:
    """Give the values of units at a place of a layer, (N, R), with their graph."""
    return pick_units(read_layers(model, pixels, [layer])[layer].maps, units, position)


@torch.no_grad()
def read_spots(
    model: ZooModel, pixels: Tensor, spots: Mapping[str, tuple[Tensor, Tensor]]
) -> tuple[dict[str, Tensor], object]:
    """Read units of several layers, each at a place of its own, and the net's output in one pass.

    Of each layer only what is asked for is kept.

    Args:
        model: A net of the zoo.
        pixels: (N, 3, H, W), RGB 0..1.
        spots: By layer the numbers of R units, and the row and column of each, (R, 2); the rows
            and columns of a layer without places are not looked at.

    Returns:
        By layer the units' values, (N, R); and what the net puts out.

    Raises:
        LayerError: If a layer does not exist, was not called, or puts out no feature maps.

    Example:
        >>> import torch, vizcnn
        >>> net = vizcnn.load("lenet", weights=None)
        >>> spots = {"conv2": (torch.tensor([3, 5]), torch.tensor([[0, 0], [2, 1]]))}
        >>> values, logits = read_spots(net, torch.rand(4, 3, 32, 32), spots)
        >>> tuple(values["conv2"].shape), tuple(logits.shape)
        ((4, 2), (4, 10))
    """
    paths = {layer: find_layer(model, layer) for layer in spots}
    calls: dict[LayerReference, list[str]] = {}
    for layer, path in paths.items():
        calls.setdefault(parse_call(path), []).append(layer)
    found: dict[str, Tensor] = {}

    def see(call: LayerReference, args: object, output: object) -> None:
        for layer in calls.get(call, []):
            if isinstance(output, Tensor) and output.ndim in (2, 4):
                units, places = (numbers.to(output.device) for numbers in spots[layer])
                found[layer] = (
                    output[:, units]
                    if output.ndim == 2
                    else output[:, units, places[:, 0], places[:, 1]]
                )

    like = next(model.module.parameters())
    inputs = model.preprocessing.normalise(pixels.to(like.device, like.dtype))
    with (
        evaluating(model.module),
        watch(model.module, paths.values(), see, stops=False),
        chosen_arithmetic(),
    ):
        put_out: object = model.module(inputs)
    for layer in spots:
        if layer not in found:
            raise LayerError(f"layer {quote(layer)} puts out no feature maps in this net's pass")
    return found, put_out
