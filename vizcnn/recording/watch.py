"""Watch a net's modules at work: the one place that hangs hooks on a net, and takes them off."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import nn

from vizcnn.basics.sharing import keep_over_fork
from vizcnn.recording.layers import LayerReference, parse_call
from vizcnn.zoo.functions import FunctionCalls, PlacedCalls
from vizcnn.zoo.naming import evaluating_for_a_pass

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

    A module is shown inside its own call, before a later operation can write over its output.
    Passes of other threads are neither shown nor stopped. On leaving, by success or by an
    exception, the net's hooks are as they were.

    Args:
        module: The net.
        layers: Module paths, ``""`` for the net itself; ``"path#2"`` watches all calls as well.
            Paths of functions are watched, too (``"layer1.0.relu()"``).
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
    references = [parse_call(layer) for layer in layers]
    awaited = set(references)
    calls: Counter[str] = Counter()
    missing = set(awaited)
    ours = threading.get_ident()

    def begin(*_: Any) -> None:
        if threading.get_ident() != ours:
            return
        calls.clear()
        missing.update(awaited)

    def take(call: LayerReference, args: tuple[Any, ...], output: Any) -> Any:
        changed = see(call, args, output)
        missing.discard(call)
        if stops and not missing:
            raise AllRecorded
        return changed

    def leave_call(path: str) -> Callable[..., Any]:
        def hook(part: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            if threading.get_ident() != ours:
                return None
            calls[path] += 1
            return take(LayerReference(path, calls[path]), args, output)

        return hook

    with ExitStack() as stack:
        stack.callback(module.register_forward_pre_hook(begin).remove)
        functions = frozenset(layer.path for layer in references if layer.is_function)
        if functions:
            stack.enter_context(_watch_functions(module, functions, take, ours))
        for path in dict.fromkeys(layer.path for layer in references if not layer.is_function):
            part = module.get_submodule(path)
            if enter is not None:
                before = partial(_call_with, enter, path, ours)
                stack.callback(part.register_forward_pre_hook(before).remove)
            stack.callback(part.register_forward_hook(leave_call(path)).remove)
        yield


@contextmanager
def _watch_functions(
    module: nn.Module, paths: frozenset[str], take: See, thread: int
) -> Iterator[None]:
    """Show calls of functions; for that the innermost module at work has to be known."""

    def see(path: str, number: int, args: tuple[Any, ...], output: Any) -> Any:
        return take(LayerReference(path, number), args, output)

    with placing(module, FunctionCalls(see, paths), thread):
        yield


@contextmanager
def placing(
    module: nn.Module, calls: PlacedCalls, thread: int | None = None
) -> Iterator[PlacedCalls]:
    """Let every torch function of a net's passes be seen, with the module that calls it.

    Args:
        module: The net.
        calls: What sees them.
        thread: Whose passes; this thread's when None.
    """
    thread = threading.get_ident() if thread is None else thread
    with ExitStack() as stack:
        stack.callback(module.register_forward_pre_hook(_run_in(thread, calls.begin)).remove)
        for path, part in module.named_modules():
            if path:
                enter = _run_in(thread, partial(calls.enter, path))
                leave = _run_in(thread, calls.leave)
                stack.callback(part.register_forward_pre_hook(enter).remove)
                stack.callback(part.register_forward_hook(leave).remove)
        stack.enter_context(calls)
        yield calls


def _run_in(thread: int, function: Callable[[], None]) -> Callable[..., None]:
    """Make a hook that a thread's own calls run, and those of others do not."""

    def hook(*_: Any) -> None:
        if threading.get_ident() == thread:
            function()

    return hook


def _call_with(enter: Callable[[str], None], path: str, thread: int, *_: Any) -> None:
    if threading.get_ident() == thread:
        enter(path)


_RELEASED = threading.Condition()
_HOLDERS: dict[int, int] = {}
"""By the id of a module: the thread that it is held for."""


@contextmanager
def hold(module: nn.Module) -> Iterator[None]:
    """Hold a net and all its parts for this thread; another that wants any of them waits.

    They are taken all at once, so that two threads cannot each wait for what the other has.
    """
    me = threading.get_ident()
    parts = {id(part) for part in module.modules()}
    taken: set[int] = set()
    try:
        with _RELEASED:
            _RELEASED.wait_for(lambda: all(_HOLDERS.get(part, me) == me for part in parts))
            taken.update(parts - _HOLDERS.keys())
            _HOLDERS.update(dict.fromkeys(taken, me))
        yield
    finally:
        with _RELEASED:
            for part in taken:
                _HOLDERS.pop(part, None)
            _RELEASED.notify_all()


def _forget_other_threads() -> None:
    me = threading.get_ident()
    for part in [part for part, thread in _HOLDERS.items() if thread != me]:
        del _HOLDERS[part]


keep_over_fork(_RELEASED, _forget_other_threads)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Keep a net in evaluation mode, part by part, so that each flag can be put back.

    The net is held (:func:`hold`) meanwhile: its flags and hooks are one for all threads.
    """
    with hold(module), evaluating_for_a_pass(module):
        yield
