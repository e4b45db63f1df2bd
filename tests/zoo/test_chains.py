"""Nets without some of their layers, and with layers of other widths."""

from typing import Any

import pytest
import torch
from torch import nn

import vizcnn
from vizcnn.basics.errors import ModelError
from vizcnn.recording.layers import list_stages, select_layers
from vizcnn.zoo.alexnet import AlexNet
from vizcnn.zoo.chains import choose_widths, read_widths, read_without
from vizcnn.zoo.lenet import LeNet5
from vizcnn.zoo.zfnet import ZFNet

SMALL: dict[str, Any] = {"hidden": 16, "input_size": 64, "classes": 5}


def count(net: nn.Module) -> int:
    return sum(value.numel() for value in net.parameters())


def find(net: nn.Module, name: str) -> nn.Linear:
    part = net.get_submodule(f"classifier.{name}")
    assert isinstance(part, nn.Linear)
    return part


def conv(inputs: int, outputs: int, side: int) -> int:
    return inputs * outputs * side**2 + outputs


def test_parameters_are_those_of_the_layers_that_are_left():
    maps = (384, 384, 256)
    whole = ZFNet(maps=maps, **SMALL)
    without = ZFNet(maps=maps, without="conv3,conv4", **SMALL)
    lost = conv(256, 384, 3) + conv(384, 384, 3)
    changed = conv(384, 256, 3) - conv(256, 256, 3)  # conv5 takes conv2's maps
    assert count(whole) - count(without) == lost + changed
    headless = ZFNet(maps=maps, without="fc6,fc7", **SMALL)
    places = find(whole, "fc6").in_features
    assert find(headless, "fc8").in_features == places
    assert count(whole) - count(headless) == places * 16 + 16 + 16 * 17 + 16 * 5 - places * 5
    wide = ZFNet(maps=maps, widths="fc6=32,conv5=100", **SMALL)
    assert find(wide, "fc6").weight.shape == (32, 100 * places // 256)
    assert find(wide, "fc7").in_features == 32


@pytest.mark.parametrize(
    ("make", "without", "names"),
    [
        (AlexNet, "conv3,conv4,fc7", "conv1 norm1 pool1 conv2 norm2 pool2 conv5 pool5 fc6 fc8"),
        (ZFNet, "fc6,fc7", "conv1 pool1 norm1 conv2 pool2 norm2 conv3 conv4 conv5 pool5 fc8"),
        (ZFNet, "conv2", "conv1 pool1 norm1 pool2 norm2 conv3 conv4 conv5 pool5 fc6 fc7 fc8"),
    ],
)
def test_the_layers_that_are_left_keep_their_names_and_run(make, without, names):
    options = {**SMALL, "input_size": 96, "without": without}
    found = vizcnn.load(make.__name__.lower(), weights=None, **options).layers
    assert list(found) == names.split()
    assert make(**options).eval()(torch.zeros(2, 3, 96, 96)).shape == (2, 5)


@pytest.mark.parametrize("form", ["modern", "classic"])
@pytest.mark.parametrize("without", ["conv2", "conv3", "fc4", "conv2,conv3,fc4"])
def test_lenet_does_without_any_layer_but_the_first_and_the_last(form, without):
    net = LeNet5(form=form, without=without)
    assert net(torch.zeros(1, 1, 32, 32)).shape == (1, 10)
    kinds = {type(part).__name__ for part in net.modules()}
    assert ("Subsampling" in kinds) == (form == "classic")  # poolings stay
    assert not {*without.split(",")} & {*dict(net.features.named_children())}


def test_stages_with_one_missing_are_a_list():
    net = vizcnn.load("zfnet", weights=None, without="conv3,conv4", **SMALL)
    assert list_stages(net) == "conv1,conv2,conv5"
    assert select_layers(net, [list_stages(net)]) == ("conv1", "conv2", "conv5")
    last = vizcnn.load("zfnet", weights=None, without="conv5", **SMALL)
    assert list_stages(last) == "conv1..conv4"


def test_a_net_as_it_is_has_the_weights_that_it_had():
    """The order in which parts are made decides on what a seed gives them."""
    torch.manual_seed(0)
    made = ZFNet(maps=(8, 9, 10), **SMALL)
    torch.manual_seed(0)
    sizes = [(3, 96, 7), (96, 256, 5), (256, 8, 3), (8, 9, 3), (9, 10, 3)]
    layers: list[nn.Conv2d | nn.Linear] = [nn.Conv2d(*size) for size in sizes]
    places = find(made, "fc6").in_features
    layers += [nn.Linear(places, 16), nn.Linear(16, 16), nn.Linear(16, 5)]
    ours = [part for part in made.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    for one, other in zip(ours, layers, strict=True):
        assert torch.equal(one.weight, other.weight)


@pytest.mark.parametrize(
    ("without", "widths", "told"),
    [
        ("conv1", "", "'conv1' cannot be left out: conv2, conv3"),
        ("fc8", "", "'fc8' cannot be left out"),
        ("pool5", "", "'pool5' cannot be left out"),
        ("", "fc8=10", "no layer 'fc8' of a width"),
        ("fc6", "fc6=8", "fc6 is left out, and has no width"),
        ("", "fc6", "'fc6' is no width; needed: a layer and a number"),
        ("", "fc6=0", "'fc6=0' is no width"),
        ("", "fc6=1,fc6=2", "two widths of fc6"),
        ("", "fc6=\uff11", "is no width"),
    ],
)
def test_what_cannot_be_is_refused_by_name(without, widths, told):
    with pytest.raises(ModelError, match=told):
        vizcnn.load("zfnet", weights=None, without=without, widths=widths, **SMALL)


def test_texts_are_read_in_any_case_and_order():
    assert read_without(" Conv3 ,conv3,") == ("conv3",)
    assert read_widths("FC6=2 , conv1=3") == {"fc6": 2, "conv1": 3}
    assert choose_widths({"conv1": 1, "conv2": 2}, "", "") == {"conv1": 1, "conv2": 2}
