"""Commands that make a page: the options that they share, and what those are turned into."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vizcnn.cli.default_folders import OUT, name_folder, refuse_others, shorten_photos, shorten_word
from vizcnn.cli.options import (
    FORMATS,
    NetWords,
    SharingCommand,
    WholeNumber,
    check_count,
    device_option,
    force_option,
    format_option,
    json_option,
    load_model,
    model_option,
    net_options,
    open_option,
    out_option,
    precision_option,
    seed_option,
    strict_option,
    take_words,
    weights_option,
)
from vizcnn.cli.repeating import quote_command
from vizcnn.cli.reporting import (
    end_with_failures,
    list_notes,
    name_failures,
    say,
    telling_to_continue,
)
from vizcnn.zoo.specs import slug_net

if TYPE_CHECKING:
    from vizcnn.basics.output import FigureFormat
    from vizcnn.basics.ray_pool import RayPool
    from vizcnn.drawing.style import Theme
    from vizcnn.gallery.manifest import Manifest
    from vizcnn.photos.framing import Fit
    from vizcnn.recording.arithmetic import Precision
    from vizcnn.zoo.model import ZooModel

Declare = Callable[[Any], Any]
"""Declares options of a command, as ``click.option`` does."""


@dataclass(frozen=True)
class OneRun:
    """One net and method of a command that takes several.

    Attributes:
        net: The net.
        method: The method; empty for a command without a choice.
        quote: As :meth:`Page.quote`, for this run alone.
        folder: Where the page goes for now.
        name: What tells it from the other runs of the command; empty of one alone.
    """

    net: "ZooModel"
    method: str
    quote: Callable[..., str]
    folder: Path
    name: str = ""


def _make_in(
    make: "Callable[[OneRun], Manifest[Any]]", begin: Callable[[Path], OneRun], folder: Path
) -> "Manifest[Any]":
    """Make a run's page in a folder that is known only now."""
    return make(begin(folder))


@dataclass(frozen=True)
class Page:
    """What the shared options of a command ask for.

    Attributes:
        context: The running command's.
        models: Names of nets.
        words: What is said of each.
        device: Where to compute.
        precision: How precisely.
        folder: Where the page goes.
        figure_format: Format of the figures.
        style: What they are drawn for.
        theme: Their ground, or both.
        seed: Seed of random weights.
        as_json: Whether to report as JSON.
        loaded: The nets that were loaded, each with the source that its weights were asked from.
        opens: Whether to open the page in a browser.
        fit: How photos are brought to the nets' input; as is usual for each when None.
        size: Side of the nets' input in pixels; each net's own when None.
        pool: The processes that compute, if those are others than this one.
    """

    context: click.Context
    models: tuple[str, ...]
    words: tuple[NetWords, ...]
    device: str
    precision: "Precision"
    folder: Path
    figure_format: "FigureFormat"
    style: str
    theme: str
    seed: int
    as_json: bool
    opens: bool
    fit: "Fit | None" = None
    size: int | None = None
    pool: "RayPool | None" = None
    loaded: "list[tuple[ZooModel, str]]" = field(default_factory=list)

    def load(self) -> "list[ZooModel]":
        """Load the nets."""
        nets = [
            load_model(name, words, self.device, self.seed, self.precision).fit_photos(
                self.fit, self.size
            )
            for name, words in zip(self.models, self.words, strict=True)
        ]
        self.loaded[:] = zip(nets, (words.weights for words in self.words), strict=True)
        return nets

    def check_counts(self, flag: str, given: tuple[str, ...]) -> None:
        """Make sure that an option was given once, or once for each net.

        Raises:
            click.UsageError: If it was not.
        """
        check_count(self.context, flag, given, len(self.models))

    def quote(self, **settled: Any) -> str:
        """Write the command that repeats the run to the byte, with every option in full.

        Once nets are loaded it names their weights by checksum, and the device.

        Args:
            **settled: Values that replace given ones, by parameter name.

        Returns:
            A shell-quoted command line.
        """
        values = {**self.context.params, "out": self.folder}
        if self.loaded:
            from vizcnn.zoo.pinned_weights import pin_weights

            pinned = [pin_weights(net, source) for net, source in self.loaded]
            values["weights"] = pinned if len(set(pinned)) > 1 else pinned[:1]
            values["device"] = self._name_device(self.loaded[0][0])
        return quote_command(self.context, {**values, **settled})

    def make_each(
        self,
        make: "Callable[[OneRun], Manifest[Any]]",
        methods: Sequence[str] = ("",),
        resumed: bool = False,
    ) -> "Manifest[Any]":
        """Make the page of every net and method: one alone as the page, several beside each other.

        Args:
            make: Makes one page.
            methods: The methods; one that is empty for a command without a choice.
            resumed: Whether an interrupted run goes on where it was when it is made again; as for
                :func:`vizcnn.pages.runs.make_runs`.
        """
        nets = self.load()
        with telling_to_continue() if resumed else nullcontext():
            return self._make_each(nets, make, methods, resumed)

    def _make_each(
        self,
        nets: "list[ZooModel]",
        make: "Callable[[OneRun], Manifest[Any]]",
        methods: Sequence[str],
        resumed: bool,
    ) -> "Manifest[Any]":
        if len(nets) == len(methods) == 1:
            return make(OneRun(nets[0], methods[0], self.quote, self.folder))
        from vizcnn.pages.check import name_nets
        from vizcnn.pages.runs import Plan, make_runs

        plans: list[Plan] = []
        for number, (net, named) in enumerate(zip(nets, name_nets(nets), strict=True)):
            for method in methods:
                name = "-".join(filter(None, [shorten_word(slug_net(self.models[number])), method]))
                same = sum(plan.name == name for plan in plans)
                name = f"{name}-{same + 1}" if same else name
                quote = partial(self._quote_run, number, method, self.folder / name)
                begin = partial(OneRun, net, method, quote, name=name)
                title = ", ".join(filter(None, [named.title, method]))
                plans.append(Plan(name, title, named, partial(_make_in, make, begin)))
        chosen = {"nets": list(self.models), "methods": [name for name in methods if name]}
        kind = str(self.context.command.name)
        return make_runs(plans, self.folder, kind, chosen, self.quote(), resumed)

    def _quote_run(self, number: int, method: str, folder: Path, **settled: Any) -> str:
        """Write the command that repeats one run of several, alone."""
        alone = {
            **self.name_net(number),
            "out": folder,
            **({"methods": method} if method else {}),
        }
        return quote_command(self.context, {**self.context.params, **alone, **settled})

    def _name_device(self, net: "ZooModel") -> str:
        return self.pool.device if self.pool else str(next(net.module.parameters()).device)

    def name_net(self, number: int) -> dict[str, Any]:
        """Give the values of the options that name one of the loaded nets, alone, and its device.

        Args:
            number: Which of the nets.
        """
        from vizcnn.zoo.pinned_weights import pin_weights

        net, source = self.loaded[number]
        said = {
            name: values[number] if len(values) > 1 else values
            for name in ("variants", "preprocessings", "class_lists")
            if (values := self.context.params[name])
        }
        return {
            **said,
            "models": self.models[number],
            "weights": pin_weights(net, source),
            "device": self._name_device(net),
        }

    def report(
        self,
        manifest: "Manifest[Any]",
        summary: "str | Callable[[Manifest[Any]], str]",
        failed: str = "left out",
        named: bool = False,
    ) -> None:
        """Say what was made and where it is, and end with a status of its own if not all was.

        Args:
            manifest: What was written.
            summary: What it holds, in lines for a person; or what says so of one run's page, as
                each of several has its own.
            failed: What happened to what is missing.
            named: Whether what is missing has to be named beside the error, which does not do so.
        """
        from vizcnn.gallery.manifest import to_json
        from vizcnn.pages.runs import RunsResults

        index = self.folder / "index.html"
        failures = [
            f"{failure.source}: {failure.error}" if named else failure.error
            for failure in manifest.failures
        ]
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
            if isinstance(summary, str):
                say(*summary.splitlines())
            elif not isinstance(manifest.results, RunsResults):
                say(*summary(manifest).splitlines())
            else:
                say(f"{len(manifest.results.runs)} nets side by side")
            if isinstance(manifest.results, RunsResults):
                say(*(f"{run.title}: {run.folder}/index.html" for run in manifest.results.runs))
            if failures:
                say(f"{failed}: {name_failures(manifest.failures)}")
            say(f"gallery: {click.format_filename(index)}")
        if self.opens:
            open_page(index)
        end_with_failures(self.context, failures, failed)


def _use_style(given: dict[str, Any]) -> AbstractContextManager[None]:
    """Take the values of :func:`make_figure_options` out, and draw as they say in the block."""
    from vizcnn.drawing.style import make_style, use_style

    theme: Theme = "dark" if given["theme"] == "dark" else "light"
    title, captions = given.pop("figure_title"), not given.pop("no_caption")
    return use_style(make_style(given["style"], theme, given.pop("dpi"), title, captions))


class _Style(click.Choice):  # type: ignore[type-arg, unused-ignore]
    """What figures are drawn for; ``slides`` was a name of ``slide``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert("slide" if value == "slides" else value, param, ctx)


def make_figure_options(
    formats: Declare | None = format_option,
    styles: tuple[str, ...] = ("page", "slide", "paper"),
    themes: tuple[str, ...] = ("light", "dark"),
) -> Declare:
    """Make the options of how figures look; the first of styles and of themes is the default.

    Args:
        formats: Declares ``--format``; None where there is no choice.
        styles: What figures can be drawn for.
        themes: Which ink and ground they can have.
    """
    declared: list[Declare] = [
        click.option(
            "--style",
            type=_Style(styles),
            default=styles[0],
            show_default=True,
            help="What figures are drawn for: "
            + ("a page, " if "page" in styles else "")
            + "a slide, with large letters, or a paper, half as large.",
        ),
        click.option(
            "--theme",
            type=click.Choice(themes, case_sensitive=False),
            default=themes[0],
            show_default=True,
            help="Ground of the figures.",
        ),
        click.option(
            "--dpi",
            type=WholeNumber(30, 1200),
            help="Pixels per inch of figures in PNG.  [default: the style's, 150 or more]",
        ),
        click.option(
            "--title",
            "figure_title",
            help="Heading of the figures in place of their own, which {} stands for; empty for "
            "none.",
        ),
        click.option("--no-caption", is_flag=True, help="Leave out the small print of figures."),
    ]

    def declare(command: Any) -> Any:
        for option in filter(None, (formats, *declared)):
            option(command)
        return command

    return declare


figure_options = make_figure_options()
"""How the figures of most commands look."""


def choose_shown(context: click.Context, forms: "tuple[FigureFormat, ...]") -> "FigureFormat":
    """Choose the format that a page shows; figures are written in the others too."""
    shown = min(forms, key=FORMATS.index)
    if len(forms) > 1:
        from vizcnn.drawing.saving import saving_further

        context.with_resource(saving_further([form for form in forms if form != shown]))
    return shown


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
    figures: Declare | None = figure_options,
    seed: Declare | None = seed_option,
    strict: Declare | None = strict_option,
    modes: tuple[str, ...] = (),
    list_nets: Callable[[tuple[str, ...], dict[str, Any]], tuple[str, ...]] | None = None,
    **settings: Any,
) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command that gets a :class:`Page`, and its own options by name.

    Its help lists model and weights, then the command's own options, then device, precision, out,
    those of figures, seed, open and json.

    Args:
        out: Name of the default folder, as :func:`name_folder` has it.
        nets: Declares ``--model``, once or repeated; None for a command without it.
        weights: Declares ``--weights``, where there is ``--model``.
        figures: Declares how figures look; None for a command without any.
        seed: Declares ``--seed``; None for a command that needs no chance.
        strict: Declares ``--strict``; None for a command that ends if anything cannot be used.
        modes: Names of flags that make another page: each ends the name of the default folder.
        list_nets: Gives the nets that were asked for, of those that ``--model`` names, and
            rewrites their weights among the values.
        **settings: For :func:`click.command`.
    """
    # as decorators, of which the last comes first
    before = [net_options, weights, nets] if nets else []
    after = [
        device_option,
        precision_option,
        out_option(f"{OUT}/{out}"),
        force_option,
        figures,
        seed,
        strict,
        open_option,
        json_option,
    ]

    def decorate(function: Callable[..., None]) -> click.Command:
        @wraps(function)
        @click.pass_context
        def run(context: click.Context, /, **given: Any) -> None:
            if figures:
                context.with_resource(_use_style(given))
            names = given.pop("models", None) or (given.pop("model"),) if nets else ()
            names = list_nets(names, given) if list_nets else names
            named = names or tuple(filter(None, [given.get("model")]))
            words = take_words(context, names, given) if nets else []
            folder, force = given.pop("out"), given.pop("force")
            if folder is None:
                photos = given.get("photos") or ()
                chosen = {
                    "MODEL": [shorten_word(slug_net(name)) for name in named],
                    "METHOD": given.get("methods", ()),
                    "PHOTO": shorten_photos([photos] if isinstance(photos, str) else photos),
                }
                pattern = "-".join([out, *(mode for mode in modes if given[mode])])
                folder = OUT / name_folder(pattern, chosen)
                if not force:
                    refuse_others(context, folder, pattern)
            page = Page(
                context,
                models=names,
                words=tuple(words),
                device=given.pop("device"),
                precision=given.pop("precision"),
                folder=folder,
                figure_format=choose_shown(context, given.pop("figure_formats", ("png",))),
                style=given.pop("style", "page"),
                theme=given.pop("theme", "light"),
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
