"""``vizcnn probe`` as a user meets it, on a small net."""

import json
import shlex
import shutil
import sys

import pytest

from tests.support.class_photos import paint_classes
from tests.support.command_line import fail, run
from tests.support.small_zoo import list_files

OPTIONS = ("--layer", "conv1,fc7", "--per-class", "3,1", "--folds", "2", "--no-baseline")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return paint_classes(tmp_path_factory.mktemp("classes") / "photos", count=6)


@pytest.mark.usefixtures("small_net")
class TestCommand:
    def test_the_table_is_the_report(self, photos):
        pytest.importorskip("sklearn", reason="pip install 'vizcnn[digits]'")
        told = run("probe", photos, *OPTIONS).stdout
        assert "3 classes, 9 photos test in each draw, chance 33.3 %" in told
        assert "near-duplicates removed: 0, compared with each other only" in told
        lines = [line.split() for line in told.splitlines() if line.startswith(("conv1", "fc7"))]
        assert len(lines) == 2 * 2 * 2
        assert {line[-4] for line in lines} == {"1", "3"}
        assert "vizcnn-out/zfnet-photos-probe/index.html" in told

    def test_json_repeats_the_run(self, photos, tmp_path):
        pytest.importorskip("sklearn", reason="pip install 'vizcnn[digits]'")
        told = json.loads(
            run("probe", photos, *OPTIONS, "--json", "--out", tmp_path / "one").stdout
        )
        manifest = told["manifest"]
        assert manifest["settings"]["per_class"] == [1, 3]
        assert "--no-baseline" in manifest["command"]
        assert [row["layer"] for row in manifest["results"]["rows"][::4]] == ["conv1", "fc7"]
        files = list_files(tmp_path / "one")
        shutil.rmtree(tmp_path / "one")
        run(*shlex.split(manifest["command"])[1:])
        assert list_files(tmp_path / "one") == files

    def test_several_nets_have_a_page_each(self, photos):
        pytest.importorskip("sklearn", reason="pip install 'vizcnn[digits]'")
        nets = ("--model", "zfnet", "--model", "alexnet")
        told = run("probe", photos, *nets, *OPTIONS, "--classifier", "svm", "--out", "two").stdout
        assert "2 nets side by side" in told

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (("--per-class", "0"), "'0' is not a whole number from 1"),
            (("--classifier", "tree"), "'tree' is not one of 'svm', 'softmax'"),
            (("--correlation", "2"), "correlation is 2; needed: above 0, at most 1"),
            (("--trained-classes", "keep"), "'refuse', 'leave-out', 'mark'"),
            (("--layer", "conv9"), "no layer 'conv9'"),
        ],
    )
    def test_what_cannot_be_is_refused_in_one_line(self, photos, options, words):
        pytest.importorskip("sklearn", reason="pip install 'vizcnn[digits]'")
        assert words in fail("probe", photos, *options)

    def test_photos_are_needed(self):
        assert "Missing argument" in fail("probe")

    def test_without_scikit_learn_it_says_what_to_install(self, photos, monkeypatch):
        for name in [name for name in sys.modules if name.split(".")[0] == "sklearn"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "sklearn", None)
        line = fail("probe", photos)
        assert "linear classifiers are scikit-learn's" in line
        assert "pip install 'vizcnn[digits]'" in line
