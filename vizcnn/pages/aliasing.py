"""``vizcnn aliasing``: nets and photos -> pictures with their story, and a table of measures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from PIL import Image

from vizcnn.basics.errors import ModelError
from vizcnn.basics.output import write_folder
from vizcnn.basics.progress import Progress, silent
from vizcnn.gallery.manifest import Failure, Manifest, Results
from vizcnn.measures.first_layer import find_first_layer
from vizcnn.measures.study import LabSettings, NetStudy, check_net, study_nets
from vizcnn.pages.aliasing_story import Measure, tabulate, tell_story
from vizcnn.pages.page import Drawing, describe_photo, describe_run, write_page
from vizcnn.photos.patches import ZOOM, find_samples, read_samples
from vizcnn.photos.samples import SAMPLES
from vizcnn.photos.stored import PhotoFile
from vizcnn.recording.layers import spell_layer
from vizcnn.zoo.model import ZooModel

LEAST_PERIOD = 2
"""Period of the finest grid that there is."""
MOST_NETS = 6
"""Nets that can be read side by side on a slide."""


@dataclass(frozen=True, kw_only=True)
class NetAliasing:
    """The measures of a net's filters and units.

    Attributes:
        path: Module path of the first convolution.
        kernel: Height and width of its filters.
        stride: Its step in pixels.
        limit: Highest frequency that the stride keeps, cycles per pixel.
        dead: Number of dead filters.
        predicted: Alias share 0..1 of each filter for natural images (1/f^2).
        measured: Alias share 0..1 of each filter on the photos.
        units: Numbers of the units of the second layer that were projected.
        grids: Grid artefact of each of them, None where none could be measured.
    """

    path: str
    kernel: tuple[int, int]
    stride: int
    limit: float
    dead: int
    predicted: tuple[float, ...]
    measured: tuple[float, ...]
    units: tuple[int, ...]
    grids: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class AliasingResults(Results):
    """What the first layers of nets fold.

    Attributes:
        photos: What was looked at, in words.
        period: Period in pixels of the grid that projections were searched for.
        table: The measures of all nets.
        nets: The nets' filters and units, in the order of the run's nets.
    """

    kind: ClassVar[str] = "aliasing"
    photos: str
    period: int
    table: tuple[Measure, ...]
    nets: tuple[NetAliasing, ...]


def make_aliasing_page(
    models: Sequence[ZooModel],
    folder: Path,
    photos: Sequence[PhotoFile] = (),
    settings: LabSettings | None = None,
    command: str = "",
    progress: Progress = silent,
) -> Manifest[AliasingResults]:
    """Measure nets and write the story: pictures, index.html and manifest.json.

    Args:
        models: Nets of the zoo, side by side.
        folder: Where the page goes; complete or untouched.
        photos: Files; patches of the sample photos when empty.
        settings: What to look at.
        command: The command that repeats the run.
        progress: Shows how far it is.

    Returns:
        What was written, as in manifest.json.

    Raises:
        ModelError: If there is no net or too many, or a first layer is not a plain convolution of
            colours.
        LayerError: If a net lacks the layer whose projections are asked for.
        ImageError: If no photo can be read, or a shift is too large for a net's input.
        UnsupportedOperationError: If the deconvnet has no rule for an operation of a net.
    """
    settings = settings or LabSettings()
    with write_folder(folder) as staging:
        studies = measure(models, photos, settings, progress)
        read = studies[0].photos
        used: list[PhotoFile] = [photo for photo in read if not isinstance(photo, Image.Image)]
        run = describe_run(
            describe(studies, samples=not photos),
            f"Aliasing: {', '.join(study.title for study in studies)}",
            [study.model for study in studies],
            settings,
            command,
            [describe_photo(path) for path in used or find_samples()],
            [
                Failure(source=source, error=error)
                for source, error in dict.fromkeys(
                    failure for study in studies for failure in study.failures
                )
            ],
        )
        drawings = draw(studies, settings, run.results.photos, progress)
        return write_page(run, drawings, staging, settings.figure_format)


def measure(
    models: Sequence[ZooModel],
    photos: Sequence[PhotoFile],
    settings: LabSettings,
    progress: Progress = silent,
) -> list[NetStudy]:
    """Measure everything of every net; see :func:`make_aliasing_page`."""
    nets = name_apart(models)
    period = find_period(nets)
    for net in nets:
        check_net(net, settings)
    images: Sequence[PhotoFile | Image.Image] = photos or read_samples()
    return study_nets(nets, images, settings, period, progress)


def name_apart(models: Sequence[ZooModel], most: int = MOST_NETS) -> list[ZooModel]:
    """Number nets of the same title, such as one net with two kinds of weights.

    Args:
        models: The nets.
        most: How many can be read side by side.

    Raises:
        ModelError: If there is no net, or more than can be read side by side.
    """
    if not 0 < len(models) <= most:
        raise ModelError(
            f"{len(models)} nets are named; needed: 1 to {most}, for example alexnet and zfnet"
        )
    titles = [model.title for model in models]
    return [
        model
        if titles.count(model.title) == 1
        else replace(model, title=f"{model.title} ({titles[: index + 1].count(model.title)})")
        for index, model in enumerate(models)
    ]


def find_period(models: Sequence[ZooModel]) -> int:
    """Give the period of the grid that projections are searched for: the largest stride.

    One period for all nets, so that their grids can be compared; 2 if no net has a stride.
    """
    return max(LEAST_PERIOD, *(find_first_layer(model).stride for model in models))


def describe_photos(count: int, samples: bool) -> str:
    """Say what was looked at."""
    if not samples:
        return f"{count} photos"
    return (
        f"{count} patches of {len(SAMPLES)} photos that scikit-image ships, {ZOOM} to a photo's "
        "shorter side, overlapping by half, brought to the net's input size"
    )


def describe(studies: Sequence[NetStudy], samples: bool) -> AliasingResults:
    """Say what was found in plain numbers."""
    return AliasingResults(
        photos=describe_photos(len(studies[0].photos), samples),
        period=studies[0].period,
        table=tabulate(studies),
        nets=tuple(
            NetAliasing(
                path=study.layer.path,
                kernel=(study.layer.weight.shape[2], study.layer.weight.shape[3]),
                stride=study.layer.stride,
                limit=study.layer.limit,
                dead=study.dead,
                predicted=tuple(study.predicted.shares.tolist()),
                measured=tuple(study.measured[None].shares.tolist()),
                units=tuple(unit.unit for unit in study.units),
                grids=tuple(unit.grid for unit in study.units),
            )
            for study in studies
        ),
    )


def draw(
    studies: Sequence[NetStudy], settings: LabSettings, photos: str, progress: Progress = silent
) -> Iterator[Drawing]:
    """Draw the story, chapter by chapter."""
    small_print = write_small_print(studies, photos)
    chapters = tell_story(studies, spell_layer(studies[0].model, settings.layer))
    for chapter in progress(chapters, label="draw", total=len(chapters), unit="figure"):
        figure = partial(chapter.draw, small_print)
        yield Drawing(chapter.name, chapter.title, chapter.text, figure, chapter.caption)


def write_small_print(studies: Sequence[NetStudy], photos: str) -> str:
    """Write below a figure whose weights and which photos it shows."""
    weights = (f"{study.title}: {study.model.provenance.describe()}" for study in studies)
    return " · ".join([*dict.fromkeys(weights), f"photos: {photos}"])
