"""Canonical names through the projector: resolved once, whatever the net calls its modules."""

import pytest
import torch

import vizcnn
from vizcnn.basics.errors import UnsupportedOperationError
from vizcnn.projection.deconvnet import Deconvnet

# in GoogLeNet the module conv2 is not the layer conv2, and conv3 is; in ResNet conv1 is not conv1
NETS = {"googlenet": 64, "resnet18": 64, "squeezenet1_1": 64}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("layer", ["conv1", "conv2", "conv3", "conv4", "conv5"])
def test_the_api_and_a_recording_mean_the_same_layer(name, layer):
    model = vizcnn.load(name, weights=None)
    images = torch.rand(1, 3, NETS[name], NETS[name])
    projector = Deconvnet(model)
    projection = projector.project(images, layer=layer, unit="top", count=1)
    maps = projector.record(images).find_output(model.layers[layer]).detach()
    assert projection.layer == layer
    assert projection.activations.item() == pytest.approx(maps.max().item())


def test_the_mirrored_net_starts_from_the_same_layer():
    model = vizcnn.load("googlenet", weights=None)
    images = torch.rand(1, 3, 64, 64)
    assert len(Deconvnet(model).mirror(images, "conv2")) > 0  # the trunk up to there is a chain
    with pytest.raises(UnsupportedOperationError, match="branches at 'cat'"):
        Deconvnet(model).mirror(images, "conv3")
