"""Nets that a user's own file makes: run on the user's word, said, and told in one line."""

import hashlib
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import vizcnn
from tests.support import own_net
from vizcnn.basics.errors import ModelError, VizcnnError, VizcnnWarning, WeightsError

SOURCE = Path(own_net.__file__)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return Path(shutil.copy(SOURCE, tmp_path / "own file.py"))


def test_the_code_is_run_and_that_is_said_with_its_checksum(file: Path) -> None:
    with pytest.warns(VizcnnWarning, match=r"ran the code of .*own file\.py'"):
        model = vizcnn.load(f"{file}:make")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert model.provenance.sha256 == model.options["code_sha256"] == sha256
    assert model.provenance.describe() == f"weights as {file}:make makes them"
    assert model.name == "own-file-make" and model.layers["stage2"] == "relu()#2"
    assert not model.module.training and str(file.parent) not in sys.path


@pytest.mark.filterwarnings("ignore::vizcnn.basics.errors.VizcnnWarning")
def test_untrained_nets_are_the_same_in_each_run_and_the_seed_is_heeded(file: Path) -> None:
    state = torch.get_rng_state()
    nets = [vizcnn.load(f"{file}:make", seed=seed).module.state_dict() for seed in (0, 0, 1)]
    assert torch.equal(nets[0]["conv1.weight"], nets[1]["conv1.weight"])
    assert not torch.equal(nets[0]["conv1.weight"], nets[2]["conv1.weight"])
    drawn = vizcnn.load(f"{file}:make", weights=None)
    assert drawn.provenance.source == "random"
    assert not torch.equal(drawn.module.state_dict()["conv1.weight"], nets[0]["conv1.weight"])
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.filterwarnings("ignore::vizcnn.basics.errors.VizcnnWarning")
def test_options_reach_the_factory_and_a_wrapped_net_keeps_what_it_says(file: Path) -> None:
    assert len(vizcnn.load(f"{file}:make", classes=7).classes) == 7
    assert vizcnn.load(f"{file}:Own").classes == ("class 0", "class 1", "class 2")
    wrapped = vizcnn.load(f"{file}:make_wrapped")
    assert (wrapped.input_size, wrapped.classes) == (48, ("cat", "dog", "bird"))
    assert wrapped.options["code_sha256"] == wrapped.provenance.sha256
    other = vizcnn.load(f"{file}:make_wrapped", preprocessing="size=64", classes=["a", "b", "c"])
    assert (other.input_size, other.classes) == (64, ("a", "b", "c"))
    by_module = vizcnn.load("tests.support.own_net:make")
    assert by_module.name == "tests.support.own_net-make"


@pytest.mark.filterwarnings("ignore::vizcnn.basics.errors.VizcnnWarning")
def test_a_net_of_one_size_is_run_at_the_size_that_is_told(file: Path) -> None:
    with pytest.raises(ModelError, match=r"image of 224 x 224 px .*--preprocess size=\.\."):
        vizcnn.load(f"{file}:make_fixed")
    model = vizcnn.load(f"{file}:make_fixed", preprocessing="mean=0.5,size=48")
    assert (model.input_size, model.preprocessing.mean) == (48, (0.5,) * 3)
    assert model.logits(torch.rand(2, 3, 48, 48)).shape == (2, 3)


@pytest.mark.filterwarnings("ignore::vizcnn.basics.errors.VizcnnWarning")
def test_weights_of_a_file_are_put_in_or_refused_by_name(file: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    trained = own_net.make()
    weights = tmp_path / "mine.safetensors"
    save_file(trained.state_dict(), weights)
    model = vizcnn.load(f"{file}:make", weights)
    pixels = torch.rand(1, 3, 64, 64)
    wanted = trained(model.preprocessing.normalise(pixels))
    assert torch.equal(model.logits(pixels), wanted)
    assert model.provenance.source == "file"
    with pytest.raises(WeightsError, match=r"are not own-file-make's: head\.weight is \(3, 8\)"):
        vizcnn.load(f"{file}:make", weights, classes=4)


@pytest.mark.filterwarnings("ignore::vizcnn.basics.errors.VizcnnWarning")
@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("{file}:fail", "calling fail raised RuntimeError (no data, line"),
        ("{file}:mkae", "has no 'mkae': did you mean 'make'"),
        ("{file}:give_words", "made a str; needed: a torch module"),
        ("{file}:number", "is a int; needed: a function or class"),
        ("{folder}/gone.py:make", "no file of code"),
        ("{folder}/broken.py:make", "running it raised SyntaxError"),
        ("no_such_package.nets:make", "importing it raised ModuleNotFoundError"),
    ],
)
def test_mistakes_are_one_line(file: Path, spec: str, told: str) -> None:
    (file.parent / "broken.py").write_text("def make(:\n")
    with pytest.raises(VizcnnError) as caught:
        vizcnn.load(spec.format(file=file, folder=file.parent))
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_there_are_no_variants_of_ones_own(file: Path) -> None:
    with pytest.raises(ModelError, match="has no variants"):
        vizcnn.load(f"{file}:make", variant="paper")
