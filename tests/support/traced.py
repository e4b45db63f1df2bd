"""An independent reference: the net as a traced ATen graph, run in float64 with a rule of its own.

Nothing of the library is used. The forward pass down to the layer is traced to a functional graph
(``make_fx`` of ``functionalize``), in which in-place writes, views and detached maps are plain data
flow, and run again with an own autograd function at every rectifier of the graph.
"""

import copy
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import functionalize
from torch.fx.experimental.proxy_tensor import make_fx

ATEN = torch.ops.aten
SMOOTH = (
    "silu",
    "gelu",
    "hardswish",
    "mish",
    "elu",
    "softplus",
    "celu",
    "selu",
    "log_sigmoid_forward",
    "tanh",
    "sigmoid",
    "hardsigmoid",
)
SQUASHING = ("sigmoid", "hardsigmoid", "_softmax", "tanh")
AFFINE = (
    "div",
    "add",
    "sub",
    "rsub",
    "sum",
    "mean",
    "_to_copy",
    "repeat",
    "flip",
    "roll",
    "constant_pad_nd",
    "avg_pool2d",
    "_adaptive_avg_pool2d",
)
SHAPES = (
    "view",
    "expand",
    "unsqueeze",
    "squeeze",
    "permute",
    "_unsafe_view",
    "reshape",
    "clone",
    "slice",
    "select",
    "split",
    "chunk",
    "unbind",
    "split_with_sizes",
    "alias",
    "detach",
)


class Ended(BaseException):
    """Stops the forward pass at the layer."""


def trace(net: nn.Module, image: Tensor, layer: str, call: int = 1) -> fx.GraphModule:
    """Trace a net from the image to what a module puts out."""
    found: list[Tensor] = []
    count = [0]

    def end(module: nn.Module, args: Any, output: Tensor) -> None:
        count[0] += 1
        if count[0] == call:
            found.append(output.clone())
            raise Ended

    def forward(x: Tensor) -> Tensor:
        found.clear()
        count[0] = 0
        handle = net.get_submodule(layer).register_forward_hook(end)
        try:
            net(x.clone())
        except Ended:
            pass
        finally:
            handle.remove()
        return found[0]

    return make_fx(functionalize(forward, remove="mutations_and_views"))(image)


class Rule(torch.autograd.Function):
    """An activation whose way back is a rule's; the reference's own."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, run: Callable[[Tensor], Tensor], method: str, below: float | None
    ) -> Tensor:
        ctx.run, ctx.method, ctx.below = run, method, below
        ctx.save_for_backward(x)
        return run(x)

    @staticmethod
    def backward(ctx: Any, *signals: Tensor) -> tuple[Tensor | None, ...]:
        (x,), (signal,) = ctx.saved_tensors, signals
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            value = ctx.run(leaf)
            (slope,) = torch.autograd.grad(value, leaf, torch.ones_like(value))
        if ctx.method == "gradient":
            back = signal * slope
        elif ctx.below is not None:  # a leaky rectifier: the published rule plus the slope's share
            positive = signal.clamp(min=0)
            kept = positive if ctx.method == "deconvnet" else positive * (x > 0)
            back = (1 - ctx.below) * kept + ctx.below * signal
        elif ctx.method == "deconvnet":
            back = signal.clamp(min=0)
        else:
            back = signal.clamp(min=0) * slope * (value > 0)
        return back, None, None, None


class Runner(fx.Interpreter):
    """Runs a traced graph with a rule at its rectifiers."""

    def __init__(self, graph: fx.GraphModule, method: str, unruled: str, gates: str) -> None:
        super().__init__(graph)
        self.method, self.unruled, self.gates = method, unruled, gates
        self.rectified = 0

    def run_node(self, n: fx.Node) -> Any:
        """Run one operation of the graph."""
        name = getattr(getattr(n.target, "_schema", None), "name", "").split("::")[-1]
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        target: Any = n.target
        if n.op == "call_function" and _is_rectifier(name, args, kwargs):
            self.rectified += 1
            high = (
                6.0
                if name in ("relu6",)
                else (args[2] if len(args) > 2 else kwargs.get("max_val", kwargs.get("max")))
            )
            return _rectify(args[0], self.method, high)
        if name == "copy":  # as functionalize leaves writes; torch has no derivative of it
            return args[1].to(args[0].dtype).expand_as(args[0]).clone()
        if name in ("leaky_relu", "prelu", "_prelu_kernel") and self.method != "gradient":
            return self._leak(name, args)
        if name in SMOOTH and self.unruled == "rectify":
            run = lambda x: target(x, *args[1:], **kwargs)  # noqa: E731
            return Rule.apply(args[0], run, self.method, None)
        if name in ("mul", "bmm", "mm") and self.gates == "hold":
            return target(*_hold(n, args), **kwargs)
        if name.startswith("_scaled_dot_product") and self.gates == "hold":
            return target(args[0].detach(), args[1].detach(), *args[2:], **kwargs)
        if name == "glu" and self.gates == "hold":
            maps, gate = args[0].chunk(2, *args[1:])
            return maps * gate.sigmoid().detach()
        return super().run_node(n)

    def _leak(self, name: str, args: Any) -> Any:
        slope = args[1] if len(args) > 1 else 0.01
        if isinstance(slope, Tensor):
            shape = [1, -1] + [1] * (args[0].ndim - 2)
            slope = slope.reshape(shape) if slope.ndim == 1 else slope
            return _leak_by(args[0], slope, self.method)
        return _leak_by(args[0], torch.as_tensor(slope, dtype=args[0].dtype), self.method)


def _leak_by(x: Tensor, slope: Tensor, method: str) -> Tensor:
    # x -> (1 - a) relu(x) + a x: a rectifier beside a straight way
    return (1 - slope) * _rectify(x, method, None) + slope * x


def _rectify(x: Tensor, method: str, high: float | None) -> Tensor:
    return Clamp.apply(x, method, high)


class Clamp(torch.autograd.Function):
    """ReLU, with or without a ceiling, and the three rules, written out."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, method: str, high: float | None) -> Tensor:
        ctx.method = method
        ctx.mask = (x > 0) if high is None else (x > 0) & (x < high)
        return torch.where(
            x > 0, x if high is None else x.minimum(torch.full_like(x, high)), torch.zeros_like(x)
        )

    @staticmethod
    def backward(ctx: Any, *signals: Tensor) -> tuple[Tensor | None, ...]:
        (signal,) = signals
        if ctx.method == "deconvnet":
            signal = torch.where(signal > 0, signal, torch.zeros_like(signal))
        elif ctx.method == "guided":
            signal = torch.where((signal > 0) & ctx.mask, signal, torch.zeros_like(signal))
        else:
            signal = torch.where(ctx.mask, signal, torch.zeros_like(signal))
        return signal, None, None


def _is_rectifier(name: str, args: Any, kwargs: Any) -> bool:
    if name in ("relu", "relu6"):
        return True
    if name in ("clamp", "clamp_min", "hardtanh"):
        low = args[1] if len(args) > 1 else kwargs.get("min", kwargs.get("min_val", None))
        return low == 0 and not isinstance(low, Tensor)
    return name == "threshold" and args[1] == 0 and args[2] == 0


def _hold(node: fx.Node, args: Any) -> Any:
    """Take the factor of a product that is the more plainly a gate as fixed."""
    factors = [n for n in node.args[:2] if isinstance(n, fx.Node) and _sees_image(n)]
    if len(factors) < 2:
        return args
    ratings = [_rate(n) for n in factors]
    if ratings[0] == ratings[1]:
        return args
    index = int(ratings[1] > ratings[0])
    return tuple(a.detach() if i == index else a for i, a in enumerate(args))


def _sees_image(node: fx.Node) -> bool:
    if "sees" not in node.meta:
        node.meta["sees"] = node.op == "placeholder" or any(
            _sees_image(source) for source in node.all_input_nodes
        )
    return bool(node.meta["sees"])


def _rate(node: fx.Node) -> int:
    """Rate a value as a gate: 2 for shares of sigmoids and softmax, 1 for tanh, 0 for none."""
    name = _name(node)
    while node.target is operator.getitem:
        node = node.all_input_nodes[0]
        name = _name(node)
    if name in SQUASHING:
        return 1 if name == "tanh" else 2
    sources = [source for source in node.all_input_nodes if _sees_image(source)]
    if name in ("mul", "div") and len(sources) == 1 and _is_hard_sigmoid(sources[0]):
        return 2
    if name in ("mul", "cat", "stack") and sources:
        return min(map(_rate, sources))
    single = name in SHAPES or name.startswith("upsample") or name in AFFINE
    return _rate(sources[0]) if single and len(sources) == 1 else 0


def _is_hard_sigmoid(node: fx.Node) -> bool:
    return _name(node) in ("hardtanh", "clamp", "relu6") and len(node.args) == 3


def _name(node: fx.Node) -> str:
    name = str(getattr(getattr(node.target, "_schema", None), "name", "")).split("::")[-1]
    # views are copies after functionalize
    return name if name == "_to_copy" else name.removesuffix("_copy")


def project_traced(
    net: nn.Module,
    image: Tensor,
    layer: str,
    unit: int,
    place: tuple[int, ...],
    method: str,
    unruled: str = "refuse",
    gates: str = "refuse",
    seed: str = "activation",
    call: int = 1,
) -> Tensor:
    """Project one unit at one place to the image, in float64.

    Args:
        net: The net; it is copied.
        image: (1, C, H, W).
        layer: Module path.
        unit: Number of the feature map.
        place: Row and column, or () for a vector.
        method: ``gradient``, ``deconvnet`` or ``guided``.
        unruled: ``rectify`` takes the definitions of the two rules at smooth activations.
        gates: ``hold`` takes gates as fixed.
        seed: ``activation`` or ``one``.
        call: Which call of the module.
    """
    double = copy.deepcopy(net).double().eval()
    for parameter in double.parameters():
        parameter.requires_grad_(False)
    graph = trace(double, image.double(), layer, call)
    return send_back(graph, image, unit, place, method, unruled, gates, seed)


def send_back(
    graph: fx.GraphModule,
    image: Tensor,
    unit: int,
    place: tuple[int, ...],
    method: str,
    unruled: str = "refuse",
    gates: str = "refuse",
    seed: str = "activation",
) -> Tensor:
    """Project one unit through a graph that :func:`trace` gave; arguments of project_traced."""
    leaf = image.detach().double().requires_grad_()
    output = Runner(graph, method, unruled, gates).run(leaf)
    value = output[(0, unit, *place)]
    weight = value.detach() if seed == "activation" else torch.ones_like(value)
    (signal,) = torch.autograd.grad(value, leaf, weight)
    return signal
