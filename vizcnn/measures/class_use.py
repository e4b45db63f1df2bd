"""What units add to classes: activation times gradient of the logits, summed over each map."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from vizcnn.basics.errors import LayerError, ModelError, quote
from vizcnn.recording.arithmetic import chosen_arithmetic
from vizcnn.recording.layers import LayerReference, find_layer, parse_call
from vizcnn.recording.watch import evaluating, watch
from vizcnn.zoo.model import ZooModel


def measure_class_use(
    model: ZooModel, pixels: Tensor, layers: Sequence[str], classes: Sequence[int] | None = None
) -> dict[str, Tensor]:
    """Measure what each unit adds to the logits of classes, to first order.

    For a unit, a photo and a class: the sum over the unit's map of activation times the gradient of
    the class's logit, as :mod:`vizcnn.mining.relevance` ranks places. In the last layer before
    linear ones it is exact: the activations times their weights.

    Args:
        model: A net of the zoo, whose outputs are logits of classes.
        pixels: (N, 3, S, S), RGB 0..1.
        layers: Canonical names or module paths.
        classes: Their numbers, one backward pass for each; all when None.

    Returns:
        By the name of the layer (N, units, classes), float32, on the CPU; 0 where nothing leads
        from the layer to a logit.

    Raises:
        LayerError: If a layer does not exist, was not called, or puts out no feature maps.
        ModelError: If the net puts out no logits, or fewer than it has classes.

    Example:
        >>> import vizcnn
        >>> model = vizcnn.load("lenet", weights="bundled")
        >>> found = measure_class_use(model, model.read("coffee"), ["conv3", "fc4"], [3, 5])
        >>> {name: tuple(use.shape) for name, use in found.items()}
        {'conv3': (1, 120, 2), 'fc4': (1, 84, 2)}
    """
    calls = {layer: parse_call(find_layer(model, layer)) for layer in layers}
    seen: dict[LayerReference, tuple[Tensor, GradientEdge | None]] = {}

    def see(call: LayerReference, args: Any, output: Any) -> None:
        if call in calls.values() and isinstance(output, Tensor):
            # now: a later operation in place would write over it
            edge = get_gradient_edge(output) if output.requires_grad else None
            seen[call] = output.detach().clone(), edge

    like = next(model.module.parameters())
    inputs = model.preprocessing.normalise(pixels.to(like.device, like.dtype))
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        evaluating(model.module),
        chosen_arithmetic(),
        watch(model.module, {call.path for call in calls.values()}, see),
    ):
        # a net whose weights are frozen has a graph only for that; the clone may be written over
        logits = model.module(inputs.detach().requires_grad_().clone())
        for layer, call in calls.items():
            if call not in seen or seen[call][0].ndim not in (2, 4):
                raise LayerError(
                    f"layer {quote(layer)} puts out no feature maps in this net's pass"
                )
        if not isinstance(logits, Tensor) or logits.ndim != 2 or not logits.requires_grad:
            raise ModelError(f"{model.title} puts out no logits, (N, classes)")
        if logits.shape[1] < len(model.classes):
            raise ModelError(
                f"the net puts out {logits.shape[1]} logits for {len(model.classes)} classes: give "
                "the list of its own (--classes)"
            )
        chosen = range(logits.shape[1]) if classes is None else classes
        edges = {call: edge for call, (_, edge) in seen.items() if edge is not None}
        sums: dict[LayerReference, list[Tensor]] = {call: [] for call in seen}
        for number in chosen:
            logit = logits[:, number].sum()
            found = torch.autograd.grad(
                logit, list(edges.values()), retain_graph=True, allow_unused=True
            )
            slopes = dict(zip(edges, found, strict=True))
            for call, (maps, _) in seen.items():
                slope = slopes.get(call)
                use = torch.zeros_like(maps) if slope is None else maps * slope
                sums[call].append(use.flatten(2).sum(dim=2) if use.ndim == 4 else use)
    return {layer: torch.stack(sums[call], dim=2).float().cpu() for layer, call in calls.items()}


def count_multiplications(model: ZooModel, pixels: Tensor, layers: Sequence[str]) -> dict[str, int]:
    """Count the multiplications of the convolutions and linear layers called after each layer.

    Args:
        model: A net of the zoo.
        pixels: A photo, (1, 3, S, S), RGB 0..1.
        layers: Canonical names or module paths.

    Returns:
        By the name of the layer: how many a pass takes from there on for one photo, and a backward
        pass to there.

    Raises:
        LayerError: If a layer does not exist.

    Example:
        >>> import vizcnn
        >>> model = vizcnn.load("lenet", weights="bundled")
        >>> count_multiplications(model, model.read("coffee"), ["fc4"])
        {'fc4': 840}
    """
    calls = {layer: parse_call(find_layer(model, layer)) for layer in layers}
    weighted: Mapping[str, Tensor] = {
        path: part.weight
        for path, part in model.module.named_modules()
        if isinstance(part, nn.Conv2d | nn.Linear)
    }
    before: dict[LayerReference, int] = {}
    total = 0

    def see(call: LayerReference, args: Any, output: Any) -> None:
        nonlocal total
        if call.path in weighted and isinstance(output, Tensor):
            weight = weighted[call.path]
            # each output value is a sum over the inputs that its weights look at
            total += output.numel() * (weight.numel() // len(weight))
        before[call] = total

    with watch(model.module, {*weighted, *(call.path for call in calls.values())}, see):
        model.logits(pixels)
    return {layer: total - before.get(call, 0) for layer, call in calls.items()}
