"""``vizcnn evolve`` on a command line: which run is meant, which photos, and what is refused."""

import json
import shlex
import shutil
from pathlib import Path

import pytest
import torch

from tests.support.command_line import fail, run
from tests.support.small_zoo import list_files, paint_photo
from vizcnn.gallery.manifest import read_manifest
from vizcnn.pages.evolution_records import EvolveResults
from vizcnn.training.moments import SHIPPED_RUN

QUICK = ("--layer", "conv1", "--unit", "0,3", "--compare", "none", "--workers", 0)
NET = """
from torch import nn


def make():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 30 * 30, 2))
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed in range(3):
        paint_photo(tmp_path / "photos" / f"{seed}.png", seed)
    return tmp_path


@pytest.fixture
def kept(here):
    """A run's folder with two of the shipped nets."""
    (here / "kept").mkdir()
    for name in ("lenet.epoch-005", "lenet"):
        shutil.copy(SHIPPED_RUN / f"{name}.safetensors", here / "kept")
    return "kept"


def test_it_works_with_nothing(here):
    told = run("evolve", *QUICK)
    assert "lenet at epochs 0, 1, 2, 5, 10, 20, 30, 40, 64: 1,442 photos" in told.stdout
    folder = here / "vizcnn-out" / "evolve"
    assert f"gallery: {folder.relative_to(here)}/index.html" in told.stdout
    manifest = read_manifest(folder, EvolveResults)
    assert manifest.results.epochs == (0, 1, 2, 5, 10, 20, 30, 40, 64)
    assert "UCI optdigits, CC BY 4.0" in (folder / "index.html").read_text("utf-8")


def test_a_run_and_photos(kept, here):
    told = run("evolve", kept, "photos", *QUICK, "--out", "out", "--json")
    told = json.loads(told.stdout)["manifest"]["results"]
    assert (told["run"], told["epochs"]) == ("kept", [5, 64])
    assert told["data"]["count"] == 3
    run("evolve", "photos", kept, *QUICK, "--out", "other")
    assert read_manifest(here / "other", EvolveResults).results.data.count == 3


def test_photos_of_a_run_on_digits_are_the_digits(kept, here):
    run("evolve", kept, *QUICK, "--out", "out")
    run("evolve", kept, "digits", *QUICK, "--out", "named")
    results = [read_manifest(here / name, EvolveResults).results for name in ("out", "named")]
    assert results[0] == results[1]
    assert results[0].data.count == 1442


def test_weights_one_by_one_are_the_run(kept, here):
    run("evolve", kept, "photos", *QUICK, "--out", "out")
    files = ("5=kept/lenet.epoch-005.safetensors", "kept/lenet.safetensors")
    weights = [word for file in files for word in ("--weights", file)]
    run("evolve", "photos", "--model", "lenet", *weights, *QUICK, "--out", "listed")
    whole, listed = (read_manifest(here / name, EvolveResults) for name in ("out", "listed"))
    assert listed.results.layers == whole.results.layers
    assert [net.weights for net in listed.nets] == [net.weights for net in whole.nets]
    before = list_files(here / "listed")
    run(*shlex.split(listed.command)[1:])
    assert list_files(here / "listed") == before


def test_a_net_of_ones_own_at_its_checkpoints(here):
    Path("net.py").write_text(NET)
    scope = {}
    exec(NET, scope)
    for epoch in (1, 4):
        torch.manual_seed(epoch)
        torch.save(scope["make"]().state_dict(), f"{epoch}.pt")
    words = ("--model", "net.py:make", "--preprocess", "mean=0.5,std=0.5,size=32", "--layer", "1")
    words = (*words, "--compare", "none", "--workers", 0, "--out", "out")
    named = ("--weights", "4=4.pt", "--weights", "1=1.pt", "--weights", "0=random")
    run("evolve", "photos", *words, *named)
    manifest = read_manifest(here / "out", EvolveResults)
    assert manifest.results.epochs == (0, 1, 4)
    assert [layer.name for layer in manifest.results.layers] == ["1"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("zfnet", "alexnet"), "2 runs are named ('zfnet', 'alexnet'): give one"),
        (("--model", "zfnet", "--model", "alexnet"), "--model is given 2 times"),
        (("--model", "vgg16"), "no run 'vgg16'"),
        (("zfnet", "photos", "--layer", "conv1..conv3"), "conv2 needs whole nets: train one with"),
        (("photos", "--weights", "1=a.pt"), "--weights are of a net: name it (--model)"),
        (("lenet", "--model", "lenet", "--weights", "1=a.pt"), "is a run, and --weights make"),
        (("--model", "lenet", "--weights", "1=a", "--weights", "1=b"), "two --weights are of"),
        (("--model", "lenet", "--weights", "3=random"), "nets at two epochs or more"),
        (("--model", "lenet", "--weights", ""), "names no weights"),
        (("--model", "lenet", "--weights", "a.pt"), "does not tell its epoch"),
        (("lenet", "--variant", "classic"), "go with --weights"),
        (("nowhere",), "no folder 'nowhere'"),
        (("photos", "--unit", "9", "--layer", "conv1"), "no unit 9; it has units 0..5"),
        (("photos", "--part", "own", "--compare", "none"), "compare is none"),
        (("digits", "photos"), "no folder 'digits'"),
        (("photos", "--fit", "none"), "fit crop, pad and squash bring every photo"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_line(here, words, told):
    assert told in fail("evolve", *words, "--out", "out")
    assert not Path("out").exists()
