"""Weights out of ONNX graphs, into the same net classes, after a check that it is the same net.

A graph carries no names that could be relied on, so its layers are matched in the order in which
they are computed, and everything that the result depends on is compared: shapes, strides, padding,
groups, constants of the normalisation, windows and rounding of the pooling, and the wiring: from
which layers each gets its maps, joined in which order. Where onnxruntime is installed, graph and
net are run once on the same noise as well.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from vizcnn.basics.errors import ModelError, WeightsError, quote, shorten
from vizcnn.zoo.building import build_module
from vizcnn.zoo.files import Weights
from vizcnn.zoo.normalisation import ContrastNormalisation
from vizcnn.zoo.preprocessing import Preprocessing, variant_preprocessing
from vizcnn.zoo.provenance import Provenance
from vizcnn.zoo.registry import Entry, Variant

_PASSED_OVER = frozenset(("Dropout", "Flatten", "Identity", "Reshape"))
_WIRED = _PASSED_OVER | {"Concat", "Softmax"}
"""What is no layer; all but the first kind shows in the wiring."""
_CONSTANTS = frozenset(("Constant", "ConstantOfShape"))
_FOLDED = _CONSTANTS | {"Reshape"}
"""What may make a constant: Caffe's matrices have four dimensions and are brought to two."""


Source = int | str | tuple[Any, ...]
"""Where a value comes from: the number of a layer, ``"image"``, or a word and further sources, such
as ``("joined", 3, 5)``."""


@dataclass(frozen=True)
class Step:
    """A layer that a net's function depends on.

    Attributes:
        kind: ``"convolution"``, ``"linear"``, ``"normalisation"``, ``"max pooling"``,
            ``"average pooling"``, ``"ReLU"``.
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
        sources: Where each gets its input, and at last where the graph's output comes from.
        input_size: Side of the input in pixels; None if the graph leaves it open.
    """

    steps: tuple[Step, ...]
    sources: tuple[Source, ...]
    input_size: int | None


def _read_graph(model: Any, path: Path) -> Graph:
    try:
        return _read_layers(model.graph)
    except _UnreadableError as error:
        raise WeightsError(f"{str(path)!r} cannot be read: {error}") from None
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{str(path)!r} is no sound ONNX graph ({quote(error, 160)})") from None


class _UnreadableError(Exception):
    """Says what of a graph cannot be read."""


def _read_layers(graph: Any) -> Graph:
    constants = _Constants(graph)
    steps: list[Step] = []
    sources: list[Source] = []
    places: dict[str, Source] = {
        value.name: "image" for value in graph.input if value.name not in constants.initializers
    }
    for node in graph.node:
        kind, name = node.op_type, node.output[0]
        if kind in _READERS:
            step = _READERS[kind](node, _attributes(node), constants)
            source = places[node.input[0]]
            places[name] = source if _keeps_all(step) else len(steps)
            if not _keeps_all(step):
                steps.append(step)
                sources.append(source)
        elif kind == "Concat":
            joined = [places[part] for part in node.input]
            if _attributes(node)["axis"] not in (1, -3):
                raise _UnreadableError("it joins maps along another axis than the channels'")
            places[name] = _join(joined)
        elif kind == "Softmax":
            places[name] = ("softmax", places[node.input[0]])
        elif kind in _PASSED_OVER and node.input[0] in places:
            places[name] = places[node.input[0]]
        elif kind not in _WIRED | _CONSTANTS:
            known = ", ".join(sorted(_READERS))
            raise _UnreadableError(f"it has a layer {kind!r}; only {known} are known")
    last = places[graph.output[0].name]
    if isinstance(last, tuple) and last[0] == "softmax":
        last = last[1]
    return Graph(tuple(steps), (*sources, last), _find_input_size(graph))


def _join(sources: Sequence[Source]) -> Source:
    """Name maps that are joined along their channels; joints of joints are one."""
    flat: list[Source] = []
    for source in sources:
        joint = isinstance(source, tuple) and source[0] == "joined"
        flat += source[1:] if isinstance(source, tuple) and joint else [source]
    return flat[0] if len(flat) == 1 else ("joined", *flat)


def _keeps_all(step: Step) -> bool:
    """Tell whether a pooling has a window of one pixel and so does nothing."""
    geometry = step.geometry
    return step.kind == "average pooling" and geometry["window"] == geometry["stride"] == (1, 1)


def _load_model(path: Path) -> Any:
    try:
        import onnx
    except ImportError:
        raise WeightsError(
            f"{str(path)!r} needs the package onnx: pip install 'vizcnn[onnx]'"
        ) from None
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's errors share no base
        reason = shorten((str(error).splitlines() or [type(error).__name__])[0], 120)
        raise WeightsError(f"{str(path)!r} is cut off or no ONNX file ({reason})") from None
    if not model.graph.node:
        raise WeightsError(f"{str(path)!r} holds no graph: it is cut off or no ONNX file")
    for tensor in _list_tensors(model):
        # before anything is computed: it could name any other file of the machine
        if tensor.external_data or tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise WeightsError(
                f"{str(path)!r} cannot be read: its tensor {tensor.name[:80]!r} lies in another "
                "file, and only what is in the graph's own file is read: save it as one file"
            )
    return model


def _list_tensors(message: Any) -> Iterator[Any]:
    """List all tensors of a model: of graphs in graphs, attributes, functions and training too."""
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in [value] if hasattr(value, "ListFields") else value:
                if field.message_type.name == "TensorProto":
                    yield part
                else:
                    yield from _list_tensors(part)


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
            _UnreadableError: If it is computed or missing.
        """
        from onnx import numpy_helper

        if name in self.initializers:
            return np.asarray(numpy_helper.to_array(self.initializers[name]))
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


def _read_average(node: Any, attributes: dict[str, Any], constants: _Constants) -> Step:
    if node.op_type == "GlobalAveragePool":
        return Step("average pooling", dict.fromkeys(_AVERAGE, "all") | {"padding": (0, 0, 0, 0)})
    step = _read_pooling(node, attributes, constants)
    return _describe_average(step.geometry, bool(attributes.get("count_include_pad", 0)))


def _describe_average(geometry: Mapping[str, Any], counted: bool) -> Step:
    counts = "yes" if counted and any(geometry["padding"]) else "no"  # no padding, no question
    return Step("average pooling", {**geometry, "padding counts": counts})


_AVERAGE = ("window", "stride", "dilation", "rounding", "padding counts")


def _read_pads(attributes: dict[str, Any]) -> tuple[int, ...] | str:
    """Give the padding at top, left, bottom and right."""
    automatic = attributes.get("auto_pad", b"NOTSET").decode()
    if automatic not in ("NOTSET", "VALID"):
        return str(automatic)
    return tuple(attributes.get("pads", (0, 0, 0, 0)))


_READERS: dict[str, Callable[[Any, dict[str, Any], _Constants], Step]] = {
    "AveragePool": _read_average,
    "Conv": _read_convolution,
    "Gemm": _read_linear,
    "GlobalAveragePool": _read_average,
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
        source: Where it gets its input.
    """

    path: str
    step: Step
    sides: tuple[int, int] | None
    source: Source


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
        WeightsError: If the package onnx is missing, the file is damaged, a layer is of a kind that
            no net of the zoo read this way has, or the graph is another net.
    """
    model = _load_model(path)
    graph = _read_graph(model, path)
    weights = [step.weight for step in graph.steps if step.weight is not None]
    # what a net's forms leave open is read off the graph
    told: dict[str, Any] = {"classes": int(weights[-1].shape[0])} if weights else {}
    told |= {"input_size": graph.input_size} if graph.input_size else {}
    farthest, complaint = 0, ""
    for name in entry.variants if variant is None else [variant]:
        form = entry.find_variant(name)
        merged = {**form.options, **told, **options}
        layers, end = _trace_layers(entry, form, merged)
        place, difference = _compare(graph, layers, end)
        if not difference:
            state: dict[str, Tensor] = {}
            for layer, step in zip(layers, graph.steps, strict=True):
                if step.weight is not None:
                    for part, values in (("weight", step.weight), ("bias", step.bias)):
                        state[f"{layer.path}.{part}"] = _to_tensor(values, layer, part, path)
            preprocessing = variant_preprocessing(form, merged)
            difference = _compare_results(model, build_module(entry, merged), state, preprocessing)
        if not difference:
            return Weights(state, provenance, merged, preprocessing, variant=name)
        if place > farthest:
            farthest, complaint = place, f"{difference} (variant {name!r})"
    raise WeightsError(f"the graph in {str(path)!r} is not {entry.name}: {complaint}")


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
    module.load_state_dict(state, strict=False, assign=True)
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
    while makers[name].op_type in _PASSED_OVER:
        name = str(makers[name].input[0])
    if makers[name].op_type == "Softmax":
        name = str(makers[name].input[0])
    if name not in {value.name for value in graph.output}:
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    return name


class _Follower(TorchFunctionMode):
    """Notes where every value of a pass comes from."""

    def __init__(self) -> None:
        super().__init__()
        self._sources: dict[int, Source] = {}
        self._kept: list[Tensor] = []  # a tensor's number is given again once it is gone

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
        if isinstance(result, Tensor) and sources:
            name = func.__name__
            if name in ("cat", "concat") and kwargs.get("dim", args[-1]) in (1, -3):
                self.note(result, _join(sources))
            else:
                self.note(result, sources[0] if name in _KEEPERS else (name, *sources))
        return result


_KEEPERS = frozenset(("contiguous", "dropout", "flatten", "reshape", "squeeze", "view"))
"""Functions of torch that stand for :data:`_PASSED_OVER`."""


def _trace_layers(
    entry: Entry, form: Variant, options: dict[str, Any]
) -> tuple[list[_Layer], Source]:
    """Run a net without weights; notes its layers in the order of their calls, and its output."""
    try:
        module = build_module(entry, options)
    except ModelError:
        return [], "image"
    layers: list[_Layer] = []
    entered: dict[str, Source] = {}
    follower = _Follower()

    def follow(path: str, part: nn.Module) -> None:
        def enter(part: nn.Module, args: Any) -> None:
            entered[path] = follower.find(args[0])

        def leave(part: nn.Module, args: Any, output: Any) -> None:
            sides = None if output.ndim != 4 else (int(args[0].shape[2]), int(output.shape[2]))
            step = _describe_module(part, sides)
            if step is None:
                return
            if _keeps_all(step):
                follower.note(output, entered[path])
                return
            follower.note(output, len(layers))
            layers.append(_Layer(path, step, sides, entered[path]))

        part.register_forward_pre_hook(enter)
        part.register_forward_hook(leave)

    for path, part in module.named_modules():
        if not any(part.children()):
            follow(path, part)
    usual = variant_preprocessing(form, options)
    image = torch.zeros(1, usual.channels, usual.input_size, usual.input_size, device="meta")
    follower.note(image, "image")
    with torch.no_grad(), follower:
        output = module(image)
    return layers, follower.find(output)


def _describe_module(part: nn.Module, sides: tuple[int, int] | None) -> Step | None:
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
        return Step("max pooling", _describe_window(part, part.dilation))
    if isinstance(part, nn.AvgPool2d):
        return _describe_average(_describe_window(part, 1), part.count_include_pad)
    if isinstance(part, nn.AdaptiveAvgPool2d) and sides:
        side = sides[0] // sides[1]
        whole = side * sides[1] == sides[0]
        return Step(
            "average pooling",
            {
                "window": (side, side) if whole else f"of {sides[0]} to {sides[1]} pixels",
                "stride": (side, side),
                "padding": (0, 0, 0, 0),
                "dilation": (1, 1),
                "rounding": "down",
                "padding counts": "no",
            },
        )
    return Step("ReLU", {}) if isinstance(part, nn.ReLU) else None


def _describe_window(part: nn.MaxPool2d | nn.AvgPool2d, dilation: Any) -> dict[str, Any]:
    return {
        "window": _pair(part.kernel_size),
        "stride": _pair(part.stride),
        "padding": _pair(part.padding) * 2,
        "dilation": _pair(dilation),
        "rounding": "up" if part.ceil_mode else "down",
    }


def _compare(graph: Graph, layers: list[_Layer], end: Source) -> tuple[int, str]:
    """Find the first difference; gives its place and an empty text if there is none."""
    for place, (step, layer) in enumerate(zip_longest(graph.steps, layers), start=1):
        if step is None:
            return place, f"it ends before {layer.path!r} ({layer.step.kind})"
        if layer is None:
            return place, f"its layer {place} ({step.kind}) is one too many"
        if not _is_same(step, layer):
            return place, _say_difference(place, step, layer)
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
    return all(theirs[name] == ours[name] for name in _AVERAGE[1:])


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
