"""Names for the layers of a net that nobody has named: read off one forward pass.

A stage is what lies between two changes of the maps' size, and its layer the last rectified map of
that size: ``conv1`` to ``conv5``, from the largest size down, or ``stage1``, ``stage2``, ... in a
net that has a part of its own called conv1. Of more than five sizes the last five count. The last
name is that of the layer that puts out the classes.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from vizcnn.basics.errors import ModelError, VizcnnError
from vizcnn.basics.memory import find_shortage
from vizcnn.zoo.functions import ACTIVATIONS, MARK, FunctionCalls
from vizcnn.zoo.preprocessing import Preprocessing

MOST_STAGES = 5
"""Stages that are named."""

STAGE_WORDS = ("conv", "stage", "level")
"""What stages are called, before their numbers: the first of these that no part of the net is."""

_JOINING = ("cat", "concat", "concatenate")
_SQUASHING = frozenset(("sigmoid", "sigmoid_", "tanh", "tanh_"))


@dataclass(frozen=True)
class Node:
    """A call of a module or of a function in one forward pass.

    Attributes:
        name: As torchvision's feature extraction writes it: ``layer1.0.relu_1``.
        path: Module path with the number of the call where there are several, or a function's.
        kind: Class of the module, or name of the function.
        shape: Of the output, without the batch.
        is_leaf: Whether torch.fx looks no further into it: a function, or a module of torch.nn.
    """

    name: str
    path: str
    kind: str
    shape: tuple[int, ...]
    is_leaf: bool


@dataclass(frozen=True)
class Pass:
    """What happened in one forward pass.

    Attributes:
        nodes: The calls that put out a tensor, in the order in which they were done.
        stages: Per size of maps the path of the last rectified one, the largest size first.
        output: Shape of what the net put out, without the batch.
        last: Path of what put that out; empty if nothing that can be addressed did.
    """

    nodes: tuple[Node, ...]
    stages: tuple[str, ...]
    output: tuple[int, ...]
    last: str


@dataclass
class _Call:
    path: str
    number: int
    kind: str
    output: Tensor
    is_leaf: bool
    hidden: bool
    """Whether it is a function inside a leaf, which has no node of its own."""
    rank: int
    """How plainly its output is a rectified map: 2, of a squashing function 1, else 0."""


def trace_pass(module: nn.Module, inputs: Tensor) -> Pass:
    """Run a net once, in evaluation mode and without a graph, and see what it calls.

    The net is left as it was, flags, hooks and torch's random state included.

    Args:
        module: Any torch net that takes one batch of images and gives one tensor.
        inputs: One square image as the net takes it, (1, channels, S, S).

    Raises:
        ModelError: If the net cannot run on it, or puts out something else.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
        >>> seen = trace_pass(net, torch.zeros(1, 3, 8, 8))
        >>> [node.name for node in seen.nodes], seen.stages, seen.last
        (['0', '1', '2', '3'], ('1',), '3')
    """
    calls: list[_Call] = []
    paths = {id(part): path for path, part in module.named_modules()}
    inside: list[bool] = []
    counts: Counter[str] = Counter()
    ranks: dict[int, int] = {}  # by the id of a tensor, which lives as long as the calls

    def see(path: str, number: int, args: tuple[Any, ...], result: Tensor) -> None:
        kind = path.removesuffix(MARK).rsplit(".", 1)[-1]
        if kind in ACTIVATIONS:
            ranks[id(result)] = 1 if kind in _SQUASHING else 2
        elif kind in _JOINING:  # as those that are joined, at most
            ranks[id(result)] = min((ranks.get(id(item), 0) for item in args[0]), default=0)
        rank = ranks.get(id(result), 0)
        calls.append(_Call(path, number, kind, result, True, any(inside), rank))

    functions = FunctionCalls(see)

    def enter(path: str, part: nn.Module, args: Any) -> None:
        functions.enter(path)
        inside.append(_is_leaf(part))

    def leave(path: str, part: nn.Module, args: Any, output: Any) -> None:
        functions.leave()
        is_leaf = inside.pop()
        counts[path] += 1
        if isinstance(output, Tensor):
            kind = type(part).__name__
            rank = ranks.get(id(output), 0)
            calls.append(_Call(path, counts[path], kind, output, is_leaf, any(inside), rank))

    with ExitStack() as stack:
        for part in module.modules():
            path = paths[id(part)]
            if path:
                stack.callback(part.register_forward_pre_hook(partial(enter, path)).remove)
                stack.callback(part.register_forward_hook(partial(leave, path)).remove)
        stack.enter_context(evaluating_for_a_pass(module))
        stack.enter_context(torch.no_grad())
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.enter_context(functions)
        output = _run(module, inputs)
    if not isinstance(output, Tensor):
        raise ModelError(
            f"the net puts out a {type(output).__name__}, not one tensor: give a module that puts "
            "out class scores (N, classes) alone"
        )
    return _describe(calls, counts, output)


@contextmanager
def evaluating_for_a_pass(module: nn.Module) -> Iterator[None]:
    """Put a net into evaluation mode, part by part, and each part's flag back afterwards."""
    training = [part for part in module.modules() if part.training]
    try:
        for part in training:
            part.training = False
        yield
    finally:
        for part in training:
            part.training = True


def _run(module: nn.Module, inputs: Tensor) -> Any:
    try:
        return module(inputs)
    except VizcnnError:
        raise
    except Exception as error:
        if find_shortage(error):
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"the net does not run on an image of {inputs.shape[-1]} x {inputs.shape[-2]} px with "
            f"{inputs.shape[1]} channel(s) ({reason}): give the input size that it takes "
            "(preprocessing='size=..', --preprocess size=..)"
        ) from error


def _is_leaf(part: nn.Module) -> bool:
    """Tell what torch.fx takes as a whole."""
    home = type(part).__module__
    return home.startswith(("torch.nn", "torch.ao.nn")) and not isinstance(part, nn.Sequential)


def _describe(calls: Sequence[_Call], counts: Counter[str], output: Tensor) -> Pass:
    times = Counter(call.path for call in calls)
    maps = [call for call in calls if not call.hidden and _is_map(call.output)]
    rank = max((call.rank for call in maps), default=0)
    stages: dict[int, str] = {}
    nodes = []
    names: Counter[str] = Counter()
    last = ""
    for call in calls:
        shape = tuple(call.output.shape[1:])
        reference = _refer(call, max(times[call.path], counts[call.path]))
        if not call.hidden:
            if call.rank >= rank and _is_map(call.output):
                stages[shape[1]] = reference
            if call.output is output:
                last = reference
            base = call.path.removesuffix(MARK)
            name = base if not names[base] else f"{base}_{names[base]}"
            names[base] += 1
            nodes.append(Node(name, reference, call.kind, shape, call.is_leaf))
    if not last:
        scores = output.numel()
        fitting = [node.path for node in nodes if math.prod(node.shape) == scores]
        last = fitting[-1] if fitting and output.ndim == 2 else ""
    in_order = tuple(stages[size] for size in sorted(stages, reverse=True))
    return Pass(tuple(nodes), in_order, tuple(output.shape[1:]), last)


def _is_map(output: Tensor) -> bool:
    """Tell feature maps from all else; of a square image they are square, matrices hardly ever."""
    return output.ndim == 4 and output.shape[-1] == output.shape[-2] > 1


def _refer(call: _Call, times: int) -> str:
    is_function = call.path.endswith(MARK)
    return f"{call.path}#{call.number}" if is_function or times > 1 else call.path


def look_at(module: nn.Module, preprocessing: Preprocessing) -> Pass:
    """Run a net once on a black image, to see what it calls and puts out.

    Raises:
        ModelError: If it does not run, or puts out no class scores.
    """
    like = next(module.parameters(), torch.zeros(()))
    size = preprocessing.input_size
    black = torch.zeros(1, 3, size, size, device=like.device, dtype=like.dtype)
    seen = trace_pass(module, preprocessing.normalise(black))
    if len(seen.output) != 1:
        shape = ", ".join(map(str, ("N", *seen.output)))
        raise ModelError(
            f"{type(module).__name__} puts out ({shape}); needed: class scores (N, classes). "
            "vizcnn.Projector takes it as it is; for pages, give a module that ends in scores"
        )
    return seen


def name_mixed(seen: Pass) -> dict[str, str]:
    """Give the paths of nodes that a module and a function of one name share the numbers of.

    torchvision and torch.fx count both together: in a net with a part ``relu`` that calls
    ``F.relu`` as well, ``relu_1`` may be the second call of the one or the first of the other.

    Args:
        seen: What :func:`trace_pass` gave.

    Returns:
        Paths by names of nodes, as torchvision writes them and as torch.fx does.
    """
    homes = {node.path.partition("#")[0] for node in seen.nodes}
    mixed = [
        node
        for node in seen.nodes
        if {(base := node.path.partition("#")[0].removesuffix(MARK)), base + MARK} <= homes
    ]
    return {name: node.path for node in mixed for name in (node.name.replace(".", "_"), node.name)}


def name_traced(module: nn.Module, seen: Pass) -> dict[str, str]:
    """Name the layers of a net by what was seen of it.

    Args:
        module: The net.
        seen: What :func:`trace_pass` gave.

    Returns:
        Names and paths, in the order of the forward pass; that of the classes last.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
        >>> name_traced(net, trace_pass(net, torch.zeros(1, 3, 8, 8)))
        {'conv1': '1', '3': '3'}
    """
    own = {path for path, _ in module.named_modules()}
    stages = seen.stages[-MOST_STAGES:]
    numbers = range(1, MOST_STAGES + 1)
    free = [word for word in STAGE_WORDS if not own & {f"{word}{number}" for number in numbers}]
    word = free[0] if free else STAGE_WORDS[0]
    names = {f"{word}{number}": path for number, path in enumerate(stages, start=1)}
    if seen.last:
        told = next(node.name for node in seen.nodes if node.path == seen.last)
        names[told] = seen.last
    return names
