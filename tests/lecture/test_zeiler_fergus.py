"""The paper's items: all sixteen are told, what is made is kept, and what fails stops no other."""

import json
import re
from dataclasses import replace

import pytest

from tests.gallery.test_site import check_links, write
from tests.support.class_photos import paint_classes
from tests.support.small_zoo import list_files, make_model, paint_photo
from vizcnn.basics.errors import DataError, VizcnnError
from vizcnn.basics.kept_parts import FOLDER_NAME
from vizcnn.drawing.tables import Table
from vizcnn.gallery.manifest import read_manifest
from vizcnn.lecture.paper_items import (
    PAPER_ITEMS,
    ItemFigure,
    ItemPage,
    MadeItem,
    Paper,
    PaperItem,
    choose_counts,
    find_items,
    make_error_table,
)
from vizcnn.lecture.zeiler_fergus import (
    PaperResults,
    PaperSettings,
    make_zeiler_fergus_gallery,
)
from vizcnn.measures.published import read_published
from vizcnn.zoo import load

LABELS = {f"Figure {number}" for number in range(1, 10)} | {
    f"Table {number}" for number in range(1, 8)
}


def paint_item(paper, folder):
    paint_photo(folder / "picture.png")
    (folder / "index.html").write_text("<p>more</p>")
    return MadeItem(
        ours=f"seed {paper.seed}",
        differs="<all>",
        figures=(ItemFigure(file="picture.png", title="A & B", text="blocks"),),
        pages=(ItemPage(file="index.html", title="more"),),
        tables=(Table("numbers", ("a", "b"), (("x", 1.5), ("y", None))),),
    )


def fail_item(paper, folder):
    raise DataError("it has no photos: give some")


def make_item(name, make, **changes):
    item = PaperItem(name, (name.replace("-", " "),), "It shows", "1 < 2", "section 9", make)
    return replace(item, **changes)


ITEMS = (
    make_item("figure-1", paint_item),
    make_item("figure-2", fail_item),
    make_item("table-1", paint_item, trains=True),
    make_item("table-6", None, reason="nobody can"),
)


def make(folder, items=ITEMS, **settings):
    return make_zeiler_fergus_gallery(
        [make_model()], folder, PaperSettings(**settings), "vizcnn zeiler-fergus", items=items
    )


def test_every_figure_and_table_of_the_paper_is_told_once():
    labels = [label for item in PAPER_ITEMS for label in item.labels]
    assert sorted(labels) == sorted(LABELS)
    assert all(item.printed and item.title and "section" in item.place for item in PAPER_ITEMS)
    assert [item.name for item in PAPER_ITEMS if item.make is None] == ["table-6"]
    assert {item.name for item in PAPER_ITEMS if item.trains} == {"table-3", "table-7"}
    with pytest.raises(VizcnnError, match="the paper has no part 'figure-99': did you mean"):
        find_items(["figure-99"])
    with pytest.raises(VizcnnError, match="the paper has no part '': "):
        find_items([" ,"])
    assert find_items(["figure-1,"]) == find_items(["figure-1"])


def test_printed_numbers_are_those_of_the_data_file():
    """Every number of more than one digit after the point stands in one of its tables."""
    told = read_published()
    known = {
        str(cell)
        for name, table in told.tables.items()
        if name.startswith("zfnet-")
        for row in table.rows
        for cell in row
    }
    for item in PAPER_ITEMS:
        if any(label.startswith("Table") for label in item.labels):
            numbers = re.findall(r"\d+\.\d+", item.printed)
            assert numbers, item.name
            assert set(numbers) <= known, item.name


def test_what_can_be_made_is_made_and_the_rest_is_explained(tmp_path):
    manifest = make(tmp_path / "out", seed=7)
    told = {item.name: item for item in manifest.results.items}
    assert [(name, item.status) for name, item in told.items()] == [
        ("figure-1", "made"),
        ("figure-2", "failed"),
        ("table-1", "not made"),
        ("table-6", "not made"),
    ]
    assert told["figure-1"].made.ours == "seed 7"
    assert told["figure-1"].made.figures[0].file == "figure-1/picture.png"
    assert "--train FOLDER" in told["table-1"].reason
    assert told["table-6"].reason == "nobody can"
    assert [failure.error for failure in manifest.failures] == ["it has no photos: give some"]
    assert read_manifest(tmp_path / "out", PaperResults).results == manifest.results
    check_links(write(manifest, tmp_path / "out"), tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    assert "1 &lt; 2" in page and "&lt;all&gt;" in page
    assert 'href="figure-1/index.html"' in page
    with pytest.raises(VizcnnError, match="it has no photos"):
        make(tmp_path / "other", items=ITEMS[1:2])
    assert not (tmp_path / "other" / "index.html").exists()


def test_a_run_that_was_stopped_goes_on_with_the_next_item(tmp_path):
    ran = []

    def count(paper, folder):
        ran.append(folder.name)
        return paint_item(paper, folder)

    def stop(paper, folder):
        raise KeyboardInterrupt

    one, other = make_item("figure-1", count), make_item("figure-2", count)
    whole = make(tmp_path / "whole", items=(one, other))
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "out", items=(one, replace(other, make=stop)))
    assert [path.name for path in (tmp_path / "out").iterdir()] == [FOLDER_NAME]
    assert make(tmp_path / "out", items=(one, other)) == whole
    assert ran == ["figure-1", "figure-2", "figure-1", "figure-2"]
    assert list_files(tmp_path / "out") == list_files(tmp_path / "whole")
    make(tmp_path / "out", items=(one, other), only=("figure-2",))
    assert not (tmp_path / "out" / "figure-1").exists()  # of the former run


@pytest.mark.slow
def test_the_architecture_and_the_errors_are_made_of_the_bundled_nets(tmp_path):
    nets = [load(name, weights="bundled") for name in ("zfnet", "alexnet")]
    settings = PaperSettings(only=("figure-3", "table-2", "table-6"))
    results = make_zeiler_fergus_gallery(nets, tmp_path / "out", settings).results
    architecture, errors, _ = results.items
    # counted by hand: (224 + 2 - 7) / 2 + 1 = 110, and pooled by 3 with stride 2, rounded up
    assert "conv1 110×110×96, pool1 55×55×96" in architecture.made.ours
    table = errors.made.tables[0]
    card = json.loads((tmp_path / "out" / "manifest.json").read_text())["nets"][0]["weights"]
    assert dict(zip(table.columns, table.rows[1], strict=True))["top-1 val"] == pytest.approx(
        100 * (1 - card["top1"]), abs=0.05
    )


def test_an_accuracy_that_weights_do_not_tell_is_left_out(tmp_path):
    net = make_model()
    told = replace(net, provenance=replace(net.provenance, top1=0.75, top5=None))
    assert make_error_table(Paper(told), tmp_path).ours == f"{net.title} 25.0 % top-1"
    assert make_error_table(Paper(net), tmp_path).ours == "these weights tell no accuracy"


@pytest.mark.slow
def test_small_items_are_made_of_a_small_net(tmp_path):
    """Figures 1, 2, 5 and 7 of a photo that was given, each by its own page."""
    photo = paint_photo(tmp_path / "photos" / "a.png", size=(64, 64))
    paint_photo(tmp_path / "photos" / "b.png", 1, (64, 64))
    only = ("figure-1", "figure-2", "figure-5", "figure-7")
    manifest = make_zeiler_fergus_gallery(
        [make_model()], tmp_path / "out", PaperSettings(only=only), photos=[photo.parent]
    )
    assert [item.status for item in manifest.results.items] == ["made"] * 4, manifest.failures
    pages = [page.file for item in manifest.results.items for page in item.made.pages]
    assert pages == [f"{name}/index.html" for name in only[1:]]
    assert all((tmp_path / "out" / page).is_file() for page in pages)
    assert all(item.made.figures for item in manifest.results.items)


@pytest.mark.slow
def test_what_is_trained_is_set_beside_the_papers_numbers(tmp_path):
    pytest.importorskip("sklearn", reason="pip install 'vizcnn[digits]'")
    for seed, part in enumerate(("train", "val")):
        paint_classes(tmp_path / "data" / part, 3, ("walrus", "kettle"), seed)
    settings = PaperSettings(only=("table-3", "figure-9"), epochs=1)
    ablated, probed = make_zeiler_fergus_gallery(
        [load("lenet", weights="bundled")], tmp_path / "out", settings, train=tmp_path / "data"
    ).results.items
    assert (ablated.status, probed.status) == ("made", "made"), (ablated.reason, probed.reason)
    assert len(ablated.made.tables[0].rows) > 5
    assert "2 classes" in probed.made.ours and "chance 50.0" in probed.made.ours
    printed = {row[:2]: row[2] for row in probed.made.tables[0].rows}
    assert printed["conv1", "svm"] == 44.8 and printed["conv3", "svm"] == 72.3
    assert (tmp_path / "out" / "table-7" / "index.html").is_file()


def test_photos_are_samples_or_drawn_from_those_given(tmp_path):
    model = make_model()
    assert [path.stem for path in Paper(model).choose_photos(2)] == ["astronaut", "chelsea"]
    for seed in range(6):
        paint_photo(tmp_path / f"{seed}.png", seed)
    given = Paper(model, photos=(tmp_path,), seed=1)
    drawn = given.choose_photos(3)
    assert len({path.name for path in drawn}) == 3
    assert drawn == given.choose_photos(3) != replace(given, seed=2).choose_photos(3)


def test_numbers_of_training_photos_are_those_that_classes_have(tmp_path):
    for name, count in (("a", 7), ("b", 6), ("c", 1)):
        for number in range(count):
            paint_photo(tmp_path / name / f"{number}.png", number)
    assert choose_counts(tmp_path) == (1, 5)
    with pytest.raises(VizcnnError, match="no two classes of two photos"):
        choose_counts(tmp_path / "a")


def test_one_or_two_nets_are_needed(tmp_path):
    with pytest.raises(VizcnnError, match="0 nets; needed: the one that stands for the paper's"):
        make_zeiler_fergus_gallery([], tmp_path / "out")
