"""The pages in chromium and in Firefox: read and used alike, and axe-core finds no fault."""

from pathlib import Path

import pytest

from tests.support.axe import find_faults
from tests.support.browser import Browser
from tests.support.galleries import make_aliasing, make_deconv, make_filters
from tests.support.top_galleries import make_top_manifest
from tests.support.window import Window
from vizcnn.gallery.manifest import Failure
from vizcnn.gallery.site import write_gallery

LOOKS = {
    "wide": (1366, "light", "no-preference"),
    "phone": (390, "dark", "reduce"),
}
FOCUSED = "return document.activeElement.id"
READ_BESIDE = """const done = arguments[0];
    fetch('manifest.json').then(() => done('read'), () => done('refused'))"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("a gallery #1")
    photos = make_deconv(
        base / "deconv", "cat.png", "dog.png", failures=(Failure(source="odd.png", error="empty"),)
    )
    write_gallery(photos, base / "deconv")
    (base / "aliasing").mkdir()
    write_gallery(make_aliasing(base / "aliasing"), base / "aliasing")
    (base / "filters").mkdir()
    write_gallery(make_filters(base / "filters", several=True), base / "filters")
    write_gallery(make_top_manifest(base / "net", units=4, layers=("conv1",)), base / "net")
    return base


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", ["deconv", "aliasing", "filters", "net"])
def test_nothing_keeps_people_from_reading_and_using_a_page(browser: Browser, folder, name, look):
    width, scheme, motion = LOOKS[look]
    browser.open_afresh((folder / name / "index.html").as_uri())
    browser.resize(width, 800)
    browser.prefer(prefers_color_scheme=scheme, prefers_reduced_motion=motion)
    # a page of each kind
    for page in {file.name[:4]: file for file in sorted((folder / name).rglob("*.html"))}.values():
        browser.open(page)
        browser.run("document.querySelectorAll('details').forEach(part => part.open = true)")
        assert find_faults(browser) == [], page.name
    assert browser.read_errors() == []


def test_axe_finds_what_is_wrong(window: Window, tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<html lang="en"><title>a</title><h1 style="color: #ccc">pale</h1><input>')
    window.open(page)
    assert {"color-contrast", "label"} <= {line.split()[0] for line in find_faults(window)}


def test_windows_are_as_strict_with_files_as_readers_are(window: Window, folder):
    """Else a page that reads files by fetch would pass here, and be dead from disk elsewhere."""
    window.open(folder / "deconv" / "index.html")
    assert window.run_until_done(READ_BESIDE) == "refused"
    window.visit("about:blank")
    window.read_errors()  # what the console said of it belongs to no other test


def test_keys_focus_and_theme_are_the_same(window: Window, folder):
    window.open_afresh((folder / "deconv" / "photo-001.html").as_uri())
    window.press("right", "down")
    assert window.run(FOCUSED) == "layer-1-unit-3-4"
    window.press("enter")
    assert window.run("return document.querySelector('#unit').open")
    window.press("right", "escape")
    assert window.run(FOCUSED) == "layer-2-unit-0-1"
    box = window.run("return document.querySelector('#seen .box').getAttribute('style')")
    assert box == "top: 0%; left: 0%; width: 37.5%; height: 25%;"
    ground = "return getComputedStyle(document.body).backgroundColor"
    light = window.run(ground)
    window.press("t")
    dark = window.run(ground)
    assert dark != light
    window.reload()
    assert window.run(ground) == dark
    assert window.read_errors() == []
