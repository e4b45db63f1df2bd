"""Nets that a run keeps on the way: those of its epochs, whatever cut it; told and found again."""

import json
import platform
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import torch

import vizcnn
from tests.support.command_line import invoke_train
from tests.support.small_zoo import list_files
from tests.support.training_data import (
    RECIPE,
    cut_after,
    fingerprint,
    interrupt_step,
    make_data,
    make_run,
)
from vizcnn.basics.errors import DataError, VizcnnError
from vizcnn.training.card import DataSource
from vizcnn.training.checkpoint import read_checkpoint
from vizcnn.training.export import export_run
from vizcnn.training.kept_nets import find_kept

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(autouse=True)
def same_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # the settings are for a whole process, here the tests'
    monkeypatch.setattr(platform, "libc_ver", lambda: ("another", ""))
    yield
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data") / "data")


def train(data: Path, out: Path, *arguments: str) -> Any:
    """Run the command with the recipe of the tests: two epochs of three steps."""
    options = ["--model", "alexnet", str(data), "--out", str(out), "--device", "cpu"]
    options += ["--epochs", "2", "--crop", "64", "--hidden", "16", "--batch", "4", "--seed", "3"]
    return invoke_train([*options, "--threads", "1", *arguments])


def fail(result: Any, kind: type[Exception] = VizcnnError) -> str:
    assert isinstance(result.exception, kind), result.output
    return str(result.exception)


def stop_at_step(patch: pytest.MonkeyPatch, number: int, call: Callable[[], Any]) -> None:
    with patch.context() as patched:
        interrupt_step(patched, number)
        assert isinstance(call().exception, click.Abort | KeyboardInterrupt)


def kept_weights(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("*.epoch-*.safetensors")}


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that kept all it could."""
    out = tmp_path_factory.mktemp("whole") / "out"
    result = train(data, out, "--keep", "1,0,2")
    assert result.exception is None, result.output
    size = 2 * sum(
        weight.numel() for weight in read_checkpoint(out / "checkpoint.pt").weights.values()
    )
    each, total = (f"{count * size / 1e6:.0f} MB" for count in (1, 3))
    assert f"3 net(s) to keep, {each} each, {total} of disk in all\n" in result.stderr
    names = [f"alexnet.epoch-00{epoch}.safetensors" for epoch in range(3)]
    assert f"kept: {', '.join(names)}\n" in result.stdout
    return out


@pytest.mark.parametrize("epoch", [0, 1])
def test_a_kept_net_is_that_of_a_run_that_was_stopped_there(
    data: Path, whole: Path, tmp_path: Path, epoch: int
) -> None:
    """A run of one epoch has another learning rate; so one of two is stopped after its first."""
    run = make_run(data, tmp_path / "checkpoint.pt")
    with pytest.raises(KeyboardInterrupt):
        run.run(cut_after(4 * epoch, stop))
    state = read_checkpoint(tmp_path / "checkpoint.pt")
    assert len(state.history) == epoch
    stopped = export_run(state, run.photos, run.validation, tmp_path / "out", DataSource("data"))
    kept = whole / f"alexnet.epoch-00{epoch}.safetensors"
    assert kept.read_bytes() == stopped.weights.read_bytes()
    cards = [json.loads(path.with_suffix(".json").read_text()) for path in (kept, stopped.weights)]
    for card in cards:
        for record in card["learning_curve"]:
            del record["seconds"]
    assert cards[0] == cards[1]
    assert cards[0]["epochs"] == epoch
    assert kept.with_suffix(".md").read_text().startswith("# alexnet: data\n")


def stop() -> None:
    raise KeyboardInterrupt


def test_the_last_kept_net_is_the_runs_own_and_keeping_changes_nothing(
    data: Path, whole: Path, tmp_path: Path
) -> None:
    last = (whole / "alexnet.epoch-002.safetensors").read_bytes()
    assert last == (whole / "alexnet.safetensors").read_bytes()
    run = make_run(data, tmp_path / "checkpoint.pt")
    run.run()
    assert fingerprint(read_checkpoint(whole / "checkpoint.pt")) == fingerprint(run.state())
    card = export_run(run.state(), run.photos, run.validation, tmp_path / "out", DataSource("x"))
    assert "kept_epochs" not in json.loads(card.card_json.read_text())
    assert "nets kept" not in card.card_markdown.read_text()


def test_the_card_and_the_list_tell_of_kept_nets(whole: Path) -> None:
    assert json.loads((whole / "alexnet.json").read_text())["kept_epochs"] == [0, 1, 2]
    assert "| nets kept after epochs | 0, 1, 2 |" in (whole / "alexnet.md").read_text().split("\n")
    listed = json.loads((whole / ".vizcnn-train-alexnet.json").read_text())
    assert {f"alexnet.epoch-001.{end}" for end in ("json", "md", "safetensors")} < set(listed)
    assert {*listed, "checkpoint.pt", ".vizcnn-train-alexnet.json"} == set(list_files(whole))


def test_a_kept_net_is_loaded_as_any_other(whole: Path) -> None:
    models = [
        vizcnn.load("alexnet", weights=whole / f"alexnet.epoch-00{epoch}.safetensors")
        for epoch in range(3)
    ]
    first = [next(model.module.parameters()) for model in models]
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[1], first[2])


def test_a_run_that_was_cut_keeps_what_it_had_not_come_to(
    data: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    stop_at_step(monkeypatch, 1, lambda: train(data, out))
    stop_at_step(monkeypatch, 4, lambda: train(data, out, "--keep", "0"))
    # at the end of the first epoch: the net is there, though that run was not asked to keep it
    result = train(data, out, "--keep", "1,2", "--json")
    assert result.exception is None, result.output
    assert kept_weights(out) == kept_weights(whole)
    told = json.loads(result.stdout.splitlines()[-1])["kept"]
    assert told == {str(e): str(out / f"alexnet.epoch-00{e}.safetensors") for e in range(3)}


def test_a_net_that_the_run_is_past_is_told(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    stop_at_step(monkeypatch, 5, lambda: train(data, out))
    result = train(data, out, "--keep", "0,1,2")
    assert result.exception is None
    assert "note: not kept, as the run is past it: the net after epoch 0, 1\n" in result.stderr
    assert list(kept_weights(out)) == ["alexnet.epoch-002.safetensors"]


def test_nets_of_a_former_run_go_when_the_new_one_ends(
    data: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = shutil.copytree(whole, tmp_path / "out")
    (out / "checkpoint.pt").unlink()
    again = lambda: train(data, out, "--keep", "1", "--learning-rate", "0.01")  # noqa: E731
    stop_at_step(monkeypatch, 5, again)
    former, now = kept_weights(whole), kept_weights(out)
    assert {name for name in former if former[name] != now[name]} == {
        "alexnet.epoch-001.safetensors"
    }
    assert find_kept(out, read_checkpoint(out / "checkpoint.pt")) == (1,)
    assert again().exception is None
    assert kept_weights(out) == {name: now[name] for name in list(now) if "001" in name}
    assert json.loads((out / "alexnet.json").read_text())["kept_epochs"] == [1]


def test_files_of_kept_nets_that_somebody_removed_are_not_missed(
    data: Path, whole: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(whole, tmp_path / "out")
    (out / "alexnet.epoch-001.md").unlink()
    result = train(data, out)  # all epochs are done: it is handed on once more
    assert result.exception is None, result.output
    assert set(list_files(whole)) - set(list_files(out)) == {"alexnet.epoch-001.md"}
    assert kept_weights(out) == kept_weights(whole)


def test_an_epoch_beyond_the_end_is_refused_in_one_line(data: Path, tmp_path: Path) -> None:
    told = fail(train(data, tmp_path / "out", "--keep", "1,50"), DataError)
    assert told == "there is no epoch 50 to keep: the run ends after 2 (--keep, --epochs)"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["", "1,", "1;2", "one", "-1", "1,1e3", "1_0"])
def test_what_is_no_list_of_epochs_is_refused(data: Path, tmp_path: Path, text: str) -> None:
    result = train(data, tmp_path / "out", "--keep", text)
    assert "is not a whole number from 0" in fail(result, click.BadParameter)


def test_nets_for_which_there_is_no_room_are_refused_before_the_training(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    told = fail(train(data, tmp_path / "out", "--keep", "1,2"))
    assert "2 nets to keep take" in told
    assert "1 MB are free" in told
    assert not (tmp_path / "out").exists()


def test_a_file_of_others_under_the_name_of_a_kept_net_is_refused(
    data: Path, whole: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(whole, tmp_path / "out")
    (out / "alexnet.epoch-001.md").unlink()
    listed = json.loads((out / ".vizcnn-train-alexnet.json").read_text())
    listed.remove("alexnet.epoch-001.md")
    (out / ".vizcnn-train-alexnet.json").write_text(json.dumps(listed))
    (out / "alexnet.epoch-001.md").write_text("mine")
    assert "is in the way and not of a training" in fail(train(data, out, "--keep", "1"))
    assert (out / "alexnet.epoch-001.md").read_text() == "mine"


@pytest.mark.parametrize("damage", [b"", b"[]", b"{", b'{"recipe": 3}'])
def test_a_net_whose_card_is_damaged_is_of_no_run(
    whole: Path, tmp_path: Path, damage: bytes
) -> None:
    out = shutil.copytree(whole, tmp_path / "out")
    state = read_checkpoint(out / "checkpoint.pt")
    assert RECIPE.seed == state.recipe["seed"]
    (out / "alexnet.epoch-001.json").write_bytes(damage)
    assert find_kept(out, state) == (0, 2)
