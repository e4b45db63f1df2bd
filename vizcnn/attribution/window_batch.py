"""A batch of images that differ from one image in a window each, on its way through a net.

A hidden square changes a window of each feature map, and no more: above and below it, and beside
it, the map is that of the untouched photo. A :class:`WindowBatch` is a batch that knows this. To
the net it is a tensor (K, C, h, w); it holds the map of the photo once, and K windows of it. Every
operation whose geometry is known computes the windows anew that the one before can reach (the cone
of what was changed, forwards), from the windows below and the photo's own map around them. An
operation that mixes all places, or is not known, gets the batch in full, and so does all that comes
after it. Either way the values are those of a full batch.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._pytree import tree_iter, tree_map

from vizcnn.attribution.patchwork import Corners, look, paste
from vizcnn.projection.windows import Windows, cut
from vizcnn.recording.calls import NORMALISATIONS
from vizcnn.recording.unpool import pair

aten: Any = torch.ops.aten


class NotFollowedError(Exception):
    """A net does something with a batch that cannot be followed on windows."""


@dataclass
class Course:
    """What passes of one photo through one net have in common.

    Attributes:
        wholes: What operations make of the untouched photo, in the order of the calls.
        next: Number of the next call of the pass that is under way.
        peak: Bytes of the largest map of one image of the batch so far, in its window.
        fullest: The same of those that an operation got in full.
        spread: The operations that got a batch in full although it was in windows, in order.
    """

    wholes: list[Any] = field(default_factory=list)
    next: int = 0
    peak: int = 0
    fullest: int = 0
    spread: list[str] = field(default_factory=list)

    def count(self, values: Tensor, full: bool = False) -> None:
        """Mind the bytes of a map of K images, (K, ...)."""
        size = values[0].numel() * values.element_size()
        if full:
            self.fullest = max(self.fullest, size)
        else:
            self.peak = max(self.peak, size)

    def begin(self) -> None:
        """Begin a pass."""
        self.next = 0
        self.spread.clear()

    def find_whole(self, compute: Callable[[], Any]) -> Any:
        """Give what the next operation makes of the untouched photo; computed in the first pass."""
        if self.next == len(self.wholes):
            self.wholes.append(compute())
        self.next += 1
        return self.wholes[self.next - 1]


Make = Callable[[Tensor | None], Tensor]
"""Computes what is in the windows of some maps, by their numbers; of all when None."""


class WindowBatch(Tensor):
    """K images (K, C, h, w) that differ from one in a window each.

    Attributes:
        course: That of the photo.
        whole: The map of the untouched photo, (1, C, h, w).
        corners: Row and column of each window's upper left place, (K, 2); they lie in the map.
        extent: Height and width of the windows.
        full: The batch as a plain tensor, once an operation asked for it; it then holds good, and
            whole and windows do not.
        joined: Whether another tensor is a view of this one, or this one of another.
    """

    course: Course
    whole: Tensor
    corners: Corners
    extent: tuple[int, int]
    full: Tensor | None
    joined: bool
    _make: Make
    _windows: Tensor | None

    @staticmethod
    def __new__(
        cls: type["WindowBatch"], course: Course, whole: Tensor, windows: Tensor, corners: Corners
    ) -> "WindowBatch":
        """Make a batch of what is in its windows, (K, C, a, b)."""
        height, width = windows.shape[-2:]
        batch = cls.make_later(course, whole, lambda _: windows, corners, (height, width))
        batch._keep(windows)
        return batch

    @classmethod
    def make_later(
        cls: type["WindowBatch"],
        course: Course,
        whole: Tensor,
        make: Make,
        corners: Corners,
        size: tuple[int, int],
    ) -> "WindowBatch":
        """Make a batch whose windows are computed when they are asked for, all maps or some."""
        batch: WindowBatch = Tensor._make_wrapper_subclass(
            cls,
            (len(corners), *whole.shape[1:]),
            dtype=whole.dtype,
            device=whole.device,
            requires_grad=False,
        )
        batch.course, batch.full, batch.joined = course, None, False
        batch.whole, batch.corners, batch.extent = whole, corners, size
        batch._make, batch._windows = make, None
        return batch

    def __init__(self, *_: object) -> None:
        """All of it happens where the tensor is made."""

    @property
    def windows(self) -> Tensor:
        """What is in the windows, (K, C, a, b)."""
        return self._keep(self._make(None)) if self._windows is None else self._windows

    def pick_windows(self, units: Tensor | None) -> Tensor:
        """Give what is in the windows of some maps; only these are computed if need be."""
        if units is None:
            return self.windows
        return self._make(units) if self._windows is None else self._windows[:, units]

    def _keep(self, windows: Tensor) -> Tensor:
        self._windows = windows
        self.course.count(windows)
        return windows

    def copy(self) -> "WindowBatch":
        """Give another batch that holds the same, and keeps it when this one is written over."""
        batch = WindowBatch.make_later(
            self.course, self.whole, self._make, self.corners, self.extent
        )
        batch._windows = self._windows
        return batch

    def become(self, other: "WindowBatch") -> None:
        """Take over what another batch of the same shape holds."""
        self.whole, self.corners, self.extent = other.whole, other.corners, other.extent
        self._make, self._windows = other._make, other._windows

    def __repr__(self, *_: Any, **__: Any) -> str:  # type: ignore[override]
        """Say what it is; its values would have to be computed."""
        return f"WindowBatch({tuple(self.shape)}, windows {self.extent})"

    def spread(self, asked_by: str) -> Tensor:
        """Give the batch in full, as a plain tensor that is this batch from now on."""
        if self.full is None:
            self.course.spread.append(_WORDS.get(asked_by, asked_by).strip("_"))
            self.full = paste(self.whole, self.windows, self.corners).contiguous()
            self.course.count(self.full, full=True)
        return self.full

    def look(self, corners: Corners, size: tuple[int, int], outside: float = 0.0) -> Tensor:
        """Give what is in other windows, (K, C, *size); they may reach beyond the map.

        Args:
            corners: Theirs, (K, 2).
            size: Theirs.
            outside: What stands beyond the map.
        """
        if size == self.extent and np.array_equal(corners, self.corners):
            return self.windows
        return look(self.whole, self.windows, self.corners, corners, size, outside)

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Take contrast normalisation as one operation; all others are met when they run."""
        kwargs = kwargs or {}
        if func in NORMALISATIONS and isinstance(args[0], cls) and args[0].full is None:
            return _keep_places(args[0], partial(func, **kwargs), args[1:])
        if func is F.max_pool2d_with_indices and isinstance(args[0], cls):
            args = (args[0].spread("max_pool2d_with_indices"), *args[1:])
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **kwargs)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]  # torch declares no defaults
        cls,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Compute an operation on windows where it is known, and else on the full batch."""
        kwargs = kwargs or {}
        batches = [one for one in tree_iter((args, kwargs)) if isinstance(one, WindowBatch)]
        name, writes = func.overloadpacket.__name__, func._schema.is_mutable
        written = args[0] if writes and isinstance(args[0], WindowBatch) else None
        if written is not None and written.joined:
            raise NotFollowedError(f"{name} writes over maps that another tensor is a view of")
        if all(batch.full is None for batch in batches):
            result = _write(func, args, kwargs) if writes else _run(func, args, kwargs)
            if result is not NotImplemented:
                return result

        def spread(value: Any) -> Any:
            return value.spread(name) if isinstance(value, WindowBatch) else value

        result = func(*tree_map(spread, args), **tree_map(spread, kwargs))
        return result if written is None else written


_WORDS = {"view": "flatten", "_unsafe_view": "flatten"}
"""What users call an operation."""


def _keep_places(
    batch: WindowBatch, compute: Callable[..., Any], rest: Sequence[Any] = ()
) -> WindowBatch:
    """Compute what has the same size, place by place of the map."""
    whole = batch.course.find_whole(lambda: compute(batch.whole, *rest))
    return WindowBatch(batch.course, whole, compute(batch.windows, *rest), batch.corners)


def _write(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Compute an operation that writes over its first argument; NotImplemented as of others."""
    batch, overload = args[0], func._overloadname
    plain = getattr(aten, func.overloadpacket.__name__.removesuffix("_"), None)
    if not isinstance(batch, WindowBatch) or plain is None or overload not in plain.overloads():
        return NotImplemented
    former = batch.copy()  # which windows that are computed later refer to
    args, kwargs = tree_map(lambda one: former if one is batch else one, (tuple(args), kwargs))
    result = _run(getattr(plain, overload), args, kwargs)
    if isinstance(result, WindowBatch) and result.shape == batch.shape:
        batch.become(result)
        return batch
    return NotImplemented


def _are_plain(args: Any) -> bool:
    return not any(isinstance(one, WindowBatch) for one in tree_iter(args))


def _run(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Compute an operation on windows; NotImplemented where that is not known."""
    rule = _RULES.get(func.overloadpacket.__name__)
    if rule is not None:
        return rule(func, args, kwargs)
    if torch.Tag.pointwise in func.tags:
        return _compute_pointwise(func, args, kwargs)
    return NotImplemented


def _compute_pointwise(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Compute an operation of each place; maps of other windows are looked at through one."""
    values = [one for one in tree_iter((args, kwargs)) if isinstance(one, Tensor)]
    batches = [one for one in values if isinstance(one, WindowBatch)]
    first = max(batches, key=lambda batch: batch.ndim)
    extent, count = first.shape[-2:], len(first)
    for value in values:
        is_batch = isinstance(value, WindowBatch)
        if is_batch and (value.ndim != first.ndim or value.shape[-2:] != extent):
            return NotImplemented
        if not is_batch and value.ndim > first.ndim:
            return NotImplemented
        if not is_batch and value.ndim == first.ndim and len(value) != 1:
            return NotImplemented  # differs from image to image, and so everywhere
        if not is_batch and not _broadcasts(value, extent):
            return NotImplemented
    corners, size = _join(batches)

    def pick(value: Any) -> Any:
        if isinstance(value, WindowBatch):
            return value.look(corners, size)
        if isinstance(value, Tensor) and value.shape[-2:] == extent and max(extent) > 1:
            value = value.view((1,) * (first.ndim - value.ndim) + value.shape)
            flat = value.reshape(1, -1, *extent)
            images = torch.zeros(count, dtype=torch.int64)
            seen = cut(flat, images, Windows(torch.from_numpy(corners), size))
            return seen.reshape(count, *value.shape[1:-2], *size)
        return value

    whole = first.course.find_whole(
        lambda: func(*tree_map(_whole_of, args), **tree_map(_whole_of, kwargs))
    )
    if len(values) == 1:  # one batch, and numbers

        def make(units: Tensor | None) -> Tensor:
            values = tree_map(lambda one: one.pick_windows(units) if one is first else one, args)
            windows: Tensor = func(*values, **kwargs)
            return windows

        return WindowBatch.make_later(first.course, whole, make, corners, size)
    windows = func(*tree_map(pick, args), **tree_map(pick, kwargs))
    if not isinstance(windows, Tensor):
        return NotImplemented
    return WindowBatch(first.course, whole, windows, corners)


def _broadcasts(value: Tensor, extent: Sequence[int]) -> bool:
    """Tell whether a plain tensor is the same at all places, or has a value for each."""
    sides = value.shape[-2:]
    return all(side == 1 for side in sides) or tuple(sides) == tuple(extent)


def _whole_of(value: Any) -> Any:
    return value.whole if isinstance(value, WindowBatch) else value


def _join(batches: Sequence[WindowBatch]) -> tuple[Corners, tuple[int, int]]:
    """Find windows that hold those of several batches: their corners and one size."""
    first = np.min([batch.corners for batch in batches], axis=0)
    last = np.max([batch.corners + np.array(batch.extent) for batch in batches], axis=0)
    return _fit(first, last, batches[0].shape[-2:])


def _fit(first: Corners, last: Corners, extent: Sequence[int]) -> tuple[Corners, tuple[int, int]]:
    """Give spans of a map, the last exclusive, one size; they are shifted to lie in the map."""
    limit = np.array(extent)
    first = np.minimum(first.clip(min=0), limit - 1)
    last = np.maximum(np.minimum(last, limit), first + 1)
    height, width = (last - first).max(axis=0).tolist()
    return np.minimum(first, limit - np.array([height, width])), (height, width)


def _slide(
    batch: WindowBatch,
    size: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    whole: Tensor,
    outside: float = 0.0,
) -> tuple[Tensor, Corners, tuple[int, int]]:
    """Find which places of a sliding operation's output the windows reach.

    Args:
        batch: The input.
        size: Of the sliding window; the others likewise.
        stride: As in torch.
        padding: As in torch.
        dilation: As in torch.
        whole: The operation's output for the untouched photo.
        outside: What the operation takes for the values beyond the map.

    Returns:
        What it reads for these places, (K, C, a, b), their corners and their size.
    """
    steps, before = np.array(stride), np.array(padding)
    reach = (np.array(size) - 1) * np.array(dilation)
    inner = np.array(batch.extent)
    first = -((reach - batch.corners - before) // steps)  # rounded up
    last = (batch.corners + inner - 1 + before) // steps + 1
    corners, reached = _fit(first, last, whole.shape[-2:])
    height, width = ((np.array(reached) - 1) * steps + reach + 1).tolist()
    read = batch.look(corners * steps - before, (height, width), outside)
    return read, corners, reached


def _convolve(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    batch, weight, bias, stride, padding, dilation, transposed, _, groups = args
    filters_are_fixed = isinstance(batch, WindowBatch) and _are_plain((weight, bias))
    if not filters_are_fixed or transposed or batch.ndim != 4 or batch.dtype != weight.dtype:
        return NotImplemented
    whole = batch.course.find_whole(lambda: func(batch.whole, *args[1:]))
    geometry = pair(weight.shape[2:]), pair(stride), pair(padding), pair(dilation)
    read, corners, size = _slide(batch, *geometry, whole)
    read = read.contiguous()  # as the full pass has it: on a CPU quicker, and rounded alike
    batch.course.count(read)

    def make(units: Tensor | None) -> Tensor:
        filters, shifts = weight, bias
        if units is not None and groups == 1:
            filters, shifts = weight[units], None if bias is None else bias[units]
        windows: Tensor = func(
            read, filters, shifts, stride, [0, 0], dilation, False, [0, 0], groups
        )
        return windows if units is None or groups == 1 else windows[:, units]

    return WindowBatch.make_later(batch.course, whole, make, corners, size)


def _pool_maximum(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    batch, size, stride, padding, dilation, _ = _fill_in(args, ([], 0, 1, False))
    if batch.ndim != 4:
        return NotImplemented
    whole, _ = batch.course.find_whole(lambda: func(batch.whole, *args[1:]))
    stride = stride or size
    geometry = pair(size), pair(stride), pair(padding), pair(dilation)
    read, corners, _ = _slide(batch, *geometry, whole, outside=-math.inf)
    windows, switches = func(read, size, stride, 0, dilation, False)
    # who wants the switches has said so before (__torch_function__)
    return WindowBatch(batch.course, whole, windows, corners), switches


def _pool_average(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    filled = _fill_in(args, ([], 0, False, True, None))
    batch, size, stride, padding, ceil, counts, divisor = filled
    if batch.ndim != 4:
        return NotImplemented
    stride = stride or size
    whole = batch.course.find_whole(lambda: func(batch.whole, *args[1:]))
    read, corners, reached = _slide(batch, pair(size), pair(stride), pair(padding), (1, 1), whole)
    # what a sum is divided by at the edge depends on settings: ask torch for it
    ones = batch.whole.new_ones((1, 1, *batch.whole.shape[-2:]))
    totals = func(ones, size, stride, padding, ceil, counts, 1)
    divisors = totals / func(ones, size, stride, padding, ceil, counts, divisor)
    images = torch.zeros(len(read), dtype=torch.int64)
    here = cut(divisors, images, Windows(torch.from_numpy(corners), reached))
    windows = func(read, size, stride, 0, False, True, 1) / here
    return WindowBatch(batch.course, whole, windows, corners)


def _fill_in(args: Sequence[Any], defaults: Sequence[Any]) -> list[Any]:
    """Fill in defaults after two arguments that have to be given."""
    return [*args, *defaults[len(args) - 2 :]]


def _normalise_batch(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Normalise with fixed statistics, map by map."""
    batch, rest = args[0], args[1:]
    learns = [one for one in rest if isinstance(one, bool)][:1] == [True]
    if not isinstance(batch, WindowBatch) or not _are_plain(rest) or learns or batch.ndim != 4:
        return NotImplemented
    whole, *others = batch.course.find_whole(lambda: func(batch.whole, *rest, **kwargs))

    def make(units: Tensor | None) -> Tensor:
        some = [
            one[units] if isinstance(one, Tensor) and units is not None else one for one in rest
        ]
        windows: Tensor = func(batch.pick_windows(units), *some, **kwargs)[0]
        return windows

    return WindowBatch.make_later(batch.course, whole, make, batch.corners, batch.extent), *others


def _concatenate(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    batches, dim = args[0], args[1] if len(args) > 1 else 0
    if not all(isinstance(one, WindowBatch) for one in batches):
        return NotImplemented
    if len({(one.ndim, *one.shape[-2:]) for one in batches}) > 1 or not _is_inner(batches[0], dim):
        return NotImplemented
    corners, size = _join(batches)
    course = batches[0].course
    whole = course.find_whole(lambda: func([one.whole for one in batches], dim))
    windows = func([one.look(corners, size) for one in batches], dim)
    return WindowBatch(course, whole, windows, corners)


def _is_inner(batch: WindowBatch, dim: int) -> bool:
    """Tell whether a dimension is neither that of the images nor one of the two of places."""
    return 0 < dim % batch.ndim < batch.ndim - 2


def _pad(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    batch, margins, *_ = args
    if min(margins) < 0 or len(margins) < 4 or len(margins) > 2 * (batch.ndim - 1):
        return NotImplemented
    whole = batch.course.find_whole(lambda: func(batch.whole, *args[1:]))
    windows = batch.windows
    if any(margins[4:]):
        windows = func(windows, [0, 0, 0, 0, *margins[4:]], *args[2:])
    corners = batch.corners + np.array([margins[2], margins[0]])
    return WindowBatch(batch.course, whole, windows, corners)


def _keep(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    return args[0]


def _compute_alone(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Compute what keeps the places and is no operation of pairs."""
    return _keep_places(args[0], partial(func, **kwargs), args[1:])


def _slice(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Give some maps of a batch: a view, so that neither may be written into afterwards."""
    batch, dim = args[0], args[1] if len(args) > 1 else 0
    if not _is_inner(batch, dim):
        return NotImplemented
    part = _keep_places(batch, func, args[1:])
    batch.joined = part.joined = True
    return part


def _split(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    batch, sizes, dim = _fill_in(args, (0,))
    if not _is_inner(batch, dim):
        return NotImplemented
    wholes = batch.course.find_whole(lambda: func(batch.whole, sizes, dim))
    parts = [
        WindowBatch(batch.course, whole, windows, batch.corners)
        for whole, windows in zip(wholes, func(batch.windows, sizes, dim), strict=True)
    ]
    for one in (batch, *parts):
        one.joined = True
    return parts


def _reshape(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Divide maps into groups, or join them: the places and the images stay."""
    batch, shape = args[0], list(args[1])
    if len(shape) < 3 or shape[-2:] != list(batch.shape[-2:]) or shape[0] not in (len(batch), -1):
        return NotImplemented
    if shape[0] == -1 or (-1 in shape and math.prod(batch.windows.shape) == 0):
        return NotImplemented
    inner = shape[1:-2]
    whole = batch.course.find_whole(lambda: batch.whole.reshape(1, *inner, *batch.whole.shape[-2:]))
    windows = batch.windows.reshape(len(batch), *inner, *batch.windows.shape[-2:])
    part = WindowBatch(batch.course, whole, windows, batch.corners)
    batch.joined = part.joined = True
    return part


def _transpose(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    batch, one, other = args
    if not (_is_inner(batch, one) and _is_inner(batch, other)):
        return NotImplemented
    part = _keep_places(batch, func, args[1:])
    batch.joined = part.joined = True
    return part


_Rule = Callable[[Any, Sequence[Any], dict[str, Any]], Any]

_RULES: dict[str, _Rule] = {
    "convolution": _convolve,
    "max_pool2d_with_indices": _pool_maximum,
    "avg_pool2d": _pool_average,
    "cat": _concatenate,
    "constant_pad_nd": _pad,
    "slice": _slice,
    "split": _split,
    "split_with_sizes": _split,
    "view": _reshape,
    "_unsafe_view": _reshape,
    "transpose": _transpose,
    "clone": _compute_alone,
    "_to_copy": _compute_alone,
    "hardswish": _compute_pointwise,  # whose tag torch has forgotten
    "detach": _keep,
    "alias": _keep,
    **dict.fromkeys(
        (
            "native_batch_norm",
            "cudnn_batch_norm",
            "miopen_batch_norm",
            "_native_batch_norm_legit",
            "_native_batch_norm_legit_no_training",
            "_batch_norm_no_update",
        ),
        _normalise_batch,
    ),
}
"""Operations that are known beside those that torch marks as pointwise."""
