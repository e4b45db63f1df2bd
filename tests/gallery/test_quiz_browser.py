"""A quiz in a real browser, from disk and from a server: played by bots, by keys and by clicks."""

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
import torch
from PIL import Image

import vizcnn
from tests.support.axe import find_faults
from tests.support.browser import Browser
from tests.support.quizzes import UNITS, prepare_galleries
from tests.support.window import Window
from vizcnn.pages.quiz.merged_answers import merge_played, read_played
from vizcnn.pages.quiz.quiz_page import make_quiz
from vizcnn.zoo.model import ZooModel

ASKED = "return document.querySelector('#ask').textContent"
SHOWN = """return ['left', 'right'].map(side => document.querySelector(`#${side} img`).src)"""
RIGHT = "return document.querySelector('#end-title').textContent"
SIZES = ((360, 740), (800, 1100), (1280, 720), (3840, 2160))
BOXES = """return ['left', 'right'].map(side => {
    const box = document.querySelector(`#${side}`).getBoundingClientRect();
    return [box.left, box.top, box.right, box.bottom] })"""
DRAWS = """return [...Array(300).keys()].map(seed => drawTrials(seed).map(
    trial => [trial.number, trial.condition.key, trial.exciting]))"""


@pytest.fixture(scope="module")
def model() -> ZooModel:
    return vizcnn.load("lenet", weights="bundled")


@pytest.fixture(scope="module")
def folder(model: ZooModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("a quiz #1")
    make_quiz(prepare_galleries(model, base / "galleries"), base / "quiz")
    return base


@pytest.fixture
def page(window: Window, folder: Path) -> Iterator[Window]:
    """The quiz from disk, in either browser; it asks for no file of elsewhere."""
    window.requested_urls()
    window.open_afresh((folder / "quiz" / "index.html").as_uri())
    yield window
    assert window.read_errors() == []
    asked = [url for url in window.requested_urls() if not url.startswith(("data:", "about:"))]
    assert all(url.startswith((folder.as_uri(), "blob:null/")) for url in asked), asked


def start(page: Window) -> None:
    page.click("#start")


def find_maximum(model: ZooModel, asked: str, file: Path) -> float:
    """What the unit that is asked for answers to a picture of the page, by torch alone."""
    unit, layer = asked.split("unit ")[1].rstrip("?").split(" of ")
    pixels = torch.from_numpy(np.asarray(Image.open(file).convert("RGB")).copy())
    seen: list[torch.Tensor] = []
    module = model.module.get_submodule(model.layers[layer])
    hook = module.register_forward_hook(lambda _, __, out: seen.append(out))
    with torch.no_grad():
        model.module(model.preprocessing.normalise(pixels.permute(2, 0, 1)[None] / 255))
    hook.remove()
    return float(seen[0][0, int(unit)].max())


def test_a_bot_that_picks_by_activation_is_always_right(page, folder, model):
    start(page)
    for _ in range(UNITS):
        files = [folder / "quiz" / "pictures" / Path(url).name for url in page.run(SHOWN)]
        maxima = [find_maximum(model, page.run(ASKED), file) for file in files]
        page.press("left" if maxima[0] > maxima[1] else "right")
    assert page.run(RIGHT) == f"{UNITS} of {UNITS} right"


def test_bots_that_do_not_look_are_right_half_the_time(page):
    """By chance, always left, or by the pictures' names: over 300 draws of the page."""
    draws = page.run(DRAWS)
    drawn = random.Random(5)
    by_chance = [drawn.choice(["left", "right"]) == side for one in draws for _, _, side in one]
    assert np.mean(by_chance) == pytest.approx(0.5, abs=4 * 0.5 / len(by_chance) ** 0.5)
    for one in draws:
        sides = [side for _, _, side in one]
        assert sides.count("left") == sides.count("right") == UNITS / 2
    firsts = [one[0] for one in draws]
    assert len({number for number, _, _ in firsts}) == UNITS


def test_conditions_go_round_the_units(page):
    """Of three players in a row each unit is asked about once under each of three conditions."""
    draws = page.run(DRAWS)
    keys = {key for _, key, _ in draws[0]}
    assert keys == {"alone", "deconvnet-whole", "deconvnet-own"}
    for one in draws:
        counts = [sum(key == wanted for _, key, _ in one) for wanted in keys]
        assert counts == [UNITS / len(keys)] * len(keys)
    for first in range(0, 30, 3):
        for number in range(UNITS):
            shown = [key for one in draws[first : first + 3] for at, key, _ in one if at == number]
            assert set(shown) == keys


def test_it_is_played_by_keys_and_clicks_and_the_answers_are_those(page, folder, tmp_path):
    url = (folder / "quiz" / "index.html").as_uri()
    page.visit("about:blank")
    page.visit(f"{url}#player=7")
    start(page)
    chosen = []
    for number in range(UNITS):
        assert page.run("return document.activeElement.id") == "ask"
        text = page.run("return document.querySelector('#told').textContent")
        assert text.startswith(f"Question {number + 1} of {UNITS}, ")
        pictured = page.run("return !document.querySelector('.pictures').hidden")
        assert pictured == ("alone" not in text)
        side = ("left", "right")[number % 2]
        if number % 3:
            page.press({"left": "a", "right": "right"}[side])
        else:
            page.click(f"#{side}")
        if number == 1:  # a slip is taken back
            page.press("backspace")
            page.press("a")
            side = "left"
        if number == 2:  # a reload goes on where it was
            page.reload()
            resume = page.run("return document.querySelector('#resume').textContent")
            assert resume == "Go on with question 4"
            page.click("#resume")
        chosen.append(side)
    record = json.loads(page.run("return writeResult()"))
    file = tmp_path / "played.json"
    file.write_text(json.dumps(record))
    assert [answer["chosen"] for answer in record["answers"]] == chosen
    assert record["seed"] == 7
    right = sum(answer["chosen"] == answer["exciting"] for answer in record["answers"])
    assert page.run(RIGHT) == f"{right} of {UNITS} right"
    merged = merge_played([file], tmp_path / "merged").results
    assert (merged.total.right, merged.total.answers) == (right, UNITS)
    # page and command say the same interval
    low, high = (f"{100 * end:.0f}" for end in (merged.total.low, merged.total.high))
    scores = page.run("return document.querySelector('#scores').textContent").replace("\u00a0", " ")
    assert f"{right} of {UNITS} right" in scores
    assert f"95 % interval {low} % to {high} %" in scores


@pytest.mark.parametrize("home", ["disk", "server"], indirect=True)
def test_the_answers_are_saved_as_a_file(browser: Browser, home: str, tmp_path: Path):
    browser.open_afresh(f"{home}/quiz/index.html")
    start(browser)
    browser.press("left", "right")
    browser.click("#stop")
    where = {"behavior": "allow", "downloadPath": str(tmp_path)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", where)
    browser.click("#save")
    name = browser.run("return document.querySelector('#saved').textContent").split()[-1]
    for _ in range(200):
        if (tmp_path / name).is_file():
            break
        time.sleep(0.05)
    assert read_played(tmp_path / name).answers[1].chosen == "right"
    assert browser.read_errors() == []


@pytest.mark.parametrize(("width", "scheme"), [(1366, "light"), (360, "dark")])
def test_axe_finds_no_fault(browser: Browser, folder: Path, tmp_path: Path, width, scheme):
    browser.open_afresh((folder / "quiz" / "index.html").as_uri())
    browser.resize(width, 800)
    browser.prefer(prefers_color_scheme=scheme)
    browser.run("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert find_faults(browser) == []
    start(browser)
    for _ in range(UNITS):
        assert find_faults(browser) == []
        browser.press("a")
    assert browser.run(RIGHT).endswith("right")
    assert find_faults(browser) == []
    file = tmp_path / "played.json"
    file.write_text(browser.run("return writeResult()"))
    merge_played([file], tmp_path / "merged")
    browser.open(tmp_path / "merged" / "index.html")
    assert find_faults(browser) == []


def test_who_stops_early_has_a_score_of_what_was_answered(page):
    start(page)
    page.press("left", "right")
    page.click("#stop")
    assert page.run(RIGHT).endswith(" of 2 right")
    assert page.run("return document.querySelectorAll('#answers li').length") == 2


def test_both_new_photos_are_in_sight_at_every_size(page):
    for width, height in SIZES:
        page.resize(width, height)
        page.run("document.querySelector('#start').click()")  # also from amid a game
        page.wait_for_frame()
        for _ in range(3):  # each condition, or two of them
            boxes = page.run(BOXES)
            for left, top, right, bottom in boxes:
                assert 0 <= left < right <= width and 0 <= top < bottom <= height
                assert right - left >= 90
            assert page.run("return document.documentElement.scrollWidth") <= width
            page.press("a")


def test_frames_lie_where_the_manifest_says(page, folder):
    told = json.loads((folder / "quiz" / "manifest.json").read_text())
    side = told["nets"][0]["input_size"][0]
    units = {(unit["layer"], unit["unit"]): unit for unit in told["results"]["units"]}
    start(page)
    unit, layer = page.run(ASKED).split("unit ")[1].rstrip("?").split(" of ")
    shown = page.run(
        """return [...document.querySelectorAll('#exciting li')].map(item => {
        const photo = item.getBoundingClientRect();
        const frame = item.querySelector('.field')?.getBoundingClientRect();
        return frame && [frame.top - photo.top, frame.left - photo.left,
            frame.bottom - photo.top, frame.right - photo.left].map(end => end / photo.width) })"""
    )
    wanted = [photo["box"] for photo in units[layer, int(unit)]["exciting"]]
    assert len(shown) == 9
    for frame, box in zip(shown, wanted, strict=True):
        if frame is None:
            assert box == [0, 0, side, side]
        else:
            np.testing.assert_allclose(frame, np.array(box) / side, atol=2e-3)


def test_pictures_on_the_page_are_loaded_and_named_for_screen_readers(page):
    start(page)
    page.wait_for_frame()
    texts = page.run(
        """return [...document.querySelectorAll('#trial img')].filter(
        image => image.offsetParent).map(image => [image.alt, image.naturalWidth, image.src])"""
    )
    assert len(texts) in (20, 29)
    for _, width, url in texts:
        assert width > 0, unquote(urlsplit(url).path)
    named = [alt for alt, _, _ in texts if alt]
    assert len(named) == len(set(named)) == len(texts) - 2  # the two new ones: buttons name them
    names = page.run(
        "return ['left', 'right'].map(side => document.querySelector(`#${side}`).innerText)"
    )
    assert ["Photo A" in names[0], "Photo B" in names[1]] == [True, True]


def test_a_double_click_answers_one_question(page):
    start(page)
    page.run("window.left = document.querySelector('#left')")
    for count in (1, 2):  # as browsers count the clicks of a double one
        page.run(f"left.dispatchEvent(new MouseEvent('click', {{detail: {count}, bubbles: true}}))")
    assert page.run("return document.querySelector('#step').textContent") == f"2 of {UNITS}"
