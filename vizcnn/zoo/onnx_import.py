"""Weights out of ONNX graphs, into the same net classes, after a check that it is the same net.

A graph carries no names that could be relied on, so its layers are matched in the order in which
they are computed, and everything that the result depends on is compared: shapes, strides, padding,
groups, constants of the normalisation, windows and rounding of the pooling, and the wiring: from
which layers each gets its maps, joined in which order. Where onnxruntime is installed, graph and
net are run once on the same noise as well.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from vizcnn.basics.errors import ModelError, WeightsError, quote
from vizcnn.zoo.building import build_module, load_weights
from vizcnn.zoo.catalogue import CATALOGUE
from vizcnn.zoo.files import Weights
from vizcnn.zoo.likeness import read_catalogue
from vizcnn.zoo.onnx_graph import (
    AVERAGE,
    PASSED_OVER,
    Graph,
    Source,
    Step,
    add_sources,
    describe_average,
    join_sources,
    keeps_all,
    load_model,
    read_graph,
)
from vizcnn.zoo.preprocessing import Preprocessing, variant_preprocessing
from vizcnn.zoo.provenance import Provenance
from vizcnn.zoo.registry import Entry, Variant


def show_geometry(geometry: Mapping[str, Any], names: Iterable[str]) -> str:
    """Say some items of a layer's geometry in words."""

    def show(value: Any) -> str:
        if isinstance(value, tuple):
            return " x ".join(str(item) for item in value)
        return f"{value:g}" if isinstance(value, float) else str(value)

    return ", ".join(f"{name} {show(geometry[name])}" for name in names)


@dataclass(frozen=True)
class _Layer:
    """A layer of a torch net, in the order of its calls.

    Attributes:
        path: Path of the module that calls it.
        step: What it does.
        sides: Height (= width) of its input and output; None for vectors.
        source: Where it gets its input.
        tensors: Names in the state dict of what a step calls ``weight``, ``bias``, ``mean`` and
            ``variance``.
        folded: Batch normalisation after it that the graph has put into its filters.
    """

    path: str
    step: Step
    sides: tuple[int, int] | None
    source: Source
    tensors: Mapping[str, str]
    folded: "_Layer | None" = None


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
        path: The file; its tensors may lie in files beside it.
        variant: Form of the net; by default the first that fits the graph.
        options: The user's options, over those of the form.
        provenance: What to say of the weights.

    Returns:
        The weights, with the name of the form that fits.

    Raises:
        WeightsError: If the package onnx is missing, the file is damaged, a layer is of a kind that
            no net of the zoo read this way has, or the graph is another net.
    """
    model, note = load_model(path)
    graph = read_graph(model, path)
    weights = [step.weight for step in graph.steps if step.weight is not None]
    # what a net's forms leave open is read off the graph
    told: dict[str, Any] = {"classes": int(weights[-1].shape[0])} if weights else {}
    told |= {"input_size": graph.input_size} if graph.input_size else {}
    farthest, complaint = -1, ""
    for name in entry.variants if variant is None else [variant]:
        form = entry.find_variant(name)
        merged = {**form.options, **told, **options}
        layers, end = _merge(graph, *_trace_layers(entry, form, merged))
        place, difference = _compare(graph, layers, end)
        if not difference:
            state = _make_state(graph, layers, path)
            preprocessing = variant_preprocessing(form, merged)
            difference = _compare_results(model, build_module(entry, merged), state, preprocessing)
        if not difference:
            if any(layer.folded for layer in layers):
                note = "; ".join(filter(None, (note, _FOLDED)))
            cited = replace(provenance, note="; ".join(filter(None, (provenance.note, note))))
            return Weights(state, cited, merged, preprocessing, variant=name)
        if place > farthest:
            farthest, complaint = place, f"{difference} (variant {name!r})"
    likeness = _find_likeness(graph, entry.name, told)
    raise WeightsError(f"the graph in {str(path)!r} is not {entry.name}: {complaint}{likeness}")


_FOLDED = "batch normalisation is part of the filters, as the exporter left it"


def _find_likeness(graph: Graph, asked: str, told: Mapping[str, Any]) -> str:
    """Say which other net of the catalogue a graph is; empty if none."""
    for name, entry in CATALOGUE.items():
        for variant in entry.variants if name != asked else ():
            if not _may_be(graph, name, variant):
                continue
            traced = _trace_known(name, variant, *told.items())
            if not _compare(graph, *_merge(graph, *traced))[1]:
                form = f", variant={variant!r}" if variant != entry.default_variant else ""
                return f"; it is {entry.title}: load {name!r}{form} (--model {name})"
    return ""


def _may_be(graph: Graph, name: str, variant: str) -> bool:
    """Tell whether a net has filters of all shapes that a graph has, its class scores aside."""
    there = set(read_catalogue(name, variant).values())
    filters = [step.weight.shape for step in graph.steps if step.weight is not None]
    return there.issuperset(filters[:-1])


@cache
def _trace_known(name: str, variant: str, *told: tuple[str, Any]) -> tuple[list[_Layer], Source]:
    entry = CATALOGUE[name]
    form = entry.variants[variant]
    try:
        return _trace_layers(entry, form, {**form.options, **dict(told)})
    except RuntimeError:  # the graph's input is too small for this net
        return [], "image"


def _make_state(graph: Graph, layers: list[_Layer], path: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for layer, step in zip(layers, graph.steps, strict=True):
        for part, name in layer.tensors.items():
            state[name] = _to_tensor(getattr(step, part), layer, part, path)
        if layer.folded is not None:
            epsilon = layer.folded.step.geometry["epsilon"]
            neutral = {"weight": 1.0, "bias": 0.0, "mean": 0.0, "variance": 1.0 - epsilon}
            bias = _to_tensor(step.bias, layer, "bias", path)
            for part, name in layer.folded.tensors.items():
                state[name] = torch.full_like(bias, neutral[part])
            if "bias" not in layer.tensors:
                state[layer.folded.tensors["bias"]] = bias
    return state


def _to_tensor(
    values: NDArray[np.float32] | None, layer: "_Layer", part: str, path: Path
) -> Tensor:
    kind = str(getattr(values, "dtype", None))
    if kind not in ("float16", "bfloat16", "float32", "float64"):
        raise WeightsError(
            f"{quote(path)}: the {part} of {layer.path!r} is of {kind}; needed: floating-point "
            "numbers of 16 bits or more, so export the net before it is quantised"
        )
    tensor = torch.from_numpy(np.array(values, np.float32))
    if not tensor.isfinite().all():
        raise WeightsError(
            f"{quote(path)}: the {part} of {layer.path!r} is not finite: train or export it anew"
        )
    return tensor


LARGEST_DIFFERENCE = 1e-3
"""How far a net's logits may lie from the graph's, relative to their norm: float32 gives 1e-6."""


def _compare_results(
    model: Any, module: nn.Module, state: dict[str, Tensor], preprocessing: Preprocessing
) -> str:
    """Run graph and net on the same noise; gives an empty text if they agree.

    So it does if onnxruntime is missing or cannot run the graph, which then stands compared layer
    by layer.
    """
    try:
        import onnxruntime
    except ImportError:
        return ""
    load_weights(module, state)
    if any(value.is_meta for value in module.state_dict().values()):
        return ""
    size = preprocessing.input_size
    pixels = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    inputs = preprocessing.normalise(pixels)
    try:
        graph = type(model)()
        graph.CopyFrom(model)
        name = _expose_logits(graph.graph)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(
            graph.SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=False,  # it would print the file's own names as they are
        )
        constant = {tensor.name for tensor in graph.graph.initializer}
        (given,) = (value for value in session.get_inputs() if value.name not in constant)
        (right,) = session.run([name], {given.name: inputs.numpy()})
    except Exception:  # the runtime's errors share no base; an old one lacks new operators
        return ""
    with torch.no_grad():
        got = module(inputs).double().flatten()
    expected = torch.from_numpy(np.array(right, np.float64)).flatten()
    if got.shape != expected.shape:
        return f"it gives {len(expected)} values where the net gives {len(got)}"
    error = float((got - expected).norm() / expected.norm().clamp(min=1e-30))
    if error <= LARGEST_DIFFERENCE or not expected.isfinite().all():
        return ""
    return f"onnxruntime computes from it logits that are {100 * error:.2g} % off the net's"


def _expose_logits(graph: Any) -> str:
    """Make what stands before the last softmax an output of a graph, and give its name."""
    from onnx import TensorProto, helper

    makers = {node.output[0]: node for node in graph.node}
    name = str(graph.output[0].name)
    while makers[name].op_type in PASSED_OVER:
        name = str(makers[name].input[0])
    if makers[name].op_type in ("LogSoftmax", "Softmax"):
        name = str(makers[name].input[0])
    if name not in {value.name for value in graph.output}:
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    return name


class _Tracer(TorchFunctionMode):
    """Notes the layers of a pass, and where every value comes from.

    Args:
        module: The net, on torch's meta device.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.layers: list[_Layer] = []
        self._names = {id(value): name for name, value in module.named_parameters()}
        self._names |= {id(value): name for name, value in module.named_buffers()}
        self._paths: list[str] = [""]
        self._sources: dict[int, Source] = {}
        self._kept: list[Tensor] = []  # a tensor's number is given again once it is gone
        for path, part in module.named_modules():
            self._follow(path, part)

    def _follow(self, path: str, part: nn.Module) -> None:
        def enter(part: nn.Module, args: Any) -> None:
            self._paths.append(path)

        def leave(part: nn.Module, args: Any, output: Any) -> None:
            self._paths.pop()

        part.register_forward_pre_hook(enter)
        part.register_forward_hook(leave)

    def note(self, value: Tensor, source: Source) -> None:
        self._sources[id(value)] = source
        self._kept.append(value)

    def find(self, value: Tensor) -> Source:
        return self._sources.get(id(value), "a constant")

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        values = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
        sources = [self.find(value) for value in values if id(value) in self._sources]
        result = func(*args, **kwargs)
        if not isinstance(result, Tensor) or not sources:
            return result
        name = func.__name__
        if name in _CALLS:
            given = dict(zip(_CALLS[name].split(), args, strict=False)) | kwargs
            self._note_layer(name, given, result, sources[0])
        elif name in ("cat", "concat") and kwargs.get("dim", args[-1]) in (1, -3):
            self.note(result, join_sources(sources))
        elif name in ("__add__", "__iadd__", "__radd__", "add", "add_") and len(sources) > 1:
            self.note(result, add_sources(sources))
        else:
            self.note(result, sources[0] if name in _KEEPERS else (name, *sources))
        return result

    def _note_layer(self, name: str, given: dict[str, Any], result: Tensor, source: Source) -> None:
        sides = None
        if result.ndim == 4:
            sides = (int(given["input"].shape[2]), int(result.shape[2]))
        step = _describe_call(name, given, sides)
        if step is None:
            self.note(result, (name, source))
        elif keeps_all(step):
            self.note(result, source)
        else:
            tensors = {
                part: self._names[id(given[word])]
                for part, word in _PARTS.items()
                if given.get(word) is not None and id(given[word]) in self._names
            }
            self.note(result, len(self.layers))
            self.layers.append(_Layer(self._paths[-1], step, sides, source, tensors))


_CALLS = {
    "adaptive_avg_pool2d": "input output_size",
    "avg_pool2d": "input kernel_size stride padding ceil_mode count_include_pad",
    "batch_norm": "input running_mean running_var weight bias training momentum eps",
    "conv2d": "input weight bias stride padding dilation groups",
    "hardtanh": "input min_val max_val",
    "linear": "input weight bias",
    "local_response_norm": "input size alpha beta k",
    "max_pool2d": "input kernel_size stride padding dilation ceil_mode",
    "mean": "input dim",
    "normalise_responses": "input size alpha beta k",
    "relu": "input",
    "relu6": "input",
    "relu_": "input",
}
"""Functions that are layers, and the names of their arguments in order."""
_PARTS = {
    "weight": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "variance": "running_var",
}
"""What a step calls its tensors, and torch's functions their arguments."""
_KEEPERS = frozenset(("contiguous", "dropout", "flatten", "reshape", "squeeze", "view"))
"""Functions of torch that stand for :data:`~vizcnn.zoo.onnx_graph.PASSED_OVER`."""


def _trace_layers(
    entry: Entry, form: Variant, options: dict[str, Any]
) -> tuple[list[_Layer], Source]:
    """Run a net without weights; notes its layers in the order of their calls, and its output."""
    try:
        module = build_module(entry, options)
    except ModelError:
        return [], "image"
    tracer = _Tracer(module)
    usual = variant_preprocessing(form, options)
    image = torch.zeros(1, usual.channels, usual.input_size, usual.input_size, device="meta")
    tracer.note(image, "image")
    with torch.no_grad(), tracer:
        output = module(image)
    return tracer.layers, tracer.find(output)


def _describe_call(name: str, given: dict[str, Any], sides: tuple[int, int] | None) -> Step | None:
    """Say what a call of one of torch's functions does; None if it is no layer that is known."""
    if name == "conv2d":
        padding = given.get("padding", 0)
        if isinstance(padding, str):
            return None
        return Step(
            "convolution",
            {
                "filters": tuple(given["weight"].shape),
                "stride": _pair(given.get("stride", 1)),
                "padding": _pair(padding) * 2,
                "groups": given.get("groups", 1),
                "dilation": _pair(given.get("dilation", 1)),
            },
        )
    if name == "linear":
        return Step("linear", {"matrix": tuple(given["weight"].shape)})
    if name == "batch_norm":
        told = {"maps": len(given["running_mean"]), "epsilon": float(given.get("eps", 1e-5))}
        return Step("batch normalisation", told)
    if name in ("local_response_norm", "normalise_responses"):
        usual = {"alpha": 1e-4, "beta": 0.75, "k": 1.0}
        return Step(
            "normalisation",
            {part: float((usual | given)[part]) for part in ("size", "alpha", "beta", "k")},
        )
    if name == "max_pool2d":
        return Step("max pooling", _describe_window(given, given.get("dilation", 1)))
    if name == "avg_pool2d":
        counted = given.get("count_include_pad", True)
        return describe_average(_describe_window(given, 1), counted)
    if name == "mean":
        dim = given.get("dim")
        over_all = isinstance(dim, tuple | list) and sorted(axis % 4 for axis in dim) == [2, 3]
        return _describe_adaptive(int(given["input"].shape[2]), 1) if over_all else None
    if name == "adaptive_avg_pool2d" and sides:
        return _describe_adaptive(*sides)
    if name == "relu6" or (
        name == "hardtanh" and (given.get("min_val"), given.get("max_val")) == (0.0, 6.0)
    ):
        return Step("ReLU6", {})
    return Step("ReLU", {}) if name in ("relu", "relu_") else None


def _describe_adaptive(before: int, after: int) -> Step:
    side = before // after
    return Step(
        "average pooling",
        {
            "window": (side, side) if side * after == before else f"of {before} to {after} pixels",
            "stride": (side, side),
            "padding": (0, 0, 0, 0),
            "dilation": (1, 1),
            "rounding": "down",
            "padding counts": "no",
        },
    )


def _describe_window(given: dict[str, Any], dilation: Any) -> dict[str, Any]:
    stride = given.get("stride")
    return {
        "window": _pair(given["kernel_size"]),
        "stride": _pair(given["kernel_size"] if stride in (None, [], ()) else stride),
        "padding": _pair(given.get("padding", 0)) * 2,
        "dilation": _pair(dilation),
        "rounding": "up" if given.get("ceil_mode", False) else "down",
    }


def _merge(graph: Graph, layers: list[_Layer], end: Source) -> tuple[list[_Layer], Source]:
    """Put batch normalisation into the convolution before it where a graph has it there."""
    merged: list[_Layer] = []
    places: dict[int, int] = {}
    for old, layer in enumerate(layers):
        step = graph.steps[len(merged)] if len(merged) < len(graph.steps) else None
        follows = merged and isinstance(layer.source, int) and old == layer.source + 1
        if (
            layer.step.kind == "batch normalisation"
            and (step is None or step.kind != layer.step.kind)
            and follows
            and merged[-1].step.kind == "convolution"
        ):
            merged[-1] = replace(merged[-1], folded=layer)
        else:
            merged.append(replace(layer, source=_renumber(layer.source, places)))
        places[old] = len(merged) - 1
    return merged, _renumber(end, places)


def _renumber(source: Source, places: Mapping[int, int]) -> Source:
    if isinstance(source, int):
        return places[source]
    if isinstance(source, str):
        return source
    parts = [_renumber(part, places) for part in source[1:]]
    return add_sources(parts) if source[0] == "added" else (source[0], *parts)


def _compare(graph: Graph, layers: list[_Layer], end: Source) -> tuple[int, str]:
    """Find the first difference; gives its place and an empty text if there is none."""
    for place, (step, layer) in enumerate(zip_longest(graph.steps, layers), start=1):
        if step is None:
            return place, f"it ends before {layer.path!r} ({layer.step.kind})"
        if layer is None:
            return place, f"its layer {place} ({step.kind}) is one too many"
        if not _is_same(step, layer):
            return place, _say_difference(place, step, layer)
        if step.bias is not None and step.bias.any() and not _has_bias(layer):
            return place, f"its layer {place} adds biases, needed for {layer.path!r}: none"
    needed = [layer.source for layer in layers] + [end]
    for place, (theirs, ours) in enumerate(zip(graph.sources, needed, strict=True)):
        if theirs != ours:
            what = (
                f"its layer {place + 1} ({layers[place].path!r})" if place < len(layers) else "it"
            )
            does = "gets" if place < len(layers) else "gives"
            got, wanted = _say_source(theirs, layers), _say_source(ours, layers)
            return len(layers) + 1, f"{what} {does} {got}, needed: {wanted}"
    return len(layers) + 1, ""


def _has_bias(layer: _Layer) -> bool:
    return "bias" in layer.tensors or layer.folded is not None


def _say_source(source: Source, layers: list[_Layer]) -> str:
    if isinstance(source, int):
        return repr(layers[source].path)
    if isinstance(source, str):
        return "the image" if source == "image" else source
    return f"{source[0]} ({', '.join(_say_source(part, layers) for part in source[1:])})"


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
    if step.kind == "average pooling" and layer.sides:
        return _averages_alike(step, layer.step, layer.sides)
    return step.geometry == layer.step.geometry


def _averages_alike(graph: Step, net: Step, sides: tuple[int, int]) -> bool:
    """Compare average poolings by what they do to this input, padding aside."""
    theirs, ours = graph.geometry, net.geometry
    whole = (sides[0], sides[0])
    window = whole if theirs["window"] == "all" else theirs["window"]
    if window != ours["window"] or theirs["padding"] != ours["padding"]:
        return False
    if not any(ours["padding"]) and window == whole:
        return True  # one window: no stride, no rounding
    return all(theirs[name] == ours[name] for name in AVERAGE[1:])


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
