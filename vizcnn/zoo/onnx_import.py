"""Weights out of ONNX graphs, into the same net classes, after a check that it is the same net.

A graph carries no names that could be relied on, so its layers are matched in the order in which
they are computed, and everything that the result depends on is compared: shapes, strides, padding,
groups, constants of the normalisation, windows and rounding of the pooling.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vizcnn.errors import ModelError, WeightsError
from vizcnn.zoo.assembly import variant_preprocessing
from vizcnn.zoo.building import build_module
from vizcnn.zoo.catalogue import Entry, Variant
from vizcnn.zoo.normalisation import ContrastNormalisation
from vizcnn.zoo.onnx_graph import Graph, Step, read_graph, show_geometry
from vizcnn.zoo.provenance import Provenance
from vizcnn.zoo.weights import Weights


@dataclass(frozen=True)
class _Layer:
    """A layer of a torch net, in the order of its calls.

    Attributes:
        path: Module path.
        step: What it does.
        sides: Height (= width) of its input and output; None for vectors.
    """

    path: str
    step: Step
    sides: tuple[int, int] | None


def read_onnx(
    entry: Entry,
    path: Path,
    variant: str | None,
    options: dict[str, Any],
    provenance: Provenance,
) -> Weights:
    """Read the weights of a net from an ONNX file.

    Args:
        entry: The net.
        path: The file.
        variant: Form of the net; by default the first that fits the graph.
        options: The user's options, over those of the form.
        provenance: What to say of the weights.

    Returns:
        The weights, with the name of the form that fits.

    Raises:
        WeightsError: If the file cannot be read, or its graph is another net.
    """
    graph = read_graph(path)
    farthest, complaint = 0, ""
    for name in entry.variants if variant is None else [variant]:
        form = entry.find_variant(name)
        merged = {**form.options, **_graph_options(graph), **options}
        layers = _trace_layers(entry, form, merged)
        place, difference = _compare(graph.steps, layers)
        if not difference:
            state = _collect_state(graph, layers)
            preprocessing = variant_preprocessing(form, merged)
            return Weights(state, provenance, merged, preprocessing, variant=name)
        if place > farthest:
            farthest, complaint = place, f"{difference} (variant {name!r})"
    raise WeightsError(f"the graph in {str(path)!r} is not {entry.name}: {complaint}")


def _graph_options(graph: Graph) -> dict[str, Any]:
    """Read off the graph what a net's forms leave open."""
    weights = [step.weight for step in graph.steps if step.weight is not None]
    options: dict[str, Any] = {"classes": int(weights[-1].shape[0])} if weights else {}
    return options | ({"input_size": graph.input_size} if graph.input_size else {})


def _collect_state(graph: Graph, layers: list[_Layer]) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for layer, step in zip(layers, graph.steps, strict=True):
        if step.weight is not None:
            state[f"{layer.path}.weight"] = torch.tensor(step.weight, dtype=torch.float32)
            state[f"{layer.path}.bias"] = torch.tensor(step.bias, dtype=torch.float32)
    return state


def _trace_layers(entry: Entry, form: Variant, options: dict[str, Any]) -> list[_Layer]:
    """Run a net without weights and note its layers in the order of their calls."""
    try:
        module = build_module(entry, options)
    except ModelError:
        return []
    layers: list[_Layer] = []

    def note(path: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(part: nn.Module, args: Any, output: Any) -> None:
            step = _describe_module(part)
            if step:
                vector = output.ndim != 4
                sides = None if vector else (args[0].shape[2], output.shape[2])
                layers.append(_Layer(path, step, sides))

        return hook

    for path, part in module.named_modules():
        part.register_forward_hook(note(path))
    usual = variant_preprocessing(form, options)
    shape = (1, usual.channels, usual.input_size, usual.input_size)
    with torch.no_grad():
        module(torch.zeros(shape, device="meta"))
    return layers


def _describe_module(part: nn.Module) -> Step | None:
    if isinstance(part, nn.Conv2d):
        return Step(
            "convolution",
            {
                "filters": tuple(part.weight.shape),
                "stride": _pair(part.stride),
                "padding": _pair(part.padding) * 2,
                "groups": part.groups,
                "dilation": _pair(part.dilation),
            },
        )
    if isinstance(part, nn.Linear):
        return Step("linear", {"matrix": tuple(part.weight.shape)})
    if isinstance(part, ContrastNormalisation):
        values = {"size": part.size, "alpha": part.alpha, "beta": part.beta, "k": part.k}
        return Step("normalisation", {name: float(value) for name, value in values.items()})
    if isinstance(part, nn.MaxPool2d):
        return Step(
            "max pooling",
            {
                "window": _pair(part.kernel_size),
                "stride": _pair(part.stride),
                "padding": _pair(part.padding) * 2,
                "dilation": _pair(part.dilation),
                "rounding": "up" if part.ceil_mode else "down",
            },
        )
    return Step("ReLU", {}) if isinstance(part, nn.ReLU) else None


def _compare(steps: tuple[Step, ...], layers: list[_Layer]) -> tuple[int, str]:
    """Find the first difference; gives its place and an empty text if there is none."""
    for place, (step, layer) in enumerate(zip_longest(steps, layers), start=1):
        if step is None:
            return place, f"it ends before {layer.path!r} ({layer.step.kind})"
        if layer is None:
            return place, f"its layer {place} ({step.kind}) is one too many"
        if not _is_same(step, layer):
            return place, _say_difference(place, step, layer)
    return len(layers), ""


def _say_difference(place: int, step: Step, layer: _Layer) -> str:
    theirs, ours = step.geometry, layer.step.geometry
    if step.kind != layer.step.kind:
        got, needed = step.kind, layer.step.kind
    else:
        other = [name for name in ours if theirs[name] != ours[name]]
        got = f"{step.kind} with {show_geometry(theirs, other)}"
        needed = show_geometry(ours, other)
    return f"its layer {place} is {got}, needed for {layer.path!r}: {needed}"


def _is_same(step: Step, layer: _Layer) -> bool:
    if step.kind != layer.step.kind:
        return False
    if step.kind == "max pooling" and layer.sides:
        return _pools_alike(step, layer.step, layer.sides)
    return step.geometry == layer.step.geometry


def _pools_alike(graph: Step, net: Step, sides: tuple[int, int]) -> bool:
    """Compare poolings by what they do to this input.

    Caffe rounds sizes up; exporters write it as padding at the bottom and right. Windows that begin
    at the same places and are equally many have the same maxima.
    """
    theirs, ours = graph.geometry, net.geometry
    names = ("window", "stride", "dilation")
    pads = theirs["padding"]
    if any(theirs[name] != ours[name] for name in names) or isinstance(pads, str):
        return False
    if pads[:2] != ours["padding"][:2] or pads[0] != pads[1] or pads[2] != pads[3]:
        return False
    span = sides[0] + pads[0] + pads[2] - theirs["dilation"][0] * (theirs["window"][0] - 1) - 1
    stride = theirs["stride"][0]
    count = (-(-span // stride) if theirs["rounding"] == "up" else span // stride) + 1
    return bool(count == sides[1])


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
