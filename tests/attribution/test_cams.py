"""Class activation maps: against Captum, torch-cam, and formulas on nets where hooks fail."""

from typing import Any

import pytest
import torch
from captum.attr import GuidedGradCam, LayerGradCam
from torch import nn
from torch.nn import functional as F
from torchcam.methods import LayerCAM

from tests.support.attributing import Shared, make_photo, make_plain, run_plainly, wrap
from tests.support.projecting import relative_error
from tests.support.small_zoo import make_model
from vizcnn.attribution.attributions import ATTRIBUTIONS
from vizcnn.attribution.cams import find_cam_layer
from vizcnn.attribution.question import AttributionSettings, ask
from vizcnn.basics.errors import LayerError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum")
PHOTO = make_photo()
CAMS = ("grad-cam", "layer-cam")


def compute_cam(kind, maps, slope):
    """Equations of the papers, on a layer's maps (1, C, h, w)."""
    weights = slope.mean((2, 3), keepdim=True) if kind == "grad-cam" else slope.clamp(min=0)
    return (weights * maps).sum(1, keepdim=True).clamp(min=0)


def enlarge(cam, size=24):
    return F.interpolate(cam, (size, size), mode="bilinear", align_corners=False).detach()


def test_grad_cam_is_captums():
    model = make_plain()
    question, _ = ask(model, PHOTO, "fc", unit=2)
    inputs = model.preprocessing.normalise(PHOTO)
    wanted = LayerGradCam(model.module, model.module.relu2).attribute(
        inputs, 2, relu_attributions=True
    )
    got = ATTRIBUTIONS["grad-cam"].attribute(question)
    assert relative_error(got, enlarge(wanted)) < 1e-5


def test_layer_cam_is_torch_cams():
    model = make_plain()
    question, _ = ask(model, PHOTO, "fc", unit=2)
    inputs = model.preprocessing.normalise(PHOTO)
    with LayerCAM(model.module, "relu2", input_shape=(3, 24, 24)) as extractor:
        (wanted,) = extractor(2, model.module(inputs.requires_grad_()), normalized=False)
    got = ATTRIBUTIONS["layer-cam"].attribute(question)
    assert relative_error(got, enlarge(wanted.view(1, 1, *wanted.shape[-2:]))) < 1e-5


def test_guided_grad_cam_is_captums():
    model = make_plain()
    question, value = ask(model, PHOTO, "fc", unit=2)
    inputs = model.preprocessing.normalise(PHOTO).requires_grad_()
    oracle = GuidedGradCam(model.module, model.module.relu2)
    wanted = oracle.attribute(inputs, 2, interpolate_mode="bilinear").detach()
    got = ATTRIBUTIONS["guided-grad-cam"].attribute(question)
    # Captum starts with 1 where guided backprop starts with the size of the value
    expected = model.preprocessing.to_pixel_gradient(wanted * abs(value))
    assert relative_error(got, expected) < 1e-5


@pytest.mark.parametrize("kind", CAMS)
@pytest.mark.parametrize("way", ["module", "in place", "function"])
@pytest.mark.parametrize("layer", ["conv1", "conv2"])
def test_cams_of_every_spelling_of_the_rectifier(kind, way, layer):
    """The layer below a rectifier in place too: its maps are those before it."""
    model = make_plain(way)
    question, _ = ask(model, PHOTO, "fc", unit=2)
    for name in (layer, f"{layer}#1"):  # the named layer, and the convolution itself
        steps = run_plainly(model, PHOTO.clone().requires_grad_())
        maps = steps[layer if name != layer else model.layers[layer]]
        slope = torch.autograd.grad(steps["head"][0, 2], maps)[0]
        wanted = enlarge(compute_cam(kind, maps, slope))
        got = ATTRIBUTIONS[kind].attribute(question, AttributionSettings(cam_layer=name))
        assert relative_error(got, wanted) < 1e-5


@pytest.mark.parametrize("kind", CAMS)
@pytest.mark.parametrize("way", ["module", "in place"])
def test_frozen_weights_change_nothing(kind, way):
    maps = []
    for frozen in (False, True):
        model = make_plain(way)
        model.module.requires_grad_(not frozen)
        question, _ = ask(model, PHOTO, "fc", unit=2)
        maps.append(ATTRIBUTIONS[kind].attribute(question))
        assert all(p.requires_grad != frozen and p.grad is None for p in model.module.parameters())
    assert maps[0].any() and torch.equal(*maps)


def test_a_net_may_begin_in_place_and_frozen():
    net = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten())
    net.append(nn.Linear(4 * 22 * 22, 2))
    model = wrap(net.requires_grad_(False), {"conv1": "2", "fc": "4"})
    question, _ = ask(model, PHOTO, "fc")
    assert find_cam_layer(question, AttributionSettings()) == "conv1"


@pytest.mark.parametrize("kind", CAMS)
def test_each_use_of_a_shared_rectifier_has_its_own_map(kind):
    model = wrap(Shared(), {"conv1": "relu#1", "conv2": "relu#2", "fc": "head"})
    question, _ = ask(model, PHOTO, "fc", unit=3)
    net: Any = model.module
    inputs = model.preprocessing.normalise(PHOTO)
    first = net.conv1(inputs).relu()
    second = net.conv2(first).relu()
    value = net.head(torch.tanh(second + first).mean((2, 3)))[0, 3]
    for name, maps in (("conv1", first), ("conv2", second)):
        slope = torch.autograd.grad(value, maps, retain_graph=True)[0]
        got = ATTRIBUTIONS[kind].attribute(question, AttributionSettings(cam_layer=name))
        assert relative_error(got, enlarge(compute_cam(kind, maps, slope))) < 1e-5
    assert find_cam_layer(question, AttributionSettings()) == "conv2"


@pytest.mark.parametrize("kind", CAMS)
def test_units_of_a_convolution_look_at_the_layer_below(kind):
    model = make_plain()
    question, _ = ask(model, PHOTO, "conv2")
    everyone = question.about(question.company)
    assert find_cam_layer(question, AttributionSettings()) == "conv1"
    steps = run_plainly(model, PHOTO.clone().requires_grad_())
    for unit, got in zip(
        question.company.tolist(), ATTRIBUTIONS[kind].attribute(everyone), strict=True
    ):
        value = steps["relu2"][(0, unit, *question.position)]
        slope = torch.autograd.grad(value, steps["relu1"], retain_graph=True)[0]
        wanted = enlarge(compute_cam(kind, steps["relu1"], slope))
        assert relative_error(got[None], wanted) < 1e-5


def test_named_convolutions_go_before_pools():
    model = make_model()
    photo = make_photo(32)
    assert find_cam_layer(ask(model, photo, "fc7")[0], AttributionSettings()) == "conv5"
    assert find_cam_layer(ask(model, photo, "conv5")[0], AttributionSettings()) == "conv4"


def test_the_last_part_of_a_block_is_not_below_it():
    block = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU())
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), block)
    layers = {"conv1": "1", "conv2": "2", "conv2_1": "2.1", "conv2_2": "2.3"}
    question, _ = ask(wrap(net, layers), PHOTO, "conv2")
    assert find_cam_layer(question, AttributionSettings()) == "conv2_1"
    with pytest.raises(LayerError, match="cannot look at 'conv2_2'"):
        find_cam_layer(question, AttributionSettings(cam_layer="conv2_2"))


@pytest.mark.parametrize(
    ("layer", "cam_layer", "words"),
    [
        ("conv1", None, "need a layer with places below conv1, and there is none"),
        ("conv1", "conv2", "cannot look at 'conv2'"),
        ("conv2", "conv2", "cannot look at 'conv2'"),
        ("fc", "fc", "cannot look at 'fc'"),
        ("fc", "conv3", "did you mean"),
    ],
)
def test_a_map_that_makes_no_sense_is_refused(layer, cam_layer, words):
    question, _ = ask(make_plain(), PHOTO, layer)
    with pytest.raises(LayerError, match=words):
        ATTRIBUTIONS["grad-cam"].attribute(question, AttributionSettings(cam_layer=cam_layer))
