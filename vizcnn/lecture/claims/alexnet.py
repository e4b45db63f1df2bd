"""The lecture's claims on AlexNet."""

from collections.abc import Iterator

from vizcnn.lecture.augmentation import count_ten_crops
from vizcnn.lecture.claim_measures import (
    count_image_gigabytes,
    count_kind,
    count_layer_parameters,
    find_filter,
    find_output,
    subtract_published,
)
from vizcnn.lecture.claims.record import Claim, cite, judge
from vizcnn.lecture.momentum import compare_with_torch
from vizcnn.lecture.nets import count_layers
from vizcnn.lecture.published import read_published
from vizcnn.lecture.sizes import SizeQuestion, count_filter_parameters, find_size, run_size

SECTION = "alexnet"

_OUTPUTS = (
    ("[55x55x96] CONV", "conv1", "55×55×96"),
    ("[27x27x96] POOL", "pool1", "27×27×96"),
    ("[27x27x96] NORM", "norm1", "27×27×96"),
    ("[27x27x256] CONV", "conv2", "27×27×256"),
    ("[13x13x256] POOL", "pool2", "13×13×256"),
    ("[13x13x256] NORM", "norm2", "13×13×256"),
    ("7. [13x13x384] CONV", "conv3", "13×13×384"),
    ("8. [13x13x384] CONV", "conv4", "13×13×384"),
    ("9. [13x13x256] CONV", "conv5", "13×13×256"),
    ("[6x6x256] POOL", "pool5", "6×6×256"),
    ("11. [4096] FC", "fc6", "4096"),
    ("12. [4096] FC", "fc7", "4096"),
    ("13. [1000] FC", "fc8", "1000"),
)
_ORDER = (
    "In the paper (and here) the normalisation comes before the pooling, so what it puts out is "
    "{size}; the lecture has them the other way round, as CaffeNet."
)
_FILTERS = (
    ("96 filters of size 11x11x3 with stride 4", "conv1", "11×11×3, stride 4"),
    ("256 filters of size 5x5x96 with stride 1", "conv2", "5×5×96, stride 1"),
    ("3x3 filters with stride 2", "pool1", "3×3, stride 2"),
    ("384 filters of size 3x3 at stride 1", "conv3", "3×3×256, stride 1"),
    ("256 filters of size 3x3 at stride 1", "conv5", "3×3×384, stride 1"),
    ("POOL: 3x3 filters at stride 2", "pool5", "3×3, stride 2"),
)


def list_claims() -> list[Claim]:
    """Check the lecture's slides on AlexNet."""
    return [
        *_check_input(),
        *_check_layers(),
        *_check_training(),
        *_cite_training(),
        *_cite_errors(),
    ]


def _check_input() -> Iterator[Claim]:
    slip = "The paper’s 224 gives 54.25: the last window does not fit, and frameworks round to 54."
    yield judge(
        SECTION,
        "the layer sizing doesn't quite work out",
        "output side of conv1 on the paper’s 224 px, as frameworks have it",
        "54",
        run_size,
        SizeQuestion(224, 11, 4),
        why=f"!{slip}",
    )
    yield judge(
        SECTION, "(227 - 11)/4 + 1 = 55", "output side of conv1", "55", find_size, 227, 11, 4
    )
    yield judge(
        SECTION,
        "stride 2. What is the output size?",
        "output side of pool1 (asked; the layer list says 27)",
        "27",
        find_size,
        55,
        3,
        2,
    )
    yield judge(
        SECTION,
        "256 5x5 filters at stride 1 with pad 2",
        "output side of conv2 (asked; the layer list says 27)",
        "27",
        find_size,
        27,
        5,
        1,
        2,
    )
    yield judge(
        SECTION,
        "(11×11×3+1) = 34,944",
        "parameters of conv1",
        "34,944",
        count_filter_parameters,
        96,
        11,
        3,
    )
    yield judge(
        SECTION,
        "parameters in the first pooling layer?",
        "parameters of pool1 (handwritten answer: 0)",
        "0",
        count_layer_parameters,
        "alexnet",
        "pool1",
    )


def _check_layers() -> Iterator[Claim]:
    yield judge(SECTION, "8 layers", "layers with weights", "8", count_layers, "alexnet")
    for quote, layer, size in _OUTPUTS:
        before = _ORDER.format(size=find_output("alexnet", layer)) if "norm" in layer else ""
        yield judge(
            SECTION, quote, f"output of {layer}", size, find_output, "alexnet", layer, why=before
        )
    for quote, layer, size in _FILTERS:
        yield judge(SECTION, quote, f"window of {layer}", size, find_filter, "alexnet", layer)
    yield judge(
        SECTION,
        "256 filters of size 5x5x96",
        "window of conv2 in the paper’s two towers",
        "5×5×96, stride 1",
        find_filter,
        "alexnet-towers",
        "conv2",
        why="As the paper trained it, each tower’s conv2 sees only the 48 maps of its own tower.",
    )
    yield judge(
        SECTION, "NORM: normalization layer", "such layers", "2", count_kind, "alexnet", "norm"
    )


def _check_training() -> Iterator[Claim]:
    yield judge(
        SECTION,
        "average the predictions of the 10 output",
        "predictions averaged: 5 crops, each mirrored",
        "10",
        count_ten_crops,
        why="!The paper’s five are not random: the four corners and the centre (section 4.1).",
    )
    yield judge(
        SECTION,
        "reduces error rate by ~1.5%",
        "points of top-1 error between one crop and the average of ten",
        "1.5",
        subtract_published,
        "alexnet-one-crop-top1",
        "alexnet-ten-crops-top1",
        why="!Top-1, 39.0 % to 37.5 %; top-5 falls by 1.3 points.",
    )
    yield judge(
        SECTION,
        "they stored them on GPUs",
        "1.2 million images, 256×256, on a GPU (GB)",
        "3",
        count_image_gigabytes,
        1_200_000,
        256,
        why="They do not fit: the GPUs held the net and a batch, the images came from the disk "
        "(paper, section 4.1).",
    )
    yield judge(
        SECTION,
        "v := 0.9 v - 0.0005 ε w - ε ∂L/∂w",
        "largest difference from torch.optim.SGD in 40 steps at one learning rate, relative",
        "0",
        compare_with_torch,
        "constant",
        why="Equal to rounding in double precision; see the figure for a rate that changes.",
    )


def _cite_training() -> Iterator[Claim]:
    told = read_published()
    rows = (
        ("224 x 224 x 3 after data augmentation", "input", "224", "section 4.1", 6, ""),
        ("1.2 million images", "training images", "1.2 million", "section 2", 2, ""),
        ("training on two GPU's", "GPUs", "2", "section 3.2", 3, ""),
        ("each GPU had just 3 GB", "memory of a GPU", "3 GB", "section 3.2", 3, ""),
        ("shorter side is 256 pixels", "side of the cut image", "256", "section 2", 2, ""),
        ("Dropout with p = 0.5", "probability", "0.5", "section 4.2", 6, ""),
        (
            "takes twice as long to train",
            "iterations to converge",
            "2x",
            "section 4.2",
            6,
            "“Roughly doubles”.",
        ),
        (
            "Reduces the Top 1 error rate by 1%",
            "colour PCA",
            "1 %",
            "section 4.1",
            6,
            "“Over 1 %”.",
        ),
        ("L2 weight decay: 0.0005", "weight decay", "0.0005", "section 5", 6, ""),
        ("reduced three times", "drops of the learning rate", "3", "section 5", 6, ""),
        ("roughly 90 cycles", "epochs", "90", "section 5", 6, ""),
        ("five to six days", "training time", "5 to 6 days", "section 5", 6, ""),
    )
    for quote, what, claimed, place, page, why in rows:
        source = told.sources["alexnet"]
        yield cite(
            SECTION,
            quote,
            what,
            claimed,
            f"{source.authors} {source.year}, {place}, p. {page}",
            why,
        )


def _cite_errors() -> Iterator[Claim]:
    told = read_published()
    rows = (
        ("1 CNN: 18.2%", "alexnet-1", "18.2 %"),
        ("5 CNNs: 16.4%", "alexnet-5", "16.4 %"),
        ("7 CNNs: 15.4%", "alexnet-7", "15.4 %"),
        ("worsens by 2% by removing any middle layer", "alexnet-depth", "2 %"),
    )
    for quote, name, claimed in rows:
        item = told.figure(name)
        yield cite(SECTION, quote, item.unit, claimed, told.cite(item), _sentence(item.note))


def _sentence(note: str) -> str:
    return f"{note[0].upper()}{note[1:]}." if note else ""
