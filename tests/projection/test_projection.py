"""Projections against independent oracles, on odd nets: every spelling, branch and refusal."""

import copy
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import vizcnn
from tests.support.models import (
    RELU6_SPELLINGS,
    RELU_SPELLINGS,
    UNRULED,
    Pooled,
    Spelled,
    branching_nets,
    prepare,
)
from tests.support.projecting import project_unit, relative_error
from tests.support.reference import reference_projection
from vizcnn.basics.errors import (
    ImageError,
    LayerError,
    ModelError,
    UnsupportedOperationError,
    VizcnnError,
)
from vizcnn.projection.deconvnet import Deconvnet, GuidedBackprop, Projector
from vizcnn.projection.methods import METHODS, Method, find_method
from vizcnn.projection.projection import project
from vizcnn.projection.rules import RULES
from vizcnn.projection.targets import units_at
from vizcnn.recording.recording import record


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("spelling", RELU_SPELLINGS)
def test_every_spelling_of_relu_gives_the_same(spelling, method, images):
    net = prepare(Spelled(RELU_SPELLINGS[spelling]))
    wanted = reference_projection(prepare(Spelled(F.relu)), images, "conv2", 2, method)
    got = project_unit(net, images, "conv2", 2, method)
    assert relative_error(got, wanted) < 1e-6


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("spelling", RELU6_SPELLINGS)
def test_every_spelling_of_relu6_gives_the_same(spelling, method, images):
    images = images * 20  # so that the ceiling is reached
    net = prepare(Spelled(RELU6_SPELLINGS[spelling]))
    wanted = reference_projection(prepare(Spelled(F.relu6)), images, "conv2", 2, method)
    assert relative_error(project_unit(net, images, "conv2", 2, method), wanted) < 1e-6


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", branching_nets())
def test_branching_nets_agree_with_node_hooks(name, method, images):
    net, layer = branching_nets()[name]
    prepare(net)
    wanted = reference_projection(net, images, layer, 1, method)
    assert relative_error(project_unit(net, images, layer, 1, method), wanted) < 1e-6


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("layer", ["chain.0", "chain.3", "chain.7", "chain.11", "head.4"])
def test_explicit_form_agrees_with_autograd(layer, method, skip, images):
    net = prepare(Pooled(), 64).double()
    images = F.interpolate(images, 64).double()
    projector = Projector(net, method, passes_over_normalisation=skip)
    projection = projector.project(images, layer, unit="top", count=2)
    recording = projector.record(images, [layer])
    maps = recording.find_output(layer).detach()
    explicit = projector.mirror(images, layer)
    rows = []
    for row in range(len(projection)):
        seed = torch.zeros_like(maps)
        image, unit = projection.images[row], projection.units[row]
        place = maps[image, unit].argmax()
        start = 1 if method == "gradient" else maps[image, unit].view(-1)[place].abs()
        seed[image, unit].view(-1)[place] = start
        rows.append(explicit(seed)[image])
    assert relative_error(projection.pixels, torch.stack(rows)) < 1e-12


@pytest.mark.parametrize("method", METHODS)
def test_pooling_agrees_with_node_hooks(method, images):
    net = prepare(Pooled(), 64)
    images = F.interpolate(images, 64)
    net.chain[2] = net.chain[8] = nn.Identity()  # the oracle does not know how to pass over LRN
    wanted = reference_projection(net, images, "head.4", 3, method)
    assert relative_error(project_unit(net, images, "head.4", 3, method), wanted) < 1e-6


@pytest.mark.parametrize("method", ["deconvnet", "guided"])
@pytest.mark.parametrize("name", UNRULED)
def test_activations_without_a_rule_are_refused_by_name(name, method, images):
    function, word = UNRULED[name]
    net = prepare(Spelled(function))
    with pytest.raises(UnsupportedOperationError, match=word.replace("(", r"\(")):
        project_unit(net, images, "conv2", 0, method)


@pytest.mark.parametrize("name", UNRULED)
def test_activations_without_a_rule_have_a_gradient(name, images):
    net = prepare(Spelled(UNRULED[name][0]))
    images = images[:1]  # some of them look at all images of the batch
    wanted = reference_projection(net, images, "conv2", 0, "gradient")
    assert relative_error(project_unit(net, images, "conv2", 0, "gradient"), wanted) < 1e-6
    projector = Projector(net, "guided", unruled="gradient", seed="one")
    going_on = projector.project(images, "conv2", 0)
    assert relative_error(going_on.pixels, wanted) < 1e-6  # no rectifier here: guided is gradient


def test_only_what_lies_below_the_layer_is_refused(images):
    net = prepare(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.SiLU()))
    assert len(Deconvnet(net).project(images, "2", 0)) == 2
    with pytest.raises(UnsupportedOperationError, match=r"silu \(1x\)"):
        Deconvnet(net).project(images, "3", 0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_scripted_models_are_refused(images):
    net = prepare(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()))
    with pytest.raises(ModelError, match="scripted"):
        Deconvnet(torch.jit.trace(net, images)).project(images, "1", 0)


def test_a_compiled_net_is_projected_through_what_it_wraps(images):
    net = prepare(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)))
    wanted = project_unit(net, images, "2", 0, "guided")
    compiled: Any = torch.compile(net)
    assert torch.equal(project_unit(compiled, images, "2", 0, "guided"), wanted)
    part: Any = torch.compile(net[1])
    parts = nn.Sequential(net[0], part, net[2])
    assert torch.equal(project_unit(parts, images, "2", 0, "guided"), wanted)
    net.compile()
    assert torch.equal(project_unit(net, images, "2", 0, "guided"), wanted)
    assert net._compiled_call_impl is not None


def test_works_under_no_grad_and_inference_mode(images):
    net = prepare(Spelled(F.relu))
    wanted = project_unit(net, images, "conv2", 1, "guided")
    with torch.no_grad():
        assert torch.equal(project_unit(net, images, "conv2", 1, "guided"), wanted)
    with torch.inference_mode():
        made_inside = images.clone()
        assert torch.equal(project_unit(net, made_inside, "conv2", 1, "guided"), wanted)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_follows_the_nets_dtype(dtype, images):
    net = prepare(Spelled(F.relu)).to(dtype)
    assert Deconvnet(net).project(images, "conv2", 1).pixels.dtype == dtype


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("method", METHODS)
def test_cuda_agrees_with_cpu(method, images):
    net = prepare(Pooled(), 64).double()
    images = F.interpolate(images, 64).double()
    wanted = Projector(net, method).project(images, "head.4", [0, 1]).pixels
    on_device = Projector(copy.deepcopy(net).cuda(), method)
    first = on_device.project(images, "head.4", [0, 1]).pixels
    assert relative_error(first.cpu(), wanted) < 1e-10
    assert torch.equal(first, on_device.project(images, "head.4", [0, 1]).pixels)


def test_units_and_images_as_one_batch_equal_one_by_one(images):
    net = prepare(Pooled(), 64)
    images = F.interpolate(images, 64)
    together = Deconvnet(net).project(images, "chain.3", unit=[5, 0, 3])
    assert together.units.tolist() == [5, 0, 3, 5, 0, 3]
    assert together.images.tolist() == [0, 0, 0, 1, 1, 1]
    alone = [
        Deconvnet(net).project(images[image : image + 1], "chain.3", unit=unit)
        for image in (0, 1)
        for unit in (5, 0, 3)
    ]
    assert relative_error(together.pixels, torch.cat([one.pixels for one in alone])) < 1e-5
    assert torch.allclose(together.activations, torch.cat([one.activations for one in alone]))
    assert torch.equal(together.positions, torch.cat([one.positions for one in alone]))
    assert torch.equal(together.boxes, torch.cat([one.boxes for one in alone]))


def test_top_takes_each_images_strongest_units(images):
    net = prepare(Spelled(F.relu))
    projector = Deconvnet(net)
    maps = projector.record(images).find_output("conv2").detach()
    projection = projector.project(images, "conv2", unit="top", count=3)
    strongest = maps.flatten(2).amax(2).sort(dim=1, descending=True)
    assert projection.units.tolist() == strongest.indices[:, :3].flatten().tolist()
    assert torch.equal(projection.activations, strongest.values[:, :3].flatten())
    for row in range(6):
        y, x = projection.positions[row]
        assert (
            maps[projection.images[row], projection.units[row], y, x] == projection.activations[row]
        )
    assert len(projector.project(images, "conv2", unit="top", count=100)) == 2 * 6


@pytest.mark.slow
def test_a_given_position_and_all_positions(images):
    net = prepare(Spelled(F.relu))
    projector = Projector(net, "gradient")
    one = projector.project(images, "conv2", unit=1, position=(4, 7))
    maps = projector.record(images).find_output("conv2").detach()
    assert torch.equal(one.activations, maps[:, 1, 4, 7])
    assert one.boxes.tolist() == [[2, 5, 7, 10]] * 2
    everywhere = projector.project(images, "conv2", unit=1, position="all")
    # projections are linear in the seed: the whole map is the sum of its places
    recording, total = projector.record(images, ["conv2"]), torch.zeros_like(images)
    for row in range(32):
        for column in range(32):
            one = projector.project_recording(recording, "conv2", 1, (row, column))
            total += one.pixels
    assert relative_error(everywhere.pixels, total) < 1e-4
    assert everywhere.positions.tolist() == [[-1, -1]] * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layer": "conv3"}, "did you mean"),
        ({"layer": "conv2", "unit": 6}, r"unit 6 does not exist: the layer has units 0\.\.5"),
        ({"layer": "conv2", "unit": [-1]}, "unit -1 does not exist"),
        (
            {"layer": "conv2", "unit": 0, "position": (32, 0)},
            r"position \(32, 0\) is not in the 32 x 32",
        ),
        ({"layer": "conv2", "unit": 0, "position": "min"}, "position 'min'"),
    ],
)
def test_bad_requests_are_one_clear_line(arguments, message, images):
    with pytest.raises(LayerError, match=message) as caught:
        Deconvnet(prepare(Spelled(F.relu))).project(images, **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "bad", [torch.zeros(3, 32, 32), torch.zeros(1, 3, 32, 32, dtype=torch.uint8), "photo.jpg"]
)
def test_bad_images_are_refused(bad):
    with pytest.raises(ImageError, match=r"needed: images as a float tensor \(N, 3, H, W\)"):
        Deconvnet(prepare(Spelled(F.relu))).project(bad, "conv2", 0)


def test_a_module_used_twice_needs_a_number(images):
    net = prepare(branching_nets()["shared branches"][0])
    with pytest.raises(LayerError, match="'relu' is used 3 times"):
        Deconvnet(net).project(images, "relu", 0)
    wanted = reference_projection(net, images, "relu", 1, "guided", call=2)
    assert relative_error(project_unit(net, images, "relu#3", 1, "guided"), wanted) < 1e-6
    with pytest.raises(LayerError, match=r"calls 1\.\.3"):
        Deconvnet(net).project(images, "relu#4", 0)


def test_a_layer_under_no_grad_is_refused(images):
    class Frozen(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x):
            with torch.no_grad():
                return self.conv(x)

    with pytest.raises(LayerError, match="cut off from the input"):
        Deconvnet(Frozen()).project(images, "conv", 0)


def test_recording_serves_all_rules(images):
    net = prepare(Spelled(F.relu))
    with record(net) as recording:
        net(images)
    for method in METHODS:
        wanted = project_unit(net, images, "conv2", 1, method)
        targets = units_at(recording.find_output("conv2"), 1)
        for given in (method, RULES[method], find_method(method)):
            assert torch.equal(project(recording, "conv2", targets, given).pixels, wanted)
        assert torch.equal(Projector(net, RULES[method]).project(images, "conv2", 1).pixels, wanted)


def test_the_former_form_of_project_still_works_and_names_the_new(images):
    net = prepare(Pooled(), 64)
    images = F.interpolate(images, 64)
    with record(net) as recording:
        net(images)
    wanted = Projector(net, "guided", passes_over_normalisation=True).project(
        images, "chain.7", [1, 2], (3, 4)
    )
    former: Any = project
    with pytest.warns(DeprecationWarning, match=r"project\(recording, layer, targets, method\)"):
        found = former(
            recording,
            "chain.7",
            RULES["guided"],
            [1, 2],
            position=(3, 4),
            passes_over_normalisation=True,
            name="pool",
        )
    assert torch.equal(found.pixels, wanted.pixels)
    assert (found.layer, found.method, found.units.tolist()) == ("pool", "guided", [1, 2, 1, 2])
    with pytest.warns(DeprecationWarning):
        assert len(former(recording, layer="chain.7", rule=RULES["guided"], count=2)) == 4


def test_what_is_no_rule_has_the_same_place(images):
    """A method of another kind: it takes a recorded net and targets, and gives a projection."""

    @dataclass(frozen=True)
    class Ones:
        name: str = "ones"
        source: str = "nobody 2026"

        def project(self, recording, layer, targets, finish=None):
            plain = find_method("gradient").project(recording, layer, targets)
            windows = torch.ones_like(plain.windows)
            return replace(plain, windows=(finish or (lambda x: x))(windows), method=self.name)

    net = prepare(Spelled(F.relu))
    projector = Projector(net, Ones())
    found = projector.project(images, "conv2", [0, 3])
    assert (found.method, found.layer, len(found)) == ("ones", "conv2", 4)
    assert bool((found.windows == 1).all())
    assert repr(projector) == "Projector of Spelled, nobody 2026"
    with pytest.raises(ModelError, match="method 'ones' has no rule of rectifiers to mirror"):
        projector.describe()
    with pytest.raises(ModelError, match="method 'ones' has no rule"):
        Projector(net, Ones(), unruled="gradient")


def test_methods_are_settled_once_and_refused_by_name():
    assert find_method("deconvnet") is METHODS["deconvnet"]
    assert find_method("deconvnet", passes_over_normalisation=False) == Method(
        RULES["deconvnet"], False
    )
    assert find_method(Method(RULES["guided"], True), unruled="gradient") == Method(
        RULES["guided"], True, "gradient"
    )
    with pytest.raises(VizcnnError, match="no method 'deconvent': did you mean 'deconvnet'"):
        find_method("deconvent")
    options: dict[str, Any] = {"unruled": "skip"}
    with pytest.raises(VizcnnError, match="unruled='skip' is not known; needed: refuse or rectify"):
        Deconvnet(nn.ReLU(), **options)


def test_pixels_are_put_together_once_and_hold_the_windows(images):
    found = Deconvnet(prepare(Spelled(F.relu))).project(images, "conv2", [0, 1], (4, 7))
    assert found.windows.shape[-2:] == (5, 5)
    assert found.pixels is found.pixels
    for row in range(len(found)):
        top, left, bottom, right = found.boxes[row].tolist()
        cut = found.cut(row)
        assert torch.equal(cut, found.pixels[row, :, top:bottom, left:right])
        assert cut.untyped_storage().data_ptr() == found.windows.untyped_storage().data_ptr()


def test_description_draws_the_mirrored_net():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2))
    lines = Deconvnet(net).describe().splitlines()
    assert lines[0] == repr(Deconvnet(net))
    assert [line.split("(")[0].strip() for line in lines[1:]] == [
        "Unpool",
        "RectifySignal",
        "TransposedFilter",
    ]
    with pytest.raises(UnsupportedOperationError, match="branches at 'cat'"):
        GuidedBackprop(prepare(branching_nets()["shared branches"][0])).describe()


def test_repr_never_runs_the_net():
    class Two(nn.Module):
        def forward(self, one, other):
            raise AssertionError("a repr ran the net")

    assert repr(Deconvnet(Two())) == (
        "Deconvnet of Two, Zeiler & Fergus 2013, arXiv 1311.2901, section 2.1"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:, :2], r"shape \(2, 2, 128, 128\); needed: a photo of 1, 3 or 4 channels"),
        (lambda x: x * torch.nan, "not finite"),
        (lambda x: x - 0.5, r"with values of .*, no pixels of 0\.\.1 or 0\.\.255"),
        (lambda x: x[..., :64, :64], r"cannot take images of shape \(2, 3, 64, 64\)"),
    ],
)
def test_bad_pixels_for_a_net_of_the_zoo_are_refused(change, message):
    model = vizcnn.load("zfnet", weights="bundled")
    with pytest.raises(ImageError, match=message) as caught:
        Deconvnet(model).project(change(torch.rand(2, 3, 128, 128)), layer="fc6")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("unit", ["all", 1.5, None, True, [0, "1"]])
def test_bad_units_are_refused(unit, images):
    with pytest.raises(LayerError, match="does not exist: the layer has units"):
        Deconvnet(prepare(Spelled(F.relu))).project(images, "conv2", unit)
