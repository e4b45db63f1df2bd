"""The explorer in chromium and Firefox, from disk, a web server and a running program."""

import random
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from tests.support.axe import find_faults
from tests.support.browser import Browser, publish
from tests.support.explorer_pages import SmallExplorer
from tests.support.window import Window
from vizcnn.receptive import find_box

pytestmark = pytest.mark.usefixtures("one_thread")

READY = """return vizcnnExplorer.app.maps
    && document.querySelector('.picture-button canvas:not([hidden])').width"""
STATE = "return vizcnnExplorer.app.state"
FRAME = """const inner = document.querySelector('.photo-stage canvas').getBoundingClientRect();
    const box = document.querySelector('.photo-stage .box%s').getBoundingClientRect();
    return [(box.top - inner.top) / inner.height, (box.left - inner.left) / inner.width,
            (box.bottom - inner.top) / inner.height, (box.right - inner.left) / inner.width]"""
TOPS = """return [...document.querySelectorAll(
    '.photo-stage, .fires, .predictions, .strip, .mosaic, .pictures, .pane-save, .pane-facts')].map(
    part => [part.className, part.getBoundingClientRect().top + scrollY])"""
FIRING = """const row = document.querySelector('.pane-fires .fires');
    return [...row.querySelectorAll('.tile[data-unit]')].map(tile => Number(tile.dataset.unit))"""
NUMBERS = """const done = arguments[0];
    const links = %s;
    const told = [];
    const next = () => {
        if (!links.length) { done(told); return; }
        const { link, title, place } = links.shift();
        location.hash = link;
        const look = () => {
            const parts = [...document.querySelectorAll('.pane-unit .numbers > div')].map(
                part => part.textContent);
            const head = document.querySelector('.pane-unit .unit-title').textContent;
            const { app } = vizcnnExplorer;
            if (head === title && app.maps && parts[0]?.startsWith(place)) {
                const seen = document.querySelector('.pane-photo .told').textContent;
                told.push([parts, seen, app.writeLink()]);
                next();
            } else setTimeout(look, 5);
        };
        look();
    };
    next()"""
ALERT = "return document.querySelector('[role=alert]:not([hidden])').textContent"
HASH = """const hash = (bytes) => {
        let value = 2166136261;
        for (const byte of bytes) value = Math.imul(value ^ byte, 16777619) >>> 0;
        return `${bytes.length} ${value}`;
    };"""
ANSWERS = (
    HASH
    + """
    const { source, start } = vizcnnExplorer.app;
    const asked = [];
    start.photos.forEach((_, photo) => {
        asked.push({ask: 'photo', net: 0, photo});
        start.nets[0].layers.forEach((_, layer) => {
            const of = {net: 0, photo, layer};
            asked.push({ask: 'maps', ...of});
            for (const { key: method } of start.nets[0].methods) {
                asked.push({ask: 'pictures', ...of, method, units: null, place: null});
            }
        });
    });
    const done = arguments[0];
    Promise.all(asked.map(async (question, index) => {
        const { fields, bytes } = await source.ask(question, `test ${index}`);
        return [JSON.stringify(question), JSON.stringify(fields), hash(bytes)];
    })).then(done)"""
)


@pytest.fixture(scope="module")
def explorer() -> SmallExplorer:
    return SmallExplorer()


@pytest.fixture(scope="module")
def folder(explorer: SmallExplorer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return explorer.write(tmp_path_factory.mktemp("an explorer #1") / "out")


@pytest.fixture(scope="module")
def homes(explorer: SmallExplorer, folder: Path) -> Iterator[dict[str, str]]:
    """Where the page lies: on disk, at a web server, and at the program itself."""
    with publish(folder, "server") as served, explorer.serve() as live:
        yield {
            "disk": f"{folder.as_uri()}/index.html",
            "server": f"{served}/index.html",
            "live": f"{live}/",
        }


def open_page(window: Window, url: str, link: str = "") -> None:
    window.load("about:blank")
    window.requested_urls()  # those of the test before
    window.open_afresh(url + link)
    assert window.wait_until(READY)


def choose_point(window: Window, explorer: SmallExplorer, layer: int, row: int, column: int):
    """Give the point of the screen at the middle of a place's field."""
    field = explorer.fields[layer]
    height, width = field.input_size
    window.find_centre(".photo-stage canvas")
    left, top, wide, tall = window.run(
        """const { left, top, width, height } = document.querySelector('.photo-stage canvas')
            .getBoundingClientRect(); return [left, top, width, height]"""
    )
    down, across = field.rows[row], field.columns[column]
    middle = ((down.start + down.stop) / 2 / height, (across.start + across.stop) / 2 / width)
    return left + middle[1] * wide, top + middle[0] * tall


def share_box(explorer: SmallExplorer, layer: int, row: int, column: int) -> list[float]:
    field = explorer.fields[layer]
    box = find_box(field, row, column)
    return [edge / field.input_size[axis % 2] for axis, edge in enumerate(box)]


@pytest.mark.parametrize("home", ["disk", "server", "live"])
def test_a_place_and_a_unit_are_chosen_by_mouse_and_by_keys(
    window: Window, homes, home, explorer: SmallExplorer
):
    open_page(window, homes[home], "#lenet/conv2/3@photo2")
    conv2 = explorer.maps[1]["conv2"]
    assert window.run(STATE) | {"place": None} == {
        **{"net": 0, "photo": 1, "layer": 1, "unit": 3, "place": None, "method": "deconvnet"}
    }

    window.move(choose_point(window, explorer, 1, 2, 7))
    assert window.run(FRAME % ".hovered") == pytest.approx(share_box(explorer, 1, 2, 7), abs=3e-3)
    window.click_at(choose_point(window, explorer, 1, 4, 6))
    assert window.run(STATE)["place"] == [4, 6]
    assert window.run(FRAME % ":not(.hovered)") == pytest.approx(
        share_box(explorer, 1, 4, 6), abs=3e-3
    )
    here = conv2[:, 4, 6]
    firing = [int(unit) for unit in np.argsort(-here, kind="stable") if here[unit] > 0][:10]
    assert window.wait_until(f"{FIRING}.join() === '{','.join(map(str, firing))}'")

    window.click(f".pane-fires .fires .tile[data-unit='{firing[1]}']")
    assert window.run(STATE)["unit"] == firing[1]
    assert window.run("return location.hash") == f"#lenet/conv2/{firing[1]}@photo2:4,6"

    window.run("document.activeElement.blur()")
    tops = window.run(TOPS)
    window.press("right", "down", "down", "left", "left")
    assert window.run(STATE)["place"] == [6, 5]
    assert window.run(TOPS) == tops
    window.press("m")
    assert window.run(TOPS) == tops
    assert window.run(STATE)["place"] is None
    window.press("b")
    assert window.run(STATE)["method"] == "deconvnet-own"
    assert window.run("return location.hash").endswith("&method=own")
    window.press("u")
    assert window.wait_until("return vizcnnExplorer.app.state.layer === 0")
    conv1 = explorer.maps[1]["conv1"]
    strongest = int(conv1.reshape(len(conv1), -1).max(1).argmax())
    assert window.run(STATE)["unit"] == strongest
    window.press("o")
    assert window.wait_until("return vizcnnExplorer.app.state.layer === 1")
    window.press("p")
    assert window.run(STATE)["photo"] == 0

    window.press("/", "unit 12", "enter")
    assert window.run(STATE)["unit"] == 12
    window.press("tab", "shift+tab")
    assert window.run("return document.activeElement.matches(':focus-visible')")
    window.run("document.querySelector('.mosaic').focus()")
    window.press("escape", "home", "right", "right")
    window.press("/", "1", "escape")  # a search that is given up shows all again
    assert window.wait_until("return document.querySelector('.count').textContent === '16 units'")
    window.run("document.activeElement.blur()")
    window.press("?")
    assert "the unit's strongest place" in window.run(
        "return document.querySelector('dialog[open]').textContent"
    )
    window.press("escape")

    before = window.run(STATE)
    link = window.run("return location.hash")
    window.reload()
    assert window.wait_until(READY)
    assert window.run("return location.hash") == link
    assert window.run(STATE) == before

    urls = window.requested_urls()
    own = homes[home].removesuffix("index.html")
    assert [url for url in urls if not url.startswith((own, "about:", "chrome:", "data:"))] == []
    assert all(urlsplit(url).hostname in (None, "127.0.0.1") for url in urls)
    if home != "disk" or window.browser_name == "chromium":  # Firefox does not tell of files
        assert any("/explorer/app.js" in url for url in urls)
    assert window.read_errors() == []
    if window.browser_name == "chromium":
        shifts = window.run("return shifts")
        # a number at the right edge that gets a digit more moves by itself, and nothing else does
        assert sum(value for value, *_ in shifts) < 0.001, shifts


def test_numbers_and_fields_are_those_of_torch_at_fifty_random_places(
    window: Window, homes, explorer: SmallExplorer
):
    draw = random.Random(0)
    wanted = []
    for _ in range(50):
        photo, layer = draw.randrange(2), draw.randrange(2)
        name = explorer.explored[0].layers[layer]
        maps = explorer.maps[photo][name]
        unit, row, column = (draw.randrange(size) for size in maps.shape)
        wanted.append((photo, layer, name, unit, row, column, maps))
    links = [
        {
            "link": f"#lenet/{name}/{unit}@photo{photo + 1}:{row},{column}",
            "title": f"{name}, unit {unit}",
            "place": f"at row {row}, column {column}",
        }
        for photo, _, name, unit, row, column, _ in wanted
    ]
    open_page(window, homes["disk"])
    told = window.run_until_done(NUMBERS % links)
    assert len(told) == 50
    exact = 0
    for (_, layer, name, unit, row, column, maps), item, link in zip(
        wanted, told, links, strict=True
    ):
        (here, strongest, sees), field, written = item
        assert written == link["link"]
        value = here.removeprefix(link["place"])
        true, most = float(maps[unit, row, column]), float(maps[unit].max())
        step = (max(most, 0) - min(float(maps[unit].min()), 0)) / 255
        tolerance = 5e-4 * abs(true) + (0.51 * step if value.startswith("≈") else 0)
        exact += not value.startswith("≈")
        assert read_number(value) == pytest.approx(true, abs=tolerance)
        if most == 0:
            assert strongest == "strongest on this photosilent: 0 everywhere"
        else:
            found = re.fullmatch(r"strongest on this photo(\S+) at (\d+), (\d+)", strongest)
            assert found is not None
            assert read_number(found[1]) == pytest.approx(most, rel=5e-4)
            assert maps[unit, int(found[2]), int(found[3])] == most
        top, left, bottom, right = find_box(explorer.fields[layer], row, column)
        box = (
            f"{bottom - top} × {right - left} px: rows {top} to {bottom - 1}, "
            f"columns {left} to {right - 1}"
        )
        assert sees == f"sees{box}"
        assert field == f"{name}, row {row}, column {column} sees {box}"
    assert exact >= 20
    assert window.read_errors() == []


def read_number(text: str) -> float:
    return float(text.removeprefix("≈ ").replace("−", "-"))


def test_a_folder_and_a_running_program_give_the_same_bytes(window: Window, homes):
    seen = {}
    for home in ("disk", "live"):
        open_page(window, homes[home])
        seen[home] = sorted(window.run_until_done(ANSWERS))
    assert len(seen["disk"]) == 2 * (1 + 3 * 3)
    assert not any('"error"' in fields for _, fields, _ in seen["disk"])
    assert seen["disk"] == seen["live"]


LOOKS = {
    "wide": (1366, "light", "no-preference"),
    "phone": (360, "dark", "reduce"),
    "large": (3840, "dark", "no-preference"),
}


@pytest.mark.parametrize("look", LOOKS)
def test_nothing_keeps_people_from_it_and_nothing_is_wider_than_it(browser: Browser, homes, look):
    width, scheme, motion = LOOKS[look]
    open_page(browser, homes["live" if look == "wide" else "disk"])
    browser.resize(width, 900)
    browser.prefer(prefers_color_scheme=scheme, prefers_reduced_motion=motion)
    browser.wait_for_frame()
    assert browser.run("return document.documentElement.scrollWidth") == width
    browser.run("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert find_faults(browser) == []
    browser.press("?")
    assert find_faults(browser) == []
    browser.press("escape")


def test_a_program_that_has_ended_is_told_in_the_page(window: Window, explorer: SmallExplorer):
    with explorer.serve() as address:
        open_page(window, f"{address}/", "#lenet/conv2/8@photo1")
        shown = window.run("return document.querySelector('.unit-title').textContent")
    window.press("right")
    told = window.wait_until(
        "return document.querySelector('[role=alert]:not([hidden])')?.textContent"
    )
    assert told.startswith("The program that answers this page does not answer any more.")
    assert "vizcnn explore --serve" in told
    # what was there can still be looked at
    assert window.run("return document.querySelector('.unit-title').textContent") == shown
    assert window.run(STATE)["place"] is not None
    window.read_errors()  # browsers tell of connections that are refused
