"""Two oscillations that fold onto each other: what a layer must see alike, and what it need not."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import vizcnn
from tests.support.functions import Apply, make_model
from vizcnn.measures.oscillations import PLACES, find_all_jumps, make_oscillations, tell_apart
from vizcnn.measures.subsampling import Subsampling, find_subsamplings

SIDE = 64


def find(net: nn.Module) -> tuple[Subsampling, ...]:
    return find_subsamplings(net, torch.zeros(1, 3, SIDE, SIDE))[0]


@pytest.mark.parametrize("jump", [2, 3, 8])
def test_they_are_waves_of_which_every_jump_th_pixel_is_the_same(jump):
    rows = make_oscillations(jump, 48).numpy()
    for (low, high), place in zip(rows, PLACES, strict=True):
        frequency = place / (2 * jump)
        for row, wave in ((low, frequency), (high, 1 / jump - frequency)):
            assert np.allclose(row[0], 0.5 + 0.5 * np.cos(2 * np.pi * wave * np.arange(48)))
            # the second phase is a quarter turn on
            assert np.allclose(row[1], 0.5 - 0.5 * np.sin(2 * np.pi * wave * np.arange(48)))
        assert np.allclose(low[:, ::jump], high[[0, 3, 2, 1], ::jump])


@pytest.mark.parametrize("stride", [2, 4])
def test_one_map_of_every_s_th_pixel_cannot_tell_them_apart(stride):
    net = nn.Conv2d(3, 1, 1, stride=stride)
    (apart,) = tell_apart(make_model(net, SIDE), find(net), stride)
    assert apart == pytest.approx(0, abs=1e-5)


def test_two_maps_tell_them_apart_as_far_as_their_filters_differ():
    net = nn.Conv2d(3, 2, (1, 3), stride=2, padding=(0, 1))
    with torch.no_grad():
        net.weight[0] = torch.tensor([1.0, 2.0, 1.0])
        net.weight[1] = torch.tensor([-1.0, 2.0, -1.0])
    (apart,) = tell_apart(make_model(net, SIDE), find(net), 2)
    expected = []
    for place in PLACES:
        # transfer functions at f: 2 + 2 cos and 2 - 2 cos; at 1/2 - f they change places
        wave = math.cos(2 * math.pi * place / 4)
        one, other = 2 + 2 * wave, 2 - 2 * wave
        expected.append(abs(one - other) / math.hypot(one, other))
    assert apart == pytest.approx(np.mean(expected), abs=1e-5)


def test_what_answers_to_none_has_no_distance():
    net = nn.Conv2d(3, 2, 1, stride=2)
    nn.init.zeros_(net.weight)
    assert tell_apart(make_model(net, SIDE), find(net), 2) == (None,)


def test_jumps_are_those_of_the_receptive_fields():
    net = nn.Sequential(
        nn.Conv2d(3, 2, 3, stride=2),
        nn.MaxPool2d(3, 2),
        Apply(lambda x: nn.functional.avg_pool2d(x, 2)),
    )
    assert find_all_jumps(make_model(net, SIDE), find(net)) == (2, 4, 8)
    sliced = Apply(lambda x: x[..., ::2, ::2])
    assert find_all_jumps(make_model(sliced, SIDE), find(sliced)) == (None,)


def test_a_net_answers_as_before():
    model = vizcnn.load("lenet", weights="bundled")
    inputs = model.preprocessing.normalise(model.read("coffee"))
    with torch.no_grad():
        before = model.module(inputs)
        steps, _ = find_subsamplings(model.module, inputs)
        apart = [tell_apart(model, [step], 2 * 2**number) for number, step in enumerate(steps)]
        assert torch.equal(model.module(inputs), before)
    assert all(0 < value < 1.4 for (value,) in apart if value is not None)
