"""The explorer's maps, by torch alone."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.explorer_answers import make_small_explorer, read_array
from vizcnn.explorer.explorer import Explorer

LAYERS = ("conv1", "conv2", "conv3", "fc6")  # conv2 is rectified in place


@pytest.fixture(scope="module")
def explorer(tmp_path_factory):
    return make_small_explorer(tmp_path_factory.mktemp("photos"), LAYERS)


def run_to(explorer, photo, layer):
    """The maps of a layer, and the rest of the net; the small net is a chain."""
    net = explorer.nets[0].net
    end = int(net.layers[LAYERS[layer]]) + 1
    pixels = net.preprocessing.normalise(net.read(explorer.photos[photo].read()))
    with torch.no_grad():
        return net.module[:end](pixels)[0], net.module[end:]


@pytest.mark.parametrize("layer", range(len(LAYERS)))
def test_maps_are_those_of_the_net(explorer, layer):
    answer = explorer.ask({"ask": "maps", "net": 0, "photo": 1, "layer": layer})
    fields = answer.fields
    maps = run_to(explorer, 1, layer)[0].numpy()
    assert fields["units"] == len(maps) and fields["size"] == list(maps.shape[1:])
    flat = maps.reshape(len(maps), -1)
    lows, highs = (read_array(answer, fields[name], "f4") for name in ("lows", "highs"))
    np.testing.assert_allclose(lows, np.minimum(flat.min(1), 0), rtol=1e-5)
    np.testing.assert_allclose(highs, np.maximum(flat.max(1), 0), rtol=1e-5)
    shares = read_array(answer, fields["bytes"], "u1").reshape(flat.shape) / 255
    shown = lows[:, None] + shares * (highs - lows)[:, None]
    assert (np.abs(shown - flat) <= ((highs - lows) / 255 * 0.51)[:, None] + 1e-6).all()
    rows, columns = read_array(answer, fields["places"], "u2").reshape(-1, 2).T
    width = maps.shape[2] if maps.ndim == 3 else 1
    np.testing.assert_array_equal(rows.astype(int) * width + columns, flat.argmax(1))
    np.testing.assert_allclose(read_array(answer, fields["values"], "f4"), flat.max(1), rtol=1e-5)


@pytest.mark.parametrize("layer", range(len(LAYERS)))
def test_the_strongest_of_each_place_are_those_of_a_sort(explorer, layer):
    answer = explorer.ask({"ask": "maps", "net": 0, "photo": 0, "layer": layer})
    here = answer.fields["here"]
    maps = run_to(explorer, 0, layer)[0].numpy()
    flat = maps.reshape(len(maps), -1)
    units = read_array(answer, here["units"], "u2").reshape(-1, here["count"])
    values = read_array(answer, here["values"], "f4").reshape(-1, here["count"])
    assert here["count"] == min(10, len(maps)) and len(units) == flat.shape[1]
    np.testing.assert_allclose(values, -np.sort(-flat, axis=0)[: here["count"]].T, rtol=1e-5)
    for place, (some, told) in enumerate(zip(units, values, strict=True)):
        np.testing.assert_allclose(flat[some, place], told, rtol=1e-5)
        ties = np.flatnonzero(np.diff(told) == 0)
        assert (some[ties] < some[ties + 1]).all()
    assert (values == 0).any()  # there were ties


@pytest.mark.parametrize("layer", range(len(LAYERS)))
def test_class_use_is_gradient_times_activation_of_the_rest_of_the_net(explorer, layer):
    answer = explorer.ask({"ask": "use", "net": 0, "photo": 0, "layer": layer})
    maps, rest = run_to(explorer, 0, layer)
    use = read_array(answer, answer.fields["use"], "f4").reshape(-1, len(maps))
    assert len(use) == len(answer.fields["classes"]) == 4
    for number, told in zip(answer.fields["classes"], use, strict=True):
        leaf = maps[None].clone().requires_grad_()
        rest(leaf.clone())[0, number].backward()
        each = (leaf.grad * leaf)[0].detach().flatten(1) if maps.ndim == 3 else leaf.grad * maps
        wanted = each.sum(1).numpy() if maps.ndim == 3 else each[0].numpy()
        np.testing.assert_allclose(told, wanted, rtol=1e-3, atol=1e-6)


class Detached(nn.Sequential):
    """A chain whose logits lead back to nothing."""

    def forward(self, x):
        return super().forward(x).detach()


def test_a_net_whose_logits_lead_nowhere_says_why_there_is_no_class_use(explorer):
    net = explorer.nets[0]
    detached = replace(net.net, module=Detached(*net.net.module).eval())
    more = Explorer([replace(net, net=detached)], explorer.photos)
    fields = more.ask({"ask": "use", "net": 0, "photo": 0, "layer": 0}).fields
    assert fields == {"left_out": "Tiny $net puts out no logits, (N, classes)"}


def test_others_are_answered_between_the_classes_whose_use_is_measured(tmp_path):
    explorer = make_small_explorer(tmp_path)
    told = []

    def breathe():
        told.append(explorer.answer({"ask": "maps", "net": 0, "photo": 1, "layer": 0}).fields)

    explorer.breathe = breathe
    use = explorer.ask({"ask": "use", "net": 0, "photo": 0, "layer": 1})
    assert len(told) == 4  # the net's classes
    assert not any("error" in one for one in told)
    explorer.breathe = lambda: None
    alone = make_small_explorer(tmp_path).ask({"ask": "use", "net": 0, "photo": 0, "layer": 1})
    assert use == alone


def test_maps_that_are_not_finite_are_refused(explorer):
    net = explorer.nets[0]
    damaged = deepcopy(net.net.module)
    damaged[0].bias.data[3] = float("inf")
    more = Explorer([replace(net, net=replace(net.net, module=damaged))], explorer.photos)
    told = more.answer({"ask": "maps", "net": 0, "photo": 0, "layer": 0}).fields
    assert "maps of this layer are not finite" in told["error"]
