"""Several runs beside each other: their folders and the index."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.small_zoo import make_model
from vizcnn.basics.errors import VizcnnError
from vizcnn.gallery.manifest import Failure, View, read_manifest
from vizcnn.pages.filters import FilterSettings, make_filter_gallery
from vizcnn.pages.runs import Plan, RunsResults, make_runs

MODEL = make_model()


def make_page(folder: Path):
    return make_filter_gallery([MODEL], folder, FilterSettings())


def fail_to(folder: Path):
    raise VizcnnError("no unit 9")


def list_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_index_shows_what_each_run_shows(tmp_path):
    plans = [Plan(name, f"<i>{name}</i>", MODEL, make_page) for name in ("one", "two")]
    index = make_runs(plans, tmp_path / "out", "filters", {"nets": ["one"]}, "vizcnn filters")
    assert read_manifest(tmp_path / "out", RunsResults) == index
    (first, second) = index.results.runs
    assert first.views == second.views
    assert all(isinstance(view, View) for view in first.views)
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert "&lt;i&gt;one&lt;/i&gt;" in page and "<i>one" not in page
    for run in (first, second):
        for view in run.views:
            for file in view.files:
                assert (tmp_path / "out" / run.folder / file).is_file()
                assert f'src="{run.folder}/{file}"' in page
    assert index.results.rows == tuple(view.title for view in first.views)


def test_nothing_is_written_when_a_run_cannot_be_made(tmp_path):
    plans = [Plan("one", "one", MODEL, make_page), Plan("two", "two", MODEL, fail_to)]
    with pytest.raises(VizcnnError, match="no unit 9"):
        make_runs(plans, tmp_path / "out", "filters", {})
    assert list(tmp_path.iterdir()) == []


def test_resumed_runs_stay_and_are_gone_on_with(tmp_path):
    out = tmp_path / "out"
    plans = [Plan("one", "one", MODEL, make_page), Plan("two", "two", MODEL, fail_to)]
    with pytest.raises(VizcnnError, match="no unit 9"):
        make_runs(plans, out, "filters", {}, resumed=True)
    assert list_names(out) == ["one"]
    plans[1] = Plan("two", "two", MODEL, make_page)
    make_runs(plans, out, "filters", {}, resumed=True)
    assert {"one", "two", "index.html", "manifest.json"} <= set(list_names(out))


def test_a_folder_of_others_is_not_taken_for_runs(tmp_path):
    (tmp_path / "out" / "thesis").mkdir(parents=True)
    plans = [Plan("one", "one", MODEL, make_page)]
    for resumed in (False, True):
        with pytest.raises(VizcnnError, match="not vizcnn's"):
            make_runs(plans, tmp_path / "out", "filters", {}, resumed=resumed)
    assert list_names(tmp_path / "out") == ["thesis"]


def test_photos_that_failed_in_every_run_are_named_once(tmp_path):
    failure = Failure(source="a.jpg", error="'a.jpg' is empty")

    def make(folder: Path):
        return replace(make_page(folder), failures=(failure,))

    plans = [Plan(name, name, MODEL, make) for name in ("one", "two")]
    assert make_runs(plans, tmp_path / "out", "deconv", {}).failures == (failure,)
