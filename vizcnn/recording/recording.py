"""Record a forward pass: what every layer put out, and what the way back needs."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from vizcnn.basics.errors import LayerError, ModelError, check_kind, nearest_names, quote
from vizcnn.basics.sharing import ProcessContext
from vizcnn.recording.backward import Way
from vizcnn.recording.calls import Call
from vizcnn.recording.dependence import Dependence, Step
from vizcnn.recording.layers import LayerReference, list_layers, parse_reference
from vizcnn.recording.recorder import Recorder
from vizcnn.recording.watch import evaluating, watch


@dataclass
class Recording:
    """What one forward pass left behind.

    Attributes:
        input: The net's input (N, C, H, W), a leaf of the autograd graph.
        outputs: Per module path, the output of each of its calls, in order.
        known: Module paths that the net has, called or not.
        calls: The torch functions called, in order.
        steps: Per module path, the steps that made these outputs.
        way: What backward passes follow.
        lock: Held by the thread whose backward pass follows the way.
    """

    input: Tensor | None = None
    outputs: dict[str, list[Any]] = field(default_factory=dict)
    known: frozenset[str] = frozenset()
    calls: list[Call] = field(default_factory=list)
    steps: dict[str, list[Step | None]] = field(default_factory=dict)
    way: Way = field(default_factory=Way)
    lock: Any = field(default_factory=threading.RLock, repr=False, compare=False)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise ModelError(
            "a recording holds the graph of its pass, which can be neither copied nor pickled: "
            "copy the net, or what was projected"
        )

    def find_input(self) -> Tensor:
        """Give the net's input, (N, C, H, W).

        Raises:
            ModelError: If no pass was recorded.
        """
        if self.input is None:
            raise ModelError("the recording is empty: run the model inside `with record(model)`")
        return self.input

    def find_output(self, layer: str) -> Tensor:
        """Give the output of a layer.

        Args:
            layer: A module path; ``"path#2"`` is the second call of a module used twice. Or the
                path of a function that was to be kept.

        Returns:
            The output with its graph, (N, C, H, W) or (N, C).

        Raises:
            LayerError: If there is no such layer, or it was called several times and no number
                was given, or it does not put out feature maps.
        """
        path, number = self._find_call(layer)
        return _check_feature_maps(layer, self.outputs[path][number])

    def find_step(self, layer: str) -> Step:
        """Give the step that made a layer's output; errors as in :meth:`find_output`."""
        path, number = self._find_call(layer)
        step = self.steps[path][number]
        if step is None:
            raise LayerError(f"layer {layer!r} does not depend on the input image")
        return step

    def _find_call(self, layer: str) -> tuple[str, int]:
        reference = parse_reference(layer)
        path, call = reference.path, reference.call
        if path not in self.outputs and path in self.known:
            raise LayerError(
                f"layer {path!r} exists but was not called in this forward pass (or in another "
                "thread): name one that is, or a module inside it"
            )
        if path not in self.outputs and reference.is_function:
            parent, _, name = path.rpartition(".")
            raise LayerError(
                f"{name} was not called in {quote(parent) if parent else 'the net itself'} in this "
                "forward pass, or was not to be kept: name a layer that `vizcnn models` lists, and "
                "keep it by name when you record"
            )
        if path not in self.outputs:
            raise LayerError(f"no layer {quote(layer)}: {nearest_names(path, self.outputs)}")
        found = self.outputs[path]
        if call is None and len(found) > 1:
            raise LayerError(
                f"layer {path!r} is used {len(found)} times in one pass: name one of "
                + ", ".join(f"'{path}#{number + 1}'" for number in range(len(found)))
            )
        if (call or 1) > len(found):
            raise LayerError(f"layer {path!r} has calls 1..{len(found)}, got {layer!r}")
        return path, (call or 1) - 1


def _check_feature_maps(layer: str, output: Any) -> Tensor:
    if not isinstance(output, Tensor):
        raise LayerError(f"layer {layer!r} puts out a {type(output).__name__}, not feature maps")
    if not 2 <= output.ndim <= 5:
        raise LayerError(
            f"layer {layer!r} puts out shape {tuple(output.shape)}; needed: feature maps "
            "(N, C, H, W) or a vector of units (N, C)"
        )
    if not output.requires_grad:
        raise LayerError(f"layer {layer!r} is cut off from the input (detached or under no_grad)")
    return output


@contextmanager
def record(
    model: nn.Module, layers: Iterable[str] | None = None, stops: bool = False
) -> Iterator[Recording]:
    """Record the forward pass that is run inside the context.

    Every spelling of ReLU, max pooling and contrast normalisation is seen, whether it is a module
    or a function, in place or not. The model computes what it always computes, in evaluation
    mode. On leaving, by success or by an exception, its hooks and flags are as they were. What
    was recorded belongs to the weights of that moment: change them only when all is projected.

    Any number of threads may record and project one model: each has the model to itself inside its
    context, and one that comes meanwhile waits. What the model computes in other threads is neither
    recorded nor changed, if it is in evaluation mode: in training mode it is out of it, for all
    threads, until the context is left.

    Args:
        model: Any torch module that takes one batch of images.
        layers: Module paths whose outputs to keep, and paths of functions (``"layer1.0.relu()"``);
            all modules when None.
        stops: Whether to end the forward pass, by raising
            :class:`~vizcnn.recording.watch.AllRecorded` in it, once all of ``layers`` are recorded;
            ``"path#2"`` is waited for until its second call. Only for layers that are known not to
            be called again.

    Yields:
        The recording; it fills during the forward pass and stays usable afterwards.

    Raises:
        ModelError: If the model holds scripted parts, which cannot be seen into, or has no values.
        LayerError: If a layer does not exist.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        >>> with record(net) as recording:
        ...     _ = net(torch.zeros(1, 3, 8, 8))
        >>> recording.find_output("1").shape
        torch.Size([1, 4, 6, 6])
    """
    if not isinstance(model, nn.Module):
        raise ModelError(f"got {quote(model)} as a model; needed: a torch module")
    check_kind("stops", stops, bool, "True or False")
    _refuse_opaque(model)
    recording = Recording(known=frozenset(path for path, _ in model.named_modules()))
    wanted = _choose_layers(model, layers)
    dependence = Dependence(model)

    def keep(call: LayerReference, args: tuple[Any, ...], output: Any) -> Any:
        # what a module gives back as it got it may live on elsewhere: that has to stay one tensor
        same = isinstance(output, Tensor) and any(_share_memory(output, value) for value in args)
        recording.outputs.setdefault(call.path, []).append(output.clone() if same else output)
        recording.steps.setdefault(call.path, []).append(dependence.find_step(output))
        # else a copy goes on: the layer after this one may be a ReLU in place
        return output.clone() if isinstance(output, Tensor) and not same else None

    with ExitStack() as stack:
        stack.enter_context(evaluating(model))
        stack.enter_context(_keeping_what_it_holds(model))
        if _is_compiled(model):
            # a compiled net runs what it was compiled from: inside a compiled part nothing is seen
            stack.enter_context(_EAGER)
        stack.callback(
            model.register_forward_pre_hook(
                _leaf_hook(recording, dependence), with_kwargs=True
            ).remove
        )
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(dependence)
        stack.enter_context(Recorder(recording.calls, recording.way, dependence))
        # inside the recorder, which puts its own in the place of functions that are watched
        stack.enter_context(watch(model, wanted, keep, stops=stops and layers is not None))
        yield recording


_EAGER = ProcessContext(lambda: torch.compiler.set_stance("force_eager"))


def _refuse_opaque(model: nn.Module) -> None:
    for path, module in model.named_modules():
        where = f"its part {path!r}" if path else "the model"
        if isinstance(module, torch.jit.ScriptModule):
            raise ModelError(
                f"{where} is scripted ({type(module).__name__}) and cannot be seen into: pass the "
                "original torch module"
            )
        if any(map(is_lazy, module.parameters(recurse=False))):
            raise ModelError(
                f"{where} is lazy ({type(module).__name__}) and has no weights yet: run the net on "
                "a batch of images first"
            )


def _is_compiled(model: nn.Module) -> bool:
    return any(
        type(module).__name__ == "OptimizedModule" or module._compiled_call_impl is not None
        for module in model.modules()
    )


@contextmanager
def _keeping_what_it_holds(model: nn.Module) -> Iterator[None]:
    """Let a net hold what it held before: one that keeps its features would keep their graph."""
    before = [(module, dict(vars(module))) for module in model.modules()]
    lists = [
        (value, list(value))
        for _, held in before
        for value in held.values()
        if isinstance(value, list)
    ]
    try:
        yield
    finally:
        for module, held in before:
            for name, value in list(vars(module).items()):
                if value is not held.get(name) and _holds_graph(value):
                    if name in held:
                        vars(module)[name] = held[name]
                    else:
                        del vars(module)[name]
        for value, kept in lists:
            if any(map(_holds_graph, value)):
                value[:] = kept


def _holds_graph(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_graph, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_holds_graph, value))
    return isinstance(value, Tensor) and value.grad_fn is not None


def _choose_layers(model: nn.Module, layers: Iterable[str] | None) -> list[str]:
    paths = [path for path, _ in model.named_modules() if path]
    if layers is None:
        return paths or [""]
    wanted: list[Any] = list_layers(layers)
    for reference in map(parse_reference, wanted):
        if not reference.is_function and reference.path not in paths:
            near = nearest_names(reference.path, paths)
            raise LayerError(f"no layer {quote(reference.path)}: {near}")
    return wanted


def _leaf_hook(recording: Recording, dependence: Dependence) -> Callable[..., Any]:
    ours = threading.get_ident()

    # torch gives no keywords if the hook is taken off while another thread begins a pass
    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> Any:
        if recording.input is not None or threading.get_ident() != ours:
            return None
        if not args or not isinstance(args[0], Tensor) or not args[0].is_floating_point():
            raise ModelError("the model has to be called with a batch of images as first argument")
        recording.input = args[0].detach().clone().requires_grad_()
        # a copy goes in: a leaf of the graph may not be changed in place, as some nets do
        image = recording.input.clone()
        dependence.start(image)
        return (image, *args[1:]), kwargs

    return hook


def _share_memory(output: Tensor, value: Any) -> bool:
    if not isinstance(value, Tensor):
        return False
    return output.untyped_storage().data_ptr() == value.untyped_storage().data_ptr()
