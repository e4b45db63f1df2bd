"""Error rates and depth by year, ensembles and VGG's tables: figures of the papers, drawn."""

from collections.abc import Sequence
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vizcnn.drawing.net_colours import find_net_colour
from vizcnn.drawing.sheet import BODY, MARGIN, SMALL, Slide
from vizcnn.drawing.style import letter_size, plain_style, tone
from vizcnn.drawing.table_figure import draw_table
from vizcnn.drawing.tables import Table
from vizcnn.lecture.citations import cite_table
from vizcnn.lecture.nets import NETS, count_layers
from vizcnn.lecture.studio import Made, Studio, exhibit
from vizcnn.measures.published import read_published

_NETS = {
    "AlexNet": "alexnet",
    "ZFNet (Clarifai)": "zfnet",
    "VGG": "vgg-e",
    "GoogLeNet": "googlenet",
}
_NETS["ResNet"] = "resnet-152"


@exhibit("depth", "overview", "Error rates and depth by year")
def make_depth(studio: Studio) -> Made:
    """Draw the winners' error rates with their depth; the depth is counted where there is a net."""
    told = read_published()
    source = told.table("errors-by-year")
    entries = [
        (int(str(year)), str(entry), told.figure(str(figure)))
        for year, entry, _, figure in source.rows
    ]
    depths = [count_layers(_NETS[name]) if name in _NETS else None for _, name, _ in entries]
    caption = (
        "Top-5 error of ImageNet challenges’ entries (cited: "
        + "; ".join(f"{item.value:g} %: {told.cite(item)}" for _, _, item in entries)
        + "). Layers: counted on the built nets, VGG as E, ResNet as ResNet-152; 2010 and 2011 had "
        "no deep nets. 2013 is Clarifai’s entry, beside which the lecture sets ZFNet."
    )

    @plain_style()
    def draw() -> Figure:
        slide = Slide(5.0, "Fewer errors with more layers", caption)
        axes = slide.plot(
            1.0, slide.top + 0.3, slide.width - 1.3 - MARGIN, 4.1, "", "top-5 error (%)"
        )
        colours = [_find_colour(name) for _, name, _ in entries]
        _plot_bars(axes, [item.value for _, _, item in entries], colours)
        for place, ((_, _, item), depth) in enumerate(zip(entries, depths, strict=True)):
            layers = f"\n{depth} layers" if depth else "\nshallow"
            axes.text(
                place,
                item.value + 0.6,
                f"{item.value:g}{layers}",
                fontsize=letter_size(SMALL + 1),
                ha="center",
                va="bottom",
            )
        names = [f"{name}\n{year}" for year, name, _ in entries]
        axes.set_xticks(range(len(entries)), names, fontsize=letter_size(SMALL))
        axes.set_ylim(0, 35)
        return slide.figure

    rows = tuple(
        (str(year), name, depth, item.value, told.cite(item), item.note or None)
        for (year, name, item), depth in zip(entries, depths, strict=True)
    )
    first, last = entries[0][2].value, entries[-1][2].value
    text = f"Bars of error rates falling from {first:g} to {last:g} %"
    columns = ("year", "entry", "layers", "top-5 error (%)", "source", "note")
    table = Table("Error rates and depth", columns, rows)
    return Made(caption, draw, table, text)


def _find_colour(entry: str) -> str:
    """Give the colour of an entry's net; grey where there is none."""
    return find_net_colour(NETS[_NETS[entry]].model) if entry in _NETS else tone("#999999")


def _plot_bars(axes: Axes, values: Sequence[float], colours: Sequence[str]) -> None:
    axes.bar(range(len(values)), values, width=0.62, color=list(colours))
    axes.grid(visible=False, axis="x")
    axes.tick_params(axis="x", length=0)


@exhibit("alexnet-ensembles", "alexnet", "Averaging over nets")
def make_ensembles(studio: Studio) -> Made:
    """Draw AlexNet's validation errors by the number of nets that are averaged."""
    told = read_published()
    items = [(count, told.figure(f"alexnet-{count}")) for count in (1, 5, 7)]
    caption = (
        "Averaging the outputs of several nets: top-5 validation error, cited from "
        f"{told.cite(items[0][1])}. The seven include two that were trained on the whole ImageNet "
        "of fall 2011 before, so not all of the last step is due to averaging."
    )

    @plain_style()
    def draw() -> Figure:
        slide = Slide(4.3, "AlexNet: several nets are better than one", caption)
        axes = slide.plot(
            1.0,
            slide.top + 0.1,
            slide.width - 1.0 - MARGIN,
            3.6,
            "nets averaged",
            "top-5 error (%)",
        )
        colours = [find_net_colour("alexnet")] * len(items)
        _plot_bars(axes, [item.value for _, item in items], colours)
        for place, (_, item) in enumerate(items):
            axes.text(
                place, item.value + 0.3, f"{item.value:g}", fontsize=letter_size(BODY), ha="center"
            )
        axes.set_xticks(range(len(items)), [f"{count}" for count, _ in items])
        axes.set_ylim(0, 21)
        return slide.figure

    return Made(
        caption,
        draw,
        cite_table("alexnet-errors", "AlexNet: error rates (%)"),
        f"Bars of {', '.join(f'{item.value:g}' for _, item in items)} %",
    )


def make_vgg_errors(studio: Studio, name: str, title: str) -> Made:
    """Draw a table of VGG's error rates."""
    table = cite_table(name, title)
    best = min(float(str(row[-1])) for row in table.rows)
    nets = ", ".join(sorted({str(row[0]) for row in table.rows if row[-1] == best}))
    layers = {f"vgg-{letter}": count_layers(f"vgg-{letter}") for letter in "abcde"}
    caption = (
        f"Lowest top-5 error: {best:g} % ({nets}). Layers, counted: "
        + ", ".join(f"{NETS[net].title[-1]} {count}" for net, count in layers.items())
        + "."
    )
    return Made(caption, partial(draw_table, table, caption), table, title)


@exhibit("zfnet-errors", "zfnet", "Error rates of ZFNet’s paper")
def make_zfnet_errors(studio: Studio) -> Made:
    """Draw the error rates of ZFNet's paper."""
    table = cite_table("zfnet-errors", "ZFNet: error rates on ImageNet 2012 (%)")
    caption = (
        "The 11.7 % that the lecture sets against AlexNet’s 16.4 % is Clarifai’s entry of 2013, "
        "not "
        "one of these nets."
    )
    return Made(caption, partial(draw_table, table, caption), table, "Error rates of ZFNet’s paper")


for _name, _place in (("single", "single scale (Table 3)"), ("multi", "several scales (Table 4)")):
    _title = f"VGG: error rates (%), {_place}"
    _table = f"vgg-{_name}-scale"
    exhibit(f"vgg-errors-{_name}", "vgg", _title, name=_table, title=_title)(make_vgg_errors)
