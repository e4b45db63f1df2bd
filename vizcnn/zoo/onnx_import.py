"""Weights out of ONNX graphs, into the same net classes, after a check that it is the same net.

A graph carries no names that could be relied on, so its layers are matched in the order in which
they are computed, and everything that the result depends on is compared: shapes, strides, padding,
groups, constants of the normalisation, windows and rounding of the pooling.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vizcnn.basics.errors import ModelError, WeightsError
from vizcnn.zoo.building import build_module
from vizcnn.zoo.files import Weights
from vizcnn.zoo.normalisation import ContrastNormalisation
from vizcnn.zoo.preprocessing import variant_preprocessing
from vizcnn.zoo.provenance import Provenance
from vizcnn.zoo.registry import Entry, Variant

_SHAPERS = ("Concat", "Dropout", "Flatten", "Identity", "Reshape")
_PASSED_OVER = frozenset((*_SHAPERS, "AveragePool", "GlobalAveragePool", "Softmax"))
_CONSTANTS = frozenset(("Constant", "ConstantOfShape"))
_FOLDED = _CONSTANTS | {"Reshape"}
"""What may make a constant: Caffe's matrices have four dimensions and are brought to two."""


@dataclass(frozen=True)
class Step:
    """A layer that a net's function depends on.

    Attributes:
        kind: ``"convolution"``, ``"linear"``, ``"normalisation"``, ``"max pooling"``, ``"ReLU"``.
        geometry: What has to be equal for two layers to be the same, by name.
        weight: Filters (out, in / groups, height, width) or matrix (out, in).
        bias: (out,).
    """

    kind: str
    geometry: Mapping[str, Any]
    weight: NDArray[np.float32] | None = None
    bias: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Graph:
    """What was read of an ONNX file.

    Attributes:
        steps: The layers in order.
        input_size: Side of the input in pixels; None if the graph leaves it open.
    """

    steps: tuple[Step, ...]
    input_size: int | None


def read_graph(path: Path) -> Graph:
    """Read the layers of an ONNX file.

    Args:
        path: The file.

    Raises:
        WeightsError: If the package onnx is missing, the file is damaged, or a layer is of a kind
            that no net of the zoo read this way has.
    """
    graph = _load_graph(path)
    try:
        return Graph(tuple(_read_steps(graph)), _find_input_size(graph))
    except _UnreadableError as error:
        raise WeightsError(f"{str(path)!r} cannot be read: {error}") from None
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{str(path)!r} is no sound ONNX graph ({error!r})") from None


class _UnreadableError(Exception):
    """Says what of a graph cannot be read."""


def _read_steps(graph: Any) -> Iterator[Step]:
    constants = _Constants(graph)
    for node in graph.node:
        if node.op_type in _READERS:
            yield _READERS[node.op_type](node, _attributes(node), constants)
        elif node.op_type not in _PASSED_OVER | _CONSTANTS:
            known = ", ".join(sorted(_READERS))
            raise _UnreadableError(f"it has a layer {node.op_type!r}; only {known} are known")


def _load_graph(path: Path) -> Any:
    try:
        import onnx
    except ImportError:
        raise WeightsError(
            f"{str(path)!r} needs the package onnx: pip install 'vizcnn[onnx]'"
        ) from None
    try:
        # external data would let the file name any other file of the machine
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's errors share no base
        reason = str(error).splitlines()[0]
        raise WeightsError(f"{str(path)!r} is cut off or no ONNX file ({reason})") from None
    if not model.graph.node:
        raise WeightsError(f"{str(path)!r} holds no graph: it is cut off or no ONNX file")
    return model.graph


class _Constants:
    """Values of a graph that do not depend on the image, made when they are asked for."""

    def __init__(self, graph: Any) -> None:
        self.initializers = {tensor.name: tensor for tensor in graph.initializer}
        self.nodes = {node.output[0]: node for node in graph.node if node.op_type in _FOLDED}

    def find(self, name: str, shape: str) -> NDArray[np.float32]:
        """Give a constant as float32.

        Args:
            name: Name in the graph.
            shape: What it is for, for the error.

        Raises:
            _UnreadableError: If it is computed, missing or kept in another file.
        """
        from onnx import TensorProto, numpy_helper

        if name in self.initializers:
            tensor = self.initializers[name]
            if tensor.data_location == TensorProto.EXTERNAL:
                raise _UnreadableError(f"the {shape} {name!r} lies in another file")
            return np.asarray(numpy_helper.to_array(tensor))
        if name in self.nodes:
            return self._compute(self.nodes[name], shape)
        raise _UnreadableError(f"the {shape} {name!r} is no constant of the graph")

    def _compute(self, node: Any, shape: str) -> NDArray[np.float32]:
        from onnx import numpy_helper

        attributes = _attributes(node)
        if node.op_type == "Reshape":
            values = self.find(node.input[0], shape)
            sides = self.find(node.input[1], "shape")
            return values.reshape([int(side) or values.shape[n] for n, side in enumerate(sides)])
        if node.op_type == "Constant":
            if "value" not in attributes:
                raise _UnreadableError(f"the {shape} {node.output[0]!r} is no tensor")
            return np.asarray(numpy_helper.to_array(attributes["value"]))
        value = numpy_helper.to_array(attributes["value"]) if "value" in attributes else np.zeros(1)
        # a view: a graph may state any size, and is compared with the net before it is copied
        return np.broadcast_to(value.flat[0], tuple(self.find(node.input[0], "shape")))


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import helper

    return {field.name: helper.get_attribute_value(field) for field in node.attribute}


def _read_convolution(node: Any, attributes: dict[str, Any], constants: _Constants) -> Step:
    weight = constants.find(node.input[1], "filters")
    return Step(
        "convolution",
        {
            "filters": tuple(weight.shape),
            "stride": tuple(attributes.get("strides", (1, 1))),
            "padding": _read_pads(attributes),
            "groups": attributes.get("group", 1),
            "dilation": tuple(attributes.get("dilations", (1, 1))),
        },
        weight,
        _read_bias(node, constants, weight.shape[0]),
    )


def _read_linear(node: Any, attributes: dict[str, Any], constants: _Constants) -> Step:
    scales = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
    if attributes.get("transA", 0) or scales != (1.0, 1.0):
        raise _UnreadableError("a Gemm layer is scaled or transposed: no linear layer")
    matrix = constants.find(node.input[1], "matrix")
    weight = matrix if attributes.get("transB", 0) else np.ascontiguousarray(matrix.T)
    bias = _read_bias(node, constants, weight.shape[0])
    return Step("linear", {"matrix": tuple(weight.shape)}, weight, bias)


def _read_bias(node: Any, constants: _Constants, count: int) -> NDArray[np.float32]:
    if len(node.input) < 3 or not node.input[2]:
        return np.zeros(count, np.float32)
    return np.broadcast_to(constants.find(node.input[2], "bias"), (count,))


def _read_normalisation(node: Any, attributes: dict[str, Any], constants: _Constants) -> Step:
    given = {
        "size": attributes["size"],
        "alpha": attributes.get("alpha", 1e-4),
        "beta": attributes.get("beta", 0.75),
        "k": attributes.get("bias", 1.0),
    }
    # the file has float32; six digits bring 0.0001 back from 9.99999975e-05
    return Step("normalisation", {name: float(f"{value:.6g}") for name, value in given.items()})


def _read_pooling(node: Any, attributes: dict[str, Any], constants: _Constants) -> Step:
    return Step(
        "max pooling",
        {
            "window": tuple(attributes["kernel_shape"]),
            "stride": tuple(attributes.get("strides", (1, 1))),
            "padding": _read_pads(attributes),
            "dilation": tuple(attributes.get("dilations", (1, 1))),
            "rounding": "up" if attributes.get("ceil_mode", 0) else "down",
        },
    )


def _read_pads(attributes: dict[str, Any]) -> tuple[int, ...] | str:
    """Give the padding at top, left, bottom and right."""
    automatic = attributes.get("auto_pad", b"NOTSET").decode()
    if automatic not in ("NOTSET", "VALID"):
        return str(automatic)
    return tuple(attributes.get("pads", (0, 0, 0, 0)))


_READERS: dict[str, Callable[[Any, dict[str, Any], _Constants], Step]] = {
    "Conv": _read_convolution,
    "Gemm": _read_linear,
    "LRN": _read_normalisation,
    "MaxPool": _read_pooling,
    "Relu": lambda node, attributes, constants: Step("ReLU", {}),
}


def _find_input_size(graph: Any) -> int | None:
    constant = {tensor.name for tensor in graph.initializer}
    for value in graph.input:
        sides = [side.dim_value for side in value.type.tensor_type.shape.dim]
        if value.name not in constant and len(sides) == 4 and sides[2] == sides[3] > 0:
            return int(sides[2])
    return None


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
    weights = [step.weight for step in graph.steps if step.weight is not None]
    # what a net's forms leave open is read off the graph
    told: dict[str, Any] = {"classes": int(weights[-1].shape[0])} if weights else {}
    told |= {"input_size": graph.input_size} if graph.input_size else {}
    farthest, complaint = 0, ""
    for name in entry.variants if variant is None else [variant]:
        form = entry.find_variant(name)
        merged = {**form.options, **told, **options}
        layers = _trace_layers(entry, form, merged)
        place, difference = _compare(graph.steps, layers)
        if not difference:
            state: dict[str, Tensor] = {}
            for layer, step in zip(layers, graph.steps, strict=True):
                if step.weight is not None:
                    weight = torch.tensor(step.weight, dtype=torch.float32)
                    bias = torch.tensor(step.bias, dtype=torch.float32)
                    state |= {f"{layer.path}.weight": weight, f"{layer.path}.bias": bias}
            preprocessing = variant_preprocessing(form, merged)
            return Weights(state, provenance, merged, preprocessing, variant=name)
        if place > farthest:
            farthest, complaint = place, f"{difference} (variant {name!r})"
    raise WeightsError(f"the graph in {str(path)!r} is not {entry.name}: {complaint}")


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
