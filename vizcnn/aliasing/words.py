"""Words for numbers: what a run showed, and whether it went the way that theory has it."""

from collections.abc import Callable, Sequence
from typing import Literal

from vizcnn.aliasing.study import NetStudy

Better = Literal["less", "more"]
"""Whether a finer stride should give less or more of a measure."""


def say_each(studies: Sequence[NetStudy], say: Callable[[NetStudy], str]) -> str:
    """Say a value of every net.

    Returns:
        ``"AlexNet 8.1 %, ZFNet 1.4 %"``.
    """
    return ", ".join(f"{study.title} {say(study)}" for study in studies)


def percent(share: float | None) -> str:
    """Write a share in 0..1; a dash where there is none.

    Example:
        >>> percent(0.0807), percent(0.00004), percent(None)
        ('8.1\N{NO-BREAK SPACE}%', '< 0.1\N{NO-BREAK SPACE}%', '–')
    """
    if share is None:
        return "–"
    words = "< 0.1%" if 0 < share < 0.001 else f"{share:.1%}"
    return words.replace("%", "\N{NO-BREAK SPACE}%")


def judge(
    strides: Sequence[int], values: Sequence[float | None], better: Better, source: str
) -> str:
    """Say whether the nets with the finest stride fare as a source has it.

    Args:
        strides: Stride of each net's first layer.
        values: The measure of each net; None where there is none.
        better: Whether theory expects less or more of it at a finer stride.
        source: Whose expectation it is.

    Returns:
        A sentence that states what these numbers show; empty where strides do not differ or a
        value is missing, and so nothing can be said.

    Example:
        >>> judge([4, 2], [0.08, 0.01], "less", "Zeiler & Fergus")
        'The finer stride has less, as Zeiler & Fergus expect.'
        >>> judge([4, 2], [0.01, 0.08], "less", "Zeiler & Fergus")
        'The finer stride has more, against what Zeiler & Fergus expect.'
    """
    finest, coarsest = min(strides), max(strides)
    known = [(stride, value) for stride, value in zip(strides, values, strict=True)]
    fine = [value for stride, value in known if stride == finest]
    coarse = [value for stride, value in known if stride != finest]
    if finest == coarsest or None in fine or None in coarse:
        return ""
    least, most = _span(fine)
    lowest, highest = _span(coarse)
    if most < lowest or least > highest:
        shown = "less" if most < lowest else "more"
        verdict = "as" if shown == better else "against what"
        return f"The finer stride has {shown}, {verdict} {source} expect."
    return f"Strides alone do not order the nets here, against what {source} expect."


def _span(values: Sequence[float | None]) -> tuple[float, float]:
    numbers = [value for value in values if value is not None]
    return min(numbers), max(numbers)


def judge_change(title: str, before: float | None, after: float | None, better: Better) -> str:
    """Say how a cure changed a measure of one net.

    Example:
        >>> judge_change("AlexNet", 0.67, 0.85, "more")
        'AlexNet 0.67 → 0.85'
        >>> judge_change("AlexNet", 0.67, 0.6, "more")
        'AlexNet 0.67 → 0.60 (worse)'
    """
    if before is None or after is None:
        return f"{title} –"
    worse = after < before if better == "more" else after > before
    return f"{title} {before:.2f} → {after:.2f}{' (worse)' if worse else ''}"
