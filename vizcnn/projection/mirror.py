"""The deconvnet in its explicit form: unpool, rectify, filter, as Zeiler & Fergus draw it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vizcnn.basics.errors import UnsupportedOperationError
from vizcnn.projection.methods import Method
from vizcnn.projection.rules import Rule
from vizcnn.recording.calls import MAX_POOLINGS, NORMALISATIONS, Call
from vizcnn.recording.recording import Recording
from vizcnn.recording.rectifiers import parse_rectifier
from vizcnn.recording.unpool import pair, unpool


class Unpool(nn.Module):
    """Send values back to their switches; overlaps are summed."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        assert call.switches is not None and call.window is not None
        self.switches, self.window = call.switches, call.window
        self.size = tuple(call.source.shape[-2:])

    def forward(self, signal: Tensor) -> Tensor:
        return unpool(signal, self.switches, self.window, (self.size[0], self.size[1]))

    def extra_repr(self) -> str:
        size, stride = self.window.size, self.window.stride
        window = f"window {size[0]} x {size[1]}, stride {stride[0]}"
        return f"to {self.size[0]} x {self.size[1]} by switches, {window}"


class RectifySignal(nn.Module):
    """Apply the rule of a rectifier on the way back."""

    def __init__(self, call: Call, rule: Rule) -> None:
        super().__init__()
        rectifier = parse_rectifier(call.function, call.args, call.kwargs)
        assert rectifier is not None
        ceiling = rectifier.ceiling
        # the output tells which inputs were active, also where the call was in place
        self.active = (
            call.output > 0 if ceiling is None else (call.output > 0) & (call.output < ceiling)
        )
        self.rule = rule

    def forward(self, signal: Tensor) -> Tensor:
        return self.rule.rectify(signal, self.active)

    def extra_repr(self) -> str:
        return self.rule.name


class TransposedFilter(nn.Module):
    """Filter with the transposed (flipped) filters of a convolution."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        geometry = dict(
            zip(
                ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
                call.args,
                strict=False,
            )
        )
        geometry |= call.kwargs
        self.weight: Tensor = geometry["weight"].detach()
        if isinstance(geometry.get("padding"), str):
            raise UnsupportedOperationError(
                f"no explicit deconvnet: a convolution with padding={geometry['padding']!r}"
            )
        self.stride = pair(geometry.get("stride", 1))
        self.padding = pair(geometry.get("padding", 0))
        self.dilation = pair(geometry.get("dilation", 1))
        self.groups: int = geometry.get("groups", 1)
        self.size = tuple(call.source.shape[-2:])

    def forward(self, signal: Tensor) -> Tensor:
        least = [
            (signal.shape[axis - 2] - 1) * self.stride[axis]
            - 2 * self.padding[axis]
            + self.dilation[axis] * (self.weight.shape[axis - 2] - 1)
            + 1
            for axis in (0, 1)
        ]
        # rows and columns at the far edge that no window reached
        rest = [self.size[axis] - least[axis] for axis in (0, 1)]
        return F.conv_transpose2d(
            signal, self.weight, None, self.stride, self.padding, rest, self.groups, self.dilation
        )

    def extra_repr(self) -> str:
        maps, channels, height, width = self.weight.shape
        geometry = f"{height} x {width}, stride {self.stride[0]}"
        return f"{maps} -> {channels * self.groups} maps, {geometry}, flipped filters"


class TransposedLinear(nn.Module):
    """Multiply by the transposed weights of a fully connected layer."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self.weight: Tensor = (
            call.args[1] if len(call.args) > 1 else call.kwargs["weight"]
        ).detach()

    def forward(self, signal: Tensor) -> Tensor:
        return signal @ self.weight

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]} -> {self.weight.shape[1]} units, transposed weights"


class Reshape(nn.Module):
    """Undo a flatten or view."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self.shape = tuple(call.source.shape[1:])

    def forward(self, signal: Tensor) -> Tensor:
        return signal.reshape(signal.shape[0], *self.shape)

    def extra_repr(self) -> str:
        return " x ".join(map(str, self.shape))


class ScaleChannels(nn.Module):
    """Multiply by the fixed scale of a batch normalisation."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        names = (
            "input",
            "running_mean",
            "running_var",
            "weight",
            "bias",
            "training",
            "momentum",
            "eps",
        )
        given = dict(zip(names, call.args, strict=False)) | call.kwargs
        scale = (given["running_var"] + given.get("eps", 1e-5)).rsqrt()
        self.scale: Tensor = (
            scale if given.get("weight") is None else scale * given["weight"]
        ).detach()

    def forward(self, signal: Tensor) -> Tensor:
        return signal * self.scale[:, None, None]

    def extra_repr(self) -> str:
        return f"{len(self.scale)} maps"


class ContrastNormalisationBack(nn.Module):
    """Skip contrast normalisation, or take its true gradient."""

    def __init__(self, call: Call, skip: bool) -> None:
        super().__init__()
        self.call, self.skip = call, skip

    def forward(self, signal: Tensor) -> Tensor:
        if self.skip:
            return signal
        with torch.enable_grad():
            source = self.call.source.detach().requires_grad_()
            # the parameters may come by position or by name; only the input is replaced
            options = {name: value for name, value in self.call.kwargs.items() if name != "input"}
            normalised = self.call.function(source, *self.call.args[1:], **options)
            return torch.autograd.grad(normalised, source, signal)[0]

    def extra_repr(self) -> str:
        return "passed over" if self.skip else "true gradient"


RESHAPES = (torch.flatten, Tensor.flatten, Tensor.view, Tensor.reshape, torch.reshape)
IDENTITIES = (
    Tensor.clone,
    torch.clone,
    Tensor.contiguous,
    F.dropout,
    F.dropout2d,
    F.alpha_dropout,
)


def mirror(recording: Recording, layer: str, method: Method) -> nn.Sequential:
    """Build the mirrored net of a chain, from a layer down to the pixels.

    Args:
        recording: A recorded forward pass.
        layer: Module path of the layer to start from.
        method: What happens at rectifiers and at contrast normalisation.

    Returns:
        Modules that take a signal with the layer's shape (N, C, h, w) to the input's shape.

    Raises:
        UnsupportedOperationError: If the net branches below the layer, or calls an operation
            that has no explicit form here.
    """
    calls = reversed(trace_chain(recording, layer))
    return nn.Sequential(
        *(mirror_call(call, method) for call in calls if call.function not in IDENTITIES)
    )


def trace_chain(recording: Recording, layer: str) -> list[Call]:
    """List the calls that lead from the input to a layer, one after the other.

    Raises:
        UnsupportedOperationError: If a call between joins several feature maps.
    """
    current = recording.find_output(layer)
    chain: list[Call] = []
    index = len(recording.calls)
    while current is not recording.input:
        index -= 1
        if index < 0:
            raise UnsupportedOperationError(
                f"no explicit deconvnet: a step below layer {layer!r} was not seen"
            )
        call = recording.calls[index]
        if call.output is not current:
            continue
        if len(call.sources) != 1:
            raise UnsupportedOperationError(
                f"no explicit deconvnet: below layer {layer!r} the net branches at {call.name!r}"
            )
        chain.append(call)
        current = call.source
    return chain[::-1]


def mirror_call(call: Call, method: Method) -> nn.Module:
    """Build the mirrored step of a call.

    Args:
        call: One of a recording that takes one feature map.
        method: What happens at rectifiers and at contrast normalisation.

    Raises:
        UnsupportedOperationError: If the call has no explicit form here.
    """
    if parse_rectifier(call.function, call.args, call.kwargs) is not None:
        return RectifySignal(call, method.rule)
    if call.function in NORMALISATIONS:
        return ContrastNormalisationBack(call, method.passes_over_normalisation)
    if call.function in _STEPS:
        return _STEPS[call.function](call)
    raise UnsupportedOperationError(f"no explicit deconvnet: {call.name!r} has no mirrored step")


_STEPS: dict[Callable[..., Any], Callable[[Call], nn.Module]] = {
    torch.conv2d: TransposedFilter,
    F.linear: TransposedLinear,
    F.batch_norm: ScaleChannels,
    **dict.fromkeys(MAX_POOLINGS, Unpool),
    **dict.fromkeys(RESHAPES, Reshape),
}
