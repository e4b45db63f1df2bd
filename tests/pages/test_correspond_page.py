"""The page of correspondence: whole, repeatable, resumed, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.small_zoo import list_files, make_model, paint_photo
from vizcnn.basics.codec import find_files
from vizcnn.basics.errors import DataError, ImageError, LayerError, VizcnnError
from vizcnn.basics.output import LIST_NAME
from vizcnn.drawing.style import make_style, use_style
from vizcnn.gallery.manifest import from_json, read_manifest, to_json
from vizcnn.measures.correspondence import measure_signs, place_parts, score_part
from vizcnn.pages.correspond import (
    CorrespondResults,
    CorrespondSettings,
    make_correspond_gallery,
)
from vizcnn.photos.part_boxes import MarkedPhoto

MODEL = make_model()
PARTS = {"eye <left>": (4, 8, 12, 16), "nose": (20, 20, 32, 30)}


@pytest.fixture
def photos(tmp_path):
    return [
        MarkedPhoto(paint_photo(tmp_path / f"{seed} & co.png", seed), PARTS) for seed in range(3)
    ]


@pytest.fixture(autouse=True)
def coarse_figures():
    """Draw with few pixels: these tests do not look at them."""
    with use_style(make_style(dpi=30)):
        yield


def make(photos, folder, **changes):
    settings = CorrespondSettings(**{"draws": 3, "permutations": 49, **changes})
    return make_correspond_gallery(MODEL, photos, folder, settings, "vizcnn correspond")


def test_gallery_is_whole_and_repeats(tmp_path, photos):
    manifests = [make(photos, tmp_path / out) for out in ("one", "two")]
    assert manifests[0] == manifests[1]
    written = read_manifest(tmp_path / "one", CorrespondResults)
    assert from_json(to_json(written), CorrespondResults) == written
    assert list_files(tmp_path / "one") == list_files(tmp_path / "two")
    pages = {"index.html", "gallery.css", "gallery.js", "manifest.json", LIST_NAME}
    assert set(list_files(tmp_path / "one")) == {*find_files(manifests[0]), *pages}
    assert [figure.file for figure in written.figures] == ["hidden.png", "scores.png"]
    assert written.results.layers == ("conv5", "fc6")
    assert len(written.results.scores) == 4 and len(written.results.boxes) == 6
    page = (tmp_path / "one" / "index.html").read_text("utf-8")
    assert "eye &lt;left&gt;" in page and "0 &amp; co.png" in page and "<left>" not in page


def test_scores_are_those_of_the_measure(tmp_path, photos):
    made = make(photos, tmp_path / "out", layers=("conv2",), fill="black", seed=5)
    signs = [
        measure_signs(
            MODEL, place_parts(MODEL, one, 3, np.random.default_rng([5, k])), ["conv2"], "black"
        )["conv2"]
        for k, one in enumerate(photos)
    ]
    for place, score in enumerate(made.results.scores):
        of_part = [one[place] for one in signs]
        found = score_part(of_part, "conv2", score.part, 49, np.random.default_rng())
        assert (score.mean, score.squares, score.zeros) == (found.mean, found.squares, found.zeros)
    other = make(photos, tmp_path / "out", layers=("conv2",), fill="black", seed=6)
    assert other.results.scores[0].mean == made.results.scores[0].mean
    assert other.results.scores[0].draws != made.results.scores[0].draws


def test_a_stopped_run_goes_on_with_the_next_photo(tmp_path, photos):
    def stop(items, *, label, total=None, unit="it", initial=0):
        for number, item in enumerate(items):
            if number == 2:
                raise KeyboardInterrupt
            yield item

    started: list[int] = []

    def watch(items, *, label, total=None, unit="it", initial=0):
        started.append(initial)
        return iter(items)

    settings, folder = CorrespondSettings(draws=2, permutations=9), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        make_correspond_gallery(MODEL, photos, folder, settings, "", stop)
    made = make_correspond_gallery(MODEL, photos, folder, settings, "", watch)
    alone = make_correspond_gallery(MODEL, photos, tmp_path / "alone", settings, "", watch)
    assert started == [2, 0]
    assert replace(made, folder=None) == replace(alone, folder=None)
    assert list_files(folder) == list_files(tmp_path / "alone")


def test_one_photo_may_hold_several_objects(tmp_path, photos):
    twice = [photos[0], MarkedPhoto(photos[0].path, PARTS, object=(0, 0, 40, 40))]
    made = make(twice, tmp_path / "out")
    assert [photo.name for photo in made.photos] == ["0 & co.png (1)", "0 & co.png (2)"]
    assert made.results.object.startswith("on the object where the file names one")


def test_what_cannot_be_is_refused_before_anything_is_written(tmp_path, photos):
    missing = MarkedPhoto(tmp_path / "missing.png", PARTS)
    outside = MarkedPhoto(photos[0].path, {**PARTS, "nose": (20, 20, 99, 30)})
    for given, changes, error, told in (
        (photos[:1], {}, VizcnnError, "two photos at least"),
        ([photos[0], missing], {}, ImageError, "missing.png"),
        ([photos[0], outside], {}, DataError, "the part 'nose'"),
        (photos, {"layers": ("conv9",)}, LayerError, "no layer 'conv9'"),
        (photos, {"fill": "pink"}, VizcnnError, "needed: mean, grey, black, white"),
        (photos, {"draws": 0}, VizcnnError, "draws"),
    ):
        with pytest.raises(error, match=told):
            make(given, tmp_path / "out", **changes)
        assert not (tmp_path / "out").exists()
    none = replace(MODEL, preprocessing=replace(MODEL.preprocessing, fitting="none"))
    with pytest.raises(ImageError, match="fit none leaves photos their own size"):
        make_correspond_gallery(none, photos, tmp_path / "out")
