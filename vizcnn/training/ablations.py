"""What an ablation leaves out or changes: the rows of Zeiler & Fergus' Table 3, and a user's own.

A row is a change of a recipe: the same net, trained alike, without some layers or with others'
widths.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vizcnn.basics.errors import DataError, ModelError, nearest_names, quote
from vizcnn.measures.published import read_published
from vizcnn.training.net import find_trained
from vizcnn.training.recipe import Recipe, usual_recipe
from vizcnn.zoo.catalogue import CATALOGUE
from vizcnn.zoo.chains import read_widths, read_without
from vizcnn.zoo.zfnet import WIDE_MAPS

WHOLE = "whole"
"""The row that all others are compared with: the net as it is."""
TABLE_3 = "zfnet-ablation"
"""The paper's Table 3 in the file of published tables."""
_PRINTED_NETS = {"alexnet": "Krizhevsky et al., replicated", "zfnet": "ZFNet as in Figure 3"}
_PRINTED_ROWS = {
    WHOLE: "none",
    "no-3-4": "without layers 3, 4",
    "no-7": "without layer 7",
    "no-6-7": "without layers 6, 7",
    "no-3-4-6-7": "without layers 3, 4, 6, 7",
    "half-6-7": "layers 6, 7 of 2048 units",
    "double-6-7": "layers 6, 7 of 8192 units",
    "wide-3-5": "layers 3, 4, 5 of 512, 1024, 512 maps",
    "wide-3-5-double-6-7": "layers 6, 7 of 8192 units, layers 3, 4, 5 of 512, 1024, 512 maps",
}
"""Nets and changes as the paper's table names them."""


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """A change of a net.

    Attributes:
        name: Short name, for options, folders and figures.
        title: The same in words.
        without: Layers that are left out, as in :class:`~vizcnn.training.recipe.Recipe`.
        widths: Layers of other widths, in the same way.
    """

    name: str
    title: str
    without: str = ""
    widths: str = ""

    def change(self, recipe: Recipe, seed: int) -> Recipe:
        """Give the recipe of one training, from that of the whole net."""
        return replace(recipe, without=self.without, widths=self.widths, seed=seed)


def find_ablated(model: str) -> None:
    """Make sure that layers of a net can be left out, and have other widths.

    Raises:
        ModelError: If they cannot, or it is no net that can be trained here.

    Example:
        >>> find_ablated("vgg16-c")
        Traceback (most recent call last):
        vizcnn.basics.errors.ModelError: the layers of vgg16-c cannot be left out: ...
    """
    known = [
        name
        for name, entry in CATALOGUE.items()
        if entry.trained_as is not None and "without" in inspect.signature(entry.make).parameters
    ]
    if model not in known:
        find_trained(model)
        raise ModelError(
            f"the layers of {model} cannot be left out: it is built as it is; needed: "
            f"{', '.join(known[:-1])} or {known[-1]}"
        )


def ablation_recipe(model: str, **settings: object) -> Recipe:
    """Give the recipe that all rows of a net are trained with.

    It is the net's usual one; ZFNet has the maps of the paper's Figure 3, as in its Table 3.

    Args:
        model: Name of the net.
        **settings: Settings of the recipe by name; None leaves the usual one.

    Raises:
        DataError: If a setting is impossible.
        ModelError: If layers of the net cannot be left out.

    Example:
        >>> ablation_recipe("zfnet", epochs=3).variant, ablation_recipe("lenet").variant
        ('paper', None)
    """
    find_ablated(model)
    if model == "zfnet" and settings.get("variant") is None:
        settings["variant"] = "paper"
    return usual_recipe(model, **settings)


def list_rows(recipe: Recipe) -> tuple[Ablation, ...]:
    """List the rows of the table of a net, the whole net first.

    Widths of the fully connected layers are half and twice those of the recipe, as the paper's
    2,048 and 8,192 are of its 4,096.

    Args:
        recipe: Of the whole net.

    Example:
        >>> [row.name for row in list_rows(ablation_recipe("lenet"))]
        ['whole', 'no-2', 'no-3', 'no-4', 'no-3-4', 'half-4', 'double-4', 'wide-2-3']
    """
    if recipe.model == "lenet":
        return (
            Ablation(name=WHOLE, title="the whole net"),
            _remove("conv2"),
            _remove("conv3"),
            _remove("fc4"),
            _remove("conv3", "fc4"),
            _resize("half", {"fc4": 42}),
            _resize("double", {"fc4": 168}),
            _resize("wide", {"conv2": 32, "conv3": 240}),
        )
    hidden = recipe.hidden or 4096
    half, double = ({"fc6": width, "fc7": width} for width in (max(hidden // 2, 1), 2 * hidden))
    wide = dict(zip(("conv3", "conv4", "conv5"), WIDE_MAPS, strict=True))
    rows = (
        Ablation(name=WHOLE, title="the whole net"),
        _remove("conv3", "conv4"),
        _remove("fc7"),
        _remove("fc6", "fc7"),
        _remove("conv3", "conv4", "fc6", "fc7"),
        _resize("half", half),
        _resize("double", double),
    )
    if recipe.model != "zfnet":
        return rows
    both = Ablation(
        name="wide-3-5-double-6-7",
        title=f"wide conv3, 4, 5; {_say_widths(double)}",
        widths=_write_widths({**wide, **double}),
    )
    return (*rows, replace(_resize("wide", wide), name="wide-3-5"), both)


def _remove(*layers: str) -> Ablation:
    numbers = [layer.lstrip("confv") for layer in layers]
    return Ablation(
        name="-".join(("no", *numbers)),
        title=f"without {', '.join(layers)}",
        without=",".join(layers),
    )


def _resize(how: str, widths: dict[str, int]) -> Ablation:
    numbers = [layer.lstrip("confv") for layer in widths]
    return Ablation(
        name="-".join((how, *numbers)), title=_say_widths(widths), widths=_write_widths(widths)
    )


def _say_widths(widths: dict[str, int]) -> str:
    first, *others = widths
    numbers = list(widths.values()) if len(set(widths.values())) > 1 else [widths[first]]
    named = ", ".join([first, *(layer.lstrip("confv") for layer in others)])
    kind = "maps" if first.startswith("conv") else "units"
    return f"{named}: {', '.join(f'{number:,}' for number in numbers)} {kind}"


def _write_widths(widths: dict[str, int]) -> str:
    return ",".join(f"{layer}={width}" for layer, width in widths.items())


def make_own(without: str, widths: str) -> Ablation:
    """Make a row of a user's own.

    Args:
        without: Layers to leave out, such as ``"conv3,conv4"``; empty for none.
        widths: Layers of other widths, such as ``"fc6=2048"``; empty for none.

    Raises:
        ModelError: If the widths are of another form, or nothing is changed.

    Example:
        >>> make_own("conv4, conv3", "fc6=2048").name
        'no-conv4-conv3-fc6-2048'
    """
    try:
        left_out, changed = read_without(without), read_widths(widths)
    except ValueError as error:
        raise ModelError(str(error)) from None
    if not left_out and not changed:
        raise ModelError("a row leaves no layer out and changes no width: name one")
    words = [f"without {', '.join(left_out)}"] if left_out else []
    words += [f"{layer}: {width:,}" for layer, width in changed.items()]
    parts = ["no", *left_out] if left_out else []
    parts += [f"{layer}-{width}" for layer, width in changed.items()]
    return Ablation(
        name="-".join(parts),
        title="; ".join(words),
        without=",".join(left_out),
        widths=_write_widths(changed),
    )


def choose_rows(
    recipe: Recipe, names: Sequence[str] = (), own: Sequence[Ablation] = ()
) -> tuple[Ablation, ...]:
    """Choose the rows of a table; the whole net, which all are compared with, is always there.

    Args:
        recipe: Of the whole net.
        names: Names of rows of :func:`list_rows`; all when there are neither names nor own rows.
        own: Rows of the user's, from :func:`make_own`.

    Raises:
        DataError: If there is no such row.

    Example:
        >>> rows = choose_rows(ablation_recipe("zfnet"), ["no-7"])
        >>> [row.name for row in rows]
        ['whole', 'no-7']
    """
    table = {row.name: row for row in list_rows(recipe)}
    for name in names:
        if name not in table:
            near = nearest_names(name, table)
            raise DataError(f"the table of {recipe.model} has no row {quote(name)}: {near}")
    usual = names if names or own else table
    chosen = {name: table[name] for name in dict.fromkeys((WHOLE, *usual))}
    return tuple({**chosen, **{row.name: row for row in own}}.values())


@dataclass(frozen=True, kw_only=True)
class Printed:
    """What the paper prints of a row: errors in percent on ImageNet 2012.

    Attributes:
        model: The net that it is of: ``"alexnet"`` is the paper's own training of that net.
        train_top1: Top-1 error on the training photos.
        top1: Top-1 error on the validation photos.
        top5: Top-5 error on the validation photos.
        change: Top-1 error minus that of the whole net of the same kind, in points.
    """

    model: str
    train_top1: float
    top1: float
    top5: float
    change: float


def find_printed(model: str, row: str) -> Printed | None:
    """Find what the paper's Table 3 prints of a row.

    The paper took layers away from its AlexNet alone: of a ZFNet without layers the row of that net
    is given, which says so.

    Args:
        model: Name of the net.
        row: Name of the row, as :func:`list_rows` has it.

    Returns:
        The numbers; None where none are printed of that net or row.

    Example:
        >>> find_printed("zfnet", "no-7")
        Printed(model='alexnet', train_top1=27.4, top1=40.0, top5=18.4, change=-0.5)
        >>> find_printed("lenet", "no-3") is None
        True
    """
    rows = read_published().table(TABLE_3).rows
    for net in {"zfnet": ("zfnet", "alexnet"), "alexnet": ("alexnet",)}.get(model, ()):
        own = {change: errors for name, change, *errors in rows if name == _PRINTED_NETS[net]}
        if row in _PRINTED_ROWS and _PRINTED_ROWS[row] in own:
            train, top1, top5 = (float(error) for error in own[_PRINTED_ROWS[row]] if error)
            change = round(top1 - float(own[_PRINTED_ROWS[WHOLE]][1] or 0), 1)
            return Printed(model=net, train_top1=train, top1=top1, top5=top5, change=change)
    return None
