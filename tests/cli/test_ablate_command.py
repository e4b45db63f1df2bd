"""``vizcnn ablate`` as a user meets it: layers trained anew, and units of a small net."""

import json
import platform
from pathlib import Path

import pytest
import torch

from tests.support.command_line import fail, run
from tests.support.small_zoo import list_files, paint_photo
from tests.support.training_data import interrupt_step, make_data
from vizcnn.gallery.manifest import read_manifest
from vizcnn.pages.ablate import AblateResults
from vizcnn.pages.ablate_units import AblateUnitsResults
from vizcnn.pages.runs import RunsResults

pytestmark = pytest.mark.slow

LENET = ("--model", "lenet", "--epochs", 1, "--batch", 4, "--seeds", 2, "--row", "no-3")


@pytest.fixture(autouse=True)
def same_process(monkeypatch):
    # the setting is for the whole process, here the tests'
    monkeypatch.setattr(platform, "libc_ver", lambda: ("another", ""))
    former = torch.get_num_threads()
    yield
    torch.set_num_threads(former)


class TestLayers:
    @pytest.fixture
    def data(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        return make_data(tmp_path / "data")

    def test_a_table_is_trained_printed_and_written(self, data):
        (data / "val" / "ant" / "bad.png").write_bytes(b"")
        told = run("ablate", data, *LENET, "--without", "conv2", "--widths", "fc4=9")
        lines = told.stdout.splitlines()
        assert lines[0].split() == "net train top-1 val top-1 val top-5 change".split()
        assert [line.split()[0] for line in lines[1:4]] == ["whole", "no-3", "no-conv2-fc4-9"]
        assert "mean of 2 seed(s)" in lines[4]
        out = Path("vizcnn-out/lenet-data-ablate")
        assert lines[-1] == f"gallery: {out}/index.html"
        progress = told.stderr.splitlines()
        assert progress[0].startswith("1 of 6: whole, seed 0: top-1 error ")
        assert "bad.png" in told.stderr
        manifest = read_manifest(out, AblateResults)
        assert manifest.results.seeds == (0, 1)
        # again, by its own command: nothing is trained
        words = manifest.command.split()
        before = list_files(out)
        assert " of 6:" not in run(*words[1:]).stderr
        assert list_files(out) == before

    def test_an_interrupted_table_goes_on(self, data, monkeypatch):
        words = ("ablate", data, *LENET, "--out", "out")
        with monkeypatch.context() as patch:
            interrupt_step(patch, 5)
            told = run(*words, status=130)
        assert "1 of 4: whole, seed 0" in told.stderr
        assert sorted(path.name for path in Path("out").iterdir()) == ["runs"]
        told = run(*words)
        assert "1 of 4" not in told.stderr and "2 of 4: no-3, seed 0" in told.stderr
        assert Path("out/index.html").is_file()
        # other settings are another table's
        line = fail(*words[:-1], "out", "--learning-rate", "0.01")
        assert "holds a training with other settings or on other photos" in line

    def test_json_has_all_numbers(self, data):
        words = ("--model", "lenet", "--epochs", 1, "--seeds", 1, "--row", "no-3")
        told = run("ablate", data, *words, "--json", "--out", "out")
        results = json.loads(told.stdout)["manifest"]["results"]
        (run0,) = results["rows"][0]["runs"]
        assert results["rows"][0]["top1"]["mean"] == run0["top1"]
        assert results["rows"][1]["change"]["low"] is None

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            ((), "no folders to train on are named: give one with train/ and val/"),
            (("a", "b"), "2 folders to train on"),
            (("missing",), "no folder 'missing/train'"),
            (("data", "--model", "vgg16-c"), "layers of vgg16-c cannot be left out"),
            (("data", "--model", "lenet", "--without", "conv1"), "'conv1' cannot be left out"),
            (("data", "--model", "lenet", "--row", "no-9"), "has no row 'no-9': did you mean"),
            (("data", "--by", "mean"), "--by goes with units of a trained net"),
            (("data", "--weights", "random"), "--weights goes with units"),
            (("data", "--model", "lenet", "--model", "zfnet"), "one is trained at a time"),
            (("data", "--layer", "conv1", "--epochs", 2), "--epochs goes with trainings"),
            (("data", "--unit", "1", "--row", "no-7"), "--row goes with trainings"),
        ],
    )
    def test_what_cannot_be_is_told_in_a_line(self, words, told, data):
        assert told in fail("ablate", *words)
        assert not list(Path().glob("vizcnn-out/*/*"))


@pytest.mark.usefixtures("small_net")
class TestUnits:
    @pytest.fixture
    def photos(self, tmp_path):
        for name in ("dog", "cow"):
            for seed in range(2):
                paint_photo(tmp_path / "photos" / name / f"{seed}.png", seed + len(name))
        return "photos"

    def test_units_of_a_layer_are_ranked_for_a_class(self, photos):
        words = ("--layer", "conv5", "--unit", "3,5..7", "--class", "DOG", "--by", "MEAN")
        told = run("ablate", photos, *words, "--save-arrays", "--out", "out").stdout.splitlines()
        assert "units set to mean; change of the logit of dog, mean of its 2 photos" in told[1]
        assert told[2] == "conv5:" and told[3].split()[:3] == ["unit", "change", "accuracy"]
        results = read_manifest(Path("out"), AblateUnitsResults)
        assert {unit.unit for unit in results.results.layers[0].units} == {3, 5, 6, 7}
        assert [line.split()[0] for line in told[4:8]] == [
            str(unit.unit) for unit in results.results.layers[0].units
        ]
        assert (results.results.known, results.results.count) == (2, 4)
        assert Path("out/arrays.npz").is_file()
        before = list_files(Path("out"))
        run(*results.command.split()[1:])
        assert list_files(Path("out")) == before

    def test_without_a_layer_units_are_of_the_last_stage(self, photos):
        run("ablate", photos, "--unit", 2, "--out", "out")
        (layer,) = read_manifest(Path("out"), AblateUnitsResults).results.layers
        assert layer.name == "conv5"

    def test_several_nets_have_a_page_each(self, photos):
        nets = ("--model", "zfnet", "--model", "alexnet")
        Path("out/zfnet/.vizcnn-kept.part").mkdir(parents=True)  # as a killed run leaves it
        told = run("ablate", photos, *nets, "--layer", "fc6", "--unit", 0, "--out", "out").stdout
        index = read_manifest(Path("out"), RunsResults)
        assert [one.folder for one in index.results.runs] == ["zfnet", "alexnet"]
        assert "2 nets side by side" in told

    def test_what_cannot_be_is_told_in_a_line(self, photos):
        for words, told in (
            (("--layer", "conv9"), "no layer 'conv9'"),
            (("--unit", 99), "layer 'conv5' has no unit 99: it has 0..9"),
            (("--layer", "fc6", "--class", "cow"), "no class 'cow'"),
            (("--unit", "cow"), "has no unit 'cow'"),
        ):
            assert told in fail("ablate", photos, *words, "--out", "out")
        assert not Path("out").exists()
