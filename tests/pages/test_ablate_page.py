"""The page of an ablation: its table, its figures, and what it says of the paper."""

import json
import re
import shutil
from dataclasses import replace

import pytest
from scipy import stats

from tests.support.small_zoo import list_files
from tests.support.training_data import COUNTS, make_data
from vizcnn.basics.codec import find_files
from vizcnn.basics.errors import ModelError, VizcnnError
from vizcnn.gallery.manifest import read_manifest, to_json
from vizcnn.pages.ablate import AblateResults, AblateSettings, describe, draw, make_ablate_gallery
from vizcnn.training.ablation_runs import AblationRun
from vizcnn.training.ablations import ablation_recipe, choose_rows
from vizcnn.training.card import DataSource

pytestmark = pytest.mark.slow

SETTINGS = AblateSettings(
    rows=("no-2",), without=("conv3,fc4",), widths=("conv1=3",), seeds=2, epochs=1, batch=4
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("home") / "noise <b>")


@pytest.fixture(scope="module")
def page(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "out"
    return folder, make_ablate_gallery("lenet", data, folder, SETTINGS, "vizcnn ablate")


def test_the_page_is_whole_and_escaped(page):
    folder, manifest = page
    assert [figure.file for figure in manifest.figures] == [
        "errors.png",
        "changes.png",
        "curves.png",
    ]
    assert {*find_files(manifest)} < {*list_files(folder)}
    text = (folder / "index.html").read_text("utf-8")
    assert "noise &lt;b&gt;" in text and "<b>" not in text
    assert to_json(read_manifest(folder, AblateResults)) == to_json(manifest)
    for row in manifest.results.rows:
        for weights in row.weights:
            assert f'href="{weights}"' in text
            assert (folder / weights).is_file()
            assert (folder / weights).with_suffix(".md").is_file()


def test_the_table_is_what_the_trainings_gave(page):
    results = page[1].results
    assert [row.name for row in results.rows] == ["whole", "no-2", "no-conv3-fc4-conv1-3"]
    assert (results.train_photos, results.val_photos, results.classes) == (
        *(sum(COUNTS["train"].values()), sum(COUNTS["val"].values()), 3),
    )
    whole = results.rows[0]
    for row in results.rows:
        errors = [run.top1 for run in row.runs]
        assert row.top1.mean == pytest.approx(sum(errors) / 2)
        assert (row.top1.least, row.top1.most) == (min(errors), max(errors))
        card = json.loads((page[0] / row.weights[1]).with_suffix(".json").read_text("utf-8"))
        assert row.parameters == card["parameters"]
        assert errors[1] == pytest.approx(1 - card["accuracy"]["top1"])
    assert whole.change is None and whole.printed is None
    row = results.rows[2]
    assert (row.without, row.widths) == ("conv3,fc4", "conv1=3")
    assert row.change.mean == pytest.approx(row.top1.mean - whole.top1.mean)
    assert not results.source


def test_the_same_call_trains_nothing_again_and_gives_the_same_files(page, data, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(page[0], copy)
    lines = []
    make_ablate_gallery("lenet", data, copy, SETTINGS, "vizcnn ablate", report=lines.append)
    assert lines == []
    assert list_files(copy) == list_files(page[0])
    more = replace(SETTINGS, seeds=3, figure_format="svg")
    make_ablate_gallery("lenet", data, copy, more, "vizcnn ablate", report=lines.append)
    assert [line.split(":")[1].strip() for line in lines] == [
        f"{row}, seed 2" for row in ("whole", "no-2", "no-conv3-fc4-conv1-3")
    ]


def test_a_killed_run_is_gone_on_with(page, data, tmp_path):
    """All that is there is what a kill leaves: trainings without a page."""
    shutil.copytree(page[0] / "runs", tmp_path / "out" / "runs")
    lines = []
    make_ablate_gallery("lenet", data, tmp_path / "out", SETTINGS, report=lines.append)
    assert lines == []
    (tmp_path / "thesis" / "runs" / "a" / "b").mkdir(parents=True)
    with pytest.raises(VizcnnError, match="not vizcnn's"):
        make_ablate_gallery("lenet", data, tmp_path / "thesis", SETTINGS)


def make_results(model, rows, top1, seeds=3):
    """Results of trainings that never were: each row's errors around a value."""
    recipe = ablation_recipe(model)
    chosen = choose_rows(recipe, rows)
    errors = dict(zip((row.name for row in chosen), top1, strict=True))
    runs = {
        name: tuple(
            AblationRun(
                causes="",
                seed=seed,
                train_top1=value / 2,
                train_top5=value / 4,
                top1=value + 0.01 * seed,
                top5=value / 3,
                curve=(0.9, value + 0.01 * seed),
                seconds=1.0,
                sha256="",
            )
            for seed in range(seeds)
        )
        for name, value in errors.items()
    }
    photos = (Half(2000), Half(500))
    return describe(recipe, chosen, runs, dict.fromkeys(errors, 7), photos, DataSource("mine"))


class Half:
    """Photos that are only counted."""

    classes = tuple(map(str, range(20)))

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count


def test_the_papers_numbers_stand_beside_and_say_whose_they_are():
    results = make_results("zfnet", ["no-7", "wide-3-5"], (0.3, 0.5, 0.301))
    printed = {row.name: (row.printed.model, row.printed.top1) for row in results.rows}
    assert printed == {
        "whole": ("zfnet", 38.4),
        "no-7": ("alexnet", 40.0),
        "wide-3-5": ("zfnet", 37.5),
    }
    assert "arXiv 1311.2901" in results.source and "Table 3" in results.source
    assert "ImageNet" in results.scale
    assert "2,000 training and 500 validation photos of 20 classes, 128 px" in results.differences
    errors, changes, _ = draw(results)
    assert "cannot be compared" in errors.note
    assert "without fc7 +20.0 points" in changes.note
    assert "Not told apart by 3 seeds: conv3, 4, 5: 512, 1,024, 512 maps" in changes.note
    # the interval, by SciPy
    row = results.rows[1]
    welch = stats.ttest_ind([0.5, 0.51, 0.52], [0.3, 0.31, 0.32], equal_var=False)
    assert row.change.low == pytest.approx(welch.confidence_interval(0.95).low)


def test_one_seed_makes_no_band():
    results = make_results("alexnet", ["no-7"], (0.3, 0.5), seeds=1)
    errors, changes, _ = draw(results)
    assert "One seed says nothing" in errors.note
    assert "Not told apart by one seed: without fc7" in changes.note
    assert results.rows[1].change.low is None


def read_drawn(figure, colour):
    """Places of the dots of a colour along the horizontal axes, panel by panel."""
    return [
        [
            value
            for line in axes.lines
            if line.get_marker() in ("o", "D") and line.get_color() == colour
            for value in line.get_xdata()
        ]
        for axes in figure.axes
    ]


def test_every_seed_is_drawn_and_every_printed_number():
    results = make_results("zfnet", ["no-7"], (0.3, 0.5))
    errors = next(iter(draw(results)))
    figure = errors.figure()
    blue = [values for values in read_drawn(figure, "#0072b2") if values]
    assert blue[0] == pytest.approx([30, 31, 32, 50, 51, 52])
    assert blue[1] == pytest.approx([10, 10, 10, 50 / 3, 50 / 3, 50 / 3])
    paper = [values for values in read_drawn(figure, "#d55e00") if values]
    assert paper == [pytest.approx([38.4, 40.0]), pytest.approx([16.5, 18.4])]
    words = " ".join(text.get_text() for text in figure.texts)
    assert "layers were taken from its AlexNet alone" in re.sub(r"\s+", " ", words)


def test_what_cannot_be_is_refused_before_anything_is_made(data, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ModelError, match="'conv9' cannot be left out"):
        make_ablate_gallery("lenet", data, out, replace(SETTINGS, without=("conv9",)))
    with pytest.raises(ModelError, match="cannot be left out: it is built as it is"):
        make_ablate_gallery("vgg16-c", data, out, SETTINGS)
    with pytest.raises(VizcnnError, match="3 times layers to leave out and 2 times widths"):
        replace(SETTINGS, without=("conv2", "conv3", "fc4"), widths=("conv1=2", "conv1=3"))
    with pytest.raises(VizcnnError, match="seeds"):
        replace(SETTINGS, seeds=0)
    assert not out.exists()


def test_own_rows_pair_or_share():
    own = replace(SETTINGS, without=("conv2", "fc4"), widths=("conv1=2",)).list_own()
    assert [row.name for row in own] == ["no-conv2-conv1-2", "no-fc4-conv1-2"]
    own = replace(SETTINGS, without=("conv2", "fc4"), widths=("conv1=2", "conv1=3")).list_own()
    assert [row.name for row in own] == ["no-conv2-conv1-2", "no-fc4-conv1-3"]
    assert [row.name for row in replace(SETTINGS, widths=()).list_own()] == ["no-conv3-fc4"]
