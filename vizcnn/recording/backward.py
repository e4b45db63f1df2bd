"""The three operations whose way back depends on the rule, as autograd functions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vizcnn.recording.unpool import Window, pool_with_switches, unpool


@dataclass
class Way:
    """What the next backward pass of a recording follows.

    Attributes:
        rectify: What becomes of the signal at a rectifier, given the mask of its active inputs;
            the plain gradient unless a method sets another.
        needs_activity: Whether ``rectify`` looks at that mask.
        passes_over_normalisation: Whether contrast normalisation is skipped.
    """

    rectify: Callable[[Tensor, Tensor], Tensor] = torch.mul
    needs_activity: bool = True
    passes_over_normalisation: bool = False


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


def pass_normalisation(x: Tensor, normalise: Callable[[Tensor], Tensor], way: Way) -> Tensor:
    """Normalise maps; the way back takes the true gradient or goes straight to the input."""
    result: Tensor = Normalise.apply(x, normalise(x), normalise, way)  # type: ignore[no-untyped-call]
    return result


def pool(x: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    """Pool feature maps; give the maxima and their switches."""
    result: tuple[Tensor, Tensor] = MaxPool.apply(x, window)  # type: ignore[no-untyped-call]
    return result
