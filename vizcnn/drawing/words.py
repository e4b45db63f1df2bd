"""Words for numbers: what a run showed, and whether it went the way that theory has it."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

from vizcnn.measures.study import NetStudy


def show_number(value: float) -> str:
    """Show a number to three digits or more, without an exponent where it reads well.

    Example:
        >>> [show_number(value) for value in (1234.5, 30.0, 0.01234, 1.5e-7, 0.0)]
        ['1234', '30.0', '0.0123', '1.50e-07', '0.00']
    """
    return f"{value:.0f}" if 100 <= abs(value) < 1e6 else f"{value:#.3g}"


Better = Literal["less", "more"]
"""Whether a finer stride should give less or more of a measure."""


def say_each(studies: Sequence[NetStudy], say: Callable[[NetStudy], str]) -> str:
    """Say a value of every net.

    Returns:
        ``"AlexNet 8.1 %, ZFNet 1.4 %"``.
    """
    return ", ".join(f"{study.title} {say(study)}" for study in studies)


def percent(share: float | None) -> str:
    r"""Write a share in 0..1 as a percentage, its space unbreakable; a dash where there is none.

    Example:
        >>> percent(0.0807), percent(0.00004), percent(None)
        ('8.1\xa0%', '< 0.1\xa0%', '–')
    """
    if share is None:
        return "–"
    return "< 0.1\u00a0%" if 0 < share < 0.001 else f"{share:.1%}".replace("%", "\u00a0%")


def judge(
    strides: Sequence[int], values: Sequence[float | None], better: Better, source: str
) -> str:
    """Say whether nets of finer strides fare as a source has it.

    Args:
        strides: Stride of each net's first layer.
        values: The measure of each net; None where there is none.
        better: Whether the source has less or more of it at finer strides.
        source: Who says so, with the verb: ``"theory predicts"``.

    Returns:
        A sentence that states what these numbers show; empty where strides do not differ or a
        value is missing, and so nothing can be said.

    Example:
        >>> judge([4, 2], [0.08, 0.01], "less", "theory predicts")
        'The finer stride has less, as theory predicts.'
        >>> judge([4, 2], [0.01, 0.08], "less", "theory predicts")
        'The finer stride has more, unlike what theory predicts.'
    """
    groups: dict[int, list[float]] = {}
    for stride, value in zip(strides, values, strict=True):
        if value is None:
            return ""
        groups.setdefault(stride, []).append(value)
    ordered = [groups[stride] for stride in sorted(groups)]
    if len(ordered) < 2:
        return ""
    who = "The finer stride has" if len(ordered) == 2 else "The finer the stride, the"
    for shown, sign in (("less", 1), ("more", -1)):
        signed = [[sign * value for value in group] for group in ordered]
        if all(max(finer) < min(coarser) for finer, coarser in pairwise(signed)):
            return f"{who} {shown}, {'as' if shown == better else 'unlike what'} {source}."
    return f"Strides alone do not order the nets here, unlike what {source}."


def judge_change(
    title: str,
    before: float | None,
    after: float | None,
    better: Better,
    write: Callable[[float], str] = "{:.2f}".format,
) -> str:
    """Say how a cure changed a measure of one net.

    Example:
        >>> judge_change("AlexNet", 0.67, 0.85, "more")
        'AlexNet 0.67 → 0.85'
        >>> judge_change("AlexNet", 0.67, 0.6, "more")
        'AlexNet 0.67 → 0.60 (worse)'
    """
    if before is None or after is None:
        return f"{title} –"
    shown = write(before), write(after)
    worse = (after < before if better == "more" else after > before) and shown[0] != shown[1]
    return f"{title} {shown[0]} → {shown[1]}{' (worse)' if worse else ''}"


def number(value: float | None) -> str:
    """Write a number with two decimals; a dash where there is none."""
    return "–" if value is None else f"{value:.2f}"
