"""The folder of a training: its own, or refused; all its files of one run, or none."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command_line import invoke_train
from tests.support.small_zoo import list_files
from tests.support.training_data import RECIPE, make_data, make_run
from vizcnn.basics.errors import DataError, VizcnnError, WeightsError
from vizcnn.basics.output import write_folder
from vizcnn.training.card import DataSource
from vizcnn.training.export import export_run
from vizcnn.training.loop import TrainingRun
from vizcnn.training.run_folder import name_list, open_run

pytestmark = pytest.mark.usefixtures("one_thread")

SOURCE = DataSource("tiny")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainingRun:
    folder = tmp_path_factory.mktemp("run")
    run = make_run(make_data(folder / "data"), folder / "checkpoint.pt")
    run.run()
    return run


def export(run: TrainingRun, out: Path) -> None:
    export_run(run.state(), run.photos, run.validation, out, SOURCE)


def put_photos(out: Path) -> None:
    (out / "train").mkdir()
    (out / "train" / "a.jpg").write_text("mine")


def put_gallery(out: Path) -> None:
    with write_folder(out) as staging:
        (staging / "index.html").write_text("mine")


def put_card(out: Path) -> None:
    for name in ("alexnet.json", "alexnet.md", "alexnet.safetensors"):
        (out / name).write_text("mine")


@pytest.mark.parametrize("put", [put_photos, put_gallery, put_card])
def test_a_folder_of_others_is_refused_and_untouched(
    run: TrainingRun, tmp_path: Path, put: Callable[[Path], None]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    put(out)
    before = list_files(tmp_path)
    with pytest.raises(DataError, match="holds files that are not vizcnn's"):
        export(run, out)
    assert list_files(tmp_path) == before


def put_other_checkpoint(out: Path) -> None:
    (out / "checkpoint.pt").write_text("mine")


def put_linked_checkpoint(out: Path) -> None:
    (out.parent / "precious").write_text("mine")
    (out / "checkpoint.pt").symlink_to("../precious")


@pytest.mark.parametrize("put", [put_other_checkpoint, put_linked_checkpoint])
def test_a_folder_with_a_checkpoint_of_another_tool_is_refused_and_untouched(
    tmp_path: Path, put: Callable[[Path], None]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    put(out)
    before = list_files(tmp_path)
    told = pytest.raises(
        WeightsError,
        match=r"is damaged or of another tool \(it holds more than plain tensors\): delete",
    )
    with told, open_run(out, "alexnet"):
        pytest.fail("begun")
    assert list_files(tmp_path) == before


def test_a_pipe_in_the_lists_place_is_not_waited_for(run: TrainingRun, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(run.path.read_bytes())
    (tmp_path / "alexnet.md").write_text("mine")
    os.mkfifo(tmp_path / name_list("alexnet"))
    with pytest.raises(DataError, match="is in the way"), open_run(tmp_path, "alexnet"):
        pytest.fail("begun")


@pytest.mark.parametrize("name", ["alexnet.md", "alexnet.json", "alexnet.first_layers.safetensors"])
@pytest.mark.parametrize("link", [True, False])
def test_a_file_of_others_in_the_way_is_refused_before_the_training(
    run: TrainingRun, tmp_path: Path, name: str, link: bool
) -> None:
    out, precious = tmp_path / "out", tmp_path / "precious"
    out.mkdir()
    precious.write_text("mine")
    (out / "checkpoint.pt").write_bytes(run.path.read_bytes())
    (out / name).symlink_to(precious) if link else (out / name).write_text("mine")
    told = pytest.raises(DataError, match=f"{name}' is in the way and not of a training")
    with told, open_run(out, "alexnet"):
        pytest.fail("begun")
    assert (out / name).read_text() == precious.read_text() == "mine"


def test_what_an_older_version_wrote_is_gone_on_with(run: TrainingRun, tmp_path: Path) -> None:
    export(run, tmp_path / "out")
    (tmp_path / "out" / name_list("alexnet")).unlink()
    before = list_files(tmp_path / "out")
    with pytest.raises(DataError, match="not vizcnn's"):  # no checkpoint: it may be anyone's
        export(run, tmp_path / "out")
    (tmp_path / "out" / "checkpoint.pt").write_bytes(run.path.read_bytes())
    export(run, tmp_path / "out")
    after = list_files(tmp_path / "out")
    assert {name: after[name] for name in before} == before
    assert json.loads(after[name_list("alexnet")]) == sorted(before)


def test_a_checkpoint_of_another_tool_is_refused(run: TrainingRun, tmp_path: Path) -> None:
    put_card(tmp_path)
    (tmp_path / "checkpoint.pt").write_text("mine")
    before = list_files(tmp_path)
    with pytest.raises(WeightsError, match="damaged or of another tool"):
        export(run, tmp_path)
    assert list_files(tmp_path) == before


def test_a_full_disk_leaves_card_and_weights_of_one_run(
    run: TrainingRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(run, tmp_path)
    before, real = list_files(tmp_path), os.replace
    export_run(run.state(), run.photos, run.validation, tmp_path / "2", DataSource("other"))
    moves = 2 * len(list_files(tmp_path / "2"))
    for fails in range(1, moves + 1):
        calls: list[object] = []

        def replace(source: object, target: object, last: int = fails) -> None:
            calls.append(source)  # noqa: B023
            if len(calls) == last:  # noqa: B023
                raise OSError(28, "No space left on device")
            real(source, target)  # type: ignore[arg-type]

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", replace)
            with pytest.raises(VizcnnError, match="No space left on device"):
                export_run(run.state(), run.photos, run.validation, tmp_path, DataSource("other"))
        assert {name: text for name, text in list_files(tmp_path).items() if "2/" not in name} == (
            before
        )


def test_trainings_of_two_nets_stand_beside_each_other(run: TrainingRun, tmp_path: Path) -> None:
    export(run, tmp_path)
    with open_run(tmp_path, "zfnet"):
        assert (tmp_path / "alexnet.safetensors").exists()
        with pytest.raises(DataError, match="another vizcnn is at work"):
            export(run, tmp_path)
    assert (tmp_path / "alexnet.safetensors").exists()


def test_a_gallery_does_not_take_the_folder_of_a_training(run: TrainingRun, tmp_path: Path) -> None:
    export(run, tmp_path)
    before = list_files(tmp_path)
    with pytest.raises(VizcnnError, match="not vizcnn's"):
        put_gallery(tmp_path)
    assert list_files(tmp_path) == before


def test_nothing_stays_of_a_run_that_could_not_begin(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), open_run(tmp_path / "a" / "out", RECIPE.model):
        raise RuntimeError("no photos")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", [".", "train", "/"])
def test_command_refuses_the_photos_folder_and_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    data = make_data(tmp_path / "data")
    monkeypatch.chdir(data)
    before = list_files(data)
    result = invoke_train(["--model", "alexnet", str(data), "--out", place])
    assert isinstance(result.exception, DataError)
    assert "holds files that are not vizcnn's: choose another --out" in str(result.exception)
    assert list_files(data) == before
