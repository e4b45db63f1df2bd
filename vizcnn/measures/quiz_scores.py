"""Scores of a quiz: shares of right answers with exact intervals, and what a condition adds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from vizcnn.measures.bootstrap import CONFIDENCE, RESAMPLES

GUESSING = 0.5
"""Share of right answers that guessing gives: of two photos one is right."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer to a question of two photos.

    Attributes:
        player: Who gave it.
        layer: Layer of the unit that was asked for.
        unit: Its number.
        condition: What was shown beside the photos.
        right: Whether the photo that excites the unit was chosen.
        seconds: How long it took.
    """

    player: str
    layer: str
    unit: int
    condition: str
    right: bool
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Score:
    """How many answers are right.

    Attributes:
        right: Right answers.
        answers: All answers.
        share: Right answers of all, 0..1; None without an answer.
        low: Lower end of the 95 % interval, 0..1.
        high: Upper end.
    """

    right: int
    answers: int
    share: float | None
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How much larger the share of right answers is under a condition than under another.

    Attributes:
        value: Mean over players of their two shares' difference, -1..1; None where nobody has
            answered under both.
        low: Lower end of the 95 % interval; None of fewer than two players.
        high: Upper end.
        players: How many have answered under both.
    """

    value: float | None
    low: float | None
    high: float | None
    players: int


def find_interval(right: int, answers: int) -> tuple[float, float]:
    """Find the exact 95 % interval of a share (Clopper & Pearson 1934).

    It holds all shares under which so many right answers, or more, and so many, or fewer, both have
    a probability of 2.5 % or more, if answers do not depend on each other.

    Args:
        right: Right answers.
        answers: All answers.

    Example:
        >>> low, high = find_interval(18, 20)
        >>> f"{low:.3f} {high:.3f}"
        '0.683 0.988'
        >>> find_interval(0, 0)
        (0.0, 1.0)
    """
    outside = (1 - CONFIDENCE) / 2
    low = betaincinv(right, answers - right + 1, outside) if right else 0.0
    high = betaincinv(right + 1, answers - right, 1 - outside) if right < answers else 1.0
    return float(low), float(high)


def count_score(answers: Sequence[Answer]) -> Score:
    """Count right answers.

    Example:
        >>> count_score([]).share is None
        True
    """
    right, count = sum(answer.right for answer in answers), len(answers)
    low, high = find_interval(right, count)
    return Score(
        right=right, answers=count, share=right / count if count else None, low=low, high=high
    )


def compare_conditions(
    answers: Sequence[Answer], condition: str, baseline: str, seed: int = 0
) -> Difference:
    """Compare the shares of right answers under two conditions, player by player.

    Each player counts alike. The interval is that of the percentile bootstrap over players (Efron
    1979): it says how far other people would move the number, and knows nothing of other units.

    Args:
        answers: Of one player or many.
        condition: What was shown.
        baseline: What it is compared with.
        seed: Of numpy's default generator, which draws the players.

    Example:
        >>> told = [("a", "own", True), ("a", "alone", False), ("b", "own", True)]
        >>> given = [
        ...     Answer(player=player, layer="conv5", unit=unit, condition=condition, right=right)
        ...     for unit, (player, condition, right) in enumerate(told)
        ... ]
        >>> compare_conditions(given, "own", "alone")
        Difference(value=1.0, low=None, high=None, players=1)
    """
    found = []
    for player in dict.fromkeys(answer.player for answer in answers):
        shares = [
            count_score([a for a in answers if (a.player, a.condition) == (player, shown)]).share
            for shown in (condition, baseline)
        ]
        if shares[0] is not None and shares[1] is not None:
            found.append(shares[0] - shares[1])
    if not found:
        return Difference(value=None, low=None, high=None, players=0)
    mean = float(np.mean(found))
    if len(found) == 1:  # nothing is known of how people differ
        return Difference(value=mean, low=None, high=None, players=1)
    drawn = np.random.default_rng(seed).integers(0, len(found), (RESAMPLES, len(found)))
    outside = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(np.array(found)[drawn].mean(axis=1), [outside, 100 - outside])
    return Difference(value=mean, low=float(low), high=float(high), players=len(found))
