"""The whole lecture: exhibits -> figures and tables in every format, a page, a manifest."""

import fnmatch
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from matplotlib.figure import Figure

from vizcnn.basics.errors import VizcnnError, nearest_names
from vizcnn.basics.files import write_text
from vizcnn.basics.output import FIGURE_FORMATS, FigureFormat, write_folder
from vizcnn.basics.version import __version__
from vizcnn.drawing.saving import save_figure
from vizcnn.drawing.style import LIGHT, PAPER, Style, use_style
from vizcnn.drawing.tables import TABLE_FORMATS, Table, show_cell, write_table
from vizcnn.gallery.deconv_manifest import Failure
from vizcnn.gallery.lecture_manifest import (
    ClaimRecord,
    LectureExhibit,
    LectureManifest,
    LectureSection,
    ShownTable,
)
from vizcnn.gallery.records import Net
from vizcnn.gallery.site import write_gallery
from vizcnn.lecture import (
    augmentation,
    dropout,
    history,
    inclusions,
    momentum,
    normalisation,
    overlapping_pooling,
    relu_tanh,
    ten_crop,
)
from vizcnn.lecture import net_exhibits as pages
from vizcnn.lecture.claims import list_claims
from vizcnn.lecture.nets import NETS
from vizcnn.lecture.size_figure import ALEXNET_DEEP, ALEXNET_INPUT, ALEXNET_POOLS, LENET, VGG
from vizcnn.lecture.studio import SECTIONS, TRAINED, Exhibit, Made, Studio, split_names
from vizcnn.pages.page import describe_weights, list_versions
from vizcnn.photos.images import photo_sha256, read_photo
from vizcnn.photos.samples import name_source

_CHAPTERS = (
    ("spectra", "Spectra of first-layer filters"),
    ("shares", "What the stride folds"),
    ("zone-plate", "A zone plate through the first layer"),
    ("gratings", "A grating that the stride cannot keep"),
    ("sweep", "All gratings through the first layer"),
    ("shifts", "Features of a photo that moves"),
    ("cure", "Blur before subsampling"),
    ("second-layer", "Second-layer projections"),
    ("grids", "The grid in the projections"),
)
"""Pictures of the aliasing lab; its first, the filters, is the figure of vizcnn filters here."""


def _list_nets(section: str) -> Iterator[Exhibit]:
    """List architecture and layer table of every net of a section."""
    for name, net in NETS.items():
        if net.section == section:
            yield Exhibit(
                f"{name}-architecture",
                section,
                f"{net.title}: architecture to scale",
                partial(pages.make_architecture, name=name),
            )
            yield Exhibit(
                f"{name}-layers",
                section,
                f"{net.title}: layers",
                partial(pages.make_layers, name=name),
            )


def _list_overview() -> Iterator[Exhibit]:
    yield Exhibit("depth", "overview", "Error rates and depth by year", history.make_depth)
    yield Exhibit("nets", "overview", "All nets in numbers", pages.make_net_table)


def _list_lenet() -> Iterator[Exhibit]:
    section = "lenet"
    yield from _list_nets(section)
    yield Exhibit(
        "lenet-pattern", section, "LeNet’s pattern", partial(pages.make_patterns, nets=("lenet",))
    )
    yield Exhibit(
        "lenet-sizes",
        section,
        "LeNet: how large is the output?",
        partial(pages.make_sizes, title="LeNet: how large is the output?", questions=LENET),
    )


def _list_alexnet() -> Iterator[Exhibit]:
    section = "alexnet"
    yield Exhibit("alexnet-input", section, "Input processing", augmentation.make_input)
    yield Exhibit("alexnet-relu", section, "ReLU against tanh", relu_tanh.make_relu_tanh)
    yield Exhibit(
        "alexnet-lrn", section, "Local response normalisation", normalisation.make_normalisation
    )
    yield Exhibit(
        "alexnet-pooling",
        section,
        "Overlapping pooling",
        overlapping_pooling.make_overlapping_pooling,
    )
    yield Exhibit("alexnet-crops", section, "Ten crops", augmentation.make_ten_crops)
    yield Exhibit(
        "alexnet-crops-measured",
        section,
        "Averaging over crops, measured",
        ten_crop.make_ten_crop_measures,
    )
    yield Exhibit("alexnet-colours", section, "Colour augmentation", augmentation.make_colours)
    yield Exhibit("alexnet-dropout", section, "Dropout", dropout.make_dropout)
    yield Exhibit("alexnet-momentum", section, "Momentum with weight decay", momentum.make_momentum)
    yield Exhibit("alexnet-ensembles", section, "Averaging over nets", history.make_ensembles)
    for name, questions in (
        ("input", ALEXNET_INPUT),
        ("pools", ALEXNET_POOLS),
        ("deep", ALEXNET_DEEP),
    ):
        title = "AlexNet: how large is the output?"
        yield Exhibit(
            f"alexnet-sizes-{name}",
            section,
            title,
            partial(pages.make_sizes, title=title, questions=questions),
        )
    yield Exhibit(
        "alexnet-parameters",
        section,
        "How many trainable parameters?",
        pages.make_parameter_questions,
    )
    yield from _list_nets(section)
    yield Exhibit(
        "alexnet-towers-differences",
        section,
        "Two towers against one",
        partial(pages.make_differences, first="alexnet", second="alexnet-towers"),
    )


def _list_zfnet() -> Iterator[Exhibit]:
    section = "zfnet"
    yield Exhibit(
        "zfnet-differences",
        section,
        "ZFNet against AlexNet",
        partial(pages.make_differences, first="alexnet", second="zfnet"),
    )
    yield from _list_nets(section)
    yield Exhibit(
        "zfnet-errors", section, "Error rates of ZFNet’s paper", history.make_zfnet_errors
    )
    for method, title in (("deconvnet", "Deconvnet"), ("guided", "Guided backprop")):
        yield Exhibit(
            f"zfnet-{method}",
            section,
            f"{title}: what units see",
            partial(inclusions.make_projections, method=method),
        )
    yield Exhibit("zfnet-filters", section, "First-layer filters", inclusions.make_filters)
    yield Exhibit(
        "zfnet-filter-measures",
        section,
        "First-layer filters in numbers",
        inclusions.make_filter_measures,
    )
    for name, title in _CHAPTERS:
        yield Exhibit(
            f"zfnet-aliasing-{name}", section, title, partial(inclusions.make_chapter, name=name)
        )


def _list_vgg() -> Iterator[Exhibit]:
    section = "vgg"
    yield Exhibit(
        "vgg-patterns",
        section,
        "VGG’s patterns",
        partial(pages.make_patterns, nets=tuple(f"vgg-{letter}" for letter in "abcde")),
    )
    yield Exhibit("vgg-filters", section, "One 7×7 against three 3×3", pages.make_stacks)
    yield Exhibit(
        "vgg-sizes",
        section,
        "VGG: how large is the output?",
        partial(pages.make_sizes, title="VGG: how large is the output?", questions=VGG),
    )
    yield Exhibit("vgg-memory", section, "VGG-16: memory and parameters", pages.make_memory)
    yield Exhibit(
        "vgg-shares", section, "Where VGG-16’s parameters and memory are", pages.make_shares
    )
    yield from _list_nets(section)
    yield Exhibit(
        "vgg-c-differences",
        section,
        "VGG C against D",
        partial(pages.make_differences, first="vgg-d", second="vgg-c"),
    )
    for name, place in (
        ("single", "single scale (Table 3)"),
        ("multi", "several scales (Table 4)"),
    ):
        title = f"VGG: error rates (%), {place}"
        yield Exhibit(
            f"vgg-errors-{name}",
            section,
            title,
            partial(history.make_vgg_errors, name=f"vgg-{name}-scale", title=title),
        )


def _list_googlenet() -> Iterator[Exhibit]:
    section = "googlenet"
    for name in ("naive", "reduced"):
        words = "naive" if name == "naive" else "with 1×1 reductions"
        title = f"Inception module, {words}"
        yield Exhibit(f"inception-{name}", section, title, partial(pages.make_module, name=name))
        yield Exhibit(
            f"inception-{name}-operations",
            section,
            f"{title}: operations",
            partial(pages.make_module_operations, name=name, title=title),
        )
    yield Exhibit("googlenet-table", section, "GoogLeNet’s table, computed", pages.make_googlenet)
    yield Exhibit(
        "googlenet-table-paper",
        section,
        "GoogLeNet’s table, as printed",
        pages.make_googlenet_paper,
    )
    yield from _list_nets(section)


def _list_resnet() -> Iterator[Exhibit]:
    yield from _list_nets("resnet")


def _list_claims() -> Iterator[Exhibit]:
    yield Exhibit("claims", "claims", "All claims", pages.make_claims)
    for name, title, in_tables in (
        ("claims-slips", "What does not hold", False),
        ("claims-table-slips", "What does not hold in GoogLeNet’s table", True),
    ):
        yield Exhibit(name, "claims", title, partial(pages.make_slips, in_tables=in_tables))


EXHIBITS: tuple[Exhibit, ...] = (
    *_list_overview(),
    *_list_lenet(),
    *_list_alexnet(),
    *_list_zfnet(),
    *_list_vgg(),
    *_list_googlenet(),
    *_list_resnet(),
    *_list_claims(),
)
"""Everything that ``vizcnn lecture`` makes."""


STYLES: Mapping[str, Style] = {"slides": LIGHT, "paper": PAPER}
PAGE_DPI = 96
"""Pixels of a page to an inch, as CSS counts them."""
MOST_SHOWN = 60
"""Rows of a table that stand on the page itself; longer ones are files only."""


@dataclass(frozen=True)
class LectureSettings:
    """What to make and how.

    Attributes:
        only: Names of sections or exhibits, or patterns of them (``vgg*``), also several with
            commas between them; all when empty.
        formats: Formats of the figures.
        style: ``"slides"``: 13.33 inches wide, large letters. ``"paper"``: half of that.
    """

    only: tuple[str, ...] = ()
    formats: tuple[FigureFormat, ...] = FIGURE_FORMATS
    style: Literal["slides", "paper"] = "slides"


def choose_exhibits(only: Sequence[str]) -> tuple[Exhibit, ...]:
    """Choose exhibits by their own or their section's name.

    Args:
        only: Names or patterns; all exhibits when empty.

    Raises:
        VizcnnError: If a name fits nothing.

    Example:
        >>> {exhibit.section for exhibit in choose_exhibits(["vgg"])}
        {'vgg'}
    """
    for wanted in split_names(only):
        if not any(_fits(exhibit, wanted) for exhibit in EXHIBITS):
            names = [*SECTIONS, *(exhibit.name for exhibit in EXHIBITS)]
            raise VizcnnError(f"the lecture has no part {wanted!r}: {nearest_names(wanted, names)}")
    return tuple(
        exhibit
        for exhibit in EXHIBITS
        if not only or any(_fits(exhibit, wanted) for wanted in split_names(only))
    )


def _fits(exhibit: Exhibit, wanted: str) -> bool:
    if wanted in SECTIONS:
        return exhibit.section == wanted
    return any(fnmatch.fnmatchcase(name, wanted) for name in (exhibit.name, exhibit.section))


def make_lecture(
    folder: Path,
    studio: Studio,
    settings: LectureSettings | None = None,
    command: str = "",
) -> LectureManifest:
    """Make the lecture's figures, tables, page and manifest.

    An exhibit that fails does not stop the others; it is named in ``failures``.

    Args:
        folder: Where everything goes; complete or untouched.
        studio: The photo, the device, the seed, the progress.
        settings: What to make.
        command: The command that repeats the run.

    Returns:
        What was written, as in manifest.json.

    Raises:
        VizcnnError: If a part is unknown, nothing could be made, or the folder cannot be written.
        ImageError: If the photo cannot be read.
        WeightsError: If the trained nets' weights are missing or damaged.
    """
    settings = settings or LectureSettings()
    exhibits = choose_exhibits(settings.only)
    read_photo(studio.photo)  # what cannot be read is told at once, not when it is needed
    if any(exhibit.section in TRAINED for exhibit in exhibits):
        studio.check_weights()
    failures: list[Failure] = []
    made: dict[str, list[LectureExhibit]] = {}
    with write_folder(folder) as staging:
        shown = studio.progress(exhibits, label="lecture", total=len(exhibits), unit="exhibit")
        for exhibit in shown:
            try:
                written = _write_exhibit(exhibit, studio, settings, staging)
            except Exception as error:
                if isinstance(error.__cause__ or error, OSError):
                    raise  # a full disk would stop every other one too
                failures.append(Failure(source=exhibit.name, error=_say_error(error)))
            else:
                made.setdefault(exhibit.section, []).append(written)
        if not made:
            told = "; ".join(f"{failure.source}: {failure.error}" for failure in failures)
            raise VizcnnError(f"nothing could be made; {told}")
        manifest = _describe_run(studio, settings, command, made, failures)
        write_gallery(manifest, staging)
    return manifest


def _say_error(error: Exception) -> str:
    """Say what went wrong in one line; of what was not foreseen, where too."""
    words = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, VizcnnError):
        return words
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {words} ({Path(last.filename).name}, line {last.lineno})"


def _write_exhibit(
    exhibit: Exhibit, studio: Studio, settings: LectureSettings, staging: Path
) -> LectureExhibit:
    made = exhibit.make(studio)
    light: tuple[str, ...] = ()
    dark: tuple[str, ...] = ()
    size: tuple[int, ...] = ()
    if made.draw is not None:
        style = STYLES[settings.style]
        with use_style(style):
            figure = made.draw()
            size = tuple(round(inches * PAGE_DPI) for inches in figure.get_size_inches())
            light = _save(figure, exhibit.name, settings, staging)
        with use_style(replace(style, dark=True)):
            dark = _save(made.draw(), f"{exhibit.name}-dark", settings, staging)
    return LectureExhibit(
        name=exhibit.name,
        title=exhibit.title,
        caption=made.caption,
        text=made.text or exhibit.title,
        figures=light,
        dark=dark,
        size=size,
        tables=_write_tables(made.table, exhibit.name, staging),
        shown=_show_table(made),
    )


def _save(figure: Figure, name: str, settings: LectureSettings, staging: Path) -> tuple[str, ...]:
    files = tuple(f"figures/{name}.{kind}" for kind in settings.formats)
    (staging / "figures").mkdir(exist_ok=True)
    for file in files:
        save_figure(figure, staging / file)
    return files


def _write_tables(table: Table | None, name: str, staging: Path) -> tuple[str, ...]:
    if table is None:
        return ()
    (staging / "tables").mkdir(exist_ok=True)
    for kind in TABLE_FORMATS:
        write_text(staging / "tables" / f"{name}.{kind}", write_table(table, kind))
    return tuple(f"tables/{name}.{kind}" for kind in TABLE_FORMATS)


def _show_table(made: Made) -> tuple[ShownTable, ...]:
    """Give the table for the page, unless it is too long for one."""
    table = made.table
    if table is None or len(table.rows) > MOST_SHOWN:
        return ()
    return (
        ShownTable(
            columns=table.columns,
            rows=tuple(tuple(show_cell(cell) for cell in row) for row in table.rows),
            numeric=table.numeric,
            totals=table.totals,
        ),
    )


def _describe_run(
    studio: Studio,
    settings: LectureSettings,
    command: str,
    made: dict[str, list[LectureExhibit]],
    failures: list[Failure],
) -> LectureManifest:
    claims = list_claims() if "claims" in made else ()
    return LectureManifest(
        vizcnn=__version__,
        command=command,
        title="A lecture on CNN architectures: every figure, every number",
        style=settings.style,
        photo=name_source(studio.photo),
        sha256=photo_sha256(studio.photo),
        sections=tuple(
            LectureSection(name=name, title=title, exhibits=tuple(made[name]))
            for name, title in SECTIONS.items()
            if name in made
        ),
        claims=tuple(ClaimRecord(**asdict(claim)) for claim in claims),
        nets=tuple(
            Net(model=model.name, title=model.title, weights=describe_weights(model))
            for model in studio.used
        ),
        failures=tuple(failures),
        settings={**asdict(settings), "seed": studio.seed, "device": studio.device},
        versions=list_versions(),
    )
