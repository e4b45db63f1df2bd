"""The command ``train`` from end to end, and its progress bars."""

import io
import json
import platform
import subprocess
import sys

import click
import pytest
import torch

from tests.support.command_line import fail, invoke_train
from tests.support.training_data import interrupt_step, make_data
from vizcnn.basics.errors import DataError, ModelError, PhotoWarning, WeightsError
from vizcnn.basics.files import hash_file
from vizcnn.cli.reporting import SOME_FAILED, bar


@pytest.fixture(autouse=True)
def same_process(monkeypatch):
    # the setting is for the whole process, here the tests'; it is tested in one of its own
    monkeypatch.setattr(platform, "libc_ver", lambda: ("another", ""))
    former = torch.get_num_threads()
    yield
    torch.set_num_threads(former)


@pytest.fixture
def call(tmp_path):
    make_data(tmp_path / "data")

    def call(*arguments: str, data: str = str(tmp_path / "data")):
        usual = {"--model": "alexnet", "--out": str(tmp_path / "my out"), "--epochs": "1"}
        usual |= {"--crop": "64", "--hidden": "16", "--batch": "4", "--device": "cpu"}
        usual |= {"--threads": "1"}
        options = [word for pair in usual.items() if pair[0] not in arguments for word in pair]
        return invoke_train([data, *options, *arguments])

    return call


def test_command_trains_and_exports(call, tmp_path):
    (tmp_path / "data" / "train" / "ant" / "bad\nname.jpg").write_bytes(b"")
    (tmp_path / "data" / "val" / "ant" / "raw.cr2").touch()
    with pytest.warns(PhotoWarning, match=r"'ant/raw.cr2'"):
        result = call("--data-name", "tiny", "--licence", "CC0", "--clip-first-layer")
    assert result.exception is None, result.output
    assert result.return_value in (None, 0)
    epoch, told, accuracy, use = result.stdout.splitlines()
    assert told == "left out: 1 photo(s) that cannot be read, 1 other file(s) or folder(s)"
    weights = tmp_path / "my out" / "alexnet.safetensors"
    assert epoch.startswith("epoch 1/1: loss ")
    assert "alexnet.md" in accuracy
    assert use == f"use them: vizcnn deconv --model alexnet --weights '{weights}'"
    left_out, warning = result.stderr.splitlines()
    assert warning == "warning: 1 left out, named above; the rest is done"
    assert left_out.startswith("left out: ")
    assert "is empty" in left_out
    card = json.loads(weights.with_suffix(".json").read_text())
    assert card["data"]["name"] == "tiny"
    assert card["recipe"]["clip_first_layer"] is True
    assert torch.get_num_threads() == 1
    with pytest.warns(PhotoWarning, match=r"'ant/raw.cr2'"):
        again = call("--data-name", "tiny", "--licence", "CC0", "--clip-first-layer", "--strict")
    assert again.return_value == SOME_FAILED


def test_interrupted_command_says_how_to_go_on_and_does(call, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_step(patch, 3)
        result = call()
    assert isinstance(result.exception, click.Abort | KeyboardInterrupt)
    assert "stopped at step 2; saved in" in result.stderr
    assert "run the same command again to continue" in result.stderr
    again = call()
    assert again.exception is None
    assert "continuing at step 2, epoch 1" in again.stderr
    assert (tmp_path / "my out" / "alexnet.safetensors").exists()


def test_json_lines(call):
    result = call("--json")
    epoch, exported = [json.loads(line) for line in result.stdout.splitlines()]
    assert epoch["epoch"] == 1
    told = {"failures", "left_out", "left_out_names", "notes"}
    assert set(exported) == {"weights", "card", "first_layers", "summary", *told}
    assert [exported[name] for name in sorted(told)] == [[], 0, [], []]
    assert result.return_value in (None, 0)
    assert exported["summary"]["data"] == "data"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--model", "zfent"], ModelError, "did you mean 'zfnet'"),
        (["--device", "cuda:99"], ModelError, "no device"),
        (["--crop", "20"], ModelError, "too small"),
        (["--photos", ""], click.UsageError, "the name of a folder is empty"),
        (["--data", "other"], click.UsageError, "2 folders are named: give one"),
        (["--epochs", "0"], click.BadParameter, "'0' is not a whole number"),
        (["--learning-rate", "0"], click.BadParameter, "not a number above 0"),
        (["--out", "pyproject.toml"], click.BadParameter, "is a file"),
    ],
)
def test_mistakes_get_one_line(call, arguments, error, message):
    result = call(*arguments)
    assert isinstance(result.exception, error)
    assert message in str(result.exception)
    assert len(str(result.exception).splitlines()) == 1


def test_a_folder_that_is_missing_is_one_line(call):
    result = call(data="missing")
    assert isinstance(result.exception, DataError)
    assert "no folder 'missing/train'" in str(result.exception)


def test_checkpoint_of_another_run_is_not_overwritten(call):
    assert call().exception is None
    result = call("--seed", "9")
    assert isinstance(result.exception, WeightsError)
    assert "seed 0 -> 9" in str(result.exception)


@pytest.mark.slow
def test_start_file_is_begun_with_and_not_needed_again(call, tmp_path):
    assert call("--out", str(tmp_path / "first")).exception is None
    file = (tmp_path / "first" / "alexnet.safetensors").rename(tmp_path / "begin.safetensors")
    result = call("--start", str(file))
    assert result.exception is None, result.output
    card = json.loads((tmp_path / "my out" / "alexnet.json").read_text("utf-8"))
    assert card["recipe"]["start"] == hash_file(file)
    assert card["began_with"]["file"] == "begin.safetensors"
    again = call()
    assert isinstance(again.exception, WeightsError)
    assert f"start '{hash_file(file)}' -> ''" in str(again.exception)
    file.unlink()
    again = call("--start", str(file))
    assert again.exception is None, again.output
    assert "already trained" in again.stderr
    assert json.loads((tmp_path / "my out" / "alexnet.json").read_text("utf-8")) == card
    other = call("--start", str(tmp_path / "other.safetensors"))
    assert isinstance(other.exception, WeightsError)
    assert "no weight file" in str(other.exception)


def test_start_of_other_settings_gets_one_line(call, tmp_path):
    assert call("--out", str(tmp_path / "first")).exception is None
    result = call("--start", str(tmp_path / "first" / "alexnet.safetensors"), "--hidden", "8")
    assert isinstance(result.exception, WeightsError)
    assert "hidden 16 -> 8" in str(result.exception)
    assert not (tmp_path / "my out").exists()


def test_command_is_imported_without_torch():
    script = (
        "import sys, vizcnn.cli.train_command as _; assert not {'torch', 'tqdm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_bar_shows_on_a_terminal_only(monkeypatch):
    for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        assert list(bar(iter("abc"), label="read", total=3, unit="photo", delay=0)) == [
            "a",
            "b",
            "c",
        ]
        assert ("read" in stream.getvalue()) is shown


def test_bar_of_a_short_job_does_not_show(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    assert list(bar([1, 2], label="read")) == [1, 2]
    assert stream.getvalue().strip() == ""


def test_a_link_to_itself_is_told_in_one_line(tmp_path):
    (tmp_path / "circle").symlink_to("circle")
    arguments = ("--model", "lenet", tmp_path / "circle", "--out", tmp_path / "out")
    assert "circle" in fail("train", *arguments)
    assert not (tmp_path / "out").exists()
