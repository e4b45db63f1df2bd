"""The training run: a cut one ends as an unbroken one does, whatever cut it."""

import resource
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.support.training_data import RECIPE, cut_after, fingerprint, make_data, make_run
from vizcnn.basics.errors import DataError, ModelError, WeightsError
from vizcnn.basics.interrupts import hold_interrupts
from vizcnn.training.checkpoint import load_checkpoint, read_checkpoint
from vizcnn.training.net import first_convolution

REPOSITORY = Path(__file__).parents[2]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def unbroken(data, tmp_path_factory):
    """The fingerprint of a run that nothing cut."""
    run = make_run(data, tmp_path_factory.mktemp("unbroken") / "checkpoint.pt")
    run.run()
    return fingerprint(run.state())


def fail_with(error):
    def stop():
        raise error

    return stop


@pytest.mark.slow
def test_run_trains_and_reports_every_epoch(data, tmp_path):
    records: list[dict[str, float]] = []
    run = make_run(data, tmp_path / "new" / "checkpoint.pt")
    before = first_convolution(run.net).weight.detach().clone()
    run.run(report=records.append)
    assert [record["epoch"] for record in records] == [1, 2]
    assert all(record["seconds"] > 0 and record["photos"] == 7 for record in records)
    assert run.step == 2 * run.steps_per_epoch == 6
    assert not torch.equal(before, first_convolution(run.net).weight)
    assert not run.net.training


@pytest.mark.slow
def test_run_leaves_the_callers_random_numbers_alone(data, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    make_run(data, tmp_path / "checkpoint.pt", replace(RECIPE, epochs=1)).run()
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.slow
@pytest.mark.parametrize("passed", range(8))  # 3 steps, validation, 3 steps, validation
def test_interrupted_run_goes_on_to_the_same_bytes(data, tmp_path, unbroken, passed):
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(KeyboardInterrupt):
        make_run(data, path).run(cut_after(passed, fail_with(KeyboardInterrupt())))
    again = make_run(data, path)
    assert again.step == min(passed, 3) + max(passed - 4, 0)
    again.run()
    assert fingerprint(again.state()) == unbroken
    assert fingerprint(read_checkpoint(path)) == unbroken


@pytest.mark.slow
@pytest.mark.parametrize(("seconds", "step"), [(0, 5), (1e9, 3)], ids=["every step", "per epoch"])
def test_crashed_run_goes_on_from_its_last_checkpoint(data, tmp_path, unbroken, seconds, step):
    path = tmp_path / "checkpoint.pt"
    crash = cut_after(6, fail_with(RuntimeError("power")))
    with pytest.raises(RuntimeError, match="power"):
        make_run(data, path, checkpoint_seconds=seconds).run(crash)
    again = make_run(data, path)
    assert again.step == step
    again.run()
    assert fingerprint(again.state()) == unbroken


@pytest.mark.slow
def test_run_killed_in_the_middle_of_a_save_goes_on(data, tmp_path, unbroken):
    path = tmp_path / "checkpoint.pt"
    command = [sys.executable, "-m", "tests.support.training_data", str(data), str(path), "5"]
    killed = subprocess.run(command, cwd=REPOSITORY, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.with_name(".vizcnn-checkpoint.pt.part").exists()
    again = make_run(data, path)
    assert again.step == 4  # saved after steps 1, 2, 3, at the end of the epoch, and after 4
    again.run()
    assert fingerprint(again.state()) == unbroken
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint.pt"]


@pytest.fixture
def hears_ctrl_c():
    """A shell starts what runs in its background deaf to Ctrl-C; here it is to be heard."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.mark.slow
@pytest.mark.usefixtures("hears_ctrl_c")
def test_ctrl_c_in_the_middle_of_a_step_waits_for_its_end(data, tmp_path, unbroken):
    path = tmp_path / "checkpoint.pt"
    run = make_run(data, path)
    run.net.register_forward_hook(lambda *arguments: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        run.run()
    assert read_checkpoint(path).step == 1
    again = make_run(data, path)
    again.run()
    assert fingerprint(again.state()) == unbroken


@pytest.mark.slow
def test_finished_run_has_nothing_to_do(data, tmp_path):
    path = tmp_path / "checkpoint.pt"
    recipe = replace(RECIPE, epochs=1)
    make_run(data, path, recipe).run()
    records: list[dict[str, float]] = []
    make_run(data, path, recipe).run(report=records.append)
    assert records == []


def test_full_disk_leaves_the_former_checkpoint(data, tmp_path):
    path = tmp_path / "checkpoint.pt"
    run = make_run(data, path)
    run.save()
    former = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(former) // 2, limits[1]))
    try:
        with pytest.raises(DataError, match=r"cannot be written \(File too large\)"):
            run.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == former
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_clipping_keeps_every_filter_below_the_radius(data, tmp_path):
    recipe = replace(RECIPE, epochs=1, first_layer_std=0.5, clip_first_layer=True)
    run = make_run(data, tmp_path / "checkpoint.pt", recipe)
    run.run()
    rms = first_convolution(run.net).weight.pow(2).mean(dim=(1, 2, 3)).sqrt()
    assert rms.max().item() == pytest.approx(0.1, rel=1e-4)


def test_divergence_is_told_and_not_saved(data, tmp_path):
    path = tmp_path / "checkpoint.pt"
    recipe = replace(RECIPE, learning_rate=1e30, warmup_epochs=0.0)
    with pytest.raises(ModelError, match="diverged"):
        make_run(data, path, recipe).run()
    assert not path.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 4}, "seed 3 -> 4"),
        ({"learning_rate": 0.5}, "learning_rate 0.02 -> 0.5"),
        ({"epochs": 3, "jitter": 0.0}, "epochs 2 -> 3, jitter 0.2 -> 0.0"),
        ({"flip": False}, "flip True -> False"),
    ],
)
def test_checkpoint_of_another_run_is_refused(data, tmp_path, changes, message):
    path = tmp_path / "checkpoint.pt"
    make_run(data, path).save()
    with pytest.raises(WeightsError, match="of another run") as caught:
        make_run(data, path, replace(RECIPE, **changes))
    assert message in str(caught.value)


def test_checkpoint_of_other_classes_is_refused(data, tmp_path):
    path = tmp_path / "checkpoint.pt"
    make_run(data, path).save()
    with pytest.raises(WeightsError, match="other classes"):
        load_checkpoint(path, RECIPE, ["ant", "bee", "dog"])


@pytest.mark.slow
def test_checkpoint_of_another_number_of_photos_is_refused(data, tmp_path):
    path = tmp_path / "checkpoint.pt"
    more = make_data(tmp_path / "more")
    run = make_run(more, path)
    run.run(report=lambda record: None)
    (more / "train" / "ant" / "0.png").unlink()
    with pytest.raises(DataError, match="holds 13 photos, 14 when the run began"):
        make_run(more, path).run()


@pytest.mark.slow
def test_checkpoint_of_an_older_version_is_read(data, tmp_path, unbroken):
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(KeyboardInterrupt):
        make_run(data, path).run(cut_after(2, fail_with(KeyboardInterrupt())))
    content = torch.load(path, weights_only=True)
    for name in ("seconds", "photos"):
        del content[name]
    del content["recipe"]["jitter"]  # a setting that was not there yet had today's default
    torch.save(content, path)
    run = make_run(data, path)
    run.run()
    assert fingerprint(run.state()) == unbroken


def test_class_balance_before_it_was_a_setting_was_a_half(data, tmp_path):
    path = tmp_path / "checkpoint.pt"
    recipe = replace(RECIPE, class_balance=0.5)
    make_run(data, path, recipe).save()
    content = torch.load(path, weights_only=True)
    del content["recipe"]["class_balance"]
    torch.save(content, path)
    with pytest.raises(WeightsError, match=r"class_balance 0\.5 -> 0\.0"):
        make_run(data, path)
    assert make_run(data, path, recipe).step == 0


@pytest.mark.parametrize(
    "content", [b"", b"text", b"PK\x03\x04 cut", None], ids=["empty", "text", "cut", "pickle"]
)
def test_damaged_checkpoint_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "checkpoint.pt"
    if content is None:
        torch.save({"weights": Path}, path)  # a class: not plain data
    else:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match="damaged") as caught:
        read_checkpoint(path)
    assert len(str(caught.value).splitlines()) == 1


def spoil_optimizer(content):
    content["optimizer"]["param_groups"][0]["weight_decay"] = 7.0


DAMAGES = {
    "a list": lambda content: [content],
    "no weights": lambda content: content.pop("weights") and None,
    "unknown field": lambda content: content.update({"x" * 5000: 1}),
    "recipe": lambda content: content.update(recipe=[1]),
    "recipe without model": lambda content: content.update(recipe={"epochs": 3}),
    "setting of another type": lambda content: content["recipe"].update(crop="64"),
    "setting of zero": lambda content: content["recipe"].update(batch=0),
    "setting nobody knows": lambda content: content["recipe"].update(fnord=1),
    "seed": lambda content: content["recipe"].update(seed=-1),
    "classes": lambda content: content.update(classes="abc"),
    "no classes": lambda content: content.update(classes=[]),
    "weights in text": lambda content: content["weights"].update({"features.conv1.weight": "w"}),
    "whole weights": lambda content: content.update(
        weights={name: value.long() for name, value in content["weights"].items()}
    ),
    "weight of another shape": lambda content: content["weights"].update(
        {next(iter(content["weights"])): torch.zeros(2)}
    ),
    "weight without values": lambda content: content["weights"].update(
        {next(iter(content["weights"])): torch.zeros(2, device="meta")}
    ),
    "step": lambda content: content.update(step=-1),
    "step in text": lambda content: content.update(step="1"),
    "history": lambda content: content.update(history=[{"epoch": 1}]),
    "loss": lambda content: content.update(running=(float("nan"), 1)),
    "first layers": lambda content: content.update(first_layers={"0": 1}),
    "beginning": lambda content: content.update(began_with={"file": 3}),
    "no optimizer": lambda content: content.update(optimizer={}),
    "optimizer": lambda content: content.update(optimizer={"state": {9: 1}, "param_groups": [1]}),
    "setting of the optimizer": spoil_optimizer,
}


def test_damaged_parts_of_a_checkpoint_are_refused_in_one_short_line(data, tmp_path):
    path = tmp_path / "run.pt"
    make_run(data, path).save()
    whole = path.read_bytes()
    for name, damage in DAMAGES.items():
        path.write_bytes(whole)
        content = torch.load(path, weights_only=True)
        torch.save(damage(content) or content, path)
        with pytest.raises(WeightsError, match=r"run\.pt") as caught:
            make_run(data, path)
        told = str(caught.value).replace(str(tmp_path), "")
        assert len(told.splitlines()) == 1 and len(told) < 400, (name, told)


def test_folder_in_place_of_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="is a folder, not a checkpoint"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"model": "zfent"}, "did you mean 'zfnet'"), ({"crop": 32}, "too small for alexnet")],
)
def test_net_that_cannot_be_built_is_refused(data, tmp_path, changes, message):
    with pytest.raises(ModelError, match=message):
        make_run(data, tmp_path / "checkpoint.pt", replace(RECIPE, **changes))


@pytest.mark.usefixtures("hears_ctrl_c")
def test_held_interrupt_comes_when_the_block_is_left():
    reached = []
    with pytest.raises(KeyboardInterrupt), hold_interrupts():
        signal.raise_signal(signal.SIGINT)
        reached.append("end of the block")
    assert reached
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_holding_interrupts_in_another_thread_does_nothing():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def hold():
        with hold_interrupts():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    assert seen == [before]
