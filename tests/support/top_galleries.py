"""Small galleries of layers on disk, for the tests of their pages."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from tests.support.galleries import COLOURS, change_results, make_net
from vizcnn.gallery.manifest import Failure, Manifest, Photo
from vizcnn.pages.layers.records import (
    LayerEvidence,
    LayerSheets,
    PhotoData,
    Place,
    UnitSheets,
    name_folders,
)
from vizcnn.pages.layers.site_pages import LayersResults

SIDE = 64
PHOTOS = 12
GRID = (3, 3)
TOP = GRID[0] * GRID[1]
WINDOW = (20, 24)
SMALL_GAPS, LARGE_GAPS = (1, 4), (2, 10)
NASTY_NAMES = (
    "<script>alert(1)</script>.jpg",
    "\"quoted\" & 'single'.jpg",
    "Жук/каф é #1?%20.jpg",
    "caf\udce9.jpg",
)


def measure_sheet(tile: tuple[int, int], gaps: tuple[int, int]) -> tuple[int, int]:
    """Width and height of a sheet of tiles (height, width) with gaps (inner, between halves)."""
    rows, columns = GRID
    half = columns * tile[1] + (columns - 1) * gaps[0]
    return 2 * half + gaps[1], rows * tile[0] + (rows - 1) * gaps[0]


def paint_sheet(
    file: Path, unit: int, places: int, tile: tuple[int, int], gaps: tuple[int, int]
) -> None:
    """Tiles in colours that tell units and ranks apart; the left half is paler than the right."""
    width, height = measure_sheet(tile, gaps)
    sheet = Image.new("RGB", (width, height), (128, 128, 128))
    for half in range(2):
        for rank in range(places):
            row, column = divmod(rank, GRID[1])
            colour = tuple(
                (c + 17 * unit + 9 * rank) % 200 // (2 - half) for c in COLOURS[rank % 3]
            )
            corner = (
                half * (width + gaps[1]) // 2 + column * (tile[1] + gaps[0]),
                row * (tile[0] + gaps[0]),
            )
            sheet.paste(Image.new("RGB", (tile[1], tile[0]), colour), corner)
    file.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(file, quality=80)


def measure_strength(unit: int, rank: int) -> float:
    """An order by activation, and one by spread, that are neither each other's nor the numbers'."""
    strongest = 10.0 + unit * 7 % 13
    return strongest * (1 - rank * (1 + unit * 5 % 11) / 100)


def measure_selectivity(unit: int, rank: int) -> float:
    """An order of its own; the median is that of rank 4."""
    return (unit * 3 % 11) / 12 + rank / 200


def make_place(unit: int, rank: int, flat: bool = False) -> Place:
    top, left = (unit * 3 + rank) % 40, (unit * 5 + 2 * rank) % 36
    return Place(
        photo=(unit + rank) % PHOTOS,
        activation=measure_strength(unit, rank),
        position=None if flat else (rank, unit % 16),
        box=(0, 0, SIDE, SIDE) if flat else (top, left, top + WINDOW[0], left + WINDOW[1]),
        corner=(0, 0) if flat else (top, left),
        selectivity=measure_selectivity(unit, rank),
        compared=9,
        active=51 if rank else 9,
        effective_number=1.2 + 0.1 * rank,
    )


def make_unit(folder: Path, layer: str, unit: int, **changes: Any) -> UnitSheets:
    home = f"{layer}/sheets"
    made = UnitSheets(
        unit=unit,
        spread=1 - measure_strength(unit, TOP - 1) / measure_strength(unit, 0),
        selectivity=measure_selectivity(unit, TOP // 2),
        places=tuple(make_place(unit, rank) for rank in range(TOP)),
        command=f"vizcnn gallery 'my photos' --model zfnet --layer {layer} --unit {unit}",
        small=f"{home}/{unit}-small.webp",
        large=f"{home}/{unit}-large.webp",
    )
    made = replace(made, **changes)
    for name, factor, gaps in ((made.small, 1, SMALL_GAPS), (made.large, 2, LARGE_GAPS)):
        if name:
            tile = (WINDOW[0] // 2 * factor, WINDOW[1] // 2 * factor)
            paint_sheet(folder / name, unit, len(made.places), tile, gaps)
    return made


def make_silent(unit: int) -> UnitSheets:
    return UnitSheets(
        unit=unit, spread=None, places=(), command="vizcnn gallery", small=None, large=None
    )


def make_top_layer(
    folder: Path, name: str, home: str, units: int, silent: tuple[int, ...] = (), **changes: Any
) -> LayerSheets:
    tile = (WINDOW[0] // 2, WINDOW[1] // 2)
    layer = LayerSheets(
        name=name,
        path=f"features.{name}",
        folder=home,
        units_total=units,
        map_size=(16, 16),
        receptive_field=WINDOW,
        stride=(4, 4),
        window=WINDOW,
        computed="windows",
        scaling="each by its largest value",
        grid=GRID,
        small_px=measure_sheet(tile, SMALL_GAPS),
        large_px=measure_sheet((2 * tile[0], 2 * tile[1]), LARGE_GAPS),
        large_gaps=LARGE_GAPS,
        evidence=LayerEvidence(
            effective_number=1.24, places=99, compared=9, active=51, selectivity=0.46, sampled=99
        ),
        units=tuple(
            make_silent(unit) if unit in silent else make_unit(folder, home, unit)
            for unit in range(units)
        ),
    )
    return replace(layer, **changes)


def make_source(folder: Path, number: int, name: str) -> Photo:
    file = folder / f"photos/{number:04d}.webp"
    file.parent.mkdir(parents=True, exist_ok=True)
    shade = Image.linear_gradient("L").resize((SIDE, SIDE)).rotate(30 * number)
    Image.merge("RGB", (shade, shade.transpose(Image.Transpose.ROTATE_90), shade)).save(file)
    return Photo(name=name, sha256="cd" * 32, image=file.relative_to(folder).as_posix())


def make_top_manifest(
    folder: Path,
    units: int = 12,
    layers: tuple[str, ...] = ("conv1", "conv2"),
    silent: tuple[int, ...] = (5,),
    names: tuple[str, ...] = NASTY_NAMES,
    **changes: Any,
) -> Manifest[LayersResults]:
    """A net's gallery with its images; the photos bear ``names`` first, then plain ones."""
    plain = tuple(f"beetles/{number:02d}.jpg" for number in range(PHOTOS))
    manifest = Manifest(
        kind="gallery",
        vizcnn="0.1.0",
        command="vizcnn gallery 'my photos' --model zfnet",
        title="ZFNet",
        settings={"top": TOP, "layers": list(layers)},
        versions={"torch": "2.9.1"},
        nets=(make_net(side=SIDE),),
        photos=tuple(
            make_source(folder, number, name)
            for number, name in enumerate((*names, *plain)[:PHOTOS])
        ),
        failures=(Failure(source="broken <b>.jpg", error="it is cut off"),),
        results=LayersResults(
            method="deconvnet",
            method_source="Zeiler & Fergus 2014",
            data=PhotoData(describe="folder 'my photos'", count=1200),
            layers=tuple(
                make_top_layer(folder, name, home, units, silent)
                for name, home in zip(layers, name_folders(layers), strict=True)
            ),
        ),
    )
    return replace(manifest, **changes)


def change_layer(
    manifest: Manifest[LayersResults], number: int = 0, **changes: Any
) -> Manifest[LayersResults]:
    layers = list(manifest.results.layers)
    layers[number] = replace(layers[number], **changes)
    return change_results(manifest, layers=tuple(layers))


def name_classes(manifest: Manifest[LayersResults], number: int = 0) -> Manifest[LayersResults]:
    """Give the units of a layer the names in NASTY_NAMES, in turn, as if they were classes."""
    units = tuple(
        replace(unit, name=NASTY_NAMES[unit.unit % len(NASTY_NAMES)])
        for unit in manifest.results.layers[number].units
    )
    return change_layer(manifest, number, units=units)
