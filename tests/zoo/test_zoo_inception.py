"""Inception modules, the paper's GoogLeNet and VGG C: their units projected, against node hooks."""

import pytest
import torch
from torch import nn

import vizcnn
from tests.projection.test_projection_state import state_of
from tests.support.projecting import relative_error
from tests.support.reference import reference_projection
from vizcnn.basics.errors import ModelError
from vizcnn.projection.deconvnet import Projector
from vizcnn.projection.rules import RULES
from vizcnn.zoo.building import build_module, fill_randomly
from vizcnn.zoo.catalogue import find_entry, name_layers
from vizcnn.zoo.googlenet import Inception, NaiveInception

METHODS = tuple(RULES)
SIZE = 96
"""The least at which both heads have maps to pool: 6 x 6."""


def make_pixels(size=SIZE):
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="module")
def googlenet():
    return vizcnn.load(
        "googlenet-paper", None, variant="training", seed=3, classes=7, input_size=SIZE
    )


@pytest.fixture(scope="module")
def vggc():
    return vizcnn.load("vgg16-c", None, seed=3, classes=7, hidden=16, input_size=64)


def check(net, images, layer, path, method):
    """Project a layer's strongest unit, and compare with the hooked graph of autograd."""
    projector = Projector(net, method, passes_over_normalisation=False)
    projection = projector.project(images, layer, "top", count=1)
    module = getattr(net, "module", net)
    unit = int(projection.units[0])
    pixels = images if net is module else net.preprocessing.normalise(images)
    wanted = reference_projection(module, pixels, path, unit, method)
    if net is not module:
        wanted = net.preprocessing.to_pixel_gradient(wanted)
    assert relative_error(projection.pixels, wanted) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("layer", ["conv2", "conv3", "inception4a", "aux1", "aux2", "fc"])
def test_googlenets_units_and_heads_are_projected(googlenet, layer, method):
    check(googlenet, make_pixels(), layer, googlenet.layers[layer], method)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("layer", ["conv3_3", "conv5", "fc7"])
def test_vgg_cs_units_are_projected(vggc, layer, method):
    check(vggc, make_pixels(64), layer, vggc.layers[layer], method)


@pytest.mark.parametrize("method", METHODS)
def test_the_explicit_form_of_vgg_c_agrees(vggc, method):
    images = make_pixels(64)
    projector = Projector(vggc, method)
    projection = projector.project(images, "conv4", "top", count=1)
    maps = projector.record(images, ["conv4"]).find_output(vggc.layers["conv4"]).detach()
    seed = torch.zeros_like(maps)
    row, column = projection.positions[0]
    start = 1 if method == "gradient" else projection.activations[0]
    seed[0, projection.units[0], row, column] = start
    explicit = vggc.preprocessing.to_pixel_gradient(projector.mirror(images, "conv4")(seed))
    assert relative_error(projection.pixels, explicit) < 1e-5


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "module", [NaiveInception(3, 4, 6, 5), Inception(3, 4, 3, 6, 2, 5, 4)], ids=["naive", "reduced"]
)
def test_modules_alone_are_projected_through_all_branches(module, method):
    net = fill_randomly(nn.Sequential(module), 3)
    check(net, make_pixels(16), "0#1", "0", method)


def test_a_head_sees_what_lies_below_it_alone(googlenet):
    """The first head hangs on 4a: a change above it must not reach its projection."""
    images, projector = make_pixels(), Projector(googlenet, "deconvnet")
    before = projector.project(images, "aux1", "top", count=1).pixels
    weight = googlenet.module.get_submodule("inception4b.conv3x3").weight
    kept = weight.detach().clone()
    with torch.no_grad():
        weight.zero_()
        after = projector.project(images, "aux1", "top", count=1).pixels
        weight.copy_(kept)
    assert before.abs().max() > 0
    assert torch.equal(before, after)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_the_net_is_left_as_it_was(googlenet, method):
    module = googlenet.module.train()
    before = state_of(module)
    for layer in ("aux1", "conv5"):
        Projector(googlenet, method).project(make_pixels(), layer, "top", count=1)
    assert state_of(module) == before
    module.eval()


@pytest.mark.parametrize("size", [80, 96, 129, 223, 225, 230, 257])
def test_heads_fit_inputs_of_any_size(size):
    options = {"auxiliary": True, "input_size": size}
    module = build_module(find_entry("googlenet-paper"), options).train()
    logits = module(torch.zeros(1, 3, size, size, device="meta"))
    assert [tuple(part.shape) for part in logits] == [(1, 1000)] * 3


def test_inputs_that_leave_a_head_nothing_to_pool_are_refused() -> None:
    with pytest.raises(ModelError, match="maps of 4 x 4 are too small for a pooling of 5 x 5"):
        build_module(find_entry("googlenet-paper"), {"auxiliary": True, "input_size": 78})


def test_the_heads_have_the_sizes_of_section_5() -> None:
    module = build_module(find_entry("googlenet-paper"), {"auxiliary": True})
    # 1 x 1 convolution to 128 maps, 4 x 4 of them to 1,024 units, those to 1,000 logits
    fixed = 128 + (128 * 16 + 1) * 1024 + (1024 + 1) * 1000
    for name, maps in (("aux1", 512), ("aux2", 528)):
        head = module.get_submodule(name)
        assert sum(value.numel() for value in head.parameters()) == maps * 128 + fixed
    assert sum(value.numel() for value in module.parameters()) == 13_378_280


def test_layers_are_named_in_the_order_of_the_forward_pass(googlenet) -> None:
    names = [name for name in googlenet.layers if not name.startswith("conv")]
    assert " ".join(names) == (
        "pool1 norm1 norm2 pool2 inception3a inception3b pool3 inception4a aux1 inception4b "
        "inception4c inception4d aux2 inception4e pool4 inception5a inception5b fc"
    )
    stages = {name: path for name, path in googlenet.layers.items() if name.startswith("conv")}
    ends = ["stem.relu1", "stem.relu2", "inception3b", "inception4e", "inception5b"]
    assert stages == {f"conv{number}": path for number, path in enumerate(ends, start=1)}
    plain = name_layers(build_module(find_entry("googlenet-paper"), {}))
    assert set(googlenet.layers) - set(plain) == {"aux1", "aux2"}


def test_vgg_c_has_the_layer_names_of_vgg16(vggc) -> None:
    assert vggc.layers == name_layers(build_module(find_entry("vgg16"), {}))
