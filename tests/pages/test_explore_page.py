"""The explorer's folder: every answer as the engine gives it, and what becomes of a stopped run."""

import json
from pathlib import Path

import pytest

from tests.support.explorer_answers import make_small_explorer, read_script
from tests.support.small_zoo import list_files
from vizcnn.basics.errors import VizcnnError
from vizcnn.explorer.explorer import Explorer, name_answer
from vizcnn.pages.explore import make_explorer

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def explorer(tmp_path_factory):
    return make_small_explorer(tmp_path_factory.mktemp("photos"), ("conv1", "conv3"), own=2)


def list_photos(explorer):
    return [Path(photo.word) for photo in explorer.photos]


def write(explorer, folder, photos=None, **more):
    photos = photos or list_photos(explorer)
    return make_explorer(explorer.nets, photos, folder, explorer.settings, "a command", **more)


def test_the_folder_has_every_answer_as_the_engine_gives_it(explorer, tmp_path):
    manifest = write(explorer, tmp_path / "out")
    files = {path.stem: path for path in (tmp_path / "out" / "data").iterdir()}
    asked = explorer.list_questions()
    assert sorted(files) == sorted(map(name_answer, asked))
    assert manifest.results.size == sum(path.stat().st_size for path in files.values())
    for question in asked[1:]:
        read, given = read_script(files[name_answer(question)]), explorer.ask(question)
        assert read.content == given.content
        assert read.fields == json.loads(json.dumps(given.fields))
    start = read_script(files["start"]).fields
    assert start["notes"] == ["Own parts are of the 2 strongest units of each layer on each photo."]


def test_the_page_loads_the_scripts_that_lie_beside_it(explorer, tmp_path):
    manifest = write(explorer, tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    for name in manifest.results.static:
        assert (tmp_path / "out" / name).is_file()
        assert f'"{name}"' in page or not name.endswith((".js", ".css")), name
    assert "style=" not in page and "onclick" not in page
    assert "needs JavaScript" in page


def test_photos_that_cannot_be_read_are_left_out_and_numbers_are_those_of_the_rest(
    explorer, tmp_path
):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    first, second = list_photos(explorer)
    manifest = write(explorer, tmp_path / "out", [first, broken, second])
    assert [failure.source for failure in manifest.failures] == [str(broken)]
    start = read_script(tmp_path / "out" / "data" / "start.js").fields
    assert [photo["name"] for photo in start["photos"]] == [first.name, second.name]
    assert (tmp_path / "out" / "data" / "maps-0-1-0.js").is_file()
    assert not (tmp_path / "out" / "data" / "maps-0-2-0.js").exists()


class Stopping:
    """Progress that stops a run before one of its answers, and counts those that are computed."""

    def __init__(self, at=None):
        self.at, self.counted = at, 0

    def __call__(self, items, *, label, **more):
        for item in items:
            if label == "explore":
                if self.counted == self.at:
                    raise KeyboardInterrupt
                self.counted += 1
            yield item


def test_a_stopped_run_goes_on_with_the_answers_that_it_had(explorer, tmp_path):
    whole, stopping, going_on = Stopping(), Stopping(at=5), Stopping()
    write(explorer, tmp_path / "whole", progress=whole)
    with pytest.raises(KeyboardInterrupt):
        write(explorer, tmp_path / "out", progress=stopping)
    assert not (tmp_path / "out" / "index.html").exists()
    write(explorer, tmp_path / "out", progress=going_on)
    assert whole.counted == len(explorer.list_questions()) == 5 + going_on.counted
    assert list_files(tmp_path / "out") == list_files(tmp_path / "whole")


def test_answers_of_other_layers_are_not_taken_up(explorer, tmp_path):
    stopping, anew = Stopping(at=5), Stopping()
    with pytest.raises(KeyboardInterrupt):
        write(explorer, tmp_path / "out", progress=stopping)
    other = make_small_explorer(tmp_path / "photos", ("conv3", "conv1"), own=2)
    again = Explorer(other.nets, explorer.photos, explorer.settings)
    write(again, tmp_path / "out", progress=anew)
    assert anew.counted == len(again.list_questions())
    read = read_script(tmp_path / "out" / "data" / "maps-0-0-0.js")
    given = again.ask({"ask": "maps", "net": 0, "photo": 0, "layer": 0})
    assert read.fields["size"] == given.fields["size"] == [16, 16]


def test_a_net_that_cannot_be_used_ends_the_run(tmp_path):
    damaged = make_small_explorer(tmp_path / "photos", ("conv1",))
    next(damaged.nets[0].net.module.parameters()).data.fill_(float("nan"))
    with pytest.raises(VizcnnError, match="not finite"):
        write(damaged, tmp_path / "out")
    assert not (tmp_path / "out" / "index.html").exists()
