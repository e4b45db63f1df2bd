"""From the name of a layer to the module that it stands for."""

from collections.abc import Iterable

from torch import nn

from vizcnn.basics.errors import LayerError, nearest_names
from vizcnn.zoo.catalogue import name_layers
from vizcnn.zoo.model import ZooModel

_STAGES = range(1, 6)
"""conv1..conv5."""


def find_layer(model: ZooModel | nn.Module, name: str) -> str:
    """Find the module path that a layer's name stands for.

    Canonical names go first: in a ResNet ``"conv1"`` is the rectified output of the first
    convolution, as in every net. A module path with the number of a call is always taken as it is:
    ``"conv1#1"`` is the module ``conv1`` itself, ``"relu#2"`` the second use of the module ``relu``
    in one pass.

    Args:
        model: A zoo object or any torch module; torchvision's nets have canonical names too.
        name: Canonical name or module path.

    Returns:
        Module path, with ``#number`` if the name had it.

    Raises:
        LayerError: If there is no such layer.

    Example:
        >>> find_layer(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), "1")
        '1'
        >>> from vizcnn.zoo.zfnet import ZFNet
        >>> find_layer(ZFNet(hidden=8), "conv5")
        'features.relu5'
    """
    module = model.module if isinstance(model, ZooModel) else model
    canonical = model.layers if isinstance(model, ZooModel) else name_layers(module)
    if name in canonical:
        return canonical[name]
    path, mark, number = name.partition("#")
    paths = [known for known, _ in module.named_modules() if known]
    if path not in paths:
        raise LayerError(f"no layer {name!r}: {nearest_names(path, [*canonical, *paths])}")
    if mark and not (number.isdigit() and int(number) > 0):
        raise LayerError(f"layer {name!r}: after '#' comes the number of a call, 1 or more")
    return name


def select_layers(model: ZooModel | nn.Module, wanted: Iterable[str]) -> tuple[str, ...]:
    """Expand layer names as users write them.

    Args:
        model: A zoo object or any torch module.
        wanted: Names, lists (``conv1,conv3``) and ranges (``conv1..conv5``).

    Returns:
        Names that :func:`find_layer` knows, without repetitions, in the order given.

    Raises:
        LayerError: If a layer does not exist, or a range is not of one kind.

    Example:
        >>> from vizcnn.zoo.zfnet import ZFNet
        >>> select_layers(ZFNet(hidden=8), ["conv1..conv3,fc6"])
        ('conv1', 'conv2', 'conv3', 'fc6')
    """
    names = [name.strip() for part in wanted for name in part.split(",") if name.strip()]
    expanded = [name for part in names for name in _expand_range(part)]
    for name in expanded:
        find_layer(model, name)
    return tuple(dict.fromkeys(expanded))


def list_stages(model: ZooModel | nn.Module) -> str:
    """Give the range of stages that a net has: ``conv1..conv5`` in most, less in LeNet-5.

    Raises:
        LayerError: If no canonical names are known for the net.

    Example:
        >>> from vizcnn.zoo.lenet import LeNet5
        >>> list_stages(LeNet5())
        'conv1..conv3'
    """
    canonical = model.layers if isinstance(model, ZooModel) else name_layers(model)
    stages = [name for name in (f"conv{number}" for number in _STAGES) if name in canonical]
    if not stages:
        raise LayerError("the net's layers have no canonical names: name a layer by module path")
    return f"{stages[0]}..{stages[-1]}"


def _expand_range(text: str) -> list[str]:
    first, dots, last = text.partition("..")
    if not dots:
        return [text]
    kind = first.rstrip("0123456789")
    if kind != last.rstrip("0123456789") or not (first[len(kind) :] and last[len(kind) :]):
        raise LayerError(f"layer range {text!r} is not known; needed: for example conv1..conv5")
    numbers = range(int(first[len(kind) :]), int(last[len(kind) :]) + 1)
    if not numbers:
        raise LayerError(f"layer range {text!r} is empty; needed: the lower layer first")
    return [f"{kind}{number}" for number in numbers]
