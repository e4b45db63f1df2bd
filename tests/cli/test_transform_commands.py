"""``vizcnn invariance`` and ``vizcnn correspond``: one clear line, the right status, repeatable."""

import json
import shlex
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.support.command_line import fail, run
from tests.support.small_zoo import list_files, paint_photo
from vizcnn.cli.main import commands
from vizcnn.gallery.manifest import read_manifest
from vizcnn.pages.correspond import CorrespondResults
from vizcnn.pages.invariance import InvarianceResults

pytestmark = pytest.mark.usefixtures("small_net")
FEW = ("--draws", "2", "--permutations", "9", "--dpi", "30")
QUICK = ("--dpi", "30", "--shift", "-2..2:2", "--scale", "none", "--rotate", "0,90")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--shift", "5"], "out of the net's input of 32"),
        (["--shift", "0..3"], "needed: FIRST..LAST:STEP"),
        (["--scale", "0"], "needed: 0.1 to 10"),
        (["--rotate", "\u0661"], "needed: FIRST..LAST:STEP"),
        (["--border", "pink"], "'photo', 'reflect', 'mask', 'black', 'wrap'"),
        (["--window", "2"], "needed: a share from 0.05 to 1"),
        (["--window", "nan"], "is not a number above 0"),
        (["--layer", "conv"], "no layer 'conv'"),
        (["--fit", "pad"], "use fit crop or squash"),
        (["--fit", "none"], "fit"),
    ],
)
def test_odd_wishes_end_in_one_line(tmp_path, arguments, told):
    photo = paint_photo(tmp_path / "a.png")
    if arguments == ["--shift", "5"]:
        arguments = ["--shift", "32"]
    assert told in fail("invariance", photo, *arguments, "--out", "out")
    assert not Path("out").exists()


def test_invariance_reports_and_repeats(tmp_path):
    paint_photo(tmp_path / "dog" / "a.png")
    told = run("invariance", "dog", *QUICK, "--border", "mask", "--out", "out").stdout
    assert "moved back" in told and "shift" in told and "rotate" in told and "scale" not in told
    made = read_manifest(Path("out"), InvarianceResults)
    assert made.results.classes[0].is_true
    assert made.settings["shift"] == [-2.0, 0.0, 2.0] and made.settings["scale"] == []
    before = list_files(tmp_path / "out")
    run(*shlex.split(made.command)[1:])
    assert list_files(tmp_path / "out") == before
    report = json.loads(run("invariance", "dog", *QUICK, "--json", "--out", "out").stdout)
    assert report["manifest"]["results"]["rows"][0]["kind"] == "shift"


def test_several_nets_have_a_page_each(tmp_path):
    paint_photo(tmp_path / "a.png")
    nets = ("--model", "alexnet", "--model", "zfnet")
    told = run("invariance", "a.png", *nets, *QUICK, "--out", "out").stdout
    assert "2 nets side by side" in told
    assert Path("out/alexnet/layers.png").is_file() and Path("out/zfnet/index.html").is_file()


def test_correspond_takes_a_file_and_reports(tmp_path):
    for seed in (1, 2, 3):
        paint_photo(tmp_path / "set" / f"{seed}.png", seed)
    photos = [{"photo": f"{seed}.png", "parts": {"nose": [20, 20, 32, 30]}} for seed in (1, 2, 3)]
    Path("set/parts.json").write_text(json.dumps({"photos": photos}))
    told = run("correspond", "set/parts.json", *FEW).stdout
    out = Path("vizcnn-out/zfnet-parts.json-correspond")
    assert "signs differ" in told and str(out) in told
    made = read_manifest(out, CorrespondResults)
    before = list_files(tmp_path / out)
    run(*shlex.split(made.command)[1:])
    assert list_files(tmp_path / out) == before


def test_correspond_without_a_file_takes_the_faces():
    run("correspond", *FEW, "--layer", "conv1", "--fit", "squash")
    made = read_manifest(Path("vizcnn-out/zfnet-correspond"), CorrespondResults)
    assert made.results.parts == ("right eye", "left eye", "nose")
    assert [photo.name for photo in made.photos] == [
        *("chelsea", "raccoon.jpg", "astronaut", "grace_hopper.jpg")
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "it is not JSON"),
        ('{"photos": []}', "has 0 photos; needed: 2 to 200"),
        ('{"photo": []}', "unknown field"),
        (
            '{"photos": [{"photo": "a.png", "parts": {"nose": [0, 0, 9, 99]}},'
            ' {"photo": "a.png", "parts": {"nose": [0, 0, 9, 9]}}]}',
            "the part 'nose' of 'a.png' is [0, 0, 9, 99]; needed: top, left, bottom and right",
        ),
    ],
)
def test_files_of_parts_that_cannot_be_used_end_in_one_line(tmp_path, content, told):
    paint_photo(tmp_path / "a.png")
    Path("parts.json").write_text(content)
    assert told in fail("correspond", "parts.json", "--out", "out")
    assert "no file of parts" in fail("correspond", "missing.json", "--out", "out")
    assert "give one" in fail("correspond", "a.json", "b.json")
    assert not Path("out").exists()


@pytest.mark.parametrize("command", ["invariance", "correspond"])
def test_nets_that_are_done_are_kept_when_a_later_one_is_interrupted(
    tmp_path, monkeypatch, command
):
    page = import_module(f"vizcnn.pages.{command}")
    make = getattr(page, f"make_{command}_gallery")
    begun = []

    def stop(*arguments):
        begun.append(arguments)
        if len(begun) > 1:
            raise KeyboardInterrupt
        return make(*arguments)

    paint_photo(tmp_path / "a.png")
    quick = (
        ("a.png", *QUICK)
        if command == "invariance"
        else (*FEW, "--layer", "conv1", "--fit", "squash")
    )
    given = (command, *quick, "--model", "alexnet", "--model", "zfnet", "--out", "out")
    with monkeypatch.context() as patch:
        patch.setattr(page, f"make_{command}_gallery", stop)
        result = CliRunner().invoke(commands, list(given))
    assert result.exit_code == 130
    assert "run the same command again to continue" in result.stderr
    assert Path("out/alexnet/index.html").is_file() and not Path("out/index.html").exists()
    run(*given)
    assert Path("out/index.html").is_file() and Path("out/zfnet/index.html").is_file()
