"""The whole lecture: exhibits -> figures and tables in every format, a page, a manifest."""

import fnmatch
import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Literal

from matplotlib.figure import Figure
from matplotlib.text import Text

from vizcnn.basics.errands import Errands
from vizcnn.basics.errors import VizcnnError, nearest_names
from vizcnn.basics.files import write_text
from vizcnn.basics.memory import find_shortage
from vizcnn.basics.output import FIGURE_FORMATS, FigureFormat, write_folder
from vizcnn.drawing.saving import save_figure
from vizcnn.drawing.style import LIGHT, PAPER, Style, Theme, find_style, use_style
from vizcnn.drawing.tables import TABLE_FORMATS, Table, write_table
from vizcnn.gallery.manifest import Failure, Manifest
from vizcnn.lecture.claims import list_claims
from vizcnn.lecture.readme import write_readme
from vizcnn.lecture.results import LectureExhibit, LectureResults, LectureSection
from vizcnn.lecture.studio import (
    REGISTERED,
    SECTIONS,
    TRAINED,
    Exhibit,
    Made,
    Studio,
    split_names,
)
from vizcnn.pages.page import describe_photo, describe_run, write_page
from vizcnn.photos.images import read_photo

_NETS = ".+-(architecture|layers)"
ORDER: Mapping[str, Sequence[str]] = {
    "overview": ("depth", "nets"),
    "lenet": (_NETS, "lenet-pattern", "lenet-sizes"),
    "alexnet": (
        *("alexnet-input", "alexnet-relu", "alexnet-lrn", "alexnet-pooling", "alexnet-crops"),
        *("alexnet-crops-measured", "alexnet-colours", "alexnet-dropout", "alexnet-momentum"),
        *("alexnet-ensembles", "alexnet-sizes-.+", "alexnet-parameters", _NETS),
    ),
    "zfnet": (
        *("zfnet-differences", _NETS, "zfnet-errors", "zfnet-attached", "zfnet-deconvnet"),
        *(
            "zfnet-own-parts",
            "zfnet-guided",
            "zfnet-filters",
            "zfnet-filter-measures",
            "zfnet-aliasing-.+",
        ),
    ),
    "vgg": (
        *("vgg-patterns", "vgg-filters", "vgg-sizes", "vgg-memory", "vgg-shares", _NETS),
        *("vgg-c-differences", "vgg-errors-.+"),
    ),
    "googlenet": ("inception-.+", "googlenet-table", "googlenet-table-paper", _NETS),
    "claims": ("claims", "claims-slips"),
}
"""Exhibits in the lecture's order, as regular expressions; what none fits ends its section."""


def sort_exhibits(exhibits: Iterable[Exhibit]) -> tuple[Exhibit, ...]:
    """Bring exhibits into the lecture's order."""

    def find_place(exhibit: Exhibit) -> tuple[int, int]:
        order = ORDER.get(exhibit.section, ())
        fits = [place for place, name in enumerate(order) if re.fullmatch(name, exhibit.name)]
        return list(SECTIONS).index(exhibit.section), min(fits, default=len(order))

    return tuple(sorted(exhibits, key=find_place))


for _module in iter_modules([str(Path(__file__).parent)]):
    import_module(f"vizcnn.lecture.{_module.name}")
EXHIBITS = sort_exhibits(REGISTERED.values())
"""Everything that ``vizcnn lecture`` makes: what this package's modules have registered."""


_BASES: Mapping[str, Style] = {"slides": LIGHT, "paper": PAPER}
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
        themes: Which ink and ground figures have.
    """

    only: tuple[str, ...] = ()
    formats: tuple[FigureFormat, ...] = FIGURE_FORMATS
    style: Literal["slides", "paper"] = "slides"
    themes: tuple[Theme, ...] = ("light", "dark")


def choose_exhibits(
    only: Sequence[str], exhibits: Sequence[Exhibit] = EXHIBITS
) -> tuple[Exhibit, ...]:
    """Choose exhibits by their own or their section's name.

    Args:
        only: Names or patterns; all exhibits when empty.
        exhibits: What there is to choose from.

    Raises:
        VizcnnError: If a name fits nothing.

    Example:
        >>> {exhibit.section for exhibit in choose_exhibits(["vgg"])}
        {'vgg'}
    """
    for wanted in split_names(only):
        if not any(_fits(exhibit, wanted) for exhibit in exhibits):
            names = [*SECTIONS, *(exhibit.name for exhibit in exhibits)]
            raise VizcnnError(f"the lecture has no part {wanted!r}: {nearest_names(wanted, names)}")
    return tuple(
        exhibit
        for exhibit in exhibits
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
    command: str | Callable[[], str] = "",
    exhibits: Sequence[Exhibit] = EXHIBITS,
) -> Manifest[LectureResults]:
    """Make the lecture's figures, tables, page and manifest.

    An exhibit that fails does not stop the others; it is named in ``failures``.

    Args:
        folder: Where everything goes; complete or untouched.
        studio: The photo, the device, the seed, the progress.
        settings: What to make.
        command: The command that repeats the run; or a function that writes it, called at the end.
        exhibits: What there is to choose from.

    Returns:
        What was written, as in manifest.json.

    Raises:
        VizcnnError: If a part is unknown, nothing could be made, or the folder cannot be written.
        ImageError: If the photo cannot be read.
        WeightsError: If the trained nets' weights are missing or damaged.
    """
    settings = settings or LectureSettings()
    chosen = choose_exhibits(settings.only, exhibits)
    read_photo(studio.photo)  # what cannot be read is told at once, not when it is needed
    if any(exhibit.section in TRAINED for exhibit in chosen):
        studio.check_weights()
    failures: list[Failure] = []
    made: dict[str, list[LectureExhibit]] = {}
    with write_folder(folder) as staging:
        with Errands(studio.device) as errands:
            begun: list[tuple[Exhibit, Callable[[], LectureExhibit]]] = []
            shown = studio.progress(chosen, label="lecture", total=len(chosen), unit="exhibit")
            for exhibit in shown:
                with _noting(exhibit, failures):
                    finish = _begin_exhibit(exhibit, studio, settings, staging, errands)
                    begun.append((exhibit, finish))
            for exhibit, finish in begun:
                with _noting(exhibit, failures):
                    made.setdefault(exhibit.section, []).append(finish())
        order = [exhibit.name for exhibit in chosen]
        failures.sort(key=lambda failure: order.index(failure.source))
        if not made:
            told = "; ".join(f"{failure.source}: {failure.error}" for failure in failures)
            raise VizcnnError(f"nothing could be made; {told}")
        results = LectureResults(
            style=settings.style,
            sections=tuple(
                LectureSection(name=name, title=title, exhibits=tuple(made[name]))
                for name, title in SECTIONS.items()
                if name in made
            ),
            claims=list_claims() if "claims" in made else (),
        )
        run = describe_run(
            results,
            "A lecture on CNN architectures: every figure, every number",
            studio.used,
            {**asdict(settings), "seed": studio.seed, "device": studio.device, "part": studio.part},
            command if isinstance(command, str) else command(),
            [describe_photo(studio.photo)],
            failures,
        )
        write_text(staging / "README.md", write_readme(run))
        return write_page(run, (), staging)


def _say_error(error: Exception) -> str:
    """Say what went wrong in one line; of what was not foreseen, where too."""
    words = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, VizcnnError):
        return words
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {words} ({Path(last.filename).name}, line {last.lineno})"


@contextmanager
def _noting(exhibit: Exhibit, failures: list[Failure]) -> Iterator[None]:
    """Note an exhibit that fails, and go on."""
    try:
        yield
    except Exception as error:
        if isinstance(error.__cause__ or error, OSError) or find_shortage(error):
            raise  # a full disk would stop every other one too, and so would full memory
        failures.append(Failure(source=exhibit.name, error=_say_error(error)))


def _begin_exhibit(
    exhibit: Exhibit,
    studio: Studio,
    settings: LectureSettings,
    staging: Path,
    errands: Errands,
) -> Callable[[], LectureExhibit]:
    """Make an exhibit and let it be drawn; what is given back waits for that."""
    made = exhibit.make(studio)
    table = made.table
    tables = _write_tables(table, exhibit.name, staging)
    drawn = (
        None
        if made.draw is None
        else errands.start(partial(_draw_exhibit, made, exhibit.name, settings, staging))
    )

    def finish() -> LectureExhibit:
        figures = drawn.result() if drawn else DrawnExhibit()
        return LectureExhibit(
            name=exhibit.name,
            title=exhibit.title,
            caption=made.caption,
            text=made.text or exhibit.title,
            captioned=figures.captioned,
            figures=figures.light,
            dark=figures.dark,
            size=figures.size,
            tables=tables,
            # a table that is too long for the page is a file only
            shown=(table,) if table and len(table.rows) <= MOST_SHOWN else (),
        )

    return finish


@dataclass(frozen=True)
class DrawnExhibit:
    """The figures of an exhibit.

    Attributes:
        light, dark: Their files.
        size: Width and height on the page.
        captioned: Whether the caption stands in them.
    """

    light: tuple[str, ...] = ()
    dark: tuple[str, ...] = ()
    size: tuple[int, ...] = ()
    captioned: bool = False


def _draw_exhibit(made: Made, name: str, settings: LectureSettings, staging: Path) -> DrawnExhibit:
    """Draw and save an exhibit, light and dark."""
    assert made.draw is not None
    style, chosen = _BASES[settings.style], find_style()
    style = replace(
        style, dpi=chosen.dpi or style.dpi, title=chosen.title, captions=chosen.captions
    )
    files: dict[Theme, tuple[str, ...]] = {"light": (), "dark": ()}
    size: tuple[int, ...] = ()
    captioned = False
    for theme, ending in (("light", ""), ("dark", "-dark")):
        if theme in settings.themes:
            with use_style(replace(style, dark=theme == "dark")):
                figure = _draw(made.draw)
                captioned = has_text(figure, made.caption)
                size = tuple(round(inches * PAGE_DPI) for inches in figure.get_size_inches())
                files[theme] = _save(figure, f"{name}{ending}", settings, staging)
    return DrawnExhibit(files["light"], files["dark"], size, captioned)


def has_text(figure: Figure, text: str) -> bool:
    """Tell whether a text stands in a figure, however its lines are broken."""
    drawn = ("".join(found.get_text().split()) for found in figure.findobj(Text))
    return any("".join(text.split()) in words for words in drawn)


def _draw(draw: Callable[[], Figure]) -> Figure:
    """Draw a figure; an error that was not foreseen tells its place, which no process sends."""
    try:
        return draw()
    except Exception as error:
        raise VizcnnError(_say_error(error)) from error


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
