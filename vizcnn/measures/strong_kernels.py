"""The strongest kernels of a filter, and whose maps they read: what a deeper unit is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge

from vizcnn.measures.filter_layers import FilterLayer
from vizcnn.recording.arithmetic import chosen_arithmetic
from vizcnn.recording.layers import LayerReference, find_layer, parse_call
from vizcnn.recording.watch import evaluating, watch
from vizcnn.zoo.model import ZooModel

KEPT = 0.9
"""Least cosine of two gradients by which maps keep their numbers: see :func:`trace_numbers`."""
DRAWS = 3
"""Draws of weights for the maps."""


@dataclass(frozen=True, eq=False)
class StrongKernels:
    """The strongest kernels of each filter of a convolution; F filters, K kernels.

    Attributes:
        channels: Which channel of the convolution's input each one reads, (F, K), int64; the
            largest energy first, equal ones by number.
        weights: The kernels, (F, K, h, w), float32.
        shares: What share 0..1 of its filter's energy, the sum of squares, each one holds, (F, K);
            0 of a filter of zeros.
    """

    channels: Tensor
    weights: Tensor
    shares: Tensor


def pick_kernels(read: FilterLayer, count: int) -> StrongKernels:
    """Pick the strongest kernels of each filter.

    Args:
        read: The filters.
        count: Kernels of each, at most.

    Example:
        >>> weight = torch.tensor([[1.0, -3.0, 2.0]]).view(1, 3, 1, 1)
        >>> read = FilterLayer("conv2", "conv2", weight, (1, 1), 1, None)
        >>> found = pick_kernels(read, 2)
        >>> found.channels.tolist(), found.weights.flatten().tolist()
        ([[1, 2]], [-3.0, 2.0])
    """
    weight = read.stored
    energy = weight.double().square().sum(dim=(2, 3))
    order = energy.argsort(dim=1, descending=True, stable=True)[:, :count]
    total = energy.sum(dim=1, keepdim=True).clamp(min=1e-300)
    group = torch.arange(len(weight)) // (len(weight) // read.groups)
    picked = order[:, :, None, None].expand(-1, -1, *weight.shape[2:])
    return StrongKernels(
        channels=order + group[:, None] * weight.shape[1],
        weights=weight.gather(1, picked),
        shares=energy.gather(1, order) / total,
    )


@dataclass(frozen=True)
class Numbering:
    """What the numbers of a convolution's maps are the numbers of.

    Attributes:
        above: Whether its filters are the units of the layer that was asked about.
        below: The layer whose units the channels of its input are; None where there is none.
    """

    above: bool
    below: str | None


def trace_numbers(
    model: ZooModel, path: str, layer: str, candidates: Sequence[str], pixels: Tensor
) -> Numbering:
    """Find out whether maps keep their numbers between a convolution and layers around it.

    Rectifiers, pooling and normalisation keep them; a shuffle of channels, a concatenation or a
    further convolution does not. It is tried, whatever lies between: if the maps above are weighted
    by random numbers, the gradient at the maps below must be the unweighted one with each map
    weighted by its own number. Contrast normalisation, which lets a few maps dampen each other,
    passes: a cosine of 0.9 is enough, where a wrong order gives about 0.

    Args:
        model: A net of the zoo.
        path: Module path of the convolution.
        layer: The layer that it feeds.
        candidates: Layers whose units its channels may be; of several the one nearest before it.
        pixels: A photo, (1, 3, S, S), RGB 0..1.

    Example:
        >>> import vizcnn
        >>> model = vizcnn.load("lenet", weights="bundled")
        >>> from vizcnn.measures.filter_layers import find_convolution
        >>> photo = model.read("coffee")
        >>> trace_numbers(model, find_convolution(model, "conv2"), "conv2", ["conv1"], photo)
        Numbering(above=True, below='conv1')
    """
    names = {parse_call(find_layer(model, name)): name for name in [*candidates[::-1], layer]}
    own, target = parse_call(path), parse_call(find_layer(model, layer))
    seen: dict[LayerReference, tuple[Tensor, GradientEdge]] = {}
    inputs: list[Tensor] = []
    before: list[LayerReference] = []

    def see(call: LayerReference, args: Any, output: Any) -> None:
        if call == own:
            inputs.append(args[0].clone())  # with its graph; nothing writes over that
            before.extend(seen)
        if (call in names or call == own) and isinstance(output, Tensor) and output.requires_grad:
            seen[call] = output.clone(), get_gradient_edge(output)

    like = next(model.module.parameters())
    image = model.preprocessing.normalise(pixels.to(like.device, like.dtype))
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        evaluating(model.module),
        chosen_arithmetic(),
        watch(model.module, {call.path for call in (*names, own)}, see),
    ):
        model.module(image.detach().requires_grad_().clone())
        above = target == own or (
            target in seen and own in seen and keeps_numbers(seen[target][0], *seen[own])
        )
        below = next(
            (names[call] for call in before[::-1] if keeps_numbers(inputs[0], *seen[call])), None
        )
    return Numbering(above, below)


def keeps_numbers(result: Tensor, maps: Tensor, edge: GradientEdge) -> bool:
    """Tell whether map k of a result comes of map k of other maps; see :func:`trace_numbers`.

    Args:
        result: (N, C, ...), with its graph.
        maps: (N, C, ...), what it may come of.
        edge: Where these stand in the graph.
    """
    if result.ndim < 2 or maps.ndim < 2 or result.shape[1] != maps.shape[1]:
        return False
    generator = torch.Generator().manual_seed(0)
    signal = torch.rand(result.shape, generator=generator).to(result)

    def send(weighted: Tensor) -> Tensor | None:
        (slope,) = torch.autograd.grad(
            result, [edge], weighted, retain_graph=True, allow_unused=True
        )
        return None if slope is None else slope.flatten(2).double()

    plain = send(signal)
    if plain is None:
        return False
    for _ in range(DRAWS):
        weights = torch.randn(result.shape[1], generator=generator).to(result)
        shape = (1, -1, *[1] * (result.ndim - 2))
        found = send(signal * weights.view(shape))
        wanted = plain * weights.double().view(1, -1, 1)
        if found is None:
            return False
        scale = found.norm() * wanted.norm()
        if not scale > 0 or (found * wanted).sum() / scale < KEPT:
            return False
    return True
