"""The command line as a user meets it: one clear line, the right status, nothing lost."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import vizcnn
from tests.small_zoo import list_files, make_model, paint_photo
from vizcnn.cli.main import commands
from vizcnn.gallery.manifest import read_manifest

MODEL = make_model()
ROOT = Path(vizcnn.__file__).parents[1]


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """Every test runs in its own folder; nets are the small one."""
    monkeypatch.setattr(vizcnn, "load", lambda name, **options: MODEL)
    monkeypatch.chdir(tmp_path)


def run(*arguments, status=0):
    result = CliRunner().invoke(commands, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    return result


def fail(*arguments, status=2) -> str:
    """The one line that a failing command gives."""
    result = run(*arguments, status=status)
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1
    return result.stderr


def deconv(*arguments, status=0, top=1, layer="conv1"):
    return run("deconv", "--top", top, "--layer", layer, *arguments, status=status)


def list_units(folder="vizcnn-out/zfnet-deconvnet"):
    (photo,) = read_manifest(Path(folder)).photos
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
        if isinstance(parameter, click.Option):
            assert parameter.help
            assert parameter.opts[0] in shown


def test_readme_names_every_command():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for needed in ("deconv", "filters", "models", "weights fetch", "train"):
        assert tuple(f"vizcnn {needed}".split()) in COMMANDS
        assert f"vizcnn {needed}" in readme


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
        (["models", "vgg61"], "did you mean 'vgg16'"),
        (["weights", "fetch", "alexnat"], "did you mean 'alexnet'"),
        (["weights", "fetch"], "NET"),
        (["deconv", "--methd", "guided"], "--method"),
        (["deconv", "--method", "gradeint"], "'deconvnet', 'guided', 'gradient'"),
        (["deconv", "--layer", "convv1"], "no layer 'convv1': did you mean 'conv1'"),
        (["deconv", "--layer", "conv5..conv1"], "needed: the lower layer first"),
        (["deconv", "--layer", ""], "no layer is named"),
        (["deconv", "--layer", "conv1", "--unit", "12"], "layer conv1: unit 12 does not exist"),
        (["deconv", "--layer", "conv1", "--unit", "-1"], "unit -1 does not exist"),
        (["deconv", "--unit", "one"], "'one' is not a valid int"),
        (["deconv", "--top", "0"], "--top"),
        (["deconv", "--position", "middle"], "needed: max, all, or ROW,COLUMN"),
        (["deconv", "--layer", "conv2", "--position", "16,0"], "layer conv2: position (16, 0)"),
        (["deconv", "--device", "gpu"], "device 'gpu' cannot be used"),
        (["deconv", "--device", "meta"], "device 'meta' cannot be used"),
        (["deconv", "--seed", "9" * 30], "--seed"),
        (["deconv", "--seed", "-1"], "--seed"),
        (["deconv", "--format", "jpg"], "'png', 'svg', 'pdf'"),
        (["deconv", "--image", ""], "--image is empty"),
        (["deconv", "--image", "cofee"], "did you mean 'coffee'"),
        (["deconv", "photo.jpg"], "photo.jpg"),
        (["filters", "--model", "zfnet", "--scale", "big"], "'unit', 'shared'"),
        (["train", "--data", "x", "--out", "y"], "--model"),
    ],
)
def test_mistakes_are_one_line_that_helps(arguments, words, tmp_path):
    assert words in fail(*arguments)
    assert list_files(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def test_default_is_a_sample_and_every_convolution():
    result = run("deconv", "--top", 2)
    folder = Path("vizcnn-out/zfnet-deconvnet")
    assert f"gallery: {folder / 'index.html'}" in result.stdout
    assert "1 photo(s), 10 projections by deconvnet" in result.stdout
    assert "random weights (untrained)" in result.stdout
    assert result.stderr == ""
    assert list(list_units()) == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    assert read_manifest(folder).photos[0].source == "sample coffee"


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


def test_units_are_taken_as_given_and_once():
    deconv("--unit", 7, "--unit", 0, "--unit", 7)
    assert list_units() == {"conv1": [7, 0]}


@pytest.mark.parametrize(
    ("arguments", "files"),
    [
        (["--format", "svg"], {"photo-001/summary.svg", "photo-001/conv1/strip.svg"}),
        (["--format", "pdf", "--scale", "shared"], {"photo-001/summary.pdf"}),
        (["--save-arrays", "--method", "guided"], {"photo-001/conv1/arrays.npz"}),
        (["--position", "all", "--normalisation", "gradient"], {"photo-001/summary.png"}),
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


def test_filters_repeat_too(tmp_path):
    result = run("filters", "--scale", "shared", "--format", "svg")
    assert "12 filters of conv1" in result.stdout
    first = list_files(tmp_path)
    words = shlex.split(read_manifest(Path("vizcnn-out/zfnet-filters")).command)
    run(*words[1:])
    assert list_files(tmp_path) == first


def test_json_reports_parse_and_match_the_files():
    for arguments, folder in (
        (["deconv", "--layer", "conv1", "--top", 1], "vizcnn-out/zfnet-deconvnet"),
        (["filters"], "vizcnn-out/zfnet-filters"),
    ):
        report = json.loads(run(*arguments, "--json").stdout)
        assert Path(report["index"]) == Path(folder) / "index.html"
        written = json.loads((Path(folder) / "manifest.json").read_text())
        assert report["manifest"] == written
        assert "--json" not in written["command"]
    assert {row["name"] for row in json.loads(run("models", "--json").stdout)} >= {"zfnet"}
    assert set(json.loads(run("weights", "where", "--json").stdout)) == {"cache"}


def write_odd_photos(folder: Path) -> dict[str, Path]:
    folder.mkdir()
    (folder / "text.jpg").write_text("I am no photo")
    (folder / "empty.png").touch()
    whole = paint_photo(folder / "whole.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "none").mkdir()
    (folder / "none" / "readme.txt").write_text("no photo here")
    return {path.name: path for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.jpg", "no file"),
        ("text.jpg", "not an image"),
        ("empty.png", "empty"),
        ("cut.png", "cut off"),
        ("none", "folder"),
    ],
)
def test_a_bad_photo_is_one_line(tmp_path, name, words):
    write_odd_photos(tmp_path / "odd")
    line = fail("deconv", "--image", f"odd/{name}")
    assert words in line and name in line
    assert not (tmp_path / "vizcnn-out").exists()


@pytest.mark.parametrize(
    "name",
    ["with space.png", "qu'o\"te.png", "<b>&amp;.png", "naïve-猫.png", "$1_$2^.png", "-dash.png"]
    + ["#?%20.png", "semi;colon.png", ".hidden.png", "CAPITAL.PNG", "a" * 240 + ".png"],
)
def test_photos_with_any_name(tmp_path, name):
    paint_photo(tmp_path / name)
    assert deconv("--image", name).stderr == ""
    page = Path("vizcnn-out/zfnet-deconvnet/index.html").read_text(encoding="utf-8")
    assert "<b>" not in page
    manifest = read_manifest(Path("vizcnn-out/zfnet-deconvnet"))
    assert manifest.photos[0].source == name
    assert name in shlex.split(manifest.command)


def test_a_name_that_is_not_utf_8(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    try:
        paint_photo(tmp_path / "a.png").rename(tmp_path / name)
    except OSError:
        pytest.skip("the file system takes UTF-8 names only")
    out = os.fsdecode(b"out-\xe9")
    assert "gallery: " in deconv("--image", name, "--out", out).stdout
    assert read_manifest(tmp_path / out).photos[0].source == name


def test_a_folder_with_good_and_bad_photos(tmp_path):
    write_odd_photos(tmp_path / "odd")
    paint_photo(tmp_path / "odd" / "deep" / "second.jpg", seed=2)
    arguments = ["--image", "odd", "--image", "missing.jpg", "--image", "odd/none"]
    result = deconv(*arguments, "--json", status=2)
    manifest = json.loads(result.stdout)["manifest"]
    names = ["odd/deep/second.jpg", "odd/whole.png"]
    assert [photo["source"] for photo in manifest["photos"]] == names
    lines = result.stderr.splitlines()
    assert len(lines) == 5
    assert all(line.startswith("left out: ") for line in lines)
    bad = ["odd/cut.png", "odd/empty.png", "odd/text.jpg", "missing.jpg", "odd/none"]
    assert [failure["source"] for failure in manifest["failures"]] == bad


def test_only_bad_photos_are_one_line_and_nothing_is_written(tmp_path):
    write_odd_photos(tmp_path / "odd")
    (tmp_path / "odd" / "whole.png").unlink()
    assert "none of 3 photos can be used" in fail("deconv", "--image", "odd")
    assert not (tmp_path / "vizcnn-out").exists()


@pytest.mark.parametrize("command", ["deconv", "filters"])
def test_a_folder_of_others_is_left_alone(tmp_path, command):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    assert "not vizcnn's: choose another --out" in fail(command, "--out", "mine")
    assert list_files(tmp_path) == {"mine/thesis.txt": b"years"}
    assert "mine/thesis.txt" in fail(command, "--out", "mine/thesis.txt")


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(28, "No space left on device"), 2, "No space left on device"),
        (MemoryError(), 2, "out of memory"),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"), 2, "out of memory"),
    ],
)
def test_what_stops_a_run_is_one_line_and_leaves_nothing(
    tmp_path, monkeypatch, error, status, words
):
    def stop(*arguments, **options):
        raise error

    monkeypatch.setattr("vizcnn.exhibit.save_figure", stop)
    assert words in fail("deconv", "--layer", "conv1", status=status)
    assert list(tmp_path.iterdir()) == []


def test_a_fault_of_our_own_keeps_its_traceback(monkeypatch):
    def break_down(*arguments, **options):
        raise ZeroDivisionError

    monkeypatch.setattr("vizcnn.exhibit.save_figure", break_down)
    result = CliRunner().invoke(commands, ["deconv", "--layer", "conv1"])
    assert isinstance(result.exception, ZeroDivisionError)


def start(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


HEAVY = ("torch", "torchvision", "matplotlib", "numpy", "PIL", "captum", "skimage", "jinja2")


def test_help_loads_nothing_heavy():
    code = (
        "import sys\nfrom vizcnn.cli.main import commands\n"
        "try: commands.main(sys.argv[1:], prog_name='vizcnn')\n"
        f"finally: print('HEAVY', *[name for name in {HEAVY} if name in sys.modules])"
    )
    for arguments in (["--help"], ["deconv", "--help"], ["train", "--help"], ["--version"]):
        output, errors = start("-c", code, *arguments).communicate(timeout=60)
        assert output.splitlines()[-1] == "HEAVY", errors


def test_python_m_and_a_closed_pipe(tmp_path):
    output, _ = start("-m", "vizcnn", "--version").communicate(timeout=60)
    assert output == f"vizcnn, version {vizcnn.__version__}\n"
    process = start("-m", "vizcnn", "models")
    assert process.stdout and process.stderr
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    process.wait(timeout=60)
    assert "Traceback" not in errors


def test_completion_is_produced():
    environment = {**os.environ, "_VIZCNN_COMPLETE": "bash_source"}
    output, _ = start("-m", "vizcnn", env=environment).communicate(timeout=60)
    assert "_VIZCNN_COMPLETE=bash_complete" in output
    environment = {
        **os.environ,
        "_VIZCNN_COMPLETE": "bash_complete",
        "COMP_WORDS": "vizcnn deconv --model squ",
        "COMP_CWORD": "3",
    }
    output, _ = start("-m", "vizcnn", env=environment).communicate(timeout=60)
    assert re.findall(r"\S+,(\S+)", output) == ["squeezenet1_0", "squeezenet1_1"]


def test_ctrl_c_leaves_nothing(tmp_path):
    paint_photo(tmp_path / "photos" / "a.png")
    for index in range(40):
        shutil.copy(tmp_path / "photos" / "a.png", tmp_path / "photos" / f"{index}.png")
    before = list_files(tmp_path)
    process = start(
        *"-m vizcnn deconv --model squeezenet1_1 --weights random --layer conv1 --top 1".split(),
        *("--image", "photos", "--out", "deep/out"),
        # a shell's background job ignores Ctrl-C, and so would what it starts
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    end = time.monotonic() + 120
    while not list(tmp_path.glob("deep/.vizcnn-*.part/photo-002")) and time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert output == ""
    assert errors == "error: interrupted: nothing is left half-written\n"
    assert list_files(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]
