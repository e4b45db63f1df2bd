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


def list_shown(page: Browser, selector: str) -> list[str]:
    return page.run(
        f"return [...document.querySelectorAll('{selector}')]"
        ".filter(item => item.offsetParent).map(item => item.id || item.textContent)"
    )


def test_the_menu_leads_to_every_exhibit(page):
    page.resize(1366, 800)
    page.run("document.querySelectorAll('.contents details').forEach(part => part.open = true)")
    links = page.run(
        "return [...document.querySelectorAll('.contents a')].map(a => a.hash.slice(1))"
    )
    assert links == list_shown(page, ".exhibit")
    assert len(links) == 5


def test_search_finds_exhibits_by_title_caption_and_claim(page):
    page.resize(1366, 800)
    page.run("scrollTo(0, 0)")
    page.press("/")
    for typed, found in (
        ("VGG-patterns", ["vgg-patterns"]),
        ("table i connects", ["lenet-layers"]),  # its caption, which stands in the figure
        ("adds all elems", []),
        ("multiplies them by trainable", ["claims-table"]),
        ("zebra", []),
    ):
        page.press("escape", typed)
        assert list_shown(page, ".exhibit") == found, typed
        assert len(list_shown(page, ".contents li")) == len(found)
        assert page.run("return document.querySelector('#found').textContent") == (
            f"{len(found)} of 5 parts"
        )
    page.press("escape")
    assert len(list_shown(page, ".exhibit")) == 5


def test_a_caption_is_read_once(page):
    """Below a figure that holds it, the text is there for search and for screen readers only."""
    heights = page.run(
        "return Object.fromEntries([...document.querySelectorAll('.exhibit')].map(part => "
        "[part.id, part.querySelector(':scope > p').getBoundingClientRect().height]))"
    )
    assert {name: height > 2 for name, height in heights.items()} == {
        "lenet-layers": False,
        "vgg-patterns": False,
        "claims-table": True,
        "claims-slips": False,
        "claims-table-slips": False,
    }


def test_the_page_says_whose_lecture_it_is(page):
    head = page.run("return document.querySelector('header').textContent")
    assert "J. C. Kao’s lecture on CNN architectures (UCLA ECE, winter 2024)" in head
