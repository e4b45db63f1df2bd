"""From a layer's name to the filters that make its feature maps."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from vizcnn.basics.errors import LayerError, ModelError
from vizcnn.recording.graph import Node, inputs_of, kind_of
from vizcnn.recording.layers import find_layer, parse_reference
from vizcnn.recording.recording import record
from vizcnn.zoo.model import ZooModel
from vizcnn.zoo.preprocessing import Preprocessing

CLIPPED_RMS = 0.1
"""Radius of ZF's feature scale clipping (section 3.1)."""


@torch.no_grad()
def clip_filters(weight: Tensor, radius: float = CLIPPED_RMS) -> None:
    """Scale filters whose root mean square exceeds a radius back to it (ZF, section 3.1).

    Args:
        weight: (filters, channels, height, width), changed in place.
        radius: The largest root mean square.

    Example:
        >>> weight = torch.ones(1, 3, 2, 2)
        >>> clip_filters(weight)
        >>> round(weight.pow(2).mean().sqrt().item(), 6)
        0.1
    """
    rms = weight.pow(2).mean(dim=(1, 2, 3), keepdim=True).sqrt()
    weight.mul_((radius / rms.clamp(min=1e-12)).clamp(max=1.0))


FIRST = "the first layer"
"""Name of the layer where none is asked for."""

ROUNDING = 1e-3
"""Relative excess over a radius that counts as none: weights stored in 16 bits are not exact."""

CONVOLUTIONS = frozenset(["Convolution", "MkldnnConvolution", "CudnnConvolution"])
FULLY_CONNECTED = frozenset(["Addmm", "Mm", "Linear"])

MOST_NAMED = 6
"""Convolutions that an error names; of more the last, which are nearest to the layer."""


@dataclass(frozen=True, eq=False)
class FilterLayer:
    """The filters of one convolution.

    Attributes:
        name: As it was asked for; ``"the first layer"`` where none was named.
        path: Module path of the convolution.
        stored: (F, C, h, w), the weights as the net holds them, float32 on the CPU.
        stride: Step in rows and columns.
        groups: Groups of the convolution; a filter sees the channels of its own group only.
        preprocessing: From pixels to the layer's input, if it is the net's first; else None.
    """

    name: str
    path: str
    stored: Tensor
    stride: tuple[int, int]
    groups: int
    preprocessing: Preprocessing | None

    @property
    def weight(self) -> Tensor:
        """The filters with respect to what they look at.

        For the first layer (F, 3, h, w), on RGB pixels of 0..1, by the chain rule through the
        preprocessing; the net's own preprocessing then does not matter, and nets can be compared.
        For others as stored, on the maps of the layer below.
        """
        if self.preprocessing is None:
            return self.stored
        return self.preprocessing.to_pixel_gradient(self.stored)

    @property
    def is_first(self) -> bool:
        """Whether the filters look at pixels."""
        return self.preprocessing is not None

    @property
    def is_grey(self) -> bool:
        """Whether the filters look at grey pixels."""
        return self.is_first and self.stored.shape[1] == 1

    def clip(self, radius: float) -> tuple["FilterLayer", Tensor]:
        """Clip the filters as Zeiler & Fergus do in training (section 3.1).

        Args:
            radius: Largest root mean square of a filter's weights as the net holds them; 0.1 in
                the paper.

        Returns:
            The layer with every filter above the radius scaled back to it, and which those are:
            (F,), bool. An excess of 0.1 % is left to rounding.
        """
        rms = self.stored.double().square().mean(dim=(1, 2, 3)).sqrt()
        clipped = self.stored.clone()
        clip_filters(clipped, radius)
        return replace(self, stored=clipped), rms > radius * (1 + ROUNDING)


def read_filters(model: ZooModel, layer: str | None = None) -> FilterLayer:
    """Read the filters of a layer.

    Args:
        model: A net of the zoo; it stays as it is.
        layer: Module path of a convolution, or any layer that one convolution feeds: its maps
            after batch normalisation, ReLU or pooling, by path or canonical name. None for the
            first convolution.

    Raises:
        LayerError: If there is no such layer, or not exactly one convolution feeds it.
        ModelError: If the net has no convolution.

    Example:
        >>> import vizcnn
        >>> net = vizcnn.load("zfnet", weights=None, hidden=8)
        >>> layer = read_filters(net, "conv2")
        >>> layer.path, tuple(layer.stored.shape)
        ('features.conv2', (256, 96, 5, 5))
    """
    convolutions = _list_convolutions(model)
    first = next(iter(convolutions))
    path = first if layer is None else find_convolution(model, layer)
    module = convolutions[path]
    weight = module.weight.detach().float().cpu()
    if path == first and weight.shape[1] not in (1, 3):
        raise ModelError(
            f"the first convolution of {model.name} takes {weight.shape[1]} maps; "
            "needed: 3 colours, or grey"
        )
    down, across = module.stride
    return FilterLayer(
        name=FIRST if layer is None else layer,
        path=path,
        stored=weight.clone(),
        stride=(down, across),
        groups=module.groups,
        preprocessing=model.preprocessing if path == first else None,
    )


def find_first_filters(model: ZooModel) -> tuple[str, Tensor]:
    """Find the first convolution and its filters with respect to RGB pixels.

    Args:
        model: A net of the zoo.

    Returns:
        Module path, and weights (F, 3, h, w) in RGB order, by the chain rule through the net's
        preprocessing; of a net that takes grey pictures each colour has its weight in the grey.

    Raises:
        ModelError: If the first convolution takes neither three colours nor grey.
    """
    layer = read_filters(model)
    return layer.path, layer.weight


def _list_convolutions(model: ZooModel) -> dict[str, nn.Conv2d]:
    found = {path: m for path, m in model.module.named_modules() if isinstance(m, nn.Conv2d)}
    if not found:
        raise ModelError(f"{model.name} has no convolution: there are no filters to draw")
    return found


def find_convolution(model: ZooModel, layer: str) -> str:
    """Find the convolution that makes a layer's feature maps.

    A layer's name mostly stands for maps after the ReLU. What fed them is read off the autograd
    graph of a forward pass, so that it is right however the net is written.

    Args:
        model: A net of the zoo.
        layer: Canonical name or module path.

    Returns:
        Module path of the convolution.

    Raises:
        LayerError: If there is no such layer, or none or several convolutions feed it (a sum with
            a shortcut, parallel branches): then they are named.
    """
    path = find_layer(model, layer)
    convolutions = _list_convolutions(model)
    if (module_path := parse_reference(path).path) in convolutions:
        return module_path
    like = next(model.module.parameters())
    blank = torch.zeros(1, 3, model.input_size, model.input_size)
    with record(model.module, [path]) as recording:
        model.module(model.preprocessing.normalise(blank).to(like.device, like.dtype))
    feeding = _find_weights(recording.find_output(path).grad_fn, layer, model)
    paths = [p for p, m in convolutions.items() if m.weight.data_ptr() in feeding]
    if len(paths) != 1:
        raise LayerError(_explain_feeding(layer, model, paths))
    return paths[0]


def _find_weights(output: Node, layer: str, model: ZooModel) -> set[int]:
    """Find where in memory the weights of the convolutions lie that a layer comes from."""
    found: set[int] = set()
    seen, stack = {output}, [output]
    while stack:
        node = stack.pop()
        if kind_of(node) in FULLY_CONNECTED:
            raise LayerError(
                f"layer {layer} of {model.name} is fully connected: it has no filters; "
                "needed: a convolution"
            )
        if kind_of(node) in CONVOLUTIONS:
            found.add(node._saved_weight.data_ptr())
            continue
        new = [parent for parent in inputs_of(node) if parent not in seen]
        seen.update(new)
        stack += new
    return found


def _explain_feeding(layer: str, model: ZooModel, paths: list[str]) -> str:
    if not paths:
        return f"no convolution feeds layer {layer} of {model.name}; needed: a convolution"
    dots = "..., " if len(paths) > MOST_NAMED else ""
    return (
        f"layer {layer} of {model.name} is fed by {len(paths)} convolutions, not by one: "
        f"name one of {dots}{', '.join(paths[-MOST_NAMED:])}"
    )
