"""The nets that vizcnn defines itself, built by name and options."""

from typing import Any

from torch import nn

from vizcnn.errors import ModelError, nearest_names
from vizcnn.zoo.alexnet import AlexNet
from vizcnn.zoo.googlenet import GoogLeNet
from vizcnn.zoo.lenet import LeNet5
from vizcnn.zoo.vgg import VGGC
from vizcnn.zoo.zfnet import ZFNet

OWN_NETS: dict[str, type[nn.Module]] = {
    "alexnet": AlexNet,
    "alexnet-7x7": AlexNet,
    "lenet": LeNet5,
    "zfnet": ZFNet,
}
"""Net classes by name, of the nets that :mod:`vizcnn.training` has recipes for."""

LARGE_NETS: dict[str, type[nn.Module]] = {"googlenet-paper": GoogLeNet, "vgg16-c": VGGC}
"""The same of nets that are not trained here."""

OWN_OPTIONS: dict[str, dict[str, Any]] = {
    "alexnet": {"ceil_pool5": True},
    "alexnet-7x7": {"ceil_pool5": True, "conv1_size": 7, "conv1_stride": 2},
    "lenet": {},
    "zfnet": {},
}
"""Options that make a small-input net of each; at 128 pixels pool5 is 3 x 3 in AlexNet and ZFNet,
7 x 7 in AlexNet with ZFNet's first layer."""


def build_own_net(name: str, **options: Any) -> nn.Module:
    """Make one of vizcnn's own nets with random weights.

    Args:
        name: A key of :data:`OWN_NETS` or :data:`LARGE_NETS`.
        **options: Arguments of the net's class.

    Raises:
        ModelError: If there is no such net.

    Example:
        >>> build_own_net("zfnet", classes=10, hidden=64).classifier.fc8.out_features
        10
    """
    return find_class(name)(**options)


def find_class(name: str) -> type[nn.Module]:
    """Give the class of one of vizcnn's own nets.

    Raises:
        ModelError: If there is no such net.
    """
    classes = {**OWN_NETS, **LARGE_NETS}
    if name not in classes:
        raise ModelError(f"no net {name!r} to train: {nearest_names(name, OWN_NETS)}")
    return classes[name]
