"""Forward passes that hand over what the wanted layers put out, and keep nothing of it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from vizcnn.basics.errors import LayerError
from vizcnn.recording.arithmetic import chosen_arithmetic
from vizcnn.recording.layers import LayerReference, parse_call
from vizcnn.recording.recording import record
from vizcnn.recording.watch import AllRecorded, evaluating, watch

ROW_BYTES = 64
"""What the rows of a matrix are lengthened to a multiple of: the longest vector of any CPU."""


class AlignRows(TorchFunctionMode):
    """Lengthens the rows of fully connected layers with zeros to whole vectors of the processor.

    A matrix product treats a row that begins in the middle of such a vector differently: its sum
    is taken in another order and may differ in the last bit. With 250 inputs, every other photo of
    a lot is such a row.

    Args:
        columns: Whether to lengthen what the layers put out, too: on the way back those are the
            rows.

    Example:
        >>> import torch
        >>> x, weight = torch.rand(3, 10), torch.rand(2, 10)
        >>> with AlignRows():
        ...     y = F.linear(x, weight)
        >>> torch.allclose(y, x @ weight.t())
        True
    """

    def __init__(self, columns: bool = False) -> None:
        super().__init__()
        self._columns = columns

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run a torch function."""
        if func is F.linear:
            multiply = _multiply_both_ways if self._columns else _multiply
            return multiply(*args, **(kwargs or {}))
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


def has_odd_columns(module: nn.Module) -> bool:
    """Tell whether a net has a matrix whose output :class:`AlignRows` would lengthen.

    Example:
        >>> has_odd_columns(nn.Linear(250, 16)), has_odd_columns(nn.Linear(512, 10))
        (False, True)
    """
    return any(
        parameter.ndim == 2 and parameter.shape[0] * parameter.element_size() % ROW_BYTES
        for parameter in module.parameters()
    )


def _multiply(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    missing = -input.shape[-1] % (ROW_BYTES // input.element_size())
    if missing:
        input, weight = F.pad(input, (0, missing)), F.pad(weight, (0, missing))
    return F.linear(input, weight, bias)


def _multiply_both_ways(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    units = len(weight)
    missing = -units % (ROW_BYTES // input.element_size())
    if not missing:
        return _multiply(input, weight, bias)
    longer = None if bias is None else F.pad(bias, (0, missing))
    return _multiply(input, F.pad(weight, (0, 0, 0, missing)), longer)[..., :units]


See = Callable[[str, Tensor], None]
"""Takes a layer's name and its output."""

Forward = Callable[[Tensor, See], None]
"""Runs a net on inputs and shows each wanted layer's output the moment it is there."""


def _see_nothing(name: str, output: Tensor) -> None:
    """Stand in between two passes."""


@contextmanager
def watch_layers(module: nn.Module, layers: Mapping[str, str]) -> Iterator[Forward]:
    """Watch layers of a net through many forward passes.

    The passes are in evaluation mode, without a graph, in full float32 and repeatable to the bit;
    each ends after the last wanted layer. On leaving, by success or by an exception, the net's
    hooks and flags are as they were.

    Args:
        module: The net.
        layers: Names, and module paths; ``"path#2"`` is the second call of a module in a pass.
            Checked by :func:`measure_layers`.

    Yields:
        The function that runs the net; it raises a LayerError if a pass ends before all wanted
        layers were seen.
    """
    names: dict[LayerReference, list[str]] = {}
    for name, layer in layers.items():
        names.setdefault(parse_call(layer), []).append(name)
    seen: set[str] = set()
    show: See = _see_nothing

    def look(call: LayerReference, args: Any, output: Tensor) -> None:
        for name in names.get(call, ()):
            show(name, output)
            seen.add(name)

    def run(inputs: Tensor, see: See) -> None:
        nonlocal show
        seen.clear()
        show = see
        try:
            module(inputs)
        except AllRecorded:
            pass
        finally:
            show = _see_nothing
        if missing := set(layers) - seen:
            raise LayerError(f"layer {min(missing)!r} was not reached in a forward pass")

    with ExitStack() as stack:
        stack.enter_context(evaluating(module))
        stack.enter_context(torch.no_grad())
        stack.enter_context(chosen_arithmetic())
        if has_odd_rows(module):
            stack.enter_context(AlignRows())
        stack.enter_context(watch(module, layers.values(), look, stops=True))
        yield run


def measure_layers(
    module: nn.Module, inputs: Tensor, layers: Mapping[str, str]
) -> dict[str, tuple[int, ...]]:
    """Find out what layers put out, and refuse those that cannot be mined.

    Args:
        module: The net.
        inputs: One image as the net takes it, (1, channels, S, S).
        layers: Names and module paths.

    Returns:
        For each name (units, rows, columns), or (units,) of a vector.

    Raises:
        LayerError: If a layer does not exist, puts out no feature maps, or is called several times
            and no number tells which call is meant.
        ModelError: If the net cannot be seen into.
    """
    with chosen_arithmetic(), record(module, layers.values()) as recording:
        module(inputs)
    return {name: tuple(recording.find_output(layer).shape[1:]) for name, layer in layers.items()}


def takes_channels_last(module: nn.Module, inputs: Tensor, layers: Mapping[str, str]) -> bool:
    """Tell whether a net computes on maps whose channels lie side by side in memory.

    On a CPU that is faster by a quarter and more. A net that views its maps as vectors cannot.

    Args:
        module: The net.
        inputs: One image as the net takes it, (1, channels, S, S).
        layers: Names and module paths: what comes after the last of them does not matter.
    """
    two = inputs.expand(2, -1, -1, -1).contiguous(memory_format=torch.channels_last)
    try:
        with watch_layers(module, layers) as forward:
            forward(two, _see_nothing)
    except RuntimeError:
        return False
    return True
