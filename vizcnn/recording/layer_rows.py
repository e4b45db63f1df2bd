"""Layer tables: what every layer of a net is and costs, from running the net without memory."""

import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vizcnn.basics.errors import ModelError
from vizcnn.recording.layers import LayerReference
from vizcnn.recording.unpool import pair
from vizcnn.recording.watch import evaluating, watch

BYTES = 4
"""Of a number in float32."""

KINDS = {
    "conv2d": "conv",
    "linear": "fc",
    "max_pool2d": "max pool",
    "max_pool2d_with_indices": "max pool",
    "avg_pool2d": "average pool",
    "adaptive_avg_pool2d": "average pool",
    "normalise_responses": "norm",
    "local_response_norm": "norm",
    "batch_norm": "batch norm",
    "relu": "relu",
    "relu_": "relu",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "dropout": "dropout",
    "cat": "concat",
    "concat": "concat",
    "add": "add",
    "add_": "add",
    "iadd": "add",
    "softmax": "softmax",
}
"""Kinds of layers by the name of the torch function; other functions make no row."""

WEIGHTED = ("conv", "fc")
"""Kinds that a net's depth counts: "convolutional or FC layers"."""

Size = tuple[int, int]


@dataclass(frozen=True)
class LayerRow:
    """One operation of a forward pass of one image.

    Attributes:
        path: Path of the module that made it; of a function, that of the module it is called in.
        kind: One of the values of :data:`KINDS`.
        filter: Height and width of the window; None where there is none.
        stride: Its steps; None where there is no window.
        padding: Zeros added at each side; None where there is no window.
        groups: Groups of a convolution; 1 elsewhere.
        inputs: Shape of the first input without the batch: (maps, rows, columns) or (units,).
        outputs: Shape of the output.
        parameters: Trainable numbers, biases included.
        weights: The same without biases.
        multiply_adds: Multiplications with a weight, each with its addition; biases left out.
        depth: Convolutions and fully connected layers on the longest way from the image to here.
    """

    path: str
    kind: str
    filter: Size | None
    stride: Size | None
    padding: Size | None
    groups: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    parameters: int
    weights: int
    multiply_adds: int
    depth: int

    @property
    def activations(self) -> int:
        """Numbers that it puts out."""
        return math.prod(self.outputs)

    @property
    def memory(self) -> int:
        """Bytes of its output in float32."""
        return BYTES * self.activations


def trace_layers(module: nn.Module, shape: tuple[int, int, int]) -> tuple[LayerRow, ...]:
    """Run a net on one image without memory and list what it does.

    Every call of a layer is a row, whether it is a module or a function; a layer that is used
    twice has two rows, and its parameters stand in the first. Nothing is multiplied: a copy of
    the net runs on torch's meta device, in evaluation mode.

    Args:
        module: Any torch net that takes one batch of images.
        shape: Channels, height and width of the image.

    Returns:
        The rows in the order of the forward pass; their parameters add up to the net's.

    Raises:
        ModelError: If the net cannot run on such an image.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 96, 11, stride=4), nn.ReLU(), nn.MaxPool2d(3, 2))
        >>> [(row.kind, row.outputs, row.parameters) for row in trace_layers(net, (3, 227, 227))]
        [('conv', (96, 55, 55), 34944), ('relu', (96, 55, 55), 0), ('max pool', (96, 27, 27), 0)]
    """
    with torch.no_grad():
        copy = _copy_without_memory(module)
        tracer = _Tracer(copy)
        paths = [path for path, _ in copy.named_modules()]
        try:
            with evaluating(copy), watch(copy, paths, tracer.leave, enter=tracer.enter), tracer:
                copy(torch.zeros(1, *shape, device="meta"))
        except (RuntimeError, ValueError, NotImplementedError) as error:
            reason = str(error).splitlines()[0]
            raise ModelError(
                f"the net cannot run on an image of shape {shape} without memory: {reason}"
            ) from None
    return tuple(tracer.rows)


def _copy_without_memory(module: nn.Module) -> nn.Module:
    """Copy a net to the meta device without copying its weights first."""
    memo: dict[int, Any] = {}
    for parameter in module.parameters():
        # of the same identity wherever it is shared
        memo[id(parameter)] = nn.Parameter(parameter.detach().to("meta"), requires_grad=False)
    for buffer in module.buffers():
        memo[id(buffer)] = buffer.detach().to("meta")
    return deepcopy(module, memo)


class _Tracer(TorchFunctionMode):
    """Sees every torch function of a forward pass and writes a row for those that are layers."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.rows: list[LayerRow] = []
        self._paths: list[str] = []
        self._counted: set[int] = set()
        self._depths: dict[int, int] = {}
        self._kept: list[Tensor] = []  # an id is a tensor's as long as the tensor lives

    def enter(self, path: str) -> None:
        self._paths.append(path)

    def leave(self, call: LayerReference, args: Any, output: Any) -> None:
        self._paths.pop()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        shapes = [tuple(item.shape[1:]) for item in _list_tensors(args)]
        result = func(*args, **kwargs)
        for output in _list_tensors((result,)):
            self._note(func, args, kwargs, shapes, output)
        return result

    def _note(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        shapes: list[tuple[int, ...]],
        output: Tensor,
    ) -> None:
        before = max((self._depths.get(id(item), 0) for item in _list_tensors(args)), default=0)
        kind = KINDS.get(str(getattr(func, "__name__", func)).removeprefix("_").strip("_"))
        depth = before + (kind in WEIGHTED)
        self._depths[id(output)] = depth
        self._kept.append(output)
        if kind is None or not shapes or _does_nothing(kind, func, shapes, output):
            return
        parameters, weights = self._count_parameters(args, kwargs)
        window = _find_window(kind, func, args, kwargs, shapes[0])
        taps = _count_taps(kind, args, kwargs)
        self.rows.append(
            LayerRow(
                path=self._paths[-1] if self._paths else "",
                kind=kind,
                filter=window[0],
                stride=window[1],
                padding=window[2],
                groups=_argument(args, kwargs, 6, "groups", 1) if kind == "conv" else 1,
                inputs=shapes[0],
                outputs=tuple(output.shape[1:]),
                parameters=parameters,
                weights=weights,
                multiply_adds=taps * math.prod(output.shape[1:]),
                depth=depth,
            )
        )

    def _count_parameters(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[int, int]:
        """Count those not yet counted: of the call, and of the module that makes it."""
        module = self.net.get_submodule(self._paths[-1]) if self._paths else self.net
        own = list(module.parameters(recurse=False)) if not list(module.children()) else []
        given = [item for item in (*args, *kwargs.values()) if isinstance(item, nn.Parameter)]
        new = {id(item): item for item in (*given, *own) if id(item) not in self._counted}
        self._counted |= set(new)
        sizes = [(item.numel(), item.ndim) for item in new.values()]
        return sum(size for size, _ in sizes), sum(size for size, axes in sizes if axes > 1)


def _list_tensors(values: tuple[Any, ...]) -> Iterator[Any]:
    """Give the feature maps among arguments, lists of them included."""
    for value in values:
        if isinstance(value, list | tuple):
            yield from _list_tensors(tuple(value))
        elif isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
            yield value


def _argument(
    args: tuple[Any, ...], kwargs: dict[str, Any], place: int, name: str, usual: Any
) -> Any:
    return args[place] if len(args) > place else kwargs.get(name, usual)


def _does_nothing(
    kind: str, func: Callable[..., Any], shapes: list[tuple[int, ...]], output: Tensor
) -> bool:
    """Tell whether a call is no layer: a sum with parameters, a pooling to the size there is."""
    if kind == "add":  # of two maps, as at the end of a residual block
        return len(shapes) < 2 or shapes[0] != shapes[1]
    return _is_adaptive(func) and tuple(output.shape[1:]) == shapes[0]


def _is_adaptive(func: Callable[..., Any]) -> bool:
    return "adaptive" in str(getattr(func, "__name__", ""))


def _find_window(
    kind: str,
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    inputs: tuple[int, ...],
) -> tuple[Size, Size, Size] | tuple[None, None, None]:
    """Read filter, stride and padding off a call."""
    if kind == "conv":
        size = tuple(_argument(args, kwargs, 1, "weight", None).shape[2:])
        stride = _argument(args, kwargs, 3, "stride", 1)
        padding = _argument(args, kwargs, 4, "padding", 0)
        return pair(size), pair(stride), pair(padding)
    if not kind.endswith("pool"):
        return None, None, None
    if _is_adaptive(func):  # to one place: a window of the whole map
        return pair(inputs[1:]), (1, 1), (0, 0)
    size = pair(_argument(args, kwargs, 1, "kernel_size", None))
    stride = _argument(args, kwargs, 2, "stride", None) or size
    return size, pair(stride), pair(_argument(args, kwargs, 3, "padding", 0))


def _count_taps(kind: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    """Count the multiplications behind one number of a layer's output."""
    if kind not in WEIGHTED:
        return 0
    weight = _argument(args, kwargs, 1, "weight", None)
    return math.prod(weight.shape[1:])
