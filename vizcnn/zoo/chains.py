"""Chains of layers: built whole, without some of their layers, or with layers of other widths."""

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping

from torch import nn

from vizcnn.basics.errors import nearest_names, quote

Part = nn.Module | Callable[[int, int], nn.Module]
"""A module, or what makes one of the numbers of maps or units before and after it."""

WIDEST = 10**6
"""Maps or units of a layer, at most."""

_OF_A_LAYER = ("conv", "fc", "relu", "sigmoid", "drop")
"""What belongs to a layer, by its number: pooling and normalisation stay where it is left out."""


def read_without(text: str) -> tuple[str, ...]:
    """Read which layers a chain lacks.

    Args:
        text: Names, such as ``"conv3,conv4"``; empty for none.

    Example:
        >>> read_without("conv3, conv4"), read_without("")
        (('conv3', 'conv4'), ())
    """
    return tuple(dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip()))


def read_widths(text: str) -> dict[str, int]:
    """Read which layers of a chain have another width.

    Args:
        text: Numbers of feature maps or units by layer, such as ``"fc6=2048,fc7=2048"``; empty for
            none.

    Raises:
        ValueError: If it is of another form, or names a layer twice.

    Example:
        >>> read_widths("fc6=2048, fc7=1024")
        {'fc6': 2048, 'fc7': 1024}
    """
    widths: dict[str, int] = {}
    for part in filter(str.strip, text.split(",")):
        found = re.fullmatch(r"\s*(\w+)\s*=\s*([0-9]{1,9})\s*", part, re.ASCII)
        if not found or not 1 <= int(found[2]) <= WIDEST:
            raise ValueError(
                f"{quote(part.strip())} is no width; needed: a layer and a number from 1 to "
                f"{WIDEST}, such as fc6=2048"
            )
        name = found[1].lower()
        if name in widths:
            raise ValueError(f"two widths of {name} are given: give one")
        widths[name] = int(found[2])
    return widths


def choose_widths(usual: Mapping[str, int], without: str, widths: str) -> dict[str, int]:
    """Choose which layers a chain has, and their widths.

    Args:
        usual: Feature maps or units of the layers that may change, in order; the first, which sees
            the pixels, cannot be left out.
        without: Layers to leave out, as :func:`read_without` takes them.
        widths: Other widths, as :func:`read_widths` takes them.

    Returns:
        The width of each layer that is left, in order.

    Raises:
        ValueError: If there is no such layer, or it cannot be left out.

    Example:
        >>> choose_widths({"conv1": 96, "conv2": 256, "fc3": 64}, "conv2", "fc3=8")
        {'conv1': 96, 'fc3': 8}
        >>> choose_widths({"conv1": 96, "conv2": 256}, "conv1", "")
        Traceback (most recent call last):
        ValueError: 'conv1' cannot be left out: conv2 can be
    """
    others = list(usual)[1:]
    left_out, changed = read_without(without), read_widths(widths)
    for name in left_out:
        if name not in others:
            raise ValueError(f"{quote(name)} cannot be left out: {', '.join(others)} can be")
    for name in changed:
        if name in left_out:
            raise ValueError(f"{name} is left out, and has no width")
        if name not in usual:
            raise ValueError(f"no layer {quote(name)} of a width: {nearest_names(name, usual)}")
    return {name: changed.get(name, width) for name, width in usual.items() if name not in left_out}


def build_chain(parts: Mapping[str, Part], widths: Mapping[str, int], inputs: int) -> nn.Sequential:
    """Build a chain; a layer without a width is left out, with its rectifier and dropout.

    Args:
        parts: What the whole chain consists of, in order, by name: ``conv1``, ``relu1``, ...
        widths: Feature maps or units of the layers that it has.
        inputs: Channels or values that the chain is given.

    Example:
        >>> parts = {"fc1": nn.Linear, "relu1": nn.ReLU(), "fc2": nn.Linear}
        >>> build_chain(parts, {"fc2": 3}, 8)
        Sequential(
          (fc2): Linear(in_features=8, out_features=3, bias=True)
        )
    """
    built: OrderedDict[str, nn.Module] = OrderedDict()
    numbers = {name.lstrip("confv") for name in widths}
    for name, part in parts.items():
        kind = name.rstrip("0123456789")
        if kind in _OF_A_LAYER and name.removeprefix(kind) not in numbers:
            continue
        if isinstance(part, nn.Module):
            built[name] = part
            continue
        outputs = widths.get(name, inputs)
        built[name], inputs = part(inputs, outputs), outputs
    return nn.Sequential(built)
