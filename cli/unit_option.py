"""Units on a command line: numbers, lists and ranges of them, and names of classes."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from vizcnn.basics.errors import LayerError, quote
from vizcnn.cli.options import Command

if TYPE_CHECKING:
    from vizcnn.zoo.model import ZooModel

Unit = int | str
"""A unit's number, or the name of a class that it may stand for."""

MOST_UNITS = 100_000
"""Units in a range: more than any layer of a net has."""


class UnitList(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """Units such as ``3,5,10..20``; what is no list of numbers may be the name of a class."""

    name = "N,N..N"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Unit, ...]:
        """Read it; what cannot be a unit is told in one short line."""
        if not isinstance(value, str):
            return tuple(value)
        parts = [_read_numbers(part.strip()) for part in value.split(",")]
        if all(parts):
            return tuple(number for part in parts for number in part)
        if not re.search(r"[^\W\d_]", value):  # no letter: no name either
            needed = "a number from 0, a list (3,5), a range (10..20) or the name of a class"
            self.fail(f"{quote(value)} is no unit; needed: {needed}", param, ctx)
        return (value,)


def _read_numbers(text: str) -> Sequence[int]:
    """Read a number or a rising range of them; empty if it is neither."""
    found = re.fullmatch(r"([0-9]{1,9})(?:\.\.([0-9]{1,9}))?", text)
    if not found:
        return ()
    first = int(found[1])
    last = first if found[2] is None else int(found[2])
    return range(first, last + 1) if last - first < MOST_UNITS else ()


def units_option(words: str) -> Callable[[Command], Command]:
    """Declare ``--unit``, of which a command gets ``units``, in the order given.

    Args:
        words: What a unit is, and what is taken where none is given.
    """
    return click.option(
        "--unit",
        "units",
        type=UnitList(),
        multiple=True,
        callback=lambda context, parameter, lists: tuple(
            dict.fromkeys(unit for units in lists for unit in units)
        ),
        help=words,
    )


@dataclass(frozen=True)
class ChosenUnits:
    """Which units of which layers a command is about.

    Attributes:
        wanted: The layers, as a command line takes them.
        layers: Their names.
        units: Numbers of units; empty where none were asked for.
    """

    wanted: tuple[str, ...]
    layers: tuple[str, ...]
    units: tuple[int, ...]

    @property
    def given(self) -> dict[str, tuple[str, ...]]:
        """The options that choose them, for the command that repeats the run."""
        return {"layers": self.wanted, "units": write_units(self.units)}


def choose_units(net: "ZooModel", layers: tuple[str, ...], units: Sequence[Unit]) -> ChosenUnits:
    """Choose layers and units as the options say; by default the stages, or the classes' layer.

    Args:
        net: The net.
        layers: What was given as ``--layer``.
        units: What was given as ``--unit``.

    Raises:
        LayerError: If a layer or a class does not exist, or a name is given for other units.
    """
    from vizcnn.recording.layers import list_stages, select_layers

    named = any(isinstance(unit, str) for unit in units)
    wanted = layers or (net.find_class_layer() if named else list_stages(net),)
    selected = select_layers(net, wanted)
    return ChosenUnits(wanted, selected, find_units(net, selected, units))


def find_units(net: "ZooModel", layers: Iterable[str], units: Sequence[Unit]) -> tuple[int, ...]:
    """Give the numbers of units; names of classes are found among the net's.

    Args:
        net: The net.
        layers: The layers that the units are of.
        units: Numbers, and names of classes.

    Raises:
        LayerError: If there is no such class, or a name is given for a layer of other units.
    """
    from vizcnn.recording.layers import find_layer
    from vizcnn.zoo.model import find_class

    names = [unit for unit in units if isinstance(unit, str)]
    for layer in layers if names else ():
        classes = net.find_class_layer()
        if find_layer(net, layer) != find_layer(net, classes):
            raise LayerError(
                f"layer {quote(layer)} has no unit {quote(names[0])}, as its units are no classes: "
                f"give their numbers, or --layer {classes}"
            )
    numbers = [find_class(net, unit) if isinstance(unit, str) else unit for unit in units]
    return tuple(dict.fromkeys(numbers))


def write_units(units: Sequence[int]) -> tuple[str, ...]:
    """Write units as ``--unit`` takes them; nothing for none.

    Example:
        >>> write_units([7, 0, 3, 4, 5, 6]), write_units([])
        (('7,0,3..6',), ())
    """
    runs: list[list[int]] = []
    for unit in units:
        if runs and unit == runs[-1][-1] + 1:
            runs[-1].append(unit)
        else:
            runs.append([unit])
    parts = [f"{run[0]}..{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in runs]
    return (",".join(parts),) if parts else ()


def require_numbers(units: Sequence[Unit]) -> tuple[int, ...]:
    """Give units that can only be told by their numbers.

    Raises:
        LayerError: If one is a name.
    """
    for unit in units:
        if isinstance(unit, str):
            raise LayerError(f"unit {quote(unit)} has no name here: give its number")
    return tuple(int(unit) for unit in units)
