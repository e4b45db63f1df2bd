"""Windows of receptive fields against backward passes over the whole image."""

import contextlib

import pytest
import torch

import vizcnn
from tests.support.models import Pooled, branching_nets, prepare
from tests.support.projecting import relative_error
from vizcnn.projection.deconvnet import Projector
from vizcnn.projection.full_image import project_full_image
from vizcnn.projection.projection import project
from vizcnn.projection.rules import RULES
from vizcnn.projection.targets import places
from vizcnn.projection.way_back import follow
from vizcnn.recording.backward import Way
from vizcnn.recording.graph import trace_nodes
from vizcnn.recording.recording import record
from vizcnn.recording.watch import AllRecorded

# net, layer, side of the image: an odd one leaves pixels that no window reaches
REAL = [
    ("alexnet", "conv5", 227),  # groups, overlapping pooling, contrast normalisation
    ("zfnet", "conv4", 151),
    ("vgg11", "conv4_2", 119),
    ("googlenet", "conv4", 113),
    ("resnet18", "conv3", 127),
    ("densenet121", "conv2", 75),
    ("squeezenet1_1", "conv4", 131),
    ("mobilenet_v2", "conv3", 97),
    ("inception_v3", "conv3", 139),
]


def choose_edges(maps, units):
    """Corners, edges and the middle of the maps of two images, for some units each."""
    height, width = maps.shape[-2:]
    edges = [(y, x) for y in (0, height // 2, height - 1) for x in (0, width // 2, width - 1)]
    rows = [(image, unit, y, x) for (y, x) in edges for image in (0, 1) for unit in units]
    image, unit, y, x = torch.tensor(rows).unbind(1)
    return image, unit, torch.column_stack([y, x])


def check_windows(net, images, layer, rule, count=2):
    """Compare windows with the whole image, pixel by pixel; give the projection."""
    # the classifiers of real nets do not take images of other sizes: end before them
    with record(net, [layer], stops=True) as recording, contextlib.suppress(AllRecorded):
        net(images)
    output = recording.find_output(layer)
    maps = output.detach()
    strongest = maps.amax(dim=(0, 2, 3)).topk(min(count, maps.shape[1])).indices.tolist()
    image, unit, positions = choose_edges(maps, strongest)
    targets = places(maps, image, unit, positions)
    projection = project(recording, layer, targets, rule)
    assert projection.computed == "windows"
    with follow(recording, Way(rule.rectify, rule.needs_activity, rule.passes_over_normalisation)):
        leaf = recording.find_input()
        wanted = project_full_image(output, leaf, targets, trace_nodes(output, leaf))
    assert relative_error(projection.pixels, wanted) < 1e-5
    return projection


@pytest.mark.slow
@pytest.mark.parametrize("method", RULES)
@pytest.mark.parametrize(("name", "layer", "size"), REAL)
def test_windows_equal_the_whole_image_on_real_nets(name, layer, size, method):
    model = vizcnn.load(name, weights=None, seed=4)
    path = vizcnn.find_layer(model, layer)
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    check_windows(model.module, images, path, RULES[method], count=1)


@pytest.mark.slow
@pytest.mark.parametrize("method", RULES)
def test_windows_equal_the_whole_image_on_odd_pools_and_filters(method):
    net = prepare(Pooled(), 57).double()
    images = torch.randn(2, 3, 57, 57, dtype=torch.float64)
    for index in range(len(net.chain)):
        check_windows(net, images, f"chain.{index}", RULES[method])


@pytest.mark.parametrize("method", RULES)
@pytest.mark.parametrize("name", [name for name in branching_nets() if name != "inception"])
def test_branching_nets(name, method):
    net, layer = branching_nets()[name]
    images = torch.randn(2, 3, 21, 21, dtype=torch.float64)
    net = prepare(net, 21).double()
    if name == "edits its input":  # writes into a slice: not followed on windows
        found = Projector(net, method, unruled="gradient").project(images, layer, 0)
        assert found.computed == "full image"
    else:
        check_windows(net, images, layer, RULES[method])
