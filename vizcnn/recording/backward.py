"""The operations whose way back depends on the method, as autograd functions."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from vizcnn.recording.activation_functions import Activation, Function, shape_slope
from vizcnn.recording.unpool import Window, pool_with_switches, unpool


@dataclass
class Way:
    """What the next backward pass of a recording follows.

    Attributes:
        rectify: What becomes of the signal at a rectifier, given the mask of its active inputs;
            the plain gradient unless a method sets another.
        needs_activity: Whether ``rectify`` looks at that mask.
        passes_over_normalisation: Whether contrast normalisation is skipped.
        rectifies_smooth: Whether smooth activations are treated by the rule's own definition.
        holds_gates: Whether a gate is taken as fixed at its value.
    """

    rectify: Callable[[Tensor, Tensor], Tensor] = torch.mul
    needs_activity: bool = True
    passes_over_normalisation: bool = False
    rectifies_smooth: bool = False
    holds_gates: bool = False

    def pass_activation(self, activation: Activation, x: Tensor, signal: Tensor) -> Tensor:
        """Send a signal back through an activation other than ReLU.

        A leaky rectifier of slope a below zero is ``(1 - a) relu(x) + a x``: a rectifier beside a
        straight way. The rule is taken at the one and the signal goes straight through the other,
        ``(1 - a) rectify(s, x > 0) + a s``, which is the published rule for a = 0 and the gradient
        for a = 1 (and the gradient for every a, if the rule is the gradient's).

        The definitions of the two rules do not need ReLU: the deconvnet rectifies the signal,
        whatever the activation was; guided backprop keeps the gradient where both the signal and
        the activation are positive. That is our extension; with ReLU it is the published rules.

        Args:
            activation: What was applied.
            x: What it was applied to.
            signal: The signal above, of the same shape.
        """
        if activation.below is not None:
            slope = shape_slope(activation.below, x)
            active = x > 0 if self.needs_activity else signal
            leaked: Tensor = (1 - slope) * self.rectify(signal, active) + slope * signal
            return leaked
        if self.rectifies_smooth and not self.needs_activity:
            return self.rectify(signal, signal)
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            value = activation.run(leaf)
            (slope,) = torch.autograd.grad(value.sum(), leaf)
        if not self.rectifies_smooth:
            return signal * slope
        return self.rectify(signal, value.detach() > 0) * slope


class Rectify(torch.autograd.Function):
    """Clamp to 0..ceiling; the way back is the rule's."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ceiling: float | None, way: Way) -> Tensor:
        active = x > 0 if ceiling is None else (x > 0) & (x < ceiling)
        ctx.save_for_backward(active)
        ctx.way = way
        return x.clamp(min=0, max=ceiling)

    @staticmethod
    def backward(ctx: Any, *signals: Tensor) -> tuple[Tensor, None, None]:
        (active,) = ctx.saved_tensors
        return ctx.way.rectify(signals[0], active), None, None


class Activate(torch.autograd.Function):
    """Apply an activation other than ReLU; the way back is :meth:`Way.pass_activation`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, activation: Activation, way: Way) -> Tensor:
        # a call in place writes over what it got
        ctx.save_for_backward(x.clone() if activation.in_place else x)
        # the call's own input would be kept with all its graph
        ctx.activation, ctx.way = replace(activation, input=x.detach()), way
        return activation.run(x)

    @staticmethod
    def backward(ctx: Any, *signals: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        return ctx.way.pass_activation(ctx.activation, x, signals[0]), None, None


class Gate(torch.autograd.Function):
    """Multiply maps by a gate; on the way back the gate may be held at its value.

    A held gate is a switch like that of max pooling: which way, and how much, was settled by the
    forward pass.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, product: Function, factor: int | None, way: Way, *gates: Tensor
    ) -> Tensor:
        ctx.save_for_backward(x, *gates)
        ctx.product, ctx.factor, ctx.way = product, factor, way
        result: Tensor = product(x, *gates)
        return result

    @staticmethod
    def backward(ctx: Any, *signals: Tensor) -> tuple[Tensor | None, ...]:
        x, *gates = ctx.saved_tensors
        held = ctx.way.holds_gates
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            others = [gate.detach().requires_grad_(not held) for gate in gates]
            leaves = (leaf,) if held else (leaf, *others)
            back = torch.autograd.grad(ctx.product(leaf, *others), leaves, signals[0])
        return back[0], None, None, None, *([None] * len(gates) if held else back[1:])


class GateMatrix(Gate):
    """The same for a product of matrices, in which places are mixed.

    Its node knows which factor the maps are: 0 or 1; -1 where that is not known.
    """


class Normalise(torch.autograd.Function):
    """Hand on the normalised maps; on the way back take their true gradient, or skip them.

    Given both the input and the normalised result, the signal goes either straight to the input
    or through the graph of the result. The node keeps the input and the function, for those who
    want the gradient in a part of the maps.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, normalised: Tensor, normalise: Callable[[Tensor], Tensor], way: Way
    ) -> Tensor:
        ctx.way = way
        ctx.normalise = normalise
        ctx.save_for_backward(x)
        return normalised.clone()  # not a view: a later layer may write into it in place

    @staticmethod
    def backward(ctx: Any, *signals: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        (signal,) = signals
        skip = ctx.way.passes_over_normalisation
        return (signal, None, None, None) if skip else (None, signal, None, None)


class MaxPool(torch.autograd.Function):
    """Max pooling whose way back is :func:`vizcnn.recording.unpool.unpool`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, window: Window) -> tuple[Tensor, Tensor]:
        maxima, switches = pool_with_switches(x, window)
        ctx.save_for_backward(switches)
        ctx.mark_non_differentiable(switches)
        ctx.window = window
        ctx.input_size = tuple(x.shape[-2:])
        return maxima, switches

    @staticmethod
    def backward(ctx: Any, *signals: Tensor) -> tuple[Tensor, None]:
        (switches,) = ctx.saved_tensors
        return unpool(signals[0], switches, ctx.window, ctx.input_size), None


def rectify(x: Tensor, ceiling: float | None, way: Way) -> Tensor:
    """Clamp feature maps to 0..ceiling; the way back is the rule's."""
    result: Tensor = Rectify.apply(x, ceiling, way)  # type: ignore[no-untyped-call]
    return result


def activate(activation: Activation, way: Way) -> Tensor:
    """Apply an activation other than ReLU."""
    result: Tensor = Activate.apply(activation.input, activation, way)  # type: ignore[no-untyped-call]
    return result


def multiply_gated(
    x: Tensor, gates: tuple[Tensor, ...], product: Function, factor: int | None, way: Way
) -> Tensor:
    """Multiply maps by gates that depend on the image.

    Args:
        x: The maps.
        gates: What they are multiplied by.
        product: Takes both.
        factor: None for a product place by place; of a product of matrices which of the two the
            maps are, 0 or 1, or -1 where that is not known.
        way: What backward passes will follow.
    """
    function = Gate if factor is None else GateMatrix
    result: Tensor = function.apply(x, product, factor, way, *gates)  # type: ignore[no-untyped-call]
    return result


def pass_normalisation(x: Tensor, normalise: Callable[[Tensor], Tensor], way: Way) -> Tensor:
    """Normalise maps; the way back takes the true gradient or goes straight to the input."""
    result: Tensor = Normalise.apply(x, normalise(x), normalise, way)  # type: ignore[no-untyped-call]
    return result


def pool(x: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    """Pool feature maps; give the maxima and their switches."""
    result: tuple[Tensor, Tensor] = MaxPool.apply(x, window)  # type: ignore[no-untyped-call]
    return result
