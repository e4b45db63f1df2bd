"""Small galleries on disk, for the tests of manifest, pages and browser."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from vizcnn.gallery.manifest import Failure, Manifest, Net, PageFigure, Photo
from vizcnn.measures.filter_numbers import FilterSummary
from vizcnn.pages.aliasing import AliasingResults, NetAliasing
from vizcnn.pages.aliasing_story import Measure
from vizcnn.pages.control import Control, ControlUnit
from vizcnn.pages.deconv import DeconvResults, LayerSection, PhotoSection, UnitTile
from vizcnn.pages.filters import FilterResults, FilterTile, NetFilters
from vizcnn.zoo.provenance import Provenance

WEIGHTS = Provenance(
    source="bundled",
    data="birds",
    licence="MIT",
    top1=0.61,
    top5=0.87,
    sha256="ab" * 32,
)
SIZE = 32
COLOURS = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (128, 128, 128)]


def make_net(model: str = "zfnet", title: str = "ZFNet", side: int = SIZE) -> Net:
    return Net(model=model, title=title, input_size=(side, side), classes=110, weights=WEIGHTS)


def paint(folder: Path, name: str, size: tuple[int, int], colour: tuple[int, int, int]) -> str:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(file)
    return name


def make_tile(folder: Path, key: str, unit: int, compared: bool = False) -> UnitTile:
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
        selectivity=0.08 + 0.3 * unit if compared else None,
        compared=33 if compared else None,
        active=51 if compared else None,
        command=f"vizcnn deconv --unit {unit}",
        python=f"import vizcnn\nunit = {unit}  # <b>",
    )


def make_control(folder: Path, key: str) -> Control:
    units = tuple(
        ControlUnit(
            unit=unit,
            activation=10.0 - unit,
            selectivity=0.08,
            compared=33,
            active=51,
            whole=paint(folder, f"{key}/control-{unit}-whole.png", (12, 8), COLOURS[unit]),
            own=paint(folder, f"{key}/control-{unit}-own.png", (12, 8), COLOURS[unit + 1]),
        )
        for unit in (0, 2)
    )
    return Control(
        units=(units[0], units[1]),
        cosine=0.93,
        own_cosine=None,
        patch=paint(folder, f"{key}/control-patch.png", (12, 8), COLOURS[3]),
        width_px=12,
        height_px=8,
        scaling="each by its own",
        figure=paint(folder, f"{key}/control.png", (SIZE, SIZE), COLOURS[0]),
    )


def make_layer(folder: Path, photo: str, name: str, units: int = 4) -> LayerSection:
    key, compared = f"{photo}/{name}", name == "conv2"
    return LayerSection(
        name=name,
        path=f"features.{name}",
        maps=96,
        map_size=(16, 16),
        receptive_field=12,
        tiles=tuple(make_tile(folder, key, unit, compared) for unit in range(units)),
        scaling="each by its largest value",
        figure=paint(folder, f"{photo}/{name}.png", (SIZE, SIZE), COLOURS[0]),
        places=paint(folder, f"{photo}/{name}-places.png", (SIZE, SIZE), COLOURS[1]),
        overlay=paint(folder, f"{photo}/{name}-overlay.png", (SIZE, SIZE), COLOURS[2]),
        effective_number=1.23 if compared else None,
        control=make_control(folder, key) if compared and units else None,
    )


def make_photo(folder: Path, name: str, key: str) -> tuple[Photo, PhotoSection]:
    photo = Photo(
        name=name,
        source=f"photos/{name}",
        sha256="cd" * 32,
        image=paint(folder, f"{key}/photo.png", (SIZE, SIZE), COLOURS[3]),
    )
    section = PhotoSection(
        size=(640, 480),
        predictions=(("cat", 0.9), ("dog", 0.0996), ("snail", 0.0004)),
        layers=tuple(make_layer(folder, key, layer) for layer in ("conv1", "conv2")),
        figure=paint(folder, f"{key}/summary.png", (SIZE, SIZE), COLOURS[0]),
    )
    return photo, section


def make_deconv(
    folder: Path, *names: str, failures: tuple[Failure, ...] = (), **changes: Any
) -> Manifest[DeconvResults]:
    made = [make_photo(folder, name, f"p{index}") for index, name in enumerate(names)]
    manifest = Manifest(
        kind="deconv",
        vizcnn="0.1.0",
        command="vizcnn deconv 'a cat.png' --model zfnet",
        title="ZFNet",
        settings={"top": 4, "shared_scale": False, "layers": ["conv1", "conv2"]},
        versions={"torch": "2.9.1", "python": "3.11"},
        nets=(make_net(),),
        photos=tuple(photo for photo, _ in made),
        failures=failures,
        results=DeconvResults(
            method="deconvnet",
            method_source="Zeiler & Fergus 2014",
            photos=tuple(section for _, section in made),
        ),
    )
    return replace(manifest, **changes)


def change_results(manifest: Manifest[Any], **changes: Any) -> Manifest[Any]:
    return replace(manifest, results=replace(manifest.results, **changes))


def change_layers(
    manifest: Manifest[DeconvResults], *layers: LayerSection
) -> Manifest[DeconvResults]:
    """Give the first photo other layers, and leave out the others."""
    photo = replace(manifest.results.photos[0], layers=layers)
    return replace(change_results(manifest, photos=(photo,)), photos=manifest.photos[:1])


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


def make_filter_net(folder: Path, model: str, count: int, **changes: Any) -> NetFilters:
    net = NetFilters(
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


def make_filters(folder: Path, count: int = 5, several: bool = False) -> Manifest[FilterResults]:
    """One net's first layer, or two nets of which one shows a deeper layer."""
    (folder / "numbers.pdf").write_bytes(b"%PDF-1.4")
    nets, made = [make_net()], [make_filter_net(folder, "zfnet", count)]
    if several:
        deep = {"layer": "conv2", "first": False, "unit": "cycles/map px", "groups": 2}
        nets.append(make_net("alexnet", "AlexNet conv2"))
        made.append(make_filter_net(folder, "alexnet", count, clipped=3, **deep))
    return Manifest(
        kind="filters",
        vizcnn="0.1.0",
        command="vizcnn filters --model zfnet",
        title=f"{' and '.join(net.title for net in nets)}: filters",
        nets=tuple(nets),
        figures=(
            PageFigure(
                title="The filters",
                file=paint(folder, "filters.png", (64, 64), COLOURS[3]),
                text="Grid of filters",
            ),
            PageFigure(title="In numbers", file="numbers.pdf", text="Bars", note="a note"),
        ),
        results=FilterResults(
            scaling="each by its largest value", notes=("sorted by energy",), nets=tuple(made)
        ),
    )


def make_aliasing(
    folder: Path, caption: str = "It folds.", title: str = "AlexNet"
) -> Manifest[AliasingResults]:
    """Two nets, a picture that a browser shows and one that it does not."""
    (folder / "grids.pdf").write_bytes(b"%PDF-1.4")
    return Manifest(
        kind="aliasing",
        vizcnn="0.1.0",
        command="vizcnn aliasing --model alexnet --model zfnet",
        title=f"Aliasing: {title}, ZFNet",
        nets=(make_net(title.lower(), title), make_net()),
        photos=(Photo(name="a.png", source="a.png", sha256="ab" * 32),),
        failures=(Failure(source="", error="'bad <i>.png' cannot be read"),),
        figures=(
            PageFigure(
                title="What a stride folds",
                file=paint(folder, "spectra.png", (1500, 900), COLOURS[3]),
                text="Spectra",
                note=caption,
            ),
            PageFigure(title="The grid", file="grids.pdf", text="Curves", note="A grid."),
        ),
        results=AliasingResults(
            photos="3 photos",
            period=4,
            table=(
                Measure(name="stride", meaning="step", form="count", values=(4.0, 2.0)),
                Measure(
                    name="alias share", meaning="folded", form="percent", values=(0.081, 0.0135)
                ),
                Measure(name="grid artefact", meaning="ratio", form="number", values=(3.06, None)),
            ),
            nets=tuple(
                NetAliasing(
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
                for stride in (4, 2)
            ),
        ),
    )
