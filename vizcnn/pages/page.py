"""What all pages share: a run described for its manifest, its figures saved, its HTML written."""

import hashlib
import platform
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from vizcnn.basics.errands import Errands
from vizcnn.basics.errors import ImageError, PhotoWarning, VizcnnError, quote
from vizcnn.basics.output import FigureFormat
from vizcnn.basics.progress import Progress
from vizcnn.basics.version import __version__
from vizcnn.drawing.saving import list_further, save_arrays, save_figure, save_image
from vizcnn.drawing.style import find_style
from vizcnn.drawing.tiles import enlarge, to_bytes
from vizcnn.gallery.manifest import Failure, Manifest, Net, PageFigure, Photo, Results
from vizcnn.gallery.site import write_gallery
from vizcnn.mining.identity import hash_module
from vizcnn.mining.photo_sets import PhotoSet, find_source
from vizcnn.photos.framing import LEAST_USED, Framing
from vizcnn.photos.images import photo_sha256
from vizcnn.photos.pixels import Array
from vizcnn.photos.samples import name_photo, name_source
from vizcnn.photos.stored import PhotoFile
from vizcnn.projection.active_units import Compare, check_compare
from vizcnn.projection.deconvnet import Projector
from vizcnn.projection.methods import Gates, Unruled
from vizcnn.projection.parts import PARTS, Part
from vizcnn.projection.rules import Seed
from vizcnn.recording.arithmetic import find_precision
from vizcnn.zoo.model import ZooModel

R = TypeVar("R", bound=Results)
P = TypeVar("P")


@dataclass(frozen=True, kw_only=True)
class MethodSettings:
    """How units are projected.

    Attributes:
        method: Name of the method.
        passes_over_normalisation: Whether contrast normalisation is skipped; the method's own
            habit when None.
        unruled: What to do about operations without a rule.
        gates: What to do about gates.
        start: What the backward pass starts with; the method's own habit when None.
        part: Which part of the projections is shown.
        compare: With how many other active units of its place each projection is compared:
            ``"all"``, a number, or None for no comparison.

    Raises:
        VizcnnError: If there is no such part, or it needs a comparison that is not made.
    """

    method: str = "deconvnet"
    passes_over_normalisation: bool | None = None
    unruled: Unruled = "refuse"
    gates: Gates = "refuse"
    start: Seed | None = None
    part: Part = "whole"
    compare: Compare | None = None

    def __post_init__(self) -> None:
        if self.part not in PARTS:
            raise VizcnnError(f"no part {quote(self.part)}; needed: {', '.join(PARTS)}")
        if self.compare is not None:
            check_compare(self.compare)
        elif self.part != "whole":
            raise VizcnnError(
                f"the {self.part} part of a picture is found by comparing it with those of the "
                "other active units of its place, and compare is none; needed: a number of them, "
                "or all"
            )

    def attach(self, model: ZooModel) -> Projector:
        """Attach the method to a net."""
        return Projector(
            model,
            self.method,
            self.passes_over_normalisation,
            self.unruled,
            self.gates,
            self.start,
        )


@dataclass(frozen=True)
class Repetition:
    """How a part of a run is repeated; empty where that is not known.

    Attributes:
        command: Shell-quoted command.
        python: The same in lines of Python.
    """

    command: str = ""
    python: str = ""


@dataclass(frozen=True)
class Drawing:
    """A figure of a page.

    Attributes:
        name: Name of its file, without the ending.
        title: Heading on the page.
        text: What is to be seen, for those who cannot see it.
        figure: The figure, or a function that draws it.
        note: What a reader should know.
    """

    name: str
    title: str
    text: str
    figure: Figure | Callable[[], Figure]
    note: str = ""


LARGE_SIDE = 480
"""Side in pixels that pictures of a few pixels are enlarged to for slides, at most."""


def name_large(file: str, width: int, height: int) -> str | None:
    """Name the enlarged copy of a picture; None for one that is large enough.

    Args:
        file: The picture, in its own pixels.
        width: Its width in pixels.
        height: Its height in pixels.

    Example:
        >>> name_large("conv1/unit-0003-patch.png", 7, 7), name_large("photo.png", 320, 320)
        ('conv1/unit-0003-patch-large.png', None)
    """
    if LARGE_SIDE // max(width, height) < 2:
        return None
    return f"{file.removesuffix('.png')}-large.png"


@dataclass(frozen=True)
class OutputFile:
    """A file that the results name.

    Attributes:
        name: Its name in the folder.
        contents: A figure, or a function that draws it; an image (h, w, 3), 0..1; or named arrays
            of numbers.
        large: Name of an enlarged copy of an image.
    """

    name: str
    contents: Figure | Callable[[], Figure] | Array | Mapping[str, NDArray[Any]]
    large: str | None = None


def save_files(files: Iterable[OutputFile], folder: Path) -> None:
    """Save files, one after the other; each is made, saved and forgotten."""
    for file in files:
        if isinstance(file.contents, Figure):
            save_figure(file.contents, folder / file.name)
        elif callable(file.contents):
            save_figure(file.contents(), folder / file.name)
        elif isinstance(file.contents, Mapping):
            save_arrays(file.contents, folder / file.name)
        else:
            save_image(to_bytes(file.contents), folder / file.name)
            if file.large:
                large = enlarge(file.contents, LARGE_SIDE)
                save_image(to_bytes(large), folder / file.large)


def describe_run(
    results: R,
    title: str,
    models: Sequence[ZooModel],
    settings: Any,
    command: str,
    photos: Sequence[Photo] = (),
    failures: Sequence[Failure] = (),
) -> Manifest[R]:
    """Describe a run: everything that a manifest says but for the figures.

    Args:
        results: What was found.
        title: Heading.
        models: The nets, in the order asked for.
        settings: Every setting, as a dataclass or by name.
        command: The command that repeats the run.
        photos: The photos that were looked at.
        failures: What could not be used.
    """
    return Manifest(
        kind=results.kind,
        vizcnn=__version__,
        command=command,
        title=title,
        settings={
            **(settings if isinstance(settings, dict) else asdict(settings)),
            "precision": find_precision(),
            "figures": find_style().describe(),
        },
        versions=list_versions(),
        nets=tuple(describe_net(model) for model in models),
        photos=tuple(photos),
        failures=tuple(failures),
        further=list_further(),
        results=results,
    )


def describe_causes(
    models: Sequence[ZooModel], photos: Iterable[PhotoFile], settings: Any, **more: Any
) -> dict[str, Any]:
    """Describe all that a run's numbers depend on, for :func:`vizcnn.basics.kept_parts.keep_parts`.

    Args:
        models: The nets.
        photos: Photo files; of a data set give its description in ``more`` instead.
        settings: Every setting, as a dataclass.
        **more: What else there is, as plain values.
    """
    return {
        "vizcnn": __version__,
        "settings": {type(settings).__name__: asdict(settings)},
        "precision": find_precision(),
        "versions": list_versions(),
        "nets": [
            {
                "name": model.name,
                "sha256": hash_module(model.module),
                "preprocessing": model.preprocessing.to_dict(),
                "device": str(next(model.module.parameters()).device),
            }
            for model in models
        ],
        "photos": [photo_sha256(photo) for photo in photos],
        **more,
    }


def write_page(
    run: Manifest[R],
    drawings: Iterable[Drawing | OutputFile],
    folder: Path,
    kind: FigureFormat = "png",
) -> Manifest[R]:
    """Save figures, several at a time, and write the pages and ``manifest.json``.

    Args:
        run: The run, without figures.
        drawings: Figures in the page's order, and further files; each is saved and forgotten.
        folder: Where they go.
        kind: Format of the figures.

    Returns:
        The run, as in manifest.json.
    """
    figures = []
    with Errands() as errands:
        for drawing in drawings:
            if isinstance(drawing, Drawing):
                name, title = f"{drawing.name}.{kind}", drawing.title
                shown = PageFigure(title=title, file=name, text=drawing.text, note=drawing.note)
                figures.append(shown)
                drawing = OutputFile(name, drawing.figure)
            errands.start(partial(save_files, [drawing], folder))
    # the folder is written aside, inside the one where its files will lie
    manifest = replace(run, figures=tuple(figures), folder=folder.parent)
    write_gallery(manifest, folder)
    return manifest


SHOWN_FAILURES = 3
"""Photos whose errors are told when not a single one can be used."""


def use_photos(
    photos: Sequence[PhotoFile],
    use: Callable[[PhotoFile], P],
    failures: list[Failure],
    label: str,
    progress: Progress,
) -> Iterator[tuple[PhotoFile, P]]:
    """Use photos one by one: the pixels of many would not fit the memory.

    Args:
        photos: Where the photos lie.
        use: What is done with each.
        failures: Gets those that cannot be used; the others go through.
        label: What is done, for the progress.
        progress: Shows how far it is.

    Yields:
        A photo that could be used, and what came of it.

    Raises:
        VizcnnError: If no photo can be used.
    """
    nothing = True
    for path in progress(photos, label=label, total=len(photos), unit="photo"):
        try:
            used = use(path)
        except ImageError as error:
            failures.append(Failure(source=name_source(path), error=str(error)))
            continue
        nothing = False
        yield path, used
    if nothing:
        raise VizcnnError(_explain_nothing(failures))


def _explain_nothing(failures: Sequence[Failure]) -> str:
    if not failures:
        return "no photos were given"
    if len(failures) == 1:
        return failures[0].error
    shown = "; ".join(failure.error for failure in failures[:SHOWN_FAILURES])
    more = len(failures) - SHOWN_FAILURES
    return f"none of {len(failures)} photos can be used: {shown}" + (
        f"; and {more} more" if more > 0 else ""
    )


def warn_of_cuts(framings: Mapping[str, Framing]) -> None:
    """Warn of photos of which less than 40 % is used, in one line.

    Args:
        framings: Where photos lie in the net's input, by their names.
    """
    cut = {name: found.share for name, found in framings.items() if found.share < LEAST_USED}
    if not cut:
        return
    worst = min(cut, key=cut.__getitem__)
    others = f", as of {len(cut) - 1} more" if len(cut) > 1 else ""
    warnings.warn(
        f"of {quote(worst)} less than 40 % is used{others}: {framings[worst].describe()}; fit pad "
        "or squash (--fit) uses all of it",
        PhotoWarning,
        stacklevel=3,
    )


def describe_photo(path: PhotoFile, image: str | None = None, name: str = "") -> Photo:
    """Describe a photo; by another name than usual where the page has two of that one."""
    return Photo(
        name=name or name_photo(path),
        source=name_source(path),
        sha256=photo_sha256(path),
        image=image,
    )


def describe_seen(photos: PhotoSet, number: int, pixels: Tensor | None = None) -> Photo:
    """Describe a photo of a set; the checksum is of what the net saw of it, RGB, row by row.

    Args:
        photos: The set.
        number: The photo's number in it.
        pixels: What it reads there, (3, S, S), uint8, where that is at hand.
    """
    seen = photos.read(number) if pixels is None else pixels
    return Photo(
        name=photos.names[number],
        source=find_source(photos, number),
        sha256=hashlib.sha256(seen.permute(1, 2, 0).contiguous().numpy().tobytes()).hexdigest(),
    )


def describe_net(model: ZooModel) -> Net:
    """Describe a net."""
    return Net(
        model=model.name,
        title=model.title,
        input_size=(model.input_size, model.input_size),
        classes=len(model.classes),
        options=dict(model.options),
        fit=model.preprocessing.fitting,
        # where the file lies is of this machine
        weights=replace(model.provenance, location=""),
    )


def list_versions() -> dict[str, str]:
    """List the versions that a repeat of the run depends on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "matplotlib": matplotlib.__version__,
    }
