"""One net in the aliasing lab: everything that is measured of it."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from statistics import median

import torch
from PIL import Image
from torch import Tensor

from vizcnn.basics.errands import Errands
from vizcnn.basics.errors import ImageError, LayerError
from vizcnn.basics.output import FigureFormat
from vizcnn.basics.progress import Progress, silent
from vizcnn.measures.blur import count_blurs
from vizcnn.measures.filters import measure_filters
from vizcnn.measures.first_layer import FirstLayer, find_first_layer
from vizcnn.measures.grid import measure_grid
from vizcnn.measures.shares import (
    AliasShares,
    blur_power,
    choose_grid,
    measure_colours,
    measure_power,
    measure_shares,
    predict_power,
)
from vizcnn.measures.shift import ShiftMeasures, check_shifts, find_jumps, measure_shifts
from vizcnn.measures.spectrum import transfer_function
from vizcnn.measures.sweep import Sweep, sweep_gratings
from vizcnn.mining.search import rank_pixels
from vizcnn.photos.patches import spread
from vizcnn.photos.pixels import Box
from vizcnn.photos.samples import name_source
from vizcnn.photos.stored import PhotoFile
from vizcnn.projection.deconvnet import Deconvnet
from vizcnn.recording.layers import select_stages
from vizcnn.zoo.model import ZooModel

NINE = 9
"""Photos per unit, as in ZF's figures."""


@dataclass(frozen=True)
class StrongPatch:
    """One of the places where a unit is strongest.

    Attributes:
        photo: Index of the photo.
        activation: The unit's activation there.
        box: Receptive field in pixels: top, left, bottom, right, cut at the photo's edge.
        projection: (3, h, w), the deconvnet's projection in the box, signed.
        grid: Grid artefact of the projection (see :func:`measure_grid`); None where the box is
            too small to tell.
    """

    photo: int
    activation: float
    box: Box
    projection: Tensor
    grid: float | None


@dataclass(frozen=True)
class StrongUnit:
    """A unit with the photos that make it strongest.

    Attributes:
        unit: Number of the feature map.
        patches: Strongest first, one per photo; none for a unit that is silent on all photos.
    """

    unit: int
    patches: tuple[StrongPatch, ...]

    @property
    def grid(self) -> float | None:
        """Median grid artefact of the unit's projections; None if none could be measured."""
        known = [patch.grid for patch in self.patches if patch.grid is not None]
        return torch.tensor(known).quantile(0.5).item() if known else None


def project_strongest(
    model: ZooModel,
    pixels: Tensor,
    layer: str = "conv2",
    units: Sequence[int] | int | None = None,
    count: int = NINE,
    period: int = 4,
) -> tuple[StrongUnit, ...]:
    """Find the photos that excite units most and project the units back from each.

    Args:
        model: A net of the zoo.
        pixels: (N, 3, S, S), RGB 0..1, of the net's input size.
        layer: Canonical name or module path.
        units: Unit numbers; or how many, spread evenly over the layer; all when None.
        count: Photos per unit, each photo at most once.
        period: Period of the grid that is looked for, in pixels.

    Returns:
        The units in the order asked for. Ties go to the earlier photo.

    Raises:
        LayerError: If the layer or a unit does not exist.
        UnsupportedOperationError: If the deconvnet has no rule for an operation on the way.
    """
    ranking = rank_pixels(model, pixels, [layer], count)[layer]
    _need_maps(layer, ranking.map_size is not None)
    wanted = _choose_units(units, len(ranking.values), layer)
    order = {
        unit: ranking.photos[unit, ranking.values[unit] > 0].tolist()
        for unit in dict.fromkeys(wanted)
    }
    by_photo: dict[int, list[int]] = defaultdict(list)
    for unit, photos in order.items():
        for photo in photos:
            by_photo[photo].append(unit)
    projector = Deconvnet(model)
    found: dict[tuple[int, int], StrongPatch] = {}
    for photo in sorted(by_photo):
        projection = projector.project(pixels[photo : photo + 1], layer, by_photo[photo])
        for row, unit in enumerate(by_photo[photo]):
            top, left, bottom, right = projection.boxes[row].tolist()
            cut = projection.cut(row).float().cpu().clone()
            found[photo, unit] = StrongPatch(
                photo=photo,
                activation=projection.activations[row].item(),
                box=(top, left, bottom, right),
                projection=cut,
                grid=_try_grid(cut, period),
            )
    return tuple(
        StrongUnit(unit, tuple(found[photo, unit] for photo in order[unit])) for unit in wanted
    )


def _need_maps(layer: str, has_maps: bool) -> None:
    if not has_maps:
        raise LayerError(f"{layer} has no feature maps: give a convolutional layer")


def _choose_units(units: Sequence[int] | int | None, maps: int, layer: str) -> list[int]:
    if units is None or isinstance(units, int):
        return spread(maps, maps if units is None else units)
    for unit in units:
        if not 0 <= unit < maps:
            raise LayerError(f"no unit {unit} in {layer}: it has 0..{maps - 1}")
    return list(units)


def _try_grid(projection: Tensor, period: int) -> float | None:
    try:
        value = measure_grid(projection, period)
    except ImageError:
        return None
    return value if value == value else None  # NaN: nothing to measure


def read_pixels(
    model: ZooModel, photos: Sequence[PhotoFile | Image.Image], progress: Progress = silent
) -> tuple[Tensor, list[PhotoFile | Image.Image], tuple[tuple[str, str], ...]]:
    """Bring photos to a net's input; those that cannot be read are left out.

    Args:
        model: A net of the zoo.
        photos: Files or images.
        progress: Shows how far it is.

    Returns:
        Pixels (N, 3, S, S), RGB 0..1; the N photos; and the others by name, with why they were left
        out.

    Raises:
        ImageError: If none can be read.
    """
    side = model.input_size
    pixels = torch.empty(len(photos), 3, side, side)
    kept: list[PhotoFile | Image.Image] = []
    failures: list[tuple[str, str]] = []
    for photo in progress(photos, label=f"read for {model.name}", total=len(photos)):
        try:
            pixels[len(kept)] = model.read(photo)[0]
            kept.append(photo)
        except ImageError as error:
            source = "" if isinstance(photo, Image.Image) else name_source(photo)
            failures.append((source, str(error)))
    if not kept:
        told = "; ".join(error for _, error in failures[:3])
        raise ImageError(f"none of {len(photos)} photos can be read: {told}")
    return pixels[: len(kept)], kept, tuple(failures)


BLURS: tuple[int | None, ...] = (None, 3, 5)
"""Taps of the binomial filters that are tried; None is the net as it is."""


@dataclass(frozen=True)
class LabSettings:
    """What the lab looks at.

    Attributes:
        layer: Layer whose strongest projections are shown.
        units: How many of its units, spread evenly over the layer; at most as many as it has.
        top: Photos per unit.
        most_photos: Photos that the shift test and the spectra use, at most (evenly spread).
        shifts: Largest shift in pixels.
        frequencies: Radial frequencies of the sweep in cycles per pixel.
        orientations: Directions of the sweep in degrees.
        figure_format: Format of the figures.
    """

    layer: str = "conv2"
    units: int = 64
    top: int = 9
    most_photos: int = 16
    shifts: int = 16
    frequencies: tuple[float, ...] = tuple(step / 64 for step in range(1, 33))
    orientations: tuple[float, ...] = tuple(float(angle) for angle in range(0, 180, 15))
    figure_format: FigureFormat = "png"


@dataclass(frozen=True)
class NetStudy:
    """What the lab found of a net.

    Attributes:
        model: The net.
        layer: Its first layer.
        dead: Dead filters of the first layer (see :func:`vizcnn.measures.filters.measure_filters`).
        predicted: Alias shares under the 1/f^2 law.
        measured: Alias shares on the photos, by taps of the blur.
        sweep: Gratings through the first layer.
        shifts: The shift test, by taps of the blur.
        units: Strongest projections of the second layer.
        blurred: Subsamplings that a blur could be put before; others are not modules of their own.
        photos: The photos that could be read.
        failures: Names of others, and why they were left out.
        period: Period in pixels of the grid that projections were searched for.
    """

    model: ZooModel
    layer: FirstLayer
    dead: int
    predicted: AliasShares
    measured: dict[int | None, AliasShares]
    sweep: Sweep
    shifts: dict[int | None, ShiftMeasures]
    units: tuple[StrongUnit, ...]
    blurred: int
    photos: tuple[PhotoFile | Image.Image, ...]
    failures: tuple[tuple[str, str], ...]
    period: int

    @property
    def title(self) -> str:
        """Name of the net for headings."""
        return self.model.title

    @cached_property
    def grey_power(self) -> Tensor:
        """Power of each filter's response to white grey noise, (F, N, N), zero frequency first.

        N is a side that strides of 2, 4 and the layer's own can fold.
        """
        size = choose_grid(2, 4, self.layer.stride)
        return transfer_function(self.layer.weight.double().sum(dim=1), size).abs().square()

    @property
    def grids(self) -> list[float]:
        """Grid artefact of every unit that one could be measured of."""
        return [unit.grid for unit in self.units if unit.grid is not None]

    @property
    def grid(self) -> float | None:
        """Median grid artefact over the units; None if there is none."""
        return median(self.grids) if self.grids else None

    def measure_distance(self, blur: int | None, name: str) -> float | None:
        """Average the relative distance of a layer over photos and all shifts but 0.

        Returns:
            None for a layer that the net has not, or that is silent on all photos.
        """
        measures = self.shifts[blur]
        if name not in measures.layers:
            return None
        value = measures.mean_distances[measures.layers.index(name), 1:].mean().item()
        return None if math.isnan(value) else value

    def measure_agreement(self, blur: int | None) -> float | None:
        """Give the share of the photos whose class is the same with a blur as without, 0..1."""
        plain, changed = self.shifts[None].classes, self.shifts[blur].classes
        if plain is None or changed is None:
            return None
        return (plain[:, 0] == changed[:, 0]).double().mean().item()


def study_nets(
    models: Sequence[ZooModel],
    photos: Sequence[PhotoFile | Image.Image],
    settings: LabSettings,
    period: int,
    progress: Progress = silent,
) -> list[NetStudy]:
    """Measure everything of nets, on a CPU several parts of it at a time.

    Args:
        models: Nets of the zoo.
        photos: Files or images.
        settings: What to look at.
        period: Period in pixels of the grid to search projections for.
        progress: Shows how far it is.

    Raises:
        ModelError: If the first layer is not a plain convolution of colours.
        LayerError: If the net lacks the layer whose projections are asked for.
        ImageError: If no photo can be read.
        UnsupportedOperationError: If the deconvnet has no rule for an operation on the way.
    """
    devices = {next(model.module.parameters()).device.type for model in models}
    with Errands("cpu" if devices == {"cpu"} else "cuda") as errands:
        begun = [
            _begin_study(model, photos, settings, period, errands, progress) for model in models
        ]
        shown = progress(begun, label="measure", total=len(begun), unit="net")
        return [finish() for finish in shown]


def _begin_study(
    model: ZooModel,
    photos: Sequence[PhotoFile | Image.Image],
    settings: LabSettings,
    period: int,
    errands: Errands,
    progress: Progress,
) -> Callable[[], NetStudy]:
    """Begin to measure a net; what is given back waits for the rest."""
    layer, stages = find_first_layer(model), find_stages(model, settings)
    pixels, kept, failures = read_pixels(model, photos, progress)
    few = spread(len(kept), settings.most_photos)
    moved = [kept[index] for index in few]
    shifts = tuple(range(settings.shifts + 1))
    # the longest first
    measured = {
        taps: errands.start(partial(measure_shifts, model, moved, shifts, stages, taps))
        for taps in BLURS[::-1]
    }
    units = errands.start(
        partial(
            project_strongest,
            model,
            pixels,
            settings.layer,
            settings.units,
            settings.top,
            period,
        )
    )
    power = measure_power(layer, pixels[few])
    return lambda: NetStudy(
        model=model,
        layer=layer,
        dead=int(measure_filters(layer.weight).dead.sum()),
        predicted=measure_shares(predict_power(layer, measure_colours(pixels)), layer.stride),
        measured={taps: measure_shares(blur_power(power, taps), layer.stride) for taps in BLURS},
        sweep=sweep_gratings(layer, settings.frequencies, settings.orientations),
        shifts={taps: measured[taps].result() for taps in BLURS},
        units=units.result(),
        blurred=count_blurs(model.module),
        photos=tuple(kept),
        failures=failures,
        period=period,
    )


def check_net(model: ZooModel, settings: LabSettings) -> None:
    """Find at once what would fail after minutes of measuring.

    Raises:
        ModelError: If the first layer is not a plain convolution of colours.
        LayerError: If the net lacks a layer, the layer has no feature maps, or its geometry is not
            known.
        ImageError: If the shifts are too large for the net's input.
        UnsupportedOperationError: If the deconvnet has no rule for an operation on the way.
    """
    find_first_layer(model)
    check_shifts(range(settings.shifts + 1), model.input_size)
    find_jumps(model, find_stages(model, settings))
    grey = torch.full((1, 3, model.input_size, model.input_size), 0.5)
    projector = Deconvnet(model)
    recording = projector.record(grey, [settings.layer])
    output = recording.find_output(projector.find_path(settings.layer))
    _need_maps(settings.layer, output.ndim == 4)
    projector.project_recording(recording, settings.layer, unit=0)


def find_stages(model: ZooModel, settings: LabSettings) -> tuple[str, ...]:
    """List the layers of the shift test: conv1..conv5, as far as a net has them.

    A net without canonical names is looked at in the layer that projections are made of.
    """
    try:
        return select_stages(model)
    except LayerError:
        return (settings.layer,)
