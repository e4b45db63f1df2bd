"""Indexes and galleries that the explorer takes units' strongest places from."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.small_zoo import make_model
from tests.support.top_runs import SETTINGS, make, write_photos
from vizcnn.basics.errors import DataError, ImageError
from vizcnn.explorer.strongest_sources import GalleryPhotos, open_strongest
from vizcnn.explorer.unit_facts import NONE, UnitFacts
from vizcnn.mining.photo_sets import FolderPhotos
from vizcnn.mining.run import MiningSettings, mine
from vizcnn.receptive.fields import measure_fields

MODEL = make_model()
FIELDS = measure_fields(MODEL, ["conv1"])
PHOTOS = [MODEL.read("coffee")]


def change_weights():
    model = make_model()
    net: Any = model.module
    with torch.no_grad():
        net[0].bias.add_(1)
    return replace(model, title="Changed")


OTHER = change_weights()


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"), 12)


@pytest.fixture(scope="module")
def gallery(photos, tmp_path_factory):
    """A gallery of some units: it keeps pictures of their photos only."""
    folder = tmp_path_factory.mktemp("made") / "gallery"
    make(photos, folder, replace(SETTINGS, layers=("conv1",), units=(2,), top=2))
    return folder


@pytest.fixture(scope="module")
def index(photos, tmp_path_factory):
    file = tmp_path_factory.mktemp("mined") / "index"
    settings = MiningSettings(layers=("conv1",), top=3, workers=0)
    mine(OTHER, FolderPhotos([photos], OTHER.preprocessing), file, settings)
    return file


def test_each_net_gets_its_own(gallery, index, photos):
    given = {"indexes": [index], "data": [photos], "galleries": [gallery]}
    for models in ([MODEL, OTHER], [OTHER, MODEL]):
        found = dict(zip([m.title for m in models], open_strongest(models, **given), strict=True))
        assert not found[MODEL.title].are_exact
        assert len(found[MODEL.title].photos.names) == 2
        assert found["Changed"].are_exact
        assert len(found["Changed"].photos.names) == 12
    assert open_strongest([MODEL, OTHER], galleries=[gallery])[1] is None
    assert open_strongest([MODEL]) == [None]


def test_photos_that_a_gallery_does_not_keep_are_named_alone(gallery):
    (source,) = open_strongest([MODEL], galleries=[gallery])
    assert source
    answer = UnitFacts(
        MODEL, measure_fields(MODEL, ["conv1"]), [MODEL.read("coffee")], source
    ).answer_patches("conv1", 0)
    assert len(answer.fields["names"]) > 2
    start, length = answer.fields["photos"]
    rows = np.frombuffer(answer.content[start : start + length], "<u2").reshape(12, 2)
    names = [[answer.fields["names"][k] for k in row if k != NONE] for row in rows]
    assert sorted(names[2]) == list(source.photos.names)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        (("data",), "no index"),
        (("index",), "holds no photos"),
        (("index", "data"), "mined with other weights.*than Tiny \\$net has here"),
        (("gallery", "gallery"), "second index of Tiny"),
    ],
)
def test_what_does_not_fit_is_refused(gallery, index, photos, given, word):
    paths = {"data": photos, "index": index, "gallery": gallery}
    names = {"data": "data", "index": "indexes", "gallery": "galleries"}
    settings = {names[one]: [paths[one]] * given.count(one) for one in given}
    with pytest.raises(DataError, match=word) as caught:
        open_strongest([MODEL], **settings)
    assert len(str(caught.value).splitlines()) == 1


def test_folders_that_are_no_gallery_are_refused(tmp_path, gallery):
    with pytest.raises(DataError, match="no index"):
        open_strongest([MODEL], galleries=[tmp_path])
    for text, word in (
        ("[]", "expected `object`"),
        ("{", "no manifest of a gallery"),
        ('{"kind": "deconv", "photos": []}', "is of vizcnn 'deconv'"),
        ('{"kind": "gallery", "photos": [{"name": "a", "image": "../a.webp"}]}', "image"),
    ):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(DataError, match=word) as caught:
            GalleryPhotos(tmp_path, 32)
        assert len(str(caught.value).splitlines()) == 1
    entry = {"name": "a", "image": "a.webp"}
    (tmp_path / "manifest.json").write_text(json.dumps({"kind": "gallery", "photos": [entry]}))
    Image.new("RGB", (30, 32)).save(tmp_path / "a.webp")
    with pytest.raises(ImageError, match="30 × 32 px, not 32 × 32"):
        GalleryPhotos(tmp_path, 32).read(0)


def test_changed_photos_are_refused(index, photos, tmp_path):
    copy = tmp_path / "photos"
    for number, file in enumerate(sorted(photos.rglob("*.png"))):
        target = copy / file.relative_to(photos)
        target.parent.mkdir(parents=True, exist_ok=True)
        shade = Image.new("RGB", (32, 32), (number, 9, 9))
        shade.save(target)
    (source,) = open_strongest([OTHER], [index], [copy])
    facts = UnitFacts(OTHER, FIELDS, PHOTOS, source)
    with pytest.raises(DataError, match="changed since mining"):
        facts.answer_patches("conv1", 0)
    (empty,) = open_strongest([OTHER], [index], [next(copy.iterdir())])
    with pytest.raises(DataError, match="give the photos that were mined"):
        UnitFacts(
            OTHER, measure_fields(OTHER, ["conv1"]), [OTHER.read("coffee")], empty
        ).answer_patches("conv1", 0)
