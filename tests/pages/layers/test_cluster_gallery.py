"""Galleries that the processes of a pool mine, project and draw: the same, and as safe."""

import multiprocessing
import os
import re
import signal
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

import pytest
import torch

from tests.support.mining_runs import make_photos
from tests.support.small_zoo import list_files, make_model
from tests.support.top_runs import MODEL, ROOM, SETTINGS, make, write_noise, write_photos
from vizcnn.basics.errors import DataError, VizcnnError
from vizcnn.basics.pools import ExecutorPool, pack
from vizcnn.basics.processes import can_fork
from vizcnn.gallery.manifest import read_manifest
from vizcnn.mining.machine_kinds import describe_kind
from vizcnn.pages.layers.gallery import make_top_gallery
from vizcnn.pages.layers.pieces import LIST_NAME
from vizcnn.pages.layers.site_pages import LayersResults
from vizcnn.pages.layers.work_folder import WORK_NAME

pytestmark = pytest.mark.usefixtures("one_thread")
UNITS = replace(SETTINGS, layers=("conv1", "conv3"), units=(0, 2, 5), compare=None)
APART = replace(ROOM, spool=0)
"""No room in the spool: what tells a unit by unit from a usual run."""
INDEX = "strongest.safetensors"
forks = pytest.mark.skipif(not can_fork(), reason="forks are of Linux only")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"), 12)


@pytest.fixture(scope="module")
def whole(photos, tmp_path_factory):
    """The folder of a gallery that this process made alone."""
    out = tmp_path_factory.mktemp("whole")
    make(photos, out, UNITS, room=APART)
    return out


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(2) as threads:
        yield ExecutorPool(threads)


@dataclass
class Watched:
    """A pool that notes what is sent and what comes back."""

    pool: ExecutorPool

    def __post_init__(self):
        self.sent, self.came = [], []

    def work_through(self, begin, items, name):
        self.sent += [(len(pack(begin)), len(pack(item))) for item in items]
        with closing(self.pool.work_through(begin, items, name)) as done:
            for item, result in done:
                self.came.append((name(item), result))
                yield item, result


def load_other():
    model = make_model()
    with torch.no_grad():
        next(model.module.parameters()).add_(1)
    return model


def stop_at(wanted, last, action):
    def stop(items, *, label, total=None, unit="it", initial=0):
        for number, item in enumerate(items, 1):
            yield item
            if (label, number) == (wanted, last):
                action()

    return stop


def interrupt():
    raise KeyboardInterrupt


def see(done):
    def progress(items, *, label, total=None, unit="it", initial=0):
        done[label] = initial
        return iter(items)

    return progress


def test_a_pool_makes_the_bytes_of_a_run_in_one_process(photos, whole, pool, tmp_path):
    make(photos, tmp_path, UNITS, pool=pool, load=make_model, parts=3)
    assert list_files(tmp_path) == list_files(whole)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        replace(
            UNITS, layers=("fc6",), rank="lowest", ranges=True, poster=True, poster_units=1, top=2
        ),
        replace(UNITS, layers=("conv2",), part="own", compare=2, scaling="shared"),
    ],
)
def test_silent_units_ranges_and_posters_are_the_same_too(photos, pool, tmp_path, settings):
    manifest = make(photos, tmp_path / "one", settings, room=APART)
    make(photos, tmp_path / "two", settings, pool=pool, load=make_model)
    assert list_files(tmp_path / "two") == list_files(tmp_path / "one")
    if settings.ranges:
        units = [unit for layer in manifest.results.layers for unit in layer.units]
        assert any(place.silent for unit in units for place in unit.places)


def test_little_is_sent_and_a_photo_comes_back_once(photos, whole, pool, tmp_path):
    watched = Watched(pool)
    settings = replace(UNITS, units=None)
    make(photos, tmp_path, settings, pool=watched, load=make_model, parts=1)
    units = [(name, result) for name, result in watched.came if "unit" in name]
    assert len({name for name, _ in units}) == len(units) == 12 + 10
    kept = [number for _, (files,) in units for number in files.photos]
    assert sorted(kept) == list(range(len(list((tmp_path / "photos").iterdir()))))
    assert max(begin + item for begin, item in watched.sent) < 50_000


def test_an_item_may_be_several_units(photos, whole, pool, tmp_path):
    watched, room = Watched(pool), replace(ROOM, items=4)
    options = {"index": whole / INDEX, "pool": watched, "load": make_model}
    make(photos, tmp_path, UNITS, room=room, **options)
    names = {name for name, _ in watched.came}
    first, second, third = sorted(names)
    assert (first, second) == ("conv1 unit 0 to conv1 unit 2", "conv1 unit 5 to conv3 unit 0")
    assert third == "conv3 unit 2 to conv3 unit 5"
    assert list_files(tmp_path) == list_files(whole)


@pytest.mark.parametrize("label", ["mine", "units"])
def test_an_interrupted_run_goes_on_and_makes_nothing_twice(photos, whole, pool, tmp_path, label):
    with ThreadPoolExecutor(1) as thread, pytest.raises(KeyboardInterrupt):
        make(
            photos,
            tmp_path,
            UNITS,
            pool=ExecutorPool(thread),
            load=make_model,
            parts=3,
            progress=stop_at(label, 4, interrupt),
        )
    done, watched = {}, Watched(pool)
    make(photos, tmp_path, UNITS, pool=watched, load=make_model, parts=3, progress=see(done))
    names = [name for name, _ in watched.came]
    assert list_files(tmp_path) == list_files(whole)
    if label == "units":
        assert done["units"] == 4
        assert len(names) == 2, names
    else:
        assert done["units"] == 0
        assert len(names) == 3 + 6


@forks
@pytest.mark.slow
@pytest.mark.parametrize(("label", "last"), [("mine", 5), ("units", 3)])
def test_a_run_that_is_killed_goes_on(photos, whole, tmp_path, pool, label, last):
    def run():
        with ThreadPoolExecutor(1) as thread:
            make(
                photos,
                tmp_path,
                UNITS,
                pool=ExecutorPool(thread),
                load=make_model,
                parts=3,
                progress=stop_at(label, last, lambda: os.kill(os.getpid(), signal.SIGKILL)),
            )

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    work = tmp_path / WORK_NAME
    assert (work / LIST_NAME).exists() == (label == "units")
    notices = []
    make(photos, tmp_path, UNITS, pool=pool, load=make_model, parts=3, notice=notices.append)
    assert list_files(tmp_path) == list_files(whole)
    assert notices == []


def load_or_die(mark):
    """Load the net, or end the process if there is a file, which is then gone."""
    if mark.exists():
        mark.unlink()
        os._exit(1)
    return make_model()


@forks
@pytest.mark.slow
def test_a_process_that_dies_is_one_line_and_the_run_goes_on(photos, whole, tmp_path):
    mark = tmp_path / "deadly"
    mark.touch()
    context = multiprocessing.get_context("fork")
    run = partial(make, photos, tmp_path / "out", UNITS, index=whole / INDEX)
    load = partial(load_or_die, mark)
    with (
        ProcessPoolExecutor(1, mp_context=context) as executor,
        pytest.raises(VizcnnError, match=r"no answer came for conv. unit .*its process") as told,
    ):
        run(pool=ExecutorPool(executor), load=load)
    assert "\n" not in str(told.value)
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        run(pool=ExecutorPool(executor), load=load)
    assert list_files(tmp_path / "out") == list_files(whole)


def test_photos_that_cannot_be_sent_are_sent_as_pixels(pool, tmp_path):
    noise = make_photos(8)
    one, two = tmp_path / "one", tmp_path / "two"
    make_top_gallery(MODEL, noise, UNITS, one, room=APART)
    make_top_gallery(MODEL, noise, UNITS, two, room=ROOM, pool=pool, load=make_model, parts=2)
    assert list_files(two) == list_files(one)


def test_parts_are_gone_on_with_by_such_a_run_only(photos, pool, tmp_path):
    options = {"pool": pool, "load": make_model, "parts": 3}
    with ThreadPoolExecutor(1) as thread, pytest.raises(KeyboardInterrupt):
        stop = stop_at("mine", 1, interrupt)
        make(photos, tmp_path, UNITS, progress=stop, **{**options, "pool": ExecutorPool(thread)})
    held = list_files(tmp_path)
    assert any(".parts/" in name for name in held)
    with pytest.raises(DataError, match="parts that many machines have mined, and this run"):
        make(photos, tmp_path, UNITS)
    with pytest.raises(DataError, match=r"holds parts of 3, and 2 are asked for"):
        make(photos, tmp_path, UNITS, **{**options, "parts": 2})
    assert list_files(tmp_path) == held


def test_what_one_process_has_mined_is_not_mined_anew_in_parts(photos, pool, tmp_path):
    many = write_photos(tmp_path / "many", 40)
    with pytest.raises(KeyboardInterrupt):
        make(many, tmp_path / "out", UNITS, progress=stop_at("mine", 1, interrupt))
    with pytest.raises(DataError, match="is the unfinished index of a run that was not in parts"):
        make(many, tmp_path / "out", UNITS, pool=pool, load=make_model)


def test_another_net_in_a_process_is_refused(photos, whole, pool, tmp_path):
    with pytest.raises(DataError, match="a process that projects has another net than the run"):
        make(photos, tmp_path, UNITS, index=whole / INDEX, pool=pool, load=load_other)


@dataclass
class Mixed:
    """A pool of which every other answer is of a kind of machine that is not this one's."""

    pool: ExecutorPool

    def work_through(self, begin, items, name):
        with closing(self.pool.work_through(begin, items, name)) as done:
            for number, (item, (files,)) in enumerate(done):
                yield item, [replace(files, machine="A <100>") if number % 2 else files]


def test_kinds_of_machines_that_projected_are_told_or_refused(photos, whole, pool, tmp_path):
    here = describe_kind("cpu")
    options = {"index": whole / INDEX, "pool": Mixed(pool), "load": make_model}
    told = rf"2 kinds of machines, whose last digits may differ: 'A <100>', '{re.escape(here)}'; "
    with pytest.raises(DataError, match=told + r".* leave --strict out"):
        make(photos, tmp_path, UNITS, strict=True, **options)
    assert list_files(tmp_path).keys() >= {f"{WORK_NAME}/{LIST_NAME}"}
    watched = Watched(pool)  # of one kind, as what was done before
    make(photos, tmp_path, UNITS, strict=True, **{**options, "pool": watched})
    assert len(watched.came) == 5
    assert list_files(tmp_path) == list_files(whole)
    manifest = make(photos, tmp_path / "mixed", UNITS, **options)
    assert manifest.results.machines == ("A <100>", here)
    page = (tmp_path / "mixed" / "index.html").read_text(encoding="utf-8")
    assert "2 kinds of machines, whose last digits may differ: A &lt;100&gt;; " in page


def test_a_photo_that_changed_since_mining_is_named(whole, pool, tmp_path):
    photos = write_photos(tmp_path / "photos", 12)
    name = read_manifest(whole, LayersResults).photos[0].name
    changed = photos / name
    size = changed.stat().st_size
    write_noise(changed, 99)
    with changed.open("ab") as file:  # PNGs of noise are of nearly one size
        file.write(bytes(size - changed.stat().st_size))
    with pytest.raises(DataError, match=f"photo {re.escape(repr(name))} changed since mining"):
        make(photos, tmp_path / "out", UNITS, index=whole / INDEX, pool=pool, load=make_model)


@pytest.mark.parametrize("given", [{"load": make_model}, {"parts": 2}, {"pool": ExecutorPool}])
def test_a_pool_without_a_net_is_refused(photos, tmp_path, given):
    with pytest.raises(VizcnnError, match="a pool needs what loads the net"):
        make(photos, tmp_path, UNITS, **given)
