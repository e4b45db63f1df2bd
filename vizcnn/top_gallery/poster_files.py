"""Each layer's poster as PDF, SVG and PNG."""

import numpy as np

from vizcnn.photo_gallery import describe_weights
from vizcnn.progress import Progress
from vizcnn.saving import FigureFormat, save_figure
from vizcnn.top_gallery.job import Job
from vizcnn.top_gallery.poster import POSTER_DPI, PosterBlock, draw_poster
from vizcnn.top_gallery.sheet_files import choose_poster_units, name_block
from vizcnn.top_gallery.wording import describe_contrast, describe_places, describe_units

POSTER_FORMATS: tuple[FigureFormat, ...] = ("png", "pdf", "svg")
"""Formats of a poster, that of browsers first."""


def write_posters(job: Job, progress: Progress) -> None:
    """Draw the posters of all layers; those that are there already stay."""
    layers = range(len(job.layers)) if job.settings.poster else range(0)
    for layer in progress(layers, label="posters", total=len(layers), unit="layer"):
        if not all((job.work.site / name).exists() for name in name_posters(job, layer)):
            _write_poster(job, layer)


def name_posters(job: Job, layer: int) -> tuple[str, ...]:
    """Name a layer's posters, relative to the gallery; none for a layer that is silent."""
    if not job.settings.poster or not choose_poster_units(job, layer):
        return ()
    return tuple(f"posters/{job.layers[layer].folder}.{kind}" for kind in POSTER_FORMATS)


def _write_poster(job: Job, layer: int) -> None:
    plan, settings, model = job.layers[layer], job.settings, job.model
    units = choose_poster_units(job, layer)
    blocks = [_read_block(job, layer, unit) for unit in units]
    answering = sum(job.places[layer].count(row) > 0 for row in range(len(plan.units)))
    caption = " · ".join(
        (
            describe_weights(model).describe,
            job.photos.describe(),
            f"{job.projector.rule.name} ({job.projector.rule.source})",
            describe_contrast(settings.scaling, settings.top),
        )
    )
    figure = draw_poster(
        blocks,
        f"{model.title} {plan.name}",
        f"{describe_units(plan, answering, len(units))}; "
        f"for each {describe_places(settings.top, settings.per_photo)} · "
        f"each sees {plan.field[0]} × {plan.field[1]} px",
        caption,
    )
    for name in name_posters(job, layer):
        save_figure(figure, job.work.site / name, POSTER_DPI)


def _read_block(job: Job, layer: int, unit: int) -> PosterBlock:
    projections, patches = np.load(name_block(job, layer, unit), allow_pickle=False)
    name = job.layers[layer].classes[unit] if job.layers[layer].classes else ""
    return PosterBlock(f"{unit} {name}".strip(), projections, patches)
