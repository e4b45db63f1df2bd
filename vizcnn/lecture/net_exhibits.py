"""Exhibits that are a drawing or a table of nets: each brings numbers and their words together."""

from collections.abc import Sequence
from functools import partial

from matplotlib.figure import Figure

from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.sheet import BODY, MARGIN, SMALL, Slide
from vizcnn.drawing.style import letter_size, plain_style, points, tone
from vizcnn.drawing.table_figure import draw_table
from vizcnn.drawing.tables import Cell, Table
from vizcnn.lecture.architecture_figure import draw_architecture
from vizcnn.lecture.claim_measures import count_all_outputs, count_layer_parameters, count_megabytes
from vizcnn.lecture.claims import Claim, count_verdicts, list_claims, say_verdicts
from vizcnn.lecture.comparison import make_difference_table
from vizcnn.lecture.googlenet_table import make_googlenet_table
from vizcnn.lecture.history import cite_table
from vizcnn.lecture.inception_figure import draw_module
from vizcnn.lecture.inception_module import (
    build_naive,
    build_reduced,
    make_module_table,
    measure_module,
)
from vizcnn.lecture.layer_tables import make_layer_table, make_slide_table
from vizcnn.lecture.memory_table import make_memory_table, measure_shares
from vizcnn.lecture.nets import NETS, count_layers, count_parameters, find_net, trace_net
from vizcnn.lecture.patterns import derive_pattern, list_words
from vizcnn.lecture.size_figure import draw_sizes, say_questions
from vizcnn.lecture.sizes import SizeQuestion, count_filter_parameters
from vizcnn.lecture.stacks import draw_stacks, make_stack_table
from vizcnn.lecture.studio import SECTIONS, Made, Studio

_MODULES = {"naive": build_naive, "reduced": build_reduced}


def make_architecture(studio: Studio, name: str) -> Made:
    """Draw a net to scale."""
    net = find_net(name)
    rows = trace_net(name)
    branches = any(row.kind in ("concat", "add") for row in rows)
    pattern = "" if branches else f": {derive_pattern(rows)}"
    caption = (
        f"{count_layers(name)} layers with weights on the longest way, {count_parameters(name):,} "
        f"parameters{pattern}. Sizes from running the net."
    )
    draw = partial(draw_architecture, name, caption)
    return Made(caption, draw, text=f"The feature maps of {net.title} as boxes, to scale")


def make_layers(studio: Studio, name: str) -> Made:
    """Draw a net's layer table; the files hold every operation."""
    shown = make_slide_table(name)
    operations = len(trace_net(name))
    caption = f"The files list all {operations} operations."
    return Made(caption, partial(draw_table, shown, caption), make_layer_table(name), shown.title)


def make_net_table(studio: Studio) -> Made:
    """Draw all nets in numbers."""
    rows = tuple(
        (
            net.title,
            count_layers(name),
            count_parameters(name),
            sum(row.multiply_adds for row in trace_net(name)),
            make_slide_table(name).rows[-1][7],
        )
        for name, net in NETS.items()
    )
    columns = ("net", "layers", "parameters", "multiply-adds", "activations")
    table = Table("The lecture’s nets", columns, rows)
    caption = (
        "Layers: convolutions and fully connected layers on the longest way. Parameters with "
        "biases. Activations: of the image and every layer, what works in place not counted again."
    )
    return Made(caption, partial(draw_table, table, caption), table)


def make_patterns(studio: Studio, nets: Sequence[str]) -> Made:
    """Draw nets as patterns that were derived from their layers."""
    rows = tuple(
        (
            find_net(name).title,
            derive_pattern(trace_net(name)),
            sum(word in ("CONV", "FC", "OUT") for word in list_words(trace_net(name))),
        )
        for name in nets
    )
    title = "Patterns, derived from the layers"
    table = Table(title, ("net", "pattern", "layers with weights"), rows)
    caption = "OUT is the last fully connected layer; what is repeated stands once, with a factor."
    return Made(caption, partial(draw_table, table, caption), table)


def make_sizes(studio: Studio, title: str, questions: Sequence[tuple[str, SizeQuestion]]) -> Made:
    """Draw worked size questions."""
    caption = f"(input + 2·pad − filter) / stride + 1. {say_questions(questions)}"
    return Made(
        caption, partial(draw_sizes, questions, title, caption), text="Windows along an input"
    )


def make_parameter_questions(studio: Studio) -> Made:
    """Answer the lecture's questions on parameters, by formula and by counting."""
    first = count_filter_parameters(96, 11, 3)
    rows = (
        ("conv1", "96 · (11·11·3 + 1)", first, count_layer_parameters("alexnet", "conv1")),
        ("pool1", "nothing is learned", 0, count_layer_parameters("alexnet", "pool1")),
        (
            "conv2",
            "256 · (5·5·96 + 1)",
            count_filter_parameters(256, 5, 96),
            count_layer_parameters("alexnet", "conv2"),
        ),
        (
            "conv2, two towers",
            "256 · (5·5·48 + 1)",
            count_filter_parameters(256, 5, 48),
            count_layer_parameters("alexnet-towers", "conv2"),
        ),
    )
    title = "How many trainable parameters?"
    table = Table(title, ("layer", "formula", "by formula", "counted on the net"), rows)
    caption = "A filter has a weight for each pixel and map that it sees, and a bias."
    return Made(caption, partial(draw_table, table, caption), table)


def make_differences(studio: Studio, first: str, second: str) -> Made:
    """Draw a table of the differences between two nets."""
    table = make_difference_table(first, second)
    caption = (
        f"Parameters: {find_net(first).title} {count_parameters(first):,}, "
        f"{find_net(second).title} {count_parameters(second):,}."
    )
    shown = make_difference_table(first, second, only_chosen=True)
    return Made(caption, partial(draw_table, shown, caption), table)


def make_stacks(studio: Studio) -> Made:
    """Draw one 7 x 7 against three 3 x 3."""
    table = make_stack_table()
    seven, three = table.rows
    caption = (
        f"{seven[1]} against {three[1]} weights (C maps in and out, no biases), so "
        f"{1 - int(str(three[2])) / int(str(seven[2])):.0%} fewer, with {three[4]} rectifiers "
        "instead of "
        f"{seven[4]}. Grey: what a unit on top sees; orange: one window of the next layer. With "
        "pad 1 "
        "the three keep the size of their input and the one does not."
    )
    return Made(caption, partial(draw_stacks, caption), table, "Nested windows of 3×3 that see 7×7")


def make_memory(studio: Studio) -> Made:
    """Draw the lecture's table of VGG's memory and parameters."""
    table = make_memory_table("vgg-d")
    caption = (
        f"{count_all_outputs('vgg-d'):,} numbers, {count_megabytes('vgg-d'):.1f} MB in float32 "
        "for one image going forward."
    )
    return Made(caption, partial(draw_table, table, caption), table)


def make_shares(studio: Studio) -> Made:
    """Draw where VGG-16's parameters, memory and operations are."""
    shares = measure_shares("vgg-d")
    caption = (
        "VGG-16 (D), without biases. Fully connected layers: "
        + ", ".join(
            f"{parts['fully connected']:.1%} of the {what}" for what, parts in shares.items()
        )
        + " (the image’s not counted)."
    )
    columns = ("what", *next(iter(shares.values())))
    rows: list[tuple[Cell, ...]] = [
        (what, *(round(share, 4) for share in parts.values())) for what, parts in shares.items()
    ]
    table = Table("Shares of VGG-16’s layers", columns, tuple(rows))
    return Made(caption, partial(_draw_shares, shares, caption), table, "Stacked bars of shares")


def _draw_shares(shares: dict[str, dict[str, float]], caption: str) -> Figure:
    with plain_style():
        slide = Slide(3.9, "VGG-16: where parameters, memory and operations are", caption)
        axes = slide.plot(2.0, slide.top + 0.6, slide.width - 2.2 - MARGIN, 2.5, "share (%)")
        names = list(next(iter(shares.values())))
        for row, parts in enumerate(shares.values()):
            left = 0.0
            for number, share in enumerate(parts.values()):
                axes.barh(row, 100 * share, left=left, color=COLOURS[number], height=0.62)
                if share > 0.04:
                    axes.text(
                        left + 50 * share,
                        row,
                        f"{share:.0%}",
                        fontsize=letter_size(SMALL),
                        ha="center",
                        va="center",
                        bbox={"facecolor": tone("white"), "edgecolor": "none", "pad": points(1.5)},
                    )
                left += 100 * share
        axes.set_yticks(range(len(shares)), list(shares), fontsize=letter_size(BODY))
        axes.invert_yaxis()
        axes.set_xlim(0, 100)
        for number, name in enumerate(names):
            slide.say(f"■ {name}", MARGIN + 2.0 + 2.3 * number, slide.top, color=COLOURS[number])
    return slide.figure


def make_module(studio: Studio, name: str) -> Made:
    """Draw the lecture's inception module with the sizes of its parts."""
    cost = measure_module(_MODULES[name]())
    caption = (
        f"{cost.multiply_adds:,} multiply-adds, {cost.weights:,} weights; {cost.outputs[0]} maps "
        "come "
        "out. Traced on the built module."
    )
    return Made(
        caption, partial(draw_module, name, caption), text=f"The {name} module as boxes and arrows"
    )


def make_module_operations(studio: Studio, name: str, title: str) -> Made:
    """Draw the operations of the lecture's inception module."""
    table = make_module_table(_MODULES[name](), f"{title}: operations")
    naive, reduced = (measure_module(build()).multiply_adds for build in _MODULES.values())
    caption = f"Naive over reduced: {naive:,} / {reduced:,} = {naive / reduced:.2f}."
    return Made(caption, partial(draw_table, table, caption), table)


def make_googlenet(studio: Studio) -> Made:
    """Draw GoogLeNet's table from the net."""
    table = make_googlenet_table()
    caption = f"With biases the net has {count_parameters('googlenet'):,} parameters."
    return Made(caption, partial(draw_table, table, caption), table)


def make_googlenet_paper(studio: Studio) -> Made:
    """Draw GoogLeNet's table as the paper prints it."""
    table = cite_table("googlenet", "GoogLeNet, as the paper prints it")
    caption = "Where its params and ops differ from the computed table is told among the claims."
    return Made(caption, partial(draw_table, table, caption), table)


def make_claims(studio: Studio) -> Made:
    """Make the table of all claims, for the page and for files."""
    claims = list_claims()
    table = make_claims_table(claims, "The lecture’s numeric claims")
    return Made(f"{say_verdicts(claims)}.", table=table)


def make_slips(studio: Studio, in_tables: bool) -> Made:
    """Draw what does not hold, in the lecture's tables or beside them."""
    claims = list_claims()
    table = make_slips_table(claims, in_tables)
    slips = count_verdicts(claims)["does not hold"]
    caption = (
        f"{len(table.rows)} of the {slips} that do not hold; {say_verdicts(claims)}. Why is told "
        "in the table of all claims."
    )
    return Made(caption, partial(draw_table, table, caption), table)


def make_claims_table(claims: tuple[Claim, ...], title: str) -> Table:
    """Make a table of claims."""
    return Table(
        title,
        (
            "section",
            "quote",
            "what",
            "claimed",
            "computed",
            "verdict",
            "how",
            "note",
        ),
        tuple(
            (
                SECTIONS[claim.section],
                f"“{claim.quote}”",
                claim.what,
                claim.claimed,
                claim.computed or None,
                claim.verdict,
                claim.how,
                claim.why or None,
            )
            for claim in claims
        ),
    )


_SHORT = {**SECTIONS, "overview": "by year"}
"""Sections' titles, short enough for a slide."""
TABLE_ROW = "table row"
"""How claims begin that are rows of a table."""


def make_slips_table(claims: tuple[Claim, ...], in_tables: bool) -> Table:
    """Make a short table of what does not hold, for a slide.

    Args:
        claims: All claims.
        in_tables: Only the rows of the lecture's tables; else only what is said beside.
    """
    slips = tuple(
        claim
        for claim in claims
        if claim.verdict == "does not hold" and claim.what.startswith(TABLE_ROW) == in_tables
    )
    title = "What does not hold" + (" in GoogLeNet’s table" if in_tables else "")
    rows = tuple((_SHORT[c.section], c.what, c.claimed, c.computed or None) for c in slips)
    return Table(title, ("section", "what", "claimed", "computed"), rows)
