"""Functions that a net calls in its forward pass, named so that each call can be addressed.

A call of ``F.relu`` in the module ``layer1.0`` is ``"layer1.0.relu()#1"``, the next one there
``"layer1.0.relu()#2"``: the path of the innermost module at work, the function's name, and the
number of the call in one pass. torchvision's feature extraction calls them ``layer1.0.relu`` and
``layer1.0.relu_1``.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

MARK = "()"
"""Ends the path of a function, where that of a module ends in its name."""

ACTIVATIONS = frozenset(
    """relu relu_ relu6 hardtanh hardtanh_ threshold threshold_ clamp clamp_ clamp_min clamp_min_
    leaky_relu leaky_relu_ elu elu_ celu selu silu silu_ gelu mish softplus hardswish hardswish_
    prelu tanh tanh_ sigmoid sigmoid_""".split()
)
"""Names of functions whose output counts as rectified, or as what stands in its place."""

FUNCTIONS = ACTIVATIONS | frozenset(
    """conv1d conv2d conv3d conv_transpose2d linear addmm matmul max_pool2d avg_pool2d
    adaptive_avg_pool2d adaptive_max_pool2d batch_norm layer_norm group_norm instance_norm
    local_response_norm hardsigmoid softmax log_softmax glu dropout interpolate add add_ sub
    mul mul_ cat concat concatenate mean flatten""".split()
)
"""Names of functions whose calls are layers; those of others cannot be addressed."""

_WRITING = {"iadd": "add", "isub": "sub", "imul": "mul"}
"""Operators that write into their first operand, and what torch.fx takes them for."""

_NAMES: dict[Any, str] = {}


def name_function(function: Callable[..., Any]) -> str:
    """Name a torch function as torch.fx names the node of its call.

    Example:
        >>> import torch
        >>> [name_function(f) for f in (torch.relu, Tensor.relu_, Tensor.__iadd__)]
        ['relu', 'relu_', 'add']
        >>> name_function(torch.ops.aten.conv2d.default)
        'conv2d'
    """
    known = _NAMES.get(function)
    if known is None:
        known = str(getattr(function, "__name__", "")).split(".")[0]
        if known.startswith("__") and known.endswith("__"):
            known = known.strip("_")
            known = _WRITING.get(known, known)
        _NAMES[function] = known
    return known


def join_path(parent: str, name: str) -> str:
    """Give the path of a function that is called in a module.

    Example:
        >>> join_path("layer1.0", "relu"), join_path("", "relu")
        ('layer1.0.relu()', 'relu()')
    """
    return f"{parent}.{name}{MARK}" if parent else f"{name}{MARK}"


SeeCall = Callable[[str, int, tuple[Any, ...], Any], Any]
"""Takes the function's path, the number of the call, its arguments and its result; what this gives
back, unless it is None, goes on in the net in place of the result."""


class PlacedCalls(TorchFunctionMode):
    """Sees the torch functions of a forward pass, and knows the module that each is called in.

    Whoever uses it tells it of modules' calls by :meth:`begin`, :meth:`enter` and :meth:`leave`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._paths: list[str] = [""]

    @property
    def path(self) -> str:
        """Path of the innermost module at work; empty for the net itself."""
        return self._paths[-1]

    def begin(self) -> None:
        """Begin a pass of the net."""
        self._paths = [""]

    def enter(self, path: str) -> None:
        """Take note that a module is called."""
        self._paths.append(path)

    def leave(self) -> None:
        """Take note that the innermost module is done."""
        self._paths.pop()


class FunctionCalls(PlacedCalls):
    """Shows calls of functions in a forward pass, with the module that each is called in.

    Args:
        see: Shown each call that puts out a tensor.
        wanted: Paths of the functions to show; all of :data:`FUNCTIONS` when None.
    """

    def __init__(self, see: SeeCall, wanted: frozenset[str] | None = None) -> None:
        super().__init__()
        self._see, self._wanted = see, wanted
        self._counts: Counter[str] = Counter()

    def begin(self) -> None:
        """Begin a pass of the net."""
        super().begin()
        self._counts.clear()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = name_function(func)
        if name not in FUNCTIONS or not isinstance(result, Tensor):
            return result
        path = join_path(self.path, name)
        if self._wanted is not None and path not in self._wanted:
            return result
        self._counts[path] += 1
        changed = self._see(path, self._counts[path], args, result)
        return result if changed is None else changed
