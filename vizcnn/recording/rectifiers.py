"""Every spelling of a rectifier that torch knows, brought to one form."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from vizcnn.recording.dependence import Dependence, Step

Function = Callable[..., Any]


@dataclass(frozen=True)
class Rectifier:
    """A call that clamps its input between 0 and perhaps a ceiling.

    Attributes:
        input: The tensor that is rectified.
        ceiling: The upper bound (6 for ReLU6), or None.
        in_place: Whether the call writes its result into the input.
    """

    input: Tensor
    ceiling: float | None
    in_place: bool


def parse_rectifier(
    function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Rectifier | None:
    """Recognise a call of a torch function as a rectifier.

    Args:
        function: What was called: ``F.relu``, ``torch.clamp``, ``Tensor.relu_``, ...
        args: Its positional arguments.
        kwargs: Its keyword arguments.

    Returns:
        The rectifier, or None if the call is something else (a clamp to -1..1, say).

    Example:
        >>> x = torch.zeros(1)
        >>> parse_rectifier(torch.clamp, (x,), {"min": 0, "max": 6}).ceiling
        6.0
        >>> parse_rectifier(torch.clamp, (x,), {"min": -1}) is None
        True
    """
    parser = _PARSERS.get(function)
    return parser(*args, **kwargs) if parser and "out" not in kwargs else None


def parse_masked(
    function: Function, args: tuple[Any, ...], kwargs: dict[str, Any], dependence: Dependence
) -> Rectifier | None:
    """Recognise a rectifier that is spelled by a mask: ``x * (x > 0)``, ``where(x > 0, x, 0)``.

    The mask has to be made of the very maps that it is applied to, by comparisons alone, detached
    or not, and to be that of their positive values.

    Args:
        function: What was called.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        dependence: Knows what the mask was made of.

    Returns:
        The rectifier, or None if the call is something else.
    """
    if kwargs or not 2 <= len(args) <= 3 or not any(isinstance(a, Tensor) for a in args[1:]):
        return None

    def keeps_positive(mask: Any, x: Any, inverted: bool = False) -> bool:
        if not (isinstance(mask, Tensor) and isinstance(x, Tensor) and mask.shape == x.shape):
            return False
        made, maps = dependence.find_step(mask), dependence.find_step(x)
        if made is None or maps is None or x.is_meta or not _compares(made, maps):
            return False
        with torch.no_grad(), dependence.pause():
            values = (mask == 0 if inverted else mask != 0) & (x != 0)
            plain = inverted or bool(((mask == 0) | (mask == 1)).all())
            return plain and torch.equal(values, x > 0)

    first, second = args[:2]
    if function in _MASKED_PRODUCTS and len(args) == 2:
        in_place = function is Tensor.mul_
        if keeps_positive(second, first):
            return Rectifier(first, None, in_place)
        if keeps_positive(first, second) and not in_place:
            return Rectifier(second, None, False)
    if len(args) < 3:
        return None
    third = args[2]
    if function is torch.where:
        if _is_zero(third) and keeps_positive(first, second):
            return Rectifier(second, None, False)
        if _is_zero(second) and keeps_positive(first, third, inverted=True):
            return Rectifier(third, None, False)
    if function is Tensor.where and _is_zero(third) and keeps_positive(second, first):
        return Rectifier(first, None, False)
    fills = (torch.masked_fill, Tensor.masked_fill, Tensor.masked_fill_, Tensor.__setitem__)
    if function in fills and _is_zero(third) and keeps_positive(second, first, inverted=True):
        in_place = function in (Tensor.masked_fill_, Tensor.__setitem__)
        return Rectifier(first, None, in_place)
    return None


def _is_zero(value: Any) -> bool:
    if isinstance(value, Tensor):
        return not value.is_meta and not bool(value.detach().any())
    return isinstance(value, int | float) and value == 0


def _compares(mask: Step, maps: Step) -> bool:
    """Tell whether a mask was made of some maps by comparisons alone."""
    while maps.name == "clone":
        maps = maps.sources[0][1]
    stack, compared = [mask], False
    while stack:
        step = stack.pop()
        if step is maps:
            continue
        if step.name not in _COMPARING:
            return False
        compared = compared or step.name in _DECIDING
        stack.extend(source for _, source in step.sources)
    return compared


_DECIDING = frozenset(
    (*"gt ge lt le ne eq sign sgn signbit heaviside".split(), "conversion to integers")
)
_COMPARING = _DECIDING | frozenset(
    """logical_not bitwise_not logical_and bitwise_and _to_copy clone copy rectify relu clamp
    clamp_min""".split()
)
"""Steps from maps to a mask of them."""

_MASKED_PRODUCTS = (torch.mul, torch.multiply, Tensor.mul, Tensor.multiply, Tensor.mul_)


def _bounded(input: Tensor, low: Any, high: Any, in_place: bool) -> Rectifier | None:
    low, high = _plain(low), _plain(high)
    if isinstance(low, Tensor) or isinstance(high, Tensor) or low is None or low != 0:
        return None
    if high is not None and high <= 0:
        return None
    return Rectifier(input, None if high is None else float(high), in_place)


def _plain(bound: Any) -> Any:
    """Give a bound that is a tensor of one number as that number."""
    single = isinstance(bound, Tensor) and bound.numel() == 1 and not bound.requires_grad
    return bound.item() if single else bound


def _relu(input: Tensor, inplace: bool = False) -> Rectifier | None:
    return Rectifier(input, None, inplace)


def _relu_in_place(input: Tensor) -> Rectifier | None:
    return Rectifier(input, None, True)


def _relu6(input: Tensor, inplace: bool = False) -> Rectifier | None:
    return Rectifier(input, 6.0, inplace)


def _hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Rectifier | None:
    return _bounded(input, min_val, max_val, inplace)


def _hardtanh_in_place(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0
) -> Rectifier | None:
    return _bounded(input, min_val, max_val, True)


def _clamp(input: Tensor, min: Any = None, max: Any = None) -> Rectifier | None:
    return _bounded(input, min, max, False)


def _clamp_in_place(input: Tensor, min: Any = None, max: Any = None) -> Rectifier | None:
    return _bounded(input, min, max, True)


def _threshold(
    input: Tensor, threshold: float, value: float, inplace: bool = False
) -> Rectifier | None:
    return Rectifier(input, None, inplace) if threshold == 0 and value == 0 else None


def _threshold_in_place(input: Tensor, threshold: float, value: float) -> Rectifier | None:
    return _threshold(input, threshold, value, True)


def _maximum(input: Tensor, other: Any = None, **_: Any) -> Rectifier | None:
    if not isinstance(other, Tensor):
        return None  # torch.max over a dimension, not between two tensors
    for tensor, bound in ((input, other), (other, input)):
        if tensor.requires_grad and _is_zero(bound):
            return Rectifier(tensor, None, False)
    return None


_PARSERS: dict[Function, Callable[..., Rectifier | None]] = {
    F.relu: _relu,
    torch.relu: _relu,
    Tensor.relu: _relu,
    torch.relu_: _relu_in_place,
    Tensor.relu_: _relu_in_place,
    F.relu6: _relu6,
    F.hardtanh: _hardtanh,
    F.hardtanh_: _hardtanh_in_place,
    F.threshold: _threshold,
    torch.threshold: _threshold,
    torch.threshold_: _threshold_in_place,
    torch.clamp: _clamp,
    torch.clip: _clamp,
    Tensor.clamp: _clamp,
    Tensor.clip: _clamp,
    torch.clamp_: _clamp_in_place,
    torch.clip_: _clamp_in_place,
    Tensor.clamp_: _clamp_in_place,
    Tensor.clip_: _clamp_in_place,
    torch.clamp_min: _clamp,
    Tensor.clamp_min: _clamp,
    torch.clamp_min_: _clamp_in_place,
    Tensor.clamp_min_: _clamp_in_place,
    torch.maximum: _maximum,
    Tensor.maximum: _maximum,
    torch.max: _maximum,
    Tensor.max: _maximum,
}
