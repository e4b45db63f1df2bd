"""``vizcnn lecture``: what it writes, what it refuses, what a failing exhibit does."""

import hashlib
import json
import re
import shlex
import sys
from dataclasses import replace

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from tests.support.command_line import fail, run
from tests.support.small_zoo import list_files
from vizcnn.basics.errors import VizcnnError, WeightsError
from vizcnn.drawing.style import DARK, LIGHT, PAPER, use_style
from vizcnn.gallery.manifest import read_manifest
from vizcnn.lecture.results import LectureResults
from vizcnn.lecture.run import (
    EXHIBITS,
    LectureSettings,
    choose_exhibits,
    make_lecture,
    sort_exhibits,
)
from vizcnn.lecture.studio import SECTIONS, TRAINED, Exhibit, Made, Studio, exhibit
from vizcnn.photos.samples import find_sample
from vizcnn.zoo.files import BUNDLE


def make_studio():
    photo = find_sample("motorcycle")
    assert photo is not None
    return Studio(photo, weights="bundled")


def make(folder, *only, exhibits=EXHIBITS, **settings):
    chosen = LectureSettings(only=only, **{"formats": ("png",), **settings})
    return make_lecture(folder, make_studio(), chosen, "command", exhibits)


def test_names_are_unique_and_in_the_lectures_order():
    names = [exhibit.name for exhibit in EXHIBITS]
    assert len(set(names)) == len(names) > 80
    places = [list(SECTIONS).index(exhibit.section) for exhibit in EXHIBITS]
    assert places == sorted(places)
    assert {exhibit.section for exhibit in EXHIBITS} == set(SECTIONS)


def test_an_exhibit_that_the_order_does_not_name_ends_its_section():
    new = Exhibit("new-exhibit", "vgg", "New", lambda studio: Made("A caption."))
    vgg = [e.name for e in sort_exhibits([new, *EXHIBITS]) if e.section == "vgg"]
    assert vgg == [*(e.name for e in EXHIBITS if e.section == "vgg"), "new-exhibit"]


def test_a_decorated_function_is_an_exhibit():
    given = {}

    @exhibit("one", "vgg", "One", registered=given, number=1)
    @exhibit("two", "vgg", "Two", registered=given, number=2)
    def make_number(studio, number):
        return Made(f"number {number}")

    assert {name: e.make(make_studio()).caption for name, e in given.items()} == {
        "two": "number 2",
        "one": "number 1",
    }


@pytest.mark.parametrize(
    ("only", "count"),
    [
        *(("vgg-memory", 1), ("inception-*", 4), ("claims", 3), ("resnet", 10)),
        *(("VGG-Memory", 1), ("resnet, claims", 13), ("claims,claims-slips,", 3), ("goog*", 10)),
    ],
)
def test_parts_are_chosen_by_name_section_or_pattern(only, count):
    assert len(choose_exhibits([only])) == count


def test_unknown_parts_are_refused_with_the_nearest():
    with pytest.raises(VizcnnError, match="no part 'vgg-memry': did you mean 'vgg-memory'"):
        choose_exhibits(["vgg", "vgg-memry"])


@pytest.mark.slow
def test_every_format_light_and_dark(tmp_path):
    formats = ("png", "svg", "pdf")
    manifest = make(tmp_path / "out", "vgg-memory", "claims", formats=formats)
    memory = manifest.results.sections[0].exhibits[0]
    assert memory.figures == tuple(f"figures/vgg-memory.{kind}" for kind in formats)
    assert memory.dark == tuple(f"figures/vgg-memory-dark.{kind}" for kind in formats)
    assert memory.tables == tuple(f"tables/vgg-memory.{kind}" for kind in ("md", "tex", "csv"))
    assert all((tmp_path / "out" / file).stat().st_size for file in (*memory.figures, *memory.dark))
    assert "15,237,608" in (tmp_path / "out/tables/vgg-memory.md").read_text("utf-8")
    read = read_manifest(tmp_path / "out", LectureResults)
    assert read.results == manifest.results
    page = (tmp_path / "out/index.html").read_text("utf-8")
    assert page.count('<tr class="does-not-hold">') == sum(
        claim.verdict == "does not hold" for claim in manifest.results.claims
    )
    assert "for-dark" in page
    assert not re.search(r"(src|href)=\"https?:", page)


@pytest.mark.slow
def test_the_same_run_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        make(tmp_path / name, "alexnet-momentum", "lenet-layers", formats=("png", "svg", "pdf"))
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*"))
    assert len(files) > 15
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file


@pytest.mark.slow
def test_paper_figures_are_half_as_large(tmp_path):
    sizes = []
    for style in ("slides", "paper"):
        make(tmp_path / style, "lenet-layers", style=style, formats=("svg",))
        text = (tmp_path / style / "figures/lenet-layers.svg").read_text("utf-8")
        sizes.append(float(re.search(r'width="([\d.]+)pt"', text)[1]))
    assert sizes[1] == pytest.approx(PAPER.scale * sizes[0], rel=1e-3)


def find_cut_texts(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    width, height = figure.bbox.width, figure.bbox.height
    ticks = {
        id(label)
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for label in axis.get_ticklabels(which="both")
    }
    for text in figure.findobj(Text):
        if text.get_text().strip() and id(text) not in ticks:
            box = text.get_window_extent(canvas.get_renderer())
            if box.x0 < -0.5 or box.y0 < -0.5 or box.x1 > width + 0.5 or box.y1 > height + 0.5:
                yield text.get_text()


@pytest.mark.slow
@pytest.mark.parametrize("section", ["overview", "lenet", "vgg", "googlenet", "claims"])
def test_no_text_is_cut_on_slides_or_paper(section):
    studio = make_studio()
    for chosen in choose_exhibits([section]):
        draw = chosen.make(studio).draw
        for style in (LIGHT, PAPER) if draw else ():
            with use_style(style):
                assert list(find_cut_texts(draw())) == [], (chosen.name, style)


def test_dark_legends_and_ticks_can_be_read():
    (exhibit,) = choose_exhibits(["alexnet-momentum"])
    draw = exhibit.make(make_studio()).draw
    assert draw is not None
    with use_style(DARK):
        for axes in draw().axes:
            texts = [*axes.get_legend().get_texts(), *axes.get_xticklabels(), axes.xaxis.label]
            assert all(min(to_rgb(text.get_color())) > 0.9 for text in texts)
            assert max(axes.get_legend().get_frame().get_facecolor()[:3]) < 0.2


def break_one(error):
    def stop(studio):
        raise error

    exhibits = [e for e in EXHIBITS if e.name in ("vgg-memory", "vgg-shares", "lenet-layers")]
    return [replace(e, make=stop) if e.name == "vgg-memory" else e for e in exhibits]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (VizcnnError("what was got: what to do"), "what was got: what to do"),
        (ZeroDivisionError("division\nby zero"), "ZeroDivisionError: division by zero (test_"),
    ],
)
def test_a_failing_exhibit_does_not_stop_the_others(tmp_path, error, told):
    manifest = make(tmp_path / "out", exhibits=break_one(error))
    assert [exhibit.name for exhibit in manifest.results.exhibits] == ["lenet-layers", "vgg-shares"]
    (failure,) = manifest.failures
    assert failure.source == "vgg-memory"
    assert failure.error.startswith(told)
    assert told.split("(")[0] in (tmp_path / "out/index.html").read_text("utf-8")


@pytest.mark.slow
def test_the_command_names_what_failed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)  # as if it were not installed
    parts = ("--only", "alexnet-relu,alexnet-ensembles", "--format", "png")
    result = run("lecture", *parts, "--out", tmp_path / "out", status=2)
    assert "could not be made: alexnet-relu: the digits to train on come with" in result.stderr
    assert (tmp_path / "out/index.html").is_file()


@pytest.mark.slow
def test_ctrl_c_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "out", exhibits=break_one(KeyboardInterrupt()))
    assert not (tmp_path / "out").exists()


def test_when_nothing_was_made_every_failure_is_named(tmp_path):
    def stop(studio):
        raise VizcnnError("no luck")

    broken = [replace(exhibit, make=stop) for exhibit in EXHIBITS[:2]]
    with pytest.raises(VizcnnError, match="nothing could be made; depth: no luck; nets: no luck"):
        make(tmp_path / "out", exhibits=broken)
    assert not (tmp_path / "out").exists()


def test_missing_weights_are_told_before_anything_is_made(tmp_path):
    made = []
    watched = [replace(e, make=made.append) for e in EXHIBITS if e.name == "alexnet-dropout"]
    studio = Studio(make_studio().photo, weights="missing.pth")
    with pytest.raises(WeightsError, match=r"missing\.pth"):
        make_lecture(tmp_path / "out", studio, exhibits=watched)
    assert made == []
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_random_weights_are_told_of(tmp_path):
    arguments = ("--only", "alexnet-dropout", "--weights", "random", "--format", "svg")
    result = run("lecture", *arguments, "--out", tmp_path / "out")
    assert "AlexNet, random weights (untrained)" in result.output
    (net,) = read_manifest(tmp_path / "out", LectureResults).nets
    assert net.model == "alexnet"


@pytest.mark.slow
def test_a_full_disk_ends_the_run_at_the_first_exhibit(tmp_path):
    made = []

    def fill(studio):
        made.append(studio)
        raise VizcnnError("no space left: free some") from OSError(28, "No space left on device")

    full = [replace(exhibit, make=fill) for exhibit in EXHIBITS[:2]]
    with pytest.raises(VizcnnError, match=r"^no space left: free some$"):
        make(tmp_path / "out", exhibits=full)
    assert len(made) == 1
    assert not (tmp_path / "out").exists()


def test_captions_are_escaped(tmp_path):
    first = EXHIBITS[0]
    wild = replace(first, make=lambda studio: Made("<script>alert(1)</script> & more"))
    make(tmp_path / "out", exhibits=[wild])
    page = (tmp_path / "out/index.html").read_text("utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in page


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--only", "vgf"), "the lecture has no part 'vgf': did you mean 'vgg'"),
        (("no.jpg",), "no.jpg"),
        (("--format", "gif"), "'gif' is not one of"),
        (("--style", "poster"), "'poster' is not one of"),
        (("--only", ""), "the lecture has no part ''"),
        (("--weights", "none.pth"), "'none.pth' is not one of 'auto', 'bundled', 'imagenet', 'ra"),
        (("",), "the name of a photo is empty"),
        (("--weights", "auto", "--weights", "auto", "--weights", "auto"), "3 --weights for 2 nets"),
        (("--out", ""), "it is empty: give a folder"),
        (("--out", __file__), "is a file; needed: a folder for the results"),
        (("--out", f"{__file__}/new/folder"), f"{__file__!r} is a file; needed: a folder"),
        (("--claims", "--format", "png"), "--claims only prints: leave --out, --format out"),
    ],
)
def test_bad_input_gets_one_line(tmp_path, arguments, told):
    out = () if "--out" in arguments else ("--out", tmp_path / "out")
    assert told in fail("lecture", *out, *arguments)
    assert not (tmp_path / "out").exists()


def test_claims_are_printed(tmp_path):
    result = run("lecture", "--claims")
    assert "356,816,512 | 346,816,512" in result.output
    assert re.search(r"\d+ claims: \d+ hold, \d+ hold when rounded, \d+ do not hold", result.output)
    some = run("lecture", "--claims", "--only", "LeNet,zfnet").output.splitlines()
    verdicts = ("holds", "cited", "does not hold")
    told = {line[18:].split()[0] for line in some if line.startswith(verdicts)}
    assert told == {"lenet", "zfnet"}
    told_no = fail("lecture", "--claims", "--only", "vgg-memory")
    assert "no claims of a part 'vgg-memory'; those with claims: overview, lenet" in told_no
    raw = json.loads(run("lecture", "--claims", "--json").output)
    assert {"quote", "claimed", "computed", "verdict", "how", "why"} <= set(raw[0])


def test_json_tells_what_was_written(tmp_path):
    out = str(tmp_path / "out")
    result = run("lecture", "--only", "lenet-pattern", "--format", "svg", "--out", out, "--json")
    told = json.loads(result.output)
    assert told["index"] == f"{out}/index.html"
    assert told["manifest"]["kind"] == "lecture"
    assert "--only lenet-pattern" in told["manifest"]["command"]


@pytest.mark.slow
def test_the_command_that_repeats_it_names_weights_and_device(tmp_path):
    options = ("--only", "alexnet-momentum", "--format", "png", "--device", "cpu")
    run("lecture", *options, "--out", tmp_path / "out")
    words = shlex.split(json.loads((tmp_path / "out" / "manifest.json").read_text())["command"])
    weights = [words[at + 1] for at, word in enumerate(words) if word == "--weights"]
    nets = [hashlib.sha256((BUNDLE / f"{name}.safetensors").read_bytes()) for name in TRAINED]
    assert weights == [f"bundled@sha256:{sha256.hexdigest()}" for sha256 in nets]
    assert words[words.index("--device") + 1] == "cpu"
    first = list_files(tmp_path / "out")
    run(*words[1:])
    assert list_files(tmp_path / "out") == first
    other = ("--weights", f"bundled@sha256:{'0' * 64}")
    assert "have the SHA-256" in fail("lecture", *options, *other, "--out", tmp_path / "new")


LECTURER = "J. C. Kao’s lecture on CNN architectures (UCLA ECE, winter 2024)"


def test_what_does_not_hold_is_said_to_be_the_lectures(tmp_path):
    """In what is printed, in the manifest, in the folder's README, and on the slides of slips."""
    lines = run("lecture", "--claims", "--only", "lenet").output.splitlines()
    assert lines[0].startswith(LECTURER) and lines[-1].startswith(f"{LECTURER}: 16 claims: ")
    raw = json.loads(run("lecture", "--claims", "--only", "lenet", "--json").output)
    assert {claim["lecture"] for claim in raw} == {LECTURER}
    manifest = make(tmp_path / "out", "claims")
    assert json.loads((tmp_path / "out/manifest.json").read_text("utf-8"))["results"][
        "lecture"
    ] == (LECTURER)
    readme = (tmp_path / "out/README.md").read_text("utf-8")
    (slips,) = [line for line in readme.splitlines() if "do not hold" in line]
    assert f"numeric claims are those of {LECTURER}" in readme
    assert re.search(r"(\d+) do not hold", slips)[1] == str(
        sum(claim.verdict == "does not hold" for claim in manifest.results.claims)
    )
    captions = [exhibit.caption for exhibit in manifest.results.exhibits]
    assert all(LECTURER in caption for caption in captions)
    assert all(exhibit.captioned == bool(exhibit.figures) for exhibit in manifest.results.exhibits)


def test_all_parts_are_listed_with_the_names_that_only_takes():
    lines = run("lecture", "--list").output.splitlines()
    sections = [line.split(":")[0] for line in lines if not line.startswith(" ")]
    assert sections == list(SECTIONS)
    names = [line.split()[0] for line in lines if line.startswith(" ")]
    assert names == [exhibit.name for exhibit in EXHIBITS]
    some = json.loads(run("lecture", "--list", "--only", "vgg-m*", "--json").output)
    assert some == [
        {"name": "vgg-memory", "section": "vgg", "title": "VGG-16: memory and parameters"}
    ]
    assert "--list only prints: leave --style out" in fail("lecture", "--list", "--style", "paper")
    assert "leave --claims out" in fail("lecture", "--list", "--claims")
