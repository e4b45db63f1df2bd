"""From a layer's name to its filters, in every net and however it is written."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import vizcnn
from tests.support.models import prepare
from tests.support.small_zoo import SIZE, make_model
from vizcnn.basics.errors import LayerError, ModelError
from vizcnn.drawing.filter_grids import scale_filters, show_colours
from vizcnn.measures.filter_layers import clip_filters, find_first_filters, read_filters
from vizcnn.measures.filter_numbers import number_filters
from vizcnn.zoo.building import build_module
from vizcnn.zoo.catalogue import CATALOGUE
from vizcnn.zoo.preprocessing import Preprocessing

MODEL = make_model()


class Branches(nn.Module):
    """A stem, then two branches that are joined, then a sum with a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.left = nn.Conv2d(6, 4, 1)
        self.right = nn.Conv2d(6, 4, 3, padding=1, groups=2)
        self.norm = nn.BatchNorm2d(8)
        self.last = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.sum = nn.Identity()
        self.join = nn.Identity()
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(8 * 16 * 16, 4)

    def forward(self, x):
        x = self.pool(self.stem(x)).relu_()
        x = self.norm(self.join(torch.cat([self.left(x), self.right(x)], 1)))
        return self.fc(self.sum(x + self.last(x).relu_()).flatten(1))


@pytest.fixture(scope="module")
def branches():
    return replace(MODEL, module=prepare(Branches(), SIZE), layers={"conv2": "last"})


def test_first_layer_is_on_pixels_by_the_chain_rule():
    path, weight = find_first_filters(MODEL)
    module = MODEL.module.get_submodule("0")
    pixels = torch.rand(1, 3, SIZE, SIZE)
    inputs = MODEL.preprocessing.normalise(pixels)
    zero = MODEL.preprocessing.normalise(torch.zeros_like(pixels))
    # away from the border, which is padded with zeros of the input
    expected = (module(inputs) - module(zero))[..., 1:-1, 1:-1]
    torch.testing.assert_close(
        torch.nn.functional.conv2d(pixels, weight), expected, atol=1e-4, rtol=0
    )
    assert path == "0"


@pytest.mark.parametrize(
    ("name", "path"), [(None, "0"), ("conv1", "0"), ("0", "0"), ("2", "0"), ("conv2", "3")]
)
def test_names_of_maps_lead_to_the_convolution_that_feeds_them(name, path):
    layer = read_filters(MODEL, name)
    assert layer.path == path
    assert layer.is_first == (path == "0")
    assert layer.name == (name or "the first layer")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("pool", "stem"),
        ("left", "left"),
        ("right", "right"),
        ("right#1", "right"),
        ("conv2", "last"),
    ],
)
def test_layers_of_a_branching_net(branches, name, path):
    assert read_filters(branches, name).path == path


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("join", "fed by 2 convolutions, not by one: name one of left, right"),
        ("norm", "fed by 2 convolutions"),
        ("sum", "fed by 3 convolutions, not by one: name one of left, right, last"),
        ("fc", "layer fc of tiny is fully connected: it has no filters"),
        ("nowhere", "no layer 'nowhere'"),
    ],
)
def test_layers_that_no_single_convolution_makes_are_refused(branches, name, words):
    with pytest.raises(LayerError, match=words):
        read_filters(branches, name)


@pytest.mark.slow
def test_long_list_of_convolutions_is_cut_to_the_nearest():
    model = vizcnn.load("densenet121", weights=None)
    with pytest.raises(LayerError, match=r"of \.\.\., .*denselayer6.conv2$") as caught:
        read_filters(model, "conv2")
    assert "denselayer1.conv2" in str(caught.value) and "conv0" not in str(caught.value)


def test_frozen_weights_are_found_too(branches):
    for parameter in branches.module.parameters():
        parameter.requires_grad_(False)
    try:
        assert read_filters(branches, "conv2").path == "last"
        assert not any(parameter.requires_grad for parameter in branches.module.parameters())
    finally:
        for parameter in branches.module.parameters():
            parameter.requires_grad_(True)


def test_net_stays_as_it_was():
    before = {name: value.clone() for name, value in MODEL.module.state_dict().items()}
    layer = read_filters(MODEL, "conv3")
    layer.stored.zero_()
    layer.clip(0.01)
    assert all(torch.equal(value, before[n]) for n, value in MODEL.module.state_dict().items())
    assert all(parameter.grad is None for parameter in MODEL.module.parameters())


def test_channels_of_groups_keep_their_numbers(branches):
    right, last = read_filters(branches, "right"), read_filters(branches, "last")
    assert (right.groups, tuple(right.stored.shape)) == (2, (4, 3, 3, 3))
    strongest = [filter.strongest_channel for filter in number_filters(right.weight, right.groups)]
    assert all(3 * (unit // 2) <= strongest[unit] < 3 * (unit // 2) + 3 for unit in range(4))
    numbers = number_filters(last.weight, last.groups)  # a channel each
    assert [filter.strongest_channel for filter in numbers] == list(range(8))


def test_clipping_scales_back_what_exceeds_and_counts_it():
    layer = read_filters(MODEL)
    rms = layer.stored.square().mean(dim=(1, 2, 3)).sqrt()
    radius = rms.sort().values[6:8].mean().item()  # 5 of 12 lie above
    clipped, exceeds = layer.clip(radius)
    assert exceeds.tolist() == (rms > radius).tolist() and int(exceeds.sum()) == 5
    expected = layer.stored.clone()
    clip_filters(expected, radius)
    assert torch.equal(clipped.stored, expected)
    assert torch.equal(clipped.stored[~exceeds], layer.stored[~exceeds])
    # the radius means the weights as stored; what is shown goes through the preprocessing
    torch.testing.assert_close(clipped.weight, MODEL.preprocessing.to_pixel_gradient(expected))


def test_rounding_of_weights_stored_in_16_bits_is_no_excess():
    layer = read_filters(MODEL)
    stored = layer.stored / layer.stored.square().mean(dim=(1, 2, 3), keepdim=True).sqrt() * 0.1
    _, exceeds = replace(layer, stored=stored.half().float()).clip(0.1)
    assert not exceeds.any()


def test_grey_nets_are_read_and_other_channels_refused():
    grey = Preprocessing((0.5,), (0.25,), 1.0, False, SIZE, SIZE, grey=True)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
    model = replace(MODEL, module=net, preprocessing=grey, layers={"conv1": "1"})
    layer = read_filters(model, "conv1")
    assert layer.is_grey and layer.is_first
    # the three colours' weights sum to the answer to grey
    torch.testing.assert_close(layer.weight.sum(dim=1, keepdim=True), layer.stored / 0.25)
    with pytest.raises(ModelError, match="takes 5 maps; needed: 3 colours, or grey"):
        read_filters(replace(MODEL, module=nn.Conv2d(5, 4, 3)))
    with pytest.raises(ModelError, match="has no convolution"):
        read_filters(replace(MODEL, module=nn.Linear(3, 4)))


@pytest.mark.slow
@pytest.mark.parametrize("name", CATALOGUE)
def test_first_layer_of_every_net_can_be_shown(name):
    entry = CATALOGUE[name]
    with torch.device("meta"):  # weights without values: only the first layer gets some
        module = build_module(entry, dict(entry.find_variant(None).options))
    first = next(part for part in module.modules() if isinstance(part, nn.Conv2d))
    shape = first.weight.shape
    first.weight = nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    grey = Preprocessing((0.5,), (0.25,), 1.0, False, 32, 32, grey=True)
    preprocessing = grey if shape[1] == 1 else MODEL.preprocessing
    layer = read_filters(replace(MODEL, module=module, preprocessing=preprocessing))
    assert layer.weight.shape == (shape[0], 3, *shape[2:])
    for scaling in ("unit", "shared", "zf"):
        images = show_colours(scale_filters(layer.weight, scaling))
        assert len(images) == shape[0]
        assert min(image.min() for image in images) >= 0
        assert max(image.max() for image in images) == 1 or scaling != "zf"
