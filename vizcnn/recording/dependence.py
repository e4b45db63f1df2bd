"""What depends on the image, followed at the dispatcher: every operation, detached or not.

The autograd graph does not tell all: a mask of a detached map is a constant to it, and an in-place
write into a view hides what was written. What decides whether an operation has a rule is whether
its operands *depend on the image*. Here every aten operation of a forward pass is seen, below
autograd, and each value that depends on the image knows the step that made it.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode


@dataclass(frozen=True, eq=False)
class Step:
    """An operation whose result depends on the image.

    Attributes:
        name: The operation: ``"mul"``; in-place ones have the name of their twin.
        sources: The arguments that depend on the image: their names and the steps that made them.
        fixed: Arguments that are plain numbers, by name.
    """

    name: str
    sources: tuple[tuple[str, "Step"], ...] = ()
    fixed: tuple[tuple[str, Any], ...] = ()


IMAGE = "image"
"""Name of the step that everything starts from."""

OUTSIDE = "array from outside torch"
"""Name of the step of a value that came back from numpy or a list."""

UNSEEN = "operation out of sight (another thread)"
"""Name of the step of a value that has the image in its graph, but was made unseen."""

_SHAPE_ONLY = frozenset(
    """zeros_like ones_like empty_like full_like rand_like randn_like randint_like new_zeros
    new_ones new_empty new_full new_empty_strided is_same_size""".split()
)
"""Operations that look at the shape of a map and not at what is in it."""

_OVERWRITING = frozenset(("copy_", "fill_", "zero_"))
"""Operations after which nothing is left of what a map held."""

_TRIVIAL = frozenset((0.0, 1.0, -1.0, 2.0, 0.5))
"""Numbers that say nothing of where they come from."""


class Dependence(TorchDispatchMode):
    """Follows what depends on the image through the aten operations of a forward pass.

    A map is known by its memory: views share it, and a write into any of them is a step of all.
    That may count more as dependent than is (a write into one half of a map is taken for a write
    into all of it), never less.

    Args:
        module: The net: its parameters and buffers are known not to depend on the image.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._steps: dict[int, tuple[StorageWeakRef, Step | None]] = {}
        self._left: set[float] = set()
        self._arrays_left = False
        self._image_node: Any = None
        self._paused = 0
        for tensor in (*module.parameters(), *module.buffers()):
            self._set(tensor, None)

    def start(self, image: Tensor) -> None:
        """Let a tensor be the image."""
        self._set(image, Step(IMAGE))
        self._image_node = image.grad_fn

    def find_step(self, value: Any) -> Step | None:
        """Give the step that made a value, or None for what does not depend on the image."""
        if not isinstance(value, Tensor):
            return None
        known = self._look_up(value)
        if known is not None:
            return known[1]
        if self._arrays_left and value.numel() > 1:
            return Step(OUTSIDE)
        return Step(UNSEEN) if self._image_node and self._comes_from_image(value) else None

    def _look_up(self, tensor: Tensor) -> tuple[StorageWeakRef, Step | None] | None:
        """Give what is known of a tensor's memory, unless another has taken its place."""
        key = _find_memory(tensor)
        known = None if key is None else self._steps.get(key)
        return None if known is None or known[0].expired() else known

    def _comes_from_image(self, value: Tensor) -> bool:
        """Tell whether a value that no step is known of has the image in its graph."""
        seen, stack = {None, value.grad_fn}, [value.grad_fn]
        while stack:
            node = stack.pop()
            if node is self._image_node:
                return node is not None
            for parent, _ in node.next_functions if node else ():
                if parent not in seen:
                    seen.add(parent)
                    stack.append(parent)
        return False

    def add(
        self, name: str, sources: Iterable[tuple[str, Any]], result: Tensor, **fixed: Any
    ) -> None:
        """Let a result be made by one step, whatever was computed inside."""
        steps = ((label, self.find_step(value)) for label, value in sources)
        known = tuple((label, step) for label, step in steps if step)
        self._set(result, Step(name, known, tuple(fixed.items())) if known else None)

    @contextmanager
    def pause(self) -> Iterator[None]:
        """See nothing for a while; what is made then is told by :meth:`add`."""
        self._paused += 1
        try:
            yield
        finally:
            self._paused -= 1

    def let_out(self, value: Tensor) -> None:
        """Take note of a map that leaves torch: what comes back may depend on the image."""
        if self.find_step(value) is not None and value.numel() > 1:
            self._arrays_left = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Tell torch not to guard every call against its compiler.

        The guard loads the compiler, which takes a second of every command; compiled nets are
        recorded through what they wrap, so that no call comes from it.
        """
        return False

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if not self._paused:
            self._note(func, args, kwargs, result)
        return result

    def _note(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        schema = _read_schema(func)
        name = schema.name
        given = dict(zip(schema.arguments, args, strict=False)) | kwargs
        if name == "div" and given.get("rounding_mode"):
            name = "div with rounding"
        elif name == "_to_copy" and not _is_continuous(result):
            name = "conversion to integers"
        written_over = name in _OVERWRITING and _fills_memory(given["self"])
        known = {key: v for key, v in given.items() if not (written_over and key == "self")}
        sources = () if name in _SHAPE_ONLY else tuple(self._list_sources(known))
        if name in ("_local_scalar_dense", "item"):
            if sources and isinstance(result, float) and result not in _TRIVIAL:
                self._left.add(result)
            return
        step = None
        if sources:
            fixed = tuple((k, v) for k, v in given.items() if isinstance(v, int | float | bool))
            if name in ("cat", "stack"):
                fixed += (("count", len(given["tensors"])),)
            step = Step(name.rstrip("_") if schema.written else name, sources, fixed)
        for key in schema.written:
            for tensor in _list_tensors(given.get(key)):
                if step is not None or written_over:
                    self._set(tensor, step)
        # a view keeps the step of the memory that it looks into
        made = _list_tensors(result)
        views = schema.views if len(schema.views) == len(made) else schema.views[:1] * len(made)
        for tensor, is_view in zip(made, views, strict=False):
            if not is_view or self._look_up(tensor) is None:
                self._set(tensor, step)

    def _list_sources(self, given: dict[str, Any]) -> Iterator[tuple[str, Step]]:
        for name, value in given.items():
            for item in value if isinstance(value, list | tuple) else (value,):
                step = self.find_step(item)
                if step is not None:
                    yield name, step
                elif isinstance(item, float) and item in self._left:
                    yield name, Step("item")

    def _set(self, tensor: Tensor, step: Step | None) -> None:
        key = _find_memory(tensor)
        if key is not None:
            self._steps[key] = StorageWeakRef(tensor.untyped_storage()), step
        elif step is not None:  # what comes back from it is not known to be the same
            self._arrays_left = True


@dataclass(frozen=True)
class _Schema:
    """What is asked of an operation's schema at every call.

    Attributes:
        name: Name, without its namespace and overload.
        arguments: Names of the arguments, in order.
        written: Those that it writes into.
        views: For each thing that it gives back, whether that is a view or an argument.
    """

    name: str
    arguments: tuple[str, ...]
    written: tuple[str, ...]
    views: tuple[bool, ...]


@cache
def _read_schema(func: Any) -> _Schema:
    """Read an operation's schema, once: torch makes its parts anew at each look."""
    schema = func._schema
    return _Schema(
        name=schema.name.split("::")[-1],
        arguments=tuple(argument.name for argument in schema.arguments),
        written=tuple(
            argument.name
            for argument in schema.arguments
            if argument.alias_info and argument.alias_info.is_write
        ),
        views=tuple(returned.alias_info is not None for returned in schema.returns),
    )


def _find_memory(tensor: Tensor) -> int | None:
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):  # sparse and other tensors without one memory
        return None


def _fills_memory(tensor: Tensor) -> bool:
    """Tell whether a map is all that its memory holds."""
    return (
        _find_memory(tensor) is not None
        and tensor.numel() * tensor.element_size() == tensor.untyped_storage().nbytes()
    )


def _is_continuous(value: Any) -> bool:
    return isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex())


def _list_tensors(result: Any) -> list[Tensor]:
    values = result if isinstance(result, list | tuple) else (result,)
    flat = [v for value in values for v in (value if isinstance(value, list | tuple) else (value,))]
    return [value for value in flat if isinstance(value, Tensor)]
