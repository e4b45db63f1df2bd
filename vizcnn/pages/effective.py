"""``vizcnn receptive --effective``: what pixels of the receptive fields really count."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath
from typing import Any, ClassVar

from vizcnn.basics.codec import RelativeFile
from vizcnn.basics.errors import ModelError, VizcnnError
from vizcnn.basics.kept_parts import Arrays, KeptParts, keep_parts
from vizcnn.basics.output import FigureFormat, write_folder
from vizcnn.basics.progress import Progress, silent
from vizcnn.drawing.effective_maps import (
    DECADES,
    NetFields,
    draw_effective_curves,
    draw_effective_maps,
    list_columns,
)
from vizcnn.gallery.manifest import Failure, Manifest, Results
from vizcnn.measures.checks import draw_photos, read_drawn
from vizcnn.measures.effective_field import (
    AT_ONCE,
    EffectiveField,
    Normalise,
    check_normalise,
    choose_layers,
    describe_fields,
    find_middles,
    sum_gradients,
)
from vizcnn.mining.photo_sets import PhotoSet, open_photos
from vizcnn.pages.check import name_nets
from vizcnn.pages.page import (
    Drawing,
    OutputFile,
    describe_causes,
    describe_run,
    describe_seen,
    write_page,
)
from vizcnn.pages.receptive import show_size
from vizcnn.training.moments import read_epoch
from vizcnn.zoo.building import untrain
from vizcnn.zoo.model import ZooModel

MOST_ROWS = 12
"""Nets, with their untrained twins, that can be read side by side."""
SOURCE = (
    "Luo et al. 2016, arXiv 1701.04128; theoretical fields from the recorded graph (Araujo et al. "
    "2019)"
)


@dataclass(frozen=True, kw_only=True)
class EffectiveSettings:
    """What to measure.

    Attributes:
        layers: Canonical names or module paths; the stages conv1, conv2, ... when empty.
        count: How many photos to draw.
        normalise: ``"none"``, or ``"photo"``: each photo's map is divided by its sum first.
        untrained: Whether each net's twin with random weights stands beside it.
        seed: Of the photos drawn, and of the random weights.
        figure_format: Format of the figures.
        save_arrays: Whether to keep the maps.

    Raises:
        VizcnnError: If there is no such normalisation.
    """

    layers: tuple[str, ...] = ()
    count: int = 32
    normalise: Normalise = "none"
    untrained: bool = True
    seed: int = 0
    figure_format: FigureFormat = "png"
    save_arrays: bool = False

    def __post_init__(self) -> None:
        check_normalise(self.normalise)


@dataclass(frozen=True, kw_only=True)
class EffectiveNet:
    """The effective fields of a net.

    Attributes:
        untrained: Whether it is the untrained twin that was made of another.
        fields: Of its layers, in the order asked for.
        arrays: File of the maps.
    """

    untrained: bool
    fields: tuple[EffectiveField, ...]
    arrays: RelativeFile | None = None


@dataclass(frozen=True, kw_only=True)
class EffectiveResults(Results):
    """How much the pixels of receptive fields count.

    Attributes:
        photos: What the photos are, in words.
        seed: Of the photos drawn, and of the random weights.
        normalise: Whether each photo's map was divided by its sum.
        scaling: How maps are shown, in words.
        nets: What was measured of each net of the run.
    """

    kind: ClassVar[str] = "effective"
    photos: str
    seed: int
    normalise: Normalise
    scaling: str
    nets: tuple[EffectiveNet, ...]

    @property
    def outside(self) -> float:
        """Largest value outside of a theoretical field, over the map's peak."""
        return max(field.outside for net in self.nets for field in net.fields)


def make_effective_gallery(
    models: ZooModel | Sequence[ZooModel],
    photos: Sequence[PurePath],
    folder: Path,
    settings: EffectiveSettings | None = None,
    command: str = "",
    progress: Progress = silent,
) -> Manifest[EffectiveResults]:
    """Measure effective receptive fields, and write pictures, index.html and manifest.json.

    What is computed is kept in the folder, batch by batch, until the page is complete: a killed
    run goes on where it was.

    Args:
        models: Nets of the zoo, or one; such as one net after several epochs.
        photos: Photos, folders, lists, archives and tables of photos; patches of scikit-image's
            sample photos when empty.
        folder: Where the page goes; complete or untouched.
        settings: What to measure.
        command: The command that repeats the run.
        progress: Shows how far it is.

    Returns:
        What was written, as in manifest.json.

    Raises:
        ModelError: If there are too many nets to read side by side, or of one no untrained twin
            can be made.
        LayerError: If a net lacks a layer, or one has no feature maps.
        DataError: If there are no photos.
        ImageError: If none of them can be read.
    """
    settings = settings or EffectiveSettings()
    given = (models,) if isinstance(models, ZooModel) else tuple(models)
    for model in given:
        find_middles(model, choose_layers(model, settings.layers))  # told before all else
    nets, twins = add_untrained(given, settings)
    sets = [open_photos(photos, net.preprocessing) for net in nets]
    drawn, left_out = draw_photos(sets[0], settings.count, settings.seed, progress)
    seen = [describe_seen(sets[0], number) for number in drawn]
    causes = describe_causes(nets, (), settings, seen=[photo.sha256 for photo in seen])
    with keep_parts(folder, causes) as parts:
        fields = measure(nets, sets, drawn, settings, parts, progress)
        with write_folder(folder, held=True) as staging:
            run = describe_run(
                describe(fields, twins, sets[0], len(drawn), settings),
                f"Effective receptive fields: {', '.join(dict.fromkeys(n.title for n in given))}",
                nets,
                settings,
                command,
                seen,
                [Failure(source=source, error=error) for source, error in left_out],
            )
            return write_page(run, _list_files(run), staging, settings.figure_format)


def add_untrained(
    models: Sequence[ZooModel], settings: EffectiveSettings
) -> tuple[list[ZooModel], list[bool]]:
    """Put an untrained twin beside each kind of net, unless it is among the nets.

    Returns:
        The nets, named apart, each twin after the last of its kind; and which of them are twins.

    Raises:
        ModelError: If there is none, or more than can be read, or a twin cannot be made.
    """
    kinds = [_find_kind(model) for model in models]
    untrained = {kind for kind, model in zip(kinds, models, strict=True) if _is_untrained(model)}
    nets, twins = [], []
    for number, (model, named) in enumerate(zip(models, _name_epochs(models), strict=True)):
        kind = kinds[number]
        nets.append(named)
        twins.append(False)
        if settings.untrained and kind not in untrained and kind not in kinds[number + 1 :]:
            twin = untrain(model, settings.seed)
            nets.append(replace(twin, title=f"{model.title}, untrained"))
            twins.append(True)
    if len(nets) > MOST_ROWS:
        raise ModelError(
            f"{len(nets)} nets, the untrained ones among them, are too many side by side; needed: "
            f"{MOST_ROWS} at most"
        )
    return name_nets(nets, MOST_ROWS), twins


def _find_kind(model: ZooModel) -> tuple[Any, ...]:
    """Tell nets apart that differ in more than their weights."""
    shapes = tuple((name, tuple(v.shape)) for name, v in model.module.state_dict().items())
    return model.name, model.preprocessing, shapes


_KEPT = re.compile(r"\.epoch-(\d{3,9})\.safetensors$")
"""The end of the name of a net's file that a training has kept."""


def _find_epoch(model: ZooModel) -> int | None:
    """Find after which epoch a net's file was written, by its name or else by what it says."""
    found = _KEPT.search(model.provenance.location)
    if found:
        return int(found[1])
    with suppress(VizcnnError):
        return read_epoch(Path(model.provenance.location))
    return None


def _is_untrained(model: ZooModel) -> bool:
    return model.provenance.source == "random" or _find_epoch(model) == 0


def _name_epochs(models: Sequence[ZooModel]) -> list[ZooModel]:
    """Name nets that a training has kept by their epochs, and so its last net beside them."""
    kinds = {_find_kind(model) for model in models if _KEPT.search(model.provenance.location)}
    return [
        replace(model, title=f"{model.title}, epoch {epoch}")
        if _find_kind(model) in kinds and (epoch := _find_epoch(model)) is not None
        else model
        for model in models
    ]


def measure(
    nets: Sequence[ZooModel],
    sets: Sequence[PhotoSet],
    drawn: Sequence[int],
    settings: EffectiveSettings,
    parts: KeptParts,
    progress: Progress = silent,
) -> list[tuple[EffectiveField, ...]]:
    """Measure the nets' fields, batch by batch.

    Args:
        nets: The nets.
        sets: The photos, at each net's size.
        drawn: Numbers of the photos.
        settings: What to measure.
        parts: What a former run has kept of it.
        progress: Shows how far it is.
    """
    layers = [choose_layers(net, settings.layers) for net in nets]
    batches = [drawn[first : first + AT_ONCE] for first in range(0, len(drawn), AT_ONCE)]
    jobs = [(net, batch) for net in range(len(nets)) for batch in range(len(batches))]
    names = [_name_part(*job) for job in jobs]

    def sum_batch(net: int, batch: int) -> Arrays:
        pixels = read_drawn(sets[net], batches[batch])
        return sum_gradients(nets[net], pixels, layers[net], settings.normalise)

    sums = {
        jobs[number]: parts.get(names[number], partial(sum_batch, *jobs[number]))
        for number in parts.count_off(names, progress, label="gradients", unit="batch")
    }
    return [
        describe_fields(
            find_middles(net, layers[number]),
            [sums[number, batch] for batch in range(len(batches))],
            len(drawn),
        )
        for number, net in enumerate(nets)
    ]


def _name_part(net: int, batch: int) -> str:
    return f"net {net}, batch {batch}"


def describe(
    fields: Sequence[tuple[EffectiveField, ...]],
    twins: Sequence[bool],
    photos: PhotoSet,
    drawn: int,
    settings: EffectiveSettings,
) -> EffectiveResults:
    """Say what was found in plain numbers."""
    return EffectiveResults(
        photos=f"{drawn} of {photos.describe()}",
        seed=settings.seed,
        normalise=settings.normalise,
        scaling=f"log scale from each map's largest value down to 10^-{DECADES} of it",
        nets=tuple(
            EffectiveNet(
                untrained=twin,
                fields=found,
                arrays=f"maps-{number}.npz" if settings.save_arrays else None,
            )
            for number, (found, twin) in enumerate(zip(fields, twins, strict=True), 1)
        ),
    )


def _list_files(run: Manifest[EffectiveResults]) -> Iterator[Drawing | OutputFile]:
    yield from draw(run)
    for net in run.results.nets:
        if net.arrays:
            yield OutputFile(net.arrays, {field.name: field.map for field in net.fields})


def draw(run: Manifest[EffectiveResults]) -> Iterator[Drawing]:
    """Draw the maps, and how they fall off."""
    results = run.results
    nets = [
        NetFields(net.model, net.title, found.untrained, found.fields)
        for net, found in zip(run.nets, results.nets, strict=True)
    ]
    shown = list_columns(nets)
    count = len({field.name for net in nets for field in net.fields})
    some = f"{len(shown)} of {count} layers are drawn" if len(shown) < count else ""
    caption = " · ".join(
        filter(
            None,
            [
                *dict.fromkeys(f"{net.title}: {net.weights.describe()}" for net in run.nets),
                f"photos: {results.photos}, drawn with seed {results.seed}",
                f"mean over photos of |∂ middle unit (all maps summed) / ∂ pixel|, colours "
                f"summed{', each photo by its sum' if results.normalise == 'photo' else ''}",
                some,
                SOURCE,
            ],
        )
    )
    yield Drawing(
        "maps",
        "What the middle units really see",
        f"Maps of gradients at the pixels, a row for each net, a column for each of "
        f"{', '.join(shown)}, each with the box of the theoretical field",
        partial(draw_effective_maps, nets, run.title, caption),
        f"{compare_sizes(run)} Every map has a logarithmic scale of its own, from its largest "
        f"value down to 1/{10**DECADES:,} of it.",
    )
    yield Drawing(
        "curves",
        "How it falls off from the middle",
        "Curves: the map through its middle with the fitted Gaussian, and the share that squares "
        "around the middle hold",
        partial(draw_effective_curves, nets, f"{run.title}, in numbers", caption),
        describe_fits(run),
    )


def compare_sizes(run: Manifest[EffectiveResults]) -> str:
    """Say of each net what square holds 95 % of the field of its last layer that is not silent."""
    told = []
    for net, found in zip(run.nets, run.results.nets, strict=True):
        loud = [field for field in found.fields if field.held]
        if not loud:
            told.append(f"{net.title}: no pixel counts, all middle units are silent.")
            continue
        field, held = loud[-1], loud[-1].held[-1]
        theory = show_size(field.size)
        told.append(
            f"{net.title}, {field.name}: 95 % in a square of {held.side} px, the theoretical field "
            f"has {theory} px."
        )
    return " ".join(told)


def describe_fits(run: Manifest[EffectiveResults]) -> str:
    """Say how well Gaussians fit."""
    told = []
    for net, found in zip(run.nets, run.results.nets, strict=True):
        fits = [f"{field.name} {field.gaussian.r2:.2f}" for field in found.fields if field.gaussian]
        if fits:
            told.append(f"{net.title} {', '.join(fits)}")
    if not told:
        return "No Gaussian can be fitted."
    return (
        "Share of the map's variance that the fitted Gaussian explains (R², 1 is a perfect fit): "
        f"{'; '.join(told)}."
    )
