"""``vizcnn gallery``: a net and a folder of photos -> a site of whole layers."""

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vizcnn.basics.texts import name_files
from vizcnn.cli.cluster_options import (
    OPTIONS,
    NetLoader,
    cluster_options,
    open_pool,
    take_cluster,
)
from vizcnn.cli.options import (
    GivenPath,
    WholeNumber,
    compare_option,
    fitting_options,
    layers_option,
    methods_option,
    models_option,
    part_option,
    per_photo_option,
    range_option,
    rank_option,
    settle_way_back,
    several_weights_option,
    strict_index_option,
    way_back_options,
    workers_option,
)
from vizcnn.cli.page_command import OneRun, Page, make_figure_options, page_command
from vizcnn.cli.photo_arguments import find_given, photo_set_argument
from vizcnn.cli.repeating import quote_python
from vizcnn.cli.reporting import bar, count_others, is_strict, say
from vizcnn.cli.unit_option import choose_units, units_option
from vizcnn.mining.ranks import describe_order

if TYPE_CHECKING:
    from vizcnn.basics.ray_pool import RayPool
    from vizcnn.cli.unit_option import Unit
    from vizcnn.gallery.manifest import Manifest
    from vizcnn.mining.ranks import Rank
    from vizcnn.pages.layers.site_pages import LayersResults
    from vizcnn.projection.active_units import Compare
    from vizcnn.projection.parts import Part
    from vizcnn.zoo.model import ZooModel


@page_command(
    out="MODELS-METHODS-PHOTOS-gallery",
    nets=models_option(("zfnet",)),
    weights=several_weights_option,
    figures=make_figure_options(formats=None),
    strict=strict_index_option,
    short_help="Show what excites every unit of whole layers, over folders of photos.",
)
@photo_set_argument()
@fitting_options
@layers_option
@units_option(
    "Number of a unit, list (3,5) or range (10..20) of them, or name of a class; may be repeated.  "
    "[default: every unit]"
)
@click.option(
    "--top",
    type=WholeNumber(1, 100),
    default=9,
    show_default=True,
    help="How many of the strongest places to show per unit.",
)
@per_photo_option
@rank_option
@range_option
@methods_option
@part_option
@compare_option(3, none=True)
@click.option(
    "--scale",
    "scaling",
    type=click.Choice(["unit", "shared"], case_sensitive=False),
    default="unit",
    show_default=True,
    help="Contrast: stretched for each projection, or shared by all places of a unit.",
)
@way_back_options
@click.option(
    "--index",
    type=GivenPath(dir_okay=False),
    help="Index of these photos that `vizcnn mine` or an earlier gallery made "
    "(strongest.safetensors), so that they need not be mined again.",
)
@click.option(
    "--poster",
    is_flag=True,
    help="Also draw each layer as a slide (PDF, SVG and PNG) like Figure 2 of Zeiler & Fergus, of "
    "units that --seed picks at random.",
)
@click.option(
    "--poster-units",
    type=WholeNumber(1),
    help="How many units on a slide.  [default: 20, or 48 with small receptive fields]",
)
@cluster_options
@workers_option
def gallery(
    page: Page,
    /,
    photos: tuple[str, ...],
    layers: tuple[str, ...],
    units: "tuple[Unit, ...]",
    top: int,
    per_photo: int,
    rank: "Rank | None",
    ranges: bool,
    methods: tuple[str, ...],
    part: "Part",
    compare: "Compare | None",
    scaling: str,
    index: Path | None,
    poster: bool,
    poster_units: int | None,
    workers: int | None,
    **said: Any,
) -> None:
    """Show what excites every unit of whole layers, over folders of photos.

    One pass over the photos finds the places where each unit responds most strongly, or those
    that --rank asks for, and each is projected back to pixels. The site has a page for each layer
    and each unit. After an interruption, run the same command again to continue.
    """
    from vizcnn.mining.index import INDEX_NAME
    from vizcnn.mining.photo_sets import open_photos
    from vizcnn.pages.layers.gallery import make_top_gallery
    from vizcnn.pages.layers.job import TopSettings

    cluster = take_cluster(page.context, said)
    if cluster and cluster.parts and index:
        raise click.UsageError("--parts is for mining, which --index spares", page.context)
    paths = find_given(photos)
    started = time.monotonic()
    mined: dict[int, Path] = {}
    if cluster:
        page = _leave_to(open_pool(cluster, page.device), page)
    pool = page.pool

    def make(run: OneRun) -> "Manifest[LayersResults]":
        chosen = choose_units(run.net, layers, units)
        photo_set = open_photos(paths, run.net.preprocessing)
        if pool and not mined:  # started once, and not for a command that cannot be done
            page.context.with_resource(pool)
        settings = TopSettings(
            layers=chosen.layers,
            units=chosen.units or None,
            top=top,
            per_photo=per_photo,
            method=run.method,
            part=part,
            compare=compare,
            scaling=scaling,  # type: ignore[arg-type]  # click has checked these two
            **settle_way_back(**said),
            poster=poster,
            poster_units=poster_units,
            seed=page.seed,
            workers=pool.readers if pool and workers is None else workers,
            rank=rank or "activation",
            ranges=ranges,
        )
        # what was mined for one method serves the others of the net
        file = index or mined.get(id(run.net))
        mined[id(run.net)] = file or run.folder / INDEX_NAME

        def repeat_unit(layer: str, unit: int) -> str:
            name = f"{run.folder.name}-{name_files([layer])[0]}-{unit}"
            alone = {"out": run.folder.with_name(name), "index": mined[id(run.net)]}
            # one unit has the same bytes without an engine
            here = dict.fromkeys(OPTIONS)
            return run.quote(layers=(layer,), units=(unit,), poster=False, **here, **alone)

        def write_python(
            layer: str, unit: int, photo: str, position: tuple[int, int] | None
        ) -> str:
            here = [path for path in paths if isinstance(path, Path)]
            files = [path if path.name == photo else path / photo for path in here]
            file = next((str(file) for file in files if file.is_file()), "")
            if not file:  # in an archive, a table or an object store
                return ""
            return quote_python(page, run.net, settings, file, layer, unit, position or "max")

        return make_top_gallery(
            run.net,
            photo_set,
            settings,
            run.folder,
            index=file,
            command=run.quote(**chosen.given),
            unit_command=repeat_unit,
            unit_python=write_python,
            progress=bar,
            notice=lambda line: say(line, err=True),
            pool=pool,
            load=_make_loader(page, run.net, pool.device) if pool else None,
            parts=cluster.parts if cluster else None,
            strict=is_strict(page.context),
        )

    manifest = page.make_each(make, methods, resumed=True)
    summary = summarise(manifest, time.monotonic() - started)
    page.report(manifest, summary)


def _leave_to(pool: "RayPool", page: Page) -> Page:
    """Let a page's nets be computed in a pool: here they are only looked at."""
    # TF32 cannot be chosen for a device that has none
    return replace(page, device="cpu" if page.precision == "exact" else page.device, pool=pool)


def _make_loader(page: Page, net: "ZooModel", device: str) -> NetLoader:
    """Make what loads one of a page's nets in the processes of a pool."""
    number = [loaded is net for loaded, _ in page.loaded].index(True)
    return NetLoader(
        page.models[number],
        page.words[number],
        device,
        page.seed,
        page.precision,
        page.fit,
        page.size,
    )


def summarise(manifest: "Manifest[Any]", seconds: float) -> str:
    """Say in a line per layer what was made."""
    from vizcnn.pages.layers.site_pages import LayersResults

    results = manifest.results
    if not isinstance(results, LayersResults):
        return f"{len(results.runs)} runs side by side\n{seconds:.0f} s"
    lines = [f"{results.data.count} photos mined: {results.data.describe}"]
    if results.data.machines:
        lines.append(results.data.computed)
    if results.machines:
        lines.append(f"projections: {results.computed}")
    if results.data.left_out:
        lines.append(f"{count_others(results.data.left_out)} left out")
    if results.rank != "activation":
        lines.append(f"ranked: {describe_order(results.rank, results.seed)}")
    if results.data.unclassed:
        lines.append(f"{results.data.unclassed} photo(s) in folders that name no class left out")
    for layer in results.layers:
        shown = [place for unit in layer.units for place in unit.places]
        ranged = [place for unit in layer.units if unit.range for place in unit.range.places]
        places = sum(not place.silent for place in (*shown, *ranged))
        without = len(shown) + len(ranged) - places
        silent = sum(not unit.places for unit in layer.units)
        nothing = "of no relevance" if results.rank == "relevance" else "silent"
        lines.append(
            f"{layer.name}: {len(layer.units)} units, {places} projections by {results.method} "
            f"(computed by {layer.computed})"
            + (f", {silent} {nothing}" if silent else "")
            + (f", silent in {without} of the photos shown" if without else "")
        )
        if layer.evidence:
            lines.append(
                f"{layer.name}: {layer.evidence.describe(results.method)}; selectivity "
                f"{layer.evidence.value} ({layer.evidence.basis})"
            )
    return "\n".join([*lines, f"{seconds:.0f} s"])
