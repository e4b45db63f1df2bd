"""Weight files: every usual form is read, everything else is refused in one line."""

import argparse
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.support.weight_files import RECORD, small_zfnet, write_zfnet
from vizcnn.basics.errors import WeightsError
from vizcnn.training.checkpoint import read_checkpoint
from vizcnn.zoo.building import build_module
from vizcnn.zoo.catalogue import CATALOGUE
from vizcnn.zoo.files import save_weights
from vizcnn.zoo.loading import load


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIZCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "wrap"),
    [
        (".safetensors", None),
        (".pt", None),
        *((".pth", wrap) for wrap in (None, "state_dict", "weights", "module.")),
    ],
)
def test_state_dicts_are_read_in_every_usual_form(
    tmp_path: Path, suffix: str, wrap: str | None
) -> None:
    module = small_zfnet()
    state: dict[str, Any] = dict(module.state_dict())
    path = tmp_path / f"mine{suffix}"
    if suffix == ".safetensors":
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


def wrap_checkpoints() -> dict[str, Any]:
    """Checkpoints as common training scripts write them, of a net's plain tensors by name."""
    plain = dict(small_zfnet().state_dict())

    def rename(*prefixes: tuple[str, str]) -> dict[str, Any]:
        renamed = dict(plain)
        for old, new in prefixes:
            renamed = {
                new + name.removeprefix(old) if name.startswith(old) else name: value
                for name, value in renamed.items()
            }
        return renamed

    optimiser = {"state": {0: {"momentum_buffer": torch.zeros(2)}}, "param_groups": [{"lr": 0.1}]}
    return {
        "model_best.pth.tar": {
            "epoch": 5,
            "arch": "zfnet",
            "state_dict": rename(("features.", "features.module.")),
            "best_acc1": torch.tensor(50.0),
            "optimizer": optimiser,
        },
        "tutorial.pt": {"epoch": 5, "model_state_dict": plain, "loss": 0.1},
        "torchvision.pth": {
            "model": rename(("", "module.")),
            "args": argparse.Namespace(lr=0.1, model="zfnet"),
            "epoch": 5,
        },
        "compiled.pth": rename(("", "_orig_mod.")),
        "both.pth": rename(("", "module._orig_mod.")),
        "stage.bin": rename(("classifier.", "classifier._orig_mod.")),
        "lightning.ckpt": {"state_dict": rename(("", "model.")), "global_step": 7},
    }


def test_checkpoints_of_training_scripts_are_read(tmp_path: Path) -> None:
    expected = small_zfnet().state_dict()
    for name, content in wrap_checkpoints().items():
        torch.save(content, tmp_path / name)
        model = load("zfnet", tmp_path / name, hidden=4, input_size=128)
        got = model.module.state_dict()
        assert got.keys() == expected.keys(), name
        assert all(torch.equal(got[key], expected[key]) for key in expected), name


def test_one_tensor_under_two_names_is_refused(tmp_path: Path) -> None:
    one = torch.zeros(2)
    torch.save({"a.weight": one, "module.a.weight": one}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"holds 'a\.weight' twice"):
        load("zfnet", tmp_path / "w.pth")


def test_no_net_of_the_zoo_has_parts_named_as_wrappers_are() -> None:
    for entry in CATALOGUE.values():
        names = list(build_module(entry, {}).state_dict())
        parts = {part for name in names for part in name.split(".")}
        assert not parts & {"module", "_orig_mod"}, entry.name
        assert not all(name.startswith("model.") for name in names), entry.name


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


def test_names_of_tensors_are_told_without_control_characters(tmp_path: Path) -> None:
    torch.save({**small_zfnet().state_dict(), "x\x1b[31m\n": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"left over x\\x1b\[31m\\n") as caught:
        load("zfnet", tmp_path / "w.pth")
    assert str(caught.value).isprintable()


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
        "weights.h5": "is no weight file; needed: .safetensors, .pth, .pt, .pth.tar, ",
        "other.safetensors": "holds weights of 'alexnet', not of 'zfnet': load 'alexnet' instead",
        "missing.pth": "no weight file .*: check the path",
    }


def pack(path: Path) -> Path:
    """Write an archive of torch's anew, with packed entries."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def test_packed_archives_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    weights, checkpoint = tmp_path / "w.pth", tmp_path / "checkpoint.pt"
    for path in (weights, checkpoint):
        torch.save({"a": torch.zeros(5000)}, path)
        pack(path)
    line = r"^'.*' has [\d,]{3,5} bytes and 2\d,\d{3} unpacked: write it with torch.save"
    with pytest.raises(WeightsError, match=line):
        load("zfnet", weights)
    with pytest.raises(WeightsError, match=line):
        read_checkpoint(checkpoint)


@pytest.mark.slow
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
    (tmp_path / "file").touch()
    with pytest.raises(WeightsError, match="cannot be written"):
        save_weights(tmp_path / "file" / "w.safetensors", module, RECORD)
    with torch.no_grad():
        module.get_submodule("features.conv1").bias[0] = 1e6  # type: ignore[operator]
    with pytest.raises(
        WeightsError, match=r"features\.conv1\.bias holds values that half precision"
    ):
        save_weights(tmp_path / "w.safetensors", module, RECORD)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
