"""The explorer's page in a real browser, from a folder: state, links, places, keys, refusals."""

import json
import random
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By

from tests.support.browser import Browser
from tests.support.small_zoo import make_model, paint_photo
from vizcnn.explorer.explored import ExploredNet
from vizcnn.explorer.explorer import ExplorerSettings
from vizcnn.gallery.explorer_files import EXPLORER_FOLDER, EXPLORER_SCRIPTS, PAGE_SCRIPTS
from vizcnn.pages.explore import make_explorer
from vizcnn.receptive.fields import find_box, find_centre, measure_fields

LAYERS = ("conv1", "conv2", "conv5", "fc7")
SETTLED = """const done = arguments[0];
    const wait = () => vizcnnExplorer.app?.maps ? setTimeout(done, 50) : setTimeout(wait, 20);
    wait()"""
TILE_ELSEWHERE = """const done = arguments[0];
    const wait = () => {
      const tile = document.querySelector('.elsewhere-row button.tile');
      if (tile) { tile.focus(); done() } else setTimeout(wait, 20)
    };
    wait()"""


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, model) -> Path:
    base = tmp_path_factory.mktemp("an explorer #1")
    photos = [paint_photo(base / f"photo {seed}.png", seed) for seed in range(2)]
    nets = [ExploredNet("tiny/net@1&2", model, LAYERS), ExploredNet("other", model, LAYERS[:2])]
    make_explorer(nets, photos, base / "page", ExplorerSettings(own=3))
    return base


@pytest.fixture(scope="module")
def home(folder: Path) -> str:
    return folder.as_uri()


@pytest.fixture
def page(browser: Browser, home: str):
    browser.open_afresh(f"{home}/page/index.html")
    browser.execute_async_script(SETTLED)
    yield browser
    assert browser.read_errors() == []


def ask(page: Browser, expression: str):
    """Ask the page's explorer, which is called app there."""
    return page.run(f"const app = vizcnnExplorer.app; return {expression}")


def settle(page: Browser) -> None:
    page.execute_async_script(SETTLED)


def follow(page: Browser, link: str) -> str:
    """Open a link, and give what the page makes of it."""
    page.run(f"location.hash = {json.dumps(link)}")
    settle(page)
    return link_of(page)


def link_of(page: Browser) -> str:
    return page.current_url.partition("#")[2]


def show(page: Browser, selector: str) -> str:
    return page.run(f"return document.querySelector({json.dumps(selector)}).textContent")


def test_every_script_is_listed_and_there():
    listed = {*EXPLORER_SCRIPTS, *PAGE_SCRIPTS}
    assert len(listed) == len(EXPLORER_SCRIPTS + PAGE_SCRIPTS)
    assert listed <= {file.name for file in EXPLORER_FOLDER.glob("*.js")}


def test_page_begins_with_the_strongest_unit_of_the_deepest_maps(page):
    assert ask(page, "[app.layer.name, app.state.place]") == ["conv5", None]
    values = ask(page, "[...app.maps.values]")
    assert ask(page, "app.state.unit") == values.index(max(values))


@pytest.mark.parametrize(
    "link",
    [
        "tiny%2Fnet%401%262/conv2/3@photo2:5,2",
        "tiny%2Fnet%401%262/fc7/3@photo1",
        "other/conv1/0@photo1:0,31&method=own",
        "other/conv1/11@photo2&find=1&sort=peak&active=here&scale=layer",
        "other/conv1/1@photo2&a=b%2Fc%40d",
    ],
)
def test_a_link_leads_to_its_state_and_a_reload_keeps_it(page, link):
    assert follow(page, link) == link
    page.refresh()
    settle(page)
    assert link_of(page) == link
    # what the next link does not say is as if it had never been chosen
    assert follow(page, "other/conv2/2@photo1") == "other/conv2/2@photo1"


@pytest.mark.parametrize(
    ("link", "meant"),
    [
        ("other/conv1/99@photo1:99,2", "other/conv1/11@photo1:31,2"),
        ("other/conv9/1@photo9&method=none", "other/conv2/1@photo1"),
        ("%E0%A4", "other/conv2/1@photo1"),
        ("", "other/conv2/1@photo1"),
    ],
)
def test_what_a_link_names_and_the_page_lacks_is_left_out(page, link, meant):
    follow(page, "other/conv2/1@photo1")
    assert follow(page, link) == meant


def test_places_lie_where_the_fields_are_measured(page, model):
    for field in measure_fields(model, LAYERS):
        layer = f"app.net.layers.find(({{ name }}) => name === '{field.name}')"
        if field.map_size is None:
            assert ask(page, f"vizcnnExplorer.placeAt({layer}, [3, 5], app.net.input)") is None
            continue
        rows, columns = field.map_size
        chosen = random.Random(0)
        for row, column in [(0, 0), (rows - 1, columns - 1)] + [
            (chosen.randrange(rows), chosen.randrange(columns)) for _ in range(8)
        ]:
            box = ask(page, f"vizcnnExplorer.boxOf({layer}, [{row}, {column}], app.net.input)")
            assert tuple(box) == find_box(field, row, column)
            # pixels have their middles at whole numbers there, their edges here
            middle = [find_centre(span) + 0.5 for span in (field.rows[row], field.columns[column])]
            found = ask(page, f"vizcnnExplorer.placeAt({layer}, {middle}, app.net.input)")
            assert found == [row, column]


def test_a_click_chooses_the_place_under_it_and_another_layer_keeps_to_the_point(page, model):
    stage = page.find_element(By.CSS_SELECTOR, ".photo-stage")
    side = stage.size["width"]
    # the middle of pixel (20, 9) of 32
    x, y = ((pixel + 0.5) / 32 * side - side / 2 for pixel in (9, 20))
    ActionChains(page).move_to_element_with_offset(stage, round(x), round(y)).click().perform()
    assert ask(page, "app.state.place") == [10, 4]  # conv5 has 16 places for 32 pixels
    page.press("u", "u")
    settle(page)
    assert ask(page, "[app.layer.name, app.state.place]") == ["conv1", [20, 9]]
    (field,) = measure_fields(model, ["conv1"])
    top, left, bottom, right = find_box(field, 20, 9)
    told = f"{bottom - top} × {right - left} px: rows {top} to {bottom - 1}"
    assert told in show(page, ".pane-photo .told")
    # the unit is the one that is strongest there, and the first tile
    unit = ask(page, "app.state.unit")
    assert ask(page, "app.maps.here.units[(20 * 32 + 9) * app.maps.here.count]") == unit
    assert ask(page, "app.root.querySelector('.fires .tile').dataset.unit") == str(unit)


def test_keys_move_place_unit_layer_method_and_photo(page):
    follow(page, "other/conv1/3@photo1:4,5")
    page.run("document.activeElement.blur()")  # keys work from anywhere
    page.press("right", "down", "down")
    assert link_of(page) == "other/conv1/3@photo1:6,6"
    page.press("]", "]", "[")
    assert link_of(page) == "other/conv1/4@photo1:6,6"
    page.press("b")
    assert link_of(page) == "other/conv1/4@photo1:6,6&method=own"
    page.press("B", "p")
    settle(page)
    assert link_of(page) == "other/conv1/4@photo2:6,6"
    page.press("m")
    assert link_of(page) == "other/conv1/4@photo2"
    page.press("o")
    settle(page)
    assert link_of(page).startswith("other/conv2/")


def test_keys_in_the_mosaic_go_by_its_rows_and_columns(page):
    follow(page, "other/conv1/0@photo1")
    page.run("document.querySelector('.mosaic').focus()")
    page.press("right", "right")
    assert ask(page, "app.state.unit") == 2
    page.press("down")
    below = ask(page, "app.state.unit")
    option = page.run(
        "const one = document.querySelector('[role=option]'); return [one.id, one.ariaPosInSet]"
    )
    assert option[1] == str(below + 1)
    assert option[0] == page.run(
        "return document.activeElement.getAttribute('aria-activedescendant')"
    )
    page.press("up")
    assert ask(page, "app.state.unit") == 2
    page.press("end")
    assert ask(page, "app.state.unit") == 11


def test_units_are_searched_sorted_and_filtered(page):
    follow(page, "tiny%2Fnet%401%262/conv1/0@photo1")
    page.press("/", "1")
    assert show(page, ".count") == "3 of 12 units"  # 1, 10, 11
    page.press("enter")
    assert ask(page, "app.state.unit") == 1
    page.press("escape")
    assert show(page, ".count") == "12 units"
    page.press("/", "zzz")
    assert show(page, ".nothing") == "No unit matches."
    frame = "getComputedStyle(document.querySelector('.cell.chosen')).clipPath"
    assert page.run(f"return {frame}") == "inset(50%)"  # the chosen unit's frame is not to be seen
    page.press("escape")
    assert page.run(f"return {frame}") == "none"
    follow(page, "tiny%2Fnet%401%262/conv1/0@photo1&sort=peak")
    page.run("document.querySelector('.mosaic').focus()")
    page.press("home")
    values = ask(page, "[...app.maps.values]")
    assert ask(page, "app.state.unit") == values.index(max(values))
    follow(page, "tiny%2Fnet%401%262/conv1/0@photo1&sort=use+1")
    assert page.wait_until("return !document.querySelector('.count').textContent.includes('yet')")
    page.press("home")
    use = page.run_until_done(
        """const done = arguments[0], { app } = vizcnnExplorer, { net, photo, layer } = app.state;
        app.useOf({ net, photo, layer }, "test").then(({ values }) =>
            done([...values.slice(app.maps.units, 2 * app.maps.units)]))"""
    )
    assert ask(page, "app.state.unit") == use.index(max(use))
    assert len(set(use)) > 1
    follow(page, "tiny%2Fnet%401%262/conv1/0@photo1:3,4&active=here")
    here = ask(
        page,
        "[...app.maps.here.values.slice((3 * 32 + 4) * app.maps.here.count)]"
        ".slice(0, app.maps.here.count)",
    )
    active = sum(value > 0 for value in here)
    assert active < len(here)  # else more than these may be
    assert show(page, ".count") == f"{active} of 12 units"


def test_focus_stays_with_a_tile_that_a_key_chooses(page):
    follow(page, "tiny%2Fnet%401%262/conv5/0@photo1")
    focused = "return { ...document.activeElement.dataset }"
    page.run("document.querySelectorAll('.pane-fires .tile')[1].focus()")
    tile = page.run(focused)
    page.press("enter")
    settle(page)
    assert page.run(focused) == tile
    assert ask(page, "String(app.state.unit)") == tile["unit"]
    page.run("document.querySelector('.elsewhere-row').scrollIntoView()")
    page.execute_async_script(TILE_ELSEWHERE)
    tile = page.run(focused)
    page.press("enter")
    settle(page)
    assert page.run(focused) == tile
    assert page.run("return Boolean(document.activeElement.closest('.pane-fires'))")
    assert ask(page, "[String(app.state.layer), String(app.state.unit)]") == [*tile.values()]


def test_keys_work_from_a_box_that_was_ticked(page):
    follow(page, "other/conv1/3@photo1:4,5")
    page.run("document.querySelector('.controls [type=checkbox]').focus()")
    page.press("right")
    assert link_of(page) == "other/conv1/3@photo1:4,6"


def test_no_key_means_two_things(page):
    keys = ask(page, "app.keys.flatMap(({ keys }) => keys)")
    assert sorted(keys) == sorted(set(keys))
    page.press("?")
    assert page.run("return document.querySelectorAll('dialog[open] dd').length") == len(
        ask(page, "app.keys.map(({ label }) => label)")
    )
    page.press("escape")


def test_pictures_say_their_place_where_another_is_chosen(page):
    unit = ask(page, "app.state.unit")
    row, column = ask(page, f"vizcnnExplorer.strongestPlace(app.maps, {unit})")
    other = 0 if row else 1
    follow(page, f"tiny%2Fnet%401%262/conv5/{unit}@photo1:{other},0")
    assert show(page, ".method .where") == f"at {row}, {column}"
    assert "vizcnn explore --serve" in show(page, ".pane-unit .note")


def test_a_missing_answer_is_told_where_it_would_be(page, folder):
    file = folder / "page" / "data" / "maps-1-1-0.js"
    moved = file.rename(file.with_suffix(".away"))
    try:
        follow(page, "other/conv2/0@photo2")
        page.run("location.hash = 'other/conv1/0@photo2'")
        settle(page)
        assert "data/maps-1-1-0.js is missing or damaged." in show(page, ".mosaic-frame .nothing")
        page.read_errors()  # the browser's own line of the file
    finally:
        moved.rename(file)


def test_a_folder_without_its_answers_says_so(page, folder):
    file = folder / "page" / "data" / "start.js"
    moved = file.rename(file.with_suffix(".away"))
    try:
        page.refresh()
        page.wait_for_frame()
        assert "data/start.js is missing or damaged." in show(page, "main [role=alert]")
        page.read_errors()  # the browser's own line of the file
    finally:
        moved.rename(file)


@pytest.mark.parametrize("width", [360, 768, 1920, 3840])
def test_page_fits_and_nothing_jumps(page, home, width):
    page.resize(width, 900)
    page.visit("about:blank")
    page.visit(f"{home}/page/index.html")
    settle(page)
    assert page.run("return document.documentElement.scrollWidth") == width
    shifts = page.run("return window.shifts")
    assert sum(size for size, *_ in shifts) < 0.02, shifts


@pytest.mark.parametrize(("width", "height"), [(640, 360), (1280, 720)])
def test_a_low_window_keeps_the_photo_in_shape_and_the_choices_in_one_line(page, width, height):
    page.resize(width, height)
    measure = "const { width, height } = document.querySelector('.photo-stage canvas')"
    ratio = page.run(f"{measure}.getBoundingClientRect(); return width / height")
    assert ratio == pytest.approx(1, abs=0.01)  # as what the net sees
    tops = page.run("""return [...document.querySelectorAll('.bar h1, .bar select, .bar .tool')]
        .filter(one => one.offsetParent).map(one => one.getBoundingClientRect())
        .map(({ top, height }) => top + height / 2)""")
    assert width < 1080 or max(tops) - min(tops) < 8
    page.resize(1280, 900)


def test_dark_and_light(page):
    ground = "return getComputedStyle(document.querySelector('.vizcnn-explorer')).backgroundColor"
    light = page.run(ground)
    page.press("t")
    dark = page.run(ground)
    assert light != dark
    page.press("t")
    assert page.run(ground) == light
    page.prefer(prefers_color_scheme="dark")
    page.run("delete document.documentElement.dataset.theme")
    assert page.run(ground) == dark
