"""What happens in a forward pass that is recorded."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from vizcnn.recording.backward import Way, pass_normalisation, pool, rectify
from vizcnn.recording.calls import MAX_POOLINGS, NORMALISATIONS, Call
from vizcnn.recording.rectifiers import Rectifier, parse_rectifier
from vizcnn.recording.unpool import Window, pair

COMPARISONS = frozenset(("gt", "ge", "lt", "le", "greater", "less", "sign", "heaviside"))
"""Functions whose result can gate feature maps."""


class Recorder(TorchFunctionMode):
    """Sees every torch function of a forward pass and puts the three of the rules in their place.

    Args:
        calls: Takes the calls on feature maps.
        gates: Takes the names of comparisons on feature maps.
        way: What backward passes will follow.
    """

    def __init__(self, calls: list[Call], gates: list[str], way: Way) -> None:
        super().__init__()
        self.calls, self.gates, self.way = calls, gates, way

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
            result = self._normalise(func, *args, **kwargs)
        elif func in MAX_POOLINGS and _is_differentiable(args, kwargs):
            result, switches, window = self._pool(func, *args, **kwargs)
        else:
            result = func(*args, **kwargs)
        output = result[0] if switches is not None and isinstance(result, tuple) else result
        if isinstance(output, Tensor):
            self._note(Call(func, args, kwargs, output, switches, window))
        return result

    def _rectify(self, rectifier: Rectifier) -> Tensor:
        result: Tensor = rectify(rectifier.input, rectifier.ceiling, self.way)
        # writing into the input is part of what an in-place call means to the rest of the net
        return rectifier.input.copy_(result) if rectifier.in_place else result

    def _normalise(
        self, func: Callable[..., Any], input: Tensor, *args: Any, **kwargs: Any
    ) -> Tensor:
        def normalise(maps: Tensor) -> Tensor:
            normalised: Tensor = func(maps, *args, **kwargs)
            return normalised

        return pass_normalisation(input, normalise, self.way)

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
            self.calls.append(call)
        elif _compares_maps(call):
            self.gates.append(call.name.strip("_"))


def _compares_maps(call: Call) -> bool:
    # a single truth value only steers the program; a mask can gate feature maps
    return call.name.strip("_") in COMPARISONS and call.output.numel() > 1 and bool(call.sources)


def _is_differentiable(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    values = (*args, *kwargs.values())
    return any(isinstance(value, Tensor) and value.requires_grad for value in values)
