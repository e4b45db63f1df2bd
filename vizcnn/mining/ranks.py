"""By what the photos and places of a unit are ranked, and the percentiles of its range."""

from typing import Literal, get_args

from vizcnn.basics.errors import DataError, quote

Rank = Literal["activation", "relevance", "lowest", "median", "random"]
"""``"activation"``: the strongest places first. ``"relevance"``: places by activation times
gradient of the logit of the photo's true class, as RelMax ranks them by relevance (Achtibat et al.
2023, From attribution maps to human-understandable explanations). The others rank photos by the
unit's maximum in them: ``"lowest"`` first, around the ``"median"``, or drawn at ``"random"``."""
RANKS: tuple[Rank, ...] = get_args(Rank)

PLACE_RANKS: tuple[Rank, ...] = ("activation", "relevance")
"""Those that rank places: of the others each photo has one place, that of its maximum."""

PERCENTILES = (0, 10, 25, 50, 75, 90, 99, 100)
"""Of a unit's maxima over all photos, the lowest first: the photos that show its range.

Nine strongest photos are a thousandth of a data set and may show something that the unit answers to
nowhere else (Bolukbasi et al. 2021, An interpretability illusion for BERT; Borowski et al. 2021,
Exemplary natural images explain CNN activations better)."""


def check_rank(rank: Rank, per_photo: int) -> None:
    """Make sure that there is a rank, and that it takes so many places of a photo.

    Raises:
        DataError: If not.

    Example:
        >>> check_rank("lowest", 2)
        Traceback (most recent call last):
        vizcnn.basics.errors.DataError: 2 places of one photo were asked for, and rank 'lowest'...
    """
    if rank not in RANKS:
        raise DataError(f"no rank {quote(rank)}; needed: {', '.join(RANKS)}")
    if per_photo > 1 and rank not in PLACE_RANKS:
        raise DataError(
            f"{per_photo} places of one photo were asked for, and rank {rank!r} takes the maximum "
            f"of each: only {' and '.join(PLACE_RANKS)} take several"
        )


_ORDERS: dict[Rank, str] = {
    "activation": "the strongest places first",
    "relevance": "by activation × gradient of the true class's logit",
    "lowest": "photos with the lowest maximum first",
    "median": "photos around the median of the maxima, the nearest first",
    "random": "photos drawn at random (seed {})",
}


def describe_order(rank: Rank, seed: int = 0) -> str:
    """Say in what order a unit's photos stand.

    Args:
        rank: By what they are ranked.
        seed: Of the draw at random.

    Example:
        >>> describe_order("random", 3)
        'photos drawn at random (seed 3)'
    """
    return _ORDERS[rank].format(seed)
