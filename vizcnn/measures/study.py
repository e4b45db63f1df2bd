"""One net in the aliasing lab: everything that is measured of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from PIL import Image

from vizcnn.aliasing.blur import count_blurs
from vizcnn.aliasing.first_layer import FirstLayer, find_first_layer
from vizcnn.aliasing.patches import read_pixels, spread
from vizcnn.aliasing.second_layer import StrongUnit, project_strongest
from vizcnn.aliasing.shares import (
    AliasShares,
    blur_power,
    measure_colours,
    measure_power,
    measure_shares,
    predict_power,
)
from vizcnn.aliasing.shift import ShiftMeasures, check_shifts, find_jumps, measure_shifts
from vizcnn.aliasing.sweep import Sweep, sweep_gratings
from vizcnn.errors import LayerError
from vizcnn.filters.measures import measure_filters
from vizcnn.layers import list_stages, select_layers
from vizcnn.progress import Progress, silent
from vizcnn.saving import FigureFormat
from vizcnn.zoo.model import ZooModel

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
        dead: Dead filters of the first layer (see :func:`vizcnn.filters.measures.measure_filters`).
        predicted: Alias shares under the 1/f^2 law.
        measured: Alias shares on the photos, by taps of the blur.
        sweep: Gratings through the first layer.
        shifts: The shift test, by taps of the blur.
        units: Strongest projections of the second layer.
        blurred: Subsamplings that a blur could be put before; others are not modules of their own.
        photos: The photos that could be read.
        failures: Why others were left out, a line each.
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
    photos: tuple[Path | Image.Image, ...]
    failures: tuple[str, ...]
    period: int

    @property
    def title(self) -> str:
        """Name of the net for headings."""
        return self.model.title

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


def study_net(
    model: ZooModel,
    photos: Sequence[Path | Image.Image],
    settings: LabSettings,
    period: int,
    progress: Progress = silent,
) -> NetStudy:
    """Measure everything of one net.

    Args:
        model: A net of the zoo.
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
    layer, stages = find_first_layer(model), find_stages(model, settings)
    pixels, kept, failures = read_pixels(model, photos, progress)
    few = spread(len(kept), settings.most_photos)
    moved = [kept[index] for index in few]
    power = measure_power(layer, pixels[few])
    shifts = tuple(range(settings.shifts + 1))
    return NetStudy(
        model=model,
        layer=layer,
        dead=int(measure_filters(layer.weight).dead.sum()),
        predicted=measure_shares(predict_power(layer, measure_colours(pixels)), layer.stride),
        measured={taps: measure_shares(blur_power(power, taps), layer.stride) for taps in BLURS},
        sweep=sweep_gratings(layer, settings.frequencies, settings.orientations, progress=progress),
        shifts={
            taps: measure_shifts(model, moved, shifts, stages, taps, progress) for taps in BLURS
        },
        units=project_strongest(
            model, pixels, settings.layer, settings.units, settings.top, period, progress
        ),
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
    project_strongest(model, grey, settings.layer, units=1, count=1)


def find_stages(model: ZooModel, settings: LabSettings) -> tuple[str, ...]:
    """List the layers of the shift test: conv1..conv5, as far as a net has them.

    A net without canonical names is looked at in the layer that projections are made of.
    """
    try:
        return select_layers(model, [list_stages(model)])
    except LayerError:
        return (settings.layer,)
