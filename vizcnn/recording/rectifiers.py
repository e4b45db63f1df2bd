"""Every spelling of a rectifier that torch knows, brought to one form."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

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
    return parser(*args, **kwargs) if parser else None


def _bounded(input: Tensor, low: Any, high: Any, in_place: bool) -> Rectifier | None:
    if isinstance(low, Tensor) or isinstance(high, Tensor) or low is None or low != 0:
        return None
    if high is not None and high <= 0:
        return None
    return Rectifier(input, None if high is None else float(high), in_place)


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
        if not bound.requires_grad and tensor.requires_grad and not bool(bound.any()):
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
