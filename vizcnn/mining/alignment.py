"""Fully connected layers whose sums do not depend on a photo's place in its lot."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

ROW_BYTES = 64
"""What the rows of a matrix are lengthened to a multiple of: the longest vector of any CPU."""


class AlignRows(TorchFunctionMode):
    """Lengthens the rows of fully connected layers with zeros to whole vectors of the processor.

    A matrix product treats a row that begins in the middle of such a vector differently: its sum
    is taken in another order and may differ in the last bit. With 250 inputs, every other photo of
    a lot is such a row.

    Example:
        >>> import torch
        >>> x, weight = torch.rand(3, 10), torch.rand(2, 10)
        >>> with AlignRows():
        ...     y = F.linear(x, weight)
        >>> torch.allclose(y, x @ weight.t())
        True
    """

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run a torch function."""
        if func is F.linear:
            return _multiply(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def has_odd_rows(module: nn.Module) -> bool:
    """Tell whether a net has a matrix that :class:`AlignRows` would lengthen: few have one.

    Example:
        >>> has_odd_rows(nn.Linear(512, 10)), has_odd_rows(nn.Linear(250, 10))
        (False, True)
    """
    return any(
        parameter.ndim == 2 and parameter.shape[1] * parameter.element_size() % ROW_BYTES
        for parameter in module.parameters()
    )


def _multiply(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    missing = -input.shape[-1] % (ROW_BYTES // input.element_size())
    if missing:
        input, weight = F.pad(input, (0, missing)), F.pad(weight, (0, missing))
    return F.linear(input, weight, bias)
