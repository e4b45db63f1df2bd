"""The layers of an ONNX graph and how they are wired, whichever exporter wrote it.

What stands in for a layer is read as that layer: contrast normalisation that torch's exporters take
apart into squares, an average and a power; a linear layer as a product and a sum; constants that
the exporter shared, copied or reshaped.
"""

import mmap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vizcnn.basics.errors import WeightsError, quote, shorten
from vizcnn.basics.files import hash_file, open_plain_file
from vizcnn.zoo.state_dicts import LARGEST_FILE

PASSED_OVER = frozenset(("Dropout", "Flatten", "Identity", "Reshape", "Squeeze"))
"""What leaves values as they are."""
_FOLDED = frozenset(
    (
        *("Cast", "Concat", "Constant", "ConstantOfShape", "Identity"),
        *("Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"),
    )
)
"""What may make a constant: Caffe's matrices have four dimensions and are brought to two, torch's
exporters turn matrices about, write equal constants once, and compute paddings."""
_WAY_OUT = "give the weights as a state dict instead (torch.save(module.state_dict(), 'net.pth'))"


Source = int | str | tuple[Any, ...]
"""Where a value comes from: the number of a layer, ``"image"``, or a word and further sources, such
as ``("joined", 3, 5)``."""


@dataclass(frozen=True)
class Step:
    """A layer that a net's function depends on.

    Attributes:
        kind: ``"convolution"``, ``"linear"``, ``"batch normalisation"``, ``"normalisation"``,
            ``"max pooling"``, ``"average pooling"``, ``"ReLU"``, ``"ReLU6"``.
        geometry: What has to be equal for two layers to be the same, by name.
        weight: Filters (out, in / groups, height, width), matrix (out, in) or scales (maps,).
        bias: (out,).
        mean: Running mean (maps,) of batch normalisation.
        variance: Running variance (maps,) of batch normalisation.
    """

    kind: str
    geometry: Mapping[str, Any]
    weight: NDArray[np.float32] | None = None
    bias: NDArray[np.float32] | None = None
    mean: NDArray[np.float32] | None = None
    variance: NDArray[np.float32] | None = None


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


def read_graph(model: Any, path: Path) -> Graph:
    """Read the layers of a graph.

    Args:
        model: What :func:`load_model` gave.
        path: Its file, for errors.

    Raises:
        WeightsError: If it is damaged, or has an operation that is no layer known here.
    """
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
    normalisations = _find_normalisations(graph, constants)
    inner = {name for found in normalisations.values() for name in found.inner}
    steps: list[Step] = []
    sources: list[Source] = []
    places: dict[str, Source] = {
        value.name: "image" for value in graph.input if value.name not in constants.initializers
    }
    shapes: set[str] = set()  # numbers that depend on the sides of maps, not on their values

    def append(step: Step, source: Source, name: str) -> None:
        places[name] = source if keeps_all(step) else len(steps)
        if not keeps_all(step):
            steps.append(step)
            sources.append(source)

    for node in graph.node:
        kind, name = node.op_type, node.output[0]
        given = [part for part in node.input if part]
        if name in normalisations:
            append(normalisations[name].step, places[normalisations[name].source], name)
        elif name in inner or name in constants.nodes:
            continue
        elif kind == "If" and _read_choice(node) in places:
            places[name] = places[_read_choice(node)]
        elif kind == "Shape" or (given and not any(part in places for part in given)):
            shapes.add(name)
        elif node.domain not in ("", "ai.onnx"):
            raise _UnreadableError(f"it has a layer {f'{node.domain}.{kind}'!r}; {_WAY_OUT}")
        elif kind in _READERS:
            step = _READERS[kind](node, _attributes(node), constants)
            append(step, places[node.input[0]], name)
        elif kind == "Concat":
            joined = [places[part] for part in node.input]
            if _attributes(node)["axis"] not in (1, -3):
                raise _UnreadableError("it joins maps along another axis than the channels'")
            places[name] = join_sources(joined)
        elif kind in ("Add", "Sum") and all(part in places for part in given):
            places[name] = add_sources([places[part] for part in given])
        elif kind == "Add":
            source, bias = _split_constant(node, places, constants)
            if source != len(steps) - 1 or steps[source].weight is None:
                raise _UnreadableError("it adds a constant that is no layer's bias")
            places[name] = source
            steps[source] = _add_bias(steps[source], bias)
        elif kind in ("LogSoftmax", "Softmax"):
            places[name] = ("softmax", places[node.input[0]])
        elif kind in PASSED_OVER and node.input[0] in places:
            places[name] = places[node.input[0]]
        else:
            known = ", ".join(sorted(_READERS))
            raise _UnreadableError(f"it has a layer {kind!r}; only {known} are known; {_WAY_OUT}")
    last = places[graph.output[0].name]
    if isinstance(last, tuple) and last[0] == "softmax":
        last = last[1]
    return Graph(tuple(steps), (*sources, last), _find_input_size(graph))


def join_sources(sources: Sequence[Source]) -> Source:
    """Name maps that are joined along their channels; joints of joints are one."""
    flat = [part for source in sources for part in _list_parts(source, "joined")]
    return flat[0] if len(flat) == 1 else ("joined", *flat)


def add_sources(sources: Sequence[Source]) -> Source:
    """Name maps that are added, in whatever order."""
    flat = [part for source in sources for part in _list_parts(source, "added")]
    return ("added", *sorted(flat, key=repr))


def _list_parts(source: Source, word: str) -> Sequence[Source]:
    return source[1:] if isinstance(source, tuple) and source[0] == word else [source]


def _split_constant(
    node: Any, places: Mapping[str, Source], constants: "_Constants"
) -> tuple[Source, NDArray[np.float32]]:
    """Give where one of two inputs comes from, and the constant that the other is."""
    one, other = node.input
    if one not in places:
        one, other = other, one
    return places[one], constants.find(other, "constant")


def _add_bias(step: Step, bias: NDArray[np.float32]) -> Step:
    assert step.weight is not None and step.bias is not None
    count = len(step.bias)
    sides = (count, 1, 1) if step.kind == "convolution" else (count,)
    if bias.size != count or bias.shape != (1,) * (bias.ndim - len(sides)) + sides:
        raise _UnreadableError(f"it adds a constant of shape {bias.shape} that is no bias")
    if step.bias.any():
        raise _UnreadableError(f"it adds two biases to a {step.kind} layer")
    return replace(step, bias=bias.reshape(count))


def keeps_all(step: Step) -> bool:
    """Tell whether a pooling has a window of one pixel and so does nothing."""
    geometry = step.geometry
    return step.kind == "average pooling" and geometry["window"] == geometry["stride"] == (1, 1)


def load_model(path: Path) -> tuple[Any, str]:
    """Read an ONNX file with the tensors that lie in files beside it.

    Args:
        path: The file.

    Returns:
        The model with all its tensors, and which files they came from, with checksums; empty if it
        is one file.

    Raises:
        WeightsError: If the package onnx is missing, the file is damaged, or a tensor lies where
            none may lie: in another folder, behind a link, or outside of the graph's initializers.
    """
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
    note = _load_outer_tensors(model, path)
    for tensor in _list_tensors(model):
        # before anything is computed: it could name any other file of the machine
        if _is_outer(tensor):
            raise WeightsError(
                f"{str(path)!r} cannot be read: its tensor {tensor.name[:80]!r} lies in another "
                "file, where only the graph's own initializers may lie: save it as one file"
            )
    if model.functions:
        from onnx import inliner

        model = inliner.inline_local_functions(model)
    return model, note


def _is_outer(tensor: Any) -> bool:
    """Tell whether a tensor's values lie in another file, or it names one."""
    return bool(tensor.external_data) or tensor.data_location == type(tensor).EXTERNAL


def _load_outer_tensors(model: Any, path: Path) -> str:
    """Put the values of a graph's initializers into it that lie in files beside its own.

    A location is a file's name alone, of a plain file in the folder of the graph: no path, no link,
    so that a graph that came from anywhere reads no other file of the machine. No value is read
    twice, so that what is read is no more than the files hold.
    """
    outer = [tensor for tensor in model.graph.initializer if _is_outer(tensor)]
    taken: dict[str, list[tuple[int, int, Any]]] = {}
    for tensor in outer:
        told = {field.key: field.value for field in tensor.external_data}
        location = told.get("location", "")
        name = PurePosixPath(location)
        if (
            tensor.data_location != type(tensor).EXTERNAL
            or name.name != location
            or "\\" in location
        ):
            raise _refuse_location(path, tensor, location)
        try:
            offset, length = int(told.get("offset", 0)), int(told.get("length", -1))
        except ValueError:
            raise _refuse_location(path, tensor, location) from None
        taken.setdefault(location, []).append((offset, length, tensor))
    return "; ".join(
        f"values in {location}, sha256 {_load_file(path, location, parts)[:16]}"
        for location, parts in taken.items()
    )


def _refuse_location(path: Path, tensor: Any, location: str) -> WeightsError:
    return WeightsError(
        f"{str(path)!r} cannot be read: its tensor {tensor.name[:80]!r} lies in another file, "
        f"{quote(location)}, which is no plain file beside the graph: save it as one file, or copy "
        "the file beside it"
    )


def _load_file(path: Path, location: str, parts: list[tuple[int, int, Any]]) -> str:
    beside = path.parent / location
    if beside.is_symlink():
        raise _refuse_location(path, parts[0][2], location)
    file = open_plain_file(beside, "file of weights", WeightsError, LARGEST_FILE)
    with file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as values:
        end = 0
        for offset, length, tensor in sorted(parts, key=lambda part: part[:2]):
            length = len(values) - offset if length < 0 else length
            if offset < end or offset + length > len(values):
                raise WeightsError(
                    f"{quote(beside)} does not hold the tensor {tensor.name[:80]!r} of the graph "
                    f"{quote(path)}: it is cut off, or another graph's; copy both again"
                )
            end = offset + length
            tensor.raw_data = values[offset:end]
            tensor.data_location = type(tensor).DEFAULT
            del tensor.external_data[:]
    return hash_file(beside, "file of weights", WeightsError)


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
        self.nodes: dict[str, Any] = {}
        for node in graph.node:
            given = [part for part in node.input if part]
            if node.op_type in _FOLDED and all(self.has(part) for part in given):
                self.nodes[node.output[0]] = node

    def has(self, name: str) -> bool:
        return name in self.initializers or name in self.nodes

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
        raise _UnreadableError(f"the {shape} {name!r} is no constant of the graph; {_WAY_OUT}")

    def find_number(self, name: str, what: str) -> float:
        """Give a constant that is one number, in six digits, which bring 0.0001 back."""
        value = self.find(name, what)
        if value.size != 1:
            raise _UnreadableError(f"the {what} {name!r} is not one number")
        return float(f"{value.item():.6g}")

    def _read_slices(self, node: Any, attributes: dict[str, Any], count: int) -> tuple[slice, ...]:
        told = [[int(n) for n in self.find(name, "slice").flat] for name in node.input[1:] if name]
        told += [
            list(attributes[word]) for word in ("starts", "ends", "axes") if word in attributes
        ]
        starts, ends, *rest = told
        axes = rest[0] if rest else range(len(starts))
        steps = rest[1] if len(rest) > 1 else [1] * len(starts)
        slices = [slice(None)] * count
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
            # going down, an end before all values is no end: numpy would count it from behind
            slices[axis] = slice(start, None if step < 0 and end < 0 else end, step)
        return tuple(slices)

    def _compute(self, node: Any, shape: str) -> NDArray[np.float32]:
        from onnx import helper, numpy_helper

        attributes = _attributes(node)
        if node.op_type == "Constant":
            if "value" not in attributes:
                raise _UnreadableError(f"the {shape} {node.output[0]!r} is no tensor")
            return np.asarray(numpy_helper.to_array(attributes["value"]))
        if node.op_type == "ConstantOfShape":
            told = attributes.get("value")
            value = np.zeros(1, np.float32) if told is None else numpy_helper.to_array(told)
            # a view: a graph may state any size, and is compared with the net before it is copied
            return np.broadcast_to(value.flat[0], tuple(self.find(node.input[0], "shape")))
        values = self.find(node.input[0], shape)
        if node.op_type == "Identity":
            return values
        if node.op_type == "Cast":
            return values.astype(helper.tensor_dtype_to_np_dtype(attributes["to"]))
        if node.op_type == "Concat":
            parts = [self.find(name, shape) for name in node.input]
            return np.concatenate(parts, attributes["axis"])
        if node.op_type == "Slice":
            return values[self._read_slices(node, attributes, values.ndim)]
        if node.op_type == "Transpose":
            return values.transpose(attributes.get("perm"))
        if node.op_type == "Reshape":
            sides = self.find(node.input[1], "shape")
            return values.reshape([int(side) or values.shape[n] for n, side in enumerate(sides)])
        if len(node.input) > 1:
            axes = tuple(int(axis) for axis in self.find(node.input[1], "axes").flat)
        else:
            axes = tuple(attributes.get("axes", ()))
        if node.op_type == "Squeeze":
            return values.squeeze(axes or None)
        return np.expand_dims(values, axes)


@dataclass(frozen=True)
class _Normalisation:
    """Contrast normalisation that an exporter has taken apart.

    Attributes:
        step: The layer.
        source: Name of its input.
        inner: Names of the values that are computed within it.
    """

    step: Step
    source: str
    inner: frozenset[str]


def _find_normalisations(graph: Any, constants: _Constants) -> dict[str, _Normalisation]:
    """Find contrast normalisations as torch's exporters write them, by the names of their results.

    ``x / (k + alpha * average(x * x))^beta``, with reshaping and padding around the average.
    """
    makers = _list_makers(graph)
    found = {}
    for node in graph.node:
        if node.op_type == "Div" and node.input[1] in makers:
            normalisation = _read_division(node, makers, constants)
            if normalisation is not None:
                found[node.output[0]] = normalisation
    return found


def _list_makers(graph: Any) -> dict[str, Any]:
    """Give the nodes of a graph by the names of what they make.

    Raises:
        ValueError: If one needs what a later one makes: whoever followed it back might never end.
    """
    makers: dict[str, Any] = {}
    made = {name for node in graph.node for name in node.output}
    for node in graph.node:
        late = [name for name in node.input if name in made and name not in makers]
        if late:
            raise ValueError(f"{quote(late[0])} is needed before it is made")
        makers |= dict.fromkeys(node.output, node)
    return makers


def _read_division(
    node: Any, makers: Mapping[str, Any], constants: _Constants
) -> _Normalisation | None:
    """Read a division by a power as contrast normalisation; None if it is something else."""
    inner: set[str] = set()
    source, name = node.input
    numbers = {"alpha": 1.0, "k": 0.0}

    def follow(name: str, kind: str) -> Any:
        """Give the node that makes a value, reshaping aside, if it is of a kind."""
        while name in makers:
            maker = makers[name]
            if maker.op_type == kind:
                inner.add(name)
                return maker
            if maker.op_type not in ("Identity", "If", "Reshape", "Squeeze", "Unsqueeze"):
                return None
            inner.add(name)
            name = _read_choice(maker) if maker.op_type == "If" else maker.input[0]
        return None

    power = follow(name, "Pow")
    if power is None:
        return None
    numbers["beta"] = constants.find_number(power.input[1], "exponent")
    name = power.input[0]
    for kind, number in (("Add", "k"), ("Mul", "alpha")):
        maker = follow(name, kind)
        if maker is not None:
            name, other = maker.input
            if constants.has(name):
                name, other = other, name
            numbers[number] = constants.find_number(other, number)
    average = follow(name, "AveragePool")
    if average is None:
        return None
    window = _attributes(average)
    size, *flat = window["kernel_shape"]
    before, after = _read_ends(window.get("pads"), len(window["kernel_shape"]))
    if any(before + after) and not window.get("count_include_pad", 0):
        return None
    name = average.input[0]
    padding = follow(name, "Pad")
    if padding is not None:
        name = padding.input[0]
        pads = _attributes(padding).get("pads")
        if pads is None:
            pads = [int(value) for value in constants.find(padding.input[1], "padding").flat]
        starts, ends = _read_ends(pads, len(pads) // 2)
        # batch and a channel of one come before the channels, which are averaged
        before = [one + other for one, other in zip(before, starts[-len(before) :], strict=True)]
        after = [one + other for one, other in zip(after, ends[-len(after) :], strict=True)]
    square = follow(name, "Mul") or follow(name, "Pow")
    usual = [size // 2, *(0 for _ in flat)], [(size - 1) // 2, *(0 for _ in flat)]
    if (
        square is None
        or _skip_copies(square.input[0], makers) != _skip_copies(source, makers)
        or not _is_square(square, constants)
        or (before, after) != usual
        or any(side != 1 for side in (*flat, *window.get("strides", ())))
    ):
        return None
    step = Step("normalisation", {"size": float(size), **numbers})
    return _Normalisation(step, source, frozenset(inner))


def _read_choice(node: Any) -> str:
    """Give the value that a choice between squeezing it and leaving it has; empty for another."""
    sources = set()
    for graph in _attributes(node).values():
        (value,) = graph.output
        makers = _list_makers(graph)
        name = value.name
        while name in makers:
            if makers[name].op_type not in ("Identity", "Squeeze"):
                return ""
            name = makers[name].input[0]
        sources.add(name)
    return sources.pop() if len(sources) == 1 else ""


def _read_ends(pads: Sequence[int] | None, count: int) -> tuple[list[int], list[int]]:
    both = list(pads) if pads else [0] * (2 * count)
    return both[: len(both) // 2], both[len(both) // 2 :]


def _skip_copies(name: str, makers: Mapping[str, Any]) -> str:
    while name in makers and makers[name].op_type == "Identity":
        name = makers[name].input[0]
    return name


def _is_square(node: Any, constants: _Constants) -> bool:
    if node.op_type == "Mul":
        return bool(node.input[0] == node.input[1])
    return constants.find_number(node.input[1], "exponent") == 2.0


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


def _read_product(node: Any, attributes: dict[str, Any], constants: _Constants) -> Step:
    matrix = constants.find(node.input[1], "matrix")
    if matrix.ndim != 2:
        raise _UnreadableError(
            f"a product with an array of {matrix.ndim} dimensions is no linear layer"
        )
    weight = np.ascontiguousarray(matrix.T)
    bias = np.zeros(len(weight), np.float32)
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


def _read_batch_normalisation(node: Any, attributes: dict[str, Any], constants: _Constants) -> Step:
    parts = ("scales", "biases", "means", "variances")
    values = [constants.find(name, part) for name, part in zip(node.input[1:], parts, strict=True)]
    epsilon = float(f"{attributes.get('epsilon', 1e-5):.6g}")
    told = {"maps": len(values[0]), "epsilon": epsilon}
    return Step("batch normalisation", told, *values)


def _read_clip(node: Any, attributes: dict[str, Any], constants: _Constants) -> Step:
    names = [name or None for name in (*node.input[1:], "", "")][:2]
    bounds = [
        attributes.get(word) if name is None else constants.find_number(name, word)
        for word, name in zip(("min", "max"), names, strict=True)
    ]
    if bounds != [0.0, 6.0]:
        raise _UnreadableError(
            f"it clips values to {bounds[0]} .. {bounds[1]}; ReLU6 alone is known"
        )
    return Step("ReLU6", {})


def _read_mean(node: Any, attributes: dict[str, Any], constants: _Constants) -> Step:
    if len(node.input) > 1:
        axes = [int(axis) for axis in constants.find(node.input[1], "axes").flat]
    else:
        axes = list(attributes.get("axes", ()))
    if sorted(axis % 4 for axis in axes) != [2, 3]:
        raise _UnreadableError(f"it averages over the axes {axes}; over height and width is known")
    return Step("average pooling", dict.fromkeys(AVERAGE, "all") | {"padding": (0, 0, 0, 0)})


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
        return Step("average pooling", dict.fromkeys(AVERAGE, "all") | {"padding": (0, 0, 0, 0)})
    step = _read_pooling(node, attributes, constants)
    return describe_average(step.geometry, bool(attributes.get("count_include_pad", 0)))


def describe_average(geometry: Mapping[str, Any], counted: bool) -> Step:
    counts = "yes" if counted and any(geometry["padding"]) else "no"  # no padding, no question
    return Step("average pooling", {**geometry, "padding counts": counts})


AVERAGE = ("window", "stride", "dilation", "rounding", "padding counts")


def _read_pads(attributes: dict[str, Any]) -> tuple[int, ...] | str:
    """Give the padding at top, left, bottom and right."""
    automatic = attributes.get("auto_pad", b"NOTSET").decode()
    if automatic not in ("NOTSET", "VALID"):
        return str(automatic)
    return tuple(attributes.get("pads", (0, 0, 0, 0)))


_READERS: dict[str, Callable[[Any, dict[str, Any], _Constants], Step]] = {
    "AveragePool": _read_average,
    "BatchNormalization": _read_batch_normalisation,
    "Clip": _read_clip,
    "Conv": _read_convolution,
    "Gemm": _read_linear,
    "GlobalAveragePool": _read_average,
    "LRN": _read_normalisation,
    "MatMul": _read_product,
    "MaxPool": _read_pooling,
    "ReduceMean": _read_mean,
    "Relu": lambda node, attributes, constants: Step("ReLU", {}),
}


def _find_input_size(graph: Any) -> int | None:
    constant = {tensor.name for tensor in graph.initializer}
    for value in graph.input:
        sides = [side.dim_value for side in value.type.tensor_type.shape.dim]
        if value.name not in constant and len(sides) == 4 and sides[2] == sides[3] > 0:
            return int(sides[2])
    return None
