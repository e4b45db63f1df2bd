"""Nets that project by themselves, photos in any form, units by name, projections by index."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import vizcnn
from tests.support.operations import CountOperations
from vizcnn.basics.errors import ImageError, LayerError
from vizcnn.photos.samples import find_sample

COFFEE = Path(str(find_sample("coffee")))


@pytest.fixture(scope="module")
def net():
    return vizcnn.load("lenet")


def test_load_gives_a_net_of_the_zoo_that_projects(net):
    assert isinstance(net, vizcnn.Net)
    assert isinstance(net, vizcnn.ZooModel)
    assert isinstance(net.to(dtype=torch.float64), vizcnn.Net)
    found = net.deconv("coffee", "conv1", count=2)
    expected = vizcnn.Deconvnet(net).project(net.read(COFFEE), "conv1", count=2)
    assert torch.equal(found.windows, expected.windows)


@pytest.mark.parametrize("kind", [vizcnn.Deconvnet, vizcnn.GuidedBackprop, vizcnn.Gradient])
def test_every_form_of_a_photo_gives_the_same_projections(net, kind):
    path = COFFEE
    pixels = net.read(path)
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    expected = kind(net).project(pixels, "conv2", count=2)
    forms = [path, str(path), "coffee", image, np.array(image), pixels[0], list(pixels)]
    for form in forms:
        assert torch.equal(kind(net).project(form, "conv2", count=2).pixels, expected.pixels)
    both = kind(net).project([path, image], "conv2", count=2)
    assert both.images.tolist() == [0, 0, 1, 1]
    assert torch.equal(both.pixels[2:], both.pixels[:2])
    assert both.scene.names == ("coffee", "photo 2")


def test_gradient_is_autograds(net):
    pixels = net.read("coffee").requires_grad_()
    net.module(net.preprocessing.normalise(pixels))[0, 3].backward()
    found = vizcnn.Gradient(net).project("coffee", "fc5", unit=3)
    torch.testing.assert_close(found.pixels, pixels.grad)


def test_ambiguous_tensors_are_refused_with_the_way_out(net):
    normalised = net.preprocessing.normalise(net.read("coffee"))
    with pytest.raises(ImageError, match="denormalise"):
        net.deconv(normalised, "conv1")
    back = net.preprocessing.denormalise(normalised).clamp(0, 1)
    assert len(net.deconv(back, "conv1", count=2)) == 2
    # the way out that the error names: the module's own input
    assert len(vizcnn.Deconvnet(net.module).project(normalised, "conv1", count=2)) == 2


def test_photos_for_a_plain_module_are_refused_with_the_way_out():
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    with pytest.raises(ImageError, match=r"got str \('coffee'\) for a plain torch module"):
        vizcnn.Deconvnet(plain).project("coffee", "1")
    # its inputs are its own affair
    assert len(vizcnn.Deconvnet(plain).project(torch.randn(1, 3, 8, 8) * 9, "1")) == 4


UNITS = {
    "name": "7",
    "a list of a name": ["7"],
    "numpy": np.int64(7),
    "numpy array": np.array([7]),
    "tensor": torch.tensor(7),
    "a list": [7],
}


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
def test_units_are_given_in_any_form(net, unit):
    assert net.classes[7] == "7"
    assert net.deconv("coffee", unit=unit).units.tolist() == [7]


def test_the_likeliest_class_is_the_strongest_unit(net):
    answer = net("coffee")
    found = net.deconv("coffee", unit=answer.logits.argmax())
    assert found.units.tolist() == net.deconv("coffee", count=1).units.tolist()
    assert net.deconv("coffee", unit=answer.names).units.tolist() == found.units.tolist()
    assert found.scene.units == net.classes


@pytest.mark.parametrize("position", [(3, 4), [3, 4], np.array([3, 4]), torch.tensor([3, 4])])
def test_positions_are_given_in_any_form(net, position):
    assert net.deconv("coffee", "conv1", unit=0, position=position).positions.tolist() == [[3, 4]]


def test_names_go_with_the_classes_only(net):
    with pytest.raises(
        LayerError, match=r"unit 'seven' does not exist.*names are those of classes"
    ):
        net.deconv("coffee", "conv1", unit="seven")
    with pytest.raises(LayerError, match="no class 'seven'"):
        net.deconv("coffee", unit="seven")


def test_projections_are_indexed_and_iterated():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU())
    found = vizcnn.Deconvnet(plain).project(
        torch.rand(2, 3, 9, 9), "1", unit=[5, 1, 0], compare="all"
    )
    assert [one.units.tolist() for one in found] == [[5], [1], [0]] * 2
    assert [one.images.tolist() for one in found[2:4]] == [[0], [1]]
    for row, one in enumerate(found):
        assert torch.equal(one.pixels[0], found.pixels[row])
        assert torch.equal(one.own.windows[0], found.own.windows[row])
        torch.testing.assert_close(
            one.selectivity, found.selectivity[row : row + 1], equal_nan=True
        )
        assert torch.equal(one.boxes[0], found.boxes[row])
    assert found[-1].units.tolist() == [0]
    assert found[[0, 2]].units.tolist() == found[torch.tensor([0, 2])].units.tolist() == [5, 0]
    assert found[np.array([2, -1])].units.tolist() == [0, 0]
    wrong: Any
    for wrong in (6, -7, "a", 1.5, [9], True, torch.tensor(True), np.bool_(True), [[0]], [0, True]):
        with pytest.raises(vizcnn.VizcnnError, match="as row; needed: a whole number, -6 to 5"):
            found[wrong]
    assert repr(found) == "Projection of 1 by deconvnet: 6 of units 5, 1, 0, 5, 1, 0"
    assert found == found and found[0] not in list(found)  # as objects: tensors have no one answer


def test_a_mask_takes_the_rows_that_it_names():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU())
    found = vizcnn.Deconvnet(plain).project(torch.rand(1, 3, 9, 9), "1", count=4)
    wanted = found.activations > found.activations[2]  # the strongest come first
    for mask in (wanted, wanted.numpy(), wanted.tolist(), list(wanted.numpy())):
        assert torch.equal(found[mask].windows, found.windows[:2])
    assert len(found[found.activations < 0]) == 0
    with pytest.raises(vizcnn.VizcnnError, match="mask of length 3; needed: one of 4"):
        found[[True, False, True]]


@pytest.mark.parametrize("what", ["record", "project"])
def test_pixels_are_looked_at_once(what):
    """For their least and their largest: each look waits for the device that they are on."""
    net = vizcnn.load("lenet")
    pixels = torch.rand(2, 3, net.input_size, net.input_size)
    projector = vizcnn.Deconvnet(net)
    with CountOperations() as counted:
        if what == "record":
            projector.record(pixels, ["conv1"])
        else:
            projector.project(pixels, "conv1", 0)
    assert (counted.names["min"], counted.names["max"]) == (1, 1)
