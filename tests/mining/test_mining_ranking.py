"""Rankings against plain loops: ties, several places per photo, odd values, merging."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.mining_runs import rank_slowly, to_lists
from vizcnn.mining.ranking import (
    find_hopeful,
    find_peaks,
    find_places,
    join_rankings,
    make_ranking,
    update_ranking,
)

UNITS = 5


def make_maps(photos, levels, shape=(4, 3), seed=0):
    """Maps of whole numbers, so that most values occur many times."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-levels, levels + 1, (photos, UNITS, *shape), generator=generator).float()


def rank(maps, top, per_photo, lot, unusable=(), numbers=None, every=False):
    """Rank lot by lot, as a run does."""
    shape = (UNITS, *maps.shape[2:])
    ranking = make_ranking("layer", "path", shape, top)
    for first in range(0, len(maps), lot):
        some = maps[first : first + lot]
        usable = torch.tensor([first + k not in unusable for k in range(len(some))])
        chosen = find_hopeful(ranking.values, find_peaks(some), usable)
        ranking = update_ranking(ranking, find_places(some, *chosen, per_photo, every=every), first)
    if numbers is not None:
        known = torch.tensor([*numbers, -1])
        ranking.photos[:] = known[ranking.photos]
    return ranking


@settings(max_examples=100)
@given(
    shape=st.sampled_from([(4, 3), (1, 1), ()]),
    levels=st.sampled_from([0, 1, 50]),
    top=st.integers(1, 6),
    per_photo=st.integers(1, 4),
    lot=st.integers(1, 24),
    unusable=st.sets(st.integers(0, 22), max_size=22),
    every=st.booleans(),
)
def test_equals_plain_loops(shape, levels, top, per_photo, lot, unusable, every):
    """Whether all candidates of a lot are looked at, as on a GPU, or the hopeful ones alone."""
    maps = make_maps(23, levels, shape)
    wanted = {k: maps[k] for k in range(23) if k not in unusable}
    found = rank(maps, top, per_photo, lot, unusable, every=every)
    assert to_lists(found) == rank_slowly(wanted, top, per_photo)


@pytest.mark.parametrize("per_photo", [1, 3])
def test_fewer_places_than_slots(per_photo):
    maps = make_maps(2, 1, (2, 1))
    found = rank(maps, 9, per_photo, 2)
    assert to_lists(found) == rank_slowly(dict(enumerate(maps)), 9, per_photo)
    assert found.values[0, -1] == -math.inf
    assert found.photos[0, -1] == -1


@pytest.mark.parametrize("per_photo", [1, 3])
def test_few_maps_at_a_time_change_nothing(per_photo):
    maps = make_maps(20, 2)
    slots = torch.arange(20).expand(UNITS, 20)
    whole, parts = (find_places(maps, slots, slots % 3 > 0, per_photo, size) for size in (10**6, 1))
    assert (whole.values[:, :, 0].isneginf() == (slots % 3 == 0)).all()
    for name in ("slots", "values", "positions"):
        assert torch.equal(getattr(whole, name), getattr(parts, name))


def test_minus_zero_is_zero():
    """The first of -0 and 0 in memory must not decide the bytes."""
    maps = torch.zeros(2, UNITS, 2, 2)
    maps[:, :, 0, 0] = -0.0
    found = rank(maps, 2, 2, 2)
    assert not found.values.signbit().any()
    assert found.positions[0].tolist() == [[0, 0], [0, 1]]


def test_minus_infinity_inside_a_map_is_no_place():
    maps = torch.full((1, UNITS, 2, 2), -math.inf)
    maps[:, :, 1, 1] = 3.0
    found = rank(maps, 3, 3, 1)
    assert to_lists(found)[0] == [(3.0, 0, 1, 1), *[(-math.inf, -1, -1, -1)] * 2]


def test_half_precision_is_compared_as_it_is():
    maps = make_maps(6, 3).half()
    found = rank(maps, 3, 1, 4)
    assert found.values.dtype == torch.float32
    assert to_lists(found) == rank_slowly(dict(enumerate(maps)), 3)


def test_maps_with_channels_side_by_side():
    maps = make_maps(9, 1)
    turned = maps.contiguous(memory_format=torch.channels_last)
    assert to_lists(rank(turned, 4, 2, 5)) == to_lists(rank(maps, 4, 2, 5))


def test_update_leaves_the_former_ranking():
    former = rank(make_maps(3, 5), 2, 1, 3)
    before = to_lists(former)
    maps = make_maps(3, 50, seed=1)
    chosen = find_hopeful(former.values, find_peaks(maps), torch.ones(3, dtype=torch.bool))
    update_ranking(former, find_places(maps, *chosen, 1), 3)
    assert to_lists(former) == before


@pytest.mark.parametrize("levels", [0, 1, 20])
@pytest.mark.parametrize("per_photo", [1, 3])
def test_joined_rankings_equal_one_over_all(levels, per_photo):
    maps = make_maps(21, levels)
    parts = [list(range(start, 21, 4)) for start in (2, 0, 3, 1)]
    ranked = [rank(maps[numbers], 5, per_photo, 3, numbers=numbers) for numbers in parts]
    assert to_lists(join_rankings(ranked)) == to_lists(rank(maps, 5, per_photo, 8))


def test_only_maps_with_a_chance_are_looked_at():
    values = torch.tensor([[5.0, 3.0]])
    peaks = torch.tensor([[3.0], [4.0], [6.0], [4.0], [9.0]])
    usable = torch.tensor([True, True, True, True, False])
    slots, hopeful = find_hopeful(values, peaks, usable)
    assert slots.tolist() == [[1, 2]]  # not the last, which is no photo; of the two 4 the first
    assert hopeful.tolist() == [[False, True]]  # 6 and 5 leave no room for a 4
    _, hopeful = find_hopeful(torch.tensor([[6.0, 4.0]]), peaks, usable)
    assert hopeful.tolist() == [[False, True]]  # as strong as the weakest, and later
