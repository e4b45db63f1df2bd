"""A net's pattern as lectures write it, such as [CONV-POOL]x2 - CONV - FC - OUT."""

from collections.abc import Sequence
from functools import partial

from vizcnn.drawing.table_figure import draw_table
from vizcnn.drawing.tables import Table
from vizcnn.lecture.nets import find_net, trace_net
from vizcnn.lecture.studio import Made, Studio, exhibit
from vizcnn.recording.layer_rows import LayerRow

_WORDS = {"conv": "CONV", "max pool": "POOL", "average pool": "POOL", "norm": "NORM", "fc": "FC"}
"""What kinds of layers are called in patterns; others are left out."""


def list_words(rows: Sequence[LayerRow], norms: bool = False) -> list[str]:
    """Give a net's layers in words; the last fully connected one is its output.

    Args:
        rows: A net's layer table.
        norms: Whether contrast normalisation counts too.

    Example:
        >>> from vizcnn.lecture.nets import trace_net
        >>> list_words(trace_net("lenet"))
        ['CONV', 'POOL', 'CONV', 'POOL', 'CONV', 'FC', 'OUT']
    """
    words = [_WORDS[row.kind] for row in rows if row.kind in _WORDS]
    words = [word for word in words if norms or word != "NORM"]
    if words and words[-1] == "FC":
        words[-1] = "OUT"
    return words


def derive_pattern(rows: Sequence[LayerRow], norms: bool = False) -> str:
    """Write a net as a pattern: what is repeated stands once, with a factor.

    A run of equal words becomes ``CONVx2``; words that come in the same order again and again
    become ``[CONVx2-POOL]x2``. Of all such writings the one with the fewest words is taken, and
    of those the one whose brackets are shortest.

    Args:
        rows: A net's layer table.
        norms: Whether contrast normalisation counts too.

    Example:
        >>> from vizcnn.lecture.nets import trace_net
        >>> derive_pattern(trace_net("lenet"))
        '[CONV-POOL]x2 - CONV - FC - OUT'
        >>> derive_pattern(trace_net("vgg-d"))
        '[CONVx2-POOL]x2 - [CONVx3-POOL]x3 - FCx2 - OUT'
    """
    return " - ".join(_fold_groups(_fold_runs(list_words(rows, norms))))


def _fold_runs(words: Sequence[str]) -> list[str]:
    """Write CONV, CONV as CONVx2."""
    runs: list[tuple[str, int]] = []
    for word in words:
        if runs and runs[-1][0] == word:
            runs[-1] = (word, runs[-1][1] + 1)
        else:
            runs.append((word, 1))
    return [word if count == 1 else f"{word}x{count}" for word, count in runs]


def _fold_groups(words: Sequence[str]) -> list[str]:
    """Bring together what is repeated, from the left; the fold that saves most goes first."""
    folded: list[str] = []
    place = 0
    while place < len(words):
        saved, size, count = max(
            (
                ((count - 1) * size, -size, count)
                for size in range(2, (len(words) - place) // 2 + 1)
                if (count := _count_repeats(words, place, size)) > 1
            ),
            default=(0, 0, 1),
        )
        if saved:
            folded.append(f"[{'-'.join(words[place : place - size])}]x{count}")
            place += -size * count
        else:
            folded.append(words[place])
            place += 1
    return folded


def _count_repeats(words: Sequence[str], place: int, size: int) -> int:
    group = list(words[place : place + size])
    count = 1
    while list(words[place + count * size : place + (count + 1) * size]) == group:
        count += 1
    return count


@exhibit("lenet-pattern", "lenet", "LeNet’s pattern", nets=("lenet",))
@exhibit("vgg-patterns", "vgg", "VGG’s patterns", nets=tuple(f"vgg-{n}" for n in "abcde"))
def make_patterns(studio: Studio, nets: Sequence[str]) -> Made:
    """Draw nets as patterns that were derived from their layers."""
    rows = tuple(
        (
            find_net(name).title,
            derive_pattern(trace_net(name)),
            sum(word in ("CONV", "FC", "OUT") for word in list_words(trace_net(name))),
        )
        for name in nets
    )
    title = "Patterns, derived from the layers"
    table = Table(title, ("net", "pattern", "layers with weights"), rows)
    caption = "OUT is the last fully connected layer; what is repeated stands once, with a factor."
    return Made(caption, partial(draw_table, table, caption), table)
