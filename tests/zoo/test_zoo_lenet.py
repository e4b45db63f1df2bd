"""LeNet-5: its layers against the paper's table, its projections against oracles, its pictures."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import vizcnn
from tests.support.projecting import relative_error
from tests.support.reference import reference_projection
from vizcnn.basics.errors import LayerError, ModelError, UnsupportedOperationError, WeightsError
from vizcnn.cli.main import commands
from vizcnn.pages.deconv import DeconvSettings, make_deconv_gallery
from vizcnn.projection.deconvnet import Projector
from vizcnn.receptive import find_field
from vizcnn.recording.layers import list_stages, select_layers
from vizcnn.zoo.catalogue import name_layers
from vizcnn.zoo.lenet import LeNet5, Subsampling
from vizcnn.zoo.model import ZooModel
from vizcnn.zoo.zfnet import ZFNet

PARAMETERS = {"conv1": 156, "conv2": 2416, "conv3": 48_120, "fc4": 10_164, "fc5": 850}
POOLING = {"modern": {"pool1": 0, "pool2": 0}, "classic": {"pool1": 12, "pool2": 32}}
SHAPES = {
    "conv1": (6, 28, 28),
    "pool1": (6, 14, 14),
    "conv2": (16, 10, 10),
    "pool2": (16, 5, 5),
    "conv3": (120, 1, 1),
    "fc4": (84,),
    "fc5": (10,),
}
FORMS = ("modern", "classic")


def load_random(form: str) -> ZooModel:
    return vizcnn.load("lenet", weights=None, variant=form, seed=4)


def make_pixels(count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(2))


# ---- the net --------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_layers_have_the_papers_sizes_and_parameters(form: Any) -> None:
    model = load_random(form)
    assert tuple(model.layers) == tuple(SHAPES)
    recording = Projector(model, "gradient").record(make_pixels())
    for name, path in model.layers.items():
        assert recording.find_output(path).shape[1:] == SHAPES[name], name
    counts = {
        name: sum(value.numel() for value in layer.parameters())
        for part in model.module.children()
        for name, layer in part.named_children()
    }
    wanted = {**PARAMETERS, **POOLING[form]}
    assert {name: counts[name] for name in wanted} == wanted
    assert sum(counts.values()) == sum(wanted.values()) == 61_706 + (44 if form == "classic" else 0)


def test_fields_are_those_of_the_papers_convolutions() -> None:
    model = load_random("modern")
    recording = Projector(model, "gradient").record(make_pixels(1))
    assert recording.input is not None
    for name, side in {"conv1": 5, "pool1": 6, "conv2": 14, "pool2": 16, "conv3": 32}.items():
        output = recording.find_output(model.layers[name])
        assert find_field(output, recording.input) == (side, side)


def test_subsampling_adds_scales_shifts_and_squashes() -> None:
    pool = Subsampling(2)
    with torch.no_grad():
        pool.weight.copy_(torch.tensor([0.5, -2.0]))
        pool.bias.copy_(torch.tensor([0.1, 3.0]))
    x = torch.randn(1, 2, 4, 6, generator=torch.Generator().manual_seed(0))
    y = pool(x)
    assert y.shape == (1, 2, 2, 3)
    for c, (weight, bias) in enumerate([(0.5, 0.1), (-2.0, 3.0)]):
        for i in range(2):
            for j in range(3):
                total = sum(x[0, c, 2 * i + a, 2 * j + b].item() for a in (0, 1) for b in (0, 1))
                squashed = 1 / (1 + math.exp(-(weight * total + bias)))
                assert y[0, c, i, j].item() == pytest.approx(squashed, abs=1e-6)


def test_subsampling_starts_in_the_middle_of_the_sigmoid() -> None:
    assert Subsampling(3)(torch.full((1, 3, 2, 2), 0.5)).flatten().tolist() == [0.5] * 3


def test_classic_form_is_sigmoids_only() -> None:
    kinds = {type(part).__name__ for part in LeNet5(form="classic").modules()}
    assert {"Sigmoid", "Subsampling"} <= kinds
    assert not {"ReLU", "MaxPool2d"} & kinds
    assert not {"Sigmoid", "Subsampling"} & {type(part).__name__ for part in LeNet5().modules()}


def test_random_weights_of_the_classic_form_follow_the_seed() -> None:
    first, again = (load_random("classic").module.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert first["features.pool1.weight"].tolist() == [1.0] * 6


def test_other_inputs_and_classes_fit() -> None:
    model = vizcnn.load("lenet", weights=None, input_size=64, classes=26)
    assert model.logits(torch.rand(1, 3, 64, 64)).shape == (1, 26)
    assert model.preprocessing.input_size == 64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "postmodern"}, "no form 'postmodern' of LeNet-5: 'modern' or 'classic'"),
        ({"input_size": 20}, "lenet cannot be built with"),
        ({"hidden": 3}, "lenet has no option 'hidden'"),
        ({"variant": "clasic"}, "lenet has no variant 'clasic': did you mean 'classic'"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        vizcnn.load("lenet", weights=None, **options)


def test_stages_are_those_that_the_net_has() -> None:
    model = load_random("modern")
    assert list_stages(model) == "conv1..conv3"
    assert select_layers(model, [list_stages(model)]) == ("conv1", "conv2", "conv3")
    assert list_stages(ZFNet(hidden=4)) == "conv1..conv5"
    assert list(name_layers(LeNet5(form="classic"))) == list(SHAPES)
    with pytest.raises(LayerError, match="no canonical names"):
        list_stages(torch.nn.Sequential(torch.nn.ReLU()))


# ---- weights --------------------------------------------------------------------------------


def test_bundled_weights_tell_what_they_are() -> None:
    model = vizcnn.load("lenet", weights="bundled")
    assert model.classes == tuple("0123456789")
    assert (model.preprocessing.grey, model.input_size, model.preprocessing.resize) == (
        True,
        32,
        36,
    )
    assert model.preprocessing.mean == model.preprocessing.std == (0.5,)
    assert model.provenance.data == "scikit-learn digits"
    assert "CC BY 4.0" in model.provenance.licence
    assert "BSD" in model.provenance.licence
    assert "share writers" in model.provenance.note


def test_no_weights_of_the_classic_form_are_bundled() -> None:
    with pytest.raises(WeightsError, match=r"no weights of lenet \(variant 'classic'\)"):
        vizcnn.load("lenet", variant="classic")


# ---- projections ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["gradient", "deconvnet", "guided"])
@pytest.mark.parametrize("layer", ["conv1", "pool1", "conv2", "pool2", "conv3"])
def test_projections_are_those_of_node_hooks_by_the_chain_rule(method: str, layer: str) -> None:
    model = vizcnn.load("lenet", weights="bundled")
    pixels = make_pixels(1)
    inputs = model.preprocessing.normalise(pixels)
    projection = Projector(model, method).project(pixels, layer, "top", count=1)
    unit = int(projection.units[0])
    slope = reference_projection(model.module, inputs, model.layers[layer], unit, method)
    # luminance weights, and 0..1 becomes -1..1
    wanted = 2 * slope * torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    assert projection.pixels.shape == (1, 3, 32, 32)
    assert relative_error(projection.pixels, wanted) < 1e-5


@pytest.mark.parametrize("method", ["deconvnet", "guided"])
@pytest.mark.parametrize("layer", ["conv1", "pool1", "conv3", "fc5"])
def test_sigmoids_are_refused_by_name(method: str, layer: str) -> None:
    with pytest.raises(UnsupportedOperationError, match=f"{method} has no rule for sigmoid"):
        Projector(load_random("classic"), method).project(make_pixels(), layer)


@pytest.mark.parametrize("layer", SHAPES)
def test_gradient_of_the_classic_form_is_autograds(layer: str) -> None:
    model = load_random("classic").to(dtype=torch.float64)
    pixels = make_pixels(1).double().requires_grad_()
    maps: list[torch.Tensor] = []
    part = model.module.get_submodule(model.layers[layer])
    part.register_forward_hook(lambda part, args, output: maps.append(output))
    model.module(model.preprocessing.normalise(pixels))
    chosen = maps[0][0, 2].max()
    (slope,) = torch.autograd.grad(chosen, pixels)
    projection = Projector(model, "gradient").project(pixels.detach(), layer, unit=2)
    assert relative_error(projection.pixels, slope) < 1e-10


# ---- pictures -------------------------------------------------------------------------------


def write_noise(path: Path) -> Path:
    values = np.random.default_rng(0).integers(0, 256, (36, 36)).astype(np.uint8)
    Image.fromarray(values).save(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("method", ["deconvnet", "guided", "gradient"])
def test_command_shows_the_stages_that_the_net_has(tmp_path: Path, method: str) -> None:
    photo, out = write_noise(tmp_path / "noise.png"), tmp_path / "out"
    options = ["--model", "lenet", "--weights", "bundled", str(photo), "--out", str(out)]
    result = CliRunner().invoke(commands, ["deconv", *options, "--method", method])
    assert result.exit_code == 0, result.output
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    assert [layer["name"] for layer in manifest["results"]["photos"][0]["layers"]] == [
        "conv1",
        "conv2",
        "conv3",
    ]
    assert "--layer conv1..conv3 " in manifest["command"]


@pytest.mark.slow
def test_pictures_of_a_grey_net_are_grey(tmp_path: Path) -> None:
    write_noise(tmp_path / "noise.png")
    model = vizcnn.load("lenet", weights="bundled")
    layers = select_layers(model, ["conv1..conv3,fc5"])
    settings = DeconvSettings(layers=layers, top=2, save_arrays=True)
    manifest = make_deconv_gallery(model, [tmp_path / "noise.png"], settings, tmp_path / "out")
    (photo,), (net,) = manifest.results.photos, manifest.nets
    assert net.input_size == (32, 32)
    for layer in photo.layers:
        for tile in layer.tiles:
            shown = np.asarray(Image.open(tmp_path / "out" / tile.projection).convert("RGB"))
            assert (shown == shown[..., :1]).all()
            assert shown.std() > 10
    assert photo.layers[-1].tiles[0].name in "0123456789"
    # the kept values are still those with respect to the three colours
    raw = np.load(tmp_path / "out" / str(photo.layers[0].arrays))["pixels"]
    np.testing.assert_allclose(raw[:, 0] * 0.587, raw[:, 1] * 0.299, rtol=1e-5)
