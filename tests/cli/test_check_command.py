"""``vizcnn check`` as a user meets it, on a small net."""

import json
from pathlib import Path

import pytest

from tests.support.command_line import fail, run
from tests.support.small_zoo import paint_photo
from vizcnn.gallery.manifest import read_manifest
from vizcnn.pages.check import CheckResults

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(3):
        paint_photo(folder / f"{seed}.png", seed)
    return folder


@pytest.mark.usefixtures("small_net")
class TestCommand:
    OPTIONS = ("--layer", "conv2", "--count", "2", "--compare", "2", "--top", "conv2")

    def test_json_gives_all_tables(self, tmp_path, photos):
        out = tmp_path / "out"
        two = (
            "--model",
            "zfnet",
            "--model",
            "alexnet",
            "--method",
            "guided",
            "--method",
            "deconvnet",
        )
        done = run("check", *two, *self.OPTIONS, photos, "--out", out, "--json")
        told = json.loads(done.stdout)
        assert Path(told["index"]) == out / "index.html"
        tables = told["manifest"]["results"]["tables"]
        assert {row["net"] for row in tables["sameness"]} == {0, 1}
        assert {row["method"] for row in tables["cascade"]} == {"guided", "deconvnet"}
        (row, *_) = tables["control"]
        assert {*row["own"]} == {"value", "low", "high", "photos"}
        assert "--compare 2" in told["manifest"]["command"]

    def test_numbers_for_people(self, tmp_path, photos):
        done = run(
            *("check", *self.OPTIONS, "--method", "guided"),
            *(photos, "--out", tmp_path / "o", "--seed", "3"),
        )
        (row, _) = read_manifest(tmp_path / "o", CheckResults).results.tables.sameness
        assert f"Tiny $net conv2 guided: cosine {row.cosine.value:.2f}, pictures " in done.stdout
        assert "conv2 shuffled, trained switches, guided: similarity " in done.stdout
        assert "conv2 under a grey square, guided: own " in done.stdout
        assert "deconvnet" not in done.stdout and "seed 3" in done.stdout

    def test_photos_that_cannot_be_read_are_listed(self, tmp_path, photos):
        folder = tmp_path / "mixed"
        paint_photo(folder / "good.png")
        (folder / "bad.png").write_bytes(b"no photo")
        done = run(
            "check",
            *("--layer", "conv2", "--top", "conv2", "--method", "gradient", folder),
            *("--out", tmp_path / "o"),
        )
        assert "left out: " in done.stderr and "bad.png" in done.stderr

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("",), "the name of a photo is empty"),
            (("missing",), "no folder 'missing'"),
            (("--count", "0"), "not a whole number from 1 to 10000"),
            (("--compare", "0"), "not a whole number from 1"),
            (("--method", "gradcam"), "'gradcam' is not one of"),
            (("--layer", "conv9"), "no layer 'conv9'"),
            (("--layer", "fc6"), "fc6 has no feature maps: give a convolutional layer"),
            (("--top", "conv9"), "no layer 'conv9'"),
            (("--weights", "auto", "--weights", "auto"), "2 --weights for 1 --model"),
            (("--model", "zfnet") * 7, "7 nets are named"),
        ],
    )
    def test_refuses_in_one_line(self, arguments, words, tmp_path, photos):
        data = (photos,) if arguments[0].startswith("-") else ()
        out = tmp_path / "out"
        assert words in fail("check", *arguments, *data, "--out", out)
        assert not out.exists()

    @pytest.mark.parametrize("option", ["--photos", "--count"])
    def test_how_many_photos_by_either_name(self, option, tmp_path, photos):
        words = ("--layer", "conv2", "--top", "conv2", "--compare", "2", "--method", "gradient")
        run("check", photos, *words, option, "2", "--out", tmp_path / "o")
        manifest = read_manifest(tmp_path / "o", CheckResults)
        assert manifest.settings["photos"] == 2
        assert "--count 2" in manifest.command and "--photos" not in manifest.command

    def test_two_numbers_of_photos_are_refused(self, photos):
        assert "2 numbers of photos" in fail("check", photos, "--photos", "2", "--count", "3")
