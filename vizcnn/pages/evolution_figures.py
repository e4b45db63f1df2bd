"""Figures of units at the epochs of a training, and what they say in words."""

from collections.abc import Iterator, Sequence

import numpy as np

from vizcnn.basics.texts import name_files
from vizcnn.drawing.evolution_blocks import EvolutionCell, EvolutionRow, draw_block
from vizcnn.drawing.evolution_curves import draw_courses
from vizcnn.drawing.tiles import ROBUST_PERCENTILE, scale_projections
from vizcnn.drawing.words import describe_part, explain_selectivity, show_number
from vizcnn.measures.evolution import CONVERGED
from vizcnn.pages.evolution_records import (
    CellScaling,
    Evolution,
    EvolvedLayer,
    EvolvedUnit,
    EvolveResults,
    Pictures,
    UnitPictures,
)
from vizcnn.pages.page import Drawing


def describe_scaling(scaling: CellScaling) -> str:
    """Say how values became colours."""
    limit = f"{ROBUST_PERCENTILE} percentile of |values|"
    whose = (
        f"each picture's own {limit}, so that growth is in the numbers only"
        if scaling == "cell"
        else f"the largest {limit} of a unit's pictures, so that small ones stay pale"
    )
    return f"zero is mid grey; full contrast: {whose}"


def draw(evolution: Evolution, scaling: CellScaling) -> Iterator[Drawing]:
    """Draw the block of each layer, and how the layers went.

    Args:
        evolution: What was measured.
        scaling: Whether each picture has its own contrast.
    """
    results = evolution.results
    pairs = zip(results.layers, evolution.pictures, strict=True)
    for number, (layer, pictures) in enumerate(pairs):
        yield _draw_layer(evolution, layer, pictures, scaling, explained=number == 0)
    title = f"{evolution.title}: when do its layers become what they stay?"
    yield Drawing(
        "courses",
        title,
        "Curves over the epochs, layer by layer: cosines with the last pictures, photos that stay, "
        "activations",
        draw_courses(
            [layer.name for layer in results.layers],
            [layer.course for layer in results.layers],
            results.epochs,
            title,
            _caption(evolution, pictures=False),
        ),
        "A layer is called converged from the kept epoch on from which the median cosine stays at "
        f"{CONVERGED} or above (dashed). Between two kept epochs nothing is known.",
    )


def describe_course(layer: EvolvedLayer, epochs: Sequence[int]) -> str:
    """Say in a sentence or two how a layer went.

    Args:
        layer: The layer.
        epochs: The epochs, rising.
    """
    course = layer.course
    if not course.units:
        return f"{layer.name}: all units that are shown are silent at the last epoch."
    when = (
        "only at the last epoch"
        if course.converged == epochs[-1]
        else f"at epoch {course.converged}"
    )
    changed = (
        f"were the last ones from epoch {epochs[0]} on"  # no earlier net is known
        if course.last_change == epochs[0]
        else f"changed for the last time at epoch {course.last_change:g}"
    )
    told = f"{layer.name} converged {when}; its units' strongest photos {changed}"
    if course.half_life is not None:
        epochs_gone = f"{course.half_life:g} epoch{'' if course.half_life == 1 else 's'}"
        told += f", and half of the way to the last pictures was gone after {epochs_gone}"
    told += f" (medians of {_count(course.units)})."
    if course.between_units is not None:
        told += (
            f" The last pictures of two of its units have a cosine of {course.between_units:.2f}."
        )
    return told


def _draw_layer(
    evolution: Evolution,
    layer: EvolvedLayer,
    pictures: UnitPictures,
    scaling: CellScaling,
    explained: bool,
) -> Drawing:
    """Draw a layer's block; the first explains how all are read."""
    results = evolution.results
    title = f"{evolution.title}: {layer.name} through the training"
    rows = [_make_row(unit, row, scaling) for unit, row in zip(layer.units, pictures, strict=True)]
    values = {cell.value for unit in layer.units for cell in unit.cells}
    compared = any(values)
    numbers = "activation" + (" · selectivity" if compared else "")
    words = (
        f"each unit's strongest place in {results.data.count:,} photos at that epoch; beside it "
        f"the photo where it is another than before (framed) or the first; below: {numbers}"
    )
    return Drawing(
        _name_file(layer.name, results),
        f"{layer.name}: {_count(len(layer.units))} of {layer.units_total}, {results.drawn}",
        f"Rows of units, columns of epochs {', '.join(map(str, results.epochs))}: projections, and "
        "the photos where they changed",
        draw_block(
            rows, results.epochs, title, words, _caption(evolution, compared, alone="–" in values)
        ),
        describe_course(layer, results.epochs)
        + (
            " A sudden jump comes from another photo, as Zeiler & Fergus note. The activation "
            "stands under each picture, as its contrast does not show it."
            if explained
            else ""
        ),
    )


def _name_file(layer: str, results: EvolveResults) -> str:
    names = [other.name for other in results.layers]
    return name_files(names, ("courses",))[names.index(layer)]


def _count(units: int) -> str:
    return f"{units} unit{'' if units == 1 else 's'}"


def _make_row(
    unit: EvolvedUnit, pictures: Sequence[Pictures | None], scaling: CellScaling
) -> EvolutionRow:
    there = [pair[0] for pair in pictures if pair is not None]
    shown = iter(scale_projections(there, "unit" if scaling == "cell" else "shared"))
    cells: list[EvolutionCell] = []
    for at, (cell, pair) in enumerate(zip(unit.cells, pictures, strict=True)):
        if pair is None:
            cells.append(EvolutionCell(None, None, False, ""))
            continue
        label = " · ".join(filter(None, [show_number(cell.activation), cell.value]))
        patch = pair[1].astype(np.float32) / np.float32(255) if cell.changed or at == 0 else None
        cells.append(EvolutionCell(next(shown), patch, cell.changed, label))
    growth = "" if unit.growth is None else f"×{show_number(unit.growth)}"
    name = f"unit {unit.unit}" if not unit.name else f"{unit.unit} {unit.name}"
    return EvolutionRow(name, growth, tuple(cells))


def _caption(
    evolution: Evolution, compared: bool = False, pictures: bool = True, alone: bool = False
) -> str:
    results, last = evolution.results, evolution.nets[-1]
    told = [
        f"at epoch {results.epochs[-1]}: {last.weights.describe()}",
        results.data.describe,
        f"{results.method} ({results.method_source})",
        describe_part(results.part),
        results.scaling if pictures else "",
        "×: last activation over first" if pictures else "",
        explain_selectivity(name="after the dot") if compared else "",
        "–: no other picture there to compare with" if alone else "",
        results.note,
    ]
    return " · ".join(filter(None, told))
