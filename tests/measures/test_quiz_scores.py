"""Scores of a quiz, against sums of binomial probabilities and against answers by chance."""

from itertools import product
from math import comb

import numpy as np
import pytest

from vizcnn.measures.quiz_scores import Answer, compare_conditions, count_score, find_interval


def sum_tail(share: float, answers: int, low: int, high: int) -> float:
    return sum(
        comb(answers, count) * share**count * (1 - share) ** (answers - count)
        for count in range(low, high + 1)
    )


@pytest.mark.parametrize("answers", [1, 7, 20])
def test_the_ends_of_an_interval_have_tails_of_two_and_a_half_per_cent(answers: int):
    """Clopper and Pearson's definition itself, by sums of binomial probabilities."""
    for right in range(answers + 1):
        low, high = find_interval(right, answers)
        assert 0 <= low <= right / answers <= high <= 1
        if right:
            assert sum_tail(low, answers, right, answers) == pytest.approx(0.025)
        else:
            assert low == 0
        if right < answers:
            assert sum_tail(high, answers, 0, right) == pytest.approx(0.025)
        else:
            assert high == 1


def test_an_interval_holds_the_true_share_as_often_as_it_says():
    draws = np.random.default_rng(3).binomial(20, 0.8, 4000)
    ends = [find_interval(right, 20) for right in range(21)]
    held = np.mean([ends[right][0] <= 0.8 <= ends[right][1] for right in draws])
    exact = sum(
        comb(20, right) * 0.8**right * 0.2 ** (20 - right)
        for right, (low, high) in enumerate(ends)
        if low <= 0.8 <= high
    )
    assert exact >= 0.95
    assert held == pytest.approx(exact, abs=0.02)


def give(player: str, condition: str, *right: bool) -> list[Answer]:
    return [
        Answer(player=player, layer="conv5", unit=unit, condition=condition, right=is_right)
        for unit, is_right in enumerate(right)
    ]


def test_each_player_counts_alike():
    answers = [
        *give("a", "own", True, True, True, True),
        *give("a", "alone", True, False),
        *give("b", "own", False),
        *give("b", "alone", True),
        *give("c", "own", True),  # with nothing to compare
    ]
    found = compare_conditions(answers, "own", "alone")
    assert found.value == pytest.approx(((1 - 1 / 2) + (0 - 1)) / 2)
    assert found.players == 2
    assert count_score(answers).right == 7


def test_the_interval_of_a_difference_is_the_spread_of_means_of_players_drawn_anew():
    """Of two players there are four draws: the percentiles follow from their means."""
    differences = {"a": 1.0, "b": 0.0}
    answers = [*give("a", "own", True), *give("a", "alone", False)]
    answers += [*give("b", "own", True), *give("b", "alone", True)]
    means = [np.mean(pair) for pair in product(differences.values(), repeat=2)]
    low, high = np.percentile(means * 1000, [2.5, 97.5])
    found = compare_conditions(answers, "own", "alone")
    assert (found.value, found.low, found.high) == (0.5, low, high)


def test_nobody_who_answered_under_both_gives_no_difference():
    found = compare_conditions(give("a", "own", True), "own", "alone")
    assert (found.value, found.low, found.high, found.players) == (None, None, None, 0)
