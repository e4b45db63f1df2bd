"""Untrained twins of nets: the random weights that the zoo gives, everything else the same."""

import pytest
import torch
from torch import nn

import vizcnn
from vizcnn.basics.errors import ModelError
from vizcnn.zoo.building import untrain


@pytest.mark.parametrize("name", ["lenet", "zfnet"])
def test_a_twin_has_the_weights_of_the_untrained_net(name):
    net = vizcnn.load(name)
    before = {key: value.clone() for key, value in net.module.state_dict().items()}
    state = torch.get_rng_state()
    twin = untrain(net, 3)
    assert torch.equal(torch.get_rng_state(), state)
    expected = vizcnn.load(name, weights=None, seed=3, **net.options).module.state_dict()
    for key, value in twin.module.state_dict().items():
        assert torch.equal(value, expected[key]), key
    assert twin.preprocessing == net.preprocessing and twin.classes == net.classes
    assert twin.provenance.source == "random" and twin.provenance.note == "seed 3"
    assert all(torch.equal(net.module.state_dict()[key], value) for key, value in before.items())


def test_normalisation_forgets_what_it_has_seen():
    norm = nn.BatchNorm2d(4)
    norm.running_mean = torch.full((4,), 7.0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), norm, nn.Flatten(), nn.Linear(3600, 2))
    twin = untrain(vizcnn.wrap(module, input_size=32), 0)
    assert not twin.module.get_buffer("1.running_mean").any() and norm.running_mean.all()


def test_weights_that_nothing_resets_are_refused():
    class Token(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.last = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)
            self.token = nn.Parameter(torch.ones(4))

        def forward(self, x):
            return self.last(self.conv(x).mean(dim=(2, 3)) + self.token)

    with pytest.raises(ModelError, match="'token' is no part that torch can draw anew"):
        untrain(vizcnn.wrap(Token(), input_size=32), 0)
