"""Parts, merges and indexes in object stores: the bytes of one run on a disk."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest

from tests.support.command_line import fail, run
from tests.support.mining_runs import NoisePhotos
from tests.support.small_zoo import make_model, paint_photo
from vizcnn.basics import remote
from vizcnn.basics.errors import DataError
from vizcnn.basics.remote import RemotePath, StoreError, read_place
from vizcnn.mining.cluster import mine_parts, name_parts_folder, plan_parts
from vizcnn.mining.index import read_index
from vizcnn.mining.maxima import name_maxima
from vizcnn.mining.merging import merge_files
from vizcnn.mining.run import MiningSettings, mine
from vizcnn.mining.working_copies import list_names, name_place_of_maxima, read_copies, work_on

fsspec = pytest.importorskip("fsspec", reason="needs the extra remote")

pytestmark = pytest.mark.usefixtures("one_thread")

SETTINGS = MiningSettings(("conv1", "fc7"), top=4, workers=0)
PHOTOS = NoisePhotos({f"dog/{number:03d}": number % 7 for number in range(40)} | {"dog/003": None})


@pytest.fixture(params=["memory", "local"])
def there(request, tmp_path):
    """A place for an index in a store, which is fsspec's in memory, or a disk."""
    if request.param == "local":
        yield RemotePath(f"local://{tmp_path}/store/deep/all.safetensors")
        return
    yield RemotePath("memory://work/deep/all.safetensors")
    store = fsspec.filesystem("memory")
    if store.exists("/work"):
        store.rm("/work", recursive=True)


def read(place):
    """The bytes of an index in a store, and of its maxima if it has some."""
    with read_copies([place]) as (file,):
        maxima = name_maxima(file)
        return file.read_bytes(), maxima.read_bytes() if maxima.exists() else None


def mine_plainly(folder, settings):
    mine(make_model(), PHOTOS, folder / "plain", settings)
    maxima = name_maxima(folder / "plain")
    return (folder / "plain").read_bytes(), maxima.read_bytes() if maxima.exists() else None


def mine_there(there, settings=SETTINGS, parts=3, load=make_model, **more):
    with ThreadPoolExecutor(1) as executor:
        return mine_parts(executor, load, PHOTOS, there, settings, parts, **more)


@pytest.mark.slow
@pytest.mark.parametrize(("ranges", "parts"), [(False, 17), (True, 3)])
def test_parts_in_a_store_give_the_bytes_of_one_run(there, tmp_path, ranges, parts):
    """In a tree of merges, or with the maxima; and nothing of the parts is left."""
    settings = replace(SETTINGS, ranges=ranges)
    index = mine_there(there, settings, parts)
    assert index.complete and read(there) == mine_plainly(tmp_path, settings)
    assert list_names(name_parts_folder(there)) == []
    wanted = ["all.safetensors", "all.safetensors.maxima"][: 1 + ranges]
    store, name = fsspec.url_to_fs(str(name_parts_folder(there)))
    assert not store.exists(name)
    assert list_names(there.parent) == wanted
    assert mine_there(there, settings, parts, load=LoadOnce()).complete  # it is there already


class LoadOnce:
    """Loads the net for the caller, and no more than that."""

    def __init__(self):
        self.left = 1

    def __call__(self):
        self.left -= 1
        assert self.left >= 0
        return make_model()


class StopError(Exception):
    """Ends a run at a photo."""


class StoppingPhotos(NoisePhotos):
    """Photos of which one ends the run."""

    def read(self, number):
        if self.names[number] == "dog/039":
            raise StopError
        return super().read(number)


def test_what_is_mined_before_an_error_is_sent_and_gone_on_with(there, tmp_path):
    """A part of 40 photos in lots of 32: the first lot is not mined again."""
    settings = replace(SETTINGS, interval=0.0)
    photos = StoppingPhotos(PHOTOS.looks)
    with pytest.raises(StopError), ThreadPoolExecutor(1) as executor:
        mine_parts(executor, make_model, photos, there, settings, 1)
    (task,) = plan_parts(PHOTOS, there, 1)
    assert list_names(name_parts_folder(there)) == [task.file.name]
    with read_copies([task.file]) as (file,):
        assert read_index(file).done == 32
    mine_there(there, settings, 1)
    assert read(there) == mine_plainly(tmp_path, SETTINGS)


def test_parts_of_a_store_are_resumed_checked_and_mined_anew(there, tmp_path):
    tasks = plan_parts(PHOTOS, there, 3)
    for task in tasks[:2]:
        with work_on(task.file) as file:
            mine(make_model(), task.photos, file, SETTINGS)
    with work_on(tasks[0].file) as file:
        file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(
        DataError, match=r"all.safetensors.parts' holds parts of 3, and 4 are asked"
    ):
        mine_there(there, parts=4)
    told: list[str] = []
    mine_there(there, notice=told.append)
    (line,) = told
    assert line == f"'{tasks[0].file}' is damaged: part 1/3 is mined anew"
    assert read(there) == mine_plainly(tmp_path, SETTINGS)
    with pytest.raises(DataError, match=f"'{there}' is the index of another run"):
        mine_there(there, replace(SETTINGS, top=3))


def test_indexes_of_a_store_are_merged(there, tmp_path):
    files = []
    for task in plan_parts(PHOTOS, there, 2):
        file = task.file if task.part == 1 else tmp_path / "here"
        with work_on(file) as copy:
            mine(make_model(), task.photos, copy, SETTINGS)
        files.append(file)
    merge_files(files, there)
    assert read(there) == mine_plainly(tmp_path, SETTINGS)
    with pytest.raises(DataError, match=f"{files[0]}"):
        merge_files([files[0], files[0]], there)
    assert read(there)[0] == (tmp_path / "plain").read_bytes()
    gone = there.with_name("gone")
    with pytest.raises(DataError, match=f"'{gone}'"):
        merge_files([gone], there)


def test_only_what_changed_is_sent(there, monkeypatch):
    sent: list[str] = []
    send = remote.send_object

    def note(file, place):
        sent.append(place.name)
        send(file, place)

    monkeypatch.setattr("vizcnn.mining.working_copies.send_object", note)
    with work_on(there) as file:
        file.write_bytes(b"one")
        name_maxima(file).write_bytes(b"two")
    assert sent == [
        "all.safetensors.maxima",
        "all.safetensors",
    ]  # never an index without its maxima
    with work_on(there) as file:
        assert (file.read_bytes(), name_maxima(file).read_bytes()) == (b"one", b"two")
    assert len(sent) == 2
    with work_on(there) as file:
        name_maxima(file).unlink()
    assert list_names(there.parent) == ["all.safetensors"]
    assert name_place_of_maxima(there).name == "all.safetensors.maxima"


def test_a_store_that_cannot_be_reached_is_told_in_a_line():
    with pytest.raises(StoreError, match="of no kind of store that fsspec knows"):
        mine_there(read_place("nosuchstore://bucket/all"))
    with pytest.raises(DataError, match="'memory://bucket' is a bucket; needed: an index in it"):
        mine_there(read_place("memory://bucket"))


@pytest.mark.usefixtures("small_net")
def test_commands_write_and_read_indexes_in_a_store(tmp_path):
    for number in range(4):
        paint_photo(tmp_path / "photos" / f"{number}.png", seed=number)
    mined = partial(run, "mine", "photos", "--layer", "conv2", "--workers", 0)
    mined("--out", "plain")
    wanted = (tmp_path / "plain").read_bytes()
    result = mined("--out", "memory://cli/whole")
    assert "index: memory://cli/whole\n" in result.stdout
    assert "next: vizcnn index memory://cli/whole" in result.stdout
    assert read(RemotePath("memory://cli/whole"))[0] == wanted
    assert "already complete" in mined("--out", "memory://cli/whole").stderr
    for part in ("1/2", "2/2"):
        mined("--part", part, "--out", f"memory://cli/{part[0]}")
    run("merge", "memory://cli/1", "memory://cli/2", "--out", "memory://cli/joint")
    assert read(RemotePath("memory://cli/joint"))[0] == wanted
    assert run("index", "memory://cli/joint").stdout == run("index", "plain").stdout
    for words in (("index",), ("merge", "--out", "x")):
        told = fail(*words, "memory://cli/gone")
        assert told == "error: no index 'memory://cli/gone': check the path\n"
    fsspec.filesystem("memory").rm("/cli", recursive=True)


def test_no_bucket_is_made_by_the_way(monkeypatch, tmp_path):
    """A name that is mistyped would make one: s3fs' makedirs does."""
    made = []

    class Store:
        async_impl = True

        def put_file(self, file, name):
            raise FileNotFoundError("The specified bucket does not exist")

        def makedirs(self, name, exist_ok):
            made.append(name)

    monkeypatch.setattr(remote, "_open_store", lambda place: (Store(), "buket/index"))
    with pytest.raises(StoreError, match=r"/buket/index' cannot be written: .* no such bucket"):
        remote.send_object(tmp_path, RemotePath("s3://buket/index"))
    assert made == []
