"""The simulated cluster against closed forms, and made indexes that are merged for real."""

import importlib
import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.mining_runs import make_photos
from vizcnn.mining.index import read_index
from vizcnn.mining.photo_sets import PartOfPhotos

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))  # they are scripts: each finds the others beside itself
cluster, common = map(importlib.import_module, ("cluster", "common"))
Costs, simulate = cluster.Costs, cluster.simulate

WORKERS = [1, 2, 3, 16, 100, 512, 600]


@pytest.mark.parametrize("workers", WORKERS)
def test_equal_parts_without_other_costs_take_whole_rounds(workers):
    run = simulate(workers, [25] * 512, Costs(decode=0.5, forward=1.5))
    rounds = math.ceil(512 / workers)
    assert run.seconds == pytest.approx(rounds * 25 * 2)
    assert run.shares["decode"] == pytest.approx(512 * 25 * 0.5 / workers)
    assert run.shares["forward"] == pytest.approx(512 * 25 * 1.5 / workers)
    assert run.shares["last parts"] == pytest.approx((rounds - 512 / workers) * 50)


@pytest.mark.parametrize("workers", WORKERS)
def test_all_costs_together_are_the_sum_of_their_closed_forms(workers):
    costs = Costs(
        listing=100,
        start=7,
        part=3,
        decode=0.02,
        forward=0.01,
        rest=0.005,
        merged_file=0.25,
        merged_photo=0.001,
    )
    run = simulate(workers, [2500] * 512, costs)
    mining = math.ceil(512 / workers) * (3 + 2500 * 0.035)
    # 32 merges of 16 parts, then 2 of 16 of those, then the last of both
    merging = math.ceil(32 / workers) * (16 * 0.25 + 16 * 2.5)
    merging += math.ceil(2 / workers) * (16 * 0.25 + 16 * 40)
    merging += 2 * 0.25 + 1280
    assert run.seconds == pytest.approx(100 + 7 + mining + merging)
    assert run.shares["merge"] == pytest.approx(merging)
    assert sum(run.shares.values()) == pytest.approx(run.seconds)


def test_what_is_read_beside_counts_only_where_it_takes_longer():
    costs = Costs(decode=4.0, forward=0.8, rest=0.2)
    assert simulate(1, [10], costs).seconds == pytest.approx(50)
    assert simulate(1, [10], replace(costs, readers=2)).seconds == pytest.approx(20)
    assert simulate(1, [10], replace(costs, readers=4)).seconds == pytest.approx(10)
    assert simulate(1, [10], replace(costs, readers=40)).seconds == pytest.approx(10)
    binds = [
        simulate(1, [10], replace(costs, readers=readers)).rank_shares()[0] for readers in (2, 40)
    ]
    assert binds == ["decode 100%", "forward 80%"]


@given(
    workers=st.integers(1, 40),
    parts=st.lists(st.integers(1, 50), min_size=1, max_size=60),
    draw=st.randoms(use_true_random=False),
)
def test_uneven_parts_end_within_the_bounds_of_graham(workers, parts, draw):
    """Bounds on Multiprocessing Timing Anomalies (1969), and tasks handed out by plain loops."""
    factors = [draw.uniform(0.5, 2) for _ in parts]
    costs = Costs(part=1, forward=0.1)
    run = simulate(workers, parts, costs, factors)
    tasks = [(1 + count * 0.1) * factor for count, factor in zip(parts, factors, strict=True)]
    average, longest = sum(tasks) / workers, max(tasks)
    assert max(average, longest) <= run.seconds * (1 + 1e-9)
    assert run.seconds <= (average + longest * (1 - 1 / workers)) * (1 + 1e-9)
    free = [0.0] * workers
    for seconds in tasks:
        free[free.index(min(free))] += seconds
    assert run.seconds == pytest.approx(max(free))
    assert sum(run.shares.values()) == pytest.approx(run.seconds)
    assert min(run.shares.values()) > -1e-9


@pytest.mark.parametrize(
    ("costs", "workers", "binds"),
    [
        (Costs(forward=1, decode=0.1, listing=1), 1, "forward"),
        (Costs(forward=0.1, decode=1, listing=1), 4, "decode"),
        (Costs(forward=1, listing=200), 100, "listing"),
        (Costs(forward=0.1, start=50), 20, "start"),
        (Costs(forward=0.1, part=90), 2, "parts' own"),
        (Costs(forward=1), 15, "last parts"),
        (Costs(forward=0.1, merged_photo=0.5), 20, "merge"),
    ],
)
def test_what_binds_is_named(costs, workers, binds):
    parts = [1] * 14 + [300] if binds == "last parts" else [20] * 20
    assert simulate(workers, parts, costs).rank_shares()[0].rpartition(" ")[0] == binds


def test_efficiency_is_told_by_the_run_with_the_fewest_workers():
    runs = [simulate(count, [10] * 6, Costs(forward=1)) for count in (4, 1, 2)]
    assert [cluster.find_efficiency(runs, run) for run in runs] == pytest.approx([0.75, 1, 1])
    told = cluster.report_runs("title", runs, 60)
    assert "| 4 | 20.0 s | 3.00 | 75% | forward 75% | last parts 25% |" in told


def test_parts_are_as_large_as_those_of_photos():
    photos = make_photos(23)
    sizes = [len(PartOfPhotos(photos, part, 5).names) for part in range(1, 6)]
    assert cluster.divide_evenly(23, 5) == sizes


def test_what_a_merge_takes_is_fitted():
    merges = [(sizes, 0.5 * len(sizes) + 0.01 * sum(sizes)) for sizes in ([7] * 16, [90, 80], [5])]
    assert cluster.fit_merges(merges) == pytest.approx((0.5, 0.01))
    assert cluster.fit_merges([([10, 10], 1.0), ([40], 2.0)]) == pytest.approx((0, 0.05))


def test_made_indexes_are_merged_to_the_first_of_all_places(tmp_path):
    told = cluster.merge_made(9000, 18, tmp_path)
    assert [len(sizes) for sizes, _ in told["merges"]] == [16, 2, 2]
    merged = read_index(tmp_path / "strongest.safetensors")
    names = cluster.make_names(9000)
    assert merged.photos == tuple(names)
    assert names == sorted(set(names))
    parts = [cluster.make_part(names[part::18], part) for part in range(18)]
    layer = merged.layers["conv1"]
    for unit in range(layer.units):
        places = []
        for index in parts:
            held = index.layers["conv1"]
            rows = (held.values[unit], held.photos[unit], held.positions[unit])
            places += [
                (-value, index.photos[photo], place)
                for value, photo, place in zip(*(row.tolist() for row in rows), strict=True)
            ]
        rows = (layer.values[unit], layer.photos[unit], layer.positions[unit])
        found = [
            (-value, names[photo], place)
            for value, photo, place in zip(*(row.tolist() for row in rows), strict=True)
        ]
        assert found == sorted(places)[:9]


@pytest.mark.slow
def test_many_names_merge_in_little_time_and_memory(tmp_path):
    """A twentieth of 1.28 million names; `python benchmarks/cluster.py` merges all of them.

    All there is takes 640 MB at most and 8 s in 512 parts; torch alone takes 230 MB of it.
    """
    script = ROOT / "benchmarks" / "cluster.py"
    told = json.loads(common.run_python(ROOT, script, "--merge", "64000", "26", tmp_path))
    assert told["seconds"] < 5
    assert told["memory"] < 450
    assert list(tmp_path.iterdir()) == []
