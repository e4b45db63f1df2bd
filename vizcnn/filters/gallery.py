"""Filters of one net or of several -> grids, charts, a page and tables of measures."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from matplotlib.figure import Figure

from vizcnn import __version__
from vizcnn.errors import ModelError, VizcnnError
from vizcnn.filters.charts import draw_numbers
from vizcnn.filters.exhibit import DEAD, FilterExhibit, FilterSettings
from vizcnn.filters.figures import draw_filters
from vizcnn.filters.parts import PART_WORDS
from vizcnn.filters.views import ORDER_WORDS, SCALING_WORDS
from vizcnn.gallery.filter_manifest import FilterManifest
from vizcnn.gallery.records import PageFigure
from vizcnn.gallery.site import write_gallery
from vizcnn.output import write_folder
from vizcnn.photo_gallery import list_versions
from vizcnn.saving import save_figure
from vizcnn.zoo.model import ZooModel

ZF_FOUND = (
    "Zeiler & Fergus (section 4.1) found in AlexNet’s first layer “a mix of extremely high and low "
    "frequency information, with little coverage of the mid frequencies”"
)

MOST_NAMED = 4
"""Nets that a heading names; more are counted."""


def make_filter_gallery(
    models: ZooModel | Sequence[ZooModel],
    folder: Path,
    settings: FilterSettings | None = None,
    command: str = "",
) -> FilterManifest:
    """Draw filters and write pictures, index.html and manifest.json.

    Args:
        models: One net of the zoo, or several to be set side by side.
        folder: Where the gallery goes; complete or untouched.
        settings: What to show and how.
        command: The command that repeats the run.

    Returns:
        What was written, as in manifest.json.

    Raises:
        ModelError: If there is no net, or one does not begin with a convolution of colours or grey.
        LayerError: If a layer or unit does not exist, no single convolution makes the layer, or
            it has not the asked part.
        VizcnnError: If there are neither one layer nor as many as nets.
    """
    settings = settings or FilterSettings()
    exhibits = _read(models, settings)
    with write_folder(folder) as staging:
        manifest = FilterManifest(
            vizcnn=__version__,
            command=command,
            title=name_run(exhibits),
            scaling=SCALING_WORDS[settings.scaling],
            notes=tuple(_list_notes(settings)),
            figures=tuple(_draw_figures(exhibits, settings, staging)),
            nets=tuple(
                exhibit.write(staging / f"net-{number}")
                for number, exhibit in enumerate(exhibits, start=1)
            ),
            settings=asdict(settings),
            versions=list_versions(),
        )
        write_gallery(manifest, staging)
    return manifest


def _read(
    models: ZooModel | Sequence[ZooModel], settings: FilterSettings
) -> tuple[FilterExhibit, ...]:
    nets = (models,) if isinstance(models, ZooModel) else tuple(models)
    if not nets:
        raise ModelError("no net is named; needed: at least one, for example zfnet")
    layers: tuple[str | None, ...] = settings.layers or (None,)
    if len(layers) not in (1, len(nets)):
        raise VizcnnError(
            f"{len(layers)} layers for {len(nets)} net(s); needed: one for all, or one for each"
        )
    wanted = layers * len(nets) if len(layers) == 1 else layers
    names = _name_apart(nets, wanted)
    return tuple(
        FilterExhibit(net, layer, name, settings)
        for net, layer, name in zip(nets, wanted, names, strict=True)
    )


def _name_apart(nets: Sequence[ZooModel], layers: Sequence[str | None]) -> list[str]:
    """Name nets by title and layer; where one comes twice, by weights too, or else by number."""
    named = [
        f"{net.title} {layer}" if layer else net.title
        for net, layer in zip(nets, layers, strict=True)
    ]
    sources = [f"{name}, {net.provenance.source}" for name, net in zip(named, nets, strict=True)]
    numbers = [f"{name}, {number}" for number, name in enumerate(named, start=1)]
    for names in (named, sources):
        if len(set(names)) == len(names):
            return names
    return numbers


def name_run(exhibits: Sequence[FilterExhibit]) -> str:
    """Give the heading of a run: its nets and layers."""
    nets = list(dict.fromkeys(exhibit.model.title for exhibit in exhibits))
    layers = list(dict.fromkeys(exhibit.layer.name for exhibit in exhibits))
    who = join_words(nets) if len(nets) <= MOST_NAMED else f"{len(nets)} nets"
    return f"{who}: filters of {join_words(layers)}"


def join_words(words: Iterable[str]) -> str:
    """Join words as one says them.

    Example:
        >>> join_words(["AlexNet", "ZFNet", "VGG-16"])
        'AlexNet, ZFNet and VGG-16'
    """
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _list_notes(settings: FilterSettings) -> Iterable[str]:
    yield from filter(None, (PART_WORDS[settings.part], ORDER_WORDS[settings.order]))


def _draw_figures(
    exhibits: Sequence[FilterExhibit], settings: FilterSettings, staging: Path
) -> Iterable[PageFigure]:
    title = name_run(exhibits)
    save = _Saver(staging, settings.figure_format)
    yield save(
        draw_grid(exhibits, settings, title),
        "filters",
        "Side by side" if len(exhibits) > 1 else "The filters",
        f"Grid of filters. {title}",
    )
    if settings.clip is not None:
        yield save(
            _draw_clipping(exhibits, settings.clip),
            "clipping",
            "Feature scale clipping",
            "The filters without and with feature scale clipping, side by side",
            "As Figure 6 (a) and (c) of Zeiler & Fergus, whose (c) was trained with clipping: here "
            "the same weights are clipped once. RMS of the weights as the net holds them.",
        )
    yield save(
        draw_measures(exhibits, title),
        "numbers",
        "In numbers",
        "Mean shares of low, mid and high frequency, and every filter by orientation and frequency",
    )


class _Saver:
    def __init__(self, staging: Path, kind: str) -> None:
        self.staging, self.kind = staging, kind

    def __call__(
        self, figure: Figure, name: str, title: str, text: str, note: str = ""
    ) -> PageFigure:
        file = f"{name}.{self.kind}"
        save_figure(figure, self.staging / file)
        return PageFigure(title=title, file=file, text=text, note=note)


def draw_grid(exhibits: Sequence[FilterExhibit], settings: FilterSettings, title: str) -> Figure:
    """Draw the filters of nets side by side, with the scaling and the weights in the caption."""
    several = len(exhibits) > 1
    words = [SCALING_WORDS[settings.scaling], *_list_notes(settings)]
    first = exhibits[0]
    if not several:
        words = [first.model.provenance.describe(), first.size, *words]
    if any(not exhibit.layer.is_first for exhibit in exhibits):
        words.append(
            "each block: one filter's kernels, one per input channel (of its group), in rows; "
            "of 1 × 1 one cell each"
        )
    if any(len(exhibit.indices) < exhibit.summary.filters for exhibit in exhibits):
        words.append(", ".join(dict.fromkeys(exhibit.shown for exhibit in exhibits)))
    panels = [exhibit.make_panel(several) for exhibit in exhibits]
    if any(
        exhibit.has_dead and panel.labels for exhibit, panel in zip(exhibits, panels, strict=True)
    ):
        words.append(f"{DEAD} dead")
    return draw_filters(panels, title, " · ".join(words))


def _draw_clipping(exhibits: Sequence[FilterExhibit], radius: float) -> Figure:
    panels = [panel for exhibit in exhibits for panel in exhibit.make_clipped_panels(radius)]
    nets = dict.fromkeys(
        f"{exhibit.model.title}: {exhibit.model.provenance.describe()}" for exhibit in exhibits
    )
    caption = " · ".join(
        [
            *nets,
            f"clipping: filters above an RMS of {radius:g} are scaled back to it (Zeiler & Fergus "
            "2013, arXiv 1311.2901, section 3.1); here once, after training",
            f"{SCALING_WORDS['zf']}, each panel by itself",
        ]
    )
    return draw_filters(panels, "Feature scale clipping", caption, in_row=2)


def draw_measures(exhibits: Sequence[FilterExhibit], title: str) -> Figure:
    """Draw the measures of nets' filters, with their definitions in the caption."""
    units = list(dict.fromkeys(exhibit.unit for exhibit in exhibits))
    nets = dict.fromkeys(
        f"{exhibit.model.title}: {exhibit.model.provenance.describe()}" for exhibit in exhibits
    )
    words = [
        *nets,
        "energy: squared magnitude of the Fourier transform, summed over channels; peak: where it "
        "is largest (0: low-pass); none: as much energy in all directions; width: between the "
        "points of half amplitude; peak and width are medians; the borders of the bands are ours",
    ]
    if all(exhibit.layer.is_first for exhibit in exhibits):
        words.append(ZF_FOUND)
    charted = [exhibit.chart() for exhibit in exhibits]
    return draw_numbers(charted, " or ".join(units), f"{title} in numbers", " · ".join(words))
