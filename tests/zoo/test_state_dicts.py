"""Checkpoints as training scripts leave them: the net's tensors are found wherever they lie.

The oracle is the net that was saved: what is loaded has its tensors, bit for bit.
"""

import argparse
import pathlib
import sys
import types
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vizcnn.basics.errors import WeightsError
from vizcnn.zoo.building import build_module, fill_randomly
from vizcnn.zoo.catalogue import find_entry
from vizcnn.zoo.loading import load
from vizcnn.zoo.state_dicts import find_state, read_state


@pytest.fixture(scope="module")
def net() -> nn.Module:
    return fill_randomly(build_module(find_entry("lenet"), {"classes": 3}), 0)


def rename(state: dict[str, Tensor], start: str, replacement: str) -> dict[str, Tensor]:
    return {
        replacement + name.removeprefix(start) if name.startswith(start) else name: value
        for name, value in state.items()
    }


def shift(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value + 1 for name, value in state.items()}


PREFIXES = [
    *("module.", "_orig_mod.", "model.", "backbone.", "net.", "encoder."),
    *("module._orig_mod.", "_orig_mod.module.", "model.module.", "model.backbone."),
    *(
        "module.model.backbone.",
        "model._orig_mod.net.",
        "_forward_module.model.",
        "classifier_net.",
    ),
]
KEYS = [
    *("state_dict", "model_state_dict", "model", "weights", "net", "params", "ema"),
    *("state_dict_ema", "model_ema", "anything"),
]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefixes_are_left_out(net: nn.Module, tmp_path: Path, prefix: str) -> None:
    state = net.state_dict()
    torch.save({"state_dict": rename(state, "", prefix)}, tmp_path / "net.pth")
    found = find_state(tmp_path / "net.pth", state)
    assert found.note == ""
    assert_equal(found.tensors, state)


@pytest.mark.parametrize("key", KEYS)
def test_keys_of_training_scripts_are_found(net: nn.Module, tmp_path: Path, key: str) -> None:
    state = net.state_dict()
    torch.save({"epoch": 3, key: state, "loss": torch.tensor(0.1)}, tmp_path / "net.bin")
    found = find_state(tmp_path / "net.bin", state)
    assert found.note == ""
    assert_equal(found.tensors, state)


def assert_equal(got: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert got.keys() == expected.keys()
    assert all(torch.equal(got[name], expected[name]) for name in expected)


def test_a_moving_average_goes_first_and_is_told(net: nn.Module, tmp_path: Path) -> None:
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    average.update_parameters(net)
    with torch.no_grad():
        for value in average.module.parameters():
            value.add_(1)
    # torchvision's reference training: the average has a counter, and DataParallel's prefix
    content = {"model": net.state_dict(), "model_ema": average.state_dict(), "epoch": 2}
    path = tmp_path / "model_2.pth"
    torch.save(content, path)
    model = load("lenet", path)
    assert_equal(dict(model.module.state_dict()), dict(average.module.state_dict()))
    told = "the weights under 'model_ema' (a moving average), not 'model'"
    assert told in model.provenance.note


@pytest.mark.parametrize(
    ("order", "taken", "told"),
    [
        ({"weights": 1, "state_dict": 0}, "state_dict", "under 'state_dict', not 'weights'"),
        ({"model": 1, "ema": 0}, "ema", "under 'ema' (a moving average), not 'model'"),
        ({"net": 1, "model": 0}, "model", "under 'model', not 'net'"),
        ({"other": 1, "network": 0}, "network", "under 'network', not 'other'"),
    ],
)
def test_of_several_copies_the_documented_one_is_taken(
    net: nn.Module, tmp_path: Path, order: dict[str, int], taken: str, told: str
) -> None:
    state = net.state_dict()
    content = {key: shift(state) if other else state for key, other in order.items()}
    torch.save(content, tmp_path / "net.pth")
    found = find_state(tmp_path / "net.pth", state)
    assert_equal(found.tensors, content[taken])
    assert told in found.note


def test_copies_that_no_rule_tells_apart_are_refused(net: nn.Module, tmp_path: Path) -> None:
    state = net.state_dict()
    torch.save({"student": state, "teacher": shift(state)}, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match="several times, under 'student' and 'teacher': save"):
        load("lenet", tmp_path / "net.pth")
    endless = {name: torch.zeros(1).expand(10**12) for name in state}
    torch.save({"student": endless, "teacher": dict(endless)}, tmp_path / "endless.pth")
    with pytest.raises(WeightsError, match="several times"):  # and is not compared
        load("lenet", tmp_path / "endless.pth")
    torch.save({"student": state, "teacher": dict(state)}, tmp_path / "equal.pth")
    assert_equal(find_state(tmp_path / "equal.pth", state).tensors, state)


def test_lightnings_other_tensors_are_left_out_and_told(net: nn.Module, tmp_path: Path) -> None:
    state = net.state_dict()
    module = rename(state, "", "model.") | {"criterion.weight": torch.ones(3)}
    content = {"state_dict": module, "global_step": 7, "callbacks": {"best": torch.tensor(0.5)}}
    torch.save(content, tmp_path / "last.ckpt")
    model = load("lenet", tmp_path / "last.ckpt")
    assert_equal(dict(model.module.state_dict()), state)
    assert "left out as no part of the net: criterion.weight" in model.provenance.note
    both = module | rename(shift(state), "", "ema_model.")
    save_file(both, tmp_path / "both.safetensors")
    found = find_state(tmp_path / "both.safetensors", state)
    assert_equal(found.tensors, shift(state))
    assert "under 'ema_model' (a moving average), not 'model'" in found.note
    assert found.note.endswith("left out as no part of the net: criterion.weight")


def test_a_net_whose_own_part_is_called_module_is_read(tmp_path: Path) -> None:
    net = nn.ModuleDict({"module": nn.Linear(2, 3), "head": nn.Linear(3, 2)})
    for prefix in ("", "module.", "model."):
        torch.save(rename(net.state_dict(), "", prefix), tmp_path / "net.pth")
        assert_equal(find_state(tmp_path / "net.pth", net.state_dict()).tensors, net.state_dict())


def test_settings_beside_the_weights_do_no_harm(net: nn.Module, tmp_path: Path) -> None:
    state = net.state_dict()
    settings = defaultdict(list, {"lr": [0.1]})
    content = {
        "state_dict": OrderedDict(state),
        "args": argparse.Namespace(data=pathlib.PurePosixPath("photos"), lr=0.1),
        "best": np.float64(0.5),
        "curve": np.arange(3.0),
        "settings": settings,
    }
    torch.save(content, tmp_path / "net.pth.tar")
    assert_equal(find_state(tmp_path / "net.pth.tar", state).tensors, state)


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("pytorch_lightning.utilities.parsing.AttributeDict", dict),
        ("yacs.config.CfgNode", dict),
        ("mmengine.logging.history_buffer.HistoryBuffer", object),
        ("omegaconf.dictconfig.DictConfig", object),
    ],
)
def test_settings_of_libraries_that_are_not_here_do_no_harm(
    net: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, base: type
) -> None:
    home, _, kind = name.rpartition(".")
    module = types.ModuleType(home)
    made = type(kind, (base,), {"__module__": home})
    setattr(module, kind, made)
    monkeypatch.setitem(sys.modules, home, module)
    monkeypatch.setitem(sys.modules, home.partition(".")[0], types.ModuleType("outer"))
    settings = made({"lr": 0.1}) if base is dict else made()
    vars(settings)["_values"] = np.arange(2.0)
    torch.save({"hyper_parameters": settings, "state_dict": net.state_dict()}, tmp_path / "n.ckpt")
    monkeypatch.setitem(sys.modules, home, None)  # nothing of it is imported
    assert_equal(find_state(tmp_path / "n.ckpt", net.state_dict()).tensors, net.state_dict())


def test_a_pickled_module_is_refused_with_the_way_out(net: nn.Module, tmp_path: Path) -> None:
    torch.save({"model": net, "ema": None}, tmp_path / "whole.pt")
    with pytest.raises(WeightsError, match=r"would call .*LeNet.*; save the state dict|only plain"):
        load("lenet", tmp_path / "whole.pt")
    with torch.no_grad():
        torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)).save(str(tmp_path / "script.pt"))
    with pytest.raises(WeightsError, match="is a TorchScript program, not a state dict: save"):
        load("lenet", tmp_path / "script.pt")


def test_all_tensors_of_a_file_come_where_no_net_is_named(tmp_path: Path) -> None:
    torch.save({"a.weight": torch.ones(2).half(), "b": torch.zeros(1)}, tmp_path / "some.pth")
    read = read_state(tmp_path / "some.pth")
    assert list(read) == ["a.weight", "b"]
    assert read["a.weight"].dtype == torch.float32


def test_one_mapping_in_a_thousand_places_is_read_once(tmp_path: Path) -> None:
    inner: dict[str, Any] = {"a": torch.zeros(1)}
    for _ in range(3):
        inner = {f"k{number}": inner for number in range(1000)}
    torch.save(inner, tmp_path / "laughs.pth")
    assert read_state(tmp_path / "laughs.pth").keys() == {"a"}
