"""Numbers on the command line: every odd way to write one is told in one short line."""

from collections.abc import Iterator

import click
import pytest

from vizcnn.basics.errors import DataError, LayerError
from vizcnn.cli.main import commands
from vizcnn.cli.options import CompareCount, PositiveNumber, WholeNumber
from vizcnn.pages.receptive import parse_unit
from vizcnn.projection.targets import parse_position
from vizcnn.recording.layers import parse_reference
from vizcnn.training.recipe import Recipe, mix_seed

ODD = [
    *("", " ", "1 ", "1_000", "\uff11\uff12", "\u0661", "9" * 5000, str(10**20), "0x10", "1e400"),
    *("nan", "inf", "-inf", "-1", "3-1", "1-1000000000", "1,2", "1\n", "\x1b[31m1"),
]


def list_numbers(group: click.Group) -> Iterator[tuple[str, click.Parameter]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from list_numbers(command)
        for parameter in command.params:
            kind = parameter.type
            if isinstance(kind, click.types.IntParamType | click.types.FloatParamType):
                yield f"{name} {parameter.opts[0]}", parameter


NUMBERS = dict(list_numbers(commands))


@pytest.mark.parametrize("option", NUMBERS)
def test_odd_numbers_are_told_in_one_short_line(option: str) -> None:
    kind = NUMBERS[option].type
    assert isinstance(kind, WholeNumber | PositiveNumber), "click's own types read 1_000"
    for text in ODD:
        with pytest.raises(click.BadParameter) as caught:
            kind.convert(text, NUMBERS[option], None)
        told = caught.value.format_message()
        assert len(told) < 200 and told.isprintable(), (text[:20], told)


def test_numbers_are_read_to_their_bounds() -> None:
    seeds = [kind.type for name, kind in NUMBERS.items() if name.endswith("--seed")]
    assert len(seeds) >= 5
    for kind in seeds:
        assert kind.convert(str(2**63 - 1), None, None) == 2**63 - 1
        with pytest.raises(click.BadParameter):
            kind.convert(str(2**63), None, None)
    assert PositiveNumber().convert("5e-2", None, None) == 0.05
    with pytest.raises(click.BadParameter):
        NUMBERS["train --threads"].type.convert("100000", None, None)


def test_how_many_to_compare_with_is_a_number_all_or_none() -> None:
    kind = CompareCount(none=True)
    read = [kind.convert(text, None, None) for text in ("1", "32", "all", "none")]
    assert read == [1, 32, "all", None]
    for text in (*ODD, "0", "All", "None"):
        with pytest.raises(click.BadParameter) as caught:
            kind.convert(text, None, None)
        told = caught.value.format_message()
        assert len(told) < 200 and told.isprintable(), (text[:20], told)


@pytest.mark.parametrize("text", ["\uff11,\uff12", "1_0,2", "9" * 5000 + ",1", "1,", "-1,2"])
def test_odd_positions_are_told_in_one_short_line(text: str) -> None:
    for read in (parse_position, parse_unit):
        with pytest.raises(LayerError) as caught:
            read(text)
        assert len(str(caught.value)) < 200
    with pytest.raises(LayerError):
        parse_reference("conv1#\u0662")


def test_seeds_of_any_size_go_into_a_run() -> None:
    assert Recipe("lenet", seed=2**63 - 1).seed == 2**63 - 1
    assert 0 <= mix_seed(2**63 - 1, 10**6) < 2**64
    for seed in (-1, 2**63):
        with pytest.raises(DataError, match="seed is"):
            Recipe("lenet", seed=seed)
