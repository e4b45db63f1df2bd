"""The whole lab: nets and photos -> pictures, a page with the story, a table of measures."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from PIL import Image

from vizcnn.basics.errors import ModelError
from vizcnn.basics.output import write_folder
from vizcnn.basics.progress import Progress, silent
from vizcnn.basics.version import __version__
from vizcnn.drawing.saving import save_figure
from vizcnn.gallery.aliasing_manifest import AliasingManifest, AliasingNet
from vizcnn.gallery.records import PageFigure
from vizcnn.gallery.site import write_gallery
from vizcnn.measures.first_layer import find_first_layer
from vizcnn.measures.study import LabSettings, NetStudy, check_net, study_net
from vizcnn.pages.aliasing_story import Chapter, tabulate, tell_story
from vizcnn.pages.page import describe_weights, list_versions
from vizcnn.photos.images import photo_sha256
from vizcnn.photos.patches import ZOOM, find_samples, read_samples
from vizcnn.photos.samples import SAMPLES, name_source
from vizcnn.zoo.model import ZooModel

LEAST_PERIOD = 2
"""Period of the finest grid that there is."""
MOST_NETS = 6
"""Nets that can be read side by side on a slide."""


def make_aliasing_page(
    models: Sequence[ZooModel],
    folder: Path,
    photos: Sequence[Path] = (),
    settings: LabSettings | None = None,
    command: str = "",
    progress: Progress = silent,
) -> AliasingManifest:
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
    nets = name_apart(models)
    period = find_period(nets)
    with write_folder(folder) as staging:
        for net in nets:
            check_net(net, settings)
        images: Sequence[Path | Image.Image] = photos or read_samples()
        studies = [study_net(net, images, settings, period, progress) for net in nets]
        manifest = _write(studies, bool(photos), settings, command, staging, progress)
        write_gallery(manifest, staging)
    return manifest


def name_apart(models: Sequence[ZooModel]) -> list[ZooModel]:
    """Number nets of the same title, such as one net with two kinds of weights.

    Raises:
        ModelError: If there is no net, or more than can be read side by side.
    """
    if not 0 < len(models) <= MOST_NETS:
        raise ModelError(
            f"{len(models)} nets are named; needed: 1 to {MOST_NETS}, for example alexnet and zfnet"
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


def _write(
    studies: Sequence[NetStudy],
    own: bool,
    settings: LabSettings,
    command: str,
    staging: Path,
    progress: Progress,
) -> AliasingManifest:
    chapters = tell_story(studies, settings.layer)
    read = studies[0].photos
    words = describe_photos(len(read), samples=not own)
    used = [photo for photo in read if isinstance(photo, Path)] or find_samples()
    shown = progress(chapters, label="draw", total=len(chapters), unit="figure")
    return AliasingManifest(
        vizcnn=__version__,
        command=command,
        title=f"Aliasing: {', '.join(study.title for study in studies)}",
        photos=words,
        sources=tuple(name_source(path) for path in used),
        sha256=tuple(photo_sha256(path) for path in used),
        figures=tuple(_draw(chapter, studies, words, settings, staging) for chapter in shown),
        table=tabulate(studies),
        nets=tuple(_describe_net(study) for study in studies),
        failures=tuple(dict.fromkeys(line for study in studies for line in study.failures)),
        settings={**asdict(settings), "period": studies[0].period},
        versions=list_versions(),
    )


def _draw(
    chapter: Chapter, studies: Sequence[NetStudy], photos: str, settings: LabSettings, staging: Path
) -> PageFigure:
    weights = (f"{study.title}: {study.model.provenance.describe()}" for study in studies)
    small_print = " · ".join([*dict.fromkeys(weights), f"photos: {photos}"])
    file = f"{chapter.name}.{settings.figure_format}"
    save_figure(chapter.draw(small_print), staging / file)
    return PageFigure(title=chapter.title, file=file, text=chapter.text, note=chapter.caption)


def _describe_net(study: NetStudy) -> AliasingNet:
    height, width = study.layer.weight.shape[2:]
    return AliasingNet(
        model=study.model.name,
        title=study.title,
        weights=describe_weights(study.model),
        path=study.layer.path,
        kernel=(height, width),
        stride=study.layer.stride,
        limit=study.layer.limit,
        dead=study.dead,
        predicted=tuple(study.predicted.shares.tolist()),
        measured=tuple(study.measured[None].shares.tolist()),
        units=tuple(unit.unit for unit in study.units),
        grids=tuple(unit.grid for unit in study.units),
        options=study.model.options,
    )
