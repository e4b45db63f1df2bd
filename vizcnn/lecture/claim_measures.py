"""What the claims are checked with: each a number read off a net that was built and traced."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from vizcnn.lecture.augmentation import count_ten_crops
from vizcnn.lecture.inception import MODULES, find_operations, measure_module
from vizcnn.lecture.momentum import compare_with_torch
from vizcnn.lecture.net_tables import (
    count_all_outputs,
    count_layer_parameters,
    count_megabytes,
    describe_filter,
    describe_size,
    find_row,
    measure_stages,
)
from vizcnn.lecture.nets import count_layers, count_parameters, input_shape, trace_net
from vizcnn.lecture.patterns import derive_pattern
from vizcnn.lecture.sizes import SizeQuestion, count_filter_parameters, find_size, run_size
from vizcnn.lecture.stacks import SEVEN, THREE, Stack, find_fields, find_output_change, give_factor
from vizcnn.measures.published import read_published


def find_output(net: str, layer: str) -> str:
    """Give a layer's output as rows, columns and maps.

    Example:
        >>> find_output("alexnet", "conv1")
        '55×55×96'
    """
    return describe_size(find_row(net, layer).outputs)


def find_filter(net: str, layer: str) -> str:
    """Give the size of a layer's filter with the maps that it sees, and its stride.

    Example:
        >>> find_filter("alexnet", "conv1")
        '11×11×3, stride 4'
    """
    row = find_row(net, layer)
    maps = f"×{row.inputs[0] // row.groups}" if row.kind == "conv" else ""
    return f"{describe_filter(row.filter)}{maps}, stride {row.stride[0] if row.stride else None}"


def count_outputs(net: str, layer: str) -> int:
    """Count the numbers that a layer puts out; of ``"input"`` those of the image."""
    return math.prod(input_shape(net)) if layer == "input" else find_row(net, layer).activations


def count_layer_weights(net: str, layer: str) -> int:
    """Count a layer's parameters without biases."""
    return find_row(net, layer).weights


def count_with_rectifiers(net: str) -> int:
    """Add up the same and what every ReLU puts out, as if none worked in place."""
    rectified = sum(row.activations for row in trace_net(net) if row.kind == "relu")
    return count_all_outputs(net) + rectified


def count_kind(net: str, kind: str, size: int | None = None) -> int:
    """Count a net's layers of a kind, with filters of a size if one is given."""
    return sum(
        row.kind == kind and size in (None, row.filter and row.filter[0]) for row in trace_net(net)
    )


def count_fc_weights(net: str) -> int:
    """Count the weights of a net's fully connected layers, biases left out."""
    return sum(row.weights for row in trace_net(net) if row.kind == "fc")


def span_layers(*nets: str) -> str:
    """Give the smallest and the largest number of layers with weights of nets.

    Example:
        >>> span_layers("vgg-c", "vgg-e")
        '16-19'
    """
    counts = [count_layers(net) for net in nets]
    return f"{min(counts)}-{max(counts)}"


def count_bytes() -> int:
    """Count the bytes of a number as nets compute with it."""
    return torch.get_default_dtype().itemsize


def give_pattern(net: str) -> str:
    """Give a net's pattern, derived from its layers."""
    return derive_pattern(trace_net(net))


def give_feature_pattern(net: str) -> str:
    """Give the pattern of a net's convolutions and poolings.

    Example:
        >>> give_feature_pattern("vgg-d")
        '[CONVx2-POOL]x2 - [CONVx3-POOL]x3'
    """
    return derive_pattern([row for row in trace_net(net) if row.kind != "fc"])


def list_maps(net: str, *layers: str) -> str:
    """Give the numbers of maps of some layers."""
    return ", ".join(str(find_row(net, layer).outputs[0]) for layer in layers)


def list_windows(net: str, kind: str) -> str:
    """Give the windows of all layers of a kind: size, stride and padding, each once."""
    found = {
        (describe_filter(row.filter), row.stride, row.padding)
        for row in trace_net(net)
        if row.kind == kind and row.stride and row.padding
    }
    return "; ".join(
        f"{size}, stride {stride[0]}, pad {padding[0]}"
        for size, stride, padding in sorted(found, key=str)
        if stride and padding
    )


def divide_parameters(larger: str, smaller: str) -> float:
    """Give how many times as many parameters a net has as another."""
    return count_parameters(larger) / count_parameters(smaller)


def count_dropouts(net: str) -> int:
    """Count a net's dropout layers."""
    return count_kind(net, "dropout")


def subtract_published(larger: str, smaller: str) -> float:
    """Give the difference of two figures of the papers."""
    told = read_published()
    return round(told.figure(larger).value - told.figure(smaller).value, 4)


def reduce_published(before: str, after: str) -> float:
    """Give by what share an error rate fell, in per cent."""
    told = read_published()
    first, second = told.figure(before).value, told.figure(after).value
    return round(100 * (first - second) / first, 2)


def give_year(figure: str) -> str:
    """Give the year in which a paper appeared.

    Example:
        >>> give_year("alexnet-year")
        '2012'
    """
    return str(int(read_published().figure(figure).value))


def find_module_operations(module: str, size: int, maps: int, reads: int) -> int:
    """Give the operations of a convolution of the lecture's inception module.

    Example:
        >>> find_module_operations("naive", 3, 192, 256)
        346816512
    """
    return find_operations(MODULES[module](), size, maps, reads)


def find_module_padding(module: str, size: int) -> int:
    """Give the padding of a convolution that keeps the size of its input."""
    rows = measure_module(MODULES[module]()).rows
    row = next(row for row in rows if row.kind == "conv" and row.filter == (size, size))
    assert row.padding is not None
    assert row.inputs[1:] == row.outputs[1:]
    return row.padding[0]


def find_module_size(module: str, size: int) -> str:
    """Give the output of the first convolution of a size in the lecture's inception module."""
    rows = measure_module(MODULES[module]()).rows
    row = next(row for row in rows if row.kind == "conv" and row.filter == (size, size))
    return describe_size(row.outputs)


def count_module_operations(module: str) -> int:
    """Add up the operations of the lecture's inception module."""
    return measure_module(MODULES[module]()).multiply_adds


def find_module_output(module: str) -> str:
    """Give the output of the lecture's inception module."""
    return describe_size(measure_module(MODULES[module]()).outputs)


def divide_module_operations() -> float:
    """Give how many times as many operations the naive module takes as the reduced one."""
    return count_module_operations("naive") / count_module_operations("reduced")


def can_shrink() -> str:
    """Tell whether the naive module can put out fewer maps than it gets: its pool keeps all."""
    pooled = next(r for r in measure_module(MODULES["naive"]()).rows if r.kind == "max pool")
    return "yes" if pooled.outputs[0] < pooled.inputs[0] else "no"


def count_stage_weights(stage: str) -> int:
    """Give the weights of a row of GoogLeNet's table."""
    return measure_stages()[stage].weights


def count_stage_operations(stage: str) -> int:
    """Give the operations of a row of GoogLeNet's table."""
    return measure_stages()[stage].multiply_adds


def find_stage_output(stage: str) -> str:
    """Give the output of a row of GoogLeNet's table."""
    return describe_size(measure_stages()[stage].outputs)


def count_image_gigabytes(images: int, side: int) -> float:
    """Give the memory of so many colour images at a byte a value, in GB of 10^9 bytes."""
    return images * side * side * 3 / 1e9


def multiply_crops(scales: int, squares: int, crops: int, mirrored: int) -> int:
    """Count the crops of an image (Szegedy et al. 2014, section 7).

    Example:
        >>> multiply_crops(4, 3, 6, 2)
        144
    """
    return scales * squares * crops * mirrored


def _join_fields(stack: Stack) -> str:
    """Write the receptive field after each convolution of a stack."""
    return ", ".join(str(field) for field in find_fields(stack))


def cite_figure(name: str) -> str:
    """Say where a figure of the papers stands."""
    told = read_published()
    return told.cite(told.figure(name))


def cite_paper_table(name: str) -> str:
    """Say where a table of the papers stands."""
    told = read_published()
    return told.cite(told.table(name))


def read_note(name: str) -> str:
    """Give what one should know beside a figure of the papers."""
    return read_published().figure(name).note


def write_note(name: str) -> str:
    """Give the same as a sentence."""
    note = read_note(name)
    return f"{note[0].upper()}{note[1:]}."


MEASURES: Mapping[str, Callable[..., Any]] = {
    measure.__name__: measure
    for measure in (
        *(can_shrink, cite_figure, cite_paper_table, compare_with_torch, count_all_outputs),
        *(count_bytes, count_dropouts, count_fc_weights, count_filter_parameters),
        *(count_image_gigabytes, count_kind, count_layer_parameters, count_layer_weights),
        *(count_layers, count_megabytes, count_module_operations, count_outputs),
        *(count_parameters, count_stage_operations, count_stage_weights, count_ten_crops),
        *(count_with_rectifiers, divide_module_operations, divide_parameters, find_filter),
        *(find_module_operations, find_module_output, find_module_padding, find_module_size),
        *(find_output, find_output_change, find_size, find_stage_output, give_factor),
        *(give_feature_pattern, give_pattern, give_year, list_maps, list_windows),
        *(multiply_crops, read_note, reduce_published, run_size, span_layers),
        *(subtract_published, write_note, SizeQuestion, _join_fields),
    )
}
"""What claims may be checked with, by the name that ``claims.csv`` calls it by."""
NAMED: Mapping[str, Any] = {"SEVEN": SEVEN, "THREE": THREE}
"""Values that it has names for."""
