"""From names to modules."""

import pytest
from torch import nn

from vizcnn.basics.errors import LayerError
from vizcnn.recording.layers import find_layer
from vizcnn.zoo.loading import load

RESNET = load("resnet18", weights=None, classes=3)


@pytest.mark.parametrize("model", [RESNET, RESNET.module], ids=["zoo object", "module"])
@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("conv1", "relu"),
        ("conv1#1", "conv1#1"),
        ("conv5_2", "layer4.1"),
        ("layer3.0.conv1", "layer3.0.conv1"),
        ("layer1.0.relu#2", "layer1.0.relu#2"),
    ],
)
def test_canonical_names_go_before_module_paths(model: nn.Module, name: str, path: str) -> None:
    assert find_layer(model, name) == path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("conv6", "no layer 'conv6': did you mean 'conv"),
        ("layer5", "no layer 'layer5': did you mean 'layer"),
        ("relu#x", "layer 'relu#x': after '#' comes the number of a call, 1 or more"),
        ("relu#0", "layer 'relu#0': after '#' comes the number of a call, 1 or more"),
        ("", "no layer ''"),
    ],
)
def test_unknown_layers_are_refused(name: str, message: str) -> None:
    with pytest.raises(LayerError) as caught:
        find_layer(RESNET, name)
    assert str(caught.value).startswith(message)
