"""The lab's pictures: filters, spectra, test patterns through strides, second-layer projections."""

from collections.abc import Sequence
from math import ceil, floor

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from vizcnn.drawing.filter_grids import (
    SCALING_WORDS,
    FilterPanel,
    draw_filters,
    scale_filters,
    show_colours,
)
from vizcnn.drawing.panels import show_panel
from vizcnn.drawing.sheet import MARGIN, SLIDE_WIDTH, Sheet, fit_slide
from vizcnn.drawing.style import (
    find_dpi,
    find_style,
    ground_level,
    plain_style,
    points,
    tone,
)
from vizcnn.drawing.tiles import (
    GREY,
    lay_out_grid,
    pad_tile,
    robust_limit,
    scale_projections,
    scale_signed,
)
from vizcnn.drawing.words import percent
from vizcnn.measures.shares import measure_shares
from vizcnn.measures.spectrum import inside_limit
from vizcnn.measures.study import NetStudy, StrongUnit
from vizcnn.measures.sweep import make_grating, make_zone_plate, point_frequency, sample_transfer
from vizcnn.photos.patches import spread
from vizcnn.photos.pixels import Array

GAP = 0.3
"""Inches between panels."""
NAMES = 1.6
"""Inches for the names of nets before a row."""
HEADING = 0.34
"""Inches above a panel for its heading."""
DECIBELS = 50.0
"""Range of a spectrum's greys, below its largest value."""
PLATE, PATCH = 129, 65
"""Sides in pixels of the zone plate and of the grating: few enough for a page that shows the figure
smaller not to add an alias of its own."""
GRATING = (0.22, 20.0)
"""Frequency in cycles per pixel and direction in degrees of the grating that is shown."""
SHOWN_UNITS = 16
"""Units whose projections are drawn, in four columns."""


def draw_first_layers(studies: Sequence[NetStudy], caption: str) -> Figure:
    """Draw the first layers side by side, each filter at its own contrast."""
    panels = [_lay_out_filters(study) for study in studies]
    return draw_filters(panels, "First-layer filters", f"{SCALING_WORDS['unit']} · {caption}")


def _lay_out_filters(study: NetStudy) -> FilterPanel:
    weight = study.layer.weight
    tiles = show_colours(scale_filters(study.model.preprocessing.to_visible(weight), "unit"))
    height, width = weight.shape[2:]
    size = f"{len(weight)} of {height} × {width}, stride {study.layer.stride}"
    return FilterPanel(tuple(tiles), name=study.title, notes=(size,))


@fit_slide
def draw_spectra(studies: Sequence[NetStudy], caption: str) -> Figure:
    """Draw, for each net, what its filters pass and what the stride makes of it.

    Columns: the transfer function (amplitude), the power of the responses to natural images, the
    power that stays in its place, and the power that folds onto it.
    """
    columns = ("what the filters pass", "… of natural images", "stays in place", "folds onto it")
    side = (SLIDE_WIDTH - 2 * MARGIN - NAMES - 3 * GAP - 0.2) / 4
    row = side + 0.34
    with plain_style():
        title = "Spectra of the first layer, before and after its stride"
        words = (
            f"power; colours span {DECIBELS:g} dB, in the last two columns from one largest value"
        )
        sheet = Sheet(SLIDE_WIDTH, HEADING + row * len(studies), title, caption, words)
        for index, study in enumerate(studies):
            top = sheet.top + HEADING + index * row
            _name_row(sheet, study, top + side / 2)
            _draw_spectra_row(sheet, study, top, side)
        for column, words in enumerate(columns):
            _head(sheet, words, MARGIN + NAMES + column * (side + GAP), side)
    return sheet.figure


def _draw_spectra_row(sheet: Sheet, study: NetStudy, top: float, side: float) -> None:
    shares = study.predicted
    transfer = sample_transfer(study.layer, 256).square()
    limit = study.layer.limit
    reference = shares.kept.max().item()
    panels = (
        (transfer, 0.5, transfer.max().item()),
        (shares.power, 0.5, shares.power.max().item()),
        (shares.kept, limit, reference),
        (shares.aliased, limit, reference),
    )
    for column, (power, reach, largest) in enumerate(panels):
        left = MARGIN + NAMES + column * (side + GAP)
        axes = sheet.add_axes(left, top, side, side)
        share = torch.fft.fftshift(power).clamp(min=1e-30) / max(largest, 1e-30)
        extent = (-reach, reach, -reach, reach)
        decibels = 10 * torch.log10(share).numpy()
        show_panel(axes, decibels, cmap="viridis", vmin=-DECIBELS, vmax=0, extent=extent)
        if reach > limit:
            axes.add_patch(
                Rectangle(
                    (-limit, -limit),
                    2 * limit,
                    2 * limit,
                    fill=False,
                    color="#e69f00",
                    lw=points(1.5),
                )
            )
        sheet.write(f"±{reach:.3g} cycles/px", left, top + side + 0.04, 9, color=tone("#444444"))
    words = percent(1 - shares.layer_share), percent(shares.layer_share)
    for column, share in enumerate(words, start=2):
        right = MARGIN + NAMES + column * (side + GAP) + side
        sheet.write(share, right, top + side + 0.03, 11, ha="right", weight="bold")


@fit_slide
def draw_pattern(studies: Sequence[NetStudy], pattern: str, caption: str) -> Figure:
    """Draw a zone plate or a grating through each net's filters at stride 1, 2 and 4.

    Args:
        studies: The nets.
        pattern: ``"zone plate"`` or ``"grating"``.
        caption: Small print.
    """
    picture = make_zone_plate(PLATE) if pattern == "zone plate" else _make_shown_grating()
    side = min((SLIDE_WIDTH - 2 * MARGIN - NAMES - 3 * GAP - 0.2) / 4, 2.9)
    row = side + 0.16
    with plain_style():
        title = f"A {pattern} through the first layer's filters, at stride 1, 2 and 4"
        words = "one filter of each net; its responses share one contrast, zero is mid grey"
        sheet = Sheet(SLIDE_WIDTH, HEADING + row * len(studies), title, caption, words)
        for column, words in enumerate(("the pattern", "stride 1", "stride 2", "stride 4")):
            _head(sheet, words, MARGIN + NAMES + column * (side + GAP), side)
        for index, study in enumerate(studies):
            top = sheet.top + HEADING + index * row
            _name_row(sheet, study, top + side / 2)
            _draw_pattern_row(sheet, study, picture, top, side)
    return sheet.figure


def _draw_pattern_row(
    sheet: Sheet, study: NetStudy, picture: Tensor, top: float, side: float
) -> None:
    unit = choose_filter(study)
    pixels = picture.expand(1, 3, -1, -1)
    shown = [picture.numpy()]
    responses = [study.layer.respond(pixels, stride)[0, unit].numpy() for stride in (1, 2, 4)]
    limit = robust_limit(responses[0])
    shown += [scale_signed(response, limit) for response in responses]
    for column, panel in enumerate(shown):
        left = MARGIN + NAMES + column * (side + GAP)
        whole = find_whole_side(max(panel.shape), side)
        axes = sheet.add_axes(left, top, whole, whole)
        show_panel(axes, panel, vmin=0, vmax=1)
        if column and (1, 2, 4)[column - 1] == study.layer.stride:
            frame = Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, clip_on=False)
            frame.set(color="#e69f00", linewidth=points(3))
            axes.add_patch(frame)


def find_whole_side(pixels: int, side: float) -> float:
    """Give the largest side at which each pixel of a picture takes whole pixels of a PNG.

    At another the lines of a pattern would be of unequal width: one more alias.

    Args:
        pixels: Of the picture's side.
        side: Inches that there are.

    Example:
        >>> find_whole_side(130, 2.7)  # 405 pixels at 150 to an inch
        2.6
    """
    inch = find_dpi() * find_style().scale
    return max(floor(side * inch / pixels + 1e-9), 1) * pixels / inch


def _make_shown_grating() -> Tensor:
    return 0.5 + 0.5 * make_grating(PATCH, point_frequency(*GRATING)).real


def choose_filter(study: NetStudy) -> int:
    """Choose the filter that passes most of what its layer's stride folds, for grey noise.

    Returns:
        The filter with the largest response energy above the limit; of a layer whose stride is 1
        the one with the largest response.
    """
    power = study.grey_power
    outside = ~inside_limit(power.shape[-1], study.layer.stride)
    above = (power * outside).sum(dim=(1, 2)) if outside.any() else power.sum(dim=(1, 2))
    return int(above.argmax())


def white_share(study: NetStudy, unit: int, stride: int) -> float:
    """Give the share of a filter's response to white grey noise that a stride folds, 0..1."""
    return measure_shares(study.grey_power[unit : unit + 1], stride).layer_share


@fit_slide
def draw_second_layer(studies: Sequence[NetStudy], layer: str, caption: str) -> Figure:
    """Draw the strongest projections of a layer, nine to a unit, the nets side by side."""
    width = _panel_width(len(studies))
    grids = [_lay_out_units(study) for study in studies]
    tall = [width * grid.shape[0] / grid.shape[1] for grid in grids]
    with plain_style():
        title = f"What excites {layer} most: deconvnet projections, up to nine photos to a unit"
        words = "each projection at its own contrast, zero is mid grey"
        sheet = Sheet(SLIDE_WIDTH, HEADING + max(tall), title, caption, words)
        for index, study in enumerate(studies):
            left = MARGIN + index * (width + GAP)
            median = "" if study.grid is None else f", grid {study.grid:.2f} (median)"
            _head(sheet, f"{study.title}{median}", left, width)
            sheet.add_image(grids[index], left, sheet.top + HEADING, width, tall[index])
    return sheet.figure


def _lay_out_units(study: NetStudy) -> Array:
    units = choose_units(study.units)
    rows = max((-(-min(len(unit.patches), 9) // 3) for unit in units), default=3)
    windows = [patch.projection.shape[-2:] for unit in units for patch in unit.patches[:9]]
    side = max((max(window) for window in windows), default=1)
    blocks = [_lay_out_nine(study, unit, side, 3 * rows) for unit in units]
    return (
        lay_out_grid(blocks, 4, gap=ceil(side / 6), background=ground_level())
        if blocks
        else np.full((8, 8, 3), GREY, np.float32)
    )


def choose_units(units: Sequence[StrongUnit]) -> list[StrongUnit]:
    """Choose the units to draw: those that are not silent, at most 16, evenly spread."""
    active = [unit for unit in units if unit.patches]
    return [active[index] for index in spread(len(active), SHOWN_UNITS)]


def _lay_out_nine(study: NetStudy, unit: StrongUnit, side: int, places: int) -> Array:
    show = study.model.preprocessing.to_visible
    arrays = [show(patch.projection).permute(1, 2, 0).numpy() for patch in unit.patches[:9]]
    tiles = [pad_tile(tile, side) for tile in scale_projections(arrays, "unit")]
    ground = ground_level()
    blank = np.full((side, side, 3), ground, dtype=np.float32)
    tiles += [blank] * (places - len(tiles))
    return lay_out_grid(tiles, 3, gap=ceil(side / 30), background=ground)


def _panel_width(count: int) -> float:
    return (SLIDE_WIDTH - 2 * MARGIN - (count - 1) * GAP) / count


def _head(sheet: Sheet, words: str, left: float, room: float) -> None:
    sheet.write(words, left, sheet.top + HEADING - 0.06, 13, room=room, va="bottom", weight="bold")


def _name_row(sheet: Sheet, study: NetStudy, middle: float) -> None:
    sheet.write(
        study.title, MARGIN, middle - 0.03, 13, room=NAMES - 0.1, va="bottom", weight="bold"
    )
    sheet.write(f"stride {study.layer.stride}", MARGIN, middle + 0.03, 11, room=NAMES - 0.1)
