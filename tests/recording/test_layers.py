"""From names to modules."""

import importlib
from collections import Counter
from copy import deepcopy

import pytest
import torch
from torch import nn

from vizcnn.basics.errors import LayerError
from vizcnn.recording.layers import find_layer
from vizcnn.recording.recording import record
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


def test_names_of_traced_nodes_stand_for_what_the_tracers_put_out() -> None:
    tracing = importlib.import_module("torchvision.models.feature_extraction")
    net = deepcopy(RESNET.module).eval()
    for part in net.modules():
        if isinstance(part, nn.ReLU):
            part.inplace = False  # torchvision shows what a later layer wrote over it
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    canonical = RESNET.layers
    with record(net) as recording:
        net(pixels)

    by_torchvision = [
        name for name in tracing.get_graph_node_names(net)[1] if name not in canonical
    ]
    wanted = tracing.create_feature_extractor(net, by_torchvision)(pixels)
    compared = 0
    for name in by_torchvision:
        if name == "x":
            with pytest.raises(LayerError, match="no layer"):  # the input
                find_layer(net, name)
            continue
        layer = find_layer(net, name)
        if "()" in layer:  # a function: tests/recording/test_function_layers.py
            continue
        if "#" in layer or recording.outputs[layer][1:] == []:  # else a path, and no node's name
            assert torch.equal(recording.find_output(layer), wanted[name])
            compared += "#" in layer
    assert compared == 8  # the second calls of the ReLU of eight blocks

    traced = torch.fx.symbolic_trace(net)
    counts: Counter[str] = Counter()
    for node in traced.graph.nodes:
        if node.op == "call_module" and node.name not in canonical:
            counts[str(node.target)] += 1
            call = counts[str(node.target)]
            path = str(node.target)
            assert find_layer(net, node.name) in (path, f"{path}#{call}")


def test_a_node_that_may_be_two_layers_is_refused_with_both() -> None:
    net = nn.ModuleDict({"a_b": nn.ReLU(), "a": nn.ModuleDict({"b": nn.ReLU()})})
    assert find_layer(net, "a.b") == "a.b"
    with pytest.raises(LayerError) as caught:
        find_layer(net, "a_b_1")
    assert str(caught.value) == "layer 'a_b_1' may mean 'a_b#2', 'a.b#2': name one of them"
