"""A net of one's own in every command: the same command and the same page for all."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from tests.support import own_net
from tests.support.command_line import fail, run
from tests.support.small_zoo import paint_photo

NAMES = ("cat", "dog", "bird")
SIZE = ("--preprocess", "mean=0.5,std=0.5,size=48")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("own")
    shutil.copy(own_net.__file__, home / "net.py")
    (home / "names.txt").write_text("\n".join(NAMES))
    for name in ("a", "b", "c"):
        paint_photo(home / "photos" / f"{name}.png")
    torch.manual_seed(1)
    torch.save({"state_dict": own_net.Own().state_dict()}, home / "mine.pth")
    return home


COMMANDS = {
    "deconv": ("--top", "2", "{home}/photos/a.png"),
    "receptive": (),
    "filters": ("--layer", "conv2"),
    "gallery": ("{home}/photos", "--workers", "0", "--unit", "1", "--compare", "none"),
    "compare": ("{home}/photos/a.png", "--method", "gradient", "--method", "grad-cam"),
    "aliasing": ("{home}/photos", "--units", "2", "--shift", "2"),
    "check": ("{home}/photos", "--photos", "2", "--method", "deconvnet"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_every_page_takes_a_net_of_ones_own(home, tmp_path, name):
    words = [word.format(home=home) for word in COMMANDS[name]]
    weights = () if name == "receptive" else ("--weights", home / "mine.pth")
    given = ("--model", f"{home}/net.py:make", *SIZE, "--classes", home / "names.txt", *weights)
    told = run(name, *given, *words, "--out", tmp_path)
    assert "note: ran the code of" in told.stderr
    manifest = json.loads((tmp_path / "manifest.json").read_text("utf-8"))
    (net,) = manifest["nets"]
    assert (net["input_size"], net["classes"]) == ([48, 48], 3)
    assert net["options"]["factory"] == f"{home}/net.py:make"
    assert f"{home}/net.py:make" in manifest["command"]
    assert "mean=0.5,std=0.5,size=48" in manifest["command"]
    page = (tmp_path / "index.html").read_text("utf-8")
    if name == "deconv":
        assert all(word in page for word in NAMES) and "stage2" in page
        layers = [layer["name"] for layer in manifest["results"]["photos"][0]["layers"]]
        assert layers == ["stage1", "stage2"]
    if name == "receptive":
        assert [row["size"] for row in manifest["results"]["layers"]][:2] == [[5, 5], [15, 15]]


def test_an_index_names_the_net_and_goes_on(home, tmp_path):
    given = ("--model", f"{home}/net.py:make", *SIZE, home / "photos", "--workers", "0")
    run("mine", *given, "--layer", "relu_1", "--out", tmp_path / "index.safetensors")
    again = run("mine", *given, "--layer", "relu_1", "--out", tmp_path / "index.safetensors")
    assert "already complete: 3 photos" in again.stderr


def test_models_runs_a_net_of_one_size_at_the_size_that_is_told(home):
    told = run("models", f"{home}/net.py:make_fixed", "--preprocess", "size=48").stdout
    rows = [line.split() for line in told.splitlines()]
    assert ["1", "ReLU", "2", "×", "22", "×", "22"] in rows
    assert "48 px" in told
    assert "size=.." in run("models", f"{home}/net.py:make_fixed", status=2).stderr
    assert "name it" in fail("models", "--preprocess", "size=48")


def test_models_lists_the_layers_of_a_spec(home):
    told = run("models", f"{home}/net.py:make").stdout
    rows = [line.split() for line in told.splitlines()]
    assert ["stage2", "relu()#2"] in rows
    assert ["relu_1", "relu", "8", "×", "56", "×", "56"] in rows
    (row,) = json.loads(run("models", f"{home}/net.py:make", "--json").stdout)
    assert [node["name"] for node in row["nodes"]] == [
        *("conv1", "relu", "max_pool2d", "conv2", "relu_1", "mean", "head")
    ]


def test_default_folders_are_named_by_what_tells_the_net_apart(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("receptive", "--model", f"{home}/net.py:make", *SIZE)
    assert [path.name for path in Path("vizcnn-out").iterdir()] == ["net-make-chelsea-receptive"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--model", "net.py"), "does not say what makes the net"),
        (("--model", "zfnett"), "did you mean 'zfnet'"),
        (("--model", "lenet", "--preprocess", "mena=1"), "did you mean 'mean'"),
        (("--model", "lenet", "--variant", "papre"), "lenet has no variant 'papre'"),
        (("--model", "lenet", "--classes", "gone.txt"), "no list of classes 'gone.txt'"),
        (("--model", "lenet", "--variant", "a", "--variant", "b"), "2 --variant for 1 --model"),
    ],
)
def test_mistakes_are_one_line(tmp_path, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    assert told in fail("deconv", *arguments)


def test_what_is_said_of_nets_is_said_once_or_for_each(tmp_path):
    given = ("--model", "LeNet", "--model", "lenet", "--weights", "random")
    run("filters", *given, "--variant", "modern", "--variant", "classic", "--out", tmp_path)
    nets = json.loads((tmp_path / "manifest.json").read_text("utf-8"))["nets"]
    assert [net["model"] for net in nets] == ["lenet", "lenet"]
    assert nets[0]["options"] != nets[1]["options"]
