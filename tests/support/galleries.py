"""Small galleries on disk, for the tests of manifest, pages and browser."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from vizcnn.gallery.aliasing_manifest import AliasingManifest, AliasingNet, Measure
from vizcnn.gallery.deconv_manifest import (
    DeconvManifest,
    Failure,
    LayerSection,
    PhotoSection,
    UnitTile,
)
from vizcnn.gallery.filter_manifest import FilterManifest, FilterNet, FilterTile
from vizcnn.gallery.records import PageFigure, Weights
from vizcnn.measures.filter_numbers import FilterSummary

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


SUMMARY = FilterSummary(
    filters=96,
    dead=1,
    lowpass=40,
    oriented=50,
    energy=4.07,
    low=0.5,
    mid=0.3,
    high=0.2,
    peak=0.113,
    selectivity=0.4,
    bandwidth=2.1,
    colour=0.42,
    channels_used=2.7,
)


def make_filter(folder: Path, key: str, index: int, count: int) -> FilterTile:
    return FilterTile(
        index=index,
        image=paint(folder, f"{key}-{index}.png", (7, 7), COLOURS[index % 4]),
        width_px=7,
        height_px=7,
        energy=1.0 / (index + 1),
        rms=0.1 / (index + 1),
        dead=index == count - 1,
        low=(index * 3 % count) / count,
        mid=0.0,
        high=1 - (index * 3 % count) / count,
        peak=0.1 * index,
        orientation=(90.0, None, 45.0)[index % 3],
        selectivity=0.5,
        bandwidth=(None, 1.5)[index % 2],
        colour=0.25,
        strongest_channel=2,
        strongest_share=0.5,
        channels_used=2.5,
    )


def make_filter_net(folder: Path, model: str, title: str, count: int, **changes: Any) -> FilterNet:
    net = FilterNet(
        model=model,
        title=title,
        weights=WEIGHTS,
        layer="the first layer",
        path="features.0",
        first=True,
        kernel=(7, 7),
        channels=3,
        groups=1,
        stride=(2, 2),
        unit="cycles/px",
        summary=SUMMARY,
        shown=f"all {count} filters",
        filters=tuple(make_filter(folder, model, index, count) for index in range(count)),
    )
    return replace(net, **changes)


def make_filters(folder: Path, count: int = 5, several: bool = False) -> FilterManifest:
    """One net's first layer, or two nets of which one shows a deeper layer."""
    (folder / "numbers.pdf").write_bytes(b"%PDF-1.4")
    nets = [make_filter_net(folder, "zfnet", "ZFNet", count)]
    if several:
        deep = {"layer": "conv2", "first": False, "unit": "cycles/map px", "groups": 2}
        nets.append(make_filter_net(folder, "alexnet", "AlexNet conv2", count, clipped=3, **deep))
    return FilterManifest(
        vizcnn="0.1.0",
        command="vizcnn filters --model zfnet",
        title=f"{' and '.join(net.title for net in nets)}: filters",
        scaling="each by its largest value",
        notes=("sorted by energy",),
        figures=(
            PageFigure(
                title="The filters",
                file=paint(folder, "filters.png", (64, 64), COLOURS[3]),
                text="Grid of filters",
            ),
            PageFigure(title="In numbers", file="numbers.pdf", text="Bars", note="a note"),
        ),
        nets=tuple(nets),
    )


def make_aliasing(
    folder: Path, caption: str = "It folds.", title: str = "AlexNet"
) -> AliasingManifest:
    """Two nets, a picture that a browser shows and one that it does not."""
    (folder / "grids.pdf").write_bytes(b"%PDF-1.4")
    nets = [
        AliasingNet(
            model=name.lower(),
            title=name,
            weights=WEIGHTS,
            path="features.conv1",
            kernel=(11, 11),
            stride=stride,
            limit=0.5 / stride,
            dead=0,
            predicted=(0.1, 0.2),
            measured=(0.1, 0.3),
            units=(0, 5),
            grids=(1.5, None),
        )
        for name, stride in ((title, 4), ("ZFNet", 2))
    ]
    return AliasingManifest(
        vizcnn="0.1.0",
        command="vizcnn aliasing --model alexnet --model zfnet",
        title=f"Aliasing: {title}, ZFNet",
        photos="3 photos",
        sources=("a.png",),
        sha256=("ab" * 32,),
        figures=(
            PageFigure(
                title="What a stride folds",
                file=paint(folder, "spectra.png", (1500, 900), COLOURS[3]),
                text="Spectra",
                note=caption,
            ),
            PageFigure(title="The grid", file="grids.pdf", text="Curves", note="A grid."),
        ),
        table=(
            Measure(name="stride", meaning="step", form="count", values=(4.0, 2.0)),
            Measure(name="alias share", meaning="folded", form="percent", values=(0.081, 0.0135)),
            Measure(name="grid artefact", meaning="ratio", form="number", values=(3.06, None)),
        ),
        nets=tuple(nets),
        failures=("'bad <i>.png' cannot be read",),
    )
