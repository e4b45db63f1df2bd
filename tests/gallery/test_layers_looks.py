"""A net's gallery in a real browser: what is drawn where, what is loaded when, at any width."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import SHOWN, Browser
from tests.support.top_galleries import (
    LARGE_GAPS,
    SIDE,
    WINDOW,
    change_layer,
    make_top_manifest,
    measure_sheet,
    name_classes,
)
from vizcnn.gallery.manifest import Manifest
from vizcnn.gallery.site import write_gallery
from vizcnn.pages.layers.site_pages import LayersResults

MANY = 300
LOADED = """return [...document.querySelectorAll('.units img')].map(
    (image, index) => [index, image.complete && image.naturalWidth > 0]).filter(
    pair => pair[1]).map(pair => pair[0])"""
IMAGES_IN_SIGHT = """const done = arguments[0];
    const end = Date.now() + 30000;
    const look = () => {
        const missing = [...document.querySelectorAll('.units li:not([hidden])')].filter(item => {
            const { top, bottom } = item.getBoundingClientRect();
            const image = item.querySelector('img');
            const seen = bottom > 0 && top < innerHeight;
            return image && seen && !(image.complete && image.naturalWidth);
        });
        if (!missing.length || Date.now() > end) done(missing.length); else setTimeout(look, 20);
    };
    look()"""


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest[LayersResults]:
    return make_top_manifest(tmp_path_factory.mktemp("again"), units=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("a gallery #1")
    for name, manifest in make_galleries(base).items():
        write_gallery(manifest, base / name)
    return base


def make_galleries(base: Path) -> dict[str, Manifest[LayersResults]]:
    """Make an everyday gallery, one of a large layer, and odd ones."""
    tiny: dict[str, Any] = {
        "window": (1, 1),
        "small_px": (6, 3),
        "large_px": (12, 6),
        "large_gaps": (0, 0),
    }
    tall: dict[str, Any] = {
        "window": (225, 1),
        "small_px": (6, 675),
        "large_px": (12, 1350),
        "large_gaps": (0, 0),
    }
    long_name = "a_name_without_any_room_to_break_" * 6
    net = name_classes(make_top_manifest(base / "net", units=6))
    photos = tuple(replace(photo, name=long_name) for photo in net.photos)
    one = make_top_manifest(base / "one", units=1, layers=("conv1",), silent=())
    return {
        "net": net,
        "many": make_top_manifest(base / "many", units=MANY, layers=("conv1",)),
        "silent": make_top_manifest(base / "silent", units=2, silent=(0, 1)),
        "one": replace(one, photos=photos, title=long_name),
        "tiny": change_layer(make_top_manifest(base / "tiny", units=3), **tiny),
        "tall": change_layer(make_top_manifest(base / "tall", units=3), **tall),
    }


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("name", ["net", "silent", "one", "tiny", "tall"])
def test_pages_fit_every_width_and_ask_for_nothing_but_their_own_files(page, home, name, width):
    page.resize(width, 740)
    for file in ("index.html", "conv1/index.html", "conv1/unit-0000.html"):
        page.requested_urls()  # what was asked for before
        page.visit(f"{home}/{name}/{file}")
        assert page.run("return document.documentElement.scrollWidth <= innerWidth"), file
        urls = page.requested_urls()
        assert any(url.endswith("layers.js") for url in urls)
        assert all(url.startswith((home, "data:,")) for url in urls)


def test_tile_of_a_tall_sheet_is_not_much_taller_than_wide(page, home):
    page.visit(f"{home}/tall/conv1/index.html")
    tile = page.run("""const { width, height } = document.querySelector('.units li')
        .getBoundingClientRect(); return height / width""")
    assert tile < 2


POINT_AT = """document.querySelector('%s').dispatchEvent(
    new Event('pointerover', {bubbles: true}))"""
LIT = "return [...document.querySelectorAll('.lit')].map(part => [part.tagName, part.dataset.rank])"


def test_row_lights_its_tiles_and_its_photo(page, home):
    page.visit(f"{home}/net/conv1/unit-0003.html")
    assert page.run(LIT) == []
    page.run("document.querySelectorAll('.places a')[4].focus()")
    assert page.run(LIT) == [["SPAN", "5"], ["SPAN", "5"], ["TR", "5"], ["LI", "5"]]
    page.run(POINT_AT % ".sources li")
    assert page.run(LIT) == [["SPAN", "1"], ["SPAN", "1"], ["TR", "1"], ["LI", "1"]]
    page.run(POINT_AT % "main")
    assert page.run(LIT)[0] == ["SPAN", "5"]  # the keyboard is still there
    page.run("document.activeElement.blur()")
    page.run(POINT_AT % "main")
    assert page.run(LIT) == []


@pytest.mark.parametrize("width", [390, 1280])
def test_marks_and_boxes_lie_on_what_they_mean(page, home, manifest, width):
    page.resize(width, 900)
    page.visit(f"{home}/net/conv1/unit-0003.html")
    drawn = page.run("""
        const inside = (part, whole) => {
            const [a, b] = [part.getBoundingClientRect(), whole.getBoundingClientRect()];
            return [a.left - b.left, a.top - b.top, a.width, a.height].map(
                (value, index) => value / (index % 2 ? b.height : b.width));
        };
        return [...document.querySelectorAll('.mark')].map(
            mark => inside(mark, mark.parentElement.querySelector('img')));""")
    # as the sheets are painted: tiles of WINDOW, both enlarged to the same size
    tall, wide = WINDOW
    sheet = measure_sheet(WINDOW, LARGE_GAPS)
    for half in range(2):
        for rank in range(9):
            row, column = divmod(rank, 3)
            left = half * (sheet[0] + LARGE_GAPS[1]) / 2 + column * (wide + LARGE_GAPS[0])
            top = row * (tall + LARGE_GAPS[0])
            share = (left / sheet[0], top / sheet[1], wide / sheet[0], tall / sheet[1])
            assert drawn[9 * half + rank] == pytest.approx(share, abs=2e-3)
    boxes = page.run("""return [...document.querySelectorAll('.box')].map(box => {
        const whole = box.parentElement.querySelector('img').getBoundingClientRect();
        const { left, top, right, bottom } = box.getBoundingClientRect();
        return [(top - whole.top) / whole.height, (left - whole.left) / whole.width,
                (bottom - whole.top) / whole.height, (right - whole.left) / whole.width];
    })""")
    for box, place in zip(boxes, manifest.results.layers[0].units[3].places, strict=True):
        assert box == pytest.approx([edge / SIDE for edge in place.box], abs=5e-3)


def test_command_of_the_unit_is_copied(page, home):
    page.visit(f"{home}/net/conv1/unit-0003.html")
    page.run("document.querySelector('[data-action=copy]').click()")
    assert page.run("return getSelection().toString()").endswith("--layer conv1 --unit 3")


def test_closing_the_keys_does_not_leave_the_page(page, home):
    page.visit(f"{home}/net/conv1/unit-0003.html")
    page.press("?", "right", "escape")
    assert page.current_url.endswith("unit-0003.html")
    assert not page.run("return document.querySelector('#keys').open")


def test_theme_lasts_from_page_to_page(page, home):
    ground = "return getComputedStyle(document.body).backgroundColor"
    page.prefer(prefers_color_scheme="light")
    light = page.run(ground)
    page.press("t")
    dark = page.run(ground)
    assert dark != light
    for name in ("index.html", "conv1/unit-0000.html"):
        page.visit(f"{home}/net/{name}")
        assert page.run(ground) == dark
    page.press("t")
    assert page.run(ground) == light
    page.go_back()
    assert page.run(ground) == light
    assert page.run("return document.querySelector('[aria-pressed]').ariaPressed") == "false"


def test_only_tiles_near_the_window_are_loaded_and_nothing_jumps(page, home):
    page.visit(f"{home}/many/conv1/index.html")
    assert page.execute_async_script(IMAGES_IN_SIGHT) == 0
    loaded = page.run(LOADED)
    # three rows of five are in sight; what lies below them comes when the browser has time
    assert loaded[:15] == list(range(15)) and loaded[-1] < MANY / 2
    height = page.run("return document.documentElement.scrollHeight")
    for share in (0.3, 0.6, 1):
        page.run(f"scrollTo({{top: {share * height}, behavior: 'instant'}})")
        page.wait_for_frame()
        assert page.execute_async_script(IMAGES_IN_SIGHT) == 0
    assert page.run("return document.querySelector('.units li:last-child img').complete")
    assert page.run("return document.documentElement.scrollHeight") == height
    assert page.run("return shifts") == []


def test_sorted_view_is_there_at_once_and_does_not_jump(page, home):
    page.visit(f"{home}/many/conv1/index.html#sort=spread")
    assert page.execute_async_script(IMAGES_IN_SIGHT) == 0
    assert page.run(SHOWN)[:3] != [0, 1, 2]
    assert page.run("return shifts") == []


def read_without_script(page: Browser, address: str) -> str:
    page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page.get(address)
        for _ in range(100):
            snapshot = page.execute_cdp_cmd("DOMSnapshot.captureSnapshot", {"computedStyles": []})
            layout = snapshot["documents"][0]["layout"]["text"]
            text = " ".join(snapshot["strings"][number] for number in layout if number >= 0)
            if "Made with vizcnn" in text:
                return text
            time.sleep(0.1)
        raise AssertionError("the page did not come")
    finally:
        page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_layer_is_shown_without_a_script_and_its_tools_are_not(page, home):
    text = read_without_script(page, f"{home}/many/conv1/index.html")
    assert all(f"unit {number} " in text for number in range(10))
    assert "Search" not in text and "No unit fits" not in text
