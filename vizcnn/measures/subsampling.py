"""Every step of a net that keeps only some places of its maps, and what it would give at all."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vizcnn.basics.errors import LayerError
from vizcnn.recording.arithmetic import chosen_arithmetic
from vizcnn.recording.recording import record
from vizcnn.recording.unpool import pair
from vizcnn.recording.watch import placing
from vizcnn.zoo.functions import PlacedCalls, join_path, name_function

Kind = Literal["convolution", "max pooling", "average pooling", "slice"]
"""What a step does before it leaves places out; a slice does nothing else."""

Size = tuple[int, int]
"""Rows and columns."""

LEAST_KEPT = 4
"""Rows and columns that have to be left for frequencies to be told apart."""


@dataclass(frozen=True, kw_only=True)
class Subsampling:
    """A step of a net that keeps every s-th place of a map.

    Attributes:
        name: Path of the module, or of the function in it; ``#2`` for the second call of one.
        kind: What is computed at each place.
        window: Rows and columns of its window, without dilation; 1 x 1 for a slice.
        stride: Down and across; one of them is 2 or more.
        dilation: Of its window.
        maps: Number of maps.
        dense: Rows and columns at stride 1.
        kept: Rows and columns that are left.
        depthwise: Whether each map is convolved alone, as blurring does it.
    """

    name: str
    kind: Kind
    window: Size
    stride: Size
    dilation: Size = (1, 1)
    maps: int
    dense: Size
    kept: Size
    depthwise: bool = False


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A step that gives fewer values than it gets, and is not measured.

    Attributes:
        name: As of a :class:`Subsampling`.
        what: The operation, in words.
        reason: Why.
    """

    name: str
    what: str
    reason: str


@dataclass(frozen=True)
class _Found:
    """A call that subsamples: what it is, and its maps at stride 1 when they are asked for."""

    step: Subsampling
    compute: Callable[[], Tensor]
    kept: Tensor
    phase: tuple[Any, ...] | None = None
    """Of a slice: the map that it is taken from, and where it begins."""


See = Callable[[str, "_Found | LeftOut"], None]


def find_subsamplings(
    module: nn.Module, inputs: Tensor
) -> tuple[tuple[Subsampling, ...], tuple[LeftOut, ...]]:
    """Find every step of a net that keeps only some places, from a pass that is recorded.

    Found are convolutions and poolings with a stride (modules, functions and exported operations)
    and slices such as ``x[:, :, ::2, ::2]``, on maps (N, C, H, W); slices of (N, H, W, C) too.
    What cannot be measured is told with its reason: adaptive and global pooling, slices that
    together keep everything (space to depth), maps of which too little is left, resizing.

    Args:
        module: Any net.
        inputs: What it takes; only sizes matter.

    Returns:
        The steps in the order in which they run, and those that are left out.

    Raises:
        ModelError: If the net cannot be seen into.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.MaxPool2d(3, 2), nn.Flatten())
        >>> steps, _ = find_subsamplings(net, torch.zeros(1, 3, 33, 33))
        >>> [(step.name, step.kind, step.dense, step.kept) for step in steps]
        [('0', 'convolution', (31, 31), (16, 16)), ('1', 'max pooling', (14, 14), (7, 7))]
    """
    seen: list[tuple[str, _Found | LeftOut]] = []
    with _showing(module, lambda name, found: seen.append((name, found))):
        module(inputs)
    several = {name.removesuffix("#2") for name, _ in seen if name.endswith("#2")}

    def number(name: str) -> str:
        return f"{name}#1" if name in several else name

    complete = _find_complete([found for _, found in seen if isinstance(found, _Found)])
    steps: list[Subsampling] = []
    others: list[LeftOut] = []
    for name, found in seen:
        if isinstance(found, LeftOut):
            others.append(replace(found, name=number(name)))
        elif found.phase is not None and found.phase[:-1] in complete:
            reason = "all phases of the map are kept, as maps of their own: nothing is lost"
            others.append(LeftOut(name=number(name), what="space to depth", reason=reason))
        else:
            steps.append(replace(found.step, name=number(name)))
    return tuple(steps), tuple(others)


def _find_complete(found: Sequence[_Found]) -> set[tuple[Any, ...]]:
    """Find the maps of which slices keep all phases."""
    phases: dict[tuple[Any, ...], set[Size]] = {}
    for call in found:
        if call.phase is not None:
            phases.setdefault(call.phase[:-1], set()).add(call.phase[-1])
    return {key for key, starts in phases.items() if len(starts) == math.prod(key[-1])}


SeeMaps = Callable[[int, Tensor], None]
"""Takes the number of a step and its maps (N, C, H, W), in the middle of a pass."""


def see_dense(
    module: nn.Module, inputs: Tensor, steps: Sequence[Subsampling], see: SeeMaps
) -> None:
    """Run a net, and show what its subsamplings would give at stride 1.

    What the net gets is what it always gets: of each dense map
    ``[..., ::stride[0], ::stride[1]]``.

    Args:
        module: The net.
        inputs: A batch (N, C, H, W).
        steps: What :func:`find_subsamplings` found in it.
        see: Shown the dense maps.

    Raises:
        LayerError: If a step is not reached with these inputs.
    """
    _see(module, inputs, steps, lambda number, found: see(number, found.compute()))


def see_kept(module: nn.Module, inputs: Tensor, steps: Sequence[Subsampling], see: SeeMaps) -> None:
    """Run a net, and show what its subsamplings give; as :func:`see_dense`."""
    _see(module, inputs, steps, lambda number, found: see(number, found.kept))


def _see(
    module: nn.Module,
    inputs: Tensor,
    steps: Sequence[Subsampling],
    see: Callable[[int, _Found], None],
) -> None:
    numbers = {step.name.removesuffix("#1"): number for number, step in enumerate(steps)}
    missing = set(numbers)

    def take(name: str, found: _Found | LeftOut) -> None:
        if name in missing and isinstance(found, _Found):
            missing.discard(name)
            see(numbers[name], found)

    with _showing(module, take):
        module(inputs)
    if missing:
        raise LayerError(
            f"{min(missing)} is not reached by every photo, or not on maps of the same size: the "
            "net takes different ways, and its layers cannot be measured together"
        )


@contextmanager
def _showing(module: nn.Module, see: See) -> Iterator[None]:
    leaves = {path for path, part in module.named_modules() if path and not any(part.children())}
    counts: Counter[str] = Counter()

    def number(path: str, function: str) -> str:
        name = path if path in leaves else join_path(path, function)
        counts[name] += 1
        return name if counts[name] == 1 else f"{name}#{counts[name]}"

    # what is recorded is refused where it cannot be seen into, and left as it was
    with (
        record(module, ()),
        torch.no_grad(),
        chosen_arithmetic(),
        placing(module, _Calls(number, see)),
    ):
        yield


class _Calls(PlacedCalls):
    def __init__(self, number: Callable[[str, str], str], see: See) -> None:
        super().__init__()
        self._number, self._see = number, see

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        name = name_function(func)
        parse = _PARSERS.get(name)
        if parse is None:
            return func(*args, **given)
        result = func(*args, **given)
        output = result[0] if isinstance(result, tuple) else result
        # shown at once: the next call may write over what this one got or gave
        if _is_map(_find_source(args, given)) and _is_map(output):
            found = parse(name, args, given, output)
            if found is not None:
                self._see(self._number(self.path, name), found)
        return result


def _find_source(args: tuple[Any, ...], given: Mapping[str, Any]) -> Any:
    """Give the first argument, which exported operations call ``self``."""
    return args[0] if args else given.get("input", given.get("self"))


def _is_map(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


_ORDER = {
    "conv2d": ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    "convolution": (
        *("input", "weight", "bias", "stride", "padding", "dilation"),
        *("transposed", "output_padding", "groups"),
    ),
    "max_pool2d": ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    "avg_pool2d": (
        *("input", "kernel_size", "stride", "padding", "ceil_mode"),
        *("count_include_pad", "divisor_override"),
    ),
}
"""Names of positional arguments; exported operations call the first one ``self``."""


def _name_arguments(name: str, args: tuple[Any, ...], given: Mapping[str, Any]) -> dict[str, Any]:
    named = dict(zip(_ORDER[name], args, strict=False)) | dict(given)
    return named | ({"input": named["self"]} if "self" in named else {})


def _describe(
    kind: Kind,
    window: Size,
    stride: Size,
    output: Tensor,
    compute: Callable[[], Tensor],
    dense: Size,
    dilation: Size = (1, 1),
    depthwise: bool = False,
) -> _Found | LeftOut | None:
    kept = (int(output.shape[-2]), int(output.shape[-1]))
    if max(stride) == 1:
        return None
    whole = tuple(side // step for side, step in zip(dense, stride, strict=True))
    if kept == (1, 1):
        return LeftOut(name="", what=kind, reason="one value of each map is left, and no map")
    if min(whole) < LEAST_KEPT:
        reason = (
            f"{kept[0]} × {kept[1]} values of each map are left: too few to tell frequencies "
            f"apart, which takes {LEAST_KEPT} × {LEAST_KEPT} whole steps"
        )
        return LeftOut(name="", what=kind, reason=reason)
    return _Found(
        Subsampling(
            name="",
            kind=kind,
            window=window,
            stride=stride,
            dilation=dilation,
            maps=int(output.shape[-3]),
            dense=dense,
            kept=kept,
            depthwise=depthwise,
        ),
        compute,
        _batch(output),
    )


def _parse_convolution(
    name: str, args: tuple[Any, ...], given: Mapping[str, Any], output: Tensor
) -> _Found | LeftOut | None:
    named = _name_arguments(name, args, given)
    x, weight = named["input"], named["weight"]
    if weight.ndim != 4 or named.get("transposed"):
        return _parse_other_convolution(name, args, given, output)
    stride, dilation = pair(named.get("stride", 1)), pair(named.get("dilation", 1))
    padding, groups = named.get("padding", 0), int(named.get("groups", 1))
    padding = padding if isinstance(padding, str) else pair(padding)
    window = (int(weight.shape[2]), int(weight.shape[3]))
    padded = (0, 0) if isinstance(padding, str) else padding  # "same" takes no stride

    def compute() -> Tensor:
        return _batch(F.conv2d(x, weight, named.get("bias"), 1, padding, dilation, groups))

    dense = _measure_dense(x, window, padded, dilation)
    depthwise = groups == x.shape[-3] == output.shape[-3] > 1
    return _describe("convolution", window, stride, output, compute, dense, dilation, depthwise)


def _parse_max(
    name: str, args: tuple[Any, ...], given: Mapping[str, Any], output: Tensor
) -> _Found | LeftOut | None:
    named = _name_arguments("max_pool2d", args, given)
    x, window = named["input"], pair(named["kernel_size"])
    stride = pair(named.get("stride") or window)
    padding, dilation = pair(named.get("padding", 0)), pair(named.get("dilation", 1))
    dense, beyond = _extend(_measure_dense(x, window, padding, dilation), stride, output)

    def compute() -> Tensor:
        extended = F.pad(x, beyond, value=-math.inf) if any(beyond) else x
        return _batch(F.max_pool2d(extended, window, 1, padding, dilation))

    return _describe("max pooling", window, stride, output, compute, dense, dilation)


def _parse_average(
    name: str, args: tuple[Any, ...], given: Mapping[str, Any], output: Tensor
) -> _Found | LeftOut | None:
    named = _name_arguments("avg_pool2d", args, given)
    x, window = named["input"], pair(named["kernel_size"])
    stride, padding = pair(named.get("stride") or window), pair(named.get("padding", 0))
    dense, beyond = _extend(_measure_dense(x, window, padding, (1, 1)), stride, output)
    counts = float(named.get("count_include_pad", True))
    divisor = named.get("divisor_override")

    def compute() -> Tensor:
        down, across = padding
        frame = (across, across, down, down)

        def add_up(maps: Tensor, outside: float) -> Tensor:
            framed = F.pad(F.pad(maps, frame, value=outside), beyond)
            return F.avg_pool2d(framed, window, 1, divisor_override=1)

        # torch counts the padding, if it is told to, but never what rounding up goes beyond it
        ones = torch.ones_like(x[..., :1, :, :])
        number: Any = divisor or add_up(ones, counts)
        return _batch(add_up(x, 0.0) / number)

    return _describe("average pooling", window, stride, output, compute, dense)


def _batch(maps: Tensor) -> Tensor:
    return maps if maps.ndim == 4 else maps[None]


def _measure_dense(x: Tensor, window: Size, padding: Size, dilation: Size) -> Size:
    down, across = (
        int(size) + 2 * pad - step * (side - 1)
        for size, side, pad, step in zip(x.shape[-2:], window, padding, dilation, strict=True)
    )
    return down, across


def _extend(dense: Size, stride: Size, output: Tensor) -> tuple[Size, tuple[int, int, int, int]]:
    """Find how far a pooling that rounds up reaches beyond its padding: right and below."""
    needed = [
        (int(count) - 1) * step + 1 for count, step in zip(output.shape[-2:], stride, strict=True)
    ]
    down, across = (max(have, need) for have, need in zip(dense, needed, strict=True))
    return (down, across), (0, across - dense[1], 0, down - dense[0])


def _parse_slice(
    name: str, args: tuple[Any, ...], given: Mapping[str, Any], output: Tensor
) -> _Found | LeftOut | None:
    x = _find_source(args, given)
    cuts = _list_cuts(name, x, args, given)
    if x.ndim != 4 or output.ndim != 4 or cuts is None:
        return None
    strided = {dim for dim, (_, step) in cuts.items() if step > 1}
    if strided and strided <= {2, 3}:
        rows, columns = 2, 3
    elif strided == {1, 2}:  # maps last, as transformers have them
        rows, columns = 1, 2
    else:
        return None
    (top, down), (left, across) = (cuts.get(dim, (0, 1)) for dim in (rows, columns))

    def turn(maps: Tensor) -> Tensor:
        return maps if rows == 2 else maps.movedim(-1, 1)

    def compute() -> Tensor:
        return turn(x)[..., top:, left:].clone()

    dense = (int(x.shape[rows]) - top, int(x.shape[columns]) - left)
    found = _describe("slice", (1, 1), (down, across), turn(output), compute, dense)
    if not isinstance(found, _Found):
        return found
    memory = (x.data_ptr(), tuple(x.shape), x._version, (down, across))
    return replace(found, phase=(*memory, (top % down, left % across)))


def _list_cuts(
    name: str, x: Tensor, args: tuple[Any, ...], given: Mapping[str, Any]
) -> dict[int, tuple[int, int]] | None:
    """List where slices of a tensor begin, and their steps, by dimension; None for other indices.

    Slices that end before the map does count as long as they begin where they should: what they
    leave out below is not measured either.
    """
    if name == "slice":
        values = (list(args) + [None] * 5)[1:5]
        dim, first, last, step = (
            given.get(key, value)
            for key, value in zip(("dim", "start", "end", "step"), values, strict=True)
        )
        cut = slice(first, last, step if step is not None else 1)
        places = {(dim or 0) % x.ndim: cut}
    else:
        index = args[1] if isinstance(args[1], tuple) else (args[1],)
        if not all(part is Ellipsis or isinstance(part, slice) for part in index):
            return None
        before = index.index(Ellipsis) if Ellipsis in index else len(index)
        after = index[before + 1 :]
        places = dict(enumerate(index[:before]))
        places |= {x.ndim - len(after) + number: part for number, part in enumerate(after)}
    cuts = {}
    for dim, part in places.items():
        first, last, step = part.indices(int(x.shape[dim]))
        if step > 1 and last < x.shape[dim] - step:
            return None
        cuts[dim] = (first, step)
    return cuts


def _parse_adaptive(
    name: str, args: tuple[Any, ...], given: Mapping[str, Any], output: Tensor
) -> LeftOut | None:
    what = f"adaptive {'max' if 'max' in name else 'average'} pooling"
    if output.shape[-2:] == (1, 1):
        reason = "global: one value of each map is left, and no map"
    elif output.shape[-2:] == _find_source(args, given).shape[-2:]:
        reason = "gives as many values as it gets: nothing is left out"
    else:
        reason = "its windows have no one stride: their size follows from that of the map"
    return LeftOut(name="", what=what, reason=reason)


def _parse_global(
    name: str, args: tuple[Any, ...], given: Mapping[str, Any], output: Tensor
) -> LeftOut | None:
    x = _find_source(args, given)
    dims = args[1] if len(args) > 1 else given.get("dim")
    if x.ndim != 4 or not isinstance(dims, list | tuple):
        return None
    if {dim % 4 for dim in dims} not in ({2, 3}, {1, 2}):  # maps first, or last
        return None
    reason = "global: one value of each map is left, and no map"
    return LeftOut(name="", what="mean of each map", reason=reason)


def _parse_other_convolution(
    name: str, args: tuple[Any, ...], given: Mapping[str, Any], output: Tensor
) -> LeftOut | None:
    x = _find_source(args, given)
    if x.ndim == 4 or output.numel() >= x.numel():
        return None
    dimensions = output.ndim - 2
    if all(new * 2 > old for new, old in zip(output.shape[2:], x.shape[2:], strict=True)):
        return None
    reason = f"works in {dimensions} dimensions, and pictures have 2"
    return LeftOut(name="", what=name, reason=reason)


def _parse_shuffle(
    name: str, args: tuple[Any, ...], given: Mapping[str, Any], output: Tensor
) -> LeftOut | None:
    reason = "all phases of the map are kept, as maps of their own: nothing is lost"
    return LeftOut(name="", what="space to depth", reason=reason)


def _parse_resize(
    name: str, args: tuple[Any, ...], given: Mapping[str, Any], output: Tensor
) -> LeftOut | None:
    x = _find_source(args, given)
    if x.ndim != 4 or all(new >= old for new, old in zip(output.shape, x.shape, strict=True)):
        return None
    reason = "new places lie between the old ones: no place is kept, and there is no stride"
    return LeftOut(name="", what="resizing", reason=reason)


def _parse_unmeasured(
    name: str, args: tuple[Any, ...], given: Mapping[str, Any], output: Tensor
) -> LeftOut | None:
    reason = "there is no rule here for what it gives at stride 1"
    return LeftOut(name="", what=name.replace("_", " "), reason=reason)


_Parse = Callable[[str, tuple[Any, ...], Mapping[str, Any], Tensor], "_Found | LeftOut | None"]

_PARSERS: dict[str, _Parse] = {
    "conv2d": _parse_convolution,
    "convolution": _parse_convolution,
    "conv1d": _parse_other_convolution,
    "conv3d": _parse_other_convolution,
    "max_pool2d": _parse_max,
    "max_pool2d_with_indices": _parse_max,
    "avg_pool2d": _parse_average,
    "getitem": _parse_slice,
    "slice": _parse_slice,
    "adaptive_avg_pool2d": _parse_adaptive,
    "adaptive_max_pool2d": _parse_adaptive,
    "adaptive_max_pool2d_with_indices": _parse_adaptive,
    "mean": _parse_global,
    "pixel_unshuffle": _parse_shuffle,
    "interpolate": _parse_resize,
    "lp_pool2d": _parse_unmeasured,
    "fractional_max_pool2d": _parse_unmeasured,
    "fractional_max_pool2d_with_indices": _parse_unmeasured,
}
"""By the name of a function: what tells whether a call of it subsamples."""
