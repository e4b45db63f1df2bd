"""The lecture's page in a real browser."""

from pathlib import Path

import pytest

from tests.support.browser import Browser
from vizcnn.lecture import LectureSettings, Studio, make_lecture
from vizcnn.photos.samples import find_sample

SHOWN = """return [...document.querySelectorAll('.sheet img')].map(
    image => [image.getAttribute('src'), image.getBoundingClientRect().height > 0])"""


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Browser:
    folder = tmp_path_factory.mktemp("lecture") / "out"
    photo = find_sample("motorcycle")
    settings = LectureSettings(only=("lenet-layers", "vgg-patterns", "claims"), formats=("png",))
    make_lecture(folder, Studio(photo or Path()), settings)
    browser.open(folder / "index.html")
    return browser


@pytest.mark.parametrize("width", [360, 390, 1366])
def test_nothing_is_wider_than_the_page(page, width):
    page.resize(width, 800)
    page.run("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert page.run("return document.documentElement.scrollWidth") <= width
    assert page.run("return innerWidth") == width


@pytest.mark.parametrize(("theme", "dark"), [("light", False), ("dark", True)])
def test_the_figure_that_fits_the_theme_is_shown(page, theme, dark):
    page.prefer(prefers_color_scheme=theme)
    shown = page.run(SHOWN)
    assert len(shown) >= 8
    assert all(seen == (source.endswith("-dark.png") == dark) for source, seen in shown)


def test_a_link_leads_to_its_place_before_the_pictures_have_come(page):
    page.resize(1366, 800)
    page.run("document.documentElement.style.scrollBehavior = 'auto'")
    page.run("scrollTo(0, 0); location.hash = '#claims-table-slips'")
    page.wait_for_frame()
    tops = "return document.querySelector('#claims-table-slips').getBoundingClientRect().top"
    before = page.run(tops)
    page.run("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
    page.execute_async_script(
        "Promise.all([...document.images].map(i => i.decode().catch(() => 0))).then(arguments[0])"
    )
    page.wait_for_frame()
    assert abs(page.run(tops) - before) < 2


def test_on_a_phone_a_claim_is_a_card_with_its_heads(page):
    page.resize(390, 800)
    assert page.run("return getComputedStyle(document.querySelector('.claims td')).display") == (
        "block"
    )
    heads = page.run(
        "return [...document.querySelector('.claims tbody tr').cells].map("
        "cell => getComputedStyle(cell, '::before').content)"
    )
    assert [head.strip('"') for head in heads[2:]] == [
        "Claimed: ",
        "Computed: ",
        "Verdict: ",
        "How: ",
    ]
