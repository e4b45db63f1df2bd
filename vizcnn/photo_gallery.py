"""Photos -> a gallery: each layer's strongest units projected back, beside what they looked at."""

import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import matplotlib
import numpy as np
import torch

from vizcnn import __version__
from vizcnn.deconvnet import Projector
from vizcnn.errors import ImageError, VizcnnError
from vizcnn.exhibit import DeconvSettings, PhotoExhibit
from vizcnn.gallery.deconv_manifest import DeconvManifest, Failure, PhotoSection
from vizcnn.gallery.records import Weights
from vizcnn.gallery.site import write_gallery
from vizcnn.output import write_folder
from vizcnn.progress import Progress, silent
from vizcnn.rules import find_rule
from vizcnn.samples import name_source
from vizcnn.zoo.model import ZooModel

SHOWN_FAILURES = 3
"""Photos whose errors are told when not a single one can be used."""


def make_deconv_gallery(
    model: ZooModel,
    photos: Sequence[Path],
    settings: DeconvSettings,
    folder: Path,
    command: str = "",
    progress: Progress = silent,
) -> DeconvManifest:
    """Project each photo's strongest units and write pictures, index.html and manifest.json.

    Args:
        model: A net of the zoo.
        photos: Photo files; those that cannot be read are listed, the others go through.
        settings: What to project.
        folder: Where the gallery goes; complete or untouched.
        command: The command that repeats the run.
        progress: Shows how far it is.

    Returns:
        What was written, as in manifest.json.

    Raises:
        VizcnnError: If no photo can be read, or the settings do not fit the net.
    """
    sections: list[PhotoSection] = []
    failures: list[Failure] = []
    projector = Projector(
        model, settings.method, settings.passes_over_normalisation, settings.unruled
    )
    with write_folder(folder) as staging:
        for path in progress(photos, label="project", total=len(photos), unit="photo"):
            try:
                home = staging / f"photo-{len(sections) + 1:03d}"
                sections.append(PhotoExhibit(projector, model, settings, path, home).make())
            except ImageError as error:
                failures.append(Failure(source=name_source(path), error=str(error)))
        if not sections:
            raise VizcnnError(_explain_nothing(failures))
        manifest = _describe_run(model, settings, command, sections, failures)
        write_gallery(manifest, staging)
    return manifest


def _explain_nothing(failures: list[Failure]) -> str:
    if not failures:
        return "no photos were given"
    if len(failures) == 1:
        return failures[0].error
    shown = "; ".join(failure.error for failure in failures[:SHOWN_FAILURES])
    more = len(failures) - SHOWN_FAILURES
    return f"none of {len(failures)} photos can be used: {shown}" + (
        f"; and {more} more" if more > 0 else ""
    )


def _describe_run(
    model: ZooModel,
    settings: DeconvSettings,
    command: str,
    photos: list[PhotoSection],
    failures: list[Failure],
) -> DeconvManifest:
    rule = find_rule(settings.method)
    return DeconvManifest(
        vizcnn=__version__,
        command=command,
        model=model.name,
        title=model.title,
        method=rule.name,
        method_source=rule.source,
        weights=describe_weights(model),
        settings={
            **asdict(settings),
            "input_size": model.input_size,
            "classes": len(model.classes),
            "net": model.options,
        },
        versions=list_versions(),
        photos=tuple(photos),
        failures=tuple(failures),
    )


def describe_weights(model: ZooModel) -> Weights:
    """Bring a net's provenance into the manifest's form."""
    origin = model.provenance
    return Weights(
        describe=origin.describe(),
        source=origin.source,
        data=origin.data,
        licence=origin.licence,
        top1=origin.top1,
        top5=origin.top5,
        note=origin.note,
        sha256=origin.sha256,
    )


def list_versions() -> dict[str, str]:
    """List the versions that a repeat of the run depends on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "matplotlib": matplotlib.__version__,
    }
