"""Pages of a net's layers: what they show and where they lead."""

import re
from dataclasses import replace
from os import fsdecode
from pathlib import Path
from posixpath import normpath
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import pytest

from tests.gallery.test_site import NASTY, Page
from tests.support.galleries import change_results
from tests.support.top_galleries import (
    NASTY_NAMES,
    SIDE,
    TOP,
    change_layer,
    make_silent,
    make_top_layer,
    make_top_manifest,
    make_unit,
)
from vizcnn.gallery.manifest import Failure, Manifest
from vizcnn.gallery.site import HERE, write_gallery
from vizcnn.pages.layers.records import name_folders
from vizcnn.pages.layers.site_pages import LayersResults, choose_units


def change_weights(manifest: Manifest[LayersResults], **changes: Any) -> Manifest[LayersResults]:
    (net,) = manifest.nets
    return replace(manifest, nets=(replace(net, weights=replace(net.weights, **changes)),))


def write(manifest: Manifest[LayersResults], folder: Path) -> dict[str, Page]:
    write_gallery(manifest, folder)
    return {file.relative_to(folder).as_posix(): Page(file) for file in folder.rglob("*.html")}


def check_links(pages: dict[str, Page], folder: Path) -> set[str]:
    """Every link leads to a file in the folder or a place of its page; gives the pages reached."""
    reached = set()
    for name, page in pages.items():
        ids = [values["id"] for _, values in page.elements if "id" in values]
        assert len(ids) == len(set(ids))
        for link in page.links:
            parts = urlsplit(link)
            assert (parts.scheme, parts.netloc, parts.query) in (("", "", ""), ("data", "", ""))
            assert not parts.fragment or parts.fragment in ids
            if parts.path and not parts.scheme:
                target = normpath(
                    Path(name).parent.as_posix() + "/" + fsdecode(unquote_to_bytes(parts.path))
                )
                assert not target.startswith("..") and (folder / target).is_file(), (name, link)
                reached.add(target)
    return reached


def list_tiles(page: Page) -> list[dict[str, str]]:
    return [values for values in page.find_all("li") if "data-u" in values]


def test_front_layers_and_units_have_a_page_each_and_lead_to_one_another(tmp_path):
    pages = write(make_top_manifest(tmp_path, units=3, silent=(1,)), tmp_path)
    units = [f"{layer}/unit-{unit:04d}.html" for layer in ("conv1", "conv2") for unit in range(3)]
    assert set(pages) == {"index.html", "conv1/index.html", "conv2/index.html", *units}
    assert check_links(pages, tmp_path) >= set(pages)


def test_front_page_tells_net_weights_accuracy_photos_and_layers(tmp_path):
    page = write(make_top_manifest(tmp_path, units=6), tmp_path)["index.html"]
    for text in (
        "ZFNet",
        "bundled weights: birds",
        "top-1 61.0\u00a0%, top-5 87.0\u00a0%",
        "1200 photos",
        "1 left out",
        "it is cut off",
        "Zeiler & Fergus 2014",
        "6 units, maps of 16\u00a0×\u00a016",
        "receptive field 20\u00a0×\u00a024\u00a0px",
        "computed by windows",
        "vizcnn gallery 'my photos' --model zfnet",
    ):
        assert text in page.text, text
    sheets = [image["src"] for image in page.find_all("img")]
    # six units, of which number 5 is silent: four of the other five
    assert sheets == [
        f"{layer}/sheets/{u}-small.webp" for layer in ("conv1", "conv2") for u in range(4)
    ]


def test_weights_without_accuracy_are_said_to_be_so(tmp_path):
    manifest = make_top_manifest(tmp_path, units=1, silent=())
    text = write(change_weights(manifest, top1=None, top5=None), tmp_path)["index.html"].text
    assert "Accuracyunknown" in text
    text = write(change_weights(manifest, top1=None), tmp_path)["index.html"].text
    assert "Accuracytop-5 87.0" in text


@pytest.mark.slow
def test_layer_page_has_a_tile_for_every_unit(tmp_path):
    manifest = make_top_manifest(tmp_path, units=12)
    page = write(manifest, tmp_path)["conv1/index.html"]
    tiles = list_tiles(page)
    assert [tile["data-u"] for tile in tiles] == [str(unit) for unit in range(12)]
    assert "data-a" not in tiles[5] and "data-s" not in tiles[5] and "silent" in page.text
    for tile, unit in zip(tiles, manifest.results.layers[0].units, strict=True):
        if unit.places:
            assert float(tile["data-a"]) == pytest.approx(unit.places[0].activation, rel=1e-5)
            assert float(tile["data-s"]) == pytest.approx(unit.spread, rel=1e-3)
    images = page.find_all("img")
    assert [image["src"] for image in images] == [
        f"../conv1/sheets/{unit}-small.webp" for unit in range(12) if unit != 5
    ]
    for image in images:
        assert (image["width"], image["height"]) == ("80", "32")
        assert (image["loading"], image["decoding"]) == ("lazy", "async")
        assert image["alt"].startswith("Sheet of unit ")


@pytest.mark.slow
def test_a_layer_page_needs_less_than_half_a_kilobyte_for_a_unit(tmp_path):
    folders = [tmp_path / "few", tmp_path / "many"]
    for folder, units in zip(folders, (10, 210), strict=True):
        write_gallery(make_top_manifest(folder, units=units, layers=("conv1",)), folder)
    few, many = (len((folder / "conv1/index.html").read_bytes()) for folder in folders)
    assert (many - few) / 200 < 500


def test_unit_page_tells_its_places_photos_and_command(tmp_path):
    manifest = make_top_manifest(tmp_path, units=3, silent=())
    page = write(manifest, tmp_path)["conv2/unit-0002.html"]
    unit = manifest.results.layers[1].units[2]
    assert unit.command in page.text and "conv2 --unit 2" in unit.command
    rows = [values for values in page.find_all("tr") if "data-rank" in values]
    assert [row["data-rank"] for row in rows] == [str(rank + 1) for rank in range(TOP)]
    shown = [image["src"] for image in page.find_all("img")]
    assert shown == ["../conv2/sheets/2-large.webp"] * 2 + [
        f"../photos/{place.photo:04d}.webp" for place in unit.places
    ]
    for place in unit.places:
        assert manifest.photos[place.photo].name in page.text or place.photo == 3  # not UTF-8
        row, column = place.position or (-1, -1)
        assert f"{row}, {column}" in page.text


def test_every_picture_has_its_selectivity(tmp_path):
    manifest = make_top_manifest(tmp_path, units=4, silent=(3,))
    pages = write(manifest, tmp_path)
    about = "the 51 active units make about 1.2 different pictures by the deconvnet"
    assert f"At a place {about}, of a selectivity of ≈\u00a00.46" in pages["index.html"].text
    layer = pages["conv1/index.html"]
    assert about in layer.text and "Selectivity≈\u00a00.46 median of the units" in layer.text
    assert "medians over 99 places, 9 of 51 active units compared at each" in layer.text
    tiles = list_tiles(layer)
    for tile, unit in zip(tiles, manifest.results.layers[0].units, strict=True):
        if unit.places:
            assert float(tile["data-t"]) == pytest.approx(unit.selectivity, rel=1e-3)
            assert f"selectivity ≈\u00a0{unit.selectivity:.2f}" in layer.text
    assert "data-t" not in tiles[3]
    assert [o["value"] for o in layer.find_all("option")][-2:] == ["selectivity", "-selectivity"]
    page = pages["conv1/unit-0001.html"]
    unit = manifest.results.layers[0].units[1]
    titles = [v["title"] for v in page.find_all("span") if v.get("class") == "mark"]
    assert titles == titles[:TOP] * 2
    for rank, (title, place) in enumerate(zip(titles, unit.places, strict=False)):
        sample = ("≈\u00a0", "9 of 51") if rank else ("", "9")
        told = f"selectivity {sample[0]}{place.selectivity:.2f} among {sample[1]} active units. "
        assert title.startswith(told) and place.sentence in title and place.sentence
    median = f"≈\u00a0{unit.selectivity:.2f} median of its places. Most of such a picture"
    assert f"Selectivity{median}" in page.text


def test_what_was_not_compared_is_not_spoken_of(tmp_path):
    manifest = make_top_manifest(tmp_path, units=1, silent=(), layers=("conv1",))
    unit = manifest.results.layers[0].units[0]
    none: dict[str, Any] = dict.fromkeys(("selectivity", "compared", "active", "effective_number"))
    places = tuple(replace(place, **none) for place in unit.places)
    unit = replace(unit, places=places, selectivity=None)
    pages = write(change_layer(manifest, units=(unit,), evidence=None), tmp_path)
    for page in pages.values():
        assert "electivity" not in page.text and "active units" not in page.text
        assert not any("electivity" in str(values) for _, values in page.elements)


def test_a_unit_that_is_alone_at_its_places_says_so(tmp_path):
    manifest = make_top_manifest(tmp_path, units=1, silent=(), layers=("conv1",))
    unit = manifest.results.layers[0].units[0]
    alone: dict[str, Any] = {
        "selectivity": None,
        "compared": 1,
        "active": 1,
        "effective_number": 1.0,
    }
    places = tuple(replace(place, **alone) for place in unit.places)
    unit = replace(unit, places=places, selectivity=None)
    page = write(change_layer(manifest, units=(unit,)), tmp_path)["conv1/unit-0000.html"]
    assert "Selectivity– median of its places" in page.text
    titles = [v["title"] for v in page.find_all("span") if v.get("class") == "mark"]
    assert titles[0].endswith("No other unit is active at this place: nothing to compare with.")


@pytest.mark.parametrize("part", ["own", "common"])
def test_pages_say_which_part_they_show(tmp_path, part):
    manifest = change_results(make_top_manifest(tmp_path, units=1, silent=()), part=part)
    pages = write(manifest, tmp_path)
    for name in ("index.html", "conv1/index.html", "conv1/unit-0000.html"):
        assert f"{part} parts of the projections" in pages[name].text
        assert f"Shown{part} parts: " in pages[name].text


def test_receptive_fields_are_drawn_in_percent_of_the_photo(tmp_path):
    manifest = make_top_manifest(tmp_path, units=1, silent=())
    page = write(manifest, tmp_path)["conv1/unit-0000.html"]
    boxes = [v["style"] for v in page.find_all("span") if v.get("class") == "box"]
    for style, place in zip(boxes, manifest.results.layers[0].units[0].places, strict=True):
        top, left, width, height = (float(value) for value in re.findall(r"([\d.]+)%", style))
        drawn = (top, left, top + height, left + width)
        assert drawn == pytest.approx([100 * edge / SIDE for edge in place.box], abs=0.002)


def test_silent_units_have_a_tile_and_a_page_without_pictures(tmp_path):
    pages = write(make_top_manifest(tmp_path, units=2, silent=(0, 1)), tmp_path)
    assert "All of its units are silent" in pages["index.html"].text
    assert "2 silent on every photo" in pages["conv1/index.html"].text
    for name in ("conv1/index.html", "conv1/unit-0001.html"):
        assert pages[name].find_all("img") == [] and "silent" in pages[name].text
    check_links(pages, tmp_path)


def test_layer_without_places_has_no_column_for_them(tmp_path):
    manifest = make_top_manifest(tmp_path, units=1, silent=())
    layer = manifest.results.layers[0]
    place = replace(layer.units[0].places[0], position=None)
    unit = replace(layer.units[0], places=(place,), spread=None, name="tabby")
    unknown = {"map_size": None, "stride": None, "receptive_field": None}
    changed = change_layer(manifest, 0, units=(unit,), **unknown)
    pages = write(changed, tmp_path)
    page = pages["conv1/unit-0000.html"]
    assert "Row, column" not in page.text and "tabby unit 0 of conv1" in page.text
    assert "receptive field unknown" in pages["index.html"].text
    assert "data-s" not in list_tiles(pages["conv1/index.html"])[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NASTY, *NASTY_NAMES[:3]])
def test_everything_is_escaped(tmp_path, name):
    manifest = make_top_manifest(tmp_path, units=1, silent=(), layers=("conv1",))
    plain = write(manifest, tmp_path)
    unit = replace(manifest.results.layers[0].units[0], name=name, command=name)
    texts = dict.fromkeys(("name", "path", "scaling", "computed"), name)
    nasty = change_layer(manifest, units=(unit,), notes=(name,), **texts)
    nasty = change_weights(nasty, note=name, data=name)
    data = replace(manifest.results.data, describe=name, machines=(name,))
    nasty = replace(
        change_results(nasty, method=name, method_source=name, data=data),
        **dict.fromkeys(("title", "command"), name),
        nets=(replace(nasty.nets[0], title=name, model=name),),
        photos=tuple(replace(photo, name=name) for photo in manifest.photos),
        settings={name: name},
        versions={name: name},
    )
    pages = write(nasty, tmp_path)
    assert set(pages) == set(plain)
    for file, page in pages.items():
        assert name in page.text
        assert len(page.find_all("script")) == len(plain[file].find_all("script")) == 2
        assert {tag for tag, _ in page.elements} <= {tag for tag, _ in plain[file].elements} | {
            "span"
        }
        assert not any(key.startswith("on") for _, values in page.elements for key in values)
    check_links(pages, tmp_path)


def test_photo_whose_name_is_not_utf8_is_shown_escaped(tmp_path):
    pages = write(make_top_manifest(tmp_path, units=4, layers=("conv1",), silent=()), tmp_path)
    assert r"caf\udce9.jpg" in pages["conv1/unit-0003.html"].text


def test_layers_with_odd_names_have_folders_of_their_own(tmp_path):
    names = ("features.3", "inception4a.branch1#2", "a/b", "a:b", "../up", "Жук", "photos")
    pages = write(make_top_manifest(tmp_path, units=1, silent=(), layers=names), tmp_path)
    assert len([name for name in pages if name.endswith("/index.html")]) == len(names)
    check_links(pages, tmp_path)
    assert "inception4a.branch1#2" in pages["inception4a.branch1-2/index.html"].text
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", folder) for folder in name_folders(names))


def test_posters_notes_and_raw_values_are_linked(tmp_path):
    manifest = make_top_manifest(tmp_path, units=1, silent=())
    for name in ("poster 1.png", "poster.pdf", "raw.npz"):
        (tmp_path / name).write_bytes(b"file")
    unit = replace(manifest.results.layers[0].units[0], arrays="raw.npz")
    posters = ("poster 1.png", "poster.pdf")
    changed = change_layer(manifest, posters=posters, notes=("look out",), units=(unit,))
    pages = write(changed, tmp_path)
    assert "poster%201.png" in pages["index.html"].links
    assert {"../poster%201.png", "../poster.pdf"} < set(pages["conv1/index.html"].links)
    assert "poster (PNG) · poster (PDF)" in pages["index.html"].text
    assert "look out" in pages["conv1/index.html"].text
    assert "../raw.npz" in pages["conv1/unit-0000.html"].links


def test_strip_is_spread_over_the_units_that_are_not_silent(tmp_path):
    units = [make_unit(tmp_path, "conv1", unit) for unit in range(8)]
    empty = make_top_layer(tmp_path, "conv1", "conv1", 0)
    layer = replace(empty, units=(make_silent(9), *units))
    assert [unit.unit for unit in choose_units(layer)] == [0, 2, 4, 6]
    assert [unit.unit for unit in choose_units(layer, 20)] == list(range(8))
    assert choose_units(replace(layer, units=(make_silent(0),))) == []


def test_pages_style_and_script_ask_the_network_for_nothing(tmp_path):
    write(make_top_manifest(tmp_path, units=1, silent=()), tmp_path)
    files = [*tmp_path.rglob("*.html"), *tmp_path.glob("*.css"), *tmp_path.glob("*.js")]
    assert {"layers.css", "layers.js", "gallery.css", "gallery.js"} <= {file.name for file in files}
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttp|data:image", text)


def test_other_galleries_are_spared_the_files_of_this_one():
    base = (HERE / "templates" / "base.html").read_text(encoding="utf-8")
    assert "top." not in base


def test_many_photos_left_out_do_not_fill_the_front_page(tmp_path):
    manifest = make_top_manifest(tmp_path, units=1, silent=())
    failures = tuple(Failure(source=f"{number}.jpg", error="empty") for number in range(21))
    data = replace(manifest.results.data, describe="1200 photos in 'my photos'")
    changed = replace(change_results(manifest, data=data), failures=failures)
    page = write(changed, tmp_path)["index.html"]
    assert "21 photos left out" in page.text and "20.jpg" in page.text
    assert len(page.find_all("details")) == 2
    assert page.text.count("1200 photos") == 1
