"""Parts of long jobs: what a killed run leaves is used again, and nothing else is."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from vizcnn.basics.errors import VizcnnError
from vizcnn.basics.kept_parts import FOLDER_NAME, Arrays, keep_parts
from vizcnn.basics.output import write_folder


class Computed:
    """A job of three parts that counts what it computes, and may end in the middle."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def run(self, folder: Path, causes: Mapping[str, object], ends_at: int = 3) -> list[Arrays]:
        with keep_parts(folder, causes) as parts:
            found = []
            for number in range(3):
                if number == ends_at:
                    raise KeyboardInterrupt
                found.append(parts.get(f"part {number}", partial(self._compute, number)))
            with write_folder(folder, held=True) as staging:
                (staging / "sum.txt").write_text(str(sum(int(part["x"].sum()) for part in found)))
            return found

    def _compute(self, number: int) -> Arrays:
        self.calls.append(f"part {number}")
        return {"x": np.full((2, 3), number), "y": np.array(number, dtype=np.float16)}


def test_a_run_that_was_ended_goes_on_where_it_was(tmp_path: Path) -> None:
    job, folder = Computed(), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        job.run(folder, {"seed": 0}, ends_at=2)
    found = job.run(folder, {"seed": 0})
    assert job.calls == ["part 0", "part 1", "part 2"]
    assert [part["y"].item() for part in found] == [0, 1, 2]
    assert found[1]["x"].dtype == np.int64
    assert found[1]["x"].shape == (2, 3)
    assert (folder / "sum.txt").read_text() == "18"
    assert not (folder / FOLDER_NAME).exists()


def test_parts_of_other_causes_are_computed_anew(tmp_path: Path) -> None:
    job, folder = Computed(), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        job.run(folder, {"seed": 0}, ends_at=2)
    job.run(folder, {"seed": 1})
    assert job.calls == ["part 0", "part 1", "part 0", "part 1", "part 2"]


@pytest.mark.parametrize("harm", ["flip", "cut", "swap", "folder"])
def test_damaged_parts_are_computed_anew(tmp_path: Path, harm: str) -> None:
    job, folder = Computed(), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        job.run(folder, {}, ends_at=2)
    one, two = sorted((folder / FOLDER_NAME).iterdir())
    content = one.read_bytes()
    if harm == "flip":
        one.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif harm == "cut":
        one.write_bytes(content[:-1])
    elif harm == "swap":  # whole, but in the place of the other
        one.write_bytes(two.read_bytes())
    else:
        one.unlink()
        one.mkdir()
        with pytest.raises(VizcnnError, match="cannot be written"):
            job.run(folder, {})
        return
    assert [part["y"].item() for part in job.run(folder, {})] == [0, 1, 2]
    assert len(job.calls) == 4


def test_a_link_in_the_place_of_the_parts_is_refused(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (folder / FOLDER_NAME).symlink_to(elsewhere)
    with pytest.raises(VizcnnError, match="is a link"):
        Computed().run(folder, {})
    assert not any(elsewhere.iterdir())


def test_nothing_is_left_of_a_run_that_ended_before_its_first_part(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        Computed().run(tmp_path / "out", {}, ends_at=0)
    assert not (tmp_path / "out").exists()


def test_progress_begins_at_what_is_kept_and_ends_at_the_total(tmp_path: Path) -> None:
    names = ["a", "b", "c", "d"]
    stepped: list[int] = []
    begun: list[tuple[int, int | None]] = []

    def note(items, *, label, total=None, unit="it", initial=0):
        begun.append((initial, total))
        for item in items:
            yield item
            stepped.append(item)  # as a bar is, when the next is asked for

    with pytest.raises(KeyboardInterrupt), keep_parts(tmp_path / "out", {}) as parts:
        for name in ("b", "d"):  # whatever had come first
            parts.get(name, lambda: {"x": np.zeros(1)})
        raise KeyboardInterrupt
    computed: list[int] = []

    def compute(number: int) -> Arrays:
        computed.append(number)
        return {"x": np.zeros(1)}

    with keep_parts(tmp_path / "out", {}) as parts:
        for number in parts.count_off(names, note, label="count", unit="part"):
            parts.get(names[number], partial(compute, number))
    assert begun == [(2, 4)]
    assert computed == stepped == [0, 2]
