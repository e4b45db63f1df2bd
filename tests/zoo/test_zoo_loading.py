"""Loading by name: which weights are taken."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.weight_files import CARD, CLASSES, SMALL, write_bundle, write_zfnet
from vizcnn.basics.errors import ModelError, WeightsError
from vizcnn.basics.files import hash_file
from vizcnn.zoo.building import build_module, fill_randomly
from vizcnn.zoo.catalogue import find_entry
from vizcnn.zoo.files import WeightMetadata, read_metadata, save_weights
from vizcnn.zoo.loading import load, load_entry
from vizcnn.zoo.model import ZooModel
from vizcnn.zoo.preprocessing import imagenet_preprocessing
from vizcnn.zoo.registry import Entry, WeightSource


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep this machine's caches and packages out of the tests."""
    monkeypatch.setenv("VIZCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setitem(sys.modules, "ndf", None)
    (tmp_path / "cache").mkdir()


@pytest.fixture
def load_here(tmp_path: Path) -> Callable[..., ZooModel]:
    """Load with the bundle of this test."""

    def load_here(
        entry: Entry | str, weights: str | Path = "auto", variant: str | None = None, **options: Any
    ) -> ZooModel:
        found = find_entry(entry) if isinstance(entry, str) else entry
        return load_entry(found, weights, variant, options, bundle=tmp_path)

    return load_here


def cache_torchvision(tmp_path: Path, state: Any, **changes: Any) -> tuple[Entry, WeightSource]:
    """Put a state dict into the cache in the place of torchvision's SqueezeNet 1.1."""
    entry = find_entry("squeezenet1_1")
    (source,) = entry.list_sources()
    path = tmp_path / "cache" / source.file
    torch.save(state, path)
    named = replace(source, sha256=hash_file(path)[:8], **changes)
    return replace(entry, weights=lambda: [named]), named


def test_own_files_are_loaded_with_all_that_they_tell(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    module = write_zfnet(path)
    model = load("zfnet", path)
    assert model.classes == CLASSES
    assert model.preprocessing == imagenet_preprocessing(128, 144)
    assert model.options == SMALL
    assert model.provenance.describe() == "file weights: toys, 3 classes, val top-1 50.0 %"
    assert (model.provenance.sha256, model.provenance.location) == (hash_file(path), str(path))
    assert not model.module.training
    for name, value in model.module.state_dict().items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, module.state_dict()[name].half().float())
    assert model.logits(torch.rand(2, 3, 128, 128)).shape == (2, 3)
    assert all(value.requires_grad for value in model.module.parameters())


def test_tuples_among_the_options_survive_the_file(tmp_path: Path) -> None:
    options = {**SMALL, "maps": (4, 5, 6), "hidden": (4, 7)}
    module = fill_randomly(build_module(find_entry("zfnet"), options), 0)
    record = WeightMetadata("zfnet", options, imagenet_preprocessing(128, 144), CLASSES, CARD)
    save_weights(tmp_path / "w.safetensors", module, record)
    assert read_metadata(tmp_path / "w.safetensors") == record
    assert load("zfnet", str(tmp_path / "w.safetensors")).options == options


def test_auto_takes_the_bundled_weights(tmp_path: Path, load_here: Callable[..., ZooModel]) -> None:
    with pytest.raises(WeightsError, match="no weights of zfnet are at hand: fetch them with: "):
        load_here("zfnet")
    write_bundle(tmp_path)
    for weights in ("auto", "bundled"):
        model = load_here("zfnet", weights)
        assert model.provenance.source == "bundled"
        assert model.classes == CLASSES
    with pytest.raises(WeightsError, match="no ImageNet weights of zfnet are at hand"):
        load_here("zfnet", "imagenet")
    with pytest.raises(WeightsError, match=r"no weights of zfnet \(variant 'paper'\) are at hand"):
        load_here("zfnet", variant="paper")
    with pytest.raises(WeightsError, match="leave variant='paper' out"):
        load_here("zfnet", "bundled", variant="paper")


@pytest.mark.slow
def test_auto_takes_imagenet_weights_from_the_cache(
    tmp_path: Path, load_here: Callable[..., ZooModel]
) -> None:
    module = fill_randomly(build_module(find_entry("squeezenet1_1"), {}), 3)
    entry, source = cache_torchvision(tmp_path, module.state_dict())
    for weights in ("auto", "imagenet", "IMAGENET1K_V1"):
        model = load_here(entry, weights)
        assert model.provenance.source == "torchvision"
        assert model.provenance.top1 == source.origin.top1
        assert model.classes[281] == "tabby"
        theirs = model.module.state_dict()
        assert all(torch.equal(theirs[name], value) for name, value in module.state_dict().items())
    assert load_here(entry, input_size=64).preprocessing == imagenet_preprocessing(64, 73)


def test_a_source_brings_its_own_resize(tmp_path: Path, load_here: Callable[..., ZooModel]) -> None:
    module = fill_randomly(build_module(find_entry("squeezenet1_1"), {}), 3)
    entry, source = cache_torchvision(tmp_path, module.state_dict(), resize=232)
    assert load_here(entry).preprocessing == imagenet_preprocessing(224, 232)
    own_copy = tmp_path / "copy.pth"
    own_copy.write_bytes((tmp_path / "cache" / source.file).read_bytes())
    model = load_here(entry, own_copy)
    assert model.provenance.source == "torchvision"  # a known file is known by its checksum
    assert model.provenance.location == str(own_copy)


def test_damaged_files_in_the_cache_and_the_bundle_are_refused(
    tmp_path: Path, load_here: Callable[..., ZooModel]
) -> None:
    entry, source = cache_torchvision(tmp_path, {})
    (tmp_path / "cache" / source.file).write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="it is damaged or another file; delete it"):
        load_here(entry)
    write_bundle(tmp_path)
    path = tmp_path / "zfnet.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    (tmp_path / "sha256.json").write_text(json.dumps({path.name: "0" * 64}))
    with pytest.raises(WeightsError, match="it is damaged"):
        load_here("zfnet", "bundled")
    (tmp_path / "sha256.json").write_text("{")
    with pytest.raises(WeightsError, match=r"no checksum of .*: install vizcnn again"):
        load_here("zfnet", "bundled")


@pytest.mark.slow
def test_names_of_torchvisions_old_densenet_files_are_understood(tmp_path: Path) -> None:
    module = fill_randomly(build_module(find_entry("densenet121"), {"classes": 2}), 0)
    state = {
        name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): value
        for name, value in module.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    torch.save(state, tmp_path / "old.pth")
    model = load("densenet121", tmp_path / "old.pth")
    ours = model.module.state_dict()
    assert all(torch.equal(ours[name], value) for name, value in module.state_dict().items())


def test_side_branches_of_googlenet_are_left_out(tmp_path: Path) -> None:
    module = fill_randomly(build_module(find_entry("googlenet"), {"classes": 2}), 0)
    torch.save({**module.state_dict(), "aux1.fc1.weight": torch.zeros(2, 2)}, tmp_path / "g.pth")
    assert len(load("googlenet", tmp_path / "g.pth").classes) == 2


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name": "vgg17"}, ModelError, "no net 'vgg17'"),
        ({"name": "vgg16"}, WeightsError, "vizcnn weights fetch vgg16"),
        ({"name": "vgg16", "weights": "imagenet"}, WeightsError, "no ImageNet weights of vgg16"),
        ({"name": "vgg16", "weights": "bundled"}, WeightsError, "no bundled weights of vgg16"),
        ({"name": "vgg16", "weights": "ndf"}, WeightsError, "ndf carries weights of squeezenet1_1"),
        ({"name": "vgg16", "weights": "imagenett"}, WeightsError, "did you mean 'imagenet'"),
        ({"name": "vgg16", "weights": "IMAGENET1K_V1"}, WeightsError, "weights fetch vgg16"),
        ({"name": "squeezenet1_1"}, WeightsError, r"pip install 'vizcnn\[squeezenet\]'; or fetch"),
        ({"name": "zfnet", "variant": "widee"}, ModelError, "did you mean 'wide'"),
        ({"name": "zfnet", "weights": None, "hiden": 4}, ModelError, "no option 'hiden'"),
    ],
)
def test_what_cannot_be_loaded_says_what_to_do(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        load(**arguments)
    assert "\n" not in str(caught.value)


def test_random_weights_only_when_asked_and_by_seed() -> None:
    models = [load("squeezenet1_1", weights=None, seed=seed, classes=4) for seed in (0, 0, 1)]
    pixels = torch.rand(1, 3, 64, 64)
    first, again, other = (model.logits(pixels) for model in models)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert models[0].provenance.describe() == "random weights (untrained)"
    assert models[0].classes == ("class 0", "class 1", "class 2", "class 3")
