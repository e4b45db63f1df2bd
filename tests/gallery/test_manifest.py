import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.galleries import make_deconv, make_filters
from vizcnn.basics.codec import ManifestError, find_files
from vizcnn.basics.errors import VizcnnError
from vizcnn.basics.files import write_text
from vizcnn.gallery.manifest import (
    SCHEMA,
    Failure,
    Manifest,
    from_json,
    read_manifest,
    to_json,
    write_manifest,
)
from vizcnn.pages.deconv import DeconvResults
from vizcnn.pages.filters import FilterResults

NAMES = ["plain.png", 'a "quoted" <script>.png', "café\n#1?.png", "caf\udce9.png"]


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest[DeconvResults]:
    failures = (Failure(source="b.jpg", error="empty"),)
    return make_deconv(
        tmp_path, *NAMES, failures=failures, settings={"top": 9, "seed": None, "scale": 0.5}
    )


def test_deconv_manifest_survives_the_round_trip(manifest):
    assert from_json(to_json(manifest), DeconvResults) == manifest


@pytest.mark.parametrize("several", [False, True])
def test_filter_manifest_survives_the_round_trip(tmp_path, several):
    manifest = make_filters(tmp_path, several=several)
    assert read_manifest(write_manifest(manifest, tmp_path), FilterResults) == manifest
    assert read_manifest(tmp_path, FilterResults) == manifest


@pytest.mark.parametrize("schema", [1, 2, None])
def test_a_manifest_as_it_once_was_is_refused(tmp_path, schema):
    old = {"schema": schema, "kind": "filters", "title": "Filters", "layers": []}
    (tmp_path / "manifest.json").write_text(json.dumps(old))
    with pytest.raises(ManifestError, match=f"schema {schema}: this vizcnn reads {SCHEMA}; write"):
        read_manifest(tmp_path, FilterResults)


def test_files_of_filters_are_found(tmp_path):
    files = find_files(make_filters(tmp_path, count=2, several=True))
    tiles = ["zfnet-0.png", "zfnet-1.png", "alexnet-0.png", "alexnet-1.png"]
    assert files == ["filters.png", "numbers.pdf", *tiles]


def test_free_keys_are_sorted_so_that_a_repeat_gives_identical_bytes(manifest, tmp_path):
    turned = replace(manifest, settings=dict(reversed(manifest.settings.items())))
    first = write_manifest(manifest, tmp_path / "first").read_bytes()
    second = write_manifest(turned, tmp_path / "second").read_bytes()
    assert first == second
    assert list(json.loads(first))[:2] == ["schema", "kind"]


def test_every_file_is_found_once(manifest):
    files = find_files(manifest)
    # per photo: itself and its figure, per layer four pairs, two figures and the overlay, and in
    # one layer the control: four pictures, a patch and a figure
    assert len(files) == len(NAMES) * (2 + 2 * (2 * 4 + 3) + 6) == len(set(files))


def damage(text: str, **changes: object) -> str:
    return json.dumps(json.loads(text) | changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"command": 3}, "Manifest.command: expected `str`, got `int`"),
        ({"title": None}, "Manifest.title: expected `str`, got `null`"),
        ({"kind": "recipe"}, "kind 'recipe'"),
        ({"kind": ["deconv"]}, "needed is 'deconv'"),
        ({"surprise": 1}, "unknown field `surprise`"),
        ({"photos": {}}, "Manifest.photos: expected `array`, got `object`"),
        ({"photos": [3]}, r"photos\[0\]: expected `object`, got `int`"),
        ({"failures": [{"source": "a"}]}, r"failures\[0\]: object missing required field `error`"),
        ({"versions": {"torch": 2}}, r"versions\[...\]: expected `str`, got `int`"),
        ({"settings": []}, "settings: expected `object`, got `array`"),
    ],
)
def test_damaged_manifest_is_refused_in_one_clear_line(manifest, changes, said):
    with pytest.raises(ManifestError, match=said) as caught:
        from_json(damage(to_json(manifest), **changes), DeconvResults)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "file", ["/etc/passwd", "../a.png", "a/../../b.png", "C:\\a.png", "", 3, "a\0.png"]
)
def test_files_outside_the_folder_are_refused(manifest, file):
    raw = json.loads(to_json(manifest))
    raw["photos"][0]["image"] = file
    with pytest.raises(
        ManifestError, match=r"Manifest\.photos\[0\]\.image: (needed is a file|expected `str)"
    ):
        from_json(json.dumps(raw), DeconvResults)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("activation", True, "activation: expected `float`, got `bool`"),
        ("activation", "3", "activation: expected `float`, got `str`"),
        ("activation", float("nan"), "activation: needed is a finite number"),
        ("activation", 10**400, "activation: number out of range"),
        ("unit", 1.5, "unit: expected `int`, got `float`"),
        ("box", [1, 2, 3], "box: expected `array` of length 4, got 3"),
        ("boxes", 1, ": object contains unknown field `boxes`"),
        ("position", "all", "position: expected `array | null`, got `str`"),
    ],
)
def test_damaged_tile_is_refused(manifest, key, value, said):
    raw = json.loads(to_json(manifest))
    raw["results"]["photos"][1]["layers"][0]["tiles"][2][key] = value
    with pytest.raises(ManifestError, match=rf"photos\[1\].layers\[0\].tiles\[2\].*{said}"):
        from_json(json.dumps(raw), DeconvResults)


def test_whole_numbers_and_nulls_are_read_where_they_fit(manifest):
    raw = json.loads(to_json(manifest))
    raw["results"]["photos"][0]["layers"][0]["tiles"][0] |= {"activation": 3, "position": None}
    tile = from_json(json.dumps(raw), DeconvResults).results.photos[0].layers[0].tiles[0]
    assert (type(tile.activation), tile.position) == (float, None)


@pytest.mark.parametrize(
    "value", [float("inf"), float("nan"), object(), {1, 2}, b"bytes", Path("a")]
)
def test_what_json_cannot_hold_is_refused_and_the_old_file_stays(manifest, tmp_path, value):
    file = write_manifest(manifest, tmp_path)
    before = file.read_bytes()
    with pytest.raises(ManifestError, match=r"settings\['odd'\] is"):
        write_manifest(replace(manifest, settings={"odd": value}), tmp_path)
    assert file.read_bytes() == before


def test_wrong_type_is_refused_when_writing(manifest, tmp_path):
    with pytest.raises(ManifestError, match=r"Manifest\.title: expected `str`, got `int`"):
        write_manifest(replace(manifest, title=3), tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        (b"", "is empty"),
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff\xfe", "not text"),
        (b"[]", "kind None"),
    ],
)
def test_files_that_are_no_manifest_are_refused_with_their_name(tmp_path, contents, said):
    (tmp_path / "manifest.json").write_bytes(contents)
    with pytest.raises(VizcnnError, match=rf"manifest\.json.*{said}"):
        read_manifest(tmp_path, DeconvResults)


def test_missing_manifest_is_refused_with_its_name(tmp_path):
    with pytest.raises(ManifestError, match=r"^no manifest '.*manifest\.json': check the path$"):
        read_manifest(tmp_path, DeconvResults)


def test_failed_move_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    file = write_text(tmp_path / "page.html", "old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(VizcnnError, match="cannot be written"):
        write_text(file, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert file.read_text() == "old"


def test_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    whole = Path.write_bytes

    def stop_half_way(self: Path, data: bytes) -> int:
        whole(self, data[: len(data) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", stop_half_way)
    with pytest.raises(KeyboardInterrupt):
        write_text(tmp_path / "page.html", "half of this")
    assert not list(tmp_path.iterdir())
