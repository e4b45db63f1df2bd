"""What a run hands on: fp16 weights that build the net again, and its card."""

import json
from dataclasses import replace

import pytest
import torch

from tests.support.training_data import RECIPE, make_data, make_run
from vizcnn.basics.errors import DataError, WeightsError
from vizcnn.measures.filters import measure_filters
from vizcnn.training.card import DataSource
from vizcnn.training.checkpoint import read_checkpoint
from vizcnn.training.evaluation import measure_accuracy
from vizcnn.training.export import export_run
from vizcnn.training.net import first_convolution
from vizcnn.zoo.catalogue import find_entry
from vizcnn.zoo.files import read_metadata
from vizcnn.zoo.preprocessing import imagenet_preprocessing
from vizcnn.zoo.state_dicts import read_state

SOURCE = DataSource("tiny <b>|", licence="CC0", note="two\nlines")


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    data = make_data(folder / "data")
    (data / "train" / "ant" / "broken.jpg").write_bytes(b"")
    run = make_run(data, folder / "checkpoint.pt")
    run.run()
    return run


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "new"
    return export_run(run.state(), run.photos, run.validation, out, SOURCE)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("![x](https://a/b.png)", r"!\[x\](https://a/b.png)"),
        ("<img src=x onerror=y>", r"\<img src=x onerror=y>"),
        ("*a* `b` ~~c~~ _d_ e_f", r"\*a\* \`b\` \~\~c\~\~ \_d\_ e_f"),
        ("a|b\\|c", r"a\|b\\\|c"),
        ("a\n\n# b\r\n---\x85- c", "a # b --- - c"),
        ("&lt;b&gt; &#60;b AT&T", r"\&lt;b\&gt; \&#60;b AT&T"),
        ("a\x1b[2J\u202eb", r"a\\u001b\[2J\\u202eb"),
    ],
)
def test_fields_of_a_card_are_text_not_markdown(exported, text, shown):
    data = DataSource(text, licence=text, note=text)
    card = replace(exported.card, data=data, began_with={"file": text, "data": text})
    markdown = card.to_markdown()
    assert markdown.startswith(f"# alexnet: {shown}\n")
    for line in (f"| licence of the photos | {shown} |", f"| note | {shown} |"):
        assert line in markdown.split("\n")
    assert f"| began with | {shown} ({shown}) |" in markdown.split("\n")


@pytest.mark.slow
def test_weights_build_the_net_again(run, exported):
    metadata = read_metadata(exported.weights)
    assert metadata is not None
    assert metadata.model == "alexnet"
    assert metadata.classes == ("ant", "bee", "cat")
    assert metadata.preprocessing == imagenet_preprocessing(64, 72)
    net = find_entry(metadata.model).make(**metadata.options).eval()
    state = read_state(exported.weights)
    net.load_state_dict(state)
    for name, value in run.net.state_dict().items():
        torch.testing.assert_close(state[name], value.half().float(), atol=0, rtol=0)
    accuracy = measure_accuracy(net, run.validation, metadata.preprocessing, 64)
    assert exported.card.accuracy == accuracy
    assert metadata.card["top1"] == round(accuracy.top1, 4)
    assert metadata.card["data"] == "tiny <b>|"
    assert (metadata.card["train_photos"], metadata.card["val_photos"]) == (14, 7)


def test_files_are_half_precision_and_nothing_else_is_left(exported):
    parameters = exported.card.parameters
    assert 2 * parameters < exported.weights.stat().st_size < 2 * parameters + 5000
    names = {path.name for path in exported.weights.parent.iterdir()}
    endings = (".safetensors", ".json", ".md", ".first_layers.safetensors")
    assert names == {f"alexnet{ending}" for ending in endings} | {".vizcnn-train-alexnet.json"}


def test_card_says_what_was_done(run, exported):
    card = json.loads(exported.card_json.read_text(encoding="utf-8"))
    assert card["recipe"] == RECIPE.to_dict()
    assert card["options"]["ceil_pool5"] is True
    assert card["data"] == {"name": "tiny <b>|", "licence": "CC0", "note": "two\nlines"}
    assert (card["train_photos"], card["val_photos"], card["unreadable_photos"]) == (14, 7, 1)
    assert card["classes"] == ["ant", "bee", "cat"]
    assert (card["epochs"], card["seed"]) == (2, 3)
    assert card["torch_version"] == torch.__version__
    assert card["learning_curve"] == run.history
    assert set(card["accuracy"]) == {"top1", "top5", "mean_class_top1", "photos"}
    measures = measure_filters(first_convolution(run.net).weight.half().float())
    assert card["filters"]["count"] == len(card["filters"]["rms"]) == 96
    assert card["filters"]["dead"] == int(measures.dead.sum())
    assert card["filters"]["median_high_share"] == pytest.approx(measures.median_high_share)


def test_card_for_people(exported):
    text = exported.card_markdown.read_text(encoding="utf-8")
    assert text.startswith("# alexnet: tiny \\<b>\\|\n")
    assert "| note | two lines |" in text
    assert "| first_layer_std | 0.005 |" in text
    assert "14 to train on, 7 to validate" in text
    assert sum(line.startswith(("| 1 |", "| 2 |")) for line in text.splitlines()) == 2
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.replace("\\|", "").count("|") in (3, 6) for line in tables)


def test_export_of_a_checkpoint_file_gives_the_same_bytes(run, exported, tmp_path):
    again = export_run(read_checkpoint(run.path), run.photos, run.validation, tmp_path, SOURCE)
    assert again.weights.read_bytes() == exported.weights.read_bytes()
    assert again.card_json.read_bytes() == exported.card_json.read_bytes()


def test_weights_too_large_for_16_bits_are_refused(run, tmp_path):
    state = run.state()
    weights = {name: value.clone() for name, value in state.weights.items()}
    weights["features.conv2.bias"][0] = 1e6
    with pytest.raises(WeightsError, match=r"features\.conv2\.bias .* not finite in 16 bits"):
        export_run(
            replace(state, weights=weights), run.photos, run.validation, tmp_path / "out", SOURCE
        )
    assert not (tmp_path / "out").exists()


def test_other_classes_are_refused(run, tmp_path):
    state = replace(run.state(), classes=["ant", "bee", "dog"])
    with pytest.raises(WeightsError, match="classes that are not"):
        export_run(state, run.photos, run.validation, tmp_path / "out", SOURCE)


def test_folder_that_cannot_be_written_is_told(run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="/file' is a file; needed: a folder"):
        export_run(run.state(), run.photos, run.validation, tmp_path / "file" / "out", SOURCE)
