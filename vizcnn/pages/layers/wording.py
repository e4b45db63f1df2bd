"""What pages and posters say of a gallery in words."""

from vizcnn.drawing.tiles import ROBUST_PERCENTILE, Scaling
from vizcnn.pages.layers.job import Job
from vizcnn.pages.layers.layer_plans import LayerPlan
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


def describe_places(top: int, per_photo: int) -> str:
    """Say what a unit's tiles show.

    Example:
        >>> describe_places(9, 1)
        'the nine photos that excite it most'
        >>> describe_places(9, 2)
        'the nine places that excite it most, at most two of a photo'
    """
    if top == 1:
        return "the place that excites it most"
    if per_photo == 1:
        return f"the {spell(top)} photos that excite it most"
    return f"the {spell(top)} places that excite it most, at most {spell(per_photo)} of a photo"


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
    if not any(counts):
        notes.append("No photo excites any of these units: nothing could be projected.")
    elif any(0 < count < job.settings.top for count in counts):
        notes.append(
            f"Some units answer to fewer than {spell(job.settings.top)} places: their last tiles "
            "stay blank."
        )
    below = sum(bool(row[0] < 0) for row in places.activations if len(row))
    if below:
        notes.append(
            f"{below} of the {len(plan.units)} units are below zero on every photo: their places "
            "are those where they are nearest to it."
        )
    return tuple(notes)
