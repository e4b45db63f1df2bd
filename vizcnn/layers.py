"""From the name of a layer to the module that it stands for."""

from torch import nn

from vizcnn.errors import LayerError, nearest_names
from vizcnn.zoo.model import ZooModel
from vizcnn.zoo.naming import name_layers


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
