"""All exhibits of the lecture, in its order."""

from collections.abc import Iterator
from functools import partial

from vizcnn.lecture import (
    augmentation,
    dropout,
    history,
    inclusions,
    momentum,
    normalisation,
    overlapping_pooling,
    pages,
    relu_tanh,
    ten_crop,
)
from vizcnn.lecture.exhibits import Exhibit
from vizcnn.lecture.nets import NETS
from vizcnn.lecture.size_figure import ALEXNET_DEEP, ALEXNET_INPUT, ALEXNET_POOLS, LENET, VGG

_CHAPTERS = (
    ("spectra", "Spectra of first-layer filters"),
    ("shares", "What the stride folds"),
    ("zone-plate", "A zone plate through the first layer"),
    ("gratings", "A grating that the stride cannot keep"),
    ("sweep", "All gratings through the first layer"),
    ("shifts", "Features of a photo that moves"),
    ("cure", "Blur before subsampling"),
    ("second-layer", "Second-layer projections"),
    ("grids", "The grid in the projections"),
)
"""Pictures of the aliasing lab; its first, the filters, is the figure of vizcnn filters here."""


def _list_nets(section: str) -> Iterator[Exhibit]:
    """List architecture and layer table of every net of a section."""
    for name, net in NETS.items():
        if net.section == section:
            yield Exhibit(
                f"{name}-architecture",
                section,
                f"{net.title}: architecture to scale",
                partial(pages.make_architecture, name=name),
            )
            yield Exhibit(
                f"{name}-layers",
                section,
                f"{net.title}: layers",
                partial(pages.make_layers, name=name),
            )


def _list_overview() -> Iterator[Exhibit]:
    yield Exhibit("depth", "overview", "Error rates and depth by year", history.make_depth)
    yield Exhibit("nets", "overview", "All nets in numbers", pages.make_net_table)


def _list_lenet() -> Iterator[Exhibit]:
    section = "lenet"
    yield from _list_nets(section)
    yield Exhibit(
        "lenet-pattern", section, "LeNet’s pattern", partial(pages.make_patterns, nets=("lenet",))
    )
    yield Exhibit(
        "lenet-sizes",
        section,
        "LeNet: how large is the output?",
        partial(pages.make_sizes, title="LeNet: how large is the output?", questions=LENET),
    )


def _list_alexnet() -> Iterator[Exhibit]:
    section = "alexnet"
    yield Exhibit("alexnet-input", section, "Input processing", augmentation.make_input)
    yield Exhibit("alexnet-relu", section, "ReLU against tanh", relu_tanh.make_relu_tanh)
    yield Exhibit(
        "alexnet-lrn", section, "Local response normalisation", normalisation.make_normalisation
    )
    yield Exhibit(
        "alexnet-pooling",
        section,
        "Overlapping pooling",
        overlapping_pooling.make_overlapping_pooling,
    )
    yield Exhibit("alexnet-crops", section, "Ten crops", augmentation.make_ten_crops)
    yield Exhibit(
        "alexnet-crops-measured",
        section,
        "Averaging over crops, measured",
        ten_crop.make_ten_crop_measures,
    )
    yield Exhibit("alexnet-colours", section, "Colour augmentation", augmentation.make_colours)
    yield Exhibit("alexnet-dropout", section, "Dropout", dropout.make_dropout)
    yield Exhibit("alexnet-momentum", section, "Momentum with weight decay", momentum.make_momentum)
    yield Exhibit("alexnet-ensembles", section, "Averaging over nets", history.make_ensembles)
    for name, questions in (
        ("input", ALEXNET_INPUT),
        ("pools", ALEXNET_POOLS),
        ("deep", ALEXNET_DEEP),
    ):
        title = "AlexNet: how large is the output?"
        yield Exhibit(
            f"alexnet-sizes-{name}",
            section,
            title,
            partial(pages.make_sizes, title=title, questions=questions),
        )
    yield Exhibit(
        "alexnet-parameters",
        section,
        "How many trainable parameters?",
        pages.make_parameter_questions,
    )
    yield from _list_nets(section)
    yield Exhibit(
        "alexnet-towers-differences",
        section,
        "Two towers against one",
        partial(pages.make_differences, first="alexnet", second="alexnet-towers"),
    )


def _list_zfnet() -> Iterator[Exhibit]:
    section = "zfnet"
    yield Exhibit(
        "zfnet-differences",
        section,
        "ZFNet against AlexNet",
        partial(pages.make_differences, first="alexnet", second="zfnet"),
    )
    yield from _list_nets(section)
    yield Exhibit(
        "zfnet-errors", section, "Error rates of ZFNet’s paper", history.make_zfnet_errors
    )
    for method, title in (("deconvnet", "Deconvnet"), ("guided", "Guided backprop")):
        yield Exhibit(
            f"zfnet-{method}",
            section,
            f"{title}: what units see",
            partial(inclusions.make_projections, method=method),
        )
    yield Exhibit("zfnet-filters", section, "First-layer filters", inclusions.make_filters)
    yield Exhibit(
        "zfnet-filter-measures",
        section,
        "First-layer filters in numbers",
        inclusions.make_filter_measures,
    )
    for name, title in _CHAPTERS:
        yield Exhibit(
            f"zfnet-aliasing-{name}", section, title, partial(inclusions.make_chapter, name=name)
        )


def _list_vgg() -> Iterator[Exhibit]:
    section = "vgg"
    yield Exhibit(
        "vgg-patterns",
        section,
        "VGG’s patterns",
        partial(pages.make_patterns, nets=tuple(f"vgg-{letter}" for letter in "abcde")),
    )
    yield Exhibit("vgg-filters", section, "One 7×7 against three 3×3", pages.make_stacks)
    yield Exhibit(
        "vgg-sizes",
        section,
        "VGG: how large is the output?",
        partial(pages.make_sizes, title="VGG: how large is the output?", questions=VGG),
    )
    yield Exhibit("vgg-memory", section, "VGG-16: memory and parameters", pages.make_memory)
    yield Exhibit(
        "vgg-shares", section, "Where VGG-16’s parameters and memory are", pages.make_shares
    )
    yield from _list_nets(section)
    yield Exhibit(
        "vgg-c-differences",
        section,
        "VGG C against D",
        partial(pages.make_differences, first="vgg-d", second="vgg-c"),
    )
    for name, place in (
        ("single", "single scale (Table 3)"),
        ("multi", "several scales (Table 4)"),
    ):
        title = f"VGG: error rates (%), {place}"
        yield Exhibit(
            f"vgg-errors-{name}",
            section,
            title,
            partial(history.make_vgg_errors, name=f"vgg-{name}-scale", title=title),
        )


def _list_googlenet() -> Iterator[Exhibit]:
    section = "googlenet"
    for name in ("naive", "reduced"):
        words = "naive" if name == "naive" else "with 1×1 reductions"
        title = f"Inception module, {words}"
        yield Exhibit(f"inception-{name}", section, title, partial(pages.make_module, name=name))
        yield Exhibit(
            f"inception-{name}-operations",
            section,
            f"{title}: operations",
            partial(pages.make_module_operations, name=name, title=title),
        )
    yield Exhibit("googlenet-table", section, "GoogLeNet’s table, computed", pages.make_googlenet)
    yield Exhibit(
        "googlenet-table-paper",
        section,
        "GoogLeNet’s table, as printed",
        pages.make_googlenet_paper,
    )
    yield from _list_nets(section)


def _list_resnet() -> Iterator[Exhibit]:
    yield from _list_nets("resnet")


def _list_claims() -> Iterator[Exhibit]:
    yield Exhibit("claims", "claims", "All claims", pages.make_claims)
    for name, title, in_tables in (
        ("claims-slips", "What does not hold", False),
        ("claims-table-slips", "What does not hold in GoogLeNet’s table", True),
    ):
        yield Exhibit(name, "claims", title, partial(pages.make_slips, in_tables=in_tables))


EXHIBITS: tuple[Exhibit, ...] = (
    *_list_overview(),
    *_list_lenet(),
    *_list_alexnet(),
    *_list_zfnet(),
    *_list_vgg(),
    *_list_googlenet(),
    *_list_resnet(),
    *_list_claims(),
)
"""Everything that ``vizcnn lecture`` makes."""
