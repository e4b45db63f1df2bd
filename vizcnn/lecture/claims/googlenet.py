"""The lecture's claims on GoogLeNet."""

from collections.abc import Iterator
from dataclasses import replace

from vizcnn.lecture.claim_measures import (
    can_shrink,
    count_kind,
    count_module_operations,
    count_stage_operations,
    count_stage_weights,
    divide_module_operations,
    divide_parameters,
    find_module_operations,
    find_module_output,
    find_module_padding,
    find_module_size,
    find_stage_output,
)
from vizcnn.lecture.claims.record import Claim, cite, judge, read_number
from vizcnn.lecture.nets import count_layers, count_parameters
from vizcnn.lecture.published import read_published

SECTION = "googlenet"
NET = "googlenet"

_STAGES = (
    ("conv1", "2.7K", "34M"),
    ("conv2", "112K", "360M"),
    ("inception3a", "159K", "128M"),
    ("inception3b", "380K", "304M"),
    ("inception4a", "364K", "73M"),
    ("inception4b", "437K", "88M"),
    ("inception4c", "463K", "100M"),
    ("inception4d", "580K", "119M"),
    ("inception4e", "840K", "170M"),
    ("inception5a", "1072K", "54M"),
    ("inception5b", "1388K", "71M"),
    ("fc", "1000K", "1M"),
)
"""Params and ops of the rows of the lecture's table, which is the paper's Table 1."""

_STAGE_NOTES = {
    "conv1": "Both figures of the row fit 2,688 = 2·7·3·64 weights; filters of 7×7×3 have 9,408.",
}
_TABLE_SLIP = "The paper’s Table 1 has it so, but the row’s own filter counts give another number."


def list_claims() -> list[Claim]:
    """Check the lecture's slides on GoogLeNet."""
    return [*_check_size(), *_check_naive(), *_check_reduced(), *_check_table(), *_cite_training()]


def _check_size() -> Iterator[Claim]:
    yield judge(
        SECTION,
        "22 layers (deeper)",
        "layers with weights on the longest way",
        "22",
        count_layers,
        NET,
    )
    yield judge(
        SECTION,
        "Gets rid of fully connected layers",
        "fully connected layers",
        "0",
        count_kind,
        NET,
        "fc",
        why="One is left, from 1,024 averages to the 1,000 classes.",
    )
    yield judge(
        SECTION,
        "Has only 5 million parameters",
        "parameters",
        "5M",
        count_parameters,
        NET,
        why=_say_millions(),
    )
    yield judge(
        SECTION,
        "about 12x less than AlexNet",
        "parameters of AlexNet over GoogLeNet’s",
        "12x",
        divide_parameters,
        "alexnet-towers",
        NET,
        why="12 needs the 5 million; the paper claims it too.",
    )
    yield judge(
        SECTION,
        "27x less than VGGNet",
        "parameters of VGG-16 over GoogLeNet’s",
        "27x",
        divide_parameters,
        "vgg-d",
        NET,
        why="27 needs the 5 million.",
    )
    yield judge(
        SECTION,
        "Again, 12x less params than AlexNet",
        "parameters of AlexNet over GoogLeNet’s, again",
        "12x",
        divide_parameters,
        "alexnet-towers",
        NET,
        why="As above.",
    )


def _say_millions() -> str:
    table = sum(read_number(params) for _, params, _ in _STAGES) / 1e6
    heads = count_parameters("googlenet-training") / 1e6
    five = count_parameters("alexnet-towers") / 12e6
    return (
        f"The lecture’s own table adds up to {table:.1f}M, the net has {heads:.1f}M with the "
        f"auxiliary heads while training. A twelfth of AlexNet’s parameters is {five:.1f}M."
    )


def _check_naive() -> Iterator[Claim]:
    yield judge(
        SECTION,
        "size of the output of the 128 1x1 convolutions",
        "answer to the question",
        "28×28×128",
        find_module_size,
        "naive",
        1,
    )
    yield judge(
        SECTION,
        "keep the output size consistent for the 192 3x3",
        "answer: padding",
        "1",
        find_module_padding,
        "naive",
        3,
    )
    yield judge(
        SECTION,
        "ever have smaller depth (3rd dimension)",
        "answer",
        "no",
        can_shrink,
        why="!The pooling keeps all 256 maps of the input.",
    )
    for quote, size, maps, claimed in (
        ("28*28*256*1*1*128", 1, 128, "25,690,112"),
        ("28*28*256*3*3*192", 3, 192, "356,816,512"),
        ("28*28*256*5*5*96", 5, 96, "481,689,600"),
    ):
        yield judge(
            SECTION,
            quote,
            f"{size}×{size} convolution, naive",
            claimed,
            find_module_operations,
            "naive",
            size,
            maps,
            256,
            why="A digit is wrong: 346, not 356.",
        )
    yield judge(
        SECTION,
        "SUM = 864,196,224",
        "operations of the naive module",
        "864,196,224",
        count_module_operations,
        "naive",
        why="The slip of the 3×3 row, carried on.",
    )


def _check_reduced() -> Iterator[Claim]:
    for quote, size, maps, reads, claimed in (
        ("1x1x128 conv", 1, 128, 256, "25,690,112"),
        ("28*28*256*1*1*64 = 12,845,056", 1, 64, 256, "12,845,056"),
        ("28*28*64*3*3*192", 3, 192, 64, "86,704,128"),
        ("28*28*64*5*5*96", 5, 96, 64, "120,422,400"),
    ):
        yield judge(
            SECTION,
            quote,
            f"{size}×{size} convolution on {reads} maps, reduced",
            claimed,
            find_module_operations,
            "reduced",
            size,
            maps,
            reads,
        )
    yield judge(
        SECTION,
        "SUM: 271,351,808",
        "operations with 1×1 reductions",
        "271,351,808",
        count_module_operations,
        "reduced",
    )
    yield judge(
        SECTION,
        "28x28x480",
        "output with 1×1 reductions",
        "28×28×480",
        find_module_output,
        "reduced",
    )
    yield judge(
        SECTION,
        "by almost 4x in this example",
        "operations, naive over reduced",
        "4x",
        divide_module_operations,
        why=f"With the lecture’s own sums it is {864_196_224 / 271_351_808:.1f}.",
    )


def _check_table() -> Iterator[Claim]:
    told = read_published()
    outputs = {str(row[0]): str(row[2]) for row in told.table("googlenet").rows}
    for stage, params, ops in _STAGES:
        note = _STAGE_NOTES.get(stage, _TABLE_SLIP)
        yield _drop_idle_note(
            judge(
                SECTION,
                params,
                f"table row {stage}: params",
                params,
                count_stage_weights,
                stage,
                kibi=True,
                why=note,
            )
        )
        yield _drop_idle_note(
            judge(
                SECTION,
                ops,
                f"table row {stage}: ops",
                ops,
                count_stage_operations,
                stage,
                why=note,
            )
        )
        if stage.startswith("inception"):
            size = outputs[f"inception ({stage.removeprefix('inception')})"]
            yield judge(SECTION, size, f"table row {stage}: output", size, find_stage_output, stage)
    yield judge(SECTION, "Total layers: 22", "sum of the table’s depths", "22", count_layers, NET)


def _drop_idle_note(claim: Claim) -> Claim:
    """Keep the note on a slip only where there is one."""
    return claim if claim.verdict == "does not hold" else replace(claim, why="")


def _cite_training() -> Iterator[Claim]:
    told = read_published()
    yield judge(
        SECTION,
        "Used 144 crops per image",
        "4 scales · 3 squares · 6 crops · 2 mirrored",
        "144",
        multiply_crops,
        4,
        3,
        6,
        2,
    )
    for quote, name, claimed in (
        ("(w/ error rate 6.7%)", "ilsvrc-2014", "6.7 %"),
        ("Won ILSVRC '14", "ilsvrc-2014", "6.7 %"),
        ("minor effect (0.5%)", "googlenet-head-effect", "0.5 %"),
        ("Their loss is multiplied by 0.3", "googlenet-head-weight", "0.3"),
        ("Decrease learning rate by 4% every 8 epochs", "googlenet-rate", "4 %"),
        ("Averaged results of 7 GoogLeNets", "googlenet-nets", "7"),
    ):
        item = told.figure(name)
        yield cite(SECTION, quote, item.unit or name, claimed, told.cite(item), item.note)
    source = told.sources["googlenet"]
    for quote, what, claimed in (
        ("from 8 to 100% of the area", "share of the area of a patch", "8 to 100 %"),
        ("aspect ratios 3x4 or 4x3", "aspect ratios", "3/4 to 4/3"),
        ("SGD with 0.9 momentum", "momentum", "0.9"),
    ):
        yield cite(SECTION, quote, what, claimed, f"{source.authors} {source.year}, section 6")


def multiply_crops(scales: int, squares: int, crops: int, mirrored: int) -> int:
    """Count the crops of an image (Szegedy et al. 2014, section 7).

    Example:
        >>> multiply_crops(4, 3, 6, 2)
        144
    """
    return scales * squares * crops * mirrored
