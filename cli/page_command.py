"""Commands that make a page: the options that they share, and what those are turned into."""

import json
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vizcnn.cli.options import (
    CompareCount,
    SharingCommand,
    device_option,
    format_option,
    json_option,
    load_model,
    model_option,
    open_option,
    out_option,
    precision_option,
    seed_option,
    weights_option,
)
from vizcnn.cli.reporting import end_with_failures, list_notes, say

if TYPE_CHECKING:
    from vizcnn.basics.output import FigureFormat
    from vizcnn.gallery.manifest import Manifest
    from vizcnn.photos.framing import Fit
    from vizcnn.recording.arithmetic import Precision
    from vizcnn.zoo.model import ZooModel

OUT = Path("vizcnn-out")
"""Folder of all results that have none of their own."""

Declare = Callable[[Any], Any]
"""Declares options of a command, as ``click.option`` does."""


@dataclass(frozen=True)
class Page:
    """What the shared options of a command ask for.

    Attributes:
        context: The running command's.
        models: Names of nets.
        weights: Where their weights come from: one source for all, or one for each.
        device: Where to compute.
        precision: How precisely.
        folder: Where the page goes.
        figure_format: Format of the figures.
        seed: Seed of random weights.
        as_json: Whether to report as JSON.
        opens: Whether to open the page in a browser.
        fit: How photos are brought to the nets' input; as is usual for each when None.
        size: Side of the nets' input in pixels; each net's own when None.
    """

    context: click.Context
    models: tuple[str, ...]
    weights: tuple[str, ...]
    device: str
    precision: "Precision"
    folder: Path
    figure_format: "FigureFormat"
    seed: int
    as_json: bool
    opens: bool
    fit: "Fit | None" = None
    size: int | None = None

    def load(self) -> "list[ZooModel]":
        """Load the nets.

        Raises:
            click.UsageError: If there are neither one ``--weights`` nor as many as nets.
        """
        self.check_counts("--weights", self.weights)
        sources = self.weights * len(self.models) if len(self.weights) == 1 else self.weights
        return [
            load_model(name, source, self.device, self.seed, self.precision).fit_photos(
                self.fit, self.size
            )
            for name, source in zip(self.models, sources, strict=True)
        ]

    def check_counts(self, flag: str, given: tuple[str, ...]) -> None:
        """Make sure that an option was given once, or once for each net.

        Raises:
            click.UsageError: If it was not.
        """
        if len(given) > 1 and len(given) != len(self.models):
            raise click.UsageError(
                f"{len(given)} {flag} for {len(self.models)} --model: give one for all nets, or "
                "one for each",
                self.context,
            )

    def quote(self, **settled: Any) -> str:
        """Write the command that repeats the run, with every option in full.

        Args:
            **settled: Values that replace given ones, by parameter name.

        Returns:
            A shell-quoted command line.
        """
        values = {**self.context.params, "out": self.folder, **settled}
        words = ["vizcnn", str(self.context.command.name)]
        for parameter in self.context.command.params:
            value = values.get(str(parameter.name))
            if value is None and isinstance(parameter.type, CompareCount):
                value = "none"  # which is no default
            if parameter.name in ("as_json", "opens", "help") or value is None or value is False:
                continue
            if value is True:
                words.append(parameter.opts[0])
                continue
            for item in value if isinstance(value, tuple | list) else (value,):
                words += [parameter.opts[0], str(item)]
        return shlex.join(words)

    def report(
        self,
        manifest: "Manifest[Any]",
        summary: str,
        failures: Sequence[str] = (),
        failed: str = "left out",
    ) -> None:
        """Say what was made and where it is, and end with a status of its own if not all was.

        Args:
            manifest: What was written.
            summary: What it holds, in lines for a person.
            failures: Why something is missing, a line each.
            failed: What happened to that.
        """
        from vizcnn.gallery.manifest import to_json

        index = self.folder / "index.html"
        if self.as_json:
            told = {
                "index": str(index),
                "manifest": json.loads(to_json(manifest)),
                "notes": list_notes(),
            }
            say(json.dumps(told))
        else:
            for net in manifest.nets:
                say(f"{net.title}, {net.weights.describe()}")
            say(*summary.splitlines())
            say(f"gallery: {click.format_filename(index)}")
        if self.opens:
            open_page(index)
        end_with_failures(self.context, failures, failed)


def open_page(index: Path) -> None:
    """Open a page in the user's browser; where there is none, the line says so and goes on."""
    import webbrowser

    if not webbrowser.open(index.absolute().as_uri()):
        say(f"note: no browser could be started: open {click.format_filename(index)}", err=True)


def page_command(
    out: str,
    *,
    nets: Declare | None = model_option,
    weights: Declare = weights_option,
    figures: Declare | None = format_option,
    seed: Declare | None = seed_option,
    **settings: Any,
) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command that gets a :class:`Page`, and its own options by name.

    Its help lists model and weights, then the command's own options, then device, precision, out,
    format, seed, open and json.

    Args:
        out: Name of the default folder; MODEL, MODELS and METHOD stand for what was chosen.
        nets: Declares ``--model``, once or repeated; None for a command without it.
        weights: Declares ``--weights``, where there is ``--model``.
        figures: Declares the format of figures; None for a command without a choice.
        seed: Declares ``--seed``; None for a command that needs no chance.
        **settings: For :func:`click.command`.
    """
    before = [weights, nets] if nets else []  # as decorators, of which the last comes first
    after = [
        device_option,
        precision_option,
        out_option(f"{OUT}/{out}"),
        figures,
        seed,
        open_option,
        json_option,
    ]

    def decorate(function: Callable[..., None]) -> click.Command:
        @wraps(function)
        @click.pass_context
        def run(context: click.Context, /, **given: Any) -> None:
            names = given.pop("models", None) or (given.pop("model"),) if nets else ()
            sources = given.pop("weights") if nets else ()
            chosen = {"MODEL": "-".join(names), "METHOD": given.get("method", "")}
            name = re.sub("(MODEL|METHOD)S?", lambda word: chosen[word[1]], out)
            page = Page(
                context,
                models=names,
                weights=(sources,) if isinstance(sources, str) else sources,
                device=given.pop("device"),
                precision=given.pop("precision"),
                folder=given.pop("out") or OUT / name,
                figure_format=given.pop("figure_format", "png"),
                seed=given.pop("seed", 0),
                as_json=given.pop("as_json"),
                opens=given.pop("opens"),
                fit=given.pop("fit", None),
                size=given.pop("size", None),
            )
            function(page, **given)

        for declare in before:
            declare(run)
        command: click.Command = click.command(cls=SharingCommand, **settings)(run)
        for option in filter(None, after):
            option(command)
        return command

    return decorate
