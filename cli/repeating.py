"""What repeats a run to the byte, or a unit of it: a command in full, and lines of Python."""

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from vizcnn.cli.options import CompareCount

if TYPE_CHECKING:
    from vizcnn.cli.page_command import Page
    from vizcnn.pages.page import MethodSettings
    from vizcnn.projection.targets import Position
    from vizcnn.zoo.model import ZooModel

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
        elif not getattr(parameter, "multiple", False):
            options += [parameter.opts[0], ",".join(items)]  # a list is one value
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


def quote_python(
    page: "Page",
    net: "ZooModel",
    settings: "MethodSettings",
    photo: str,
    layer: str,
    unit: int,
    position: "Position",
) -> str:
    """Write what projects a unit of a photo in Python, with the choices of the command.

    Args:
        page: The command's shared options.
        net: The net, one of those that they load.
        settings: How units are projected.
        photo: Path or name of the photo.
        layer: Name of the layer.
        unit: Number of the unit.
        position: Where in the feature map.

    Returns:
        Lines that run in a fresh Python.
    """
    changed = _choose_ways(
        page,
        {
            "passes_over_normalisation": settings.passes_over_normalisation,
            "unruled": settings.unruled,
            "gates": settings.gates,
            "seed": settings.start,
        },
    )
    wanted: dict[str, Any] = {"unit": unit}
    if position != "max":
        wanted["position"] = position
    if settings.part != "whole":
        wanted["compare"] = settings.compare
    part = "" if settings.part == "whole" else f".{settings.part}"
    lines = (
        "import vizcnn",
        f"model = {_write_load(page, net)}",
        f"projector = vizcnn.Projector(model, {_write(settings.method, **changed)})",
        f"seen = projector.project({_write(photo, layer, **wanted)}){part}",
    )
    return "\n".join(lines)


def _choose_ways(page: "Page", ways: Mapping[str, Any]) -> dict[str, Any]:
    """Choose what is said of the way back: what is not as usual."""
    unsaid = (None, "refuse", "exact")
    told = {**ways, "precision": page.precision}
    return {name: value for name, value in told.items() if value not in unsaid}


def write_templates(
    page: "Page", number: int, deconv: click.Command, ways: Mapping[str, Any]
) -> tuple[str, str]:
    """Write what repeats any picture of a page: lines in which names in braces are to be filled in.

    Args:
        page: The command's shared options.
        number: Which of its nets.
        deconv: The command that makes one picture.
        ways: The way back, as :func:`~vizcnn.projection.methods.find_method` takes it.

    Returns:
        A command, with ``{photo}``, ``{layer}``, ``{unit}``, ``{position}`` and ``{method}``; and
        lines of Python, with ``{compare}`` and ``{part}``, too. What is filled in is to be quoted.
    """
    from vizcnn.explorer.explored import write_python

    holes = {name: f"{{{name}}}" for name in ("photo", "layer", "unit", "position", "method")}
    given = page.context.params
    chosen = {str(parameter.name) for parameter in deconv.params} & set(given) - {"top", "out"}
    values = {
        **{name: given[name] for name in chosen},
        **page.name_net(number),
        **{f"{name}s": [holes[name]] for name in ("photo", "layer", "unit", "method")},
        "position": holes["position"],
    }
    command = quote_command(click.Context(deconv, info_name=deconv.name), values)
    for hole in holes.values():
        command = command.replace(f"'{hole}'", hole)  # the shell's quotes
    changed = "".join(f", {name}={value!r}" for name, value in _choose_ways(page, ways).items())
    load = f"model = {_write_load(page, page.loaded[number][0])}"
    return command, write_python(load, changed)


def _write_load(page: "Page", net: "ZooModel") -> str:
    from vizcnn.zoo.pinned_weights import pin_weights, split_pin

    number = next(at for at, (loaded, _) in enumerate(page.loaded) if loaded is net)
    # as the command that repeats the run names them, so that a repeated run writes the same
    weights, _ = split_pin(pin_weights(net, page.loaded[number][1]))
    options: dict[str, Any] = {"weights": weights}
    if weights == "random":
        options = {"weights": None, "seed": page.seed}
    words = page.words[number]
    said: dict[str, Any] = {"variant": words.variant, "preprocessing": words.preprocessing}
    said |= {"classes": words.classes and str(words.classes)}
    options |= {name: value for name, value in said.items() if value is not None}
    fitted = page.fit is not None or page.size is not None
    fit = f".fit_photos({page.fit!r}, {page.size!r})" if fitted else ""
    return f"vizcnn.load({_write(page.models[number], **options)}){fit}"


def _write(*first: str, **options: Any) -> str:
    """Write the arguments of a call."""
    return ", ".join([*map(repr, first), *(f"{name}={value!r}" for name, value in options.items())])
