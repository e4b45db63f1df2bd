"""One index, to the last byte: by any number of workers, broken off, in parts, killed."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

import vizcnn
from tests.support.mining_runs import LAYERS, NoisePhotos, make_photos, mine_bytes
from tests.support.small_zoo import make_model
from vizcnn.basics.errors import DataError
from vizcnn.mining.index import read_index, write_index
from vizcnn.mining.lots import LOT
from vizcnn.mining.passes import AlignRows, watch_layers
from vizcnn.mining.photo_sets import PartOfPhotos
from vizcnn.mining.ranking import merge_indexes
from vizcnn.mining.run import MiningRun, MiningSettings, mine
from vizcnn.mining.search import search_layers

COUNT = 150
LOOKS: dict[str, int | None] = {f"photo {number:03d}": number % 90 for number in range(COUNT)}
LOOKS |= {"photo 000": None, "photo 031": None, "photo 064": None, "photo 149": None}
SETTINGS = MiningSettings(layers=LAYERS, top=5, per_photo=2, workers=0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    """An unbroken run: ties (90 looks for 150 photos), unreadable photos, a last lot of 22."""
    file = tmp_path_factory.mktemp("whole") / "index"
    return mine_bytes(make_model(), NoisePhotos(LOOKS), file, top=5, per_photo=2)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_workers_and_savings_change_nothing(tmp_path, whole, workers):
    photos = NoisePhotos(LOOKS)
    options = {"top": 5, "per_photo": 2, "workers": workers, "interval": 0}
    assert mine_bytes(make_model(), photos, tmp_path / "index", **options) == whole


class SlowAtFirst(NoisePhotos):
    """The first lot is read last."""

    def read(self, number):
        time.sleep(0.01 if number < LOT else 0)
        return super().read(number)


@pytest.mark.slow
def test_the_fastest_worker_does_not_come_first(tmp_path, whole):
    found = mine_bytes(
        make_model(), SlowAtFirst(LOOKS), tmp_path / "index", top=5, per_photo=2, workers=3
    )
    assert found == whole


@pytest.mark.parametrize("stops", [[1], [32], [33, 90], [149], [10, 20, 30, 140]])
def test_a_broken_run_goes_on(tmp_path, whole, stops):
    photos, file = NoisePhotos(LOOKS), tmp_path / "index"
    for stop in stops:

        def break_off(items, *, label, total=None, unit="it", initial=0, stop=stop):
            for number, _ in enumerate(items, start=initial + 1):
                if number >= stop:
                    raise KeyboardInterrupt
            return iter(())

        with pytest.raises(KeyboardInterrupt):
            mine(make_model(), photos, file, SETTINGS, break_off)
        assert not read_index(file).complete or stop > 128
    assert mine(make_model(), photos, file, SETTINGS).complete
    assert file.read_bytes() == whole


def test_progress_starts_where_the_run_goes_on(tmp_path):
    told = []

    def progress(items, *, label, total=None, unit="it", initial=0):
        told.append((label, total, unit, initial))
        for done, item in enumerate(items, start=1):
            if len(told) == 1 and done == 33:
                raise KeyboardInterrupt
            yield item

    for _ in range(2):
        run = MiningRun(make_model(), make_photos(100), tmp_path / "index", SETTINGS)
        try:
            run.run(progress)
        except KeyboardInterrupt:
            assert run.index.done == 64
    first, check = ("mine", 100, "photo", 0), ("check", 64, "photo", 0)
    assert told == [first, check, ("mine", 100, "photo", 64)]
    run = MiningRun(make_model(), make_photos(100), tmp_path / "index", SETTINGS)
    assert run.index.complete
    before = (tmp_path / "index").stat().st_mtime_ns
    run.run(progress)
    assert told[3:] == [("check", 100, "photo", 0)]
    assert (tmp_path / "index").stat().st_mtime_ns == before


def test_at_most_an_interval_is_lost(tmp_path):
    """A run that cannot save at its end has saved in between."""
    file = tmp_path / "index"
    settings = replace(SETTINGS, interval=0)
    run = MiningRun(make_model(), make_photos(COUNT), file, settings, saving_share=0)

    def stop_saving(items, **options):
        for number, _ in enumerate(items):
            if number == 100:
                run.file = tmp_path / "too late"
                raise SystemExit
        return iter(())

    with pytest.raises(SystemExit):
        run.run(stop_saving)
    assert read_index(file).done == 96


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_parts_merge_to_the_whole(tmp_path, whole, parts):
    photos = NoisePhotos(LOOKS)
    for part in range(1, parts + 1):
        some = PartOfPhotos(photos, part, parts)
        mine(make_model(), some, tmp_path / f"{part}", SETTINGS)
    order = [*range(2, parts + 1), 1]
    write_index(merge_indexes([read_index(tmp_path / f"{k}") for k in order]), tmp_path / "all")
    assert (tmp_path / "all").read_bytes() == whole


def test_any_division_merges_and_merges_merge(tmp_path, whole):
    names = sorted(LOOKS)
    shares = [names[5:7], names[:1], names[1:5] + names[100:], names[7:100]]
    for number, share in enumerate(shares):
        photos = NoisePhotos({name: LOOKS[name] for name in share})
        mine(make_model(), photos, tmp_path / f"{number}", SETTINGS)
    a, b, c, d = (read_index(tmp_path / f"{number}") for number in range(4))
    merged = merge_indexes([merge_indexes([d, a]), merge_indexes([b, c])])
    write_index(merged, tmp_path / "all")
    assert (tmp_path / "all").read_bytes() == whole


def test_what_does_not_merge(tmp_path):
    model, one, other = make_model(), tmp_path / "one", tmp_path / "other"
    first = mine(model, make_photos(3), one, SETTINGS)
    with pytest.raises(DataError, match="no index"):
        merge_indexes([])
    with pytest.raises(DataError, match="'photo 000' is both in index 1 and in index 2"):
        merge_indexes([first, first])
    settings = MiningSettings(layers=LAYERS, top=4, workers=0)
    second = mine(model, NoisePhotos({"z": 1}), other, settings)
    with pytest.raises(DataError, match=r"b cannot be merged with a \(top: 4, not 5; per_photo"):
        merge_indexes([first, second], ["a", "b"])
    half = MiningRun(model, NoisePhotos({"z": 1}), tmp_path / "half", SETTINGS).index
    with pytest.raises(DataError, match=r"index 2 is not complete \(0 of 1 photos\)"):
        merge_indexes([first, half])


KILLED = """
import sys
from pathlib import Path
from tests.support.mining_runs import NoisePhotos
from tests.support.small_zoo import make_model
from tests.mining.test_mining_bytes import LOOKS, SETTINGS
from vizcnn.mining.run import MiningRun, MiningSettings
settings = MiningSettings(SETTINGS.layers, 5, 2, workers=2, interval=0)
photos = NoisePhotos(LOOKS, pause=0.01)
MiningRun(make_model(), photos, Path(sys.argv[1]), settings, saving_share=0).run()
"""


@pytest.mark.slow
def test_a_killed_run_goes_on(tmp_path, whole):
    """kill -9 of the whole group, at whatever it is doing then; twice, and on in this process."""
    file, done = tmp_path / "index", 0
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(file)],
            cwd=Path(__file__).parents[2],
            start_new_session=True,
        )
        end = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < end:
            if file.exists() and read_index(file).done > done:
                os.killpg(process.pid, signal.SIGKILL)
            time.sleep(0.005)
        assert process.wait(timeout=60) == -signal.SIGKILL
        assert done < read_index(file).done < COUNT  # whole, and further than before
        done = read_index(file).done
    assert mine(make_model(), NoisePhotos(LOOKS), file, SETTINGS).complete
    assert file.read_bytes() == whole


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet", "alexnet", "zfnet"])
def test_neither_place_nor_company_decides_the_bits(name):
    """What parts and merging rest on, for nets of the zoo; see ``LOT``."""
    model = vizcnn.load(name, weights="bundled")
    generator = torch.Generator().manual_seed(3)
    shape = (LOT, 3, model.input_size, model.input_size)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    alone = pixels.clone()
    alone[5:] = 0
    with search_layers(model, model.layers) as search:
        usual, moved, lonely = (
            _run(search, some) for some in (pixels, pixels.roll(13, dims=0), alone)
        )
    for layer, maps in usual.items():
        assert torch.equal(moved[layer].roll(-13, dims=0), maps), layer
        assert torch.equal(lonely[layer][:5], maps[:5]), layer


def _run(search, pixels):
    seen = {}
    search.forward(search.prepare(pixels), lambda name, maps: seen.update({name: maps.clone()}))
    return seen


@pytest.mark.parametrize("inputs", [10, 11, 84, 250])
def test_nor_do_they_where_rows_are_odd(inputs):
    """Rows that do not begin at whole vectors are summed in another order, if nothing is done."""
    generator = torch.Generator().manual_seed(inputs)
    x, weight = torch.randn(LOT, inputs, generator=generator), torch.randn(7, inputs)
    with AlignRows():
        usual, moved = F.linear(x, weight, weight[:, 0]), F.linear(x.roll(5, 0), weight)
        bare = F.linear(x, weight)
    assert torch.equal(moved.roll(-5, 0), bare)
    assert torch.allclose(usual, x @ weight.t() + weight[:, 0], atol=1e-5)


def test_a_pass_that_ends_too_early_is_told():
    """A net that leaves a layer out in one pass, after it was there in another."""
    model = make_model()
    with (
        watch_layers(model.module, {"conv1": "1", "again": "1#2"}) as forward,
        pytest.raises(vizcnn.VizcnnError, match="'again' was not reached"),
    ):
        forward(torch.zeros(1, 3, 32, 32), lambda name, maps: None)
