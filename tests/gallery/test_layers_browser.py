"""A net's gallery in a real browser, from disk and from a server: keys, search, sort."""

import json
from pathlib import Path

import pytest

from tests.support.browser import SHOWN, Browser
from tests.support.top_galleries import make_top_manifest, name_classes
from vizcnn.gallery.manifest import Manifest
from vizcnn.gallery.site import write_gallery
from vizcnn.pages.layers.site_pages import LayersResults

FOCUSED = "return document.activeElement.closest('[data-u]')?.dataset.u"
COUNT = "return document.querySelector('#count').textContent"
COLUMNS = """const tops = [...document.querySelectorAll('.units li')].map(item => item.offsetTop);
    return tops.filter(top => top === tops[0]).length"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("a gallery #1")
    names = ("conv1", "inception4a.branch1#2")
    manifest = name_classes(make_top_manifest(base / "net", units=24, layers=names))
    write_gallery(manifest, base / "net")
    return base


@pytest.fixture(scope="module")
def manifest(folder: Path) -> Manifest[LayersResults]:
    return make_top_manifest(folder / "again", units=24)


def url(page: Browser) -> str:
    return page.current_url.split("/net/")[1]


def test_gallery_is_walked_from_the_front_page_to_a_unit_by_keys_alone(page, home):
    page.visit(f"{home}/net/index.html")
    page.press("right", "enter")
    assert url(page) == "conv1/index.html"
    page.press("n")
    assert url(page) == "inception4a.branch1-2/index.html"
    page.press("p")
    page.press("right", "right", "enter")  # a page's keys are its own: no press goes beyond
    assert url(page) == "conv1/unit-0001.html"
    page.press("right")
    assert url(page) == "conv1/unit-0002.html"
    page.press("left")
    page.press("left")
    assert url(page) == "conv1/unit-0000.html"
    page.press("left")  # there is none before
    assert url(page) == "conv1/unit-0000.html"
    page.press("u")
    assert url(page) == "conv1/index.html#unit=0"
    assert page.run(FOCUSED) == "0"
    page.press("u")
    assert url(page) == "index.html"


@pytest.mark.parametrize("key", ["u", "escape", "backspace"])
def test_keys_lead_up_from_a_unit_to_its_tile(page, home, key):
    page.visit(f"{home}/net/conv1/unit-0023.html")
    page.press(key)
    assert url(page) == "conv1/index.html#unit=23"
    assert page.run(FOCUSED) == "23"


@pytest.mark.parametrize("width", [390, 1280])
def test_arrow_keys_go_by_rows_and_columns(page, width):
    page.resize(width, 900)
    columns = page.run(COLUMNS)
    assert columns == (2 if width == 390 else 5)
    page.press("down")
    assert page.run(FOCUSED) is None  # nothing is chosen yet: the page scrolls
    page.press("right", "right")
    assert page.run(FOCUSED) == "1"
    page.press("down", "down")
    assert page.run(FOCUSED) == str(1 + 2 * columns)
    page.press("up", "left")
    assert page.run(FOCUSED) == str(columns)
    page.press("end")
    assert page.run(FOCUSED) == "23"
    page.press("right", "down")
    assert page.run(FOCUSED) == "23"
    page.press("up")
    assert page.run(FOCUSED) == str(23 - columns)
    page.press("home", "up", "left")
    assert page.run(FOCUSED) == "0"


def test_down_from_above_a_short_last_row_goes_to_its_last_tile(page):
    page.press("right", "end", "up", "right", "down")  # 24 = 4 rows of 5 and one of 4
    assert page.run(FOCUSED) == "23"
    page.press("home", *["down"] * 3, *["right"] * 4)
    assert page.run(FOCUSED) == "19"
    page.press("down")
    assert page.run(FOCUSED) == "23"


@pytest.mark.parametrize("order", ["selectivity", "-selectivity"])
def test_units_are_sorted_by_their_selectivity(page, home, manifest, order):
    page.visit(f"{home}/net/conv1/index.html#sort={order}")
    sign = -1 if order.startswith("-") else 1
    units = [unit for unit in manifest.results.layers[0].units if unit.places]
    wanted = sorted(units, key=lambda unit: (sign * unit.selectivity, unit.unit))
    assert page.run(SHOWN) == [*(unit.unit for unit in wanted), 5]  # 5 is silent


def test_search_shows_units_as_one_types_and_enter_opens_the_one_meant(page):
    page.press("/", "1")
    assert page.run(SHOWN) == [1, *range(10, 20)]
    assert page.run(COUNT) == "11 of 24 units"
    assert url(page) == "conv1/index.html#q=1"
    page.press("enter")  # unit 1 itself, though ten more begin like it
    assert url(page) == "conv1/unit-0001.html#q=1"
    page.go_back()
    assert page.run(SHOWN) == [1, *range(10, 20)]
    assert page.run(FOCUSED) == "1"
    page.press("/", "1", "7")
    assert page.run(SHOWN) == [17]
    page.press("enter")
    page.press("u")
    assert url(page) == "conv1/index.html#q=17&unit=17"
    assert page.run(SHOWN) == [17]


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("unit 012", [12]),
        ("#12", [12]),
        ("<SCRIPT>", [0, 4, 8, 12, 16, 20]),
        ('"quoted" &', [1, 5, 9, 13, 17, 21]),
        ("жук/к", [2, 6, 10, 14, 18, 22]),
        ("  ", list(range(24))),
        ("99", []),
        ("[", []),
    ],
)
def test_search_knows_numbers_and_class_names(page, typed, shown):
    page.run(
        "document.querySelector('#search').focus();"
        f"document.execCommand('insertText', false, {json.dumps(typed)})"
    )
    assert page.run(SHOWN) == shown
    assert page.run("return document.querySelector('.nothing').hidden") == bool(shown)
    page.press("enter")
    assert ("unit-0012" in url(page)) == (shown == [12])


def test_escape_empties_the_search_and_down_leaves_it_for_the_tiles(page):
    page.press("/", "2", "3", "down")
    assert page.run(FOCUSED) == "23"
    page.press("/", "escape")
    assert page.run(SHOWN) == list(range(24))
    assert url(page) == "conv1/index.html"
    page.press("/", "x", "enter")
    assert page.run(COUNT) == "0 of 24 units"
    page.run("document.querySelector('[data-action=clear]').click()")
    assert page.run(COUNT) == "24 units"


def test_keys_of_the_page_are_letters_while_one_searches(page):
    page.press("/", "s", "u", "t", "?")
    assert page.run("return document.querySelector('#search').value") == "sut?"
    assert url(page).startswith("conv1/index.html#q=sut")
    assert not page.run("return document.querySelector('#keys').open")


def test_units_sort_by_activation_and_by_spread_and_the_silent_come_last(page, manifest):
    units = {unit.unit: unit for unit in manifest.results.layers[0].units if unit.places}
    strength = {number: unit.places[0].activation for number, unit in units.items()}
    spread = {number: round(unit.spread or 0, 4) for number, unit in units.items()}
    orders = {
        "activation": sorted(units, key=lambda number: (-strength[number], number)),
        "spread": sorted(units, key=lambda number: (spread[number], number)),
        "-spread": sorted(units, key=lambda number: (-spread[number], number)),
    }
    assert len({tuple(order) for order in orders.values()}) == 3
    for name, order in orders.items():
        page.press("s")
        assert url(page) == f"conv1/index.html#sort={name}"
        assert page.run(SHOWN) == [*order, 5]
        explained = not page.run("return document.querySelector('.by-spread').hidden")
        assert explained == ("spread" in name)
    page.press("s", "s", "s")  # past the two orders by selectivity
    assert page.run(SHOWN) == list(range(24))
    assert url(page) == "conv1/index.html"


def test_sorted_and_filtered_view_goes_along_and_comes_back(page, home, manifest):
    page.press("s", "/", "2")
    shown = page.run(SHOWN)
    assert set(shown) == {2, 20, 21, 22, 23} and shown != sorted(shown)
    page.press("down", "right", "enter")
    assert url(page) == f"conv1/unit-{shown[1]:04d}.html#q=2&sort=activation"
    page.press("right")
    page.press("u")
    number = shown[1] + 1
    assert url(page) == f"conv1/index.html#q=2&sort=activation&unit={number}"
    assert page.run(SHOWN) == shown
    page.refresh()
    page.wait_for_frame()
    assert page.run(SHOWN) == shown
    assert page.run("return document.querySelector('#sort').value") == "activation"


def test_view_that_makes_no_sense_is_the_usual_one(page, home):
    page.visit(f"{home}/net/conv1/index.html#sort=constructor&unit=x&other=%3Cb%3E&q=")
    assert page.run(SHOWN) == list(range(24))
    assert (
        page.run("return getComputedStyle(document.querySelector('.units')).visibility")
        == "visible"
    )
