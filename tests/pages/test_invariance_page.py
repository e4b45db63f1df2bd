"""The page of invariance: whole, repeatable, resumed, and what it says of what it shows."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.support.small_zoo import list_files, make_model, paint_photo
from vizcnn.basics.codec import find_files
from vizcnn.basics.errors import ImageError, LayerError, VizcnnError
from vizcnn.basics.kept_parts import FOLDER_NAME
from vizcnn.basics.output import LIST_NAME
from vizcnn.drawing.style import make_style, use_style
from vizcnn.gallery.manifest import from_json, read_manifest, to_json
from vizcnn.measures.invariance import Movement, measure_invariance, measure_yardsticks
from vizcnn.pages.invariance import (
    InvarianceResults,
    InvarianceSettings,
    choose_compared,
    describe_border,
    make_invariance_gallery,
    write_caption,
)
from vizcnn.photos.transforms import BORDERS
from vizcnn.receptive import measure_fields

MODEL = make_model()
QUICK = {"shift": (-4.0, 0.0, 2.0), "scale": (1.0, 1.5), "rotate": (0.0, 90.0)}


@pytest.fixture
def photos(tmp_path):
    named = paint_photo(tmp_path / "dog" / "a <b>.png", 1)
    return [named, *(paint_photo(tmp_path / f"{seed}.png", seed) for seed in (2, 3, 4, 5))]


@pytest.fixture(autouse=True)
def coarse_figures():
    """Draw with few pixels: these tests do not look at them."""
    with use_style(make_style(dpi=30)):
        yield


def make(photos, folder, **changes):
    settings = InvarianceSettings(**{**QUICK, **changes})
    return make_invariance_gallery(MODEL, photos, folder, settings, "vizcnn invariance")


@pytest.mark.slow
def test_gallery_is_whole_and_repeats(tmp_path, photos):
    manifests = [make(photos, tmp_path / out) for out in ("one", "two")]
    assert manifests[0] == manifests[1]
    written = read_manifest(tmp_path / "one", InvarianceResults)
    assert from_json(to_json(written), InvarianceResults) == written
    assert list_files(tmp_path / "one") == list_files(tmp_path / "two")
    pages = {"index.html", "gallery.css", "gallery.js", "manifest.json", LIST_NAME}
    assert set(list_files(tmp_path / "one")) == {*find_files(manifests[0]), *pages}
    assert [figure.file for figure in written.figures] == ["distances.png", "layers.png"]
    results = written.results
    assert [layer.name for layer in results.layers] == ["conv1", "fc6"]
    assert [row.kind for row in results.rows] == ["shift", "scale", "rotate"]
    assert results.compared == "all 10 pairs of the 5 photos"
    for row in results.rows:
        still = row.amounts.index(1.0 if row.kind == "scale" else 0.0)
        assert len(row.probabilities) == 5
        for curves in row.layers:
            assert all(curve[still] == pytest.approx(0, abs=1e-4) for curve in curves.relative)
            assert len(curves.returned) == (5 if curves.layer == "conv1" else 0)
    first, second = results.classes[:2]
    assert (first.name, first.is_true) == ("dog", True) and not second.is_true
    # each figure tells of what it draws: classes here, the distance of two photos there
    plain, scaled = (write_caption(written, scaled) for scaled in (False, True))
    assert f"class: {first.photo}: dog" in plain
    assert f"the net’s own guess: {second.photo}: {second.name}" in plain
    assert "distance of two photos" in scaled and "distance of two photos" not in plain
    assert "guess" not in scaled
    page = (tmp_path / "one" / "index.html").read_text("utf-8")
    assert "a &lt;b&gt;.png" in page and "a <b>" not in page


def test_layers_have_figures_by_two(tmp_path, photos):
    made = make(photos[:1], tmp_path / "out", layers=("conv1..conv5",), scale=(), rotate=())
    names = [figure.file for figure in made.figures]
    assert names == [*(f"distances{end}.png" for end in ("", "-2", "-3")), "layers.png"]
    assert "one photo" not in made.figures[0].note
    assert made.results.compared == "all 28 pairs of 8 photos, the photo and scikit-image's samples"


def test_a_stopped_run_goes_on_with_the_next_photo(tmp_path, photos):
    def stop_after(count):
        def progress(items, *, label, total=None, unit="it", initial=0):
            for number, item in enumerate(items):
                if label == "transform" and number == count:
                    raise KeyboardInterrupt
                yield item

        return progress

    settings, folder = InvarianceSettings(**{**QUICK, "scale": (), "rotate": ()}), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        make_invariance_gallery(MODEL, photos[:3], folder, settings, "", stop_after(2))
    assert len(list((folder / FOLDER_NAME).iterdir())) == 3  # the unit, and two photos
    assert [path.name for path in folder.iterdir()] == [FOLDER_NAME]
    made = make_invariance_gallery(MODEL, photos[:3], folder, settings, "")
    alone = make_invariance_gallery(MODEL, photos[:3], tmp_path / "alone", settings, "")
    assert replace(made, folder=None) == replace(alone, folder=None)
    assert list_files(folder) == list_files(tmp_path / "alone")


def test_numbers_are_those_of_the_measure(tmp_path, photos):
    """What was kept, packed and written is what measure_invariance gives."""
    made = make(photos[:2], tmp_path / "out", border="mask", window=0.8)
    movement = Movement("mask", 0.8)
    fields = measure_fields(MODEL, ["conv1", "fc6"])
    compared, _ = choose_compared(photos[:2])
    rulers = measure_yardsticks(MODEL, compared, fields, movement)
    change = measure_invariance(MODEL, photos[1], QUICK, rulers, movement)
    for row in made.results.rows:
        found = change.kinds[row.kind]
        assert np.allclose(row.probabilities[1], found.probabilities)
        for curves, layer, ruler in zip(row.layers, found.layers, rulers, strict=True):
            assert np.allclose(curves.distances[1], layer.distances)
            assert np.allclose(curves.relative[1], layer.distances / ruler.distance)
    assert "the net's mean colour" in made.results.border
    assert "80 % of its usual side" in made.results.border.replace("\u00a0", " ")


def test_every_border_says_what_it_means_for_the_numbers(tmp_path, photos):
    assert len({describe_border(border) for border in BORDERS}) == len(BORDERS)
    made = make(photos[:1], tmp_path / "out", border="black", scale=(), rotate=())
    assert "a colour like any other" in made.results.border
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert made.results.border in page


def test_photos_that_cannot_be_read_are_named(tmp_path, photos):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no photo")
    made = make([broken, photos[0]], tmp_path / "out")
    assert [failure.source for failure in made.failures] == [str(broken)]
    assert len(made.photos) == 1
    with pytest.raises(VizcnnError, match="broken"):
        make([broken], tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"border": "pink"}, VizcnnError, "needed: photo, reflect, mask, black, wrap"),
        ({"window": 0.0}, VizcnnError, "needed: a share from 0.05 to 1"),
        ({"shift": (40.0,)}, VizcnnError, "out of the net's input of 32"),
        ({"scale": (0.0,)}, ImageError, "needed: 0.1 to 10"),
        ({"shift": (), "scale": (), "rotate": ()}, VizcnnError, "nothing is done"),
        ({"layers": ("conv9",)}, LayerError, "no layer 'conv9'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    tmp_path, photos, changes, error, told
):
    with pytest.raises(error, match=told):
        make(photos, tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_the_papers_range_follows_the_input():
    settings = InvarianceSettings()
    assert settings.list_amounts(224)["shift"] == tuple(range(-60, 61, 4))
    assert settings.list_amounts(128)["shift"] == tuple(range(-32, 33, 4))
    assert settings.list_amounts(32)["shift"] == tuple(range(-8, 9))
    assert json.dumps(settings.list_amounts(8)["shift"]) == "[-2.0, -1.0, 0.0, 1.0, 2.0]"


def test_many_photos_are_compared_evenly(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(200)]
    chosen, told = choose_compared(paths)
    assert chosen[0] == paths[0] and chosen[-1] == paths[-1] and len(set(chosen)) == 64
    assert told == "all 2016 pairs of 64 of the 200 photos, evenly chosen"
