"""Loggers get a watch's pictures: TensorBoard in earnest, the others by their documented calls."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import vizcnn
from vizcnn.callbacks import Picture, Watch, for_lightning, to_tensorboard, to_wandb

pytestmark = pytest.mark.slow

NET = nn.Sequential(nn.Conv2d(3, 4, 5), nn.ReLU())
PHOTOS = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def test_tensorboard_gets_the_very_pixels(tmp_path):
    tensorboard = pytest.importorskip(
        "torch.utils.tensorboard", reason="pip install 'vizcnn[test]'"
    )
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with tensorboard.SummaryWriter(tmp_path / "runs") as writer:
        watch = Watch(["1"], PHOTOS, folder=tmp_path / "seen", to=[to_tensorboard(writer)])
        watch(NET, 3)
        pictures = watch(NET, 4)
    events = EventAccumulator(str(tmp_path / "runs"), size_guidance={"images": 0}).Reload()
    assert sorted(events.Tags()["images"]) == ["vizcnn/1-top9", "vizcnn/1-units", "vizcnn/filters"]
    for picture in pictures:
        logged = events.Images(f"vizcnn/{picture.name}")
        assert [event.step for event in logged] == [3, 4]
        path = tmp_path / "logged.png"
        path.write_bytes(logged[-1].encoded_image_string)
        with Image.open(path) as theirs, Image.open(picture.path) as ours:
            assert np.array_equal(np.array(theirs.convert("RGB")), np.array(ours.convert("RGB")))


def test_what_is_no_writer_is_refused():
    with pytest.raises(vizcnn.VizcnnError, match="got str as a writer"):
        to_tensorboard("runs")


class Run:
    """Rows as W&B keeps them: a step may not fall, one that is given stays open."""

    def __init__(self) -> None:
        self.step = 0
        self.rows: dict[int, dict[str, Any]] = {}
        self.dropped: list[dict[str, Any]] = []

    def log(self, data: dict[str, Any], step: int | None = None) -> None:
        if step is not None and step < self.step:
            self.dropped.append(data)
            return
        self.step = self.step if step is None else step
        self.rows.setdefault(self.step, {}).update(data)
        self.step += step is None


@pytest.fixture
def wandb(monkeypatch):
    module: Any = ModuleType("wandb")
    module.Image = lambda path, caption: (path, caption)
    module.run = None
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def test_wandb_gets_images_and_their_step(tmp_path, wandb):
    with pytest.raises(vizcnn.VizcnnError, match="no run of wandb is active"):
        to_wandb()
    wandb.run = Run()
    pictures = Watch(["1"], PHOTOS, folder=tmp_path, to=to_wandb())(NET, 5)
    shown = {f"vizcnn/{p.name}": (str(p.path), "step 5") for p in pictures}
    assert wandb.run.rows == {0: {**shown, "vizcnn/step": 5}}


@pytest.mark.parametrize("given", [True, False], ids=["its own steps", "no steps"])
def test_wandb_loses_nothing_that_the_training_logs(given, tmp_path, wandb):
    run = wandb.run = Run()
    send = to_wandb(run)
    for epoch in range(4):
        run.log({"loss": epoch}, step=10 * epoch if given else None)
        for name in ("1-units", "filters"):
            send(Picture(name, tmp_path / f"{epoch}.png", epoch))
    assert not run.dropped
    assert [row["loss"] for row in run.rows.values() if "loss" in row] == [0, 1, 2, 3]
    shown = [row["vizcnn/filters"][1] for row in run.rows.values() if "vizcnn/filters" in row]
    assert shown == [f"step {epoch}" for epoch in range(4)]


def test_pictures_alone_make_a_row_a_step(tmp_path, wandb):
    run = wandb.run = Run()
    send = to_wandb()
    for epoch in range(3):
        for name in ("1-units", "filters"):
            send(Picture(name, tmp_path / f"{epoch}.png", epoch))
    assert [run.rows[row]["vizcnn/step"] for row in sorted(run.rows)] == [0, 1, 2]
    assert all(len(row) == 3 for row in run.rows.values())


def test_lightning_calls_after_each_epoch_in_the_first_process(tmp_path, monkeypatch):
    class Callback:
        """As Lightning has it: a base class whose hooks do nothing."""

    theirs = ModuleType("lightning.pytorch")
    theirs.Callback = Callback  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lightning", ModuleType("lightning"))
    monkeypatch.setitem(sys.modules, "lightning.pytorch", theirs)
    watch = Watch(["1"], PHOTOS, every=2, folder=tmp_path)
    callback: Any = for_lightning(watch)
    assert type(callback).__mro__[1] is Callback
    for epoch in range(4):
        callback.on_train_epoch_end(
            SimpleNamespace(is_global_zero=epoch != 2, current_epoch=epoch), NET
        )
    assert [path.name for path in sorted(tmp_path.glob("step-*"))] == ["step-000000"]


@pytest.mark.parametrize(
    ("names", "call"),
    [(["wandb"], to_wandb), (["lightning", "lightning.pytorch", "pytorch_lightning"], None)],
)
def test_missing_packages_are_named(names, call, tmp_path, monkeypatch):
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(vizcnn.VizcnnError, match="is not installed: pip install"):
        (call or (lambda: for_lightning(Watch(["1"], PHOTOS, folder=tmp_path))))()
