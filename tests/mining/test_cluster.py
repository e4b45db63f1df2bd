"""Mining in parts: any division and any tree of merges gives the bytes of one run over all."""

import faulthandler
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.support.mining_runs import NoisePhotos, make_photos, rank_slowly
from tests.support.small_zoo import make_model
from vizcnn.basics.errors import DataError, VizcnnError
from vizcnn.basics.output import hold_output
from vizcnn.basics.pools import ExecutorPool
from vizcnn.basics.progress import silent
from vizcnn.mining.cluster import (
    choose_parts,
    hold_part,
    mine_parts,
    mine_with,
    name_parts_folder,
    plan_parts,
)
from vizcnn.mining.identity import describe_identity
from vizcnn.mining.index import Identity, LayerRanking, StrongestIndex, read_index, write_index
from vizcnn.mining.maxima import name_maxima
from vizcnn.mining.merging import merge_files
from vizcnn.mining.ranking import merge_indexes
from vizcnn.mining.run import MiningRun, MiningSettings, mine

pytestmark = pytest.mark.usefixtures("one_thread")

LAYERS = ("conv1", "fc7")
SETTINGS = MiningSettings(LAYERS, top=4, workers=0)
LOOKS: dict[str, int | None] = {f"dog/{number:03d}": number % 11 for number in range(24)}
"""Ties, as most photos are like another."""
LOOKS |= {"dog/003": None, "dog/017": None}
PHOTOS = NoisePhotos(LOOKS)
OUT = "strongest.safetensors"


def mine_plainly(folder, wanted=SETTINGS, photos=PHOTOS):
    mine(make_model(), photos, folder / "plain", wanted)
    return read_both(folder / "plain")


def read_both(file):
    maxima = name_maxima(file)
    return file.read_bytes(), maxima.read_bytes() if maxima.exists() else None


def list_names(folder):
    return sorted(path.name for path in folder.iterdir())


def mine_in_parts(folder, wanted=SETTINGS, photos=PHOTOS, parts=3, load=make_model, **more):
    with ThreadPoolExecutor(1) as executor:
        return mine_parts(executor, load, photos, folder / OUT, wanted, parts, **more)


# any division and any tree


UNITS = {"conv1": 3, "fc7": 2}


def make_index(looks, chosen, ranked_by, top, per_photo):
    """Rank some photos by plain loops, and make an index of it as a run over them writes it."""
    names = sorted(chosen)
    identity = Identity(
        model="made",
        options={},
        weights="none",
        sha256="0" * 64,
        preprocessing={"input_size": 32},
        layers=tuple((name, f"path.{name}") for name in UNITS),
        top=top,
        per_photo=per_photo,
        rank=ranked_by,
    )
    layers = {}
    for name, units in UNITS.items():
        shape = (units, 2, 2) if name == "conv1" else (units,)
        maps = {}
        for number, photo in enumerate(names):
            if looks[photo] is not None:
                generator = torch.Generator().manual_seed(looks[photo])
                maps[number] = torch.randint(-2, 3, shape, generator=generator).float()
        ranked = rank_slowly(maps, top, per_photo) if maps else None
        ranked = ranked or [[(-torch.inf, -1, -1, -1)] * top] * units
        table = torch.tensor(ranked, dtype=torch.float64)
        values = table[:, :, 0].float()
        layers[name] = LayerRanking(
            name,
            f"path.{name}",
            (2, 2) if name == "conv1" else None,
            values,
            table[:, :, 1].long(),
            table[:, :, 2:].long(),
            # another number of the same place, which has to go where the place goes
            None if ranked_by == "activation" else values * 3 + table[:, :, 1].isnan(),
        )
    failures = tuple((name, f"{name!r} is broken") for name in names if looks[name] is None)
    digests = [[looks[name] or 0] * 8 for name in names]
    return StrongestIndex(
        identity=identity,
        photos=tuple(names),
        sizes=tuple(100 + len(name) for name in names),
        done=len(names),
        digests=torch.tensor(digests, dtype=torch.uint8),
        failures=failures,
        layers=layers,
        # each photo by the machine of its last digit
        machines=tuple(sorted({f"machine {int(name[-1]) % 3}" for name in names})),
    )


@st.composite
def divide(draw):
    """Photos, each with a look or unreadable; the part of each; and a tree of the parts' merges."""
    looks = draw(st.lists(st.one_of(st.none(), st.integers(1, 4)), min_size=1, max_size=14))
    homes = draw(st.lists(st.integers(0, 5), min_size=len(looks), max_size=len(looks)))
    by_name = {f"photo {number:02d}": look for number, look in enumerate(looks)}
    parts = [
        [name for name, home in zip(by_name, homes, strict=True) if home == part]
        for part in draw(st.permutations(sorted(set(homes))))
    ]
    # merges, each of how many of those that are there, taken from where
    tree = draw(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4)), max_size=8))
    return by_name, parts, tree


def merge_as_told(indexes, tree, merge):
    """Merge some at a time, in any order, and in the end what is left."""
    indexes = list(indexes)
    for first, count in tree:
        first %= len(indexes)
        group = indexes[first : first + count]
        indexes[first : first + count] = []
        indexes.insert(0, merge(group))
    return merge(indexes)


@settings(max_examples=60)
@given(
    divided=divide(),
    ranked_by=st.sampled_from(["activation", "lowest", "random"]),
    top=st.integers(1, 4),
    per_photo=st.integers(1, 3),
)
def test_any_division_and_any_tree_give_the_bytes_of_plain_loops_over_all(
    tmp_path_factory, divided, ranked_by, top, per_photo
):
    looks, parts, tree = divided
    per_photo = min(per_photo, top)
    folder = tmp_path_factory.getbasetemp()
    made = [make_index(looks, part, ranked_by, top, per_photo) for part in parts]
    write_index(merge_as_told(made, tree, merge_indexes), folder / "merged")
    write_index(make_index(looks, looks, ranked_by, top, per_photo), folder / "whole")
    assert (folder / "merged").read_bytes() == (folder / "whole").read_bytes()


def test_many_files_at_once_are_those_of_a_tree_and_a_photo_in_two_is_named(tmp_path):
    """More files than are held at a time: they are joined in groups in memory."""
    looks = {f"photo {number:03d}": number % 5 or None for number in range(70)}
    files = []
    for part in range(35):
        files.append(tmp_path / f"{part:02d}")
        write_index(make_index(looks, sorted(looks)[part::35], "activation", 3, 2), files[-1])
    merge_files(files, tmp_path / "merged")
    write_index(make_index(looks, looks, "activation", 3, 2), tmp_path / "whole")
    assert (tmp_path / "merged").read_bytes() == (tmp_path / "whole").read_bytes()
    twice = {"photo 001": 1, "photo 100": 2}
    write_index(make_index(twice, twice, "activation", 3, 2), files[-1])
    told = rf"'photo 001' is both in '{files[1]}' and in '{files[-1]}': indexes of disjoint photos"
    with pytest.raises(DataError, match=told):
        merge_files(files, tmp_path / "new")
    assert not (tmp_path / "new").exists()


# parts


@pytest.mark.parametrize(
    "wanted",
    [
        SETTINGS,
        replace(SETTINGS, per_photo=3),
        replace(SETTINGS, ranges=True),
        replace(SETTINGS, rank="median"),
        replace(SETTINGS, rank="random", seed=5),
        replace(SETTINGS, rank="relevance"),
    ],
    ids=lambda wanted: f"{wanted.rank}-{wanted.per_photo}-{wanted.ranges}",
)
def test_parts_give_the_bytes_of_one_run(tmp_path, wanted):
    seen = []

    def count(items, *, total, label, **options):
        items = list(items)
        seen.append((label, len(items), total))
        return iter(items)

    index = mine_in_parts(tmp_path, wanted, parts=5, progress=count)
    assert read_both(tmp_path / OUT) == mine_plainly(tmp_path, wanted)
    assert index.complete
    assert seen == [("mine", 24, 24)]
    assert not name_parts_folder(tmp_path / OUT).exists()


def test_more_than_16_parts_merge_in_levels(tmp_path):
    photos = make_photos(20)
    seen = []

    def count(items, *, total, label, unit, **options):
        seen.append((label, total, unit))
        return iter(list(items))

    mine_in_parts(tmp_path, photos=photos, parts=20, progress=count)
    assert seen == [("mine", 20, "photo"), ("merge 1", 2, "file")]
    assert read_both(tmp_path / OUT) == mine_plainly(tmp_path, photos=photos)
    assert not name_parts_folder(tmp_path / OUT).exists()


class RecordingPhotos(NoisePhotos):
    """Photos that know which of them were read, and one of which may end the run."""

    def __init__(self, looks, ends_at=None):
        super().__init__(looks)
        self.read_ones = []
        self.ends_at = ends_at

    def __reduce__(self):  # a copy would have a record of its own: it is in this process, too
        return _find_recording, ()

    def read(self, number):
        name = self.names[number]
        if name == self.ends_at:
            raise RuntimeError("the machine goes down")
        self.read_ones.append(name)
        return super().read(number)


RECORDING: list[RecordingPhotos] = []


def _find_recording():
    return RECORDING[-1]


def test_a_run_that_failed_goes_on_and_mines_nothing_twice(tmp_path):
    RECORDING[:] = [RecordingPhotos(LOOKS, ends_at="dog/005")]
    with pytest.raises(RuntimeError, match="goes down"):
        mine_in_parts(tmp_path, photos=RECORDING[0], parts=4)
    tasks = plan_parts(PHOTOS, tmp_path / OUT, 4)
    done = [task for task in tasks if task.file.exists() and read_index(task.file).complete]
    numbers = [task.part for task in done]
    assert 1 in numbers
    assert 2 not in numbers  # which has dog/005
    assert not (tmp_path / OUT).exists()
    RECORDING[:] = [RecordingPhotos(LOOKS)]
    mine_in_parts(tmp_path, photos=RECORDING[0], parts=4)
    mined = [name for task in tasks if task not in done for name in task.photos.names]
    assert sorted(RECORDING[0].read_ones) == sorted(mined)
    assert read_both(tmp_path / OUT) == mine_plainly(tmp_path)


DRIVER = """
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
import torch
from tests.mining.test_cluster import SETTINGS
from tests.support.mining_runs import make_photos
from tests.support.small_zoo import make_model
from vizcnn.mining.cluster import mine_parts
torch.set_num_threads(1)
photos = make_photos(40, pause=0.02)
with ProcessPoolExecutor(2) as executor:
    mine_parts(executor, make_model, photos, Path(sys.argv[1]), SETTINGS, 8)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="processes are killed with signals")
def test_a_killed_driver_starts_again_and_mines_no_done_part_anew(tmp_path):
    out, folder = tmp_path / OUT, name_parts_folder(tmp_path / OUT)
    root = str(Path(__file__).parents[2])
    photos = make_photos(40)
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(out)],
        env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    ) as driver:
        try:
            deadline = time.monotonic() + 60
            while len(find_done(folder)) < 2:
                assert driver.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            driver.kill()  # only it: what its processes are at is another run's from now on
            driver.wait()
            done = {file: file.stat().st_mtime_ns for file in find_done(folder)}
            assert len(done) >= 2
            assert not out.exists()
            kept = {}

            def look(items, **options):
                items = list(items)
                kept.update({file: file.stat().st_mtime_ns for file in done})
                return iter(items)

            mine_in_parts(tmp_path, photos=photos, parts=8, progress=look)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(driver.pid, signal.SIGKILL)
    assert kept == done
    assert read_both(out) == mine_plainly(tmp_path, photos=photos)
    assert list_names(tmp_path) == ["plain", OUT]


def find_done(folder):
    """The parts that are complete; their files are moved into place whole."""
    return [file for file in folder.glob("*-of-*.safetensors") if read_index(file).complete]


def test_an_index_that_is_there_is_given_and_what_a_killed_run_left_of_parts_goes(tmp_path):
    mine_in_parts(tmp_path)
    before = (tmp_path / OUT).stat()
    task = plan_parts(PHOTOS, tmp_path / OUT, 3)[1]
    mine(make_model(), task.photos, task.file, SETTINGS)
    RECORDING[:] = [RecordingPhotos(LOOKS)]
    assert mine_in_parts(tmp_path, photos=RECORDING[0]).complete
    assert RECORDING[0].read_ones == []
    assert (tmp_path / OUT).stat().st_mtime_ns == before.st_mtime_ns
    assert list_names(tmp_path) == [OUT]


def test_an_index_of_another_run_or_of_one_that_was_not_in_parts_is_not_written_over(tmp_path):
    out = tmp_path / OUT
    mine(make_model(), make_photos(3), out, SETTINGS)
    before = out.read_bytes()
    with pytest.raises(DataError, match=r"index of another run \(24 photo\(s\) new"):
        mine_in_parts(tmp_path)
    assert out.read_bytes() == before
    out.unlink()
    photos = make_photos(40)
    run = MiningRun(make_model(), photos, out, SETTINGS)

    def break_off(items, **options):
        next(items)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.run(break_off)
    assert not read_index(out).complete
    with pytest.raises(DataError, match="unfinished index of a run that was not in parts"):
        mine_in_parts(tmp_path, photos=photos)
    assert list_names(tmp_path) == [OUT]


# what goes wrong


class SpoilingPool:
    """A pool of this process that does something when all parts are mined."""

    def __init__(self, executor, spoil):
        self.pool, self.spoil = ExecutorPool(executor), spoil

    def work_through(self, begin, items, name):
        yield from self.pool.work_through(begin, items, name)
        self.spoil()


def make_identity(wanted=SETTINGS):
    return describe_identity(make_model(), wanted.layers, wanted.top, wanted.per_photo)


def test_a_part_that_was_damaged_is_mined_anew_and_that_is_said(tmp_path):
    tasks = plan_parts(PHOTOS, tmp_path / OUT, 3)
    for task in tasks:
        mine(make_model(), task.photos, task.file, SETTINGS)
    content = bytearray(tasks[1].file.read_bytes())
    content[-9] ^= 1
    tasks[1].file.write_bytes(content)
    tasks[2].file.write_bytes(b"")
    told: list[str] = []
    mine_in_parts(tmp_path, notice=told.append)
    assert told == [
        f"'{task.file}' is damaged: part {task.part}/3 is mined anew" for task in tasks[1:]
    ]
    assert read_both(tmp_path / OUT) == mine_plainly(tmp_path)


def test_a_part_damaged_before_the_merge_is_named_and_mined_anew_by_the_same_call(tmp_path):
    tasks = plan_parts(PHOTOS, tmp_path / OUT, 3)
    damage = partial(tasks[1].file.write_bytes, b"no index")
    with ThreadPoolExecutor(1) as executor, pytest.raises(DataError) as caught:
        mine_with(
            SpoilingPool(executor, damage),
            make_model,
            make_identity(),
            PHOTOS,
            tmp_path / OUT,
            SETTINGS,
            3,
        )
    told = str(caught.value)
    assert told.startswith(f"{str(tasks[1].file)!r} cannot be read as an index")
    assert "\n" not in told
    assert not (tmp_path / OUT).exists()
    assert tasks[0].file.exists()
    assert tasks[2].file.exists()
    mine_in_parts(tmp_path)
    assert read_both(tmp_path / OUT) == mine_plainly(tmp_path)


def test_another_division_is_refused_and_what_is_there_stays(tmp_path):
    tasks = plan_parts(PHOTOS, tmp_path / OUT, 4)
    mine(make_model(), tasks[0].photos, tasks[0].file, SETTINGS)
    before = tasks[0].file.read_bytes()
    with pytest.raises(DataError, match=r"holds parts of 4, and 3 are asked for: go on with 4"):
        mine_in_parts(tmp_path)
    assert tasks[0].file.read_bytes() == before
    assert list_names(tmp_path) == [f"{OUT}.parts"]


def test_what_others_put_into_the_folder_of_parts_stays(tmp_path):
    note = name_parts_folder(tmp_path / OUT) / "note.txt"
    note.parent.mkdir()
    note.write_text("mine")
    mine_in_parts(tmp_path)
    assert list_names(note.parent) == ["note.txt"]
    assert read_both(tmp_path / OUT) == mine_plainly(tmp_path)


LOADED: list[int] = []


def load_another():
    """The net of the run at first, and of the process that mines another one."""
    LOADED.append(1)
    model = make_model()
    if len(LOADED) > 1:
        first = next(part for part in model.module.modules() if isinstance(part, nn.Conv2d))
        with torch.no_grad():
            first.weight[0] += 1
    return model


def test_another_net_in_a_process_is_refused(tmp_path):
    LOADED.clear()
    with pytest.raises(DataError, match=r"has another net than the run \(weights' sha256: \w+"):
        mine_in_parts(tmp_path, load=load_another)
    assert list_names(tmp_path) == []


@pytest.mark.parametrize("parts", [0, 25])
def test_parts_that_cannot_be_are_refused(tmp_path, parts):
    with pytest.raises(DataError, match=rf"{parts} parts of 24 photos .* needed: 1 to 24"):
        mine_in_parts(tmp_path, parts=parts)
    with pytest.raises(DataError, match="there are no photos to mine"):
        mine_in_parts(tmp_path, photos=NoisePhotos({}), parts=None)
    assert list_names(tmp_path) == []


@given(count=st.integers(1, 3_000_000))
def test_parts_are_chosen_by_the_number_of_photos(count):
    parts = choose_parts(count)
    assert 1 <= parts <= 512
    assert parts == 1 or count / parts >= 256
    assert count / parts < 512 or parts == 512


class CrashingPhotos(NoisePhotos):
    """Photos one of which takes down the process that reads it."""

    def read(self, number):
        if self.names[number] == "dog/009":
            faulthandler.disable()
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().read(number)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="readers are forked")
def test_a_photo_that_crashes_its_decoder_is_named_after_three_attempts(tmp_path):
    photos = CrashingPhotos(LOOKS)
    with pytest.raises(DataError) as caught:
        mine_in_parts(tmp_path, replace(SETTINGS, workers=1), photos)
    told = str(caught.value)
    assert told.startswith("part 1/3, 3 times: a process that reads photos crashed")
    assert "'dog/009'" in told
    assert "\n" not in told


def test_a_part_that_another_run_still_writes_is_waited_for(tmp_path):
    """After a driver was killed the process of a pool goes on with its part."""
    task = plan_parts(PHOTOS, tmp_path / OUT, 3)[0]
    with ThreadPoolExecutor(1) as former:
        with hold_output(task.file):
            run = former.submit(mine_in_parts, tmp_path)
            time.sleep(0.1)
            MiningRun(make_model(), task.photos, task.file, SETTINGS).run(silent)
            assert not run.done()
        run.result()
    assert read_both(tmp_path / OUT) == mine_plainly(tmp_path)


def test_a_part_that_another_run_never_ends_is_named(tmp_path):
    with (
        hold_output(tmp_path / "part"),
        pytest.raises(VizcnnError, match=r"another vizcnn is writing .*part\b.*: wait until"),
        hold_part(tmp_path / "part", patience=0.1),
    ):
        pass
