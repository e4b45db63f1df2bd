"""``vizcnn aliasing`` as a user meets it, on a small net."""

import json
from pathlib import Path

import pytest

from tests.support.command_line import fail, run
from tests.support.small_zoo import paint_photo
from vizcnn.gallery.manifest import read_manifest
from vizcnn.pages.aliasing import AliasingResults

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    return [paint_photo(folder / f"{name}.png", seed) for seed, name in enumerate("abc")]


@pytest.mark.usefixtures("small_net")
class TestCommand:
    """The small net has a stride of 1 and units too small to show a grid: nothing to compare."""

    OPTIONS = ("--model", "zfnet", "--shift-photos", "1", "--shift", "2", "--units", "3")

    def test_writes_page_and_reports(self, tmp_path, photos):
        out = tmp_path / "out"
        done = run(
            "aliasing",
            *self.OPTIONS,
            str(photos[0].parent),
            "--out",
            str(out),
            "--json",
        )
        told = json.loads(done.stdout)
        assert Path(told["index"]) == out / "index.html"
        rows = {row["name"]: row["values"] for row in told["manifest"]["results"]["table"]}
        assert rows["alias share, photos"] == [0.0]
        assert rows["grid artefact"] == [None]
        assert "--shift-photos 1" in told["manifest"]["command"]

    def test_table_for_people(self, tmp_path, photos):
        done = run("aliasing", *self.OPTIONS, str(photos[0]), "--out", str(tmp_path / "o"))
        lines = done.stdout.splitlines()
        head = next(line for line in lines if line.startswith("measure"))
        rows = lines[lines.index(head) : -1]
        assert head.split() == ["measure", "Tiny", "$net"]
        cells = dict(line.rsplit(maxsplit=1) for line in rows)
        assert (cells["stride"], cells["grid artefact"]) == ("1", "-")
        assert cells["alias share, photos"] == "0.0%"
        assert len({len(line) for line in rows}) == 1, "the numbers stand flush right"

    def test_lists_photos_that_cannot_be_read(self, tmp_path, photos):
        folder = tmp_path / "mixed"
        paint_photo(folder / "good.png")
        (folder / "bad.png").write_bytes(b"not a photo")
        done = run(
            "aliasing",
            *self.OPTIONS,
            str(folder),
            "--out",
            str(tmp_path / "o"),
        )
        assert "left out: " in done.stderr and "bad.png" in done.stderr
        assert len(read_manifest(tmp_path / "o", AliasingResults).failures) == 1

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("",), "the name of a photo is empty"),
            (("missing",), "missing"),
            (("--weights", "auto", "--weights", "auto", "--weights", "auto"), "3 --weights for"),
            (("--shift", "0"), "--shift"),
            (("--shift", "99"), "shifts of 0 to 99 pixels"),
            (("--layer", "conv9"), "no layer 'conv9'"),
        ],
    )
    def test_refuses_in_one_line(self, arguments, words, tmp_path):
        out = tmp_path / "out"
        assert words in fail("aliasing", "--model", "zfnet", *arguments, "--out", str(out))
        assert not out.exists()
