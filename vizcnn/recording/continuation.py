"""The rest of a net's pass: what comes after a layer, run again and again on other outputs of it.

What came before the layer is not computed again: modules that had finished by then are passed over,
and where a later operation wants what one of them put out, as across a skip connection, it gets
what was kept. The net is watched for that, not taken apart, so any net will do. Where passing over
does not give the numbers of a full pass to the last bit, which is tried, full passes are made.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vizcnn.basics.errors import LayerError, quote
from vizcnn.basics.memory import find_shortage
from vizcnn.recording.arithmetic import chosen_arithmetic
from vizcnn.recording.layers import LayerReference, find_layer, parse_call
from vizcnn.recording.watch import evaluating, watch
from vizcnn.zoo.model import ZooModel

Skipped = dict[LayerReference, bool]
"""Calls that are passed over, in order, and whether what they put out is used after the layer."""


@dataclass(frozen=True)
class _Plan:
    """What is passed over.

    Attributes:
        skipped: Calls, as a full pass counts them.
        target: The call of the layer, as a pass counts it in which the others are passed over.
    """

    skipped: Skipped
    target: LayerReference


@dataclass(frozen=True, eq=False)
class Rest:
    """The rest of a pass of some photos.

    Attributes:
        maps: What the layer put out, (N, C, h, w) or (N, C).
        logits: What the net put out, (N, classes).
        run: Gives the logits for other outputs of the layer, of the same shape; it may write over
            what it is given.
    """

    maps: Tensor
    logits: Tensor
    run: Callable[[Tensor], Tensor]


class Continuation:
    """Runs what comes after a layer of a net.

    Args:
        model: A net of the zoo; it is as before whenever no pass is under way.
        layer: Canonical name or module path.
        pixels: A photo to try it on, (1, 3, S, S), RGB 0..1.

    Attributes:
        is_short: Whether what comes before the layer is passed over; else passes are whole.
        units: How many units, or feature maps, the layer puts out.

    Raises:
        LayerError: If the layer does not exist, was not called, or puts out no feature maps.

    Example:
        >>> import vizcnn
        >>> model = vizcnn.load("lenet", weights="bundled")
        >>> photo = model.read("coffee")
        >>> rest = Continuation(model, "conv3", photo)
        >>> with rest.begin(photo) as begun:
        ...     tuple(begun.maps.shape), tuple(begun.run(torch.zeros_like(begun.maps)).shape)
        ((1, 120, 1, 1), (1, 10))
        >>> rest.is_short
        True
    """

    def __init__(self, model: ZooModel, layer: str, pixels: Tensor) -> None:
        self._model, self._layer = model, layer
        self._target = parse_call(find_layer(model, layer))
        with self._prepare(pixels) as inputs:
            maps, logits, _ = self._record(inputs, {})
            self._plan = self._find_plan(inputs, maps, logits)
        self.is_short, self.units = self._plan is not None, maps.shape[1]

    @contextmanager
    def begin(self, pixels: Tensor) -> Iterator[Rest]:
        """Run photos through the whole net, and be ready to run its rest again.

        Args:
            pixels: (N, 3, S, S), RGB 0..1.

        Yields:
            The rest of their pass, to be used inside the block.
        """
        module, plan = self._model.module, self._plan
        with self._prepare(pixels) as inputs:
            maps, logits, kept = self._record(inputs, plan.skipped if plan else {})

            def run(changed: Tensor) -> Tensor:
                # only for the pass: another one inside the block is as any
                if plan is None:
                    passing = _replace(module, self._target, changed)
                else:
                    passing = _pass_over(module, plan, kept, changed)
                with passing:
                    result: Tensor = module(inputs)
                return result

            yield Rest(maps, logits, run)

    @contextmanager
    def _prepare(self, pixels: Tensor) -> Iterator[Tensor]:
        module, normalise = self._model.module, self._model.preprocessing.normalise
        like = next(module.parameters())
        with evaluating(module), chosen_arithmetic(), torch.no_grad():
            yield normalise(pixels.to(like.device, like.dtype))

    def _record(
        self, inputs: Tensor, skipped: Skipped
    ) -> tuple[Tensor, Tensor, dict[LayerReference, Any]]:
        """Run the net, and keep the layer's output and what its rest wants of the calls before."""
        found: list[Tensor] = []
        kept: dict[LayerReference, Any] = {}

        def see(call: LayerReference, args: object, output: Any) -> None:
            if skipped.get(call):
                kept[call] = _copy(output)
            if call == self._target and isinstance(output, Tensor):
                found.append(output.clone())

        paths = {self._target.path, *(call.path for call in skipped)}
        with watch(self._model.module, paths, see):
            logits = self._model.module(inputs)
        if not found or found[0].ndim not in (2, 4):
            raise LayerError(
                f"layer {quote(self._layer)} puts out no feature maps in this net's pass"
            )
        return found[0], logits, kept

    def _find_plan(self, inputs: Tensor, maps: Tensor, logits: Tensor) -> _Plan | None:
        """Find what can be passed over, and try it: the logits have to be equal to the last bit."""
        module = self._model.module
        calls, number = _list_finished(module, self._target, inputs)
        every = dict.fromkeys(calls, True)
        _, _, kept = self._record(inputs, every)
        target = LayerReference(self._target.path, number)
        if any(output is None for output in kept.values()):
            return None
        try:
            with _UseWatch(kept) as used:
                used.add(self._run(inputs, _Plan(every, target), kept, maps, copies=False))
            # tuples are taken apart without a word to torch
            plan = _Plan(
                {call: not isinstance(kept[call], Tensor) or call in used.calls for call in calls},
                target,
            )
            half = maps / 2
            with _replace(module, self._target, half.clone()):
                expected = module(inputs)
            same = torch.equal(self._run(inputs, plan, kept, maps), logits)
            same &= torch.equal(self._run(inputs, plan, kept, half), expected)
        except Exception as error:  # of a net that cannot do without what is passed over
            if find_shortage(error):
                raise
            return None
        return plan if same else None

    def _run(
        self,
        inputs: Tensor,
        plan: _Plan,
        kept: dict[LayerReference, Any],
        maps: Tensor,
        copies: bool = True,
    ) -> Tensor:
        with _pass_over(self._model.module, plan, kept, maps.clone(), copies):
            result: Tensor = self._model.module(inputs)
        return result


def _list_finished(
    module: nn.Module, target: LayerReference, inputs: Tensor
) -> tuple[list[LayerReference], int]:
    """List the calls of modules that have finished when a layer has, without those inside of them.

    Returns:
        The calls, the layer's own last where it is a module; and the number of the layer's call
        among those of its path that are not inside another of the list.
    """
    stack: list[list[LayerReference]] = [[]]
    finished: list[LayerReference] = []

    def enter(path: str) -> None:
        stack.append([])

    def see(call: LayerReference, args: object, output: object) -> None:
        if not call.is_function:
            stack.pop()
        stack[-1].append(call)
        if call == target and not finished:
            finished.extend(call for calls in stack for call in calls)

    paths = [path for path, _ in module.named_modules() if path]
    if target.is_function:
        paths.append(target.path)
    with watch(module, paths, see, enter):
        module(inputs)
    number = sum(call.path == target.path for call in finished)
    return [call for call in finished if not call.is_function], max(number, 1)


@contextmanager
def _replace(module: nn.Module, target: LayerReference, maps: Tensor) -> Iterator[None]:
    """Replace the output of a call in a pass."""

    def see(call: LayerReference, args: object, output: object) -> Tensor | None:
        return maps if call == target else None

    with watch(module, [target.path], see):
        yield


@contextmanager
def _pass_over(
    module: nn.Module,
    plan: _Plan,
    kept: dict[LayerReference, Any],
    maps: Tensor,
    copies: bool = True,
) -> Iterator[None]:
    """Let one pass begin after a layer: finished modules give what was kept, or nothing.

    Args:
        module: The net.
        plan: What is passed over.
        kept: What the calls put out whose outputs are used.
        maps: What the layer is to put out.
        copies: Give copies, which may be written over.
    """
    nothing = torch.empty(0)
    queues: dict[str, list[Any]] = {}
    for call, used in plan.skipped.items():
        queues.setdefault(call.path, []).append(kept[call] if used else nothing)
    done: Counter[str] = Counter()

    def stand_in(path: str, forward: Callable[..., Any]) -> Callable[..., Any]:
        queue = queues[path]

        def give(*args: Any, **named: Any) -> Any:
            number = done[path]
            done[path] += 1
            if number >= len(queue):
                return forward(*args, **named)
            output = queue[number]
            return _copy(output) if copies and output is not nothing else output

        return give

    with ExitStack() as stack:
        for path in queues:
            part = module.get_submodule(path)
            stack.callback(_put_back, part, part.__dict__.get("forward"))
            part.forward = stand_in(path, part.forward)
        stack.enter_context(_replace(module, plan.target, maps))
        yield


def _put_back(part: nn.Module, forward: Any) -> None:
    if forward is None:
        part.__dict__.pop("forward", None)
    else:
        part.forward = forward


def _copy(output: Any) -> Any:
    """Copy a tensor, or several; None for what else a module may put out."""
    if isinstance(output, Tensor):
        return output.clone()
    if type(output) in (tuple, list):
        parts = [_copy(part) for part in output]
        return None if any(part is None for part in parts) else type(output)(parts)
    return None


class _UseWatch(TorchFunctionMode):
    """Sees which of some calls' outputs any operation uses.

    Args:
        kept: What the calls put out.
    """

    def __init__(self, kept: dict[LayerReference, Any]) -> None:
        super().__init__()
        self._calls = {id(output): call for call, output in kept.items()}
        self.calls: set[LayerReference] = set()

    def add(self, value: Any) -> None:
        """Look for outputs in a value."""
        if isinstance(value, list | tuple):
            for part in value:
                self.add(part)
        elif isinstance(value, dict):
            self.add(list(value.values()))
        elif id(value) in self._calls:
            self.calls.add(self._calls[id(value)])

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), named: dict[str, Any] | None = None
    ) -> Any:
        self.add((args, named or {}))
        return function(*args, **(named or {}))
