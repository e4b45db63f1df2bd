"""``vizcnn receptive``: what units can see, as a table and boxes, and what of it really counts."""

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vizcnn.cli.options import (
    LARGEST_SEED,
    WholeNumber,
    fitting_options,
    list_given,
    models_option,
    save_arrays_option,
)
from vizcnn.cli.page_command import OneRun, Page, page_command
from vizcnn.cli.photo_arguments import (
    HOLDERS,
    SAMPLE_NAMES,
    PhotosArgument,
    find_given,
    photos_argument,
)
from vizcnn.cli.reporting import bar, lay_out, telling_to_continue

if TYPE_CHECKING:
    from vizcnn.gallery.manifest import Manifest
    from vizcnn.measures.effective_field import EffectiveField
    from vizcnn.pages.effective import EffectiveResults
    from vizcnn.pages.receptive import ReceptiveResults
    from vizcnn.receptive import ReceptiveField

HEADS = ("layer", "maps", "map size", "field", "stride", "offset", "seen")
EFFECTIVE_HEADS = ("net", "layer", "field", "20%", "50%", "90%", "95%", "ratio", "area", "sigma")

SAMPLE = "chelsea"
"""Photo that boxes are drawn on where none is named."""
COUNT = 32
"""Photos that are drawn where nothing is said."""

_EFFECTIVE_ONLY = ("count", "normalise", "chosen_seed", "no_untrained", "save_arrays")
"""Parameters that mean something with ``--effective`` only."""
_BOXES_ONLY = ("position",)
"""Those that mean something without it only."""


class FieldPhotos(PhotosArgument):
    """One photo that boxes are drawn on; with ``--effective`` any number, for their mean."""

    def join(
        self, context: click.Context, parameter: click.Parameter, words: tuple[str, ...]
    ) -> tuple[str, ...]:
        """Put the photos together that were named with and without an option.

        Raises:
            click.UsageError: If there are too many.
        """
        names = super().join(context, parameter, words)
        assert isinstance(names, tuple)
        if context.params.get("effective"):  # which is eager
            return names
        if len(names) > 1:
            raise click.UsageError(
                f"{len(names)} photos are named: give one, or --effective for the mean over all",
                context,
            )
        return names or (SAMPLE,)


def list_epochs(names: tuple[str, ...], given: dict[str, Any]) -> tuple[str, ...]:
    """Give one net with several weights as so many nets, and a training's folder as its nets.

    Args:
        names: Nets that were named.
        given: Values of parameters; the weights are replaced.

    Raises:
        click.UsageError: If a folder holds no nets that a training kept.
    """
    if not given["effective"]:
        return names
    sources = given["weights"]
    if len(names) == 1:
        pairs = [(names[0], source) for source in sources]
    elif len(sources) in (1, len(names)):
        pairs = list(zip(names, sources * len(names), strict=False))
    else:
        return names  # for the check of counts to complain of
    spread = [(name, weights) for name, source in pairs for weights in _list_kept(name, source)]
    given["weights"] = tuple(weights for _, weights in spread)
    return tuple(name for name, _ in spread)


def _list_kept(name: str, source: str) -> list[str]:
    """List the weights that a source stands for: a training's folder for its nets, by epoch."""
    folder = Path(source)
    if not folder.is_dir():
        return [source]
    from vizcnn.training.moments import read_epoch

    form = re.compile(re.escape(name) + r"\.epoch-([0-9]{3,9})\.safetensors")
    found = {int(at[1]): path for path in folder.iterdir() if (at := form.fullmatch(path.name))}
    if not found:
        raise click.UsageError(
            f"{source!r} holds no nets that a training of {name} kept: train with --keep, or give "
            "files of weights"
        )
    last = folder / f"{name}.safetensors"
    if last.is_file():
        found.setdefault(read_epoch(last), last)
    return [str(found[epoch]) for epoch in sorted(found)]


@page_command(
    out="MODELS-PHOTO-receptive",
    nets=models_option(("zfnet",)),
    weights=click.option(
        "--weights",
        multiple=True,
        default=("any",),
        show_default=True,
        metavar="SOURCE",
        help="As for the other commands, or any: auto, and random ones where none are at hand. "
        "Theoretical fields do not depend on weights, but the size of the input may. With "
        "--effective one net may have several, or the folder of a training that kept nets.",
    ),
    seed=None,
    modes=("effective",),
    list_nets=list_epochs,
    short_help="Measure and draw receptive fields, theoretical and effective.",
)
@photos_argument(
    f"Photo that boxes are drawn on; with --effective photos, {HOLDERS}; or {SAMPLE_NAMES}.  "
    f"[default: {SAMPLE}; with --effective patches of scikit-image's sample photos]",
    cls=FieldPhotos,
)
@fitting_options
@click.option(
    "--layer",
    "layers",
    multiple=True,
    help="Layer, list of layers (conv1,conv3) or range (conv1..conv5); may be repeated.  [default: "
    "all in the table, conv1..conv5 on the photo]",
)
@click.option(
    "--position",
    default="middle",
    show_default=True,
    metavar="PLACE",
    help="Unit to draw: ROW,COLUMN in the feature map of the deepest layer, or middle.",
)
@click.option(
    "--effective",
    is_flag=True,
    is_eager=True,
    help="Measure what really counts in the fields: the mean over photos of the middle unit's "
    "gradient at the pixels, nets side by side, each beside its untrained twin.",
)
@click.option(
    "--count",
    type=WholeNumber(1, 10_000),
    help=f"With --effective: how many photos to draw.  [default: {COUNT}]",
)
@click.option(
    "--normalise",
    type=click.Choice(["none", "photo"], case_sensitive=False),
    help="With --effective: photo divides each photo's map by its sum, so that all weigh alike.  "
    "[default: none]",
)
@click.option(
    "--no-untrained",
    is_flag=True,
    help="With --effective: leave the untrained twins out.",
)
@save_arrays_option
@click.option(
    "--seed",
    "chosen_seed",
    type=WholeNumber(0, LARGEST_SEED),
    help="With --effective: seed for the photos that are drawn and for random weights.  "
    "[default: 0]",
)
def receptive(
    page: Page,
    /,
    photos: tuple[str, ...],
    layers: tuple[str, ...],
    position: str,
    effective: bool,
    **choices: Any,
) -> None:
    """Measure exactly what the units of a net can see, and draw it on a photo.

    For each layer: the size of the receptive field before the edge of the image cuts it, the
    stride from unit to unit, where the first field begins, and the share of the image that the
    middle unit sees. With --effective: how much of that really counts, over many photos.
    """
    _refuse_idle(page.context, _BOXES_ONLY if effective else _EFFECTIVE_ONLY, effective)
    if effective:
        _measure_effective(page, photos, layers, **choices)
        return
    from vizcnn.pages.receptive import ReceptiveSettings, make_receptive_gallery, parse_unit
    from vizcnn.photos.stores import find_photos
    from vizcnn.recording.layers import select_layers

    unit = parse_unit(position)
    files = find_photos(find_given(photos))
    if len(files) > 1:
        raise click.UsageError(f"{photos[0]!r} holds {len(files)} photos: give one", page.context)

    def make(run: OneRun) -> "Manifest[ReceptiveResults]":
        settings = ReceptiveSettings(
            layers=select_layers(run.net, layers),
            position=unit,
            figure_format=page.figure_format,
        )
        return make_receptive_gallery(run.net, files[0], run.folder, settings, run.quote())

    manifest = page.make_each(make)
    page.report(manifest, summarise)


def _refuse_idle(context: click.Context, idle: tuple[str, ...], effective: bool) -> None:
    """Refuse options that the page does not depend on, rather than pass them over."""
    given = [item.opts[0] for item in list_given(context) if item.name in idle]
    if given:
        flags = ", ".join(given)
        raise click.UsageError(
            f"{flags} means nothing with --effective: leave one of them out"
            if effective
            else f"{flags} needs --effective: add it, or leave {flags} out",
            context,
        )


def _measure_effective(
    page: Page,
    photos: tuple[str, ...],
    layers: tuple[str, ...],
    count: int | None,
    normalise: str | None,
    chosen_seed: int | None,
    no_untrained: bool,
    save_arrays: bool,
) -> None:
    """Make the page of effective fields."""
    from vizcnn.pages.effective import EffectiveSettings, make_effective_gallery

    page = replace(page, seed=chosen_seed or 0)
    settings = EffectiveSettings(
        layers=layers,
        count=count or COUNT,
        normalise=normalise or "none",  # type: ignore[arg-type]  # click has checked it
        untrained=not no_untrained,
        seed=page.seed,
        figure_format=page.figure_format,
        save_arrays=save_arrays,
    )
    nets = page.load()
    command = page.quote(
        models=page.models,
        count=settings.count,
        normalise=settings.normalise,
        chosen_seed=page.seed,
        position=None,
    )
    with telling_to_continue():
        manifest = make_effective_gallery(
            nets, find_given(photos), page.folder, settings, command, bar
        )
    page.report(manifest, summarise_effective(manifest))


def summarise(manifest: "Manifest[ReceptiveResults]") -> str:
    """Write the table of a net's layers."""
    return "\n".join(lay_out([HEADS, *map(_write_row, manifest.results.layers)]))


def _write_row(layer: "ReceptiveField") -> tuple[str, ...]:
    share = "< 0.1%" if layer.share < 0.001 else f"{layer.share:.1%}"
    return (
        layer.name,
        str(layer.maps),
        _write_size(layer.map_size) if layer.map_size else "-",
        _write_size(layer.size) + ("" if layer.exact else " at most"),
        _write_size(layer.stride) if layer.stride else "-",
        f"{layer.offset[0]},{layer.offset[1]}",
        "all" if layer.sees_all else share,
    )


def summarise_effective(manifest: "Manifest[EffectiveResults]") -> str:
    """Write the table of all nets: sides of squares in pixels that hold shares, and the fit."""
    results = manifest.results
    rows = [
        (net.title, *_write_effective(field))
        for net, found in zip(manifest.nets, results.nets, strict=True)
        for field in found.fields
    ]
    table = lay_out([EFFECTIVE_HEADS, *rows])
    return "\n".join([results.photos, *table])


def _write_effective(field: "EffectiveField") -> tuple[str, ...]:
    fit = field.gaussian
    sides = [str(held.side) for held in field.held] or ["-"] * 4
    return (
        field.name,
        _write_size(field.size) + ("" if field.exact else " at most"),
        *sides,
        "-" if field.ratio is None else f"{field.ratio:.2f}",
        f"{field.held[-1].area:.0%}" if field.held else "-",
        f"{fit.sigma[0]:.1f} x {fit.sigma[1]:.1f} (R2 {fit.r2:.2f})" if fit else "-",
    )


def _write_size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
