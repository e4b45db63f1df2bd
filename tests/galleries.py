"""Small galleries on disk, for the tests of manifest, pages and browser."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from vizcnn.gallery.manifest import (
    DeconvManifest,
    Failure,
    FilterManifest,
    FilterTile,
    LayerSection,
    PhotoSection,
    UnitTile,
    Weights,
)

WEIGHTS = Weights(
    describe="bundled ZFNet",
    source="zfnet.safetensors",
    licence="MIT",
    top1=0.61,
    top5=0.87,
    sha256="ab" * 32,
)
SIZE = 32
COLOURS = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (128, 128, 128)]


def paint(folder: Path, name: str, size: tuple[int, int], colour: tuple[int, int, int]) -> str:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(file)
    return name


def make_tile(folder: Path, key: str, unit: int) -> UnitTile:
    top, left, bottom, right = box = (unit, 2 * unit, unit + 8, 2 * unit + 12)
    size = (right - left, bottom - top)
    return UnitTile(
        unit=unit,
        activation=10.0 - unit / 4,
        position=(unit, 2 * unit),
        box=box,
        projection=paint(folder, f"{key}-{unit}-projection.png", size, COLOURS[unit % 4]),
        patch=paint(folder, f"{key}-{unit}-patch.png", size, COLOURS[(unit + 1) % 4]),
        width_px=size[0],
        height_px=size[1],
    )


def make_layer(folder: Path, photo: str, name: str, units: int = 4) -> LayerSection:
    return LayerSection(
        name=name,
        path=f"features.{name}",
        maps=96,
        map_size=(16, 16),
        receptive_field=12,
        tiles=tuple(make_tile(folder, f"{photo}/{name}", unit) for unit in range(units)),
        scaling="each by its largest value",
        figure=paint(folder, f"{photo}/{name}.png", (SIZE, SIZE), COLOURS[0]),
    )


def make_photo(folder: Path, name: str, key: str | None = None) -> PhotoSection:
    key = key or name
    return PhotoSection(
        name=name,
        source=f"photos/{name}",
        sha256="cd" * 32,
        size=(640, 480),
        input_size=(SIZE, SIZE),
        image=paint(folder, f"{key}/photo.png", (SIZE, SIZE), COLOURS[3]),
        predictions=(("cat", 0.9), ("dog", 0.0996), ("snail", 0.0004)),
        layers=tuple(make_layer(folder, key, layer) for layer in ("conv1", "conv2")),
    )


def make_deconv(
    folder: Path, *names: str, failures: tuple[Failure, ...] = (), **changes: Any
) -> DeconvManifest:
    manifest = DeconvManifest(
        vizcnn="0.1.0",
        command="vizcnn deconv --model zfnet --image 'a cat.png'",
        model="zfnet",
        title="ZFNet",
        method="deconvnet",
        method_source="Zeiler & Fergus 2014",
        weights=WEIGHTS,
        settings={"top": 4, "shared_scale": False, "layers": ["conv1", "conv2"]},
        versions={"torch": "2.9.1", "python": "3.11"},
        photos=tuple(make_photo(folder, name, f"p{index}") for index, name in enumerate(names)),
        failures=failures,
    )
    return replace(manifest, **changes)


def make_filters(folder: Path, count: int = 5) -> FilterManifest:
    tiles = [
        FilterTile(
            index=index,
            rms=0.1 / (index + 1),
            rough=(index * 3 % count) / count,
            image=paint(folder, f"filter-{index}.png", (7, 7), COLOURS[index % 4]),
            width_px=7,
            height_px=7,
        )
        for index in range(count)
    ]
    (folder / "filters.pdf").write_bytes(b"%PDF-1.4")
    return FilterManifest(
        vizcnn="0.1.0",
        command="vizcnn filters --model zfnet",
        model="zfnet",
        title="ZFNet",
        layer="conv1",
        path="features.0",
        weights=WEIGHTS,
        scaling="each by its largest value",
        figures=("filters.pdf", paint(folder, "filters.png", (64, 64), COLOURS[3])),
        filters=tuple(tiles),
    )
