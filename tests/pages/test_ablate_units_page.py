"""The page of units that were removed: rankings, tables, and what is told of zero."""

import copy
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.models import prepare
from tests.support.small_zoo import list_files, make_model, paint_photo
from vizcnn.basics.codec import find_files
from vizcnn.basics.errors import DataError, LayerError, VizcnnError
from vizcnn.gallery.manifest import read_manifest, to_json
from vizcnn.measures.unit_ablation import ablate_units
from vizcnn.pages.ablate_units import (
    AblateUnitsResults,
    AblateUnitsSettings,
    make_ablate_units_gallery,
)

pytestmark = pytest.mark.slow

MODEL = make_model()
CLASSES = {"dog": 3, "cat <&>": 2}
SETTINGS = AblateUnitsSettings(layers=("conv5",), class_name="dog", save_arrays=True)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    home = tmp_path_factory.mktemp("photos")
    for name, count in CLASSES.items():
        for seed in range(count):
            paint_photo(home / name / f"{seed}.png", seed + 10 * len(name))
    (home / "dog" / "bad.png").write_bytes(b"no photo")
    return home


@pytest.fixture(scope="module")
def page(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "out"
    before = copy.deepcopy(MODEL.module.state_dict())
    manifest = make_ablate_units_gallery(MODEL, [photos], folder, SETTINGS, "vizcnn ablate")
    assert all(torch.equal(before[name], v) for name, v in MODEL.module.state_dict().items())
    return folder, manifest


def read_photos(photos):
    names = sorted(f"{name}/{seed}.png" for name, count in CLASSES.items() for seed in range(count))
    labels = [MODEL.classes.index(name.split("/")[0]) for name in names]
    return torch.cat([MODEL.read(photos / name) for name in names]), labels


def test_the_ranking_is_by_the_fall_of_the_class_on_its_own_photos(page, photos):
    pixels, labels = read_photos(photos)
    found = ablate_units(MODEL, pixels, "conv5", labels=labels)
    results = page[1].results
    (layer,) = results.layers
    falls = found.own_logit[:, MODEL.classes.index("dog")]
    assert [unit.unit for unit in layer.units] == np.argsort(falls, kind="stable").tolist()
    for unit in layer.units:
        assert unit.class_logit == pytest.approx(falls[unit.unit], abs=1e-6)
        order = np.argsort(found.logit[unit.unit])
        names = [MODEL.classes[number] for number in order if found.logit[unit.unit, number] < 0]
        assert [change.name for change in unit.lowered] == names[:5]
    assert (results.count, results.known, results.class_photos) == (5, 5, 3)
    assert results.right == int(found.right.sum())
    assert results.ranking == "change of the logit of dog, mean of its 3 photos"


def test_the_page_is_whole_and_escaped(page):
    folder, manifest = page
    assert [figure.file for figure in manifest.figures] == [
        *("ranking.png", "classes.png", "matrix.png")
    ]
    assert {*find_files(manifest)} < {*list_files(folder)}
    text = (folder / "index.html").read_text("utf-8")
    assert "cat &lt;&amp;&gt;" in text and "cat <&>" not in text
    assert to_json(read_manifest(folder, AblateUnitsResults)) == to_json(manifest)
    assert [failure.source for failure in manifest.failures] == ["dog/bad.png"]
    with np.load(folder / "arrays.npz") as arrays:
        assert arrays["logit"].shape == (10, 4)
        assert arrays["units"].tolist() == list(range(10))


def test_two_runs_give_the_same_files(page, photos, tmp_path):
    make_ablate_units_gallery(MODEL, [photos], tmp_path / "out", SETTINGS, "vizcnn ablate")
    assert list_files(tmp_path / "out") == list_files(page[0])


def test_an_interrupted_run_goes_on_with_what_it_had(photos, tmp_path, monkeypatch):
    monkeypatch.setattr("vizcnn.measures.unit_ablation.AT_ONCE", 2)
    passes = []

    def stop_at(number):
        def progress(items, *, label, **more):
            for item in items:
                if label.startswith("without"):
                    passes.append(item)
                    if len(passes) == number:
                        raise KeyboardInterrupt
                yield item

        return progress

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        make_ablate_units_gallery(MODEL, [photos], out, SETTINGS, progress=stop_at(15))
    assert [path.name for path in out.iterdir()] == [".vizcnn-kept.part"]
    make_ablate_units_gallery(MODEL, [photos], out, SETTINGS, progress=stop_at(0))
    assert len(passes) == 15 + 2 * 10  # the first of three batches is not run again
    whole = tmp_path / "whole"
    make_ablate_units_gallery(MODEL, [photos], whole, SETTINGS)
    assert list_files(out) == list_files(whole)


def test_without_class_folders_the_likeliest_class_stands_for_the_true_one_and_is_told(tmp_path):
    for seed in range(3):
        paint_photo(tmp_path / "holiday" / f"{seed}.png", seed)
    settings = AblateUnitsSettings(units=(1, 2), by="mean")
    manifest = make_ablate_units_gallery(MODEL, [tmp_path / "holiday"], tmp_path / "out", settings)
    results = manifest.results
    assert (results.known, results.right) == (0, 0)
    assert [layer.name for layer in results.layers] == ["conv5"]
    assert all(unit.accuracy is None for unit in results.layers[0].units)
    assert "own or likeliest class" in results.ranking
    page = re.sub(r"\s+", " ", (tmp_path / "out" / "index.html").read_text("utf-8"))
    assert "the likeliest class of the whole net stands for the true one" in page
    assert "accuracy is not known" in manifest.figures[0].note
    assert "Set to its mean over these photos and all places" in results.layers[0].note


def test_classes_of_a_unit_that_is_set_to_its_mean_are_told_on_their_own_photos(photos, tmp_path):
    """Before a linear layer the mean change over all photos is zero, and so tells nothing."""
    settings = AblateUnitsSettings(layers=("fc6",), by="mean")
    manifest = make_ablate_units_gallery(MODEL, [photos], tmp_path / "out", settings)
    (layer,) = manifest.results.layers
    found = layer.effects
    assert np.abs(found.logit).max() < 1e-6
    there = {"dog", "cat <&>"}  # the other two classes have no photos
    told = {change.name for unit in layer.units for change in (*unit.lowered, *unit.raised)}
    assert told == there
    for unit in layer.units:
        row = found.units.index(unit.unit)
        for change in (*unit.lowered, *unit.raised):
            number = MODEL.classes.index(change.name)
            assert change.logit == found.own_logit[row, number]
    assert "means over the photos of each class" in manifest.figures[1].note


def test_zero_after_batch_normalisation_is_said_to_shift_the_mean(photos, tmp_path):
    torch.manual_seed(0)
    parts = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(3600, 4))
    net = prepare(nn.Sequential(*parts), 32)
    model = replace(MODEL, module=net, layers={})
    settings = AblateUnitsSettings(layers=("1", "2"))
    manifest = make_ablate_units_gallery(model, [photos], tmp_path / "out", settings)
    before, after = manifest.results.layers
    assert "100.0\xa0% of the units go below zero" in before.note
    assert "go below zero" not in after.note
    for layer in (before, after):
        assert "this net normalises batches" in layer.note
        found = layer.effects
        shift = np.median(np.abs(found.mean) / found.spread)
        assert f"shifted by {shift:#.3g} standard deviations" in layer.note
    assert [figure.file for figure in manifest.figures][:2] == ["ranking-1.png", "classes-1.png"]
    plain = AblateUnitsSettings(layers=("conv5",))
    manifest = make_ablate_units_gallery(MODEL, [photos], tmp_path / "plain", plain)
    assert "normalises batches" not in manifest.results.layers[0].note


def test_one_unit_of_one_photo_makes_a_page(tmp_path):
    photo = paint_photo(tmp_path / "dog" / "a.png")
    settings = AblateUnitsSettings(layers=("fc6",), units=(3,), class_name="2")
    manifest = make_ablate_units_gallery(MODEL, [photo], tmp_path / "out", settings)
    assert manifest.results.known == 1  # its own folder names the class
    (unit,) = manifest.results.layers[0].units
    assert unit.class_error is None and unit.answer_error is None
    assert len(manifest.figures) == 3


def test_what_cannot_be_is_refused_and_leaves_nothing(photos, tmp_path):
    out = tmp_path / "out"
    for settings, kind, told in (
        (replace(SETTINGS, layers=("conv9",)), LayerError, "no layer 'conv9'"),
        (replace(SETTINGS, units=(99,)), LayerError, "has no unit 99"),
        (replace(SETTINGS, class_name="cow"), LayerError, "no class 'cow'"),
    ):
        with pytest.raises(kind, match=told):
            make_ablate_units_gallery(MODEL, [photos], out, settings)
    with pytest.raises(DataError, match="no folder"):
        make_ablate_units_gallery(MODEL, [tmp_path / "missing"], out, SETTINGS)
    with pytest.raises(VizcnnError, match="set to zero or mean"):
        replace(SETTINGS, by="half")
    assert not out.exists()
