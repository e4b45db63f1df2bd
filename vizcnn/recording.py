"""Record a forward pass: what every layer put out, and what the way back needs."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from vizcnn.backward import Way, pass_normalisation, pool, rectify
from vizcnn.errors import LayerError, ModelError, nearest_names
from vizcnn.rectifiers import Rectifier, parse_rectifier
from vizcnn.unpool import Window, pair
from vizcnn.zoo.normalisation import normalise_responses

NORMALISATIONS = (F.local_response_norm, normalise_responses)
MAX_POOLINGS = (F.max_pool2d, F.max_pool2d_with_indices, torch.max_pool2d)
COMPARISONS = frozenset(("gt", "ge", "lt", "le", "greater", "less", "sign", "heaviside"))


@dataclass(frozen=True)
class Call:
    """One torch function that the forward pass called.

    Attributes:
        function: The function, as torch's override protocol names it.
        args: Positional arguments.
        kwargs: Keyword arguments.
        output: Its result.
        switches: For max pooling: where each maximum came from.
        window: For max pooling: its geometry.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Tensor
    switches: Tensor | None = None
    window: Window | None = None

    @property
    def name(self) -> str:
        """The function's name."""
        return str(getattr(self.function, "__name__", self.function))

    @property
    def sources(self) -> list[Tensor]:
        """The feature maps among the arguments, lists of them included; parameters left out."""
        values = [*self.args, *self.kwargs.values()]
        flat = [
            item
            for value in values
            for item in (value if isinstance(value, list | tuple) else (value,))
        ]
        return [item for item in flat if _is_feature_map(item)]

    @property
    def source(self) -> Tensor:
        """The first feature map among the arguments."""
        return self.sources[0]


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
        path, _, number = layer.partition("#")
        if path not in self.outputs:
            raise LayerError(f"no layer {layer!r}: {nearest_names(path, self.outputs)}")
        found = self.outputs[path]
        if not number and len(found) > 1:
            raise LayerError(
                f"layer {path!r} is used {len(found)} times in one pass: name one of "
                + ", ".join(f"'{path}#{call + 1}'" for call in range(len(found)))
            )
        index = int(number) - 1 if number.isdigit() else 0
        if not 0 <= index < len(found):
            raise LayerError(f"layer {path!r} has calls 1..{len(found)}, got {layer!r}")
        return _check_feature_maps(layer, found[index])


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
def record(model: nn.Module, layers: Iterable[str] | None = None) -> Iterator[Recording]:
    """Record the forward pass that is run inside the context.

    Every spelling of ReLU, max pooling and contrast normalisation is seen, whether it is a module
    or a function, in place or not. The model computes what it always computes, in evaluation
    mode. On leaving, by success or by an exception, its hooks and flags are as they were.

    Args:
        model: Any torch module that takes one batch of images.
        layers: Module paths whose outputs to keep; all when None.

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
    modules = _choose_modules(model, layers)
    with ExitStack() as stack:
        _evaluate(model, stack)
        stack.callback(
            model.register_forward_pre_hook(_leaf_hook(recording), with_kwargs=True).remove
        )
        for path, module in modules.items():
            stack.callback(module.register_forward_hook(_output_hook(recording, path)).remove)
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(_Recorder(recording))
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


def _choose_modules(model: nn.Module, layers: Iterable[str] | None) -> dict[str, nn.Module]:
    modules = {path: module for path, module in model.named_modules() if path}
    if layers is None:
        return modules or {"": model}
    wanted = [layer.partition("#")[0] for layer in layers]
    for path in wanted:
        if path not in modules:
            raise LayerError(f"no layer {path!r}: {nearest_names(path, modules)}")
    return {path: modules[path] for path in wanted}


def _evaluate(model: nn.Module, stack: ExitStack) -> None:
    """Set evaluation mode module by module, so that each flag can be put back."""
    for module in model.modules():
        if module.training:
            stack.callback(setattr, module, "training", True)
            module.training = False


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


def _output_hook(recording: Recording, path: str) -> Callable[..., Any]:
    def hook(module: nn.Module, args: Any, output: Any) -> Any:
        recording.outputs.setdefault(path, []).append(output)
        # a copy goes on: the layer after this one may be a ReLU in place
        return output.clone() if isinstance(output, Tensor) else None

    return hook


class _Recorder(TorchFunctionMode):
    """Sees every torch function of the forward pass."""

    def __init__(self, recording: Recording) -> None:
        super().__init__()
        self.recording = recording

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        switches = window = None
        rectifier = parse_rectifier(func, args, kwargs)
        if rectifier is not None and rectifier.input.requires_grad:
            result: Any = self._rectify(rectifier)
        elif func in NORMALISATIONS:
            x = args[0] if args else kwargs["input"]
            result = pass_normalisation(x, func(*args, **kwargs), self.recording.way)
        elif func in MAX_POOLINGS and _is_differentiable(args, kwargs):
            result, switches, window = self._pool(func, *args, **kwargs)
        else:
            result = func(*args, **kwargs)
        output = result[0] if switches is not None and isinstance(result, tuple) else result
        if isinstance(output, Tensor):
            self._note(Call(func, args, kwargs, output, switches, window))
        return result

    def _rectify(self, rectifier: Rectifier) -> Tensor:
        result: Tensor = rectify(rectifier.input, rectifier.ceiling, self.recording.way)
        # writing into the input is part of what an in-place call means to the rest of the net
        return rectifier.input.copy_(result) if rectifier.in_place else result

    def _pool(
        self,
        func: Callable[..., Any],
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> tuple[Any, Tensor, Window]:
        size = pair(kernel_size)
        window = Window(
            size, pair(stride) if stride else size, pair(padding), pair(dilation), ceil_mode
        )
        maxima, switches = pool(input, window)
        both = return_indices or func is F.max_pool2d_with_indices
        return ((maxima, switches) if both else maxima), switches, window

    def _note(self, call: Call) -> None:
        if call.output.requires_grad:
            self.recording.calls.append(call)
        elif _compares_maps(call):
            self.recording.gates.append(call.name.strip("_"))


def _compares_maps(call: Call) -> bool:
    # a single truth value only steers the program; a mask can gate feature maps
    return call.name.strip("_") in COMPARISONS and call.output.numel() > 1 and bool(call.sources)


def _is_feature_map(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad and not isinstance(value, nn.Parameter)


def _is_differentiable(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    values = (*args, *kwargs.values())
    return any(isinstance(value, Tensor) and value.requires_grad for value in values)
