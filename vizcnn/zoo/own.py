"""The nets that vizcnn defines itself, built by name and options."""

from typing import Any

from torch import nn

from vizcnn.errors import ModelError, nearest_names
from vizcnn.zoo.alexnet import AlexNet
from vizcnn.zoo.lenet import LeNet5
from vizcnn.zoo.zfnet import ZFNet

OWN_NETS: dict[str, type[nn.Module]] = {
    "alexnet": AlexNet,
    "alexnet-7x7": AlexNet,
    "lenet": LeNet5,
    "zfnet": ZFNet,
}
"""Net classes by name."""

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
        name: A key of :data:`OWN_NETS`.
        **options: Arguments of the net's class.

    Raises:
        ModelError: If there is no such net.

    Example:
        >>> build_own_net("zfnet", classes=10, hidden=64).classifier.fc8.out_features
        10
    """
    if name not in OWN_NETS:
        raise ModelError(f"no net {name!r} to train: {nearest_names(name, OWN_NETS)}")
    return OWN_NETS[name](**options)
