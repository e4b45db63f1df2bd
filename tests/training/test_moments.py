"""Nets at epochs of a training: which are found, what is refused, that they are what they say."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

import vizcnn
from vizcnn.basics.errors import LayerError, WeightsError
from vizcnn.training.moments import (
    SHIPPED_RUN,
    find_run,
    is_run,
    list_moments,
    list_shipped,
    read_epoch,
)
from vizcnn.training.net import build_net
from vizcnn.training.recipe import Recipe
from vizcnn.zoo.cache import check_hash
from vizcnn.zoo.files import BUNDLE, read_expected_hash

PAPER = (1, 2, 5, 10, 20, 30, 40, 64)


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(SHIPPED_RUN, folder)
    return folder


def test_the_shipped_run_has_the_papers_epochs_and_the_beginning():
    assert find_run("lenet").epochs == (0, *PAPER)
    assert find_run("lenet").data == "scikit-learn digits"


def test_it_is_small_and_each_file_has_its_checksum():
    assert sum(path.stat().st_size for path in SHIPPED_RUN.iterdir()) < 1_500_000
    files = sorted(SHIPPED_RUN.glob("*.safetensors"))
    assert len(files) == 10
    for path in files:
        check_hash(path, read_expected_hash(path))
        assert path.stat().st_size < 130_000


def test_its_untrained_net_is_the_one_that_its_seed_makes():
    card = json.loads((SHIPPED_RUN / "lenet.json").read_text())
    wanted = build_net(Recipe(**card["recipe"]), 10).state_dict()
    found = find_run("lenet").moments[0].load().module.state_dict()
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert torch.equal(found[name], value.half().float()), name


def test_its_nets_are_as_good_as_its_card_says():
    card = json.loads((SHIPPED_RUN / "lenet.json").read_text())
    curve = {row["epoch"]: row["top1"] for row in card["learning_curve"]}
    assert card["recipe"]["epochs"] == 64
    for moment in find_run("lenet").moments[1:]:
        # the curve is of 32 bits, the file of 16
        assert moment.load().provenance.top1 == pytest.approx(curve[moment.epoch], abs=0.006)


def test_a_folder_of_a_run_is_read_as_the_shipped_one(run):
    assert is_run(str(run))
    found = find_run(str(run))
    assert found.epochs == (0, *PAPER)
    net = found.moments[3].load()
    assert net.provenance.source == "file"
    state = load_file(run / "lenet.epoch-005.safetensors")
    assert all(torch.equal(net.module.state_dict()[k], v.float()) for k, v in state.items())


def test_epochs_are_those_of_the_files_and_not_of_their_names(run):
    (run / "lenet.epoch-005.safetensors").rename(run / "lenet.epoch-999.safetensors")
    assert find_run(str(run)).epochs == (0, *PAPER)
    assert read_epoch(run / "lenet.epoch-999.safetensors") == 5


def test_nets_of_another_run_are_refused(run):
    other = run / "lenet.epoch-011.safetensors"
    shutil.copy(BUNDLE / "lenet.safetensors", other)
    with pytest.raises(WeightsError, match=r"'lenet.epoch-011.safetensors' and 'lenet.epoch-040"):
        find_run(str(run))  # two nets of epoch 40
    (run / "lenet.epoch-040.safetensors").unlink()
    assert 40 in find_run(str(run)).epochs  # of the same photos and seed: only cards tell more
    for file in run.glob("lenet.epoch-*.safetensors"):
        shutil.copy(run / "lenet.json", file.with_suffix(".json"))
    shutil.copy(BUNDLE / "lenet.json", other.with_suffix(".json"))
    with pytest.raises(WeightsError, match="different runs: leave those of one"):
        find_run(str(run))
    other.write_bytes(b"no net")
    with pytest.raises(WeightsError, match="it is cut off or damaged"):
        find_run(str(run))


def test_less_than_two_epochs_are_refused(tmp_path, run):
    for path in run.glob("*.epoch-*.safetensors"):
        path.unlink()
    assert not is_run(str(run))
    with pytest.raises(WeightsError, match="keep some with vizcnn train --keep"):
        find_run(str(run))
    shutil.copy(SHIPPED_RUN / "lenet.safetensors", run / "lenet.epoch-064.safetensors")
    with pytest.raises(WeightsError, match="only one epoch"):
        find_run(str(run))
    with pytest.raises(WeightsError, match=r"1 net\(s\) of mine"):
        list_moments("mine", "lenet", {3: lambda: vizcnn.load("lenet")})


def test_a_folder_of_two_nets_asks_for_one(run):
    shutil.copy(run / "lenet.epoch-001.safetensors", run / "zfnet.epoch-001.safetensors")
    with pytest.raises(WeightsError, match=r"runs of lenet, zfnet: give one \(--model\)"):
        find_run(str(run))
    assert find_run(str(run), "lenet").epochs == (0, *PAPER)
    with pytest.raises(WeightsError, match="none of alexnet"):
        find_run(str(run), "alexnet")


def test_a_name_that_is_none_gets_the_nearest():
    with pytest.raises(WeightsError, match="did you mean 'zfnet'"):
        find_run("zfnt")


def test_a_foreign_file_does_not_tell_its_epoch(tmp_path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match="give it as EPOCH="):
        read_epoch(tmp_path / "a.safetensors")


@pytest.mark.parametrize("name", list_shipped()[1:])
def test_first_layers_are_those_that_come_with_the_package(name):
    run = find_run(name)
    stored = load_file(BUNDLE / f"{name}.first_layers.safetensors")
    for moment in (run.moments[0], run.moments[-1]):
        first = next(
            part for part in moment.load().module.modules() if isinstance(part, torch.nn.Conv2d)
        )
        assert torch.equal(first.weight, stored[f"epoch-{moment.epoch:03d}"].float())
        assert first.bias is not None and not first.bias.any()
    net = run.moments[0].load()
    run.require_layers(net, ["conv1", "features.relu1"])
    with pytest.raises(LayerError, match=f"conv2 needs whole nets: train one .* --model {name} "):
        run.require_layers(net, ["conv1", "conv2"])
    assert "without biases" in run.note


def test_first_layers_of_a_run_need_its_weights_beside_them(tmp_path):
    name = "alexnet-7x7.first_layers.safetensors"
    shutil.copy(BUNDLE / name, tmp_path)
    assert is_run(str(tmp_path / name)) and is_run(str(tmp_path))
    with pytest.raises(WeightsError, match=r"no 'alexnet-7x7.safetensors' beside"):
        find_run(str(tmp_path))
    (tmp_path / "alexnet-7x7.safetensors").symlink_to(BUNDLE / "alexnet-7x7.safetensors")
    assert find_run(str(tmp_path)).epochs == find_run("alexnet-7x7").epochs


def test_a_run_may_be_changed_before_its_nets_are_loaded():
    run = find_run("lenet").change(lambda net: replace(net, title="other"))
    assert run.moments[4].load().title == "other"
