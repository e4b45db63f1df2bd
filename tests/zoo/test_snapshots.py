"""First layers that a training keeps: which, written, bundled, read again."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import vizcnn
from tests.support.training_data import RECIPE, make_data, make_run
from vizcnn.basics.errors import WeightsError
from vizcnn.basics.files import hash_file
from vizcnn.training.card import DataSource
from vizcnn.training.checkpoint import read_checkpoint
from vizcnn.training.export import export_run
from vizcnn.zoo.catalogue import find_entry
from vizcnn.zoo.files import FIRST_LAYERS_KEY, find_bundled
from vizcnn.zoo.snapshots import choose_epochs, read_first_layers, save_first_layers
from vizcnn.zoo.state_dicts import read_state

SOURCE = DataSource("toys")
EPOCHS = 6

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    recipe = replace(RECIPE, epochs=EPOCHS)
    run = make_run(make_data(folder / "data"), folder / "checkpoint.pt", recipe)
    run.run()
    return run


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    return export_run(run.state(), run.photos, run.validation, out, SOURCE)


@pytest.fixture
def bundle(exported, tmp_path):
    """A folder like the package's, with the first layers of a net."""
    path = shutil.copy(exported.first_layers, tmp_path / "alexnet.first_layers.safetensors")
    (tmp_path / "sha256.json").write_text(json.dumps({path.name: hash_file(path)}))
    return tmp_path


@pytest.mark.parametrize(
    ("kept", "chosen"),
    [
        (range(1), (0,)),
        (range(2), (0, 1)),
        (range(4), (0, 1, 2, 3)),
        (range(17), (0, 1, 2, 4, 8, 16)),
        (range(41), (0, 1, 2, 4, 8, 16, 32, 40)),
        ([5, 9, 8, 7, 6], (8, 9)),  # the checkpoint of an older version kept none at first
        ([], ()),
    ],
)
def test_chosen_epochs_are_zero_the_powers_of_two_and_the_last(kept, chosen):
    assert choose_epochs(kept) == chosen


@pytest.mark.slow
def test_first_layers_of_a_run_are_read_again(run, exported):
    snapshots = read_first_layers(exported.first_layers)
    assert snapshots.model == "alexnet"
    assert snapshots.epochs == (0, 1, 2, 4, 6)
    assert snapshots.note == "toys; began with random weights"
    assert snapshots.top1[0] is None
    measured = {record["epoch"]: round(record["top1"], 4) for record in run.history}
    assert snapshots.top1[1:] == tuple(measured[epoch] for epoch in (1, 2, 4, 6))
    for epoch, layer in zip(snapshots.epochs, snapshots.weights, strict=True):
        assert layer.dtype == torch.float32
        assert torch.equal(layer, run.first_layers[epoch].float())
    last = read_state(exported.weights)["features.conv1.weight"]
    assert torch.equal(snapshots.weights[-1], last)
    spread = snapshots.weights[0].std().item()
    assert spread == pytest.approx(RECIPE.first_layer_std, rel=0.02)


def test_file_is_16_bits_and_tells_what_it_is(exported):
    with safe_open(exported.first_layers, "pt") as file:
        record = json.loads(file.metadata()[FIRST_LAYERS_KEY])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert set(tensors) == {"epoch-000", "epoch-001", "epoch-002", "epoch-004", "epoch-006"}
    assert {value.dtype for value in tensors.values()} == {torch.float16}
    told = {name: record[name] for name in ("model", "data", "epochs", "start")}
    assert told == {"model": "alexnet", "data": "toys", "epochs": EPOCHS, "start": ""}
    assert set(record["top1"]) == set(tensors)


def test_export_of_the_checkpoint_gives_the_same_first_layers(run, exported, tmp_path):
    again = export_run(read_checkpoint(run.path), run.photos, run.validation, tmp_path, SOURCE)
    assert again.first_layers is not None
    assert again.first_layers.read_bytes() == exported.first_layers.read_bytes()


def test_run_that_kept_none_writes_none(run, tmp_path):
    state = replace(run.state(), first_layers={})
    exported = export_run(state, run.photos, run.validation, tmp_path, SOURCE)
    assert exported.first_layers is None
    names = {path.name for path in tmp_path.glob("alexnet*")}
    assert names == {"alexnet.safetensors", "alexnet.json", "alexnet.md"}


# ---- those of the package -------------------------------------------------------------------


def test_bundled_first_layers_are_read_by_name(bundle, exported):
    snapshots = read_first_layers("alexnet", bundle)
    assert snapshots.epochs == read_first_layers(str(exported.first_layers)).epochs


def test_bundled_first_layers_are_no_weights(bundle):
    assert find_bundled(find_entry("alexnet"), bundle) is None
    with pytest.raises(WeightsError, match="the first layers of a training, not weights"):
        vizcnn.load("alexnet", bundle / "alexnet.first_layers.safetensors")


def test_missing_first_layers_are_told_by_name(bundle):
    with pytest.raises(WeightsError, match=r"no first layers of 'alexnte' .*mean 'alexnet'"):
        read_first_layers("alexnte", bundle)
    with pytest.raises(WeightsError, match=r"no weight file 'runs/x\.first_layers\.safetensors'"):
        read_first_layers("runs/x.first_layers.safetensors", bundle)


def test_changed_file_of_the_package_is_refused(bundle):
    path = bundle / "alexnet.first_layers.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"has sha256 .*, expected"):
        read_first_layers("alexnet", bundle)
    read_first_layers(path)  # a file that is named itself has no checksum to keep
    (bundle / "sha256.json").write_text("{}")
    with pytest.raises(WeightsError, match="no checksum of"):
        read_first_layers("alexnet", bundle)


# ---- damaged files --------------------------------------------------------------------------

RECORD = {"model": "alexnet", "data": "toys", "epochs": 1, "start": "", "top1": {}, "note": "toys"}
LAYERS = {0: torch.zeros(2, 3, 5, 5), 1: torch.ones(2, 3, 5, 5)}


def test_saved_first_layers_come_back(tmp_path):
    path = tmp_path / "x.first_layers.safetensors"
    save_first_layers(path, LAYERS | {2048: LAYERS[1]}, RECORD | {"top1": {2048: 0.5}})
    snapshots = read_first_layers(path)
    assert snapshots.epochs == (0, 1, 2048)
    assert snapshots.top1 == (None, None, 0.5)
    assert torch.equal(snapshots.weights[1], LAYERS[1])


@pytest.mark.parametrize(
    ("tensors", "record", "message"),
    [
        ({"epoch-000": LAYERS[0]}, "{", "are damaged"),
        ({"epoch-000": LAYERS[0]}, "[]", "are damaged"),
        ({"epoch-000": LAYERS[0]}, json.dumps(RECORD), "are damaged: .*epoch-000"),
        ({"conv1": LAYERS[0]}, json.dumps(RECORD), "no epoch: 'conv1'"),
        ({"epoch-000": torch.zeros(9)}, None, "not of one shape"),
        ({"epoch-000": LAYERS[0], "epoch-001": LAYERS[1][1:]}, None, "not of one shape"),
        ({}, None, "not of one shape"),
    ],
)
def test_damaged_first_layers_are_refused_in_one_line(tmp_path, tensors, record, message):
    path = tmp_path / "x.first_layers.safetensors"
    whole = json.dumps(RECORD | {"top1": dict.fromkeys(tensors)})
    metadata = {FIRST_LAYERS_KEY: whole if record is None else record}
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(WeightsError, match=message) as caught:
        read_first_layers(path)
    assert len(str(caught.value).splitlines()) == 1


def test_weights_are_no_first_layers(exported):
    with pytest.raises(WeightsError, match="holds no first layers of a training; needed"):
        read_first_layers(exported.weights)


def test_cut_file_is_refused(exported, tmp_path):
    path = tmp_path / "x.first_layers.safetensors"
    path.write_bytes(exported.first_layers.read_bytes()[:-7])
    with pytest.raises(WeightsError, match="cut off or damaged"):
        read_first_layers(path)
