"""The command that repeats a run to the byte, with every option in full."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import click

from vizcnn.cli.options import CompareCount

UNTOLD = ("as_json", "opens", "force", "strict", "help")
"""Parameters that change what a run says or may replace, and not what it makes."""


def quote_command(context: click.Context, values: Mapping[str, Any]) -> str:
    """Write a command line with every option in full.

    Args:
        context: The running command's.
        values: Values by the names of parameters; those that are missing are left out.

    Returns:
        A shell-quoted command line, photos first.
    """
    options: list[str] = []
    arguments: list[str] = []
    for parameter in context.command.params:
        value = values.get(str(parameter.name))
        if value is None and isinstance(parameter.type, CompareCount):
            value = "none"  # which is no default
        if parameter.name in UNTOLD or value is None or value is False:
            continue
        if value is True:
            options.append(parameter.opts[0])
            continue
        items = [str(item) for item in (value if isinstance(value, tuple | list) else (value,))]
        if isinstance(parameter, click.Argument):
            arguments += items
        else:
            options += [word for item in items for word in (parameter.opts[0], item)]
    return join_command(str(context.command.name), arguments, options)


def join_command(name: str, arguments: Sequence[str], options: Sequence[str] = ()) -> str:
    """Write a command line, arguments first unless they would be taken for options.

    Example:
        >>> join_command("deconv", ["a b.jpg"], ["--top", "1"])
        "vizcnn deconv 'a b.jpg' --top 1"
        >>> join_command("deconv", ["-1.jpg"], ["--top", "1"])
        'vizcnn deconv --top 1 -- -1.jpg'
    """
    if any(argument.startswith("-") for argument in arguments):
        return shlex.join(["vizcnn", name, *options, "--", *arguments])
    return shlex.join(["vizcnn", name, *arguments, *options])
