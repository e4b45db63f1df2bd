"""The lecture's claims on LeNet."""

from vizcnn.lecture.claim_measures import (
    count_layer_parameters,
    count_layer_weights,
    count_outputs,
    find_filter,
    find_output,
    give_pattern,
)
from vizcnn.lecture.claims.record import Claim, judge
from vizcnn.lecture.nets import count_layers

_FOUR = (
    "By the lecture’s own rule (“convolutional or FC layers”) there are 3 convolutions and 2 fully "
    "connected layers; 4 comes out only if OUT is left out, which AlexNet’s 8 counts. The paper "
    "counts 7, poolings included."
)


def list_claims() -> list[Claim]:
    """Check the lecture's slides on LeNet."""
    layers = (
        ("[28x28x6] CONV", "conv1", "28×28×6"),
        ("[14x14x6] POOL", "pool1", "14×14×6"),
        ("[10x10x16] CONV", "conv2", "10×10×16"),
        ("[5x5x16] POOL", "pool2", "5×5×16"),
        ("[120] CONV", "conv3", "1×1×120"),
        ("[84] FC", "fc4", "84"),
        ("[10] OUT", "fc5", "10"),
    )
    filters = (
        (
            "6 convolutional filters, 5x5 filter size, applied at stride 1",
            "conv1",
            "5×5×1, stride 1",
        ),
        ("2x2 pool with stride 2", "pool1", "2×2, stride 2"),
        ("16 convolutional filters, 5x5", "conv2", "5×5×6, stride 1"),
        ("120 5x5 convolutional filters", "conv3", "5×5×16, stride 1"),
    )
    return [
        judge(
            "lenet", "4 total layers", "layers with weights", "4", count_layers, "lenet", why=_FOUR
        ),
        judge("lenet", "Input is 32x32", "pixels", "1,024", count_outputs, "lenet", "input"),
        *(
            judge("lenet", quote, f"output of {layer}", size, find_output, "lenet", layer)
            for quote, layer, size in layers
        ),
        *(
            judge("lenet", quote, f"filters of {layer}", size, find_filter, "lenet", layer)
            for quote, layer, size in filters
        ),
        judge(
            "lenet",
            "multiplies them by trainable coefficient",
            "parameters of the first pooling (a factor and a bias for each of 6 maps)",
            "12",
            count_layer_parameters,
            "lenet",
            "pool1",
        ),
        judge(
            "lenet",
            "FC layer: 84 x 120",
            "weights of the FC layer (84 · 120)",
            f"{84 * 120:,}",
            count_layer_weights,
            "lenet",
            "fc4",
        ),
        judge(
            "lenet",
            "[CONV-POOL]x2 - CONV - FC - OUT",
            "pattern",
            "[CONV-POOL]x2 - CONV - FC - OUT",
            give_pattern,
            "lenet",
        ),
    ]
