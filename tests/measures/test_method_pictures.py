"""Gradient times input against torch's own gradient, and classes of nets that average maps."""

import pytest
import torch
from torch import nn

from tests.support.check_nets import SIDE, draw_pixels, wrap
from tests.support.small_zoo import make_model
from vizcnn.basics.errors import VizcnnError
from vizcnn.cli import check_command
from vizcnn.measures.method_pictures import CHECKED_METHODS, MethodSet, choose_classes

MODEL = make_model()
PIXELS = draw_pixels(2, MODEL.input_size)


def differentiate(model, pixels, unit):
    leaf = pixels.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(
        model.module(model.preprocessing.normalise(leaf))[:, unit].sum(), leaf
    )
    return gradient


def test_gradient_times_input_is_against_grey():
    methods = MethodSet(MODEL, ["gradient-x-input"])
    recording = methods.record(PIXELS, ["fc7"])
    targets = methods.aim(recording, "fc7", torch.tensor([2, 2]))
    found = methods.project(recording, "fc7", targets, PIXELS)["gradient-x-input"]
    expected = differentiate(MODEL, PIXELS, 2) * (PIXELS - 0.5)
    assert torch.allclose(found.pixels, expected, atol=1e-6)
    assert found.method == "gradient-x-input"


def test_in_a_window_the_photos_own_pixels_are_taken():
    methods = MethodSet(MODEL, CHECKED_METHODS)
    recording = methods.record(PIXELS, ["conv2"])
    found = methods.project(recording, "conv2", methods.aim(recording, "conv2"), PIXELS)
    assert list(found) == list(CHECKED_METHODS)
    gradient, times = found["gradient"], found["gradient-x-input"]
    assert gradient.computed == "windows"
    assert torch.allclose(times.pixels, gradient.pixels * (PIXELS - 0.5), atol=1e-7)


def test_a_class_that_is_the_mean_of_a_map_is_projected_from_all_of_it():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = wrap(net, {"conv1": "1"}, 4)
    pixels = draw_pixels(2)
    methods = MethodSet(model, ["gradient"])
    classes = choose_classes(model, pixels)
    assert torch.equal(classes, model.logits(pixels).topk(2).indices)
    recording = methods.record(pixels, ["conv1"])
    targets = methods.aim(recording, "conv1", classes[:, 0])
    found = methods.project(recording, "conv1", targets, pixels)["gradient"]
    for row, unit in enumerate(classes[:, 0].tolist()):
        expected = differentiate(model, pixels[row : row + 1], unit)[0] * (SIDE - 2) ** 2
        assert torch.allclose(found.pixels[row], expected, atol=1e-5)


def test_methods_are_named():
    assert check_command.CHECKED_METHODS == CHECKED_METHODS
    with pytest.raises(VizcnnError, match="no method 'gradcam'"):
        MethodSet(MODEL, ["gradcam"])
    with pytest.raises(VizcnnError, match="no method is named"):
        MethodSet(MODEL, [])
