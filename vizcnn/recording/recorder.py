"""What happens in a forward pass that is recorded."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from vizcnn.recording.activation_functions import Activation, parse_activation
from vizcnn.recording.backward import (
    Way,
    activate,
    multiply_gated,
    pass_normalisation,
    pool,
    rectify,
)
from vizcnn.recording.calls import MAX_POOLINGS, NORMALISATIONS, Call
from vizcnn.recording.dependence import Dependence, Step
from vizcnn.recording.rectifiers import Rectifier, parse_masked, parse_rectifier
from vizcnn.recording.unpool import Window, pair

_PRODUCTS: dict[Callable[..., Any], tuple[Callable[..., Any], bool]] = {
    torch.mul: (torch.mul, False),
    torch.multiply: (torch.mul, False),
    Tensor.mul: (torch.mul, False),
    Tensor.multiply: (torch.mul, False),
    Tensor.mul_: (torch.mul, True),
    torch.matmul: (torch.matmul, False),
    Tensor.matmul: (torch.matmul, False),
    torch.bmm: (torch.matmul, False),
    Tensor.bmm: (torch.matmul, False),
}
"""Products of two tensors, their plain form, and whether they write into the first."""

_GATES = {"sigmoid": 2, "hardsigmoid": 2, "_softmax": 2, "tanh": 1}
"""Steps that make a gate, by how plainly: those that put out shares, 0..1, are one even beside
``tanh``."""

_PASSED = frozenset(
    """clone _to_copy copy _unsafe_view flip roll repeat index_select constant_pad_nd avg_pool2d
    _adaptive_avg_pool2d upsample_nearest2d _upsample_nearest_exact2d upsample_bilinear2d
    upsample_bicubic2d sum mean mul div add sub rsub cat stack""".split()
)
"""Steps that a gate may pass on the way to its product: copies, resizing, sums, scale, shift."""

_LEAVING = (
    Tensor.numpy,
    Tensor.__array__,
    Tensor.__dlpack__,
    Tensor.__reduce_ex__,
    Tensor.tolist,
)
"""Functions that take a map out of torch."""


class Recorder(TorchFunctionMode):
    """Sees every torch function of a forward pass and puts those of the rules in their place.

    Args:
        calls: Takes the calls on feature maps.
        way: What backward passes will follow.
        dependence: Knows what depends on the image.
    """

    def __init__(self, calls: list[Call], way: Way, dependence: Dependence) -> None:
        super().__init__()
        self.calls, self.way, self.dependence = calls, way, dependence
        self.hooks = _find_saving_hooks()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        # inside a checkpoint nothing is kept: it would be computed anew in the backward pass, where
        # nothing sees it
        if _find_saving_hooks() is self.hooks:
            return self._call(func, args, kwargs or {})
        with saved_tensors_hooks(Tensor.detach, _give):
            return self._call(func, args, kwargs or {})

    def _call(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        switches = window = None
        func = _ATEN.get(func, func)
        if func in _LEAVING and isinstance(args[0], Tensor):
            self.dependence.let_out(args[0])
        if func is torch.autograd.grad:
            return self._derive(*args, **kwargs)
        if not torch.is_grad_enabled() or _is_transformed():
            # no graph will have what is done here: the dispatcher's steps tell what it was
            return func(*args, **kwargs)
        rectifier = parse_rectifier(func, args, kwargs)
        if rectifier is None:
            rectifier = parse_masked(func, args, kwargs, self.dependence)
        activation = parse_activation(func, args, kwargs) if rectifier is None else None
        if rectifier is not None and rectifier.input.requires_grad:
            result: Any = self._rectify(rectifier)
        elif activation is not None and activation.input.requires_grad:
            result = self._activate(activation)
        elif func in NORMALISATIONS:
            result = self._normalise(func, *args, **kwargs)
        elif func in MAX_POOLINGS and _is_differentiable(args, kwargs):
            result, switches, window = self._pool(func, *args, **kwargs)
        elif func is F.glu and _is_differentiable(args, kwargs):
            result = self._gate_linear_unit(*args, **kwargs)
        elif func in _PRODUCTS and (factors := self._find_gate(args)):
            result = self._multiply(_PRODUCTS[func], factors)
        elif func is torch.einsum and (factors := self._find_gate(args[1:])):
            result = self._multiply((partial(func, args[0]), False), factors)
        elif func is F.scaled_dot_product_attention and self._attends(args, kwargs):
            result = self._attend(*args, **kwargs)
        elif func is Tensor.register_hook:
            # made for the gradients of a training; on windows nothing would call it
            result = RemovableHandle(OrderedDict())
        else:
            result = func(*args, **kwargs)
        output = result[0] if switches is not None and isinstance(result, tuple) else result
        if isinstance(output, Tensor) and output.requires_grad:
            self.calls.append(Call(func, args, kwargs, output, switches, window))
        return result

    def _derive(self, outputs: Any, *args: Any, **kwargs: Any) -> tuple[Tensor | None, ...]:
        found: tuple[Tensor | None, ...] = torch.autograd.grad(outputs, *args, **kwargs)
        sources = outputs if isinstance(outputs, list | tuple) else (outputs,)
        for gradient in found:
            if gradient is not None:
                self.dependence.add(
                    "derivative inside the net", [("outputs", v) for v in sources], gradient
                )
        return found

    def _rectify(self, rectifier: Rectifier) -> Tensor:
        with self.dependence.pause():
            result = rectify(rectifier.input, rectifier.ceiling, self.way)
        self.dependence.add(
            "rectify", [("self", rectifier.input)], result, ceiling=rectifier.ceiling
        )
        # writing into the input is part of what an in-place call means to the rest of the net
        return rectifier.input.copy_(result) if rectifier.in_place else result

    def _activate(self, activation: Activation) -> Tensor:
        with self.dependence.pause():
            result = activate(activation, self.way)
        name = "rectify" if activation.below is not None else activation.name
        self.dependence.add(name, [("self", activation.input)], result)
        return activation.input.copy_(result) if activation.in_place else result

    def _normalise(
        self, func: Callable[..., Any], input: Tensor, *args: Any, **kwargs: Any
    ) -> Tensor:
        def normalise(maps: Tensor) -> Tensor:
            normalised: Tensor = func(maps, *args, **kwargs)
            return normalised

        with self.dependence.pause():
            result = pass_normalisation(input, normalise, self.way)
        self.dependence.add("normalise", [("self", input)], result)
        return result

    def _pool(
        self,
        func: Callable[..., Any],
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> tuple[Any, Tensor, Window]:
        size = pair(kernel_size)
        window = Window(
            size, pair(stride) if stride else size, pair(padding), pair(dilation), ceil_mode
        )
        with self.dependence.pause():
            maxima, switches = pool(input, window)
        for result in (maxima, switches):
            self.dependence.add("pool", [("self", input)], result)
        both = return_indices or func is F.max_pool2d_with_indices
        return ((maxima, switches) if both else maxima), switches, window

    def _gate_linear_unit(self, input: Tensor, dim: int = -1) -> Tensor:
        maps, gate = input.chunk(2, dim)
        gate = self._call(torch.sigmoid, (gate,), {})
        product: Tensor = self._call(torch.mul, (maps, gate), {})
        return product

    def _find_gate(self, args: tuple[Any, ...]) -> tuple[Tensor, Tensor, bool] | None:
        """Tell two factors that depend on the image apart: maps, gate, whether that is first."""
        if len(args) != 2 or not all(isinstance(value, Tensor) for value in args):
            return None
        first, second = args
        if not (first.requires_grad or second.requires_grad):
            return None
        steps = [self.dependence.find_step(value) for value in args]
        if None in steps:
            return None
        gates = [_rate_gate(step) for step in steps if step]
        if gates[0] == gates[1]:
            return None
        return (second, first, True) if gates[0] > gates[1] else (first, second, False)

    def _multiply(
        self, product: tuple[Callable[..., Any], bool], factors: tuple[Tensor, Tensor, bool]
    ) -> Tensor:
        (run, in_place), (maps, gate, swapped) = product, factors

        def order(x: Tensor, gate: Tensor) -> Tensor:
            result: Tensor = run(gate, x) if swapped else run(x, gate)
            return result

        # of einsum it is not known which dimensions are those of a matrix
        factor = {torch.mul: None, torch.matmul: int(swapped)}.get(run, -1)
        with self.dependence.pause():
            # a call in place writes over what it got
            given = maps.clone() if in_place else maps
            result = multiply_gated(given, (gate,), order, factor, self.way)
        self.dependence.add("gate", [("self", maps), ("gate", gate)], result)
        return (gate if swapped else maps).copy_(result) if in_place else result

    def _attends(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Tell whether attention is one that can be held: maps by what depends on the image."""
        given = dict(zip(("query", "key", "value", "attn_mask", "dropout_p"), args, strict=False))
        given |= kwargs
        depends = {
            name for name, value in given.items() if self.dependence.find_step(value) is not None
        }
        held = "value" in depends and bool(depends & {"query", "key"})
        return held and "attn_mask" not in depends and not given.get("dropout_p")

    def _attend(
        self, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any
    ) -> Tensor:
        def attend(value: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return F.scaled_dot_product_attention(query, key, value, *args, **kwargs)

        with self.dependence.pause():
            result = multiply_gated(value, (query, key), attend, -1, self.way)
        self.dependence.add("gate", [("self", value), ("gate", query), ("gate", key)], result)
        return result


def _rate_gate(step: Step) -> int:
    """Tell how plainly a value is what a squashing function put out; 0 if it is not.

    On its way it may have been laid out anew, resized, scaled or shifted by fixed numbers, and
    joined to or multiplied by other such values.
    """
    scaled = False
    while step.name in _PASSED and len(step.sources) == 1:
        if step.name in ("cat", "stack") and dict(step.fixed).get("count") != 1:
            return 0
        scaled = scaled or step.name in ("mul", "div")
        step = step.sources[0][1]
    if step.name in ("mul", "cat", "stack") and len(step.sources) > 1:
        complete = step.name == "mul" or dict(step.fixed).get("count") == len(step.sources)
        return min(_rate_gate(source) for _, source in step.sources) if complete else 0
    # relu6(x + 3) / 6 is the hard sigmoid, spelled out
    if step.name == "rectify" and scaled and dict(step.fixed).get("ceiling") is not None:
        return 2
    return _GATES.get(step.name, 0)


def _is_transformed() -> bool:
    """Tell whether a transform of torch.func (vmap, grad) runs."""
    return torch._C._functorch.peek_interpreter_stack() is not None


def _find_saving_hooks() -> Any:
    """Give the innermost hooks on tensors that are saved for a backward pass, if there are any."""
    find = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", None)
    return None if find is None else find(False)


def _give(tensor: Tensor) -> Tensor:
    return tensor


def _is_differentiable(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    values = (*args, *kwargs.values())
    return any(isinstance(value, Tensor) and value.requires_grad for value in values)


def _name_aten() -> Iterator[tuple[Any, Callable[..., Any]]]:
    """List the functions that exported programs call by their aten names, with their usual ones."""
    usual: dict[str, Callable[..., Any]] = {
        "relu": torch.relu,
        "relu_": torch.relu_,
        "hardtanh": F.hardtanh,
        "hardtanh_": F.hardtanh_,
        "clamp": torch.clamp,
        "clamp_": torch.clamp_,
        "clamp_min": torch.clamp_min,
        "clamp_min_": torch.clamp_min_,
        "threshold": torch.threshold,
        "threshold_": torch.threshold_,
        "max_pool2d": F.max_pool2d,
        "max_pool2d_with_indices": F.max_pool2d_with_indices,
        "silu": F.silu,
        "gelu": F.gelu,
        "hardswish": F.hardswish,
        "hardsigmoid": F.hardsigmoid,
        "mish": F.mish,
        "elu": F.elu,
        "softplus": F.softplus,
        "leaky_relu": F.leaky_relu,
        "prelu": torch.prelu,
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "mul": torch.mul,
        "matmul": torch.matmul,
        "bmm": torch.bmm,
    }
    for name, function in usual.items():
        packet = getattr(torch.ops.aten, name)
        yield packet, function
        for overload in packet.overloads():
            yield getattr(packet, overload), function


_ATEN = dict(_name_aten())
