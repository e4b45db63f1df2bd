"""Projections as pictures: bare in a grid, or as a figure with the photo's patches below them."""

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from vizcnn.basics.errors import VizcnnError
from vizcnn.drawing.display import encode_figure, show_figure
from vizcnn.drawing.figures import (
    LABEL_SIZE,
    LAYER_TILE,
    MOST_UNITS,
    ROW_UNITS,
    TILE_GAP,
    LayerStrip,
    UnitPair,
    draw_layer,
)
from vizcnn.drawing.saving import save_figure
from vizcnn.drawing.sheet import LINE, MARGIN, Sheet
from vizcnn.drawing.style import plain_style
from vizcnn.drawing.tiles import describe_scaling, lay_out_grid, scale_projections
from vizcnn.drawing.words import (
    describe_part,
    explain_selectivity,
    name_part,
    show_activation,
    write_selectivity,
)
from vizcnn.photos.pixels import Array
from vizcnn.projection.methods import METHODS
from vizcnn.projection.projection import Projection

__all__ = ["draw_projection", "encode_figure", "paint_projection", "save_figure", "show_figure"]

MOST_NAMED = 3
"""Photos that a title names."""


def paint_projection(projection: Projection) -> Array:
    """Give the bare pictures: one by itself, several in a grid.

    Args:
        projection: Of a net of images.

    Returns:
        (H, W, 3), 0..1, zero as mid grey, each picture at its own contrast; a pixel for each of
        the net's. Of several photos each has a row.

    Raises:
        VizcnnError: If it is no picture: of signals, of volumes, or of other channels than colours.
    """
    tiles = _scale(_list_windows(projection))
    photos = len(projection.images.unique())
    columns = len(tiles) // photos if photos > 1 else math.ceil(math.sqrt(len(tiles)))
    return tiles[0] if len(tiles) == 1 else lay_out_grid(tiles, max(columns, 1))


def draw_projection(projection: Projection) -> Figure:
    """Draw a layer's units: their pictures in rows and, of a net of photos, the patches below.

    Args:
        projection: Of a net of images.

    Raises:
        VizcnnError: As for :func:`paint_projection`.
    """
    part = "" if projection.part == "whole" else f", {name_part(projection.part)}s"
    title = f"{projection.layer}{part}"
    evidence = _write_evidence(projection)
    method = METHODS.get(projection.method)
    told = [
        projection.method + (f" ({method.source})" if method else ""),
        describe_part(projection.part),
        describe_scaling("unit"),
        explain_selectivity("the number below") if any(evidence) else "",
    ]
    scene = projection.scene
    if scene is None:
        return _draw_alone(projection, title, " · ".join(filter(None, told)))
    photos = [scene.names[number] for number in dict.fromkeys(projection.images.tolist())]
    several = len(photos) > 1
    who = ", ".join(photos) if len(photos) <= MOST_NAMED else f"{len(photos)} photos"
    title = f"{scene.net} {title}: {who}"
    told.insert(1, f"{scene.net}, {scene.weights}")
    pairs = []
    patches = scene.photos.detach().float().clamp(0, 1).cpu()
    for number, (tile, words) in enumerate(
        zip(_scale(_list_cuts(projection)), evidence, strict=True)
    ):
        image, (top, left, bottom, right) = (
            int(projection.images[number]),
            projection.boxes[number].tolist(),
        )
        patch: Array = patches[image, :, top:bottom, left:right].permute(1, 2, 0).numpy()
        label = _label(projection, number)
        if several:
            label = f"{scene.names[image]}: {label}"
        pairs.append(UnitPair(tile, patch, label, words))
    height, width = projection.field
    whole = bool((projection.positions < 0).any())  # of position="all"
    seen = f"{'whole maps, each place ' if whole else ''}sees {height} × {width} px"
    strip = LayerStrip(
        projection.layer,
        f"{projection.method}\n{seen}",
        tuple(pairs),
        shown=name_part(projection.part),
        in_row=_fill_row(projection),
    )
    return draw_layer(strip, title, " · ".join(filter(None, told)))


def _fill_row(projection: Projection) -> int:
    """Give how many stand in a row, so that all of one photo, or of one unit, are in one."""
    groups = [
        {len(list(run)) for _, run in groupby(numbers.tolist())}
        for numbers in (projection.images, projection.units)
    ]
    sizes = [group.pop() for group in groups if len(group) == 1]
    size = max((size for size in sizes if size <= ROW_UNITS), default=1)
    return ROW_UNITS // size * size


def _label(projection: Projection, row: int) -> str:
    unit, value = int(projection.units[row]), float(projection.activations[row])
    names = projection.scene.units if projection.scene else ()
    return f"{names[unit] if names else f'unit {unit}'}\n{show_activation(value)}"


def _write_evidence(projection: Projection) -> list[str]:
    """Write each row's selectivity; nothing where nothing was compared."""
    comparison = projection.comparison
    if comparison is None:
        return [""] * len(projection)
    return [
        write_selectivity(None if math.isnan(value) else value, compared, active)
        for value, compared, active in zip(
            comparison.selectivity.tolist(),
            comparison.compared.tolist(),
            comparison.active.tolist(),
            strict=True,
        )
    ]


def _draw_alone(projection: Projection, title: str, caption: str) -> Figure:
    """Draw pictures without photos, which only their net can read."""
    tiles = _scale(_list_windows(projection))[:MOST_UNITS]
    if len(tiles) < len(projection):
        caption = f"{caption} · the first {len(tiles)} of {len(projection)} are drawn"
    images = set(projection.images.tolist())
    labels = 2 * LINE * (LABEL_SIZE + 2) + 0.05
    across, height = min(len(tiles), ROW_UNITS), LAYER_TILE + labels
    rows = math.ceil(len(tiles) / ROW_UNITS)
    width = max(2 * MARGIN + across * LAYER_TILE, 6.0)
    side = LAYER_TILE * (1 - TILE_GAP)
    with plain_style():
        sheet = Sheet(width, rows * height, title, caption)
        for number, tile in enumerate(tiles):
            row, column = divmod(number, ROW_UNITS)
            left, top = MARGIN + column * LAYER_TILE, sheet.top + row * height + labels
            sheet.add_tile(tile, left, top, side)
            words = _label(projection, number)
            if len(images) > 1:
                words = f"image {int(projection.images[number])}: {words}"
            place: dict[str, Any] = {"room": side, "ha": "center", "va": "bottom"}
            sheet.write(words, left + side / 2, top - 0.03, LABEL_SIZE + 2, **place)
    return sheet.figure


def _list_windows(projection: Projection) -> list[Tensor]:
    return [_to_colours(projection, window) for window in projection.windows]


def _list_cuts(projection: Projection) -> list[Tensor]:
    return [_to_colours(projection, projection.cut(row)) for row in range(len(projection))]


def _to_colours(projection: Projection, values: Tensor) -> Tensor:
    """Give what three channels show of a projection, (3, h, w)."""
    if projection.scene is not None:
        values = projection.scene.preprocessing.to_visible(values)
    if values.ndim == 3 and values.shape[0] in (1, 3):
        return values.expand(3, -1, -1)
    raise VizcnnError(
        f"projections of {values.shape[0]} channels in {values.ndim - 1} dimensions make no "
        "picture; needed: one channel or three, in two: their values are in .windows"
    )


def _scale(values: Sequence[Tensor]) -> list[Array]:
    if not values:
        raise VizcnnError("there is no projection to draw: no unit was asked for")
    arrays = [value.detach().permute(1, 2, 0).float().cpu().numpy() for value in values]
    return scale_projections(arrays, "unit")
