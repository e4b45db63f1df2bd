"""``vizcnn zeiler-fergus``: the paper's figures and tables, made anew beside what it prints."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path, PurePath
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from vizcnn.basics.codec import decode, encode
from vizcnn.basics.errors import VizcnnError
from vizcnn.basics.kept_parts import FOLDER_NAME, keep_parts
from vizcnn.basics.output import LIST_NAME, FigureFormat, write_folder
from vizcnn.basics.progress import Progress, silent
from vizcnn.drawing.style import find_style
from vizcnn.gallery.manifest import Failure, Manifest, Results
from vizcnn.lecture.paper_items import PAPER_ITEMS, MadeItem, Paper, PaperItem, find_items
from vizcnn.measures.published import read_published
from vizcnn.pages.page import describe_causes, describe_run, write_page
from vizcnn.zoo.model import ZooModel

Status = Literal["made", "not made", "failed"]


@dataclass(frozen=True, kw_only=True)
class PaperSettings:
    """What to make.

    Attributes:
        only: Names of figures and tables, such as ``figure-5``; all when empty.
        epochs: Of the trainings of Table 3; the recipe's when None.
        seeds: How many trainings of each of its rows.
        seed: Of everything random.
        figure_format: Format of the figures.
    """

    only: tuple[str, ...] = ()
    epochs: int | None = None
    seeds: int = 1
    seed: int = 0
    figure_format: FigureFormat = "png"


@dataclass(frozen=True, kw_only=True)
class ItemResult:
    """A figure or table of the paper.

    Attributes:
        name: Name of its folder.
        labels: What the paper calls it.
        title: What it shows.
        place: Where it stands.
        printed: What the paper prints, or says of it.
        status: Whether it was made.
        reason: Why not.
        made: What came of it; None of what was not made.
    """

    name: str
    labels: tuple[str, ...]
    title: str
    place: str
    printed: str
    status: Status
    reason: str = ""
    made: MadeItem | None = None


@dataclass(frozen=True, kw_only=True)
class PaperResults(Results):
    """The paper's figures and tables.

    Attributes:
        paper: The paper, cited.
        items: Its figures and tables, as far as they were asked for, in its order.
    """

    kind: ClassVar[str] = "zeiler-fergus"
    paper: str
    items: tuple[ItemResult, ...]


def make_zeiler_fergus_gallery(
    nets: Sequence[ZooModel],
    folder: Path,
    settings: PaperSettings | None = None,
    command: str = "",
    photos: Sequence[PurePath] = (),
    train: Path | None = None,
    quote: Callable[[str], str] = lambda name: "",
    progress: Progress = silent,
    items: Sequence[PaperItem] = PAPER_ITEMS,
) -> Manifest[PaperResults]:
    """Make the paper's figures and tables, each in a folder of its own, and an index of them.

    An item that fails does not stop the others. A run that was stopped goes on with the next item,
    and inside of one where that can.

    Args:
        nets: The net that stands for the paper's, and the one that it is compared with.
        folder: Where everything goes; complete or untouched, apart from a hidden working folder.
        settings: What to make.
        command: The command that repeats the run.
        photos: Photos to look at; scikit-image's samples when empty.
        train: Folder with train/ and val/ of class folders, for what is trained.
        quote: Writes the command that repeats one item.
        progress: Shows how far it is.
        items: What there is to choose from.

    Returns:
        What was written, as in manifest.json.

    Raises:
        VizcnnError: If there is no such item or not one or two nets, nothing could be made, or the
            folder cannot be written.
    """
    settings = settings or PaperSettings()
    chosen = find_items(settings.only, items)
    if not 1 <= len(nets) <= 2:
        raise VizcnnError(
            f"{len(nets)} nets; needed: the one that stands for the paper's, and perhaps the one "
            "that it is compared with"
        )
    paper = Paper(
        net=nets[0],
        former=nets[1] if len(nets) == 2 else None,
        photos=tuple(photos),
        train=train,
        epochs=settings.epochs,
        seeds=settings.seeds,
        seed=settings.seed,
        figure_format=settings.figure_format,
        quote=quote,
        progress=progress,
    )
    causes = describe_causes(
        nets,
        [],
        replace(settings, only=()),
        given=[str(path) for path in photos],
        train=str(train),
        figures=find_style().describe(),
    )
    with keep_parts(folder, causes) as parts:
        work = folder / FOLDER_NAME / "items"
        results: list[ItemResult] = []
        failures: list[Failure] = []
        shown = progress(chosen, label="paper", total=len(chosen), unit="item")
        for item in shown:
            reason = item.explain_absence(paper)
            if reason:
                results.append(_describe(item, "not made", reason))
                continue
            make = partial(_make, item, paper, work / item.name)
            try:
                kept = parts.get(item.name, make)
                if not (work / item.name).is_dir():  # somebody has removed it
                    kept = make()
                made = decode(MadeItem, kept["told"].tobytes().decode())
            except VizcnnError as error:
                failures.append(Failure(source=" ".join(item.labels), error=str(error)))
                results.append(_describe(item, "failed", str(error)))
                continue
            results.append(_describe(item, "made", made=made))
        if failures and not any(result.made for result in results):
            raise VizcnnError("; ".join(failure.error for failure in failures))
        told = read_published()
        run = describe_run(
            PaperResults(
                paper=told.cite(told.table("zfnet-errors")).rpartition(",")[0],
                items=tuple(results),
            ),
            "Visualizing and understanding convolutional networks: the paper’s figures and tables",
            nets,
            {**asdict(settings), "photos": [path.name for path in photos]},
            command,
            failures=failures,
        )
        with write_folder(folder, held=True) as staging:
            for result in results:
                if result.made and (work / result.name).is_dir():
                    shutil.copytree(
                        work / result.name,
                        staging / result.name,
                        ignore=shutil.ignore_patterns(LIST_NAME, FOLDER_NAME),
                    )
            return write_page(run, (), staging, settings.figure_format)


def _describe(
    item: PaperItem, status: Status, reason: str = "", made: MadeItem | None = None
) -> ItemResult:
    return ItemResult(
        name=item.name,
        labels=item.labels,
        title=item.title,
        place=item.place,
        printed=item.printed,
        status=status,
        reason=reason,
        made=made,
    )


def _make(item: PaperItem, paper: Paper, place: Path) -> dict[str, NDArray[np.uint8]]:
    """Make an item; what is said of it becomes bytes, its files stay in its folder."""
    assert item.make is not None
    place.mkdir(parents=True, exist_ok=True)
    made = item.make(paper, place)
    inside = replace(
        made,
        figures=tuple(
            replace(figure, file=f"{item.name}/{figure.file}") for figure in made.figures
        ),
        pages=tuple(replace(page, file=f"{item.name}/{page.file}") for page in made.pages),
    )
    return {"told": np.frombuffer(encode(inside).encode(), dtype=np.uint8)}
