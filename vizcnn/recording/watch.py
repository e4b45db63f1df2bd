"""Watch a net's modules at work: the one place that hangs hooks on a net, and takes them off."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import nn

from vizcnn.recording.layers import LayerReference, parse_reference

See = Callable[[LayerReference, tuple[Any, ...], Any], Any]
"""Takes which call of which module it was, its arguments and what it put out; what this gives back,
unless it is None, goes on in the net in place of that."""


class AllRecorded(BaseException):
    """Ends a forward pass early, when every layer that was asked for is recorded.

    No ``Exception``: a net may catch those.
    """


@contextmanager
def watch(
    module: nn.Module,
    layers: Iterable[str],
    see: See,
    enter: Callable[[str], None] | None = None,
    stops: bool = False,
) -> Iterator[None]:
    """Show what modules put out, call by call, in every forward pass inside the context.

    A module is shown inside its own call, before a later operation can write over its output. On
    leaving, by success or by an exception, the net's hooks are as they were.

    Args:
        module: The net.
        layers: Module paths, ``""`` for the net itself; ``"path#2"`` watches all calls as well.
        see: Shown each call; the calls of a module are counted from 1 in every pass.
        enter: Told the path before each call.
        stops: Whether to end a pass, by raising :class:`AllRecorded` in it, when each layer was
            called as often as its number says (once without one).

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
        >>> def see(call, args, output):
        ...     print(call, tuple(output.shape))
        >>> with watch(net, ["1"], see):
        ...     _ = net(torch.zeros(5, 3))
        1#1 (5, 2)
    """
    references = [parse_reference(layer) for layer in layers]
    awaited = {LayerReference(layer.path, layer.call or 1) for layer in references}
    calls: Counter[str] = Counter()
    missing = set(awaited)

    def begin(*_: Any) -> None:
        calls.clear()
        missing.update(awaited)

    def leave_call(path: str) -> Callable[..., Any]:
        def hook(part: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            calls[path] += 1
            call = LayerReference(path, calls[path])
            changed = see(call, args, output)
            missing.discard(call)
            if stops and not missing:
                raise AllRecorded
            return changed

        return hook

    with ExitStack() as stack:
        stack.callback(module.register_forward_pre_hook(begin).remove)
        for path in dict.fromkeys(layer.path for layer in references):
            part = module.get_submodule(path)
            if enter is not None:
                before = partial(_call_with, enter, path)
                stack.callback(part.register_forward_pre_hook(before).remove)
            stack.callback(part.register_forward_hook(leave_call(path)).remove)
        yield


def _call_with(enter: Callable[[str], None], path: str, *_: Any) -> None:
    enter(path)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Keep a net in evaluation mode, module by module, so that each flag can be put back."""
    training = [part for part in module.modules() if part.training]
    try:
        for part in training:
            part.training = False
        yield
    finally:
        for part in training:
            part.training = True
