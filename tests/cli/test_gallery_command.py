"""``vizcnn gallery`` as a user meets it."""

import json
import os
import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.support.command_line import fail, run
from tests.support.small_zoo import list_files
from tests.support.top_runs import write_noise, write_photos
from vizcnn.gallery.manifest import Manifest, read_manifest
from vizcnn.pages.layers.site_pages import LayersResults

pytestmark = pytest.mark.usefixtures("small_net", "one_thread")


def gallery(*arguments, status=0):
    return run("gallery", "--workers", 0, "--layer", "conv3", *arguments, status=status)


def read(folder) -> Manifest[LayersResults]:
    return read_manifest(Path(folder), LayersResults)


@pytest.mark.slow
def test_the_recorded_commands_repeat_the_run_and_one_unit_of_it(tmp_path):
    write_photos(tmp_path / "my photos", 8)
    arguments = ("--top", 2, "--per-photo", 2, "--scale", "shared", "--method", "guided")
    arguments = (*arguments, "--part", "own", "--compare", 3)
    gallery("my photos", "--out", "a b", "--poster", "--poster-units", 2, *arguments)
    first = list_files(tmp_path / "a b")
    manifest = read("a b")
    assert manifest.settings["scaling"] == "shared"
    assert (manifest.settings["part"], manifest.settings["compare"]) == ("own", 3)
    assert (tmp_path / "a b" / manifest.results.layers[0].posters[0]).is_file()
    shutil.rmtree(tmp_path / "a b")
    run(*shlex.split(manifest.command)[1:])
    assert list_files(tmp_path / "a b") == first
    unit = manifest.results.layers[0].units[7]
    words = shlex.split(unit.command)
    assert words[:2] == ["vizcnn", "gallery"]
    run(*words[1:])
    alone = Path(words[words.index("--out") + 1])
    (repeated,) = read(alone).results.layers[0].units
    assert repeated.unit == 7
    assert (alone / repeated.large).read_bytes() == first[unit.large]
    for place, first_place in zip(repeated.places, unit.places, strict=True):
        assert (place.activation, place.label) == (first_place.activation, first_place.label)
        assert (place.compared, place.active) == (first_place.compared, first_place.active)


@pytest.mark.slow
def test_without_data_it_mines_the_photos_of_scikit_image():
    result = gallery("--unit", 3, "--top", 4)
    assert "patches of scikit-image's sample photos" in result.stdout
    assert "conv3: 1 units, 4 projections by deconvnet (computed by windows)" in result.stdout
    assert "gallery: vizcnn-out/zfnet-deconvnet-gallery/index.html" in result.stdout
    assert re.search(r"conv3: the \d+ active units make .*; selectivity ", result.stdout)
    manifest = read("vizcnn-out/zfnet-deconvnet-gallery")
    assert manifest.settings["compare"] == 3
    assert manifest.photos[0].name.split("/")[0] in ("astronaut", "chelsea", "coffee", "hubble")


def test_json_is_the_manifest_and_the_page(tmp_path):
    write_noise(tmp_path / "photos" / "a.png", 1)
    result = gallery("photos", "--out", "out", "--json")
    told = json.loads(result.stdout)
    assert told["index"] == "out/index.html"
    assert told["manifest"] == json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert told["manifest"]["results"]["data"]["describe"] == "1 photos in 'photos'"


def test_without_a_comparison_no_selectivity_is_told(tmp_path):
    write_noise(tmp_path / "photos" / "a.png", 1)
    result = gallery("photos", "--out", "out", "--compare", "none")
    assert "selectivity" not in result.stdout
    manifest = read("out")
    assert manifest.settings["compare"] is None and "--compare none" in manifest.command
    assert manifest.results.layers[0].evidence is None


@pytest.mark.slow
def test_unreadable_photos_are_told_and_change_the_status(tmp_path):
    write_photos(tmp_path / "photos", 4)
    (tmp_path / "photos" / "empty.jpg").write_bytes(b"")
    result = gallery("photos", "--out", "out")
    assert "left out: " in result.stderr
    assert "empty.jpg" in result.stderr
    assert (tmp_path / "out" / "index.html").exists()


def test_odd_names_of_photos_go_through(tmp_path):
    write_photos(tmp_path / "photos", 3)
    for name in (b"<script>alert(1)<.png", b"caf\xe9 \xff.png", b"$(rm -rf x) 'q\".png"):
        photo = write_noise(tmp_path / "new.png", len(name))
        photo.rename(tmp_path / "photos" / os.fsdecode(name))
    gallery("photos", "--out", "out", "--top", 6)
    assert len(read("out").photos) == 6
    pages = "".join(path.read_text() for path in (tmp_path / "out").rglob("*.html"))
    assert "alert(1)" in pages
    assert "<script>alert" not in pages


@pytest.mark.slow
def test_an_earlier_index_spares_the_mining(tmp_path):
    write_photos(tmp_path / "photos", 8)
    gallery("photos", "--out", "out", "--top", 3)
    index = Path("out/strongest.safetensors")
    gallery("photos", "--out", "less", "--top", 2, "--index", index)
    assert len(read("less").results.layers[0].units[0].places) == 2
    assert "top: 3, not 4" in fail(
        "gallery", "photos", "--layer", "conv3", "--top", 4, "--index", index
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "no folder 'nowhere'"),
        ([""], "the name of a photo is empty"),
        (["bare"], "no photos in 'bare'"),
        (["--layer", "conv9"], "no layer 'conv9'"),
        (["--layer", "conv3", "--unit", 10], "layer conv3: no unit 10; it has units 0..9"),
        (["--top", 0], "'0' is not a whole number"),
        (["--top", 2, "--per-photo", 3], "3 places of one photo among 2"),
        (["--method", "magic"], "'magic' is not one of"),
        (["--part", "half"], "'half' is not one of"),
        (["--compare", "some"], "'some' is not a whole number from 1"),
        (["--part", "own", "--compare", "none"], "the own part of a picture is found by"),
        (["--model", "zfent"], "did you mean 'zfnet'"),
        (["--index", "gone.safetensors"], "no index 'gone.safetensors'"),
        (["--index", "bare/note.txt"], "'bare/note.txt' cannot be read as an index"),
        (["--out", "bare"], "holds files that are not vizcnn's"),
    ],
)
def test_mistakes_are_one_line_that_helps(arguments, words, tmp_path):
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "note.txt").write_text("mine")
    assert words in fail("gallery", "--workers", 0, *arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["bare"]
    assert list_files(tmp_path / "bare") == {"note.txt": b"mine"}


def test_other_ranks_and_ranges_are_told(tmp_path):
    for number in range(6):
        write_noise(
            tmp_path / "photos" / ("dog" if number % 2 else "of nothing") / f"{number}.png", number
        )
    few = ("photos", "--unit", "0..3", "--top", 2, "--compare", "none")
    result = gallery(*few, "--rank", "LOWEST", "--range", "--out", "low")
    assert "ranked: photos with the lowest maximum first" in result.stdout
    command = read("low").command
    assert "--rank lowest --range" in command
    before = list_files(tmp_path / "low")
    shutil.rmtree(tmp_path / "low")
    run(*shlex.split(command)[1:])
    assert list_files(tmp_path / "low") == before
    result = gallery(*few, "--rank", "relevance", "--out", "rel")
    assert "3 photo(s) in folders that name no class left out" in result.stdout
    unit = read("low").results.layers[0].units[2]
    assert "--rank lowest --range" in unit.command
    words = shlex.split(unit.command)
    run(*words[1:])
    alone = Path(words[words.index("--out") + 1])
    (repeated,) = read(alone).results.layers[0].units
    assert [place.activation for place in repeated.places] == [
        place.activation for place in unit.places
    ]


def test_relevance_without_classes_is_refused(tmp_path):
    write_noise(tmp_path / "photos" / "a.png", 1)
    error = fail("gallery", "photos", "--layer", "conv3", "--rank", "relevance", "--out", "out")
    assert "no photo lies in a folder named after a class" in error
    assert not (tmp_path / "out").exists()
