"""The lecture's nets: built without memory from the zoo, traced once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any

from torch import nn

from vizcnn.basics.errors import ModelError, nearest_names
from vizcnn.recording.layer_rows import LayerRow, trace_layers
from vizcnn.zoo.building import build_module
from vizcnn.zoo.catalogue import find_entry
from vizcnn.zoo.preprocessing import make_preprocessing


@dataclass(frozen=True)
class LectureNet:
    """A net of the lecture.

    Attributes:
        title: Name for headings.
        section: Part of the lecture that it belongs to.
        model: Name in the zoo's catalogue.
        variant: Its form there; None for the usual one.
        options: What the form is changed by.
        note: What one should know who has the paper in mind; a sentence or more.
    """

    title: str
    section: str
    model: str
    variant: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


_LENET_NOTE = (
    "conv2, the paper’s C3, sees all 6 maps of pool1 in each of its 16, as in lectures: 96 pairs, "
    "2,416 parameters. The paper’s Table I connects 60 of them, 1,516 parameters."
)
_ZFNET_NOTE = (
    "Shown is the larger net of the paper’s section 5.1, as in the lecture: 512, 1024, 512 maps in "
    "conv3, conv4, conv5. The net of the paper’s Figure 3 has AlexNet’s 384, 384, 256."
)

_VGG = (("a", "vgg11"), ("b", "vgg13"), ("c", "vgg16-c"), ("d", "vgg16"), ("e", "vgg19"))

NETS: Mapping[str, LectureNet] = MappingProxyType(
    {
        "lenet": LectureNet("LeNet-5", "lenet", "lenet", "classic", note=_LENET_NOTE),
        "alexnet": LectureNet("AlexNet", "alexnet", "alexnet", "paper"),
        "alexnet-towers": LectureNet("AlexNet, two towers", "alexnet", "alexnet", "towers"),
        "zfnet": LectureNet("ZFNet", "zfnet", "zfnet", "wide", note=_ZFNET_NOTE),
        **{
            f"vgg-{letter}": LectureNet(f"VGG {letter.upper()}", "vgg", model)
            for letter, model in _VGG
        },
        "googlenet": LectureNet("GoogLeNet", "googlenet", "googlenet-paper", "paper"),
        "googlenet-training": LectureNet(
            "GoogLeNet with its auxiliary heads", "googlenet", "googlenet-paper", "training"
        ),
        **{
            f"resnet-{depth}": LectureNet(f"ResNet-{depth}", "resnet", f"resnet{depth}")
            for depth in (18, 34, 50, 101, 152)
        },
    }
)
"""All nets of the lecture by name, in its order.

LeNet is the form of 1998 with trainable subsampling; ZFNet has the wide layers that the lecture
tells of; GoogLeNet is the paper's (5 x 5 filters, biases, no batch normalisation).
"""


def find_net(name: str) -> LectureNet:
    """Find a net of the lecture.

    Raises:
        ModelError: If it has none of that name.

    Example:
        >>> find_net("vgg-d").model
        'vgg16'
    """
    if name not in NETS:
        raise ModelError(f"the lecture has no net {name!r}: {nearest_names(name, NETS)}")
    return NETS[name]


@cache
def build_net(name: str) -> nn.Module:
    """Build a net of the lecture on torch's meta device: layers and shapes, no weights.

    Example:
        >>> sum(value.numel() for value in build_net("alexnet-towers").parameters())
        60965224
    """
    net = find_net(name)
    entry = find_entry(net.model)
    return build_module(entry, {**entry.find_variant(net.variant).options, **net.options})


def input_shape(name: str) -> tuple[int, int, int]:
    """Give channels, height and width of a net's input.

    Example:
        >>> input_shape("lenet"), input_shape("alexnet")
        ((1, 32, 32), (3, 227, 227))
    """
    net = find_net(name)
    variant = find_entry(net.model).find_variant(net.variant)
    channels = make_preprocessing(variant.style, variant.input_size).channels
    return channels, variant.input_size, variant.input_size


@cache
def trace_net(name: str) -> tuple[LayerRow, ...]:
    """Give the layer table of a net of the lecture.

    Example:
        >>> trace_net("alexnet")[0].outputs
        (96, 55, 55)
    """
    return trace_layers(build_net(name), input_shape(name))


def count_parameters(name: str) -> int:
    """Count the trainable numbers of a net, biases included.

    Example:
        >>> count_parameters("alexnet")
        62378344
    """
    return sum(value.numel() for value in build_net(name).parameters())


def count_layers(name: str) -> int:
    """Count the convolutions and fully connected layers on the longest way through a net.

    Example:
        >>> count_layers("alexnet")
        8
    """
    return max(row.depth for row in trace_net(name))
