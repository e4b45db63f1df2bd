"""scikit-learn's digits: written, split, trained on; the bundled LeNet-5's accuracy on them."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import vizcnn
from tests.support.command_line import invoke_train
from tests.support.small_zoo import list_files
from vizcnn.basics.errors import DataError, ModelError, VizcnnError
from vizcnn.cli.main import commands
from vizcnn.training.digits import write_digits
from vizcnn.training.evaluation import measure_accuracy
from vizcnn.training.net import build_net, recipe_preprocessing
from vizcnn.training.photos import open_photos
from vizcnn.training.recipe import Recipe, complete_settings, usual_recipe
from vizcnn.zoo.files import BUNDLE

datasets = pytest.importorskip(
    "sklearn.datasets", reason="the extra vizcnn[digits] is not installed"
)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits") / "digits"
    write_digits(folder)
    return folder


# ---- the digits -----------------------------------------------------------------------------


@pytest.mark.slow
def test_every_fifth_digit_of_a_class_validates(digits):
    target = datasets.load_digits().target
    for digit in range(10):
        numbers = np.flatnonzero(target == digit).tolist()
        kept = sorted(int(path.stem) for path in (digits / "val" / str(digit)).iterdir())
        assert kept == numbers[4::5]
        trained = sorted(int(path.stem) for path in (digits / "train" / str(digit)).iterdir())
        assert trained == sorted(set(numbers) - set(kept))
    assert len(list(digits.glob("train/*/*.png"))) == 1442
    assert len(list(digits.glob("val/*/*.png"))) == 355


def test_digits_are_enlarged_in_a_black_frame(digits):
    images = datasets.load_digits().images
    path = next(path for path in sorted(digits.glob("train/*/*.png")))
    with Image.open(path) as image:
        assert (image.mode, image.size) == ("L", (36, 36))
        values = np.asarray(image).astype(float)
    inside = values[2:34, 2:34]
    assert values.sum() == inside.sum()
    # a bicubic enlargement keeps the mean of each block nearly, and the ends of the scale
    blocks = inside.reshape(8, 4, 8, 4).mean(axis=(1, 3)) / 255 * 16
    assert np.corrcoef(blocks.ravel(), images[int(path.stem)].ravel())[0, 1] > 0.99
    assert inside.min() == 0
    assert inside.max() > 230


@pytest.mark.slow
def test_writing_again_gives_the_same_bytes(digits, tmp_path):
    write_digits(tmp_path / "again")
    before = list_files(tmp_path / "again")
    assert before == list_files(digits)
    write_digits(tmp_path / "again")
    assert list_files(tmp_path / "again") == before


def test_missing_scikit_learn_is_told_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match=r"pip install 'vizcnn\[digits\]'") as caught:
        write_digits(tmp_path / "digits")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "digits").exists()


def test_folder_of_others_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(VizcnnError, match="not vizcnn's"):
        write_digits(tmp_path)
    assert list_files(tmp_path) == {"mine.txt": b"mine"}


# ---- the bundled net ------------------------------------------------------------------------


def test_bundled_net_is_as_good_as_its_card_says(digits):
    card = json.loads((BUNDLE / "lenet.json").read_text("utf-8"))
    model = vizcnn.load("lenet", weights="bundled")
    preprocessing = model.preprocessing
    _, validation = open_photos(digits, preprocessing.resize)
    validation.load()
    accuracy = measure_accuracy(model.module, validation, preprocessing, preprocessing.input_size)
    assert vars(accuracy) == pytest.approx(card["accuracy"])
    assert accuracy.top1 >= 0.97
    assert model.provenance.top1 == pytest.approx(accuracy.top1, abs=5e-5)


def test_bundled_net_reads_a_digits_file_as_it_was_trained(digits):
    model = vizcnn.load("lenet", weights="bundled")
    path = sorted((digits / "val" / "7").iterdir())[0]
    pixels = model.read(path)
    framed = torch.from_numpy(np.array(Image.open(path)))[2:34, 2:34] / 255
    torch.testing.assert_close(pixels, framed.expand(1, 3, 32, 32))
    assert model.classify(pixels)[0][0][0] == "7"


# ---- the recipe -----------------------------------------------------------------------------


def test_usual_recipe_is_the_nets_own():
    assert usual_recipe("zfnet", epochs=None) == Recipe("zfnet")
    recipe = usual_recipe("lenet", batch=8, flip=None)
    assert (recipe.crop, recipe.resize, recipe.hidden, recipe.flip) == (32, 36, None, False)
    assert recipe.batch == 8
    assert usual_recipe("lenet", flip=True).flip is True
    assert recipe_preprocessing(recipe).grey
    assert recipe_preprocessing(recipe).resize == 36
    assert not recipe_preprocessing(Recipe("zfnet")).grey


def test_settings_of_an_older_version_are_completed():
    recipe = Recipe("zfnet", class_balance=0.25, jitter=0.1)
    assert complete_settings(recipe.to_dict()) == recipe.to_dict()
    old = {"model": "alexnet", "jitter": 0.1}
    assert Recipe(**complete_settings(old)) == Recipe("alexnet", class_balance=0.5, jitter=0.1)


def test_sigmoids_start_with_larger_weights_than_rectifiers():
    for variant, scale in (("modern", 2**0.5), ("classic", 4.0)):
        net = build_net(usual_recipe("lenet", variant=variant), 10)
        weight = net.get_parameter("features.conv3.weight")
        assert weight.std().item() == pytest.approx(scale / 400**0.5, rel=0.02)


# ---- the command ----------------------------------------------------------------------------


@pytest.fixture
def call(monkeypatch, tmp_path):
    # the setting is for the whole process, here the tests'
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str):
        options = ["--model", "lenet", "digits", "--out", "run", "--device", "cpu"]
        options += ["--threads", "1", "--epochs", "1", *arguments]
        return invoke_train(options)

    return call


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["modern", "classic"])
def test_command_writes_the_digits_and_trains_on_them(call, digits, variant):
    result = call("--variant", variant)
    assert result.exception is None, result.output
    assert list_files(Path("run/digits")) == list_files(digits)
    card = json.loads(Path("run/lenet.json").read_text("utf-8"))
    assert card["data"]["name"] == "scikit-learn digits"
    assert "CC BY 4.0" in card["data"]["licence"]
    assert (card["train_photos"], card["val_photos"]) == (1442, 355)
    assert card["recipe"]["flip"] is False
    assert card["classes"] == list("0123456789")
    model = vizcnn.load("lenet", Path("run/lenet.safetensors"))
    assert model.options.get("form", "modern") == variant
    assert model.provenance.top1 == pytest.approx(card["accuracy"]["top1"], abs=5e-5)
    before = list_files(Path("run"))
    assert "already trained" in call("--variant", variant, "--note", "mine").stderr
    assert json.loads(Path("run/lenet.json").read_text("utf-8"))["data"]["note"] == "mine"
    assert list_files(Path("run")).keys() == before.keys()


def test_folder_called_digits_goes_first(call):
    Path("digits/train/one").mkdir(parents=True)
    result = call()
    assert isinstance(result.exception, DataError)
    assert "no photos in 'digits/train/one'" in str(result.exception)
    assert not Path("run").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hidden", "9"], "the widths of lenet are fixed: leave hidden out"),
        (["--crop", "20"], "too small for lenet: take 32, say"),
        (["--variant", "clasic"], "no variant 'clasic': did you mean 'classic'"),
    ],
)
def test_impossible_nets_get_one_line(call, arguments, message):
    result = call(*arguments)
    assert isinstance(result.exception, ModelError)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)


def test_help_tells_each_nets_defaults():
    shown = " ".join(CliRunner().invoke(commands, ["train", "--help"]).output.split())
    assert "[default: (20; lenet 40); x>=1]" in shown
    assert "[default: (yes; lenet no)]" in shown
    assert "scikit-learn" in shown.replace("- ", "-")  # a line may end at the hyphen
