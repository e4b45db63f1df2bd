"""Weights of another net say which one they look like, and what loads them."""

from pathlib import Path

import pytest
import torch

from vizcnn.basics.errors import WeightsError
from vizcnn.zoo.building import build_module, fill_randomly
from vizcnn.zoo.catalogue import find_entry
from vizcnn.zoo.likeness import find_likeness, measure_likeness
from vizcnn.zoo.loading import load
from vizcnn.zoo.torchvision_nets import import_torchvision

pytestmark = pytest.mark.slow


def save_net(path: Path, name: str, variant: str | None = None, classes: int = 7) -> Path:
    entry = find_entry(name)
    options = {**entry.find_variant(variant).options, "classes": classes}
    torch.save(fill_randomly(build_module(entry, options), 0).state_dict(), path)
    return path


@pytest.mark.parametrize(
    ("asked", "name", "told"),
    [
        ("zfnet", "resnet18", "they look like ResNet-18's: load 'resnet18' (--model resnet18 "),
        ("squeezenet1_0", "squeezenet1_1", "SqueezeNet 1.1's: load 'squeezenet1_1' (--model "),
        ("alexnet", "lenet", "they look like LeNet-5's: load 'lenet'"),
    ],
)
def test_the_net_is_named_with_its_command(
    tmp_path: Path, asked: str, name: str, told: str
) -> None:
    path = save_net(tmp_path / "net.pth", name)
    with pytest.raises(WeightsError) as caught:
        load(asked, path)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(load(name, path).classes) == 7  # what is advised does it


def test_another_form_of_the_same_net_is_named(tmp_path: Path) -> None:
    path = save_net(tmp_path / "net.pth", "lenet", "classic")
    with pytest.raises(WeightsError, match=r"variant='classic' \(--model lenet --variant classic"):
        load("lenet", path)
    assert load("lenet", path, variant="classic").name == "lenet"


def test_torchvisions_other_nets_are_known(tmp_path: Path) -> None:
    models = import_torchvision().models
    with torch.device("meta"):
        state = models.get_model("mnasnet0_5", weights=None, num_classes=3).state_dict()
    torch.save(
        {f"module.{name}": torch.zeros_like(value, device="cpu") for name, value in state.items()},
        tmp_path / "net.pth",
    )
    with pytest.raises(WeightsError, match="--model torchvision:mnasnet0_5 --weights"):
        load("resnet18", tmp_path / "net.pth")
    assert len(load("torchvision:mnasnet0_5", tmp_path / "net.pth").classes) == 3


def test_what_is_like_no_net_is_like_none() -> None:
    assert find_likeness({"a.weight": torch.zeros(2, 2), "b.weight": torch.zeros(2)}) is None


def test_the_share_counts_both_sides() -> None:
    state = {"net.a": torch.zeros(2), "net.b": torch.zeros(3), "net.c": torch.zeros(1)}
    shapes = {"a": (2,), "b": (4,), "d": (1,)}
    assert measure_likeness(shapes, state) == 1 / 4  # a of a, b, c, d
    assert measure_likeness({"a": (None,), "b": (3,), "c": (1,)}, state) == 1
