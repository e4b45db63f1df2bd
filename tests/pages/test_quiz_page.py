"""A quiz made of galleries: what it asks about, against the galleries' and the net's numbers."""

import base64
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vizcnn
from tests.support.quizzes import LAYERS, UNITS, prepare_galleries
from vizcnn.basics.errors import DataError
from vizcnn.gallery.manifest import Manifest, read_manifest
from vizcnn.mining.photo_sets import SamplePatches
from vizcnn.pages.layers.gallery import make_top_gallery
from vizcnn.pages.layers.job import TopSettings
from vizcnn.pages.layers.site_pages import LayersResults
from vizcnn.pages.quiz.quiz_page import QuizResults, QuizSettings, make_quiz
from vizcnn.pages.quiz.quiz_questions import change_command, list_questions, read_galleries
from vizcnn.zoo.model import ZooModel


@pytest.fixture(scope="module")
def model() -> ZooModel:
    return vizcnn.load("lenet", weights="bundled")


@pytest.fixture(scope="module")
def galleries(model: ZooModel, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return prepare_galleries(model, tmp_path_factory.mktemp("galleries"))


@pytest.fixture(scope="module")
def made(galleries: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Manifest[QuizResults]:
    return make_quiz(galleries, tmp_path_factory.mktemp("made") / "quiz")


def test_each_question_has_nine_photos_on_either_side_and_two_new_ones(made):
    units = made.results.units
    assert len(units) == UNITS
    assert {unit.layer for unit in units} == set(LAYERS)
    for unit in units:
        assert (len(unit.exciting), len(unit.calm)) == (9, 9)
        numbers = [photo.photo for photo in (*unit.exciting, *unit.calm, *unit.asked)]
        assert len(set(numbers)) == 20
        strong = [photo.activation for photo in (*unit.exciting, unit.asked[0])]
        calm = [photo.activation for photo in (*unit.calm, unit.asked[1])]
        assert min(strong) > max(calm)
        assert [shown.condition for shown in unit.pictures] == ["deconvnet-whole", "deconvnet-own"]


def test_the_units_maxima_are_those_of_the_net(made, model):
    """Of the photos' own pixels, by a plain forward pass with a hook."""
    photos = SamplePatches(model.preprocessing)
    seen: dict[str, torch.Tensor] = {}
    hooks = [
        model.module.get_submodule(model.layers[layer]).register_forward_hook(
            lambda _, __, out, layer=layer: seen.update({layer: out})
        )
        for layer in LAYERS
    ]
    for unit in made.results.units:
        for photo in (*unit.exciting, *unit.calm, *unit.asked):
            number = photos.names.index(made.photos[photo.photo].name)
            pixels = photos.read(number)[None].float() / 255
            with torch.no_grad():
                model.module(model.preprocessing.normalise(pixels))
            found = float(seen[unit.layer][0, unit.unit].max())
            assert photo.activation == pytest.approx(found, rel=1e-4, abs=1e-5)
    for hook in hooks:
        hook.remove()


def test_projections_are_the_tiles_of_their_galleries(made, galleries):
    unit = made.results.units[0]
    photos = [made.photos[photo.photo].sha256 for photo in unit.exciting]
    for shown in unit.pictures:
        gallery = next(
            manifest
            for manifest in (read_manifest(path, LayersResults) for path in galleries)
            if f"{manifest.results.method}-{manifest.results.part}" == shown.condition
            and manifest.results.layers[0].name == unit.layer
        )
        layer = gallery.results.layers[0]
        sheets = next(one for one in layer.units if one.unit == unit.unit)
        held = [gallery.photos[place.photo].sha256 for place in sheets.places]
        sheet = np.asarray(Image.open(gallery.folder / sheets.large).convert("RGB"))
        for file, digest in zip(shown.files, photos, strict=True):
            tile = np.asarray(Image.open(made.folder / file).convert("RGB"))
            row, column = divmod(held.index(digest), layer.grid[1])
            top, left = (
                at * (side + layer.large_gaps[0])
                for at, side in zip((row, column), tile.shape, strict=False)
            )
            cut = sheet[top : top + tile.shape[0], left : left + tile.shape[1]]
            np.testing.assert_array_equal(tile, cut)


def test_nothing_tells_the_answers_at_a_glance(made):
    """Names are checksums of the files; the questions are no plain text; the page has none."""
    for photo in made.photos:
        content = (made.folder / photo.image).read_bytes()
        assert photo.image == f"pictures/{hashlib.sha256(content).hexdigest()[:16]}.webp"
    script = (made.folder / "quiz-data.js").read_text()
    page = (made.folder / "index.html").read_text()
    for text in (script, page):
        assert "pictures/" not in text and 'exciting":' not in text
    told = json.loads(base64.b64decode(script.split('"')[3]))
    assert told["quiz"] == made.results.quiz
    assert len(told["units"]) == UNITS


def test_the_same_galleries_make_the_same_quiz_and_another_seed_another(made, galleries, tmp_path):
    again = make_quiz(galleries, tmp_path / "again")
    assert again.results == made.results
    for name in ("index.html", "quiz-data.js"):
        assert (again.folder / name).read_bytes() == (made.folder / name).read_bytes()
    other = make_quiz(galleries, tmp_path / "other", QuizSettings(units=4, seed=1))
    assert len(other.results.units) == 4
    assert other.results.quiz != made.results.quiz


def test_units_are_left_out_with_the_reason(galleries):
    """Of calm photos there are too few where those of one layer alone are given."""
    some = [path for path in galleries if path.name != "conv2-calm"]
    offer = list_questions(read_galleries(some))
    assert {question.layer for question in offer.questions} == {"conv3"}
    ((reason, count),) = offer.left_out
    assert "fewer than 10 calm photos" in reason and count == UNITS // len(LAYERS)


@pytest.mark.parametrize(
    ("kinds", "told"),
    [
        (("calm",), "shows no strongest places of its units (its rank is random)"),
        (("deconvnet-whole",), "shows no photos that do not excite its units"),
        ((), "no gallery was given"),
    ],
)
def test_what_is_missing_is_told_with_the_command_that_makes_it(galleries, kinds, told):
    some = [path for path in galleries if path.name.split("-", 1)[1] in kinds]
    with pytest.raises(DataError) as error:
        list_questions(read_galleries(some))
    assert told in str(error.value)
    assert "made by: " in str(error.value) or not kinds


def test_a_gallery_of_nine_places_is_refused_with_the_way_out(model, galleries, tmp_path):
    settings = TopSettings(layers=("conv2",), units=(0,), workers=0)
    photos = SamplePatches(model.preprocessing)
    made = make_top_gallery(
        model, photos, settings, tmp_path / "nine", command="vizcnn gallery --top 9 --out nine"
    )
    with pytest.raises(DataError) as error:
        list_questions([made, *read_galleries(galleries)])
    assert "shows 9 places of each unit, and a question takes 10" in str(error.value)
    assert f"vizcnn gallery --top 10 --out {tmp_path}/nine-10" in str(error.value)


def test_galleries_of_two_nets_make_no_quiz(galleries, tmp_path):
    other = vizcnn.load("lenet", weights=None, seed=3)
    settings = TopSettings(layers=("conv2",), units=(0,), top=10, workers=0)
    made = make_top_gallery(
        other, SamplePatches(other.preprocessing), settings, tmp_path / "untrained"
    )
    with pytest.raises(DataError, match="a quiz is about one net"):
        list_questions([*read_galleries(galleries), made])


def test_a_command_with_other_options_keeps_the_rest():
    command = "vizcnn gallery 'my photos' --layer conv5 --top 9 --rank lowest --out a"
    assert change_command(command, top="10", rank="", out="b") == (
        "vizcnn gallery 'my photos' --layer conv5 --top 10 --out b"
    )
