"""How pictures change in a training: every number computed a second time, by the plainest way."""

import math

import numpy as np
import pytest

from vizcnn.measures.evolution import (
    CONVERGED,
    find_cosine,
    find_half_life,
    find_last_change,
    lay_on_field,
    sum_up,
)

EPOCHS = (0, 1, 2, 5, 10)


def draw_picture(seed, size=(4, 5)):
    return np.random.default_rng(seed).normal(size=(*size, 3)).astype(np.float32)


@pytest.mark.parametrize("corner", [(0, 0), (3, 2), (2, 0), (5, 9)])
@pytest.mark.parametrize("field", [(0, 0, 4, 5), (-2, -3, 6, 4), (4, 1, 9, 6), (20, 20, 22, 23)])
def test_a_picture_lies_on_the_field_pixel_by_pixel(corner, field):
    window = draw_picture(0)
    laid = lay_on_field(window, corner, field)
    top, left, bottom, right = field
    assert laid.shape == (bottom - top, right - left, 3)
    for row in range(top, bottom):
        for column in range(left, right):
            inside = 0 <= row - corner[0] < 4 and 0 <= column - corner[1] < 5
            wanted = window[row - corner[0], column - corner[1]] if inside else np.zeros(3)
            np.testing.assert_array_equal(laid[row - top, column - left], wanted)


def test_a_cosine_is_the_sum_of_products_over_the_lengths():
    one, other = draw_picture(1), draw_picture(2)
    pairs = list(zip(one.ravel().tolist(), other.ravel().tolist(), strict=True))
    wanted = sum(a * b for a, b in pairs) / math.sqrt(
        sum(a * a for a, _ in pairs) * sum(b * b for _, b in pairs)
    )
    assert find_cosine(one, other) == pytest.approx(wanted, abs=1e-9)
    assert find_cosine(one, 7 * one) == pytest.approx(1.0, abs=1e-9)
    assert find_cosine(one, np.zeros_like(one)) is None
    assert find_cosine(None, one) is None


def change_by_hand(photos):
    """Go back from the end as long as the photo is the last one."""
    at = len(photos) - 1
    while at and photos[at - 1] == photos[-1]:
        at -= 1
    return EPOCHS[at] if at else None


@pytest.mark.parametrize("photos", ["aaaaa", "abbbb", "abaaa", "ababa", "aaaab", "ab bb", "aaaa "])
def test_the_last_change_is_where_the_last_photo_begins(photos):
    names = [name.strip() for name in photos]
    assert find_last_change(names, EPOCHS) == change_by_hand(names)


@pytest.mark.parametrize(
    ("cosines", "wanted"),
    [
        ((0.0, 0.4, 0.5, 0.9, 1.0), 2),
        ((0.0, 0.8, 0.4, 0.9, 1.0), 5),  # it fell back once
        ((0.6, 0.7, 0.79, 0.8, 1.0), 5),
        ((None, None, 0.3, 0.49, 1.0), 10),  # silent at first
        ((-1.0, -0.1, 0.0, 0.5, 1.0), 2),
        ((0.0, 0.1, 0.2, 0.3, None), None),  # silent at last
        ((1.0, 1.0, 1.0, 1.0, 1.0), None),  # nothing changed
    ],
)
def test_half_of_the_way_is_gone_for_good(cosines, wanted):
    assert find_half_life(cosines, EPOCHS) == wanted


def test_half_lives_count_from_the_first_kept_epoch():
    assert find_half_life((0.0, 0.4, 0.6, 1.0), (10, 11, 14, 20)) == 4


def test_a_layer_is_summed_up_without_its_dead_units():
    photos = [list("abbbb"), list("ccccc"), list("abcde"), ["a", "", "", "", ""]]
    activations = [[1, 2, 3, 4, 5], [10, 20, 30, 40, 50], [2, 2, 2, 2, 2], [9, 0, 0, 0, 0]]
    cosines = [
        (0.1, 0.95, 0.8, 0.95, 1.0),
        (0.3, 0.97, 0.99, 0.99, 1.0),
        (0.2, 0.3, 0.92, 0.91, 1.0),
        (None,) * 5,
    ]
    last = [draw_picture(1), draw_picture(2), draw_picture(3), None]
    course = sum_up(photos, activations, cosines, last, EPOCHS)
    assert course.units == 3
    assert course.cosines == (0.2, 0.95, 0.92, 0.95, 1.0)
    assert course.converged == 1
    assert all(np.median(column) >= CONVERGED for column in np.array(cosines[:3])[:, 1:].T)
    assert course.settled == pytest.approx((1 / 3, 2 / 3, 2 / 3, 2 / 3, 1.0))
    assert course.activations == tuple(np.median(np.array(activations), axis=0))
    assert course.last_change == 1  # of 1, 0 (never) and 10
    assert course.half_life == 1  # of 1, 1 and 2
    between = [find_cosine(last[a], last[b]) or 0.0 for a, b in ((0, 1), (0, 2), (1, 2))]
    assert course.between_units == sorted(between)[1]


def test_a_layer_of_dead_units_has_no_course():
    course = sum_up([["", ""]], [[0, 0]], [(None, None)], [None], (0, 1))
    assert (course.units, course.converged, course.cosines) == (0, None, None)
