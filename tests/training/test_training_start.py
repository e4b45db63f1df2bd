"""A run that begins with trained weights: it goes on as any other, and its card says so."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from tests.support.training_data import RECIPE, cut_after, fingerprint, make_data, make_run
from vizcnn.basics.errors import WeightsError
from vizcnn.basics.files import hash_file
from vizcnn.training.card import DataSource
from vizcnn.training.checkpoint import read_checkpoint
from vizcnn.training.export import export_run
from vizcnn.training.net import first_convolution
from vizcnn.training.recipe import usual_recipe
from vizcnn.training.start import Start, read_start
from vizcnn.zoo.files import read_metadata, save_weights
from vizcnn.zoo.lenet import LeNet5
from vizcnn.zoo.snapshots import read_first_layers
from vizcnn.zoo.state_dicts import read_state

SOURCE = DataSource("toys")
CLASSES = ["ant", "bee", "cat"]
NEXT = replace(RECIPE, epochs=1, learning_rate=0.01, seed=8)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data"))


def export(run, out, **options):
    run.load_photos()
    return export_run(run.state(), run.photos, run.validation, out, SOURCE, **options)


@pytest.fixture(scope="module")
def former(data, tmp_path_factory):
    """What a first training wrote."""
    folder = tmp_path_factory.mktemp("former")
    run = make_run(data, folder / "checkpoint.pt")
    run.run()
    return export(run, folder / "out")


@pytest.fixture(scope="module")
def start(former):
    return read_start(former.weights, NEXT, CLASSES)


# ---- reading --------------------------------------------------------------------------------


@pytest.mark.slow
def test_start_tells_what_file_and_card_tell(start, former):
    assert start.sha256 == hash_file(former.weights)
    assert {value.dtype for value in start.weights.values()} == {torch.float32}
    told = former.card.summary()
    assert start.began_with == {
        "file": "alexnet.safetensors",
        "sha256": start.sha256,
        "data": "toys",
        "top1": told["top1"],
        "top5": told["top5"],
        "epochs": 2,
        "recipe": RECIPE.to_dict(),
        "learning_curve": list(former.card.learning_curve),
    }
    json.dumps(start.began_with, allow_nan=False)


def spoil(path, **changes):
    card = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(card | changes))


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.unlink(),
        lambda path: path.write_text("{"),
        lambda path: path.write_text("[]"),
        lambda path: path.write_bytes(b"\xff"),
        lambda path: spoil(path, seed=9),
        lambda path: spoil(path, accuracy={"top1": 0.987, "top5": 1.0}),
        lambda path: spoil(path, classes=["ant", "bee", "dog"]),
        lambda path: spoil(path, learning_curve=[{"epoch": 1}]),
    ],
    ids=["none", "cut", "a list", "bytes", "seed", "accuracy", "classes", "curve"],
)
def test_card_that_is_not_the_files_is_left_out(former, tmp_path, change):
    weights = shutil.copy(former.weights, tmp_path / "alexnet.safetensors")
    shutil.copy(former.card_json, tmp_path / "alexnet.json")
    assert "learning_curve" in read_start(weights, NEXT, CLASSES).began_with
    change(tmp_path / "alexnet.json")
    told = read_start(weights, NEXT, CLASSES).began_with
    assert set(told) == {"file", "sha256", "data", "top1", "top5", "epochs"}


@pytest.mark.parametrize(
    ("recipe", "classes", "message"),
    [
        (replace(NEXT, model="zfnet"), CLASSES, "weights of 'alexnet', not of 'zfnet'"),
        (NEXT, ["ant", "bee"], "3 in the file, 2 in the photos"),
        (NEXT, ["ant", "bee", "dog"], "'cat' in the file, 'dog' in the photos"),
        (replace(NEXT, hidden=8), CLASSES, "hidden 16 -> 8"),
        (replace(NEXT, crop=128, hidden=8), CLASSES, "hidden 16 -> 8, input_size 64 -> 128"),
    ],
)
def test_weights_of_another_net_are_refused_by_name(former, recipe, classes, message):
    with pytest.raises(WeightsError) as caught:
        read_start(former.weights, recipe, classes)
    assert message in str(caught.value)
    assert "alexnet.safetensors" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_classes_are_compared_by_the_names_that_readers_see(former):
    assert read_start(former.weights, NEXT, ["n01234567_ant", "caltech_bee", "cat"]).weights


def test_files_that_are_not_vizcnns_weights_are_refused(former, tmp_path):
    from safetensors.torch import save_file

    save_file(read_state(former.weights), tmp_path / "foreign.safetensors")
    torch.save(read_state(former.weights), tmp_path / "weights.pth")
    (tmp_path / "cut.safetensors").write_bytes(former.weights.read_bytes()[:-9])
    faults = {
        tmp_path / "foreign.safetensors": "was not written by vizcnn",
        tmp_path / "weights.pth": "was not written by vizcnn",
        tmp_path / "cut.safetensors": "cut off or damaged",
        tmp_path / "missing.safetensors": "no weight file",
        tmp_path: "is a folder",
        former.first_layers: "the first layers of a training, not weights",
    }
    for path, message in faults.items():
        with pytest.raises(WeightsError, match=message) as caught:
            read_start(path, NEXT, CLASSES)
        assert len(str(caught.value).splitlines()) == 1


# ---- the run --------------------------------------------------------------------------------


@pytest.mark.slow
def test_run_begins_with_the_weights(data, start, tmp_path):
    run = make_run(data, tmp_path / "checkpoint.pt", NEXT, start=start)
    assert run.recipe == replace(NEXT, start=start.sha256)
    for name, value in run.net.state_dict().items():
        assert torch.equal(value, start.weights[name]), name
    assert torch.equal(run.first_layers[0].float(), start.weights["features.conv1.weight"])
    run.run()
    weight = first_convolution(run.net).weight
    assert not torch.equal(weight, start.weights["features.conv1.weight"])
    assert run.state().began_with == start.began_with


@pytest.mark.slow
@pytest.mark.parametrize("passed", [0, 2, 3], ids=["at once", "in the epoch", "at validation"])
@pytest.mark.parametrize("again", ["with the file", "without it"])
def test_cut_run_goes_on_to_the_same_bytes(data, start, tmp_path, passed, again):
    whole = make_run(data, tmp_path / "whole.pt", NEXT, start=start)
    whole.run()
    path = tmp_path / "checkpoint.pt"

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_run(data, path, NEXT, start=start).run(cut_after(passed, stop))
    if again == "with the file":
        resumed = make_run(data, path, NEXT, start=start)
    else:
        resumed = make_run(data, path, replace(NEXT, start=start.sha256))
    resumed.run()
    assert fingerprint(resumed.state()) == fingerprint(whole.state())
    assert read_checkpoint(path).began_with == start.began_with
    assert resumed.first_layers.keys() == whole.first_layers.keys()
    assert torch.equal(resumed.first_layers[0], whole.first_layers[0])


def test_checkpoint_of_another_start_is_refused(data, start, tmp_path):
    path = tmp_path / "checkpoint.pt"
    make_run(data, path, NEXT).save()
    with pytest.raises(WeightsError, match=rf"of another run \(start '' -> '{start.sha256}'\)"):
        make_run(data, path, NEXT, start=start)
    with pytest.raises(WeightsError, match="start '' -> "):
        make_run(data, path, replace(NEXT, start="0" * 64))


def test_recipe_and_weights_must_be_of_one_start(data, start, tmp_path):
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(WeightsError, match="begins with the weights of sha256 0000000000000000"):
        make_run(data, path, replace(NEXT, start="0" * 64), start=start)
    with pytest.raises(WeightsError, match=r"no checkpoint .*: give their file as start"):
        make_run(data, path, replace(NEXT, start=start.sha256))
    short = {name: value for name, value in start.weights.items() if "conv2" not in name}
    with pytest.raises(WeightsError, match=r"do not fit: missing features\.conv2\.weight"):
        make_run(data, path, NEXT, start=Start(short, start.sha256, start.began_with))


# ---- the card -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(data, start, tmp_path_factory):
    run = make_run(data, tmp_path_factory.mktemp("run") / "checkpoint.pt", NEXT, start=start)
    run.run()
    return run


@pytest.mark.slow
def test_card_tells_of_both_trainings(run, start, former, tmp_path):
    exported = export(run, tmp_path)
    card = json.loads(exported.card_json.read_text("utf-8"))
    assert card["began_with"] == start.began_with
    assert card["recipe"]["start"] == start.sha256
    text = exported.card_markdown.read_text("utf-8")
    top1 = f"{100 * former.card.summary()['top1']:.1f} %"
    assert f"| began with | alexnet.safetensors (toys, top-1 {top1}), 2 epochs |" in text
    own, theirs = text.split("## Learning curve\n")[1].split("## Learning curve of the weights")
    assert [line[:4] for line in own.splitlines() if line.startswith("| ")] == [
        "| ep",
        "| --",
        "| 1 ",
    ]
    rows = [line for line in theirs.splitlines() if line.startswith("| ")]
    assert [row[:4] for row in rows] == ["| ep", "| --", "| 1 ", "| 2 "]
    assert f"{former.card.learning_curve[1]['loss']:.3f}" in rows[-1]
    assert text.endswith(
        "Recipe of that training: as above, but epochs 2, learning_rate 0.02, seed 3, "
        "start random weights.\n"
    )


def test_card_of_random_weights_tells_of_one_training(former):
    assert json.loads(former.card_json.read_text("utf-8"))["began_with"] is None
    text = former.card_markdown.read_text("utf-8")
    assert "began with" not in text
    assert text.count("## Learning curve") == 1


def test_weights_without_a_card_are_told_without_a_curve(data, former, tmp_path):
    weights = shutil.copy(former.weights, tmp_path / "mine.safetensors")
    begin = read_start(weights, NEXT, CLASSES)
    text = export(make_run(data, tmp_path / "c.pt", NEXT, start=begin), tmp_path / "out").card
    assert "| began with | mine.safetensors (toys, " in text.to_markdown()
    assert "weights it began with" not in text.to_markdown()


@pytest.mark.slow
def test_start_of_a_checkpoint_that_does_not_tell_is_given_at_the_export(run, start, tmp_path):
    old = replace(run.state(), began_with={})
    photos = (run.photos, run.validation)
    bare = export_run(old, *photos, tmp_path / "bare", SOURCE)
    assert bare.card.began_with is None
    assert bare.first_layers is not None
    note = f"toys; began with weights of sha256 {start.sha256[:16]}"
    assert read_first_layers(bare.first_layers).note == note
    given = export_run(old, *photos, tmp_path / "given", SOURCE, began_with=start.began_with)
    whole = export(run, tmp_path / "whole")
    assert given.first_layers is not None and whole.first_layers is not None
    assert given.card_json.read_bytes() == whole.card_json.read_bytes()
    assert given.first_layers.read_bytes() == whole.first_layers.read_bytes()


def test_start_that_was_not_the_runs_is_refused_at_the_export(run, start, tmp_path):
    other = start.began_with | {"sha256": "0" * 64}
    old, out = replace(run.state(), began_with={}), tmp_path / "out"
    with pytest.raises(WeightsError, match=f"began with weights of sha256 {start.sha256[:16]}"):
        export_run(old, run.photos, run.validation, out, SOURCE, began_with=other)
    random = replace(old, recipe=old.recipe | {"start": ""})
    with pytest.raises(WeightsError, match="began with random weights"):
        export_run(random, run.photos, run.validation, out, SOURCE, began_with=other)
    assert not out.exists()


def test_checkpoint_that_does_not_tell_learns_it_from_the_file(run, data, start, tmp_path):
    path = tmp_path / "checkpoint.pt"
    content = torch.load(run.path, weights_only=True)
    del content["began_with"]
    torch.save(content, path)
    assert make_run(data, path, NEXT, start=start).began_with == start.began_with
    assert make_run(data, path, replace(NEXT, start=start.sha256)).began_with == {}


# ---- forms of a net -------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["modern", "classic"])
def test_weights_of_another_form_are_refused(tmp_path, former, form):
    options = {"classes": 3, "input_size": 32} | ({"form": form} if form == "classic" else {})
    metadata = read_metadata(former.weights)
    assert metadata is not None
    record = replace(metadata, model="lenet", options=options)
    save_weights(tmp_path / "lenet.safetensors", LeNet5(**options), record)
    same, other = (form, "classic") if form == "modern" else (form, None)
    recipe = usual_recipe("lenet", variant=same)
    assert read_start(tmp_path / "lenet.safetensors", recipe, CLASSES).weights
    with pytest.raises(WeightsError, match=r"lenet with other options \(form "):
        read_start(tmp_path / "lenet.safetensors", replace(recipe, variant=other), CLASSES)
