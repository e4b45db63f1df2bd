"""From an index to portions and slots: all places, each once, none of a silent unit."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from tests.support.top_runs import MODEL
from vizcnn.mining.identity import describe_identity
from vizcnn.mining.index import LayerRanking, StrongestIndex
from vizcnn.pages.layers.layer_plans import plan_layers
from vizcnn.pages.layers.places import (
    NOWHERE,
    Part,
    choose_places,
    cut_portions,
    find_slots,
    list_photos,
)
from vizcnn.pages.layers.spool import Facts, open_spool
from vizcnn.projection.deconvnet import Projector

GAP = float("-inf")


def make_index(values, photos) -> StrongestIndex:
    strengths, numbers = torch.tensor(values), torch.tensor(photos)
    places = torch.stack([numbers, numbers + 1], dim=2)
    ranking = LayerRanking("conv3", "6", (16, 16), strengths, numbers, places)
    return StrongestIndex(
        identity=describe_identity(MODEL, ("conv3",), strengths.shape[1], 1),
        photos=tuple("abcdefgh"),
        sizes=(1,) * 8,
        done=8,
        digests=torch.zeros(8, 8, dtype=torch.uint8),
        layers={"conv3": ranking},
    )


def plan(units):
    (layer,) = plan_layers(Projector(MODEL, "deconvnet"), MODEL, ["conv3"], None)
    return replace(layer, units=units)


def test_silent_and_empty_slots_are_no_places():
    index = make_index(
        [[3.0, 1.0, 0.5], [2.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, GAP, GAP], [-1.0, -2.0, GAP]],
        [[4, 2, 7], [5, 0, 1], [0, 1, 2], [6, -1, -1], [3, 2, -1]],
    )
    places = choose_places(index, plan((0, 1, 2, 3, 4)), 3)
    wanted = [[4, 2, 7], [5, -1, -1], [-1, -1, -1], [6, -1, -1], [3, 2, -1]]
    assert places.photos.tolist() == wanted
    assert [places.count(row) for row in range(5)] == [3, 1, 0, 1, 2]
    assert list_photos([places]) == [2, 3, 4, 5, 6, 7]
    few = choose_places(index, plan((1, 4)), 1)
    assert few.photos.tolist() == [[5], [3]]
    assert few.positions.tolist() == [[[5, 6]], [[3, 4]]]
    assert index.layers["conv3"].photos[2].tolist() == [0, 1, 2]  # the index is left as it was


@pytest.mark.parametrize(("each", "budget"), list(product([1, 7, 40], [1, 10, 50, 10_000])))
def test_portions_hold_each_unit_once_within_the_budget(each, budget):
    sizes = [(13, each), (1, 3 * each), (0, each), (29, 2 * each)]
    portions = cut_portions(sizes, budget)
    units = [
        (part.layer, unit)
        for portion in portions
        for part in portion
        for unit in range(part.first, part.last)
    ]
    assert units == [
        (layer, unit) for layer, (count, _) in enumerate(sizes) for unit in range(count)
    ]
    for portion in portions:
        taken = sum((part.last - part.first) * sizes[part.layer][1] for part in portion)
        alone = len(portion) == 1 and portion[0].last - portion[0].first == 1
        assert taken <= budget or alone
        assert portion


def test_slots_are_found_photo_by_photo():
    rng = np.random.default_rng(0)
    photos = rng.integers(-1, 8, (30, 9)).tolist()
    index = make_index(rng.uniform(1, 2, (30, 9)).tolist(), photos)
    places = choose_places(index, plan(tuple(range(30))), 9)
    part, lots = Part(0, 4, 21), [(0, 3), (1,), (2, 4, 5, 6, 7)]
    found = [
        (lot[photo], row, rank)
        for lot in lots
        for photo, row, rank in find_slots(places, part, lot)
    ]
    wanted = [
        (photos[row][rank], row, rank)
        for row in range(4, 21)
        for rank in range(9)
        if photos[row][rank] != NOWHERE
    ]
    assert sorted(found) == sorted(wanted)


def make_facts(rows: np.ndarray) -> Facts:
    """Boxes, corners and evidence that tell the rows apart."""
    column = rows[:, None]
    return Facts(column.repeat(4, 1), column.repeat(2, 1), column.repeat(4, 1) / 2)


def test_a_spool_gives_back_what_was_stored(tmp_path):
    rng = np.random.default_rng(0)
    spool = open_spool(tmp_path, "0-0", 3, 2, (6, 5))
    windows = [1e-9, 1.0, 3e8] * rng.normal(size=(6, 5, 3, 3))
    patch = rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)
    stored = np.zeros((6, 6, 5, 3), dtype=np.float32)
    stored[::2] = np.moveaxis(windows, -1, 0)
    rows, ranks = np.divmod(np.arange(6), 2)
    patches = patch + rows[:, None, None, None].astype(np.uint8)
    spool.store(rows[:4], ranks[:4], stored[:4], patches[:4], make_facts(rows[:4]))
    spool.store(rows[4:], ranks[4:], stored[4:], patches[4:], make_facts(rows[4:]))
    again = open_spool(tmp_path, "0-0", 3, 2, (6, 5))
    for row in range(3):
        (first, second), patches = again.load(row, range(2))
        limit = np.abs(windows[..., row]).max()
        assert np.abs(first - windows[..., row]).max() <= limit / 2000
        assert not second.any()
        assert np.array_equal(patches[0], patch + row)
        assert again.boxes[row, 1].tolist() == [row] * 4
        assert again.corners[row, 1].tolist() == [row] * 2
        assert again.evidence[row, 1].tolist() == [row / 2] * 4


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY damaged", bytes(10_000)])
def test_a_spool_of_any_content_can_be_written_to(tmp_path, content):
    (tmp_path / "0-0-windows").write_bytes(content)
    spool = open_spool(tmp_path, "0-0", 3, 2, (6, 5))
    ones = np.ones((1, 6, 5, 3), dtype=np.float32)
    row, rank = np.array([2]), np.array([1])
    spool.store(row, rank, ones, np.full((1, 6, 5, 3), 7, dtype=np.uint8), make_facts(row))
    windows, patches = open_spool(tmp_path, "0-0", 3, 2, (6, 5)).load(2, range(2))
    assert (windows[1] == 1).all()
    assert (patches[1] == 7).all()
