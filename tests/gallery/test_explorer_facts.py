"""What the explorer's page says below a unit, in a real browser."""

import json
import re
from typing import Any

import numpy as np
import pytest

from tests.support.browser import Browser
from tests.support.small_zoo import SIZE, make_model, paint_photo
from tests.support.top_runs import write_photos
from vizcnn.explorer.explored import ExploredNet
from vizcnn.explorer.explorer import ExplorerSettings
from vizcnn.mining.mined_photos import open_mined_photos
from vizcnn.mining.photo_sets import FolderPhotos
from vizcnn.mining.run import MiningSettings, mine
from vizcnn.pages.explore import make_explorer
from vizcnn.photos.images import read_photo
from vizcnn.receptive.fields import find_box, measure_fields

MODEL = make_model()
NET: Any = MODEL.module
NEIGHBOURS = ".neighbours .pick"
LAYERS = ("conv1", "conv3", "conv4", "fc6")
WAIT = """const [until, done] = [new Function(`return ${arguments[0]}`), arguments[1]];
    const wait = () => until() ? setTimeout(done, 50) : setTimeout(wait, 20);
    wait()"""


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory):
    """An index with its photos, and their folder."""
    base = tmp_path_factory.mktemp("mined")
    photos, file = write_photos(base / "photos", 20), base / "index"
    pictures = FolderPhotos([photos], MODEL.preprocessing)
    mine(MODEL, pictures, file, MiningSettings(layers=LAYERS[:2], top=5, workers=0))
    return open_mined_photos(MODEL, file, [photos]), photos


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, mined) -> str:
    base = tmp_path_factory.mktemp("explorer")
    photo = paint_photo(base / "a photo.png")
    nets = [
        ExploredNet("tiny", MODEL, LAYERS, strongest=mined[0]),
        ExploredNet("bare", MODEL, LAYERS[:2]),
    ]
    make_explorer(nets, [photo], base / "page", ExplorerSettings(own=1, top=2))
    return (base / "page" / "index.html").as_uri()


@pytest.fixture
def page(browser: Browser, home: str):
    browser.open_afresh(home)
    wait(browser, "vizcnnExplorer.app?.maps")
    yield browser
    assert browser.read_errors() == []


def wait(page: Browser, until: str) -> None:
    page.execute_async_script(WAIT, until)


def follow(page: Browser, link: str) -> None:
    """Open a link, and wait for what is below the unit."""
    page.run(f"location.hash = {json.dumps(link)}")
    wait(page, f"location.hash.slice(1) === {json.dumps(link)}")
    settle(page)


def settle(page: Browser) -> None:
    wait(page, "document.querySelector('.facts').ariaBusy === 'false' && vizcnnExplorer.app.maps")


def list_texts(page: Browser, selector: str) -> list[str]:
    return page.run(
        f"return [...document.querySelectorAll({json.dumps(selector)})].map(e => e.textContent)"
    )


def list_names(page: Browser, selector: str) -> list[str]:
    """List how screen readers call elements."""
    return page.run(
        f"return [...document.querySelectorAll({json.dumps(selector)})]"
        ".map(e => e.getAttribute('aria-label'))"
    )


def measure(page: Browser, selector: str) -> dict[str, float]:
    found: dict[str, float] = page.run(
        f"return document.querySelector('{selector}').getBoundingClientRect().toJSON()"
    )
    return found


def read_pixels(page: Browser, selector: str) -> np.ndarray:
    pixels = page.run(
        f"const canvas = document.querySelector({json.dumps(selector)});"
        "const {width, height} = canvas;"
        "const {data} = canvas.getContext('2d').getImageData(0, 0, width, height);"
        "return [height, width, [...data]]"
    )
    return np.array(pixels[2]).reshape(pixels[0], pixels[1], 4)[:, :, :3]


def test_patches_are_those_of_the_index(page, mined):
    source, photos = mined
    ranking = source.index.layers["conv3"]
    (field,) = measure_fields(MODEL, ["conv3"])
    unit = int((ranking.values[:, 2] > 0).nonzero()[0])
    follow(page, f"tiny/conv3/{unit}@photo1")
    told = list_names(page, ".patches .stage")
    names = [source.index.photos[photo] for photo in ranking.photos[unit].tolist()]
    positions, values = ranking.positions[unit].tolist(), ranking.values[unit].tolist()
    shown = [value for value in values if value > 0]
    assert len(told) == len(shown) >= 3
    for words, name, (row, column), value in zip(told, names, positions, shown, strict=False):
        assert words.startswith(f"{name}, row {row}, column {column}: ")
        assert float(words.rpartition(" ")[2]) == pytest.approx(value, rel=1e-3)
    box = find_box(field, *positions[0])
    patch = np.asarray(read_photo(photos / names[0]))[box[0] : box[2], box[1] : box[3]]
    pixels = read_pixels(page, ".patches canvas")
    height, width = patch.shape[:2]
    down = pixels.shape[0] - height if box[0] == 0 else 0
    right = pixels.shape[1] - width if box[1] == 0 else 0
    assert np.array_equal(pixels[down : down + height, right : right + width], patch)


def test_filters_are_drawn_and_lead_to_the_units_that_they_read(page):
    follow(page, "tiny/conv1/5@photo1")
    weight = NET[0].weight[5].detach().numpy() / np.array([0.2, 0.3, 0.4])[:, None, None]
    drawn = read_pixels(page, ".fact-filters canvas")
    wanted = 0.5 + weight.transpose(1, 2, 0) / (2 * np.abs(weight).max())
    assert np.abs(drawn / 255 - wanted).max() < 0.51 / 255
    assert "weights' RMS" in list_texts(page, ".fact-filters dt")
    follow(page, "tiny/conv4/3@photo1")
    energy = (NET[7].weight[3].detach().numpy() ** 2).sum((1, 2))
    first = int(energy.argmax())
    share = f"{100 * energy[first] / energy.sum():.0f} % of the filter's energy"
    assert list_names(page, ".kernels .pick")[0] == f"Unit {first} of conv3, {share}"
    page.run("document.querySelector('.fact-filters .pick').click()")
    settle(page)
    assert page.current_url.endswith(f"#tiny/conv3/{first}@photo1")


def test_squares_on_the_photo_hold_what_counts(page):
    follow(page, "tiny/conv3/0@photo1:7,7")
    area = measure(page, ".photo-stage")
    terms, texts = (list_texts(page, f".fact-field {name}") for name in ("dt", "dd"))
    told = dict(zip(terms, texts, strict=True))
    sides = {
        share: int(told[f"square that holds {share} %"].partition(" ")[0]) for share in (95, 50)
    }
    assert sides[50] < 12 <= sides[95]  # what a unit sees is 12 pixels wide
    # four units are in the middle of the map: what 95 % need is more than one of them sees
    assert measure(page, ".box.share-95")["width"] == 0
    assert list_texts(page, ".rings") == ["Inside: 50 % of the effective field."]
    box = measure(page, ".box.share-50")
    assert box["width"] / area["width"] * SIZE == pytest.approx(sides[50], abs=0.1)
    # row 7 of 16, each of 2 pixels, has its middle between the pixels 14 and 15
    middle = (box["top"] + box["height"] / 2 - area["top"]) / area["height"] * SIZE
    assert middle == pytest.approx(15, abs=0.1)


def test_classes_are_named_with_what_the_unit_adds(page):
    follow(page, "tiny/fc6/0@photo1")
    values = page.run("return [...vizcnnExplorer.app.maps.values]")
    unit = int(np.argmax(values))
    follow(page, f"tiny/fc6/{unit}@photo1")
    classes = page.run_until_done(
        """const done = arguments[0], { app } = vizcnnExplorer, { net, photo, layer } = app.state;
        app.useOf({ net, photo, layer }, "test").then(({ classes }) => done(classes))"""
    )
    added = [values[unit] * NET[14].weight[number, unit].item() for number in classes]
    first = ".fact-classes .predictions:first-of-type"
    assert list_texts(page, f"{first} .name") == [MODEL.classes[number] for number in classes]
    told = [float(text.replace("−", "-")) for text in list_texts(page, f"{first} .share")]
    assert told == pytest.approx(added, rel=1e-3)
    # of one photo all classes add up to the same
    most = [MODEL.classes[k] for _, k in sorted(zip(added, classes, strict=True))[::-1] if _ > 0]
    assert list_texts(page, ".fact-classes .predictions:last-of-type .name") == most
    assert "1 photo: the first of all 4 classes" in list_texts(page, ".fact-classes h4")[1]
    assert "fully connected" in list_texts(page, ".fact-filters .refusal")[0]


def test_what_is_missing_is_told_in_its_place(page):
    follow(page, "bare/conv1/0@photo1")
    (told,) = list_texts(page, ".fact-top .refusal")
    assert told.startswith("No index of strongest places was given.") and "--gallery" in told
    assert page.run("return document.querySelector('.fact-neighbours').hidden")
    follow(page, "tiny/conv4/0@photo1")
    assert "does not hold conv4" in list_texts(page, ".fact-top .refusal")[0]


def list_neighbours(page: Browser) -> dict[int, int]:
    """Give how many photos each neighbour shares."""
    found = [re.search(r"Unit (\d+) shares (\d+) of", n) for n in list_names(page, NEIGHBOURS)]
    return {int(one[1]): int(one[2]) for one in found if one}


def test_neighbours_lead_to_each_other(page):
    for unit in range(10):
        follow(page, f"tiny/conv3/{unit}@photo1")
        if shared := list_neighbours(page):
            break
    other = next(iter(shared))
    page.run(f"document.querySelector('{NEIGHBOURS}').click()")
    settle(page)
    assert page.current_url.endswith(f"#tiny/conv3/{other}@photo1")
    assert list_neighbours(page)[unit] == shared[other]
