"""The command line as a user meets it: one clear line, the right status, nothing lost."""

import json
import os
import re
import shlex
import shutil
import signal
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure

import vizcnn
from tests.support.command_line import deconv, fail, run
from tests.support.small_zoo import list_files
from vizcnn.cli.main import commands
from vizcnn.gallery.manifest import read_manifest
from vizcnn.pages.deconv import DeconvResults
from vizcnn.pages.filters import FilterResults

pytestmark = pytest.mark.usefixtures("small_net")
ROOT = Path(vizcnn.__file__).parents[1]


def list_units(folder="vizcnn-out/zfnet-deconvnet-motorcycle"):
    (photo,) = read_manifest(Path(folder), DeconvResults).results.photos
    return {layer.name: [tile.unit for tile in layer.tiles] for layer in photo.layers}


def list_commands(group=commands, words=("vizcnn",)):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from list_commands(command, (*words, name))
        else:
            yield (*words, name), command


COMMANDS = dict(list_commands())


@pytest.mark.parametrize("words", [("vizcnn",), ("vizcnn", "weights"), *COMMANDS])
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_explains_itself(words, flag):
    shown = run(*words[1:], flag).stdout
    assert shown.startswith(f"Usage: {' '.join(words).replace('vizcnn', 'commands', 1)}") or (
        shown.startswith(f"Usage: {' '.join(words)}")
    )
    for parameter in COMMANDS[words].params if words in COMMANDS else []:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help
            assert parameter.opts[0] in shown


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_manual_describes_every_command_with_its_options(words):
    pages = [page.read_text("utf-8") for page in (ROOT / "README.md", *ROOT.glob("docs/**/*.md"))]
    naming = [page for page in pages if " ".join(words) in page]
    assert naming
    if not (ROOT / "docs" / "commands").is_dir():
        pytest.skip("the manual has no pages of commands yet")
    flags = [
        flag
        for option in COMMANDS[words].params
        if not getattr(option, "hidden", False)
        for flag in (*option.opts, *option.secondary_opts)
        if flag.startswith("--")
    ]
    told = [flag for flag in flags if re.search(rf"{flag}(?![\w-])", "\n".join(naming))]
    assert told == flags


def test_version_and_help_without_a_command():
    assert run("--version").stdout == f"vizcnn, version {vizcnn.__version__}\n"
    for group in ([], ["weights"]):
        assert run(*group, status=2).stderr.startswith("Usage: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["decnov"], "no command 'decnov': did you mean 'deconv'?"),
        (["weights", "ftech"], "ftech"),
        (["deconv", "--model", "zfent"], "no net 'zfent': did you mean 'zfnet'"),
        (["models", "vgg61"], "did you mean 'vgg"),
        (["weights", "fetch", "alexnat"], "did you mean 'alexnet'"),
        (["weights", "fetch"], "NET"),
        (["deconv", "--methd", "guided"], "--method"),
        (["deconv", "--method", "gradeint"], "'deconvnet', 'guided', 'gradient'"),
        (["deconv", "--layer", "convv1"], "no layer 'convv1': did you mean 'conv1'"),
        (["deconv", "--layer", "conv5..conv1"], "needed: the lower layer first"),
        (["deconv", "--layer", ""], "no layer is named"),
        (["deconv", "--layer", "conv1", "--unit", "12"], "layer conv1: unit 12 does not exist"),
        (
            ["deconv", "--layer", "conv1", "--unit", "-1"],
            "'-1' is no unit; needed: a number",
        ),
        (["deconv", "--unit", "3.5"], "'3.5' is no unit"),
        (["deconv", "--top", "0"], "--top"),
        (["deconv", "--part", "half"], "'whole', 'own', 'common'"),
        (
            ["deconv", "--compare", "0"],
            "whole number from 1 to 1000000000, all or none",
        ),
        (["deconv", "--compare", ""], "'' is not a whole number"),
        (["deconv", "--part", "own", "--compare", "none"], "compare is none; needed: a number of"),
        (["deconv", "--position", "middle"], "needed: max, all, or ROW,COLUMN"),
        (["deconv", "--layer", "conv2", "--position", "16,0"], "layer conv2: position (16, 0)"),
        (["deconv", "--device", "gpu"], "device 'gpu' cannot be used"),
        (["deconv", "--device", "meta"], "device 'meta' cannot be used"),
        (["deconv", "--seed", "9" * 30], "--seed"),
        (["deconv", "--seed", "-1"], "--seed"),
        (["deconv", "--format", "jpg"], "'png', 'svg', 'pdf'"),
        (["deconv", ""], "the name of a photo is empty"),
        (["deconv", "cofee"], "did you mean 'coffee'"),
        (["deconv", "photo.jpg"], "photo.jpg"),
        (["filters", "--model", "zfnet", "--scale", "big"], "'unit', 'shared'"),
        (["train", "x", "--out", "y"], "--model"),
    ],
)
def test_mistakes_are_one_line_that_helps(arguments, words, tmp_path):
    assert words in fail(*arguments)
    assert list_files(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_default_is_a_sample_and_every_convolution():
    result = run("deconv", "--top", 2)
    folder = Path("vizcnn-out/zfnet-deconvnet-motorcycle")
    assert f"gallery: {folder / 'index.html'}" in result.stdout
    assert "1 photo(s), 10 projections by deconvnet" in result.stdout
    assert "random weights (untrained)" in result.stdout
    assert result.stderr == ""
    assert list(list_units()) == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    assert read_manifest(folder, DeconvResults).photos[0].source == "sample motorcycle"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "layers"),
    [
        (["--layer", "conv2..conv3,fc6"], ["conv2", "conv3", "fc6"]),
        (["--layer", "conv3", "--layer", "conv1,conv3"], ["conv3", "conv1"]),
    ],
)
def test_layers_as_lists_and_ranges(arguments, layers):
    run("deconv", "--top", 1, *arguments)
    assert list(list_units()) == layers


@pytest.mark.slow
def test_units_are_taken_as_given_and_once():
    deconv("--unit", 7, "--unit", 0, "--unit", 7)
    assert list_units() == {"conv1": [7, 0]}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "files"),
    [
        (["--format", "svg"], {"photo-001/summary.svg", "photo-001/conv1/strip.svg"}),
        (["--format", "pdf", "--scale", "shared"], {"photo-001/summary.pdf"}),
        (["--save-arrays", "--method", "guided"], {"photo-001/conv1/arrays.npz"}),
        (["--position", "all", "--normalisation", "gradient"], {"photo-001/summary.png"}),
        (["--part", "own", "--compare", "all"], {"photo-001/conv1/control.png"}),
        (["--compare", "none"], set()),
        (["--position", "2,3", "--method", "gradient", "--unruled", "gradient"], set()),
    ],
)
def test_options_reach_the_gallery_and_the_recorded_command_repeats_it(arguments, files, tmp_path):
    deconv("--out", "first out", *arguments)
    first = list_files(tmp_path / "first out")
    assert set(first) >= files
    command = json.loads(first["manifest.json"])["command"]
    words = shlex.split(command)
    assert words[0] == "vizcnn"
    assert words[words.index("--out") + 1] == "first out"
    shutil.rmtree(tmp_path / "first out")
    run(*words[1:])
    assert list_files(tmp_path / "first out") == first


@pytest.mark.slow
def test_filters_repeat_too(tmp_path):
    result = run("filters", "--scale", "shared", "--format", "svg")
    assert "all 12 filters of the first layer" in result.stdout
    first = list_files(tmp_path)
    words = shlex.split(read_manifest(Path("vizcnn-out/zfnet-filters"), FilterResults).command)
    run(*words[1:])
    assert list_files(tmp_path) == first


@pytest.mark.slow
def test_json_reports_parse_and_match_the_files():
    for arguments, folder in (
        (["deconv", "--layer", "conv1", "--top", 1], "vizcnn-out/zfnet-deconvnet-motorcycle"),
        (["filters"], "vizcnn-out/zfnet-filters"),
    ):
        report = json.loads(run(*arguments, "--json").stdout)
        assert Path(report["index"]) == Path(folder) / "index.html"
        written = json.loads((Path(folder) / "manifest.json").read_text())
        assert report["manifest"] == written
        assert "--json" not in written["command"]
    assert {row["name"] for row in json.loads(run("models", "--json").stdout)} >= {"zfnet"}
    assert set(json.loads(run("weights", "where", "--json").stdout)) == {"cache"}


@pytest.mark.parametrize("command", ["deconv", "filters"])
def test_a_folder_of_others_is_left_alone(tmp_path, command):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    assert "not vizcnn's: choose another --out" in fail(command, "--out", "mine")
    assert list_files(tmp_path) == {"mine/thesis.txt": b"years"}
    assert "mine/thesis.txt" in fail(command, "--out", "mine/thesis.txt")


def test_a_photos_folder_that_is_a_link_is_not_written_into(tmp_path):
    deconv("--out", "out")
    (tmp_path / "out" / "photo-001").rename(tmp_path / "elsewhere")
    (tmp_path / "out" / "photo-001").symlink_to(tmp_path / "elsewhere")
    before = list_files(tmp_path / "elsewhere")
    line = fail("deconv", "--top", 2, "--layer", "conv2", "--out", "out")
    assert "'out/photo-001' is a link" in line and "choose another --out" in line
    assert list_files(tmp_path / "elsewhere") == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(28, "No space left on device"), 2, "No space left on device"),
        (MemoryError(), 2, "not enough memory"),
        (
            type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"),
            2,
            "not enough memory",
        ),
    ],
)
def test_what_stops_a_run_is_one_line_and_leaves_nothing(
    tmp_path, monkeypatch, error, status, words
):
    here = os.getpid()

    def stop(*arguments, **options):
        if isinstance(error, KeyboardInterrupt):  # of the command, whichever process draws
            os.kill(here, signal.SIGINT)
            time.sleep(30)
        raise error

    monkeypatch.setattr(Figure, "savefig", stop)
    assert words in fail("deconv", "--layer", "conv1", status=status)
    assert list(tmp_path.iterdir()) == []


def test_a_fault_of_our_own_keeps_its_traceback(monkeypatch):
    def break_down(*arguments, **options):
        raise ZeroDivisionError

    monkeypatch.setattr(Figure, "savefig", break_down)
    result = CliRunner().invoke(commands, ["deconv", "--layer", "conv1"])
    assert isinstance(result.exception, ZeroDivisionError)
