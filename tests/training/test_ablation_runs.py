"""Trainings of an ablation: resumable, repeatable, and errors as NumPy counts them."""

import numpy as np
import pytest
import torch
from PIL import Image

import vizcnn
from tests.support.training_data import cut_after, make_data
from vizcnn.basics.errors import DataError
from vizcnn.training.ablation_runs import RECORD_NAME, name_weights, train_rows
from vizcnn.training.ablations import ablation_recipe, choose_rows
from vizcnn.training.card import DataSource
from vizcnn.training.photos import open_photos

RECIPE = ablation_recipe("lenet", epochs=2, batch=4)
ROWS = choose_rows(RECIPE, ["no-2", "half-4"])
SEEDS = (0, 1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data"))


def train(folder, data, recipe=RECIPE, **options):
    halves = open_photos(data, recipe.resize)
    return train_rows(folder, ROWS, SEEDS, recipe, *halves, DataSource("noise"), **options)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, train(folder, data)


def read_pixels(file):
    """A centre crop of 32 pixels of the photo at 36, luminance, as LeNet is given it."""
    image = Image.open(file).convert("RGB").resize((36, 36), Image.Resampling.BICUBIC)
    return np.asarray(image)[2:34, 2:34]


def count_errors(net, folder):
    """Top-1 and top-5 errors by sorting logits, photo by photo."""
    wrong1, wrong5 = [], []
    classes = sorted(path.name for path in folder.iterdir())
    for label, name in enumerate(classes):
        for file in sorted((folder / name).iterdir()):
            logits = net.logits(
                torch.from_numpy(read_pixels(file).copy()).permute(2, 0, 1)[None] / 255
            )
            order = np.argsort(-logits[0].numpy())
            wrong1.append(order[0] != label)
            wrong5.append(label not in order[:5])
    return np.mean(wrong1), np.mean(wrong5)


@pytest.mark.slow
def test_errors_are_those_that_numpy_counts(trained, data):
    folder, found = trained
    for row in ROWS:
        for run in found[row.name]:
            weights = folder / name_weights("lenet", row, run.seed)
            net = vizcnn.load("lenet", weights=weights)
            assert (net.options.get("without"), net.options.get("widths")) == (
                row.without or None,
                row.widths or None,
            )
            training, validation = (count_errors(net, data / half) for half in ("train", "val"))
            assert (run.train_top1, run.train_top5) == pytest.approx(training, abs=1e-6)
            assert (run.top1, run.top5) == pytest.approx(validation, abs=1e-6)
            assert len(run.curve) == RECIPE.epochs


@pytest.mark.slow
def test_a_table_that_was_cut_goes_on_and_ends_the_same(trained, data, tmp_path):
    def stop():
        raise KeyboardInterrupt

    lines: list[str] = []
    for count in (2, 9):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, data, progress=cut_after(count, stop), report=lines.append)
    before = len(lines)
    found = train(tmp_path, data, report=lines.append)
    assert before > 0 and len(lines) == len(ROWS) * len(SEEDS)  # none was trained twice
    for name, runs in trained[1].items():
        for one, other in zip(runs, found[name], strict=True):
            assert (one.causes, one.curve, one.sha256) == (other.causes, other.curve, other.sha256)
    assert not list(tmp_path.rglob("checkpoint.pt"))


@pytest.mark.slow
def test_seeds_are_other_trainings_of_one_net(trained):
    for runs in trained[1].values():
        assert [run.seed for run in runs] == list(SEEDS)
        assert len({run.sha256 for run in runs}) == 2


@pytest.mark.slow
def test_a_training_with_other_settings_or_photos_is_no_result(trained, data, tmp_path):
    folder, _ = trained
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(DataError, match=r"'.*whole/seed-0' holds a training with other settings"):
        train(folder, data, ablation_recipe("lenet", epochs=3, batch=4))
    other = make_data(tmp_path / "data")
    (other / "val" / "ant" / "0.png").rename(other / "val" / "ant" / "zero.png")
    with pytest.raises(DataError, match="on other photos"):
        train(folder, other)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == files


@pytest.mark.slow
def test_a_damaged_record_is_a_training_to_be_done(trained, data, tmp_path):
    import shutil

    folder, found = trained
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    record = copy / "no-2" / "seed-1" / RECORD_NAME
    record.write_text(record.read_text()[:40])
    lines: list[str] = []
    again = train(copy, data, report=lines.append)
    assert [line.split(":")[1].strip() for line in lines] == ["no-2, seed 1"]
    assert again["no-2"][1].sha256 == found["no-2"][1].sha256
