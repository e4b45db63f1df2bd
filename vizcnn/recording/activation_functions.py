"""Activations without a published rule, brought to one form."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Function = Callable[..., Any]


@dataclass(frozen=True)
class Activation:
    """A call that applies a function to each value of its input.

    Attributes:
        name: What it is called: ``"silu"``.
        input: What it is applied to.
        run: The function; the same on any part of the input that holds all channels.
        in_place: Whether the call writes its result into the input.
        below: Slope below zero of a leaky rectifier, a number or one for each channel; None for
            other functions.
    """

    name: str
    input: Tensor
    run: Callable[[Tensor], Tensor]
    in_place: bool
    below: float | Tensor | None = None


def parse_activation(
    function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Activation | None:
    """Recognise a call of a torch function as an activation other than ReLU.

    Args:
        function: What was called: ``F.silu``, ``torch.sigmoid``, ``Tensor.tanh_``, ...
        args: Its positional arguments.
        kwargs: Its keyword arguments.

    Returns:
        The activation, or None if the call is something else.

    Example:
        >>> x = torch.zeros(1)
        >>> parse_activation(F.silu, (x,), {"inplace": True}).in_place
        True
        >>> parse_activation(F.leaky_relu, (x, 0.2), {}).below
        0.2
        >>> parse_activation(torch.add, (x, x), {}) is None
        True
    """
    known = _ACTIVATIONS.get(function)
    if known is None:
        return None
    plain, in_place = known
    given = dict(kwargs)
    in_place = bool(given.pop("inplace", in_place))
    input, *rest = args or (given.pop("input"),)
    if plain in _TAKES_INPLACE and len(rest) > _TAKES_INPLACE[plain]:
        in_place = bool(rest.pop(_TAKES_INPLACE[plain]))
    below = _find_slope(plain, rest, given)
    others = tuple(rest)

    def run(x: Tensor) -> Tensor:
        result: Tensor = plain(x, *others, **given)
        return result

    return Activation(plain.__name__.strip("_"), input, run, in_place, below)


def _find_slope(plain: Function, rest: list[Any], given: dict[str, Any]) -> float | Tensor | None:
    if plain is F.leaky_relu:
        return float(rest[0] if rest else given.get("negative_slope", 0.01))
    if plain is torch.prelu:
        weight: Tensor = (rest[0] if rest else given["weight"]).detach()
        return weight
    return None


def shape_slope(below: float | Tensor, x: Tensor) -> float | Tensor:
    """Lay the slopes of channels along the second dimension of maps."""
    if isinstance(below, float) or below.numel() == 1 or x.ndim < 2:
        return below
    return below.view(1, -1, *[1] * (x.ndim - 2))


_TAKES_INPLACE: dict[Function, int] = {
    F.silu: 0,
    F.mish: 0,
    F.hardswish: 0,
    F.hardsigmoid: 0,
    F.selu: 0,
    F.elu: 1,
    F.celu: 1,
    F.leaky_relu: 1,
}
"""Where the positional ``inplace`` stands among the arguments after the input."""

_ACTIVATIONS: dict[Function, tuple[Function, bool]] = {
    F.silu: (F.silu, False),
    F.mish: (F.mish, False),
    F.hardswish: (F.hardswish, False),
    F.hardsigmoid: (F.hardsigmoid, False),
    F.gelu: (F.gelu, False),
    F.selu: (F.selu, False),
    F.selu_: (F.selu, True),
    torch.selu: (F.selu, False),
    F.elu: (F.elu, False),
    F.elu_: (F.elu, True),
    F.celu: (F.celu, False),
    torch.celu: (F.celu, False),
    F.softplus: (F.softplus, False),
    F.softsign: (F.softsign, False),
    F.tanhshrink: (F.tanhshrink, False),
    F.logsigmoid: (F.logsigmoid, False),
    F.leaky_relu: (F.leaky_relu, False),
    F.leaky_relu_: (F.leaky_relu, True),
    F.prelu: (torch.prelu, False),
    torch.prelu: (torch.prelu, False),
    Tensor.prelu: (torch.prelu, False),
    F.sigmoid: (torch.sigmoid, False),
    torch.sigmoid: (torch.sigmoid, False),
    torch.sigmoid_: (torch.sigmoid, True),
    Tensor.sigmoid: (torch.sigmoid, False),
    Tensor.sigmoid_: (torch.sigmoid, True),
    F.tanh: (torch.tanh, False),
    torch.tanh: (torch.tanh, False),
    torch.tanh_: (torch.tanh, True),
    Tensor.tanh: (torch.tanh, False),
    Tensor.tanh_: (torch.tanh, True),
}
