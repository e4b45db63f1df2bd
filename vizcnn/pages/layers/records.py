"""Records of a gallery of layers: each unit's strongest places over a folder of photos."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from vizcnn.basics.codec import RelativeFile, RelativeFolder, Share, if_given
from vizcnn.basics.texts import name_files
from vizcnn.drawing.words import (
    describe_effective_number,
    describe_selectivity,
    write_selectivity,
)
from vizcnn.mining.machine_kinds import describe_kinds
from vizcnn.pages.evidence import Evidence


@dataclass(frozen=True, kw_only=True)
class Place(Evidence):
    """One of a unit's places: where, in which photo, and what it sees there.

    Attributes:
        photo: Number of the photo in the manifest's ``photos``, from 0.
        effective_number: How many different pictures the active units of the place make; None
            where that is not known.
        position: Row and column in the feature map; None in a layer without places.
        box: Receptive field in pixels of the input, cut at its edges: top, left, bottom, right,
            the last two exclusive.
        corner: Top and left of the window that the sheets show, in pixels of the input.
        padding: Share of the box that is padding around the photo.
        silent: Whether the unit is at zero in all of the photo: there is no projection, no place
            stands out, and sheets show the whole photo.
        relevance: The activation times the gradient of the true class's logit; None where places
            are ranked otherwise.
        true_class: The class that the photo's folder names; empty where it does not matter.
    """

    photo: int
    effective_number: float | None = None
    position: tuple[int, int] | None
    box: tuple[int, int, int, int]
    corner: tuple[int, int]
    padding: Share = 0.0
    silent: bool = if_given(False)
    relevance: float | None = if_given()
    true_class: str = if_given("")


@dataclass(frozen=True, kw_only=True)
class PercentilePlace(Place):
    """The place of a unit's maximum in a photo at a percentile of its maxima over all photos.

    Attributes:
        percentile: How many per cent of the photos have a maximum that is no higher.
    """

    percentile: int


@dataclass(frozen=True, kw_only=True)
class UnitRange:
    """The photos at percentiles of a unit's maxima over all photos.

    Attributes:
        places: The lowest percentile first.
        silent: Share of the photos in which the unit is above zero nowhere.
        image: Projections in a row, and below them the patches.
    """

    places: tuple[PercentilePlace, ...]
    silent: Share
    image: RelativeFile


def find_median(places: Sequence[Evidence]) -> float | None:
    """Give the median of the places' selectivities; None where there is none."""
    known = [place.selectivity for place in places if place.selectivity is not None]
    return median(known) if known else None


def write_median(places: Sequence[Evidence]) -> str:
    """Write the median of the places' selectivities; empty where nothing was compared.

    Example:
        >>> write_median([Evidence(activation=2.0, selectivity=0.25, compared=9, active=9)])
        '0.25'
    """
    if all(place.compared is None for place in places):
        return ""
    compared, active = (
        sum(getattr(place, name) or 0 for place in places) for name in ("compared", "active")
    )
    return write_selectivity(find_median(places), compared, active)


@dataclass(frozen=True, kw_only=True)
class UnitSheets:
    """One unit and its strongest places.

    A sheet is one image of two equal grids: projections on the left, the photos' patches in the
    same windows on the right, both row by row from the strongest place on (:class:`LayerSheets`).

    Attributes:
        unit: Number of the feature map, from 0.
        name: The class that the unit stands for, in a net's last layer; else empty.
        spread: (strongest - weakest) / strongest of its places; None where that says nothing.
        selectivity: Median of its places' selectivities; None where there is none.
        places: Strongest first, or by another rank; none for a unit that is silent on every photo.
        command: Shell-quoted command that repeats this unit only.
        python: Lines of Python that project its strongest place; empty where its photo is no file.
        small: Sheet for the layer's page; None for a silent unit.
        large: Sheet for the unit's page; None for a silent unit.
        arrays: File of the raw values.
        range: Its photos at percentiles; None where they were not asked for, or it is silent.
    """

    unit: int
    name: str = ""
    spread: float | None
    selectivity: float | None = None
    places: tuple[Place, ...]
    command: str
    small: RelativeFile | None
    large: RelativeFile | None
    arrays: RelativeFile | None = None
    python: str = ""
    range: UnitRange | None = if_given()

    @property
    def score(self) -> float | None:
        """What the first of its places is ranked by; None of a unit without places."""
        if not self.places:
            return None
        first = self.places[0]
        return first.activation if first.relevance is None else first.relevance

    @property
    def value(self) -> str:
        """The selectivity as a number; empty where nothing was compared."""
        return write_median(self.places)

    @property
    def sentence(self) -> str:
        """What the selectivity means; empty where nothing was compared."""
        compared = [place.compared for place in self.places if place.compared is not None]
        if self.selectivity is None or not compared:
            return ""
        is_active = any(place.activation > 0 for place in self.places)
        return describe_selectivity(
            self.selectivity, min(compared), is_active, "such a picture", "its place"
        )


@dataclass(frozen=True, kw_only=True)
class LayerEvidence:
    """How different the pictures of a layer's places are; medians over these places.

    Attributes:
        effective_number: How many different pictures the active units of a place make.
        places: How many different places with two active units or more there are.
        compared: From how many active units of a place that was found.
        active: How many units are active at a place.
        selectivity: Median of its units' selectivities; None where there is none.
        sampled: At how many of the places not all of the active units were compared.
    """

    effective_number: float
    places: int
    compared: int
    active: int
    selectivity: float | None
    sampled: int

    def describe(self, method: str) -> str:
        """Say how many different pictures the method makes.

        Example:
            >>> LayerEvidence(
            ...     effective_number=1.2,
            ...     places=9,
            ...     compared=9,
            ...     active=51,
            ...     selectivity=0.1,
            ...     sampled=9,
            ... ).describe("deconvnet")
            'the 51 active units make about 1.2 different pictures by the deconvnet'
        """
        compared = self.active - bool(self.sampled)
        return describe_effective_number(self.effective_number, compared, self.active, method)

    @property
    def value(self) -> str:
        """The selectivity as a number."""
        return write_selectivity(self.selectivity, self.active - bool(self.sampled), self.active)

    @property
    def sentence(self) -> str:
        """What the selectivity means; empty where there is none."""
        if self.selectivity is None:
            return ""
        return describe_selectivity(
            self.selectivity, self.compared, True, "such a picture", "its place"
        )

    @property
    def basis(self) -> str:
        """What the medians are taken over.

        Example:
            >>> LayerEvidence(
            ...     effective_number=1.2,
            ...     places=9,
            ...     compared=9,
            ...     active=51,
            ...     selectivity=0.1,
            ...     sampled=9,
            ... ).basis
            'medians over 9 places, 9 of 51 active units compared at each'
            >>> LayerEvidence(
            ...     effective_number=1.2, places=9, compared=7, active=7, selectivity=0.1, sampled=4
            ... ).basis
            'medians over 9 places, some of the active units compared at 4 of them, all elsewhere'
        """
        places = f"medians over {self.places} place{'' if self.places == 1 else 's'}"
        if self.compared < self.active:
            return f"{places}, {self.compared} of {self.active} active units compared at each"
        if self.sampled:
            some = f"{places}, some of the active units compared"
            return f"{some} at {self.sampled} of them, all elsewhere"
        return f"{places}, all active units compared at each"


@dataclass(frozen=True, kw_only=True)
class LayerSheets:
    """One layer: all its units, or those asked for.

    Attributes:
        name: The layer as asked for (``conv5``).
        path: Module path in the net.
        folder: Where its pages go, one folder for each layer.
        units_total: Number of units that the layer has.
        map_size: Rows and columns of a feature map; None for a layer without places.
        receptive_field: Height and width in pixels before the edges cut it; None where unknown.
        stride: Pixels from one unit to the next, down and across; None where unknown.
        window: Height and width in pixels of what a sheet's tile shows of the input.
        computed: How the projections were computed: ``windows`` or ``full image``.
        scaling: How values became colours, in words.
        grid: Rows and columns of tiles in either half of a sheet; (3, 3) for nine places.
        small_px, large_px: Width and height of the sheets in pixels.
        large_gaps: Pixels between two tiles, and between the halves, of the large sheets; there
            is no margin outside, so the tiles' size follows.
        evidence: How different the pictures of its places are; None where nothing was compared.
        units: The units, by number.
        posters: Figures of the whole layer (PNG, SVG or PDF).
        notes: What a reader should know of this layer.
        range_px: Width and height of the pictures of ranges in pixels; None where there are none.
    """

    name: str
    path: str
    folder: RelativeFolder
    units_total: int
    map_size: tuple[int, int] | None
    receptive_field: tuple[int, int] | None
    stride: tuple[int, int] | None
    window: tuple[int, int]
    computed: str
    scaling: str
    grid: tuple[int, int]
    small_px: tuple[int, int]
    large_px: tuple[int, int]
    large_gaps: tuple[int, int]
    evidence: LayerEvidence | None = None
    units: tuple[UnitSheets, ...]
    posters: tuple[RelativeFile, ...] = ()
    notes: tuple[str, ...] = ()
    range_px: tuple[int, int] | None = if_given()


@dataclass(frozen=True, kw_only=True)
class PhotoData:
    """The photos that were looked through.

    Attributes:
        describe: What they are and how the net saw them, in words.
        count: How many were looked through, without those left out.
        left_out: How many files that look like photos are not read, links that lead nowhere and
            folders that cannot be read are beside them.
        left_out_names: The first of these.
        unclassed: How many photos were left out as their folders name no class of the net, where
            places are ranked by relevance to the true class.
        machines: The kinds of machines that looked through them.
    """

    describe: str
    count: int
    left_out: int = 0
    left_out_names: tuple[str, ...] = ()
    unclassed: int = if_given(0)
    machines: tuple[str, ...] = if_given(())

    @property
    def computed(self) -> str:
        """By what their places were computed, in words; empty where that is not told."""
        return describe_kinds(self.machines)


TAKEN = ("photos", "posters")
"""Folders of the gallery that are no layer's."""


def name_folders(layers: Iterable[str]) -> list[str]:
    """Name a folder of the gallery for each layer, as :func:`vizcnn.basics.texts.name_files`."""
    return name_files(layers, TAKEN)
