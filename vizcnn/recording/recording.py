"""Record a forward pass: what every layer put out, and what the way back needs."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from vizcnn.basics.errors import LayerError, ModelError, nearest_names
from vizcnn.recording.backward import Way
from vizcnn.recording.calls import Call
from vizcnn.recording.layers import LayerReference, parse_reference
from vizcnn.recording.recorder import Recorder
from vizcnn.recording.watch import evaluating, watch


@dataclass
class Recording:
    """What one forward pass left behind.

    Attributes:
        input: The net's input (N, C, H, W), a leaf of the autograd graph.
        outputs: Per module path, the output of each of its calls, in order.
        calls: The torch functions called, in order.
        gates: Names of comparisons made on feature maps: masks that no rule knows.
        way: What backward passes follow.
    """

    input: Tensor | None = None
    outputs: dict[str, list[Any]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    gates: list[str] = field(default_factory=list)
    way: Way = field(default_factory=Way)

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
            layer: A module path; ``"path#2"`` is the second call of a module used twice.

        Returns:
            The output with its graph, (N, C, H, W) or (N, C).

        Raises:
            LayerError: If there is no such layer, or it was called several times and no number
                was given, or it does not put out feature maps.
        """
        reference = parse_reference(layer)
        path, call = reference.path, reference.call
        if path not in self.outputs:
            raise LayerError(f"no layer {layer!r}: {nearest_names(path, self.outputs)}")
        found = self.outputs[path]
        if call is None and len(found) > 1:
            raise LayerError(
                f"layer {path!r} is used {len(found)} times in one pass: name one of "
                + ", ".join(f"'{path}#{number + 1}'" for number in range(len(found)))
            )
        if (call or 1) > len(found):
            raise LayerError(f"layer {path!r} has calls 1..{len(found)}, got {layer!r}")
        return _check_feature_maps(layer, found[(call or 1) - 1])


def _check_feature_maps(layer: str, output: Any) -> Tensor:
    if not isinstance(output, Tensor):
        raise LayerError(f"layer {layer!r} puts out a {type(output).__name__}, not feature maps")
    if output.ndim not in (2, 4):
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
    was recorded belongs to the weights of that moment: change them only when all is projected,
    and use a recording, or record a model, in one thread at a time.

    Args:
        model: Any torch module that takes one batch of images.
        layers: Module paths whose outputs to keep; all when None.
        stops: Whether to end the forward pass, by raising
            :class:`~vizcnn.recording.watch.AllRecorded` in it, once all of ``layers`` are recorded;
            ``"path#2"`` is waited for until its second call. Only for layers that are known not to
            be called again.

    Yields:
        The recording; it fills during the forward pass and stays usable afterwards.

    Raises:
        ModelError: If the model holds scripted or compiled parts, which cannot be seen into.
        LayerError: If a layer does not exist.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        >>> with record(net) as recording:
        ...     _ = net(torch.zeros(1, 3, 8, 8))
        >>> recording.find_output("1").shape
        torch.Size([1, 4, 6, 6])
    """
    _refuse_opaque(model)
    recording = Recording()
    wanted = _choose_layers(model, layers)

    def keep(call: LayerReference, args: tuple[Any, ...], output: Any) -> Any:
        # what a module gives back as it got it may live on elsewhere: that has to stay one tensor
        same = isinstance(output, Tensor) and any(_share_memory(output, value) for value in args)
        recording.outputs.setdefault(call.path, []).append(output.clone() if same else output)
        # else a copy goes on: the layer after this one may be a ReLU in place
        return output.clone() if isinstance(output, Tensor) and not same else None

    with ExitStack() as stack:
        stack.enter_context(evaluating(model))
        stack.callback(
            model.register_forward_pre_hook(_leaf_hook(recording), with_kwargs=True).remove
        )
        stack.enter_context(watch(model, wanted, keep, stops=stops and layers is not None))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(Recorder(recording.calls, recording.gates, recording.way))
        yield recording


def _refuse_opaque(model: nn.Module) -> None:
    for path, module in model.named_modules():
        kind = type(module).__name__
        if isinstance(module, torch.jit.ScriptModule) or kind == "OptimizedModule":
            where = f"its part {path!r}" if path else "the model"
            how = "compiled" if kind == "OptimizedModule" else "scripted"
            raise ModelError(
                f"{where} is {how} ({kind}) and cannot be seen into: pass the original torch module"
            )


def _choose_layers(model: nn.Module, layers: Iterable[str] | None) -> list[str]:
    paths = [path for path, _ in model.named_modules() if path]
    if layers is None:
        return paths or [""]
    wanted = list(layers)
    for path in (parse_reference(layer).path for layer in wanted):
        if path not in paths:
            raise LayerError(f"no layer {path!r}: {nearest_names(path, paths)}")
    return wanted


def _leaf_hook(recording: Recording) -> Callable[..., Any]:
    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if recording.input is not None:
            return None
        if not args or not isinstance(args[0], Tensor) or not args[0].is_floating_point():
            raise ModelError("the model has to be called with a batch of images as first argument")
        recording.input = args[0].detach().clone().requires_grad_()
        # a copy goes in: a leaf of the graph may not be changed in place, as some nets do
        return (recording.input.clone(), *args[1:]), kwargs

    return hook


def _share_memory(output: Tensor, value: Any) -> bool:
    if not isinstance(value, Tensor):
        return False
    return output.untyped_storage().data_ptr() == value.untyped_storage().data_ptr()
