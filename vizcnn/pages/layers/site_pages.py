"""Pages of a net's layers: a front page, a page per layer, and a page per unit."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from jinja2 import Environment

from vizcnn.basics.codec import ManifestError, if_given
from vizcnn.gallery.manifest import Manifest, Results, View
from vizcnn.mining.machine_kinds import describe_kinds
from vizcnn.mining.ranks import Rank
from vizcnn.pages.layers.records import LayerSheets, PhotoData, UnitSheets
from vizcnn.pages.layers.wording import RankWords, name_pictures, speak_of
from vizcnn.projection.parts import Part

STRIP = 4
"""Units whose sheets stand on a layer's card."""

TALLEST = 1.5
"""Height of a tile on a layer's page in widths, at most; taller sheets are shown smaller."""


@dataclass(frozen=True, kw_only=True)
class LayersResults(Results):
    """Each unit's strongest places over a folder of photos, or those first by another rank.

    Attributes:
        method: Name of the method (``deconvnet``).
        method_source: The paper, for the page.
        part: Which part of the projections the sheets show.
        data: The photos that were looked through; those that are shown stand in the manifest.
        layers: One per layer, in the net's order.
        rank: By what places are ranked.
        seed: Of the draw of photos at random; 0 with another rank.
        machines: Kinds of the machines that projected, if a pool had several.
    """

    kind: ClassVar[str] = "gallery"
    static: ClassVar[tuple[str, ...]] = ("layers.css", "layers.js")
    method: str
    method_source: str
    part: Part = "whole"
    data: PhotoData
    layers: tuple[LayerSheets, ...]
    rank: Rank = if_given("activation")
    seed: int = if_given(0)
    machines: tuple[str, ...] = if_given(())

    @property
    def computed(self) -> str:
        """By what projections were computed, in words; empty where that is one kind of machine."""
        return describe_kinds(self.machines)

    @property
    def words(self) -> RankWords:
        """How pages speak of the places."""
        return speak_of(self.rank, self.seed)

    @property
    def pictures(self) -> str:
        """What the sheets show beside the patches."""
        return name_pictures(self.part)

    def render(self, manifest: Manifest[Any], environment: Environment) -> dict[str, str]:
        """Render a front page, a page per layer (``conv5/index.html``) and a page per unit.

        Raises:
            ManifestError: If two pages would be one file, or a place names a photo that is not
                there.
        """
        _check_pages(manifest)
        front = environment.get_template("net.html")
        strips = [choose_units(layer) for layer in self.layers]
        pages = {
            "index.html": front.render(
                manifest=manifest, results=self, strips=strips, name_unit=name_unit_page
            )
        }
        for number, layer in enumerate(self.layers):
            pages[f"{layer.folder}/index.html"] = _render_layer(environment, manifest, number)
            pages |= dict(_render_units(environment, manifest, layer))
        return pages

    def list_views(self, manifest: Manifest[Any]) -> tuple[View, ...]:
        """List the layers, each by a few of its units."""
        return tuple(
            View(
                title=layer.name,
                files=tuple(unit.small for unit in choose_units(layer) if unit.small),
                page=f"{layer.folder}/index.html",
                text=f"{self.pictures} of units of {layer.name} beside their patches",
            )
            for layer in self.layers
        )


@dataclass(frozen=True)
class Mark:
    """Where a tile stands in its half of a sheet, in percent of the half.

    Attributes:
        left, top: Its corner.
        width, height: Its size.
    """

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Half:
    """The halves of a layer's large sheets.

    Attributes:
        width_px, height_px: Size of a half in pixels.
        share: Width of the whole sheet in widths of a half.
        marks: The tiles in the order of the unit's places.
    """

    width_px: float
    height_px: int
    share: float
    marks: tuple[Mark, ...]


def _check_pages(manifest: Manifest[LayersResults]) -> None:
    folders = [layer.folder.casefold() for layer in manifest.results.layers]
    for layer in manifest.results.layers:
        if "/" in layer.folder or layer.folder == "." or folders.count(layer.folder.casefold()) > 1:
            raise ManifestError(
                f"layer {layer.name!r} has the folder {layer.folder!r}: "
                "needed is one folder for each layer, as name_folders gives it"
            )
        if len({unit.unit for unit in layer.units}) < len(layer.units):
            raise ManifestError(f"layer {layer.name!r} holds a unit twice: needed is each once")
        for unit in layer.units:
            _check_unit(unit, layer, len(manifest.photos))


def _check_unit(unit: UnitSheets, layer: LayerSheets, photos: int) -> None:
    where = f"layer {layer.name!r}, unit {unit.unit}"
    ranged = unit.range.places if unit.range else ()
    if not all(0 <= place.photo < photos for place in (*unit.places, *ranged)):
        raise ManifestError(f"{where} names a photo that is none of the {photos} of the manifest")
    if len(unit.places) > layer.grid[0] * layer.grid[1]:
        raise ManifestError(
            f"{where} has {len(unit.places)} places: a sheet of {layer.grid[0]} × {layer.grid[1]} "
            "tiles needs fewer"
        )
    if unit.places and not (unit.small and unit.large):
        raise ManifestError(f"{where} has places but no sheets: needed are both")


def _render_layer(environment: Environment, manifest: Manifest[LayersResults], number: int) -> str:
    layers = manifest.results.layers
    layer = layers[number]
    return environment.get_template("layer.html").render(
        manifest=manifest,
        results=manifest.results,
        layer=layer,
        previous=layers[number - 1] if number > 0 else None,
        next=layers[number + 1] if number + 1 < len(layers) else None,
        silent=sum(not unit.places for unit in layer.units),
        ratio=min(layer.small_px[1] / layer.small_px[0], TALLEST),
        name_unit=name_unit_page,
        root="../",
    )


def _render_units(
    environment: Environment, manifest: Manifest[LayersResults], layer: LayerSheets
) -> Iterator[tuple[str, str]]:
    template = environment.get_template("unit.html")
    half = measure_half(layer)
    units = (None, *layer.units, None)
    for previous, unit, following in zip(units, layer.units, units[2:], strict=False):
        page = template.render(
            manifest=manifest,
            results=manifest.results,
            layer=layer,
            unit=unit,
            half=half,
            previous=previous and name_unit_page(previous.unit),
            next=following and name_unit_page(following.unit),
            root="../",
        )
        yield f"{layer.folder}/{name_unit_page(unit.unit)}", page


def name_unit_page(unit: int) -> str:
    """Name a unit's page in the folder of its layer.

    Example:
        >>> name_unit_page(12)
        'unit-0012.html'
    """
    return f"unit-{unit:04d}.html"


def choose_units(layer: LayerSheets, count: int = STRIP) -> list[UnitSheets]:
    """Choose units for a layer's card: evenly spread over those that are not silent."""
    shown = [unit for unit in layer.units if unit.small]
    count = min(count, len(shown))
    return [shown[len(shown) * index // count] for index in range(count)]


def measure_half(layer: LayerSheets) -> Half:
    """Measure the tiles in either half of a layer's large sheets.

    Raises:
        ManifestError: If the gaps leave no room for the tiles.
    """
    rows, columns = layer.grid
    (width, height), (gap, split) = layer.large_px, layer.large_gaps
    half = (width - split) / 2
    across, down = (half - gap * (columns - 1)) / columns, (height - gap * (rows - 1)) / rows
    if across <= 0 or down <= 0:
        raise ManifestError(
            f"layer {layer.name!r}: sheets of {width} × {height} px have no room for "
            f"{rows} × {columns} tiles with gaps of {gap} and {split} px"
        )
    marks = tuple(
        Mark(
            left=100 * column * (across + gap) / half,
            top=100 * row * (down + gap) / height,
            width=100 * across / half,
            height=100 * down / height,
        )
        for row in range(rows)
        for column in range(columns)
    )
    return Half(width_px=half, height_px=height, share=width / half, marks=marks)
