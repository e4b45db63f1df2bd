"""``vizcnn aliasing --all-layers``: what every subsampling of nets folds, and what cures leave."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from vizcnn.basics.codec import unwritten
from vizcnn.basics.errors import ImageError, ModelError
from vizcnn.basics.kept_parts import KeptParts, keep_parts
from vizcnn.basics.output import FigureFormat, write_folder
from vizcnn.basics.progress import Progress, silent
from vizcnn.drawing.folding_figures import draw_comparison, draw_net_folding
from vizcnn.drawing.net_colours import find_net_colour
from vizcnn.drawing.words import percent
from vizcnn.gallery.manifest import Failure, Manifest, Results
from vizcnn.measures.folding import BLURS
from vizcnn.measures.layer_folding import NetFolding, measure_photo, sum_photos
from vizcnn.measures.oscillations import find_all_jumps, tell_apart
from vizcnn.measures.subsampling import LeftOut, Subsampling, find_subsamplings
from vizcnn.pages.aliasing import describe_photos, name_apart
from vizcnn.pages.page import (
    Drawing,
    describe_causes,
    describe_photo,
    describe_run,
    use_photos,
    write_page,
)
from vizcnn.photos.patches import find_samples, read_samples, spread
from vizcnn.photos.stored import PhotoFile
from vizcnn.zoo.model import ZooModel

MOST_NETS = 24
"""Nets that a table can hold."""

METHOD = (
    "spectra of maps at stride 1, before the rectifier of a convolution, each map without its mean "
    "and faded out at its edges (Hann window); energies summed over maps and photos"
)
"""What the numbers are of, for small print."""


@dataclass(frozen=True)
class AllLayersSettings:
    """What to look at.

    Attributes:
        most_photos: Photos that are used, at most (evenly spread).
        oscillations: Whether to measure how far apart oscillations come out that fold onto each
            other.
        figure_format: Format of the figures.
    """

    most_photos: int = 16
    oscillations: bool = False
    figure_format: FigureFormat = "png"


@dataclass(frozen=True, kw_only=True)
class AllLayersResults(Results):
    """What every subsampling of nets folds.

    Attributes:
        photos: What was looked at, in words.
        blurs: Taps of the blurs in the order of the shares and distances; None for no blur.
        nets: The nets, in the order asked for.
        colours: A colour for each in the comparison.
    """

    kind: ClassVar[str] = "aliasing-layers"
    photos: str
    blurs: tuple[int | None, ...] = BLURS
    nets: tuple[NetFolding, ...]
    colours: tuple[str, ...] = unwritten(())


@dataclass(frozen=True)
class _Plan:
    """A net and what was found in it."""

    model: ZooModel
    steps: tuple[Subsampling, ...]
    left_out: tuple[LeftOut, ...]


def make_all_layers_page(
    models: Sequence[ZooModel],
    folder: Path,
    photos: Sequence[PhotoFile] = (),
    settings: AllLayersSettings | None = None,
    command: str = "",
    progress: Progress = silent,
) -> Manifest[AllLayersResults]:
    """Measure every subsampling of nets and write pictures, index.html and manifest.json.

    What is measured of each photo is kept in the folder until the page is complete: a run that was
    interrupted goes on there.

    Args:
        models: Nets of the zoo; they are left as they are.
        folder: Where the page goes; complete or untouched.
        photos: Files; patches of the sample photos when empty.
        settings: What to look at.
        command: The command that repeats the run.
        progress: Shows how far it is.

    Returns:
        What was written, as in manifest.json.

    Raises:
        ModelError: If there is no net or too many, one cannot be seen into, or no net subsamples.
        LayerError: If a net takes another way for another photo.
        VizcnnError: If no photo can be read.
    """
    settings = settings or AllLayersSettings()
    plans = [_plan(model) for model in name_apart(models, MOST_NETS)]
    if not any(plan.steps for plan in plans):
        raise ModelError(_explain_nothing(plans))
    chosen = [photos[number] for number in spread(len(photos), settings.most_photos)]
    files: Sequence[PhotoFile] = chosen or find_samples()
    causes = describe_causes([plan.model for plan in plans], files, settings, cut=not photos)
    with keep_parts(folder, causes) as parts:
        results, used, failures = _measure(plans, chosen, settings, parts, progress)
        run = describe_run(
            results,
            f"Aliasing in every layer: {', '.join(net.title for net in results.nets)}",
            [plan.model for plan in plans],
            settings,
            command,
            [describe_photo(file) for file in used or files],
            failures,
        )
        with write_folder(folder, held=True) as staging:
            return write_page(run, draw(run, progress), staging, settings.figure_format)


def _plan(model: ZooModel) -> _Plan:
    if model.preprocessing.fitting == "none":
        raise ImageError(
            "spectra are summed over photos of one size, and fit none leaves each its own: use fit "
            "crop, pad or squash"
        )
    like = next(model.module.parameters())
    black = torch.zeros(1, 3, model.input_size, model.input_size)
    inputs = model.preprocessing.normalise(black.to(like.device, like.dtype))
    return _Plan(model, *find_subsamplings(model.module, inputs))


def _explain_nothing(plans: Sequence[_Plan]) -> str:
    titles = ", ".join(plan.model.title for plan in plans)
    left = [step for plan in plans for step in plan.left_out]
    why = f" ({left[0].name}: {left[0].reason})" if left else ""
    return (
        f"nothing in {titles} can be measured: no convolution, pooling or slice with a stride "
        f"leaves a map behind{why}; name another net, or a larger input (--preprocess size=...)"
    )


def _measure(
    plans: Sequence[_Plan],
    photos: Sequence[PhotoFile],
    settings: AllLayersSettings,
    parts: KeptParts,
    progress: Progress,
) -> tuple[AllLayersResults, list[PhotoFile], list[Failure]]:
    """Measure the photos, or patches of the samples where there are none."""
    images: list[Image.Image] = [] if photos else read_samples()
    patches = [images[number] for number in spread(len(images), settings.most_photos)]
    used: list[PhotoFile] = []
    failures: list[Failure] = []
    nets = []
    for number, plan in enumerate(plans):
        label = f"measure {plan.model.title}"
        if photos:
            failed: list[Failure] = []
            measure = partial(_measure_one, parts, number, plan)
            pairs = list(use_photos(photos, measure, failed, label, progress))
            failures += [failure for failure in failed if failure not in failures]
            used = [photo for photo, _ in pairs]
            found = [arrays for _, arrays in pairs]
        else:
            found = [
                _measure_one(parts, number, plan, patch, place)
                for place, patch in enumerate(
                    progress(patches, label=label, total=len(patches), unit="photo")
                )
            ]
        asked = _ask_oscillations(parts, number, plan, progress) if settings.oscillations else ()
        nets.append(sum_photos(plan.model, plan.steps, plan.left_out, found, asked))
    results = AllLayersResults(
        photos=describe_photos(len(used) or len(patches), samples=not photos),
        nets=tuple(nets),
        colours=tuple(find_net_colour(plan.model.name) for plan in plans),
    )
    return results, used, failures


def _measure_one(
    parts: KeptParts,
    number: int,
    plan: _Plan,
    photo: PhotoFile | Image.Image,
    place: int | None = None,
) -> dict[str, NDArray[Any]]:
    name = f"net {number}, photo {photo if place is None else place}"
    return parts.get(name, lambda: measure_photo(plan.model, plan.steps, plan.model.read(photo)))


def _ask_oscillations(
    parts: KeptParts, number: int, plan: _Plan, progress: Progress
) -> list[tuple[int | None, float | None]]:
    """Measure how far apart oscillations come out, one distance of units after the other."""
    jumps = find_all_jumps(plan.model, plan.steps)
    found: dict[int, float] = {}
    different = sorted({jump for jump in jumps if jump is not None})
    label = f"oscillations through {plan.model.title}"
    for jump in progress(different, label=label, total=len(different), unit="stride"):
        own = [place for place, other in enumerate(jumps) if other == jump]
        name = f"net {number}, oscillations of {jump}"
        answers = parts.get(name, partial(_compare, plan, own, jump))
        found |= dict(zip(own, answers["apart"].tolist(), strict=True))
    return [
        (jump, None if math.isnan(found.get(place, math.nan)) else found[place])
        for place, jump in enumerate(jumps)
    ]


def _compare(plan: _Plan, places: Sequence[int], jump: int) -> dict[str, NDArray[Any]]:
    apart = tell_apart(plan.model, [plan.steps[place] for place in places], jump)
    return {"apart": np.array([math.nan if value is None else value for value in apart])}


def draw(run: Manifest[AllLayersResults], progress: Progress = silent) -> Iterator[Drawing]:
    """Draw the nets side by side, where there are several, and each by itself."""
    results = run.results
    heard = [net for net in results.nets if net.layers]
    if len(results.nets) > 1 and heard:
        weights = [
            f"{net.title}: {described.weights.describe()}"
            for net, described in zip(results.nets, run.nets, strict=True)
        ]
        yield Drawing(
            "comparison",
            "Side by side",
            "Share of the energy that folds in every subsampling of every net",
            partial(draw_comparison, results.nets, results.colours, _caption(results, weights)),
            "Each mark is a step that leaves places out; lines join the means of those that leave "
            "maps of one size. " + _say_random(results),
        )
    numbered = list(enumerate(results.nets, start=1))
    for number, net in progress(numbered, label="draw", total=len(numbered), unit="net"):
        if not net.layers:
            continue
        weights = [run.nets[number - 1].weights.describe()]
        random = ", random weights" if net.random else ""
        title = f"{net.title}{random}: what every subsampling folds"
        yield Drawing(
            f"net-{number:02d}",
            f"{net.title}{random}",
            f"Spectra and shares of the energy that folds in {len(net.layers)} layers",
            partial(draw_net_folding, net, title, _caption(results, weights)),
            say_net(net),
        )


def _caption(results: AllLayersResults, weights: Sequence[str]) -> str:
    told = " · ".join(dict.fromkeys(weights))
    return f"{told} · photos: {results.photos} · {METHOD}"


def _say_random(results: AllLayersResults) -> str:
    random = [net.title for net in results.nets if net.random]
    if not random:
        return ""
    return f"Random weights, which have learned nothing: {', '.join(random)}."


def say_net(net: NetFolding) -> str:
    """Say what was found of a net, for its figure."""
    worst = net.worst
    if worst is None:
        return "All of its maps are silent on these photos."
    plain, third, fifth = worst.shares
    told = (
        f"Most folds in {worst.step.name}: {percent(plain)} of the energy lies above the new "
        f"limit; after a blur of 3 taps {percent(third)}, of 5 {percent(fifth)}."
    )
    dearer = [
        layer.step.name
        for layer in net.layers
        if None not in layer.distances and (layer.distances[2] or 0.0) > (layer.distances[0] or 0.0)
    ]
    if dearer:
        told += (
            f" In {len(dearer)} of {len(net.layers)} layers the blur of 5 taps takes more from "
            "below the limit than it saves: its values are further from the ideal low-pass than "
            "those without a blur."
        )
    return told + (" The weights are random: a trained net differs." if net.random else "")
