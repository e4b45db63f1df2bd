"""The page of a probe on a small net: what is drawn from, what is resumed, what is written."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("sklearn", reason="pip install 'vizcnn[digits]'")

from tests.gallery.test_site import check_links, write
from tests.support.class_photos import paint_classes
from tests.support.small_zoo import list_files, make_model
from vizcnn.basics.errors import DataError, ModelError, VizcnnError
from vizcnn.basics.kept_parts import FOLDER_NAME
from vizcnn.gallery.manifest import read_manifest
from vizcnn.measures.pooled_features import list_probed_layers, read_pooled_features
from vizcnn.measures.probe_photos import ProbeSettings, find_trained_class, list_classes
from vizcnn.pages.probe import ProbeResults, make_probe_gallery
from vizcnn.zoo.building import untrain
from vizcnn.zoo.provenance import Provenance

MODEL = replace(make_model(), provenance=Provenance("code", data="a test"))
SETTINGS = ProbeSettings(layers=("conv1", "fc7"), per_class=(2, 4), folds=2)


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    return paint_classes(tmp_path_factory.mktemp("classes") / "photos")


def make(photos, folder, model=MODEL, training=(), progress=None, **changes):
    more = {"progress": progress} if progress else {}
    settings = replace(SETTINGS, **changes)
    return make_probe_gallery(model, [photos], folder, settings, "vizcnn probe", training, **more)


@pytest.mark.slow
def test_the_page_is_whole_and_the_same_again(tmp_path, photos):
    one, other = (make(photos, tmp_path / name) for name in ("one", "two"))
    assert one == other
    assert read_manifest(tmp_path / "one", ProbeResults).results == one.results
    check_links(write(one, tmp_path / "one"), tmp_path / "one")
    files = list_files(tmp_path / "one")
    assert {"layers.png", "counts.png", "index.html", "manifest.json"} <= set(files)
    assert not [name for name in files if FOLDER_NAME in name]
    results = one.results
    assert [entry.name for entry in results.classes] == ["anvil", "kettle", "walrus"]
    assert results.tested == 15 and results.chance == pytest.approx(1 / 3)
    assert len(results.rows) == 2 * 2 * 2 * 2 and results.fits == 32
    for row in results.rows:
        assert row.accuracy == pytest.approx(np.mean(row.folds))
        assert row.deviation == pytest.approx(np.std(row.folds, ddof=1))
        assert row.dimensions == (4 if row.layer == "fc7" else 12 * 6 * 6)
    # colours are planted, and even random filters see them
    assert max(row.accuracy for row in results.rows if row.layer == "conv1") == 1.0
    page = files["index.html"].decode()
    assert "were not given" in page and "none of the classes" in page
    assert {row.untrained for row in results.rows} == {True, False}


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_and_ends_with_the_same_bytes(tmp_path, photos):
    whole = make(photos, tmp_path / "whole")
    ran = []

    def count(module, args):
        ran.append(module)

    def stop(items, *, label, **told):
        for item in items:
            if label == "probe trained fc7":
                raise KeyboardInterrupt
            yield item

    hook = MODEL.module.register_forward_pre_hook(count)
    try:
        with pytest.raises(KeyboardInterrupt):
            make(photos, tmp_path / "out", progress=stop)
        first = len(ran)
        assert [path.name for path in (tmp_path / "out").iterdir()] == [FOLDER_NAME]
        started = {}

        def note(items, *, label, initial=0, total=None, **told):
            started[label] = (initial, total)
            return iter(items)

        assert make(photos, tmp_path / "out", progress=note) == whole
    finally:
        hook.remove()
    # one lot through the net and then one through its twin, which has the hook too: nothing twice
    assert (first, len(ran)) == (1, 2)
    assert started["features of the trained net"] == (1, 1)
    assert started["probe trained conv1"] == (8, 8)
    assert started["probe trained fc7"] == (0, 8)
    assert list_files(tmp_path / "out") == list_files(tmp_path / "whole")


@pytest.mark.slow
def test_planted_duplicates_are_removed_and_told(tmp_path, photos):
    folder = shutil.copytree(photos, tmp_path / "photos")
    brighter = Image.open(folder / "anvil" / "03.png").point(lambda value: min(value + 9, 255))
    brighter.save(folder / "walrus" / "twin.jpg", quality=95)
    training = tmp_path / "training"
    training.mkdir()
    Image.open(folder / "kettle" / "05.png").resize((80, 80)).save(training / "known.png")
    results = make(folder, tmp_path / "out", training=[training], baseline=False).results
    told = {(one.photo, one.other, one.training) for one in results.removed}
    assert told == {
        ("walrus/twin.jpg", "anvil/03.png", False),
        ("kettle/05.png", "known.png", True),
    }
    assert [entry.photos for entry in results.classes] == [9, 8, 9]
    assert (tmp_path / "out" / "duplicates.png").is_file()
    page = (tmp_path / "out" / "index.html").read_text()
    assert "walrus/twin.jpg" in page and "of the training photos" in page


def test_classes_that_the_net_was_trained_on_are_refused_left_out_or_marked(tmp_path, photos):
    net = replace(MODEL, classes=("cat", "Kettle, pot", "dog", "car"))
    with pytest.raises(VizcnnError, match=r"trained on 1 of the 3 classes.*'kettle'.*mark$"):
        make(photos, tmp_path / "out", net)
    assert not (tmp_path / "out").exists()
    without = make(photos, tmp_path / "out", net, trained_classes="leave-out", baseline=False)
    assert [entry.name for entry in without.results.classes] == ["anvil", "walrus"]
    assert [entry.name for entry in without.results.left_out] == ["kettle"]
    marked = make(photos, tmp_path / "out", net, trained_classes="mark", baseline=False).results
    assert marked.marked == ("kettle",)
    for row in marked.rows:
        assert row.fresh is not None and row.seen is not None
        assert row.accuracy == pytest.approx((2 * row.fresh + row.seen) / 3)
    untrained = replace(net, provenance=Provenance("random"))
    assert not find_trained_class(untrained, "kettle")
    assert find_trained_class(net, "KETTLE")


def test_classes_come_of_folders_and_small_ones_are_left_out(tmp_path, photos):
    folder = shutil.copytree(photos, tmp_path / "photos")
    shutil.rmtree(folder / "walrus")
    (folder / "walrus").mkdir()
    shutil.copy(photos / "walrus" / "00.png", folder / "walrus")
    results = make(folder, tmp_path / "out", baseline=False).results
    assert [(entry.name, "1 photos" in entry.reason) for entry in results.left_out] == [
        ("walrus", True)
    ]
    with pytest.raises(DataError, match="0 of 3 classes have more than 9 photos"):
        make(folder, tmp_path / "other", per_class=(9,))
    (folder / "loose.png").write_bytes((folder / "walrus" / "00.png").read_bytes())
    with pytest.raises(DataError, match=r"'loose.png' lies in no class's folder; needed"):
        make(folder, tmp_path / "other")
    assert list_classes(["train/1.jpg", "cat/1.jpg"]) == ["train", "cat"]  # a class of that name


def test_a_photo_that_cannot_be_read_is_told(tmp_path, photos):
    folder = shutil.copytree(photos, tmp_path / "photos")
    (folder / "anvil" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    manifest = make(folder, tmp_path / "out", baseline=False)
    assert [failure.source for failure in manifest.failures] == ["anvil/bad.png"]


def test_features_are_averages_of_what_layers_put_out():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (3, 3, 32, 32), generator=generator).to(torch.uint8)
    seen = {}
    hook = MODEL.module[1].register_forward_hook(lambda part, args, out: seen.update(out=out))
    MODEL.logits(pixels / 255)
    hook.remove()
    found = read_pooled_features(MODEL, pixels, ["conv1", "fc7"], places=4)
    blocks = seen["out"].numpy().reshape(3, 12, 4, 8, 4, 8).mean(axis=(3, 5))
    assert found["conv1"].shape == (3, 12 * 16)
    assert np.allclose(found["conv1"], blocks.reshape(3, -1), atol=1e-5)
    assert found["fc7"].shape[0] == 3
    assert list_probed_layers(MODEL) == ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6")


def test_an_untrained_net_leaves_the_net_as_it_was():
    before = {name: value.clone() for name, value in MODEL.module.state_dict().items()}
    twin = untrain(MODEL, seed=1)
    assert twin.provenance.source == "random"
    assert all(
        torch.equal(value, before[name]) for name, value in MODEL.module.state_dict().items()
    )
    weights = twin.module[0].weight.detach()
    assert not torch.equal(weights, before["0.weight"])
    assert torch.equal(weights, untrain(MODEL, seed=1).module[0].weight)
    assert weights.std() == pytest.approx((2 / 27) ** 0.5, rel=0.2)  # He et al.: 2 / fan-in
    assert not twin.module[0].bias.any()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"per_class": ()}, "per_class is empty"),
        ({"correlation": 1.5}, "correlation is 1.5; needed: above 0, at most 1"),
        ({"classifiers": ("tree",)}, "no choice 'tree'; needed: svm, softmax"),
        ({"folds": 0}, "folds"),
    ],
)
def test_settings_out_of_bounds_are_refused(changes, told):
    with pytest.raises(VizcnnError, match=told):
        ProbeSettings(**changes)


def test_features_that_are_not_finite_are_refused_in_one_line():
    net = make_model()
    with torch.no_grad():
        net.module[0].bias[2] = torch.inf
    pixels = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    with pytest.raises(ModelError, match="layer 'conv1' puts out values that are not finite"):
        read_pooled_features(net, pixels, ["conv1"], places=4)
