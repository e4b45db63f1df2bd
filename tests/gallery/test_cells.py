"""Runs show themselves in notebooks: escaped, with pictures while their folder is there."""

import re
from base64 import b64decode
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vizcnn
from vizcnn.gallery.manifest import Failure, read_manifest
from vizcnn.pages.deconv import DeconvResults, DeconvSettings, make_deconv_gallery
from vizcnn.pages.receptive import ReceptiveSettings, make_receptive_gallery
from vizcnn.photos.samples import find_sample

COFFEE = Path(str(find_sample("coffee")))
PICTURE = re.compile(r'src="data:image/png;base64,([^"]+)"')


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cell") / "out"
    settings = DeconvSettings(layers=("conv1",), top=1)
    return make_deconv_gallery(vizcnn.load("lenet"), [COFFEE], settings, folder)


def read_pictures(html: str) -> list[Image.Image]:
    return [Image.open(BytesIO(b64decode(data))) for data in PICTURE.findall(html)]


def test_a_gallery_shows_its_summary(run):
    html = run._repr_html_()
    assert run.folder is not None
    assert str(run.folder / "index.html") in html
    assert "LeNet-5" in html
    (shown,) = read_pictures(html)
    with Image.open(run.folder / run.results.photos[0].figure) as picture:
        expected = picture.convert("RGB")
    expected.thumbnail((1000, 4000), Image.Resampling.LANCZOS)
    assert np.array_equal(np.array(shown), np.array(expected))


def test_a_gallery_read_back_shows_the_same(run):
    again = read_manifest(run.folder, DeconvResults)
    assert again.folder == run.folder
    assert again._repr_html_() == run._repr_html_()


def test_where_the_folder_is_gone_words_are_left(run, tmp_path):
    for folder in (None, tmp_path / "gone"):
        html = replace(run, folder=folder)._repr_html_()
        assert "LeNet-5" in html
        assert not PICTURE.search(html)


def test_all_is_escaped(run):
    failure = Failure(source="x", error="<script>alert(1)</script>")
    html = replace(run, title="<b>&", failures=(failure,))._repr_html_()
    assert "&lt;b&gt;&amp;" in html
    assert "&lt;script&gt;" in html
    assert "<script" not in html
    assert "<b>" not in html


def test_of_a_page_with_figures_the_first_are_shown(tmp_path):
    settings = ReceptiveSettings(layers=("conv1", "conv2"))
    run = make_receptive_gallery(vizcnn.load("lenet"), COFFEE, tmp_path / "out", settings)
    assert run.figures
    assert len(read_pictures(run._repr_html_())) == min(len(run.figures), 3)
