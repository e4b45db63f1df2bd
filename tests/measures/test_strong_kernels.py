"""The strongest kernels of filters, and whose maps they read."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.models import prepare
from tests.support.small_zoo import SIZE, make_model
from vizcnn.measures.filter_layers import read_filters
from vizcnn.measures.strong_kernels import Numbering, pick_kernels, trace_numbers
from vizcnn.zoo.normalisation import ContrastNormalisation
from vizcnn.zoo.wrapping import wrap

PIXELS = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(2))


def test_kernels_are_those_of_largest_energy():
    read = read_filters(make_model(), "conv3")
    weight = read.stored.numpy().astype(np.float64)
    found = pick_kernels(read, 4)
    for number, filter in enumerate(weight):
        energy = (filter**2).sum(axis=(1, 2))
        order = sorted(range(len(energy)), key=lambda k: (-energy[k], k))[:4]
        assert found.channels[number].tolist() == order
        assert np.array_equal(found.weights[number], filter[order].astype(np.float32))
        assert found.shares[number].numpy() == pytest.approx(energy[order] / energy.sum())
    assert pick_kernels(read, 99).shares.sum(dim=1).numpy() == pytest.approx(1)


def end_in_scores(*parts):
    return prepare(nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten()), SIZE)


def test_channels_of_groups_are_those_of_the_whole_input():
    net = end_in_scores(nn.Conv2d(3, 6, 1), nn.Conv2d(6, 4, 3, groups=2))
    read = read_filters(wrap(net, input_size=SIZE), "1")
    channels = pick_kernels(read, 3).channels
    assert sorted(channels[1].tolist()) == [0, 1, 2]
    assert sorted(channels[2].tolist()) == [3, 4, 5]
    image = torch.rand(1, 6, 3, 3, requires_grad=True)
    (slope,) = torch.autograd.grad(net[1](image)[0, 3].sum(), image)
    assert slope[0].flatten(1).norm(dim=1).argmax() == channels[3, 0]


class Shuffled(nn.Module):
    def forward(self, maps):
        return torch.channel_shuffle(maps, 2)


class Doubled(nn.Module):
    def forward(self, maps):
        return torch.cat([maps[:, 4:], maps[:, :4]], dim=1)


BETWEEN = {
    "rectified, pooled, normalised": (
        [nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2), ContrastNormalisation()],
        True,
    ),
    "gated by its own mean": ([nn.GELU(), nn.AvgPool2d(2), nn.Dropout()], True),
    "shuffled": ([nn.ReLU(), Shuffled()], False),
    "in another order": ([Doubled()], False),
    "mixed": ([nn.Conv2d(8, 8, 1)], False),
    "silent": ([nn.Threshold(1e9, 0.0)], False),
}


@pytest.mark.parametrize(("parts", "kept"), BETWEEN.values(), ids=BETWEEN)
def test_numbers_are_traced_through_what_keeps_them(parts, kept):
    between = nn.Sequential(*parts)
    net = end_in_scores(nn.Conv2d(3, 8, 3), between, nn.Conv2d(8, 5, 3))
    model = wrap(net, input_size=SIZE)
    found = trace_numbers(model, "2", "2", ["0"], PIXELS)
    assert found == Numbering(above=True, below="0" if kept else None)
    assert trace_numbers(model, "0", "1", [], PIXELS) == Numbering(above=kept, below=None)
    assert not any(part._forward_hooks for part in net.modules())


def test_the_nearest_layer_is_named():
    model = make_model()
    found = trace_numbers(model, "7", "conv4", ["conv1", "conv2", "conv3"], PIXELS)
    assert found == Numbering(above=True, below="conv3")
    assert trace_numbers(model, "7", "conv4", ["conv1", "conv2"], PIXELS).below is None
