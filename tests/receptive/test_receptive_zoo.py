"""Receptive fields in every net of the zoo, against where gradients reach, and published sizes."""

import pytest
import torch
from torch import nn

from tests.support.reaching import find_reaches, let_everything_through
from vizcnn.receptive import find_boxes, find_field
from vizcnn.recording.layers import list_stages, select_layers
from vizcnn.recording.recording import record
from vizcnn.training.net import first_convolution
from vizcnn.zoo.building import build_module
from vizcnn.zoo.catalogue import CATALOGUE, MODEL_NAMES, find_entry, name_layers

FORMS = [(name, variant) for name in MODEL_NAMES for variant in CATALOGUE[name].variants]


def build(name, variant=None, **options):
    """Build a net without weights, and give the side of its input."""
    form = find_entry(name).find_variant(variant)
    return build_module(find_entry(name), {**form.options, **options}), form.input_size


def record_shapes(module, size):
    """Record a net without weights: its graph holds the geometry alone."""
    channels = first_convolution(module).in_channels
    with record(module) as recording:
        module(torch.zeros(1, channels, size, size, device="meta"))
    return recording


def choose_places(output):
    """Choose the corners, the middle and a place at the edge."""
    if output.ndim == 2:
        return [(0, 0)]
    height, width = output.shape[2:]
    middle = (height // 2, width // 2)
    return [(0, 0), middle, (height - 1, width - 1), (0, width - 1), (height - 1, middle[1])]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "variant"), FORMS)
def test_boxes_are_where_the_gradient_reaches(name, variant, monkeypatch):
    module, size = build(name, variant)
    layers = name_layers(module)
    stages = {layer: layers[layer] for layer in select_layers(module, [list_stages(module)])}
    ends = {layer: layers[layer] for layer in ("pool5", "fc6") if layer in layers}
    paths = stages | ends
    recording = record_shapes(module, size)
    assert recording.input is not None
    outputs = {path: recording.find_output(path) for path in paths.values()}
    places = {path: choose_places(output) for path, output in outputs.items()}
    boxes = {
        path: find_boxes(output, recording.input, torch.tensor(places[path])).tolist()
        for path, output in outputs.items()
    }
    let_everything_through(monkeypatch)
    assert boxes == find_reaches(module, boxes, recording.input.shape, places)


def load_field(name, layer):
    module, size = build(name)
    recording = record_shapes(module, size)
    return find_field(recording.find_output(name_layers(module)[layer]), recording.input)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layer", "side"),
    [
        ("alexnet", "conv1", 11),
        ("alexnet", "pool1", 19),
        ("alexnet", "conv2", 51),
        ("alexnet", "pool2", 67),
        ("alexnet", "conv3", 99),
        ("alexnet", "conv4", 131),
        ("alexnet", "conv5", 163),
        ("alexnet", "pool5", 195),
        ("vgg16", "conv1_2", 5),
        ("vgg16", "conv2_2", 14),
        ("vgg16", "conv3_3", 40),
        ("vgg16", "conv4_3", 92),
        ("vgg16", "conv5_3", 196),
        ("vgg16", "pool5", 212),
        ("inception_v3", "conv5", 1311),
        ("zfnet", "conv1", 7),
        ("zfnet", "conv2", 27),
        ("resnet18", "conv5", 435),
    ],
)
def test_published_sizes(name, layer, side):
    """Of AlexNet, VGG-16 and Inception v3 by Araujo, Norris & Sim 2019 (Distill)."""
    assert load_field(name, layer) == (side, side)


@pytest.mark.parametrize(
    ("layer", "side"),
    [("conv1", 7), ("pool1", 11), ("conv2", 19), ("conv3", 91), ("conv4", 427), ("conv5", 715)],
)
def test_sizes_in_the_papers_googlenet(layer, side):
    """By hand: two 5 x 5 at steps of 8 px, five at 16 px, two at 32 px, poolings between them."""
    assert load_field("googlenet-paper", layer) == (side, side)


def test_filters_of_one_pixel_see_no_more():
    """VGG's configuration C has B's (vgg13's) receptive fields: 140 px, by hand."""
    assert load_field("vgg16-c", "conv5") == load_field("vgg13", "conv5") == (140, 140)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "side"), [("resnet50", 483), ("resnet101", 1027), ("resnet152", 1507)]
)
def test_published_sizes_of_residual_nets(name, side):
    """Theirs (Distill 2019, of TF-Slim) stride in the last block of a stage, not in the first."""
    module, size = build(name)
    for stage in (module.layer2, module.layer3, module.layer4):
        stage[0].conv2.stride = stage[0].downsample[0].stride = (1, 1)
    for stage in (module.layer1, module.layer2, module.layer3):
        stage[-1].conv2.stride = (2, 2)
        stage[-1].downsample = nn.MaxPool2d(1, 2)
    recording = record_shapes(module, size)
    assert find_field(recording.find_output("layer4"), recording.input) == (side, side)
