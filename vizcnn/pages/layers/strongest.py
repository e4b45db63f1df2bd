"""The strongest place of units over all photos, projected as a gallery of layers does it.

In the gallery's own steps and lots, so that the values are those of the gallery to the bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vizcnn.basics.progress import Progress, silent
from vizcnn.drawing.unit_sheets import Pixels
from vizcnn.mining.index import StrongestIndex
from vizcnn.mining.photo_sets import PhotoSet
from vizcnn.pages.layers.gallery import find_strongest
from vizcnn.pages.layers.job import ROOM, TopSettings, settle_job
from vizcnn.pages.layers.layer_plans import LayerPlan
from vizcnn.pages.layers.places import cut_portions
from vizcnn.pages.layers.projecting import open_spools, project_portion
from vizcnn.pages.layers.spool import BYTES_PER_PIXEL
from vizcnn.pages.layers.work_folder import open_work
from vizcnn.projection.deconvnet import Projector
from vizcnn.zoo.model import ZooModel


@dataclass(frozen=True, eq=False)
class StrongestPlaces:
    """The strongest place of each of a layer's units; those of silent units say nothing.

    Attributes:
        activations: (U,), float32.
        photos: Number of each photo in the set, (U,); -1 of a silent unit.
        positions: Row and column in the feature map, (U, 2).
        windows: Projections (U, h, w, 3), float16, each divided by its largest absolute value.
        peaks: That value, (U,), float32.
        patches: The photos in the same windows, (U, h, w, 3), uint8.
        boxes: Receptive fields, cut at the photo's edges, (U, 4).
        corners: Top and left of the windows, (U, 2).
        evidence: As :data:`~vizcnn.pages.layers.spool.EVIDENCE` names it, (U, 4); nan where there
            is none.
    """

    activations: NDArray[np.float32]
    photos: NDArray[np.int64]
    positions: NDArray[np.int64]
    windows: NDArray[np.float16]
    peaks: NDArray[np.float32]
    patches: Pixels
    boxes: NDArray[np.int32]
    corners: NDArray[np.int32]
    evidence: NDArray[np.float64]


def find_strongest_places(
    model: ZooModel,
    photos: PhotoSet,
    settings: TopSettings,
    plans: Sequence[LayerPlan],
    folder: Path,
    progress: Progress = silent,
) -> tuple[list[StrongestPlaces], StrongestIndex]:
    """Mine photos for layers, and project the strongest place of each unit.

    Args:
        model: A net of the zoo.
        photos: The photos.
        settings: How to project; its layers are those of the plans.
        plans: The layers, each with its units.
        folder: For working files: an empty one, or none yet.
        progress: Shows how far it is.

    Returns:
        The places of each layer, and the index of the photos.

    Raises:
        DataError: If no photo can be read, or an activation is not finite.
        UnsupportedOperationError: If the method has no rule for an operation of the net.
    """
    with open_work(folder / "mining") as work:
        _, index = find_strongest(model, photos, settings, work, None, progress)
    found = [
        _project(model, photos, settings, plan, folder / f"{number}", index, progress)
        for number, plan in enumerate(plans)
    ]
    return found, index


def _project(
    model: ZooModel,
    photos: PhotoSet,
    settings: TopSettings,
    plan: LayerPlan,
    folder: Path,
    index: StrongestIndex,
    progress: Progress,
) -> StrongestPlaces:
    """Project one layer's units alone, as a gallery of that layer and these units does."""
    projector: Projector = settings.attach(model)

    def ignore(line: str) -> None:
        """Leave out what a new folder has nothing to tell of."""

    with open_work(folder) as work:
        job = settle_job(
            projector,
            model,
            photos,
            index,
            settings,
            [plan],
            work,
            lambda: work.begin({}, ignore),
            ignore,
            ROOM,
        )
        size = BYTES_PER_PIXEL * settings.top * plan.window[0] * plan.window[1]
        parts = []
        for portion in cut_portions([(len(plan.units), size)], job.room.spool):
            project_portion(job, portion, progress)
            parts += [
                {name: np.array(getattr(spool, name)[:, 0]) for name in _SPOOLED}
                for spool in open_spools(job, portion)
            ]
        (places,) = job.places
        return StrongestPlaces(
            activations=places.activations[:, 0],
            photos=places.photos[:, 0],
            positions=places.positions[:, 0],
            **{name: np.concatenate([part[name] for part in parts]) for name in _SPOOLED},
        )


_SPOOLED = ("windows", "peaks", "patches", "boxes", "corners", "evidence")
"""What a spool holds of each place."""
