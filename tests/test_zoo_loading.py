"""Loading by name: which weights are taken, and what happens with bad files."""

import json
import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from vizcnn.errors import ModelError, WeightsError
from vizcnn.zoo import bundle, loading
from vizcnn.zoo.building import build_module, fill_randomly
from vizcnn.zoo.cache import hash_file
from vizcnn.zoo.catalogue import Entry, find_entry
from vizcnn.zoo.files import WeightMetadata, read_metadata, save_weights
from vizcnn.zoo.loading import load
from vizcnn.zoo.preprocessing import imagenet_preprocessing
from vizcnn.zoo.sources import WeightSource, find_sources

SMALL = {"classes": 3, "hidden": 4, "input_size": 128}
CLASSES = ("cat", "dog", "grün <b>")
CARD = {"data": "toys, 3 classes", "licence": "MIT", "top1": 0.5, "top5": 1.0, "epochs": 2}


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep this machine's caches, packages and bundled weights out of the tests."""
    monkeypatch.setenv("VIZCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(loading, "find_ndf", lambda: None)
    monkeypatch.setattr(loading, "find_bundled", lambda entry: find_in(tmp_path, entry))
    monkeypatch.setattr(loading, "read_bundled", lambda entry: bundle.read_bundled(entry, tmp_path))
    (tmp_path / "cache").mkdir()


def find_in(folder: Path, entry: Entry) -> Path | None:
    return bundle.find_bundled(entry, folder)


def small_zfnet(seed: int = 0) -> nn.Module:
    return fill_randomly(build_module(find_entry("zfnet"), SMALL), seed)


def write_zfnet(path: Path, **changes: Any) -> nn.Module:
    module = small_zfnet()
    record = WeightMetadata("zfnet", SMALL, imagenet_preprocessing(128, 144), CLASSES, CARD)
    save_weights(path, module, replace(record, **changes))
    return module


def write_bundle(folder: Path) -> nn.Module:
    path = folder / "zfnet.safetensors"
    module = write_zfnet(path)
    (folder / "sha256.json").write_text(json.dumps({path.name: hash_file(path)}))
    return module


def cache_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: Any) -> WeightSource:
    """Put a state dict into the cache in the place of torchvision's SqueezeNet 1.1."""
    (source,) = find_sources(find_entry("squeezenet1_1"))
    path = tmp_path / "cache" / source.file
    torch.save(state, path)
    named = replace(source, sha256=hash_file(path)[:8])
    monkeypatch.setattr(loading, "find_sources", lambda entry, variant=None: [named])
    return named


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


def test_auto_takes_the_bundled_weights(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no weights of zfnet are at hand: fetch them with: "):
        load("zfnet")
    write_bundle(tmp_path)
    for weights in ("auto", "bundled"):
        model = load("zfnet", weights)
        assert model.provenance.source == "bundled"
        assert model.classes == CLASSES
    with pytest.raises(WeightsError, match="no ImageNet weights of zfnet are at hand"):
        load("zfnet", "imagenet")
    with pytest.raises(WeightsError, match=r"no weights of zfnet \(variant 'paper'\) are at hand"):
        load("zfnet", variant="paper")
    with pytest.raises(WeightsError, match="leave variant='paper' out"):
        load("zfnet", "bundled", variant="paper")


def test_auto_takes_imagenet_weights_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = find_entry("squeezenet1_1")
    module = fill_randomly(build_module(entry, {}), 3)
    source = cache_torchvision(tmp_path, monkeypatch, module.state_dict())
    for weights in ("auto", "imagenet", "IMAGENET1K_V1"):
        model = load("squeezenet1_1", weights)
        assert model.provenance.source == "torchvision"
        assert model.provenance.top1 == source.top1
        assert model.classes[281] == "tabby"
        theirs = model.module.state_dict()
        assert all(torch.equal(theirs[name], value) for name, value in module.state_dict().items())
    assert load("squeezenet1_1", input_size=64).preprocessing == imagenet_preprocessing(64, 73)


def test_damaged_files_in_the_cache_and_the_bundle_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = cache_torchvision(tmp_path, monkeypatch, {})
    (tmp_path / "cache" / source.file).write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="it is damaged or another file; delete it"):
        load("squeezenet1_1")
    write_bundle(tmp_path)
    path = tmp_path / "zfnet.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    (tmp_path / "sha256.json").write_text(json.dumps({path.name: "0" * 64}))
    with pytest.raises(WeightsError, match="it is damaged"):
        load("zfnet", "bundled")
    (tmp_path / "sha256.json").write_text("{")
    with pytest.raises(WeightsError, match=r"no checksum of .*: install vizcnn again"):
        load("zfnet", "bundled")


@pytest.mark.parametrize("wrap", [None, "state_dict", "weights", "module."])
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_state_dicts_are_read_in_every_usual_form(
    tmp_path: Path, wrap: str | None, suffix: str
) -> None:
    module = small_zfnet()
    state: dict[str, Any] = dict(module.state_dict())
    path = tmp_path / f"mine{suffix}"
    if suffix == ".safetensors":
        if wrap:
            pytest.skip("safetensors files hold nothing but tensors by name")
        save_file(state, path)
    elif wrap == "module.":
        torch.save({f"module.{name}": value for name, value in state.items()}, path)
    else:
        torch.save({wrap: state, "epoch": 3} if wrap else state, path)
    model = load("zfnet", path, hidden=4, input_size=128)
    assert model.classes == ("class 0", "class 1", "class 2")
    assert model.provenance.source == "file"
    pixels = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        expected = module(model.preprocessing.normalise(pixels))
    torch.testing.assert_close(model.logits(pixels), expected)


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


class RunsCode:
    """A pickle of this makes a file when it is read by an unsafe reader."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("name", ["evil.pth", "evil.pt"])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_runs_code_is_refused_and_not_run(
    tmp_path: Path, name: str, zipped: bool
) -> None:
    target = tmp_path / "made"
    path = tmp_path / name
    content = {"state_dict": RunsCode(target)}
    if zipped:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    with pytest.raises(WeightsError) as caught:
        load("zfnet", path)
    assert "is refused" in str(caught.value)
    assert "mkdir" in str(caught.value) or not zipped
    assert "\n" not in str(caught.value)
    assert not target.exists()


BAD_CONTENTS: list[tuple[Any, str]] = [
    ([1, 2], "holds a list, not a state dict"),
    (torch.zeros(3), "holds a Tensor, not a state dict"),
    ({"epoch": 3}, "is not a state dict: 'epoch' is a int; needed: tensors by name"),
    ({"state_dict": {"a": "b"}}, "is not a state dict: 'a' is a str"),
    (
        {"x": torch.zeros(2)},
        "are not zfnet's: missing features.conv1.weight and 15 more; left over x",
    ),
]


@pytest.mark.parametrize(("content", "message"), BAD_CONTENTS)
def test_other_contents_are_refused_by_name(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(WeightsError) as caught:
        load("zfnet", tmp_path / "other.pth")
    assert message in str(caught.value)


def test_tensors_of_other_shapes_are_named(tmp_path: Path) -> None:
    torch.save(small_zfnet().state_dict(), tmp_path / "w.pth")
    with pytest.raises(WeightsError) as caught:
        load("zfnet", tmp_path / "w.pth")
    assert "classifier.fc6.weight is (4, 4608), needed (4096, 18432)" in str(caught.value)
    assert "and 4 more; give the options" in str(caught.value)


def bad_files(folder: Path) -> dict[str, str]:
    good = folder / "good.safetensors"
    write_zfnet(good)
    (folder / "cut.safetensors").write_bytes(good.read_bytes()[:-100])
    torch.save(small_zfnet().state_dict(), folder / "good.pth")
    (folder / "cut.pth").write_bytes((folder / "good.pth").read_bytes()[:5000])
    (folder / "text.pth").write_text("not weights")
    (folder / "text.safetensors").write_text("not weights at all")
    (folder / "empty.pth").touch()
    (folder / "folder.pth").mkdir()
    (folder / "pointer.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    (folder / "weights.h5").write_text("other")
    write_zfnet(folder / "other.safetensors", model="alexnet")
    return {
        "cut.safetensors": "it is cut off or damaged",
        "cut.pth": "it is cut off or damaged",
        "text.pth": "is refused: it holds more than plain tensors|it is cut off or damaged",
        "text.safetensors": "it is cut off or damaged",
        "empty.pth": r"is empty \(0 bytes\)",
        "folder.pth": "is a folder, not a weight file",
        "pointer.safetensors": "is a Git LFS pointer",
        "weights.h5": "is no weight file; needed: .safetensors, .pth, .pt, .onnx",
        "other.safetensors": "holds weights of 'alexnet', not of 'zfnet': load 'alexnet' instead",
        "missing.pth": "no weight file .*: check the path",
    }


def test_bad_files_are_refused_in_one_line(tmp_path: Path) -> None:
    for name, message in bad_files(tmp_path).items():
        with pytest.raises(WeightsError, match=message) as caught:
            load("zfnet", tmp_path / name)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"model": "zfnet", "options": 3}', '{"options": {}, "model": "z"}']
)
def test_damaged_records_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"x": torch.zeros(1)}, path, metadata={"vizcnn": text})
    with pytest.raises(WeightsError, match=r"the vizcnn record in .* is damaged"):
        load("zfnet", path)


def test_saving_leaves_nothing_behind_when_it_fails(tmp_path: Path) -> None:
    module = small_zfnet()
    record = WeightMetadata("zfnet", SMALL, imagenet_preprocessing(128, 144), CLASSES, CARD)
    with pytest.raises(WeightsError, match="cannot be written"):
        save_weights(tmp_path / "no folder" / "w.safetensors", module, record)
    with torch.no_grad():
        module.get_submodule("features.conv1").bias[0] = 1e6  # type: ignore[operator]
    with pytest.raises(
        WeightsError, match=r"features\.conv1\.bias holds values that half precision"
    ):
        save_weights(tmp_path / "w.safetensors", module, record)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


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
