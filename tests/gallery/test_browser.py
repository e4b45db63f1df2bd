"""The pages in a real browser: keys, requests, widths."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.support.browser import Browser
from tests.support.galleries import make_aliasing, make_deconv, make_filters
from vizcnn.gallery.manifest import Failure, Manifest
from vizcnn.gallery.site import write_gallery
from vizcnn.pages.deconv import DeconvResults

FOCUSED = "return document.activeElement.id"
TITLE = """const dialog = document.querySelector('#unit');
    return dialog.open && dialog.querySelector('h2').textContent"""
SIZES = """return [...document.querySelectorAll('.large img')].map(
    image => [image.width, image.height, image.complete])"""
SECOND_COLUMN = """return [...document.querySelectorAll('.sortable tbody td:nth-child(2)')].map(
    cell => cell.textContent)"""


def sort_by(page: Browser, head: str) -> list[str]:
    """Press a head of the first table; gives the order of the filters."""
    page.run(
        "[...document.querySelectorAll('.sortable th button')]"
        f".find(button => button.textContent === '{head}').click()"
    )
    return page.run(SECOND_COLUMN)


def make_album(folder: Path) -> Manifest[DeconvResults]:
    """Photos of two folders, two of them of one name."""
    manifest = make_deconv(folder, "a/1.png", "2.png", "b/1.png")
    sources = ("photos/a/1.png", "photos/a/2.png", "photos/b/1.png")
    photos = tuple(
        replace(photo, source=source)
        for photo, source in zip(manifest.photos, sources, strict=True)
    )
    return replace(manifest, photos=photos)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("a gallery #1")
    write_gallery(make_deconv(base / "one", "cat.png"), base / "one")
    failures = (Failure(source="x" * 300, error="a very long name"),)
    names = ("<script>alert(1)</script>" * 4, "b" * 200, "c.png")
    write_gallery(make_deconv(base / "many", *names, failures=failures), base / "many")
    write_gallery(make_album(base / "album"), base / "album")
    write_gallery(make_deconv(base / "large", "cat.png"), base / "large")
    (base / "filters").mkdir()
    write_gallery(make_filters(base / "filters"), base / "filters")
    (base / "nets").mkdir()
    write_gallery(make_filters(base / "nets", several=True), base / "nets")
    (base / "aliasing").mkdir()
    write_gallery(make_aliasing(base / "aliasing", title="<b>$x$" * 30), base / "aliasing")
    return base


@pytest.fixture
def page(browser: Browser, folder: Path) -> Iterator[Browser]:
    browser.open_afresh((folder / "one" / "index.html").as_uri())
    browser.resize(1366, 900)
    yield browser
    assert browser.read_errors() == []


def test_arrow_keys_go_from_unit_to_unit(page):
    page.press("right")
    assert page.run(FOCUSED) == "layer-1-unit-0-1"
    page.press("right", "right")
    assert page.run(FOCUSED) == "layer-1-unit-2-3"
    page.press("down")  # three in a row, and unit 3 stands alone in the next
    assert page.run(FOCUSED) == "layer-1-unit-3-4"
    page.press("down")
    assert page.run(FOCUSED) == "layer-2-unit-0-1"
    page.press("right", "up")  # the nearest of the row above is the one that stands alone
    assert page.run(FOCUSED) == "layer-1-unit-3-4"
    page.press("up", "left")
    assert page.run(FOCUSED) == "layer-1-unit-0-1"


def test_focus_frames_the_receptive_field_on_the_photo(page):
    page.press("right", "right")
    style = page.run("return document.querySelector('#seen .box').getAttribute('style')")
    # unit 1: rows 1-8, columns 2-13 of 32 pixels
    assert style == "top: 3.125%; left: 6.25%; width: 37.5%; height: 25%;"


def test_the_large_view_says_how_much_is_the_units_own(page):
    evidence = "return document.querySelector('#unit-{}').textContent"
    page.press("right", "enter")
    assert page.run(evidence.format("selectivity")) == "–"  # conv1 was not compared
    page.press("right", "right", "right", "right")
    assert page.run(TITLE) == "conv2, unit 0"
    told = page.run(evidence.format("selectivity"))
    assert told == "≈\u00a00.08 among 33 of 51 active units"
    assert page.run(evidence.format("sentence")).startswith("Nearly all of this picture is what")
    page.press("left")
    assert page.run(evidence.format("sentence")) == ""


def test_enter_opens_the_large_view_and_escape_brings_back_to_the_unit(page):
    page.press("right", "enter")
    assert page.run(TITLE) == "conv1, unit 0"
    assert page.run("return document.querySelector('[data-action=previous]').disabled")
    page.press("right", "right")
    assert page.run(TITLE) == "conv1, unit 2"
    assert page.run("return document.querySelector('#unit-size').textContent") == "8 × 12 px"
    projection = page.run("return document.querySelector('#unit-projection').getAttribute('src')")
    assert projection.endswith("p0/conv1-2-projection.png")
    page.press("left")
    assert page.run(TITLE) == "conv1, unit 1"
    page.press("escape")
    assert page.run(TITLE) is False
    assert page.run(FOCUSED) == "layer-1-unit-1-2"


def test_large_view_goes_on_into_the_next_layer_and_stops_at_the_last_unit(page):
    page.press("right", "enter", *["right"] * 4)
    assert page.run(TITLE) == "conv2, unit 0"
    page.press(*["right"] * 9)
    assert page.run(TITLE) == "conv2, unit 3"
    page.press("escape")


def test_large_images_are_the_same_size_in_whole_pixels(page):
    page.press("right", "enter")
    sizes = page.run(SIZES)
    assert sizes[0] == sizes[1]
    assert sizes[0][0] % 12 == 0 and sizes[0][0] * 8 == sizes[0][1] * 12 and sizes[0][0] > 300
    page.press("escape")


def test_digits_lead_to_a_layer_and_a_question_mark_to_the_keys(page):
    page.press("2")
    assert page.run(FOCUSED) == "layer-2-unit-0-1"
    page.press("?")
    assert page.run("return document.querySelector('#keys').open")
    page.press("escape")
    assert not page.run("return document.querySelector('#keys').open")


def test_first_tab_is_the_skip_link(page):
    page.press("tab", "enter")
    assert page.run(FOCUSED) == "main"


def test_theme_follows_the_system_until_it_is_chosen_and_then_lasts(page, folder):
    ground = "return getComputedStyle(document.body).backgroundColor"
    page.prefer(prefers_color_scheme="light")
    light = page.run(ground)
    page.prefer(prefers_color_scheme="dark")
    dark = page.run(ground)
    assert light != dark
    page.press("t")
    assert page.run(ground) == light
    page.open(folder / "one" / "index.html")
    assert page.run(ground) == light
    assert (
        page.run(
            "return document.querySelector('[data-action=theme]').getAttribute('aria-pressed')"
        )
        == "false"
    )


def test_copy_button_says_what_it_did(page):
    script = """document.querySelector('[data-action=copy]').click();
        const done = arguments[0];
        const end = Date.now() + 10000;
        const look = () => {
            const said = document.querySelector('.status').textContent;
            if (said || Date.now() > end) done(said); else setTimeout(look, 20);
        };
        look()"""
    said = page.execute_async_script(script)
    assert said in ("Copied", "Selected: press Ctrl+C")
    assert page.run("return getSelection().toString()").startswith("vizcnn deconv ")


def test_a_units_command_and_python_are_copied_and_its_pictures_saved(page):
    page.press("right", "right", "enter")
    for what, text in (
        ("command", "vizcnn deconv --unit 1"),
        ("python", "import vizcnn\nunit = 1  # <b>"),
    ):
        page.run(f"document.querySelector('[data-what={what}]').click()")
        assert page.run("return document.querySelector('#unit-text').textContent") == text
        assert page.run("return getSelection().toString()") == text
    saved = page.run(
        "return [...document.querySelectorAll('#unit a[download]')]"
        ".map(link => link.getAttribute('href'))"
    )
    assert saved == ["p0/conv1-1-projection.png", "p0/conv1-1-patch.png"]
    page.press("right")
    assert page.run("return document.querySelector('#unit-text').hidden")
    assert page.run("return document.querySelector('#unit-status').textContent") == ""
    page.press("escape")


@pytest.mark.parametrize("width", [360, 768, 1366])
def test_the_menu_of_layers_stays_in_sight(page, width):
    """On a projector of 768 pixels, wide or high, the way to a layer is there without scrolling."""
    page.resize(width, 768)
    page.run("document.documentElement.style.scrollBehavior = 'auto'")
    page.press("2")
    page.wait_for_frame()
    menu = page.run("return document.querySelector('.menu').getBoundingClientRect().toJSON()")
    assert menu["top"] == 0 and menu["right"] <= width and menu["bottom"] < 120
    title = page.run("return document.querySelector('#layer-2-title').getBoundingClientRect().top")
    assert menu["bottom"] <= title < 400


def test_photos_are_found_by_name_folder_and_class(page, folder):
    page.open(folder / "album" / "index.html")
    found = """return [...document.querySelectorAll('.card:not([hidden]) h3')]
        .filter(title => title.offsetParent).map(title => title.textContent)"""
    heads = """return [...document.querySelectorAll('.folder-title')]
        .filter(title => title.offsetParent).map(title => title.firstChild.textContent)"""
    assert page.run(found) == ["a/1.png", "2.png", "b/1.png"]
    assert page.run(heads) == ["photos/a", "photos/b"]
    page.press("/")
    for typed, names, folders in (
        ("1.PNG", ["a/1.png", "b/1.png"], ["photos/a", "photos/b"]),
        ("photos/b", ["b/1.png"], ["photos/b"]),
        ("cat 2", ["2.png"], ["photos/a"]),
        ("zebra", [], []),
    ):
        page.press("escape", typed)
        assert (page.run(found), page.run(heads)) == (names, folders), typed
        said = page.run("return document.querySelector('#found').textContent")
        assert said == f"{len(names)} of 3 photos"
        assert page.run("return document.querySelector('.nothing').hidden") == bool(names)
    page.run("document.querySelector('[data-action=clearItems]').click()")
    assert len(page.run(found)) == 3


def test_n_and_p_turn_the_pages_of_photos(page, folder):
    page.open(folder / "many" / "photo-001.html")
    page.press("n")
    assert page.current_url.endswith("photo-002.html")
    page.press("p")
    assert page.current_url.endswith("photo-001.html")


def test_table_of_filters_sorts_both_ways(page, folder):
    page.open(folder / "filters" / "index.html")
    assert sort_by(page, "Low") == ["0", "2", "4 dead", "1", "3"]
    assert sort_by(page, "Low") == ["3", "1", "4 dead", "2", "0"]


def test_filters_without_a_value_come_last_both_ways(page, folder):
    page.open(folder / "filters" / "index.html")
    assert sort_by(page, "Orientation") == ["2", "0", "3", "1", "4 dead"]
    assert sort_by(page, "Orientation") == ["0", "3", "2", "1", "4 dead"]


@pytest.mark.parametrize("width", [360, 768, 1366])
def test_large_pictures_keep_to_their_halves_of_the_view(page, folder, width):
    pictures = [
        *(folder / "large").rglob("*-projection.png"),
        *(folder / "large").rglob("*-patch.png"),
    ]
    assert pictures
    for picture in pictures:
        with Image.open(picture) as opened:
            enlarged = opened.resize((600, 600))
        enlarged.save(picture)
    page.resize(width, 900)
    page.open(folder / "large" / "index.html")
    page.press("right", "enter")
    shown, *halves = page.run(
        """const dialog = document.querySelector('#unit');
        const halves = dialog.querySelectorAll('.large figure');
        return [dialog, ...halves].map(part => [part.scrollWidth, part.clientWidth])"""
    )
    assert shown[0] == shown[1]
    assert len(halves) == 2
    assert halves[0] == halves[1]


def test_tables_of_several_nets_sort_apart(page, folder):
    page.open(folder / "nets" / "index.html")
    sort_by(page, "Energy")
    numbers = page.run(SECOND_COLUMN)
    assert numbers == ["4 dead", "3", "2", "1", "0", "0", "1", "2", "3", "4 dead"]


@pytest.mark.parametrize("width", [360, 768, 1366])
@pytest.mark.parametrize(
    "name",
    [
        "one/index.html",
        "many/index.html",
        "many/photo-002.html",
        "album/index.html",
        "filters/index.html",
        "nets/index.html",
        "aliasing/index.html",
    ],
)
def test_pages_fit_every_width_and_ask_for_nothing_but_their_own_files(page, folder, name, width):
    page.resize(width, 740)
    page.requested_urls()  # what was asked for before
    page.open(folder / name)
    assert page.run("return document.documentElement.scrollWidth <= innerWidth")
    if "photo" in name or "one" in name:
        page.press("right", "enter")
        assert page.run("return document.querySelector('#unit').scrollWidth <= innerWidth")
        page.press("escape")
    urls = page.requested_urls()
    assert any(url.endswith("gallery.js") for url in urls)
    assert all(url.startswith((folder.as_uri(), "data:,")) for url in urls)
