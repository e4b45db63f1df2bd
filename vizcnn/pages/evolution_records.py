"""What is known of a net's units at the epochs of its training, as plain values."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from vizcnn.gallery.manifest import Failure, Net, Photo, Results
from vizcnn.measures.evolution import LayerCourse
from vizcnn.pages.evidence import Evidence
from vizcnn.pages.layers.records import PhotoData
from vizcnn.photos.pixels import Array
from vizcnn.projection.parts import Part

CellScaling = Literal["cell", "row"]
"""Each picture at its own contrast, or all of a unit's at one."""


@dataclass(frozen=True, kw_only=True)
class EvolvedCell(Evidence):
    """A unit at an epoch: its strongest place over all photos.

    Attributes:
        photo: Name of the photo; empty where the unit is silent.
        position: Row and column in the feature map; None in a layer without places.
        box: Receptive field, cut at the photo's edges: top, left, bottom, right, the last two
            exclusive.
        changed: Whether it is another photo than at the epoch before.
        cosine: Of its projection with that of the last epoch, each laid on the receptive field;
            None where the unit is silent at either.
        peak: Largest absolute value of the projection, in shares of the full range of pixels.
    """

    photo: str
    position: tuple[int, int] | None
    box: tuple[int, int, int, int] | None
    changed: bool
    cosine: float | None
    peak: float


@dataclass(frozen=True, kw_only=True)
class EvolvedUnit:
    """A unit through the training.

    Attributes:
        unit: Its number.
        name: The class that it stands for, in a net's last layer; else empty.
        cells: One at each epoch.
        last_change: Kept epoch at which its strongest photo was another for the last time; None
            if it never was.
        half_life: Epochs until half of the way (1 - cosine) to the last picture was gone, known
            up to the kept epochs; None where there is none.
        growth: Its last activation over its first; None where either is not above zero.
    """

    unit: int
    name: str
    cells: tuple[EvolvedCell, ...]
    last_change: int | None
    half_life: int | None
    growth: float | None


@dataclass(frozen=True, kw_only=True)
class EvolvedLayer:
    """A layer through the training.

    Attributes:
        name: Its name.
        path: Its module path.
        units_total: How many units it has.
        field: Height and width of a receptive field, before the photo's edges cut it.
        units: Those shown.
        course: Their numbers, summed up.
    """

    name: str
    path: str
    units_total: int
    field: tuple[int, int]
    units: tuple[EvolvedUnit, ...]
    course: LayerCourse


@dataclass(frozen=True, kw_only=True)
class EvolveResults(Results):
    """Units at the epochs of a training.

    Attributes:
        run: What the training is called.
        note: What one should know of it.
        needed: What shows layers that were not kept; empty of whole nets.
        epochs: The epochs, rising.
        data: The photos that were looked through.
        method: The method.
        method_source: Where it is from.
        part: What of a projection is shown.
        drawn: How units were chosen, in words.
        scaling: How values became colours, in words.
        layers: The layers.
    """

    kind: ClassVar[str] = "evolve"
    run: str
    note: str
    needed: str
    epochs: tuple[int, ...]
    data: PhotoData
    method: str
    method_source: str
    part: Part
    drawn: str
    scaling: str
    layers: tuple[EvolvedLayer, ...]


Pictures = tuple[Array, NDArray[np.uint8]]
"""A projection and the photo's patch in the same window, each (h, w, 3)."""
UnitPictures = tuple[tuple[Pictures | None, ...], ...]
"""Those of a layer's units at each epoch; None where a unit is silent."""


@dataclass(frozen=True, eq=False)
class Evolution:
    """All that was measured of a training, with its pictures.

    Attributes:
        title: The net's.
        results: The numbers.
        nets: The net at each epoch, described.
        photos: Photos that are shown, by name.
        failures: Photos that could not be read.
        pictures: Those of each layer.
    """

    title: str
    results: EvolveResults
    nets: tuple[Net, ...]
    photos: tuple[Photo, ...]
    failures: tuple[Failure, ...]
    pictures: tuple[UnitPictures, ...]
