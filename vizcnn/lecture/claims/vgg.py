"""The lecture's claims on VGG."""

from collections.abc import Iterator

from vizcnn.lecture.claim_measures import (
    count_all_outputs,
    count_bytes,
    count_dropouts,
    count_fc_weights,
    count_kind,
    count_layer_weights,
    count_megabytes,
    count_outputs,
    count_with_rectifiers,
    find_output,
    give_feature_pattern,
    list_windows,
    reduce_published,
    span_layers,
)
from vizcnn.lecture.claims.record import Claim, cite, judge
from vizcnn.lecture.nets import count_layers, count_parameters
from vizcnn.lecture.published import read_published
from vizcnn.lecture.stacks import SEVEN, THREE, find_fields, find_output_change, give_factor

SECTION = "vgg"
NET = "vgg-d"

_ROWS: tuple[tuple[str, str, str, str], ...] = (
    ("conv1_1", "224×224×64", "~3.2M", "1,728"),
    ("conv1_2", "224×224×64", "~3.2M", "36,864"),
    ("pool1", "112×112×64", "~800K", "0"),
    ("conv2_1", "112×112×128", "~1.6M", "73,728"),
    ("conv2_2", "112×112×128", "~1.6M", "147,456"),
    ("pool2", "56×56×128", "~400K", "0"),
    ("conv3_1", "56×56×256", "~800K", "294,912"),
    ("conv3_2", "56×56×256", "~800K", "589,824"),
    ("conv3_3", "56×56×256", "~800K", "589,824"),
    ("pool3", "28×28×256", "~200K", "0"),
    ("conv4_1", "28×28×512", "~400K", "1,179,648"),
    ("conv4_2", "28×28×512", "~400K", "2,359,296"),
    ("conv4_3", "28×28×512", "~400K", "2,359,296"),
    ("pool4", "14×14×512", "~100K", "0"),
    ("conv5_1", "14×14×512", "~100K", "2,359,296"),
    ("conv5_2", "14×14×512", "~100K", "2,359,296"),
    ("conv5_3", "14×14×512", "~100K", "2,359,296"),
    ("pool5", "7×7×512", "~25K", "0"),
    ("fc6", "4096", "4096", "102,760,448"),
    ("fc7", "4096", "4096", "16,777,216"),
    ("fc8", "1000", "1000", "4,096,000"),
)
"""The lecture's memory and parameter table: layer, size, outputs, parameters without biases."""


def list_claims() -> list[Claim]:
    """Check the lecture's slides on VGG."""
    return [*_check_form(), *_check_filters(), *_check_table(), *_check_sums(), *_cite_training()]


def _check_form() -> Iterator[Claim]:
    letters = zip("ABCDE", (11, 13, 16, 16, 19), strict=True)
    for letter, layers in letters:
        yield judge(
            SECTION,
            f"{letter} - {layers}",
            f"layers with weights of {letter}",
            str(layers),
            count_layers,
            f"vgg-{letter.lower()}",
        )
    yield judge(
        SECTION,
        "increased the network architecture to 16-19 layers",
        "layers with weights of C, D, E",
        "16-19",
        span_layers,
        "vgg-c",
        "vgg-d",
        "vgg-e",
    )
    yield judge(
        SECTION, "Instead of 8 layers (AlexNet)", "layers of AlexNet", "8", count_layers, "alexnet"
    )
    yield judge(
        SECTION,
        "[CONVx2-POOL]x3 -> [CONVx3-POOL]x2 -> FC x 3",
        "pattern of VGG-16 (D)",
        "[CONVx2-POOL]x3 - [CONVx3-POOL]x2",
        give_feature_pattern,
        NET,
        why="The factors are swapped: written so there would be 15 layers, not 16; the lecture’s "
        "own table has two blocks of two and three of three.",
    )
    yield judge(SECTION, "FC x 3", "fully connected layers of D", "3", count_kind, NET, "fc")
    yield judge(
        SECTION,
        "3x3 with stride 1, pad 1",
        "windows of all convolutions",
        "3×3, stride 1, pad 1",
        list_windows,
        NET,
        "conv",
    )
    yield judge(
        SECTION,
        "2x2 max pool with stride 2",
        "windows of all poolings",
        "2×2, stride 2, pad 0",
        list_windows,
        NET,
        "max pool",
    )
    yield judge(
        SECTION,
        "C had three 1x1 conv layers",
        "1×1 convolutions of C",
        "3",
        count_kind,
        "vgg-c",
        "conv",
        1,
    )
    yield judge(
        SECTION,
        "They disposed of the local response normalization",
        "such layers of D",
        "0",
        count_kind,
        NET,
        "norm",
    )
    yield judge(
        SECTION, "Dropout for first two FC layers", "dropouts of D", "2", count_dropouts, NET
    )
    yield judge(
        SECTION,
        "approximately a 40% reduction",
        "relative reduction from 11.7 to 7.3 (per cent)",
        "~40%",
        reduce_published,
        "ilsvrc-2013",
        "ilsvrc-2014-vgg",
    )


def _check_filters() -> Iterator[Claim]:
    yield judge(SECTION, "49 · c²", "weights of one 7×7 layer, over C²", "49", give_factor, SEVEN)
    yield judge(
        SECTION, "27 · C²", "weights of three 3×3 layers, over C²", "27", give_factor, THREE
    )
    yield judge(
        SECTION,
        "Wout = Win - 7 + 2 + 1 = Win - 4",
        "change of the side by one 7×7, pad 1",
        "-4",
        find_output_change,
        SEVEN,
    )
    yield judge(
        SECTION,
        "three 3x3 filters, pad = 1: (win, him)",
        "change of the side by three 3×3, pad 1",
        "0",
        find_output_change,
        THREE,
        why="!With pad 1 the stack keeps the size and the 7×7 does not; both see the same 7×7 px.",
    )
    yield judge(
        SECTION,
        "Think receptive fields",
        "fields after one, two, three 3×3 (px)",
        "3, 5, 7",
        _join_fields,
        THREE,
    )


def _join_fields(stack: object) -> str:
    assert stack is THREE
    return ", ".join(str(field) for field in find_fields(THREE))


def _check_table() -> Iterator[Claim]:
    yield judge(
        SECTION, "224*224*3 ~ 150K", "numbers of the input", "~150K", count_outputs, NET, "input"
    )
    for layer, size, outputs, weights in _ROWS:
        place = f"table row {layer}"
        yield judge(
            SECTION, f"[{_write_ascii(size)}]", f"{place}: output", size, find_output, NET, layer
        )
        yield judge(
            SECTION,
            outputs.replace("~", "~ "),
            f"{place}: numbers put out",
            outputs,
            count_outputs,
            NET,
            layer,
        )
        yield judge(SECTION, weights, f"{place}: weights", weights, count_layer_weights, NET, layer)


def _write_ascii(size: str) -> str:
    return size.replace("×", "x") if "×" in size else f"1x1x{size}"


def _check_sums() -> Iterator[Claim]:
    yield judge(
        SECTION,
        "Every activation is 4B",
        "bytes of a number in float32",
        "4",
        count_bytes,
    )
    yield judge(
        SECTION,
        "24M * 4 bytes",
        "numbers put out by all layers",
        "24M",
        count_all_outputs,
        NET,
        why=f"The table’s own rows add up to {count_all_outputs(NET) / 1e6:.1f}M. Where 24M comes "
        "from is not known: it stands in older course notes too, and keeping every ReLU’s output "
        f"apart would make {count_with_rectifiers(NET) / 1e6:.1f}M.",
    )
    yield judge(
        SECTION,
        "= 96MB for one forward pass",
        "memory of one forward pass (MB)",
        "96",
        count_megabytes,
        NET,
        why="It follows from the 24M.",
    )
    yield judge(
        SECTION,
        "Total parameters: 138M",
        "parameters, biases included",
        "138M",
        count_parameters,
        NET,
    )
    yield judge(
        SECTION,
        "FC layers: 122 M",
        "weights of the fully connected layers",
        "122M",
        count_fc_weights,
        NET,
        why=f"The table’s own three rows add up to {count_fc_weights(NET) / 1e6:.1f}M.",
    )


def _cite_training() -> Iterator[Claim]:
    told = read_published()
    for row in told.table("vgg-multi-scale").rows:
        yield cite(
            SECTION,
            f"{row[2]} {row[3]:g} {row[4]:g}",
            f"{row[0]}, training scale {row[1]}: top-1 / top-5 validation error",
            f"{row[3]:g} / {row[4]:g} %",
            told.cite(told.table("vgg-multi-scale")),
        )
    source = "Simonyan & Zisserman 2014 (arXiv 1409.1556)"
    for quote, what, claimed, place in (
        ("Batch size 256", "batch", "256", "section 3.1"),
        ("SGD + momentum 0.9", "momentum", "0.9", "section 3.1"),
        ("L2 penalty of 5e-4", "weight decay", "5e-4", "section 3.1"),
        ("2-3 weeks on a 4 GPU machine", "training time", "2 to 3 weeks", "section 3.3"),
        ("averaged the output of 7 nets", "nets of the submission", "7", "section 4.4"),
        ("11.7% to 7.3%", "top-5 test error of the submission", "7.3 %", "Table 7"),
    ):
        yield cite(SECTION, quote, what, claimed, f"{source}, {place}")
