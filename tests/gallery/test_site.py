import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from os import fsdecode
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import pytest

from tests.support.galleries import change_layers, change_results, make_deconv, make_photo, paint
from vizcnn.basics.codec import ManifestError
from vizcnn.gallery.manifest import Failure, Manifest
from vizcnn.gallery.site import HERE, write_gallery

VOID = {"meta", "link", "img", "br", "hr", "input"}
NASTY = [
    "<script>alert(1)</script>.png",
    "\"><img src=x onerror='alert(1)'>",
    "a\nb & {{ 7 * 7 }}.png",
    "Жук.png",
]
BAD_BYTES = "caf\udce9 #1?%20.png"


class Page(HTMLParser):
    """Every element of a page, and whether each one that opens also closes."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.opened: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))
        self.close()
        assert self.opened == [], f"{file.name} leaves {self.opened} open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def find_all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def links(self) -> list[str]:
        return [
            values[key] for _, values in self.elements for key in ("src", "href") if key in values
        ]


def write(manifest: Manifest[Any], folder: Path) -> dict[str, Page]:
    write_gallery(manifest, folder)
    return {file.name: Page(file) for file in sorted(folder.glob("*.html"))}


def check_links(pages: dict[str, Page], folder: Path) -> None:
    for page in pages.values():
        ids = [values["id"] for _, values in page.elements if "id" in values]
        assert len(ids) == len(set(ids))
        for link in page.links:
            parts = urlsplit(link)
            assert parts.scheme in ("", "data") and not parts.netloc and not parts.query
            if parts.fragment:
                assert parts.fragment in ids
            if parts.path and not parts.scheme:
                assert (folder / fsdecode(unquote_to_bytes(parts.path))).is_file()


def test_one_photo_makes_one_page_that_shows_it_all(tmp_path):
    pages = write(make_deconv(tmp_path, "cat.png"), tmp_path)
    assert list(pages) == ["index.html"]
    page = pages["index.html"]
    for text in (
        "conv1",
        "conv2",
        "Zeiler & Fergus 2014",
        "top-161.0\u00a0%",
        "90.0\u00a0%",
        "< 0.1\u00a0%",
        "torch",
    ):
        assert text in page.text
    tiles = [button for button in page.find_all("button") if button.get("class") == "tile"]
    assert len(tiles) == 2 * 4
    assert tiles[1]["data-box"] == "1 2 9 14"
    assert "Projection of unit 3 of conv2" in [image["alt"] for image in page.find_all("img")]
    for text in (
        "The 51 active units make about 1.2 different pictures by the deconvnet at the place of "
        "unit 0 (row 0, column 0).",
        "selectivity ≈\u00a00.38 among 33 of 51 active units",
        "Whole pictures: cosine 0.93.",
        "Own parts: cosine –.",
        "Of unit 0: Nearly all of this picture is what the active units of this place have most in",
    ):
        assert text in page.text
    assert page.text.count("Control: the same place, another unit") == 1
    check_links(pages, tmp_path)


def test_several_photos_make_a_page_each_that_leads_to_the_next(tmp_path):
    failures = (Failure(source="bad<b>.jpg", error="it is <cut> off"),)
    pages = write(make_deconv(tmp_path, "a.png", "b.png", "c.png", failures=failures), tmp_path)
    assert list(pages) == ["index.html", "photo-001.html", "photo-002.html", "photo-003.html"]
    turns = {
        name: {link["rel"]: link["href"] for link in page.find_all("a") if "rel" in link}
        for name, page in pages.items()
    }
    assert turns["index.html"] == {}
    assert turns["photo-001.html"] == {"next": "photo-002.html"}
    assert turns["photo-002.html"] == {"prev": "photo-001.html", "next": "photo-003.html"}
    assert turns["photo-003.html"] == {"prev": "photo-002.html"}
    assert {"photo-001.html", "photo-002.html", "photo-003.html"} < set(pages["index.html"].links)
    assert "it is <cut> off" in pages["index.html"].text
    check_links(pages, tmp_path)


@pytest.mark.parametrize("names", [(), ("cat.png",)])
def test_failures_are_listed_even_when_no_photo_is_left(tmp_path, names):
    failures = (Failure(source="empty.png", error="'empty.png' is empty"),)
    pages = write(make_deconv(tmp_path, *names, failures=failures), tmp_path)
    assert "'empty.png' is empty" in pages["index.html"].text
    assert ("No photo could be used" in pages["index.html"].text) == (not names)


@pytest.mark.parametrize("name", NASTY)
def test_everything_is_escaped(tmp_path, name):
    manifest = make_deconv(tmp_path, "plain")
    (photo,), (section,), (net,) = manifest.photos, manifest.results.photos, manifest.nets
    section = replace(section, predictions=((name, 0.5),))
    layer = replace(section.layers[0], name=name, path=name, scaling=name, notes=(name,))
    nasty = replace(
        change_results(
            manifest,
            method=name,
            method_source=name,
            photos=(replace(section, layers=(layer, section.layers[1])), section),
        ),
        title=name,
        command=name,
        nets=(
            replace(
                net,
                model=name,
                title=name,
                weights=replace(net.weights, note=name, data=name),
            ),
        ),
        photos=(replace(photo, name=name, source=name),) * 2,
        failures=(Failure(source=name, error=name),),
        settings={name: name},
        versions={name: name},
    )
    usual = write(manifest, tmp_path)["index.html"]
    for page in write(nasty, tmp_path).values():
        assert name in page.text
        assert len(page.find_all("script")) == len(usual.find_all("script")) == 1
        assert not any(key.startswith("on") for _, values in page.elements for key in values)


@pytest.mark.slow
def test_file_names_are_encoded_in_links(tmp_path):
    manifest = make_deconv(tmp_path, "cat")
    for key in ("a b #1", 'quote" & <b>', "what?", "100%", "Жук", "javascript:alert(1)", BAD_BYTES):
        photo, section = make_photo(tmp_path, "cat", key)
        changed = replace(change_results(manifest, photos=(section,)), photos=(photo,))
        check_links(write(changed, tmp_path), tmp_path)


def test_name_that_is_not_utf8_is_shown_escaped(tmp_path):
    page = write(make_deconv(tmp_path, BAD_BYTES), tmp_path)["index.html"]
    assert r"caf\udce9 #1?%20.png" in page.text


def test_pages_ask_the_network_for_nothing(tmp_path):
    write(make_deconv(tmp_path, "a.png", "b.png"), tmp_path)
    for file in [*tmp_path.glob("*.html"), *tmp_path.glob("gallery.*")]:
        assert not re.search(
            r"https?:|url\(|@import|fetch\(|XMLHttp", file.read_text(encoding="utf-8")
        )


def test_images_hold_their_place_and_wait_until_they_are_seen(tmp_path):
    pages = write(make_deconv(tmp_path, "a.png", "b.png"), tmp_path)
    images = [image for page in pages.values() for image in page.find_all("img") if "src" in image]
    assert all(
        int(image["width"]) > 0 and int(image["height"]) > 0 and "alt" in image for image in images
    )
    eager = [image["src"] for image in images if image.get("loading") != "lazy"]
    assert eager == ["p0/photo.png", "p1/photo.png"]


def test_headings_go_down_one_step_at_a_time(tmp_path):
    pages = write(make_deconv(tmp_path, "a.png", "b.png"), tmp_path)
    for page in pages.values():
        levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
        assert levels.count(1) == 1 and levels[0] == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
        assert {"header", "main", "footer"} <= {tag for tag, _ in page.elements}


def test_repeat_writes_identical_bytes_and_leaves_no_temporary_file(tmp_path):
    manifest = make_deconv(tmp_path, "a.png", "b.png")
    write_gallery(manifest, tmp_path)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    write_gallery(manifest, tmp_path)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before
    assert {"manifest.json", "gallery.css", "gallery.js"} <= {file.name for file in before}


def test_missing_image_is_named_and_nothing_is_written(tmp_path):
    manifest = make_deconv(tmp_path, "cat.png")
    (tmp_path / "p0/conv2-3-patch.png").unlink()
    with pytest.raises(ManifestError, match=r"1 file\(s\).*'p0/conv2-3-patch.png' first"):
        write_gallery(manifest, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["p0"]


def test_layer_without_places_is_shown(tmp_path):
    manifest = make_deconv(tmp_path, "cat.png")
    layer = manifest.results.photos[0].layers[0]
    tile = replace(layer.tiles[0], position=None)
    flat = replace(layer, map_size=None, receptive_field=None, tiles=(tile,))
    page = write(change_layers(manifest, flat), tmp_path)["index.html"]
    assert "96 units" in page.text
    assert "the whole map" in [button.get("data-position") for button in page.find_all("button")]


def test_scalings_that_differ_stand_with_their_layers(tmp_path):
    manifest = make_deconv(tmp_path, "cat.png")
    first, second = manifest.results.photos[0].layers
    second = replace(second, scaling="one scale for all")
    page = write(change_layers(manifest, first, second), tmp_path)["index.html"]
    assert page.text.count("Scaling: ") == 2
    assert "Scaling: one scale for all" in page.text


def test_further_files_are_linked(tmp_path):
    manifest = make_deconv(tmp_path, "cat.png")
    layer = manifest.results.photos[0].layers[0]
    overlay = paint(tmp_path, "overlay 1.png", (32, 32), (1, 2, 3))
    (tmp_path / "conv1.npz").write_bytes(b"values")
    layer = replace(layer, overlay=overlay, places=overlay, arrays="conv1.npz")
    pages = write(change_layers(manifest, layer), tmp_path)
    assert pages["index.html"].links.count("overlay%201.png") == 2
    assert "values (NPZ)" in pages["index.html"].text
    check_links(pages, tmp_path)


def luminance(colour: str) -> float:
    channels = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_colours_have_the_contrast_of_wcag_aa():
    style = (HERE / "static" / "gallery.css").read_text()
    blocks = [
        dict(re.findall(r"--(\w+): (#\w{6})", block))
        for block in re.findall(r"{([^{}]*--ink: [^{}]*)}", style)
    ]
    light, dark, wished, _print = blocks
    assert dark == wished
    for colours in (light, dark):
        for ink in ("ink", "quiet", "link"):
            for ground in ("ground", "surface"):
                a, b = sorted((luminance(colours[ink]), luminance(colours[ground])))
                assert (b + 0.05) / (a + 0.05) >= 4.5, (ink, ground)
        for ground in ("bar", "note"):
            a, b = sorted((luminance(colours["ink"]), luminance(colours[ground])))
            assert (b + 0.05) / (a + 0.05) >= 4.5, ground
