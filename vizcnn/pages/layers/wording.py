"""What pages and posters say of a gallery in words."""

from dataclasses import asdict, dataclass

from vizcnn.drawing.tiles import ROBUST_PERCENTILE, Scaling
from vizcnn.mining.ranks import Rank
from vizcnn.pages.layers.job import Job
from vizcnn.pages.layers.layer_plans import LayerPlan
from vizcnn.pages.layers.places import NOWHERE
from vizcnn.projection.parts import Part

_NUMBERS = "no one two three four five six seven eight nine ten eleven twelve".split()


def spell(number: int) -> str:
    """Write a small number as a word.

    Example:
        >>> spell(9), spell(16)
        ('nine', '16')
    """
    return _NUMBERS[number] if number < len(_NUMBERS) else str(number)


def describe_contrast(scaling: Scaling, top: int) -> str:
    """Say how projections became colours.

    Example:
        >>> describe_contrast("shared", 9)
        "zero is mid grey; full contrast: the largest of a unit's nine 99.5 percentiles of |values|"
    """
    if scaling == "unit":
        whose = f"each projection's own {ROBUST_PERCENTILE} percentile of |values|"
    else:
        whose = f"the largest of a unit's {spell(top)} {ROBUST_PERCENTILE} percentiles of |values|"
    return f"zero is mid grey; full contrast: {whose}"


def name_pictures(part: Part) -> str:
    """Name what a sheet shows beside the patches.

    Example:
        >>> [name_pictures(part) for part in ("whole", "own", "common")]
        ['projections', 'own parts of the projections', 'common parts of the projections']
    """
    return "projections" if part == "whole" else f"{part} parts of the projections"


@dataclass(frozen=True)
class RankWords:
    """How pages speak of the places that a rank puts first.

    Attributes:
        few: What a unit's tiles show, after a number of photos.
        one: The same of a single tile.
        shown: What sheets show.
        of_unit: The same of a unit.
        heading: Heading of a unit's list of places.
        number: What the number of a tile on a layer's page is.
        first: The unit whose number is the highest goes first in this order.
        none: What a tile of a unit without places says.
        nothing: The same in a sentence.
    """

    few: str
    one: str
    shown: str
    of_unit: str
    heading: str
    number: str
    first: str
    none: str = "silent"
    nothing: str = "This unit is silent: no photo made it active."


_RANK_WORDS: dict[Rank, RankWords] = {
    "activation": RankWords(
        few="that excite it most",
        one="the place that excites it most",
        shown="the strongest places",
        of_unit="a unit’s strongest places",
        heading="Its strongest places",
        number="strongest activation",
        first="strongest activation first",
    ),
    "relevance": RankWords(
        few="of most relevance (activation × gradient of the true class’s logit)",
        one="the place of most relevance (activation × gradient of the true class’s logit)",
        shown="the places of most relevance to the photo’s true class, by activation × gradient "
        "of its logit",
        of_unit="a unit’s places of most relevance to the photo’s true class",
        heading="Its places of most relevance to the true class",
        number="highest relevance (activation × gradient of the true class’s logit)",
        first="highest relevance first",
        none="no relevance",
        nothing="This unit adds to the logit of the true class of no photo.",
    ),
    "lowest": RankWords(
        few="with its lowest maxima",
        one="the photo with its lowest maximum",
        shown="the photos in which the unit’s maximum is lowest",
        of_unit="a unit’s lowest maxima",
        heading="Its lowest maxima",
        number="lowest maximum",
        first="highest of the lowest maxima first",
    ),
    "median": RankWords(
        few="around the median of its maxima",
        one="the photo at the median of its maxima",
        shown="the photos around the median of the unit’s maxima, the nearest first",
        of_unit="a unit’s maxima in photos around their median",
        heading="Photos around the median of its maxima",
        number="maximum in the photo at the median",
        first="highest median first",
    ),
    "random": RankWords(
        few="drawn at random (seed {seed})",
        one="a photo drawn at random (seed {seed})",
        shown="photos drawn at random for the unit (seed {seed})",
        of_unit="a unit’s maxima in photos drawn at random (seed {seed})",
        heading="Photos drawn at random (seed {seed})",
        number="maximum in the first photo drawn",
        first="highest maximum in the first photo first",
    ),
}


def speak_of(rank: Rank, seed: int) -> RankWords:
    """Give the words for a rank.

    Args:
        rank: The rank.
        seed: Of a draw at random.

    Example:
        >>> speak_of("random", 3).heading
        'Photos drawn at random (seed 3)'
    """
    words = asdict(_RANK_WORDS[rank])
    return RankWords(**{name: text.replace("{seed}", str(seed)) for name, text in words.items()})


def describe_places(top: int, per_photo: int, rank: Rank = "activation", seed: int = 0) -> str:
    """Say what a unit's tiles show.

    Example:
        >>> describe_places(9, 1)
        'the nine photos that excite it most'
        >>> describe_places(9, 2)
        'the nine places that excite it most, at most two of a photo'
        >>> describe_places(9, 1, "random", 3)
        'nine photos drawn at random (seed 3)'
    """
    words = speak_of(rank, seed)
    if top == 1:
        return words.one
    some = spell(top) if rank == "random" else f"the {spell(top)}"
    if per_photo == 1:
        return f"{some} photos {words.few}"
    return f"{some} places {words.few}, at most {spell(per_photo)} of a photo"


def describe_units(plan: LayerPlan, answering: int, drawn: int) -> str:
    """Say which units a poster shows.

    Args:
        plan: The layer.
        answering: How many of its chosen units are not silent.
        drawn: How many are on the poster.
    """
    chosen = len(plan.units)
    total = "units" if chosen == plan.units_total else "chosen units"
    if drawn == chosen:
        return f"all {drawn} {total}" if drawn > 1 else f"unit {plan.units[0]}"
    if drawn == answering:
        return f"the {drawn} of {chosen} {total} that are not silent"
    silent = f" ({chosen - answering} silent)" if answering < chosen else ""
    return f"{drawn} of {chosen} {total}{silent}, drawn at random"


def list_notes(job: Job, layer: int) -> tuple[str, ...]:
    """List what a reader should know of a layer."""
    plan, places = job.layers[layer], job.places[layer]
    size = job.model.input_size
    counts = [places.count(row) for row in range(len(plan.units))]
    notes = []
    if plan.map_size is None or max(plan.field) > size:
        notes.append(
            f"The receptive field is no smaller than what the net saw ({size} × {size} pixels): "
            "tiles show the whole photo."
        )
    rank = job.settings.rank
    if not any(counts) and rank == "relevance":
        notes.append("None of these units adds to the logit of a photo's true class.")
    elif not any(counts):
        notes.append("No photo excites any of these units: nothing could be projected.")
    elif any(0 < count < job.settings.top for count in counts):
        what = "are of relevance at" if rank == "relevance" else "answer to"
        notes.append(
            f"Some units {what} fewer than {spell(job.settings.top)} places: their last tiles "
            "stay blank."
        )
    silent = int((places.silent[:, : places.top] != NOWHERE).sum())
    if silent:
        notes.append(
            f"In {silent} of the {sum(counts)} photos the unit is silent: there is no projection, "
            "and the whole photo is shown in place of a patch."
        )
    below = sum(bool(row[0] < 0) for row in places.activations if len(row))
    if below and rank == "activation":
        notes.append(
            f"{below} of the {len(plan.units)} units are below zero on every photo: their places "
            "are those where they are nearest to it."
        )
    return tuple(notes)
