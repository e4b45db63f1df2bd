"""Forward passes that hand over what the wanted layers put out, and keep nothing of it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from vizcnn.basics.errors import LayerError
from vizcnn.recording.arithmetic import exact_arithmetic
from vizcnn.recording.recording import AllRecorded, evaluate, record

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


See = Callable[[str, Tensor], None]
"""Takes a layer's name and its output."""

Forward = Callable[[Tensor, See], None]
"""Runs a net on inputs and shows each wanted layer's output the moment it is there."""


@contextmanager
def watch_layers(module: nn.Module, layers: Mapping[str, str]) -> Iterator[Forward]:
    """Watch layers of a net through many forward passes.

    The passes are in evaluation mode, without a graph, in full float32 and repeatable to the bit;
    each ends after the last wanted layer. A layer is shown inside its own call, before a later
    operation can write over it. On leaving, by success or by an exception, the net's hooks and
    flags are as they were.

    Args:
        module: The net.
        layers: Names, and module paths; ``"path#2"`` is the second call of a module in a pass.
            Checked by :func:`measure_layers`.

    Yields:
        The function that runs the net.
    """
    watch = _Watch(module, layers)
    with ExitStack() as stack:
        evaluate(module, stack)
        stack.enter_context(torch.no_grad())
        stack.enter_context(exact_arithmetic())
        if has_odd_rows(module):
            stack.enter_context(AlignRows())
        for path in watch.wanted:
            hook = module.get_submodule(path).register_forward_hook(watch.make_hook(path))
            stack.callback(hook.remove)
        yield watch.run


class _Watch:
    """Counts the calls of the wanted modules in each pass."""

    def __init__(self, module: nn.Module, layers: Mapping[str, str]) -> None:
        self.module = module
        self.wanted: dict[str, dict[int, list[str]]] = {}
        for name, layer in layers.items():
            path, _, call = layer.partition("#")
            self.wanted.setdefault(path, {}).setdefault(int(call or 1), []).append(name)
        self.calls: dict[str, int] = {}
        self.missing: set[str] = set()
        self.see: See = _see_nothing

    def run(self, inputs: Tensor, see: See) -> None:
        """Run the net until all wanted layers were seen.

        Raises:
            LayerError: If it ends before.
        """
        names = [name for calls in self.wanted.values() for some in calls.values() for name in some]
        self.calls, self.missing, self.see = {}, set(names), see
        try:
            self.module(inputs)
        except AllRecorded:
            pass
        finally:
            self.see = _see_nothing
        if self.missing:
            raise LayerError(f"layer {min(self.missing)!r} was not reached in a forward pass")

    def make_hook(self, path: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            self.calls[path] = self.calls.get(path, 0) + 1
            for name in self.wanted[path].get(self.calls[path], ()):
                self.see(name, output)
                self.missing.discard(name)
            if not self.missing:
                raise AllRecorded

        return hook


def _see_nothing(name: str, output: Tensor) -> None:
    """Stand in between two passes."""


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
    with exact_arithmetic(), record(module, layers.values()) as recording:
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
