"""The manual says what is there: its code runs, its commands parse, its links lead somewhere."""

import pkgutil
import re
from pathlib import Path

import click
import matplotlib.pyplot as plt
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from docs.tools import recording, rooms
from docs.tools.blocks import ROOT, list_pages, renew
from docs.tools.numbers import read_numbers
from docs.tools.pictures import FOLDER, PICTURES
from tests.support.manual import (
    list_anchors,
    list_commands,
    list_links,
    list_names,
    parse_command,
    read_fences,
    read_texts,
)
from vizcnn.cli.main import commands
from vizcnn.measures.checks import CheckSettings, draw_photos, read_drawn
from vizcnn.measures.first_layer import find_first_layer
from vizcnn.measures.layer_folding import measure_photo, sum_photos
from vizcnn.measures.sameness import study_sameness
from vizcnn.measures.shares import measure_colours, measure_shares, predict_power
from vizcnn.measures.study import LabSettings, project_strongest, read_pixels
from vizcnn.measures.subsampling import find_subsamplings
from vizcnn.mining.photo_sets import open_photos
from vizcnn.pages.aliasing import find_period
from vizcnn.pages.all_layers import AllLayersSettings
from vizcnn.photos.patches import read_samples, spread
from vizcnn.photos.samples import find_sample
from vizcnn.recording.layers import select_layers
from vizcnn.zoo import load
from vizcnn.zoo.catalogue import CATALOGUE
from vizcnn.zoo.files import BUNDLE
from vizcnn.zoo.zfnet import ZFNet

pytestmark = pytest.mark.slow

README = ROOT / "README.md"
PAGES = list_pages()
TROUBLE = ROOT / "docs" / "troubleshooting.md"
PLAIN = ZFNet(hidden=8)
CODE = [
    (page, code, told)
    for page in PAGES
    if page.stem != "many-machines"  # whose code tests/mining/test_executors.py runs
    for code, told in read_fences(page, "python")
]


def name_page(value: object) -> str | None:
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else ""


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The files that the manual's examples name, in the folder where they are run."""
    monkeypatch.chdir(tmp_path)
    sample = find_sample("chelsea")
    assert sample
    Image.open(sample).save("photo.jpg")
    Path("notes").mkdir()
    Path("notes/todo.txt").write_text("buy film")
    Path("empty.jpg").touch()
    Path("text.jpg").write_text("hello")
    Path("broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no photo")
    Path("weights.pth").write_bytes(b"no weights")
    Path("pointer.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    Path("zfnet.safetensors").symlink_to(BUNDLE / "zfnet.safetensors")
    monkeypatch.setenv("VIZCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def test_the_readme_is_short_and_names_its_commands():
    text = README.read_text("utf-8")
    assert len(text.encode()) < 6000
    for command in ("make demo", "make test", "pip install ."):
        assert command in text
    assert len(read_fences(README, "python")[0][0].split("\n\n")[1].splitlines()) <= 10


@pytest.mark.slow
@pytest.mark.parametrize(("page", "code", "told"), CODE, ids=name_page)
def test_python_runs_and_says_what_the_page_shows(page, code, told, files, capsys):
    exec(compile(code, str(page), "exec"), {"__name__": "__main__"})
    plt.close("all")
    if told:
        assert capsys.readouterr().out.split() == told.split()
    if page == README:
        with Image.open("conv4.png") as picture:
            pixels = np.asarray(picture.convert("RGB"))
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 1000


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_links_lead_somewhere(page):
    for link in list_links(page):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if target == ROOT / "docs" / "index.md":  # which is the README
            target = README
        assert target.is_file(), f"{page.name}: {link}"
        if anchor:
            assert anchor in list_anchors(target), f"{page.name}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_files_and_names_that_are_mentioned_exist(page):
    for name in list_names(page) if page.stem != "CHANGELOG" else ():
        if "/" in name:
            assert (ROOT / name).exists(), f"{page.name}: {name}"
        else:
            pkgutil.resolve_name(name)


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_blocks_are_up_to_date(page):
    text = page.read_text("utf-8")
    assert renew(text) == text, "run: python -m docs.tools.blocks"


def test_the_drawing_of_the_rooms_is_up_to_date():
    assert rooms.DRAWING.read_text("utf-8") == rooms.draw_rooms(), "run: python -m docs.tools.rooms"
    for room in rooms.list_rooms():
        assert 5 < len(rooms.describe_room(room)) <= 56, f"{room}: a short first line is needed"


def test_no_import_stands_above_the_stairs():
    order = rooms.list_rooms()
    found = rooms.find_imports(order)
    assert ("projection", "recording") in found
    assert all(order.index(importer) < order.index(imported) for importer, imported in found)


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_commands_parse(page, files):
    for line in list_commands(page):
        given = parse_command(line).params
        named = given.get("layers") or given.get("layer") or ()
        select_layers(PLAIN, [named] if isinstance(named, str) else named)  # there are such layers


def test_every_command_has_a_page_with_its_options():
    pages = "".join(page.read_text("utf-8") for page in ROOT.glob("docs/commands/*.md"))
    for name, command in commands.commands.items():
        inner = command.commands if isinstance(command, click.Group) else {}
        for words in [f"{name} {part}" for part in inner] or [name]:
            assert f"<!-- made: options {words} -->" in pages, f"no page describes vizcnn {words}"
            assert f"vizcnn {words}" in pages
        assert f"`vizcnn {name}`" in README.read_text("utf-8") or f"`{name}`" in README.read_text()


CONSOLE = [
    line.split("\n")[0]
    for code, _ in read_fences(TROUBLE, "console")
    for line in code.split("$ ")[1:]
]


@pytest.mark.parametrize("line", CONSOLE)
def test_errors_read_as_the_page_says(line, files):
    (told,) = re.findall(rf"^\$ {re.escape(line)}\n(.+)$", TROUBLE.read_text("utf-8"), re.MULTILINE)
    result = CliRunner().invoke(commands, line.split()[1:], prog_name="vizcnn")
    assert result.exit_code == 2
    assert result.stderr.strip() == told


def test_other_errors_are_in_the_source():
    texts = read_texts()
    fences = [code for code, _ in read_fences(TROUBLE, "console") if not code.startswith("$")]
    lines = [line for code in fences for line in code.splitlines()]
    assert len(lines) > 5
    for part in [part for line in lines for part in line.removeprefix("error: ").split("...")]:
        assert any(part.rstrip() in text for text in texts), f"nothing says {part!r}"


def test_pictures_are_small_and_made_by_the_commands_beside_them():
    files = set(FOLDER.iterdir()) - {recording.TARGET}
    assert {path.stem for path in files if path.suffix == ".webp"} == set(PICTURES)
    assert sum(path.stat().st_size for path in files) < 3_000_000
    for name, (command, _) in PICTURES.items():
        assert (FOLDER / f"{name}.webp").stat().st_size < 200_000
        showing = [page for page in PAGES if f"pictures/{name}.webp" in page.read_text("utf-8")]
        assert showing
        assert any(command in page.read_text("utf-8") for page in showing), f"{name}: {command}"


def test_the_explorer_is_seen_in_use_on_its_page():
    page = (ROOT / "docs" / "commands" / "explore.md").read_text("utf-8")
    assert f"../pictures/{recording.TARGET.name}" in page and recording.COMMAND in page
    assert recording.TARGET.stat().st_size < recording.LARGEST
    with Image.open(recording.TARGET) as opened:
        assert getattr(opened, "n_frames", 1) > 10  # has it where a file has several


def test_the_bundled_weights_are_those_of_the_page_and_small():
    files = list(BUNDLE.glob("*.safetensors"))
    weights = {file.stem for file in files if ".first_layers" not in file.name}
    page = (ROOT / "docs" / "nets.md").read_text("utf-8").split("## Bundled weights")[1]
    assert weights == set(re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE))
    assert sum(file.stat().st_size for file in files) < 65_000_000


@pytest.mark.slow
def test_the_labs_numbers_are_those_of_the_bundled_nets():
    """What the page on aliasing takes from a file: two of its rows are measured anew."""
    told = read_numbers("aliasing")
    names = [name for name, entry in CATALOGUE.items() if entry.title in told["nets"]]
    assert [CATALOGUE[name].title for name in names] == told["nets"]
    nets = [load(name, weights="bundled") for name in names]
    for number, model in enumerate(nets):
        pixels, _, _ = read_pixels(model, read_samples())
        layer = find_first_layer(model)
        power = predict_power(layer, measure_colours(pixels))
        share = measure_shares(power, layer.stride).layer_share
        assert share == pytest.approx(told["alias share, theory"][number], abs=5e-4)
        units = project_strongest(
            model, pixels, units=LabSettings().units, period=find_period(nets)
        )
        grid = np.median([unit.grid for unit in units if unit.grid is not None])
        assert grid == pytest.approx(told["grid artefact"][number], abs=5e-3)


def test_what_lenets_layers_fold_is_what_the_page_says():
    """One row of the table of all layers is measured anew, with the command's own defaults."""
    told, model = read_numbers("aliasing-layers")["LeNet-5"]["layers"], load("lenet")
    patches = read_samples()
    few = [patches[number] for number in spread(len(patches), AllLayersSettings().most_photos)]
    inputs = model.preprocessing.normalise(model.read(few[0]))
    steps, left_out = find_subsamplings(model.module, inputs)
    found = [measure_photo(model, steps, model.read(patch)) for patch in few]
    for layer in sum_photos(model, steps, left_out, found).layers:
        assert layer.shares == pytest.approx(told[layer.step.name]["shares"], abs=5e-5)
        assert layer.distances == pytest.approx(told[layer.step.name]["distances"], abs=5e-5)


@pytest.mark.slow
def test_what_units_share_is_what_the_page_says():
    """The numbers of conv2 and of the classes are measured anew, with check's own defaults."""
    page = re.sub(r"<!--.*?-->", "", (ROOT / "docs" / "reading.md").read_text("utf-8"))
    told = re.search(
        r"by the deconvnet:\s+(\S+)\s+in conv2,.*two likeliest classes\s+(\S+)\. ", page, re.DOTALL
    )
    assert told
    model, settings = load("zfnet", weights="bundled"), CheckSettings()
    photos = open_photos((), model.preprocessing)
    drawn, _ = draw_photos(photos, settings.photos, settings.seed)
    pixels = read_drawn(photos, drawn)
    study = study_sameness(model, pixels, ["conv2"], ["deconvnet"], settings.compare)
    shared = [np.median(study.found[layer, "deconvnet"].cosines) for layer in ("conv2", study.last)]
    assert [f"{cosine:.2f}" for cosine in shared] == list(told.groups())


@pytest.mark.slow
def test_the_manual_builds_and_loads_nothing_from_elsewhere(tmp_path, monkeypatch):
    mkdocs = pytest.importorskip("mkdocs.config", reason="make docs installs mkdocs")
    from mkdocs.commands.build import build

    monkeypatch.chdir(ROOT)
    settings = mkdocs.load_config(
        "mkdocs.yml", site_dir=str(tmp_path), strict=True, extra={"notebooks": False}
    )
    settings.plugins.on_startup(command="build", dirty=False)
    build(settings)  # strict: a broken link or reference ends it
    loads = re.compile(r"<(?:script|img|iframe|link rel=.stylesheet.)[^>]+(?:src|href)=.?https?:")
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 30
    assert not [page.name for page in pages if loads.search(page.read_text("utf-8"))]
