"""The layers of an ONNX graph, in the order in which they are computed."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vizcnn.errors import WeightsError
from vizcnn.zoo.sources import needs_onnx

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
    if needs_onnx():
        raise WeightsError(f"{str(path)!r} needs the package onnx: pip install 'vizcnn[onnx]'")
    import onnx

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


def _read_rectifier(node: Any, attributes: dict[str, Any], constants: _Constants) -> Step:
    return Step("ReLU", {})


def _read_pads(attributes: dict[str, Any]) -> tuple[int, ...] | str:
    """Give the padding at top, left, bottom and right."""
    automatic = attributes.get("auto_pad", b"NOTSET").decode()
    if automatic not in ("NOTSET", "VALID"):
        return str(automatic)
    return tuple(attributes.get("pads", (0, 0, 0, 0)))


_READERS = {
    "Conv": _read_convolution,
    "Gemm": _read_linear,
    "LRN": _read_normalisation,
    "MaxPool": _read_pooling,
    "Relu": _read_rectifier,
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
    return ", ".join(f"{name} {_show(geometry[name])}" for name in names)


def _show(value: Any) -> str:
    if isinstance(value, tuple):
        return " x ".join(str(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
