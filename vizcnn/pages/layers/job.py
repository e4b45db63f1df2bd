"""All that is settled when a gallery's photos have been mined, for every step after that."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vizcnn.basics.errors import DataError, LayerError, VizcnnError
from vizcnn.drawing.tiles import Scaling
from vizcnn.mining.index import StrongestIndex
from vizcnn.mining.mined_photos import describe_names, refuse_changed
from vizcnn.mining.photo_sets import PhotoSet
from vizcnn.mining.ranks import PERCENTILES, Rank, check_rank
from vizcnn.mining.relevance import UNCLASSED, find_classes
from vizcnn.pages.layers.layer_plans import LayerPlan, measure_pass
from vizcnn.pages.layers.pieces import Ledger
from vizcnn.pages.layers.places import LayerPlaces, choose_places, list_photos
from vizcnn.pages.layers.work_folder import Notice, WorkFolder
from vizcnn.pages.page import MethodSettings
from vizcnn.projection.deconvnet import Projector
from vizcnn.zoo.model import ZooModel

MOST_PLACES = 100
"""Places of a unit, at most: more make sheets that no image format holds."""


@dataclass(frozen=True)
class TopSettings(MethodSettings):
    """What to look for, how to project it and how to show it.

    Attributes:
        layers: Canonical names or module paths, in the order of the pages.
        units: Unit numbers, or None for every unit of the layers.
        top: Places per unit, strongest first or by another rank.
        per_photo: How many of them may be of one photo.
        rank: By what places are ranked; see :data:`~vizcnn.mining.ranks.Rank`.
        ranges: Whether to show each unit's range over all photos, too.
        scaling: ``"unit"`` gives each projection its own contrast, ``"shared"`` all of a unit's
            places one.
        poster: Whether to draw each layer as a slide too.
        poster_units: Units on a poster; None chooses by the size of the receptive field.
        seed: Seed of the draw of those units, and of photos at random.
        workers: Processes that read photos, project and draw; None chooses by the machine, 0 does
            all in this one.

    Raises:
        LayerError: If there is no layer, or a number is out of range.
        DataError: If there is no such rank, or it takes one place of a photo and several are asked
            for.

    Example:
        >>> TopSettings(layers=("conv1",), top=0)
        Traceback (most recent call last):
        vizcnn.basics.errors.LayerError: 0 places per unit were asked for; needed: 1 to 100
    """

    layers: tuple[str, ...]
    units: tuple[int, ...] | None = None
    top: int = 9
    per_photo: int = 1
    scaling: Scaling = "unit"
    poster: bool = False
    poster_units: int | None = None
    seed: int = 0
    workers: int | None = None
    rank: Rank = "activation"
    ranges: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.layers:
            raise LayerError("no layer is named; needed: at least one, for example conv1")
        if not 1 <= self.top <= MOST_PLACES:
            raise LayerError(
                f"{self.top} places per unit were asked for; needed: 1 to {MOST_PLACES}"
            )
        if not 1 <= self.per_photo <= self.top:
            raise LayerError(
                f"{self.per_photo} places of one photo among {self.top} were asked for; needed: "
                f"1 to {self.top}"
            )
        check_rank(self.rank, self.per_photo)
        if self.poster_units is not None and self.poster_units < 1:
            raise VizcnnError(f"a poster of {self.poster_units} units; needed: 1 or more")

    @property
    def slots(self) -> int:
        """Places that are projected of a unit, at most."""
        return self.top + (len(PERCENTILES) if self.ranges else 0)


@dataclass(frozen=True)
class Room:
    """How much a run may take at a time; the result does not depend on it.

    Attributes:
        spool: Bytes of disk for projections before they become sheets; more are made in several
            rounds.
        call: Bytes of the windows that one call projects; a few photos may hold thousands of
            places.
        lot: Bytes of the layers' outputs of the photos that go through the net together.
        photos: How many photos these are, at most: their places are projected together, and twice
            as many take less than twice the time.
        items: How many items a pool gets, at most: an array of jobs has a thousand tasks by
            default, and each may have to load the net.
    """

    spool: int = 4 << 30
    call: int = 64 << 20
    lot: int = 512 << 20
    photos: int = 64
    items: int = 512


ROOM = Room()
"""What a run takes that is not told otherwise."""


@dataclass(frozen=True, eq=False)
class Job:
    """A gallery that is being made.

    Attributes:
        model: The net.
        projector: The method, attached to it.
        photos: Where the photos come from.
        index: Where each unit is strongest.
        settings: What to show.
        layers: The layers.
        places: The places of each layer's units.
        shown: Numbers in the index of the photos that are shown, sorted.
        work: Where files grow.
        ledger: What is finished.
        notice: Is told what is made anew.
        room: How much it may take at a time.
        lot: Photos that go through the net together.
    """

    model: ZooModel
    projector: Projector
    photos: PhotoSet
    index: StrongestIndex
    settings: TopSettings
    layers: tuple[LayerPlan, ...]
    places: tuple[LayerPlaces, ...]
    shown: tuple[int, ...]
    work: WorkFolder
    ledger: Ledger
    notice: Notice
    room: Room
    lot: int

    def find_shown(self, photo: int) -> int:
        """Give the place of a photo of the index among those that are shown."""
        return bisect_left(self.shown, photo)

    def name_class(self, photo: int) -> str:
        """Name the class of a photo of the index by the folder that it lies in."""
        number = bisect_left(self.photos.names, self.index.photos[photo])
        found = find_classes(self.model, self.photos)(number)
        return "" if found == UNCLASSED else self.model.classes[found]


def settle_job(
    projector: Projector,
    model: ZooModel,
    photos: PhotoSet,
    index: StrongestIndex,
    settings: TopSettings,
    layers: Sequence[LayerPlan],
    work: WorkFolder,
    begin: Callable[[], Ledger],
    notice: Notice,
    room: Room,
) -> Job:
    """Settle what is to be projected.

    Args:
        projector: The method, attached to the net.
        model: The net.
        photos: Where the photos come from.
        index: Where each unit is strongest.
        settings: What to show.
        layers: The layers.
        work: Where files grow.
        begin: Clears the working folder of another run's files, and tells what is finished;
            called once all is settled.
        notice: Is told what is made anew.
        room: How much the run may take at a time.

    Raises:
        DataError: If photos that the index names are missing or of another size than then, or its
            layers are not those of the net.
    """
    _require_maps(index, layers)
    places = tuple(choose_places(index, layer, settings.top, settings.ranges) for layer in layers)
    shown = tuple(list_photos(places))
    _require_photos(photos, index, shown)
    return Job(
        model,
        projector,
        photos,
        index,
        settings,
        tuple(layers),
        places,
        shown,
        work,
        begin(),
        notice,
        room,
        max(min(room.lot // measure_pass(projector, model), room.photos), 1),
    )


def _require_maps(index: StrongestIndex, layers: Sequence[LayerPlan]) -> None:
    for layer in layers:
        held = index.layers[layer.name]
        if (held.units, held.map_size) != (layer.units_total, layer.map_size):
            raise DataError(
                f"the index holds {held.units} units of {layer.name} with maps of {held.map_size}, "
                f"the net has {layer.units_total} with maps of {layer.map_size}: mine anew"
            )


def _require_photos(photos: PhotoSet, index: StrongestIndex, shown: Sequence[int]) -> None:
    sizes = dict(zip(photos.names, photos.sizes, strict=True))
    names = [index.photos[number] for number in shown]
    missing = [name for name in names if name not in sizes]
    if missing:
        raise DataError(
            f"{describe_names(missing)} of the index {_are(missing)} not in {photos.describe()}: "
            "give the folder that was mined, or mine this one"
        )
    changed = [
        index.photos[number]
        for number in shown
        if sizes[index.photos[number]] != index.sizes[number]
    ]
    if changed:
        refuse_changed(changed)


def _are(names: Sequence[str]) -> str:
    return "are" if len(names) > 1 else "is"
