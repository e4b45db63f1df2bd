"""Nets of timm and of the hub: timm's own settings, the hub's cache as the test lays it out."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import vizcnn
from vizcnn.basics.errors import ModelError, WeightsError
from vizcnn.zoo import fetch_weights, list_models
from vizcnn.zoo.torchvision_nets import import_torchvision

import_torchvision()
timm = pytest.importorskip("timm", reason="timm is not installed (pip install 'vizcnn[timm]')")
pytestmark = pytest.mark.slow

ARCHITECTURE = "resnet10t"
REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "hub"


def lay_out(hub: Path, repository: str, **told: object) -> torch.nn.Module:
    """Lay a repository out as the hub's client does: blobs by revision, names of revisions."""
    torch.manual_seed(1)
    net = timm.create_model(ARCHITECTURE, pretrained=False, num_classes=4).eval()
    home = hub / f"models--{repository.replace('/', '--')}"
    snapshot = home / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(REVISION)
    config = {
        "architecture": ARCHITECTURE,
        "num_classes": 4,
        "pretrained_cfg": {
            "mean": [0.1, 0.2, 0.3],
            "std": [0.5, 0.5, 0.5],
            "input_size": [3, 64, 64],
            "crop_pct": 0.8,
            "label_names": ["a", "b", "c", "d"],
            "license": "cc-by-4.0",
        },
        **told,
    }
    (snapshot / "config.json").write_text(json.dumps(config))
    save_file(net.state_dict(), snapshot / "plain")
    digest = hashlib.sha256((snapshot / "plain").read_bytes()).hexdigest()
    (home / "blobs").mkdir()
    (snapshot / "plain").rename(home / "blobs" / digest)
    (snapshot / "model.safetensors").symlink_to(home / "blobs" / digest)
    return net


@pytest.mark.parametrize("spec", ["hub:me/tiny", f"hub:me/tiny@{REVISION}", "hub:me/tiny@main"])
def test_a_net_of_the_cache_is_what_timm_builds_of_it(hub: Path, spec: str) -> None:
    net = lay_out(hub, "me/tiny")
    model = vizcnn.load(spec)
    pixels = torch.rand(2, 3, 64, 64)
    mean, std = torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1), 0.5
    torch.testing.assert_close(model.logits(pixels), net((pixels - mean) / std).detach())
    assert model.classes == ("a", "b", "c", "d")
    assert (model.input_size, model.preprocessing.resize) == (64, 80)
    told = model.provenance
    assert (told.source, told.licence, len(told.sha256 or "")) == ("hub", "cc-by-4.0", 64)
    assert told.data == "me/tiny" + (f" at {spec.split('@')[1]}" if "@" in spec else "")
    assert fetch_weights(spec) == Path(told.location)  # what is there is not asked for


def test_a_damaged_file_of_the_cache_is_refused(hub: Path) -> None:
    lay_out(hub, "me/tiny")
    (blob,) = (hub / "models--me--tiny" / "blobs").iterdir()
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)
    with pytest.raises(WeightsError, match="it is damaged or another file"):
        vizcnn.load("hub:me/tiny")


def test_what_is_not_in_the_cache_names_the_command_that_fetches_it(hub: Path) -> None:
    with pytest.raises(ModelError, match="fetch it with: vizcnn weights fetch hub:me/gone"):
        vizcnn.load("hub:me/gone")
    lay_out(hub, "me/tiny")
    with pytest.raises(ModelError, match="is not in the hub's cache"):
        vizcnn.load("hub:me/tiny@other")
    with pytest.raises(WeightsError, match="vizcnn weights fetch timm:resnet10t"):
        vizcnn.load("timm:resnet10t")
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE forbids to fetch it"):
        fetch_weights("hub:me/gone")


@pytest.mark.parametrize(
    "told",
    [{"architecture": None}, {"architecture": "no_such_net"}, {"architectures": ["ResNet"]}],
)
def test_other_configurations_are_refused(hub: Path, told: dict[str, object]) -> None:
    lay_out(hub, "me/tiny", **({"architecture": None} | told))
    with pytest.raises(ModelError, match="names no architecture that timm has"):
        vizcnn.load("hub:me/tiny")


def test_weights_of_timms_own_repositories_come_from_the_cache(hub: Path) -> None:
    repository = f"timm/{ARCHITECTURE}.c3_in1k"
    lay_out(hub, repository)
    with pytest.raises(WeightsError, match=r"are not timm:resnet10t\.c3_in1k's"):  # of 4 classes
        vizcnn.load(f"timm:{ARCHITECTURE}.c3_in1k")
    model = vizcnn.load(f"timm:{ARCHITECTURE}.c3_in1k", classes=4)
    assert model.provenance.data == repository


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050", "lcnet_050.ra2_in1k"])
def test_settings_are_those_that_timm_resolves(hub: Path, name: str) -> None:
    model = vizcnn.load(f"timm:{name}", weights=None)
    wanted = timm.data.resolve_model_data_config(timm.create_model(name))
    found = model.preprocessing
    assert (found.mean, found.std) == (tuple(wanted["mean"]), tuple(wanted["std"]))
    assert (3, found.input_size, found.input_size) == wanted["input_size"]
    assert found.resize == int(found.input_size / wanted["crop_pct"])
    infos: Any = model.module.feature_info
    extractor = timm.create_model(name, features_only=True, pretrained=False).eval()
    state = model.module.state_dict()
    extractor.load_state_dict({k: v for k, v in state.items() if k in extractor.state_dict()})
    pixels = torch.rand(1, 3, 64, 64)
    features = extractor(model.preprocessing.normalise(pixels))
    for number, feature in enumerate(features):
        recording = vizcnn.Deconvnet(model).record(pixels, [f"features.{number}"])
        path = model.layers[f"features.{number}"]
        torch.testing.assert_close(recording.find_output(path).detach(), feature.detach())
        assert model.layers[f"conv{number + 1}"] == path
    assert len(features) == len(infos)


def test_random_weights_are_drawn_from_the_seed_and_names_are_checked(hub: Path) -> None:
    ones, again, others = (
        vizcnn.load("timm:lcnet_050", weights=None, seed=seed).module.state_dict()[
            "conv_stem.weight"
        ]
        for seed in (3, 3, 4)
    )
    assert torch.equal(ones, again) and not torch.equal(ones, others)
    with pytest.raises(ModelError, match=r"timm has no net 'resnet10q': did you mean"):
        vizcnn.load("timm:resnet10q")
    with pytest.raises(ModelError, match=r"timm has no net 'resnet18\.nobody'"):
        vizcnn.load("timm:resnet18.nobody")
    (row,) = list_models(names=("timm:lcnet_050",), layers=True)
    assert row.layers["features.0"] and row.nodes and not row.sources[0].cached


def test_another_input_size_goes_with_nets_of_convolutions(hub: Path) -> None:
    model = vizcnn.load("timm:lcnet_050", weights=None, input_size=96)
    assert model.input_size == 96 and model.logits(torch.rand(1, 3, 96, 96)).shape == (1, 1000)
