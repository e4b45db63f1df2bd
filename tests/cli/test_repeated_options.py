"""Options that are given several times: all of them count, or the command is refused."""

import json
import shlex
from pathlib import Path

import click
import pytest

from tests.support.command_line import fail, run
from tests.support.small_zoo import list_files, paint_photo
from vizcnn.cli.main import commands
from vizcnn.gallery.manifest import read_manifest
from vizcnn.pages.deconv import DeconvResults
from vizcnn.pages.layers.site_pages import LayersResults
from vizcnn.pages.runs import RunsResults

pytestmark = pytest.mark.usefixtures("small_net")
QUICK = ("--layer", "conv1", "--top", 1, "--compare", "none")


def list_options(group, words=()):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from list_options(command, (*words, name))
            continue
        for option in command.params:
            takes_one = isinstance(option, click.Option) and not option.multiple
            if takes_one and not (option.is_flag and not option.secondary_opts):
                yield (*words, name), option


SINGLE = list(list_options(commands))


@pytest.mark.parametrize(
    ("words", "option"), SINGLE, ids=[f"{' '.join(words)} {o.opts[0]}" for words, o in SINGLE]
)
def test_an_option_with_one_value_is_not_given_twice(words, option, tmp_path):
    value = () if option.is_flag else ("1",)
    told = fail(*words, option.opts[0], *value, option.opts[-1], *value)
    assert f"{option.opts[0]} is given 2 times and takes one value: give it once" in told
    assert list(tmp_path.iterdir()) == []


def test_an_index_is_of_one_net():
    assert "once for each" in fail("mine", "--model", "zfnet", "--model", "alexnet", "--out", "i")


def test_flags_may_be_repeated_as_they_say_the_same():
    json.loads(run("filters", "--json", "--json").stdout)


@pytest.mark.slow
def test_nets_and_methods_have_a_page_each_and_an_index(tmp_path):
    paint_photo(tmp_path / "a.png")
    paint_photo(tmp_path / "b.png", seed=2)
    nets = ("--model", "alexnet", "--model", "zfnet")
    methods = ("--method", "deconvnet", "--method", "guided")
    told = run("deconv", "a.png", "b.png", *nets, *methods, *QUICK, "--out", "out").stdout
    names = ["alexnet-deconvnet", "alexnet-guided", "zfnet-deconvnet", "zfnet-guided"]
    index = read_manifest(Path("out"), RunsResults)
    assert [run.folder for run in index.results.runs] == names
    assert index.results.rows == ("a.png", "b.png")
    page = Path("out/index.html").read_text("utf-8")
    for name in names:
        assert f"{name}/index.html" in told
        assert f'href="{name}/photo-002.html"' in page
        assert Path("out", name, "photo-001", "summary.png").is_file()
        alone = read_manifest(Path("out", name), DeconvResults)
        assert alone.results.method == name.split("-")[1]
    first = list_files(tmp_path / "out")
    run(*shlex.split(index.command)[1:])
    assert list_files(tmp_path / "out") == first
    # one of them alone, by its own command
    words = shlex.split(alone.command)
    words[words.index("--out") + 1] = "alone"
    run(*words[1:])
    lone = list_files(tmp_path / "alone")
    for name, content in lone.items():
        if name not in ("manifest.json", "index.html", "photo-001.html", "photo-002.html"):
            assert content == first[f"zfnet-guided/{name}"], name


@pytest.mark.slow
def test_galleries_of_several_methods_are_mined_once(tmp_path):
    for seed in range(3):
        paint_photo(tmp_path / "photos" / f"{seed}.png", seed)
    words = ("gallery", "photos", "--workers", 0, "--method", "guided", "--method", "gradient")
    run(*words, *QUICK, "--out", "out")
    index = read_manifest(Path("out"), RunsResults)
    names = [one.folder for one in index.results.runs]
    assert names == ["zfnet-guided", "zfnet-gradient"]
    galleries = [read_manifest(Path("out", name), LayersResults) for name in names]
    assert [gallery.results.method for gallery in galleries] == ["guided", "gradient"]
    indexes = [Path("out", name, "strongest.safetensors").read_bytes() for name in names]
    assert indexes[0] == indexes[1]
    # again, into the same folder
    first = list_files(tmp_path / "out")
    run(*words, *QUICK, "--out", "out")
    assert list_files(tmp_path / "out") == first


@pytest.mark.slow
def test_a_set_of_galleries_goes_on_where_it_was(tmp_path):
    paint_photo(tmp_path / "photos" / "a.png")
    words = ("gallery", "photos", "--workers", 0, "--method", "guided", "--method", "gradient")
    run(*words, *QUICK, "--out", "whole")
    run(*words[:-2], *QUICK, "--out", "out/zfnet-guided")  # as if killed before the second
    run(*words, *QUICK, "--out", "out")
    names = set(list_files(tmp_path / "whole"))
    assert set(list_files(tmp_path / "out")) == names
    (tmp_path / "out2" / "mine").mkdir(parents=True)
    (tmp_path / "out2" / "mine" / "thesis.txt").write_text("years")
    assert "not vizcnn's" in fail(*words, *QUICK, "--out", "out2")


@pytest.mark.slow
def test_figures_in_several_formats(tmp_path):
    paint_photo(tmp_path / "a.png")
    run("deconv", "a.png", *QUICK, "--format", "pdf,svg", "--format", "png", "--out", "out")
    files = list_files(tmp_path / "out")
    for name in ("photo-001/summary", "photo-001/conv1/strip", "photo-001/conv1/places"):
        assert {f"{name}.{form}" for form in ("png", "svg", "pdf")} <= set(files)
    assert files["photo-001/summary.pdf"].startswith(b"%PDF")
    assert b"<svg" in files["photo-001/summary.svg"][:400]
    page = files["index.html"].decode()
    assert 'src="photo-001/conv1/strip.pdf"' not in page
    for form in ("png", "svg", "pdf"):
        assert f'href="photo-001/summary.{form}"' in page
    run("deconv", "a.png", *QUICK, "--format", "png", "--out", "alone")
    alone = list_files(tmp_path / "alone")
    assert alone["photo-001/summary.png"] == files["photo-001/summary.png"]
    assert "photo-001/summary.svg" not in alone


@pytest.mark.slow
@pytest.mark.parametrize("command", ["compare", "receptive"])
def test_several_nets_beside_each_other(command, tmp_path):
    paint_photo(tmp_path / "a.png")
    words = ("--method", "gradient", "--layer", "conv1") if command == "compare" else ()
    run(command, "a.png", "--model", "zfnet", "--model", "alexnet", *words, "--out", "out")
    index = read_manifest(Path("out"), RunsResults)
    assert [one.folder for one in index.results.runs] == ["zfnet", "alexnet"]
    for one in index.results.runs:
        for view in one.views:
            assert all(Path("out", one.folder, file).is_file() for file in view.files)
            assert Path("out", one.folder, view.page).is_file()
