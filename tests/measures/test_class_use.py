"""What units add to classes, against torch alone."""

from typing import Any

import pytest
import torch
from torch import nn

from tests.support.models import prepare
from tests.support.small_zoo import LAYERS, SIZE, make_model
from vizcnn.basics.errors import LayerError, ModelError
from vizcnn.measures.class_use import count_multiplications, measure_class_use

MODEL = make_model()
NET: Any = MODEL.module
PIXELS = torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def use_by_torch(layer, classes):
    """The rest of the net as a function of the layer's values, differentiated as a whole."""
    split = int(LAYERS[layer]) + 1
    inputs = MODEL.preprocessing.normalise(PIXELS)
    with torch.no_grad():
        values = NET[:split](inputs)
    rest = NET[split:]
    found = []
    for one in values:
        jacobian = torch.autograd.functional.jacobian(lambda v: rest(v[None].clone())[0], one)
        use = jacobian * one
        found.append(use.flatten(2).sum(2).T if use.ndim == 4 else use.T)
    return torch.stack(found)[:, :, classes]


def test_use_is_activation_times_gradient():
    layers = ["conv2", "fc6", "conv5"]
    found = measure_class_use(MODEL, PIXELS, layers)
    assert list(found) == layers
    for layer in layers:
        torch.testing.assert_close(found[layer], use_by_torch(layer, [0, 1, 2, 3]))
    some = measure_class_use(MODEL, PIXELS, ["conv5"], [2, 0])["conv5"]
    torch.testing.assert_close(some, found["conv5"][:, :, [2, 0]])


def test_use_adds_up_to_the_logits_before_a_linear_layer():
    linear = NET[-1]
    use = measure_class_use(MODEL, PIXELS, ["fc6"])["fc6"]
    logits = MODEL.logits(PIXELS)
    torch.testing.assert_close(use.sum(dim=1) + linear.bias, logits)


def test_net_stays_and_frozen_weights_will_do():
    model = make_model()
    model.module.requires_grad_(False)
    model.module.train()
    found = measure_class_use(model, PIXELS, ["conv5"])["conv5"]
    assert found.abs().max() > 0
    assert model.module.training
    assert not any(part._forward_hooks for part in model.module.modules())
    assert all(value.grad is None for value in model.module.parameters())


def test_what_has_no_logits_is_refused():
    net = prepare(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), SIZE)
    model = make_model()
    object.__setattr__(model, "module", net)
    object.__setattr__(model, "layers", {"conv1": "1"})
    with pytest.raises(ModelError, match="no logits"):
        measure_class_use(model, PIXELS, ["conv1"])
    with pytest.raises(LayerError, match="no layer 'conv9'"):
        measure_class_use(MODEL, PIXELS, ["conv9"])


def test_multiplications_are_those_of_the_layers_behind():
    places = 16 * 16
    later = [10 * 10 * 9 * places] * 3
    linear = [10 * places * 11, 11 * 4]
    counts = count_multiplications(MODEL, PIXELS[:1], ["conv1", "conv3", "conv5", "fc6", "fc7"])
    assert counts == {
        "conv1": 12 * 10 * 9 * places + sum(later) + sum(linear),
        "conv3": 2 * later[0] + sum(linear),
        "conv5": sum(linear),
        "fc6": linear[1],
        "fc7": 0,
    }
