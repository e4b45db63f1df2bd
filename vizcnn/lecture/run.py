"""The whole lecture: exhibits -> figures and tables in every format, a page, a manifest."""

import fnmatch
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from matplotlib.figure import Figure

from vizcnn import __version__
from vizcnn.errors import VizcnnError, nearest_names
from vizcnn.gallery.deconv_manifest import Failure
from vizcnn.gallery.files import write_text
from vizcnn.gallery.lecture_manifest import (
    ClaimRecord,
    LectureExhibit,
    LectureManifest,
    LectureSection,
    ShownTable,
)
from vizcnn.gallery.records import Net
from vizcnn.gallery.site import write_gallery
from vizcnn.images import photo_sha256, read_photo
from vizcnn.lecture.catalogue import EXHIBITS
from vizcnn.lecture.claims.listing import list_claims
from vizcnn.lecture.exhibits import SECTIONS, TRAINED, Exhibit, Made, Studio, split_names
from vizcnn.lecture.restyling import darken, shrink
from vizcnn.lecture.table_files import TABLE_FORMATS, write_table
from vizcnn.lecture.tables import Table, show_cell
from vizcnn.output import write_folder
from vizcnn.photo_gallery import describe_weights, list_versions
from vizcnn.samples import name_source
from vizcnn.saving import FIGURE_FORMATS, FigureFormat, save_figure
from vizcnn.sheet import DPI

Style = Literal["slides", "paper"]
PAPER = 0.52
"""Size of a figure for a paper, of that for a slide: 6.9 inches wide, a page's text."""
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
    style: Style = "slides"


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
    if made.figure is not None:
        if settings.style == "paper":
            shrink(made.figure, PAPER)
        size = tuple(round(inches * PAGE_DPI) for inches in made.figure.get_size_inches())
        light = _save(made.figure, exhibit.name, settings, staging)
        darken(made.figure)
        dark = _save(made.figure, f"{exhibit.name}-dark", settings, staging)
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
    dpi = DPI if settings.style == "slides" else 2 * DPI
    for file in files:
        save_figure(figure, staging / file, dpi)
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
