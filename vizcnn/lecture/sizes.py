"""Worked size questions: the formula, the number, and the number that a layer really gives."""

from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import nn

from vizcnn.basics.errors import ModelError


@dataclass(frozen=True)
class SizeQuestion:
    """How large is the output of a window that moves over a map?

    Attributes:
        inputs: Side of the input.
        filter: Side of the window.
        stride: Its step.
        padding: Zeros at each side.
        pools: Whether it is a pooling.
    """

    inputs: int
    filter: int
    stride: int = 1
    padding: int = 0
    pools: bool = False

    @property
    def exact(self) -> Fraction:
        """What the formula gives: a whole number where the window just fits."""
        return Fraction(self.inputs + 2 * self.padding - self.filter, self.stride) + 1

    @property
    def fits(self) -> bool:
        """Whether the last window ends at the edge."""
        return self.exact.denominator == 1

    @property
    def formula(self) -> str:
        """The formula with its numbers."""
        padded = f"{self.inputs} + 2·{self.padding}" if self.padding else f"{self.inputs}"
        return f"({padded} − {self.filter}) / {self.stride} + 1 = {show_number(self.exact)}"


def show_number(value: Fraction) -> str:
    """Write a fraction as a decimal number.

    Example:
        >>> show_number(Fraction(217, 4))
        '54.25'
    """
    return f"{float(value):g}"


def find_size(inputs: int, filter: int, stride: int = 1, padding: int = 0) -> int:
    """Give the side of a layer's output by the formula, rounded down as frameworks do.

    Raises:
        ModelError: If the window is larger than the padded input, or a number is impossible.

    Example:
        >>> find_size(227, 11, stride=4), find_size(55, 3, stride=2), find_size(27, 5, padding=2)
        (55, 27, 27)
    """
    if min(inputs, filter, stride) < 1 or padding < 0 or filter > inputs + 2 * padding:
        raise ModelError(
            f"a window of {filter} at stride {stride} does not fit an input of {inputs} with "
            f"padding {padding}: give a smaller window or more padding"
        )
    return (inputs + 2 * padding - filter) // stride + 1


def run_size(question: SizeQuestion) -> int:
    """Give the side of the output of torch's own layer, run without memory.

    Example:
        >>> run_size(SizeQuestion(224, 11, 4))
        54
    """
    size, stride, padding = question.filter, question.stride, question.padding
    layer: nn.Module = nn.Conv2d(1, 1, size, stride, padding, device="meta")
    if question.pools:
        layer = nn.MaxPool2d(size, stride, padding)
    image = torch.zeros(1, 1, question.inputs, question.inputs, device="meta")
    return int(layer(image).shape[-1])


def count_filter_parameters(count: int, size: int, maps: int, biases: bool = True) -> int:
    """Count the parameters of a convolution.

    Args:
        count: Filters.
        size: Side of a filter.
        maps: Maps that a filter sees.
        biases: Whether each has a bias.

    Example:
        >>> count_filter_parameters(96, 11, 3)
        34944
    """
    return count * (size * size * maps + biases)
