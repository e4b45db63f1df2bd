"""Errors of nets without layers or with others' widths, seed by seed, beside printed ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.sheet import MARGIN, PLOT_SIZE, SLIDE_WIDTH, Sheet, fit_slide, show_plainly
from vizcnn.drawing.style import letter_size, plain_style, points, scale_letters, tone
from vizcnn.measures.seed_bands import Difference, measure_band

NAMES = 3.7
"""Inches for the names of rows."""
STEP = 0.42
"""Inches from row to row."""
GAP, BELOW, LEGEND = 0.4, 0.55, 0.4
"""Inches between panels, for the horizontal axis, and for the legend."""
TRAINED, VALIDATED, PRINTED = "#777777", COLOURS[0], COLOURS[5]
LINES = ("-", "--", ":", "-.")


@dataclass(frozen=True)
class SeedErrors:
    """Errors of a row, 0..1, one per seed.

    Attributes:
        training: On the training photos.
        validation: On the validation photos.
        printed_training: What a paper prints of its own training photos, 0..1; None for nothing.
        printed: What it prints of its validation photos.
    """

    training: Sequence[float]
    validation: Sequence[float]
    printed_training: float | None = None
    printed: float | None = None


@dataclass(frozen=True)
class ErrorRow:
    """A row of an ablation.

    Attributes:
        title: What is left out or changed.
        errors: By the name of the error: ``"top-1"``, ``"top-5"``.
        change: Top-1 error on the validation photos minus that of the whole net; None of this.
        printed_change: The same as a paper prints it, in 0..1.
        curves: Top-1 error on the validation photos after each epoch, for each seed.
    """

    title: str
    errors: dict[str, SeedErrors]
    change: Difference | None
    printed_change: float | None
    curves: Sequence[Sequence[float]]


@fit_slide
def draw_errors(rows: Sequence[ErrorRow], title: str, caption: str) -> Figure:
    """Draw errors on training and validation photos, every seed a dot.

    Args:
        rows: The rows, from above.
        title: Heading.
        caption: What the figure depends on, below.
    """
    kinds = list(rows[0].errors)
    tall = STEP * len(rows) + 0.15
    names = scale_letters(NAMES)
    width = (SLIDE_WIDTH - names - MARGIN - 0.1 - GAP * (len(kinds) - 1)) / len(kinds)
    with plain_style():
        sheet = Sheet(SLIDE_WIDTH, LEGEND + 0.3 + tall + BELOW, title, caption)
        top = sheet.top + LEGEND + 0.3
        printed = any(errors.printed is not None for row in rows for errors in row.errors.values())
        _write_legend(sheet, printed)
        _write_names(sheet, [row.title for row in rows], top, names)
        for column, kind in enumerate(kinds):
            left = names + column * (width + GAP)
            axes = _add_rows(sheet, len(rows), left, top, width, tall, "error (%)")
            sheet.write(f"{kind} error", left, top - 0.07, 13, va="bottom", weight="bold")
            for place, row in enumerate(rows):
                _plot_errors(axes, place, row.errors[kind])
            axes.set_xlim(0, axes.get_xlim()[1])
    return sheet.figure


def _plot_errors(axes: Axes, place: float, errors: SeedErrors) -> None:
    seeds = ((errors.training, TRAINED, 0.17, False), (errors.validation, VALIDATED, -0.1, True))
    for values, colour, shift, filled in seeds:
        colour = tone(colour)
        shown, at = [100 * value for value in values], place + shift
        band = measure_band(shown)
        axes.plot([band.least, band.most], [at, at], color=colour, alpha=0.35, **_line(6.5))
        if filled and band.low is not None and band.high is not None:
            axes.plot([max(band.low, 0), band.high], [at, at], color=colour, **_line(1.3))
        face = colour if filled else tone("#ffffff")
        look: dict[str, Any] = {"markerfacecolor": face, "markersize": points(5.5)}
        axes.plot(shown, [at] * len(shown), "o", color=colour, clip_on=False, **look)
    if errors.printed is not None:
        _mark_printed(axes, 100 * errors.printed, place - 0.1)
    if errors.printed_training is not None:
        _mark_printed(axes, 100 * errors.printed_training, place + 0.17, TRAINED)


def _line(width: float) -> dict[str, Any]:
    return {"linewidth": points(width), "solid_capstyle": "round"}


def _mark_printed(axes: Axes, value: float, place: float, colour: str = PRINTED) -> None:
    look: dict[str, Any] = {"markersize": points(7.5), "markeredgewidth": points(1.6)}
    axes.plot([value], [place], "D", color=tone(colour), markerfacecolor="none", **look)


def _write_legend(sheet: Sheet, printed: bool) -> None:
    look: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": points(5.5)}
    training, validation = tone(TRAINED), tone(VALIDATED)
    marks = [
        Line2D([], [], color=validation, label="validation photos, a dot per seed", **look),
        Line2D([], [], color=validation, label="smallest to largest", alpha=0.35, **_line(6.5)),
        Line2D([], [], color=validation, label="95 % t interval of the mean", **_line(1.3)),
        Line2D([], [], color=training, markerfacecolor=tone("#ffffff"), label="training", **look),
    ]
    if printed:
        diamond = {**look, "marker": "D", "markerfacecolor": "none"}
        words = "the paper, on ImageNet (grey: training)"
        marks.append(Line2D([], [], color=PRINTED, label=words, **diamond))
    _add_legend(sheet, marks)


def _add_legend(sheet: Sheet, marks: list[Line2D]) -> None:
    axes = sheet.add_axes(MARGIN, sheet.top, SLIDE_WIDTH - 2 * MARGIN, 0.3)
    axes.legend(
        handles=marks,
        loc="center right",
        ncols=len(marks),
        fontsize=letter_size(PLOT_SIZE - 0.5),
        frameon=False,
        borderpad=0,
        columnspacing=1.4,
        handletextpad=0.5,
    )


def _write_names(sheet: Sheet, names: Sequence[str], top: float, room: float) -> None:
    for place, name in enumerate(names):
        middle = top + 0.075 + STEP * (place + 0.5)
        look: dict[str, Any] = {"ha": "right", "va": "center"}
        sheet.write(name, room - 0.15, middle, 12, room=room - MARGIN - 0.2, **look)


def _add_rows(
    sheet: Sheet, count: int, left: float, top: float, width: float, tall: float, across: str
) -> Axes:
    """Add axes with a row for each name, counted from above."""
    axes = sheet.add_plot(left, top, width, tall, across)
    axes.set_ylim(count - 0.5 + 0.075 / STEP, -0.5 - 0.075 / STEP)
    axes.set_yticks(range(count), [""] * count)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    return axes


@fit_slide
def draw_changes(rows: Sequence[ErrorRow], title: str, caption: str) -> Figure:
    """Draw by how much the top-1 error changes against the whole net.

    Args:
        rows: All rows but the whole net.
        title: Heading.
        caption: What the figure depends on, below.
    """
    tall, names = STEP * len(rows) + 0.15, scale_letters(NAMES)
    with plain_style():
        sheet = Sheet(SLIDE_WIDTH, LEGEND + tall + BELOW, title, caption)
        top, width = sheet.top + LEGEND, SLIDE_WIDTH - names - MARGIN - 0.1
        _write_names(sheet, [row.title for row in rows], top, names)
        across = "top-1 error minus that of the whole net (percentage points)"
        axes = _add_rows(sheet, len(rows), names, top, width, tall, across)
        axes.axvline(0, color=tone("#444444"), linewidth=points(1))
        for place, row in enumerate(rows):
            if row.change is None:
                continue
            _plot_change(axes, place, row.change)
            if row.printed_change is not None:
                _mark_printed(axes, 100 * row.printed_change, place)
        colour = tone(VALIDATED)
        look: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": points(7)}
        marks = [
            Line2D([], [], color=colour, label="here: means over seeds, told apart", **look),
            Line2D(
                [],
                [],
                color=colour,
                markerfacecolor=tone("#ffffff"),
                label="not told apart",
                **look,
            ),
            Line2D([], [], color=colour, label="95 % interval (Welch)", **_line(1.6)),
        ]
        if any(row.printed_change is not None for row in rows):
            diamond = {**look, "marker": "D", "markerfacecolor": "none"}
            marks.append(Line2D([], [], color=PRINTED, label="the paper, on ImageNet", **diamond))
        _add_legend(sheet, marks)
    return sheet.figure


def _plot_change(axes: Axes, place: float, change: Difference) -> None:
    colour = tone(VALIDATED)
    if change.low is not None and change.high is not None:
        axes.plot([100 * change.low, 100 * change.high], [place] * 2, color=colour, **_line(1.6))
    face = colour if change.is_told else tone("#ffffff")
    axes.plot(
        [100 * change.mean], [place], "o", color=colour, markerfacecolor=face, markersize=points(7)
    )


@fit_slide
def draw_curves(rows: Sequence[ErrorRow], title: str, caption: str) -> Figure:
    """Draw the top-1 error on the validation photos by epoch: mean and range of the seeds.

    Args:
        rows: The rows.
        title: Heading.
        caption: What the figure depends on, below.
    """
    beside, left, tall = scale_letters(NAMES) + 0.4, scale_letters(0.85), 4.2
    with plain_style():
        sheet = Sheet(SLIDE_WIDTH, tall + BELOW + 0.1, title, caption)
        width = SLIDE_WIDTH - left - beside - MARGIN
        axes = sheet.add_plot(
            left, sheet.top + 0.1, width, tall, "epoch", "top-1 error, validation photos (%)"
        )
        for number, row in enumerate(rows):
            bands = [
                measure_band([100 * value for value in values])
                for values in zip(*row.curves, strict=True)
            ]
            epochs = range(1, len(bands) + 1)
            colour = tone(COLOURS[number % len(COLOURS)])
            axes.plot(
                epochs,
                [band.mean for band in bands],
                LINES[number // len(COLOURS) % len(LINES)],
                color=colour,
                marker="o" if len(bands) == 1 else "",
                linewidth=points(2),
                label=show_plainly(row.title),
            )
            least, most = [band.least for band in bands], [band.most for band in bands]
            axes.fill_between(epochs, least, most, color=colour, alpha=0.15, linewidth=0)
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        legend = axes.legend(
            loc="upper left",
            bbox_to_anchor=(1.01, 1.02),
            fontsize=letter_size(PLOT_SIZE),
            frameon=False,
        )
        for text in legend.get_texts():
            text.set_parse_math(False)
    return sheet.figure
