"""The command gallery with --engine ray: the pictures of one process."""

import pytest

from tests.support.command_line import fail, run
from tests.support.small_zoo import list_files, paint_photo
from vizcnn.gallery.manifest import read_manifest
from vizcnn.pages.layers.site_pages import LayersResults

LENET = ("--model", "lenet", "--weights", "bundled", "--layer", "conv2", "--unit", "3,5")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(9):
        paint_photo(tmp_path / "photos" / f"{number}.png", seed=number)
    return tmp_path


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--actors", 2), "--actors is for an engine: give --engine ray"),
        (("--engine", "ray", "--device", "cuda:1"), "device 'cuda:1' cannot be chosen"),
        (
            ("--engine", "ray", "--parts", 2, "--index", "some.safetensors"),
            "--parts is for mining, which --index spares",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_before_any_work(here, given, told):
    (here / "some.safetensors").touch()
    assert told in fail("gallery", *LENET, "photos", "--out", "none", *given)
    assert not (here / "none").exists()


@pytest.mark.slow
def test_a_site_has_the_pictures_of_one_process_and_says_how_it_was_made(here):
    pytest.importorskip("ray.data")
    result = run("gallery", *LENET, "photos", "--out", "rayed", "--engine", "ray", "--actors", 1)
    assert "9 photos mined" in result.stdout
    assert result.stderr == ""
    run("gallery", *LENET, "photos", "--out", "plain", "--workers", 0)
    rayed, plain = list_files(here / "rayed"), list_files(here / "plain")
    assert rayed.keys() == plain.keys()
    different = {name for name in plain if plain[name] != rayed[name]}
    assert {name.rpartition(".")[2] for name in different} == {"html", "json"}  # with the command
    manifest = read_manifest(here / "rayed", LayersResults)
    assert " --engine ray --actors 1 --device cpu " in manifest.command
    for unit in manifest.results.layers[0].units:
        assert "--engine" not in unit.command
        assert "--actors" not in unit.command
