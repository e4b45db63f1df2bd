"""A net and photos -> the galleries that a quiz is made of, for a few units of some layers."""

import random
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from vizcnn.basics.errors import DataError
from vizcnn.basics.output import hold_output
from vizcnn.basics.progress import Progress, silent
from vizcnn.basics.texts import name_files
from vizcnn.mining.index import INDEX_NAME, StrongestIndex, refuse_unreadable
from vizcnn.mining.photo_sets import PhotoSet
from vizcnn.mining.run import MiningSettings, mine
from vizcnn.pages.layers.gallery import make_top_gallery
from vizcnn.pages.layers.job import TopSettings
from vizcnn.pages.page import MethodSettings
from vizcnn.pages.quiz.quiz_questions import DRAWN, NEEDED, take_in_turn
from vizcnn.projection.parts import Part
from vizcnn.zoo.model import ZooModel

CALM_NAME = "random.safetensors"
"""The index of photos drawn at random, of which the calm ones are taken."""

COMPARED = 8
"""Other active units of a place that a projection is compared with for its own part."""


@dataclass(frozen=True)
class PreparationSettings:
    """What galleries a quiz is made of.

    Attributes:
        layers: The layers whose units are asked about.
        ways: How units are projected, once for each method.
        parts: Which parts of the projections are shown.
        units: How many units are asked about, at most.
        seed: Of the draw of units, and of photos.
        workers: Processes that read photos, project and draw; None chooses by the machine.
    """

    layers: tuple[str, ...]
    ways: tuple[MethodSettings, ...]
    parts: tuple[Part, ...]
    units: int = 20
    seed: int = 0
    workers: int | None = None


def make_quiz_galleries(
    model: ZooModel,
    photos: PhotoSet,
    folder: Path,
    settings: PreparationSettings,
    command: str = "",
    progress: Progress = silent,
) -> list[Path]:
    """Mine photos twice, for exciting and for random ones, and make galleries of a few units.

    A run that was killed goes on when it is called again with the same arguments.

    Args:
        model: A net of the zoo.
        photos: The photos to look through.
        folder: Where the galleries go, each in a folder of its own.
        settings: What galleries.
        command: The command that makes them again, with the quiz.
        progress: Shows how far it is.

    Returns:
        The folders of the galleries, for :func:`vizcnn.pages.quiz.quiz_page.make_quiz`.

    Raises:
        DataError: If no photo can be read, no unit has enough exciting and calm ones, or an index
            in the folder is of another run.
        LayerError: If a layer does not exist.
        UnsupportedOperationError: If a method has no rule for an operation of the net.
    """
    for way in settings.ways:
        way.attach(model)  # what it cannot do is told before the photos are mined
    strongest, strong = _mine(model, photos, folder / INDEX_NAME, settings, False, progress)
    drawn, calm = _mine(model, photos, folder / CALM_NAME, settings, True, progress)
    chosen = choose_units(strong, calm, settings.units, settings.seed)
    galleries = []

    def make(top: TopSettings, index: Path, name: str) -> None:
        make_top_gallery(model, photos, top, folder / name, index, command, progress=progress)
        galleries.append(folder / name)

    names = dict(zip(settings.layers, name_files(settings.layers), strict=True))
    for layer, units in chosen.items():
        top = TopSettings(
            layers=(layer,), units=units, top=NEEDED, seed=settings.seed, workers=settings.workers
        )
        for way in settings.ways:
            for part in settings.parts:
                shown = replace(
                    top,
                    method=way.method,
                    passes_over_normalisation=way.passes_over_normalisation,
                    unruled=way.unruled,
                    gates=way.gates,
                    start=way.start,
                    part=part,
                    compare=None if part == "whole" else COMPARED,
                )
                make(shown, strongest, f"{names[layer]}-{way.method}-{part}")
        make(
            replace(top, top=DRAWN, rank="random", method="gradient"), drawn, f"{names[layer]}-calm"
        )
    return galleries


def _mine(
    model: ZooModel,
    photos: PhotoSet,
    file: Path,
    settings: PreparationSettings,
    at_random: bool,
    progress: Progress,
) -> tuple[Path, StrongestIndex]:
    mining = MiningSettings(
        layers=settings.layers,
        top=DRAWN if at_random else NEEDED,
        rank="random" if at_random else "activation",
        seed=settings.seed if at_random else 0,
        workers=settings.workers,
    )
    with hold_output(file):
        index = mine(model, photos, file, mining, progress)
    refuse_unreadable(index)
    return file, index


def choose_units(
    strong: StrongestIndex, calm: StrongestIndex, count: int, seed: int
) -> dict[str, tuple[int, ...]]:
    """Choose units at random that have ten exciting and ten calm photos, as many of each layer.

    Args:
        strong: The strongest places, ten at least.
        calm: Places in photos drawn at random.
        count: How many units, at most.
        seed: Of the draw.

    Returns:
        Numbers of units by layer, rising; layers without any are left out.

    Raises:
        DataError: If there is no such unit.
    """
    usable = {layer: list_usable(strong, calm, layer) for layer in strong.layers}
    for layer, units in usable.items():
        random.Random(f"{seed} {layer}").shuffle(units)
    order = take_in_turn([[(layer, unit) for unit in units] for layer, units in usable.items()])
    if not order:
        raise DataError(
            f"no unit of {', '.join(strong.layers)} is above zero in {NEEDED} of "
            f"{len(strong.photos)} photos and lower in {NEEDED} others: give more photos, or other "
            "layers"
        )
    chosen: dict[str, tuple[int, ...]] = {}
    for layer in usable:
        units = sorted(unit for name, unit in order[:count] if name == layer)
        if units:
            chosen[layer] = tuple(units)
    return chosen


def list_usable(strong: StrongestIndex, calm: StrongestIndex, layer: str) -> list[int]:
    """List units above zero in ten photos, and lower in ten of those that were drawn at random.

    Args:
        strong: The strongest places, ten at least.
        calm: Places in photos drawn at random.
        layer: Name of the layer, in both.
    """
    best, drawn = strong.layers[layer], calm.layers[layer]
    weakest = best.values[:, NEEDED - 1]
    is_other = ~_is_among(drawn.photos, best.photos[:, :NEEDED]) & (drawn.photos >= 0)
    lower = (is_other & (drawn.strengths < weakest[:, None])).sum(dim=1)
    return ((weakest > 0) & (lower >= NEEDED)).nonzero().flatten().tolist()


def _is_among(photos: Tensor, others: Tensor) -> Tensor:
    """Tell which photos (units, n) are among others (units, m), unit by unit."""
    return torch.stack([torch.isin(row, some) for row, some in zip(photos, others, strict=True)])
