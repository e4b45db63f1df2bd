"""``vizcnn occlude`` as a user meets it."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from tests.support.command_line import fail, run
from tests.support.small_zoo import list_files, paint_photo

pytestmark = pytest.mark.usefixtures("small_net")


@pytest.mark.slow
def test_prints_what_falls_and_the_recorded_command_repeats_it(tmp_path):
    photo = paint_photo(tmp_path / "photo $1.png")
    words = ("--side", 8, "--stride", 8, "--fill", "Gray", "--unit", 2, "--layer", "conv3")
    told = run("occlude", photo, *words, "--out", "out", "--format", "svg").stdout
    assert "photo $1.png: 16 places; conv3 unit 2" in told
    assert "predicted" in told
    first = list_files(tmp_path / "out")
    assert "occlusion.svg" in first
    manifest = json.loads(first["manifest.json"])
    assert manifest["settings"]["fill"] == "grey"
    (found,) = manifest["results"]["photos"]
    with np.load(Path("out") / found["arrays"]) as arrays:
        least = 100 * arrays["probability"].min()
    assert f"falls to {least:.1f}\u00a0% at the lowest" in told
    fall = 100 * found["probability"]["whole"] - least
    assert f"<td>{fall:.1f} points</td>" in first["index.html"].decode()
    run(*shlex.split(manifest["command"])[1:])
    assert list_files(tmp_path / "out") == first


@pytest.mark.slow
def test_several_nets_stand_side_by_side():
    photo = paint_photo(Path("a.png"))
    report = run(
        "occlude", photo, "--model", "zfnet", "--model", "zfnet", "--stride", 4, "--json"
    ).stdout
    assert len(json.loads(report)["manifest"]["results"]["runs"]) == 2


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--fill", "pink"), "fill 'pink' is not known; needed: mean, grey, blur, black, white"),
        (("--fill", "300"), "a pixel value 0 to 255"),
        (("--side", "999"), "does not fit the net's 32 px"),
        (("--side", "2", "--stride", "3"), "are never hidden"),
        (("--unit", "99"), "99"),
        (("--class", "zebra"), "no class 'zebra'"),
        (("--index", "a.safetensors"), "an index holds no photos: give those that it was mined"),
        (("--index-data", "photos"), "--index-data), but no index: give that too (--index)"),
    ],
)
def test_bad_choices_end_in_one_line_and_nothing_is_made(words, line, tmp_path):
    photo = paint_photo(tmp_path / "a.png")
    assert line in fail("occlude", photo, *words, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
