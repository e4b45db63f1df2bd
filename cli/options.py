"""Options that mean the same in every command, and what they are turned into."""

import os
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from vizcnn.basics.errors import VizcnnError
from vizcnn.projection.methods import METHODS

if TYPE_CHECKING:
    from vizcnn.zoo.model import ZooModel

Command = TypeVar("Command", bound=Callable[..., Any])


class NetName(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A net of the catalogue; completes in the shell, suggests the nearest name."""

    name = "net"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from vizcnn.zoo.catalogue import check_name

        try:
            return check_name(value)
        except VizcnnError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from vizcnn.zoo.catalogue import CATALOGUE

        return [CompletionItem(name) for name in CATALOGUE if name.startswith(incomplete)]


model_option = click.option(
    "--model", type=NetName(), default="zfnet", show_default=True, help="The net, by name."
)


Completion = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def complete_names_and_files(names: Iterable[str]) -> Completion:
    """Make a shell completion that offers some names, and files."""

    def complete(
        context: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        offered = [CompletionItem(name) for name in names if name.startswith(incomplete)]
        return [*offered, CompletionItem(incomplete, type="file")]

    return complete


_WEIGHTS: dict[str, Any] = {
    "shell_complete": complete_names_and_files(("auto", "bundled", "imagenet", "ndf", "random")),
    "show_default": True,
    "metavar": "SOURCE",
}
_WEIGHTS_HELP = (
    "auto (ImageNet if fetched, else bundled), bundled, imagenet, ndf, random, or a file "
    "(.safetensors, .pth, .onnx)"
)
weights_option = click.option("--weights", default="auto", help=f"{_WEIGHTS_HELP}.", **_WEIGHTS)
several_weights_option = click.option(
    "--weights",
    multiple=True,
    default=("auto",),
    help=f"{_WEIGHTS_HELP}; one for all nets, or repeated, one for each.",
    **_WEIGHTS,
)
device_option = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps, ..."
)
format_option = click.option(
    "--format",
    "figure_format",
    type=click.Choice(["png", "svg", "pdf"]),
    default="png",
    show_default=True,
    help="Format of the figures.",
)
seed_option = click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="Seed of random weights.",
)
layers_option = click.option(
    "--layer",
    "layers",
    multiple=True,
    help="Layer, list (conv1,conv3) or range (conv1..conv5); may be repeated.  "
    "[default: conv1..conv5, as far as the net has them]",
)
method_option = click.option(
    "--method",
    type=click.Choice(list(METHODS)),
    default="deconvnet",
    show_default=True,
    help="How the signal goes back.",
)
normalisation_option = click.option(
    "--normalisation",
    type=click.Choice(["auto", "pass", "gradient"]),
    default="auto",
    show_default=True,
    help="Contrast normalisation on the way back: passed over or its true gradient; auto passes "
    "it over for the deconvnet only.",
)
PASSES_OVER = {"auto": None, "pass": True, "gradient": False}
"""What --normalisation means for :class:`vizcnn.projection.deconvnet.Projector`."""

unruled_option = click.option(
    "--unruled",
    type=click.Choice(["refuse", "gradient"]),
    default="refuse",
    show_default=True,
    help="Activations that the method has no rule for: refuse them, or take their gradient.",
)
per_photo_option = click.option(
    "--per-photo",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="How many of them may be of one photo.",
)
workers_option = click.option(
    "--workers",
    type=click.IntRange(0),
    help="Processes that read photos; changes nothing in the result.  [default: by the machine]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Report as JSON on stdout.")


def models_option(default: tuple[str, ...]) -> Callable[[Command], Command]:
    """Make a ``--model`` option that may be repeated."""
    return click.option(
        "--model",
        "models",
        type=NetName(),
        multiple=True,
        default=default,
        show_default=True,
        help="The net, by name; may be repeated: nets are set side by side.",
    )


class OutFolder(click.Path):
    """A folder for results; what cannot be one is told with what is needed."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self,
        value: "str | os.PathLike[str]",
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        if not os.fspath(value):  # which Path would take for the current folder
            self.fail("it is empty: give a folder for the results", param, ctx)
        if Path(value).is_file():
            self.fail(f"{str(value)!r} is a file; needed: a folder for the results", param, ctx)
        return super().convert(value, param, ctx)


def out_option(default: str) -> Callable[[Command], Command]:
    """Make the ``--out`` option with a default folder."""
    return click.option(
        "--out",
        type=OutFolder(),
        default=None,
        help=f"Folder for the results.  [default: {default}]",
    )


def load_model(name: str, weights: str, device: str, seed: int) -> "ZooModel":
    """Load a net as the options say."""
    import vizcnn
    from vizcnn.basics.devices import choose_device

    wanted = None if weights in ("random", "none") else weights
    return vizcnn.load(name, weights=wanted, device=choose_device(device), seed=seed)


def load_models(
    context: click.Context, names: tuple[str, ...], weights: tuple[str, ...], device: str, seed: int
) -> "list[ZooModel]":
    """Load several nets as the options say; one ``--weights`` goes for all of them."""
    check_counts(context, names, "--weights", weights)
    sources = weights * len(names) if len(weights) == 1 else weights
    return [
        load_model(name, source, device, seed) for name, source in zip(names, sources, strict=True)
    ]


def find_given_photos(context: click.Context, flag: str, given: tuple[str, ...]) -> list[Path]:
    """Find the photos that an option names: files, folders and samples.

    Raises:
        click.UsageError: If a name is empty, which Path would take for the current folder.
    """
    from vizcnn.photos.images import find_photos
    from vizcnn.photos.samples import find_sample

    for name in given:
        refuse_empty(context, flag, name)
    return find_photos([find_sample(name) or Path(name) for name in given])


def refuse_empty(context: click.Context, flag: str, name: str) -> None:
    """Make sure that a photo was named.

    Raises:
        click.UsageError: If its name is empty.
    """
    if not name:
        raise click.UsageError(
            f"{flag} is empty: give a photo, a folder or a sample's name", context
        )


def check_counts(
    context: click.Context, names: tuple[str, ...], flag: str, given: tuple[str, ...]
) -> None:
    """Make sure that an option was given once, or once for each net.

    Raises:
        click.UsageError: If it was not.
    """
    if len(given) > 1 and len(given) != len(names):
        raise click.UsageError(
            f"{len(given)} {flag} for {len(names)} --model: give one for all nets, or one for each",
            context,
        )


def quote_command(context: click.Context, **settled: Any) -> str:
    """Write the command that repeats a run, with every option in full.

    Args:
        context: The running command's context.
        **settled: Values that replace given ones, by parameter name.

    Returns:
        A shell-quoted command line.
    """
    words = ["vizcnn", str(context.command.name)]
    for parameter in context.command.params:
        value = settled.get(str(parameter.name), context.params.get(str(parameter.name)))
        if parameter.name in ("as_json", "help") or value is None or value is False:
            continue
        flag = parameter.opts[0]
        if value is True:
            words.append(flag)
            continue
        for item in value if isinstance(value, tuple | list) else (value,):
            words += [flag, str(item)]
    return shlex.join(words)
