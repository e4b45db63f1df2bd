"""Pages on paper: no heading stands alone at the foot of a page."""

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.browser import Browser
from tests.support.galleries import change_results, make_deconv, make_layer, make_tile
from vizcnn.gallery.site import write_gallery
from vizcnn.lecture import LectureSettings, Studio, make_lecture
from vizcnn.photos.samples import find_sample

pypdf = pytest.importorskip("pypdf", reason="reads the printed pages")

HEADINGS = """return [...document.querySelectorAll('h1, h2, h3')]
    .filter(title => title.offsetParent).map(title => title.textContent)"""


def print_page(page: Browser, height: float = 11.0) -> list[list[str]]:
    """Print a page; gives the lines of each sheet of paper, in the order of reading."""
    settings = {"paperWidth": 8.27, "paperHeight": height, "printBackground": True}
    data = page.execute_cdp_cmd("Page.printToPDF", settings)["data"]
    sheets = pypdf.PdfReader(io.BytesIO(base64.b64decode(data))).pages
    texts = [sheet.extract_text() for sheet in sheets]
    return [[line for line in map(squeeze, text.splitlines()) if line] for text in texts]


def squeeze(text: str) -> str:
    return re.sub(r"\s+", "", text)


def find_orphans(page: Browser) -> list[str]:
    """Print on paper of several heights, so that every heading comes to an end of a page once."""
    headings = [squeeze(text) for text in page.run(HEADINGS)]
    assert len(headings) > 5
    orphans = []
    for height in (9.0, 9.7, 10.4, 11.1, 11.8):
        sheets = print_page(page, height)
        assert len(sheets) > 1
        printed = "".join(line for sheet in sheets for line in sheet)
        assert all(heading in printed for heading in headings)
        orphans += [sheet[-1] for sheet in sheets if sheet and sheet[-1] in headings]
    return orphans


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("paper")
    manifest = make_deconv(base / "photo", "cat.png")
    (section,) = manifest.results.photos
    layers = tuple(make_layer(base / "photo", "p0", f"conv{number}") for number in range(1, 9))
    compared = tuple(make_tile(base / "photo", "p0/conv", unit, compared=True) for unit in range(4))
    layers = tuple(replace(layer, tiles=compared, effective_number=1.2) for layer in layers)
    photos = (replace(section, layers=layers),)
    write_gallery(change_results(manifest, photos=photos), base / "photo")
    photo = find_sample("motorcycle")
    settings = LectureSettings(only=("lenet", "claims-slips"), formats=("png",))
    make_lecture(base / "lecture", Studio(photo or Path()), settings)
    return base


@pytest.mark.parametrize("name", ["photo", "lecture"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_heading_is_printed_with_what_it_is_of(browser, folder, name, theme):
    browser.prefer(prefers_color_scheme=theme)
    browser.open(folder / name / "index.html")
    assert find_orphans(browser) == []


def test_the_first_words_of_a_layer_are_printed_with_its_first_units(browser, folder):
    browser.open(folder / "photo" / "index.html")
    for height in (9.0, 9.7, 10.4, 11.1, 11.8):
        text = ["".join(sheet) for sheet in print_page(browser, height)]
        for number in range(1, 9):
            (sheet,) = [sheet for sheet in text if f"features.conv{number}" in sheet]
            words = sheet.split(f"features.conv{number}")[1].split("features.")[0]
            assert "column0" in words  # the end of the sentence
            assert "unit0at" in words
