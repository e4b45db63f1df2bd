"""``vizcnn gallery``: a net and a folder of photos -> a site of whole layers."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vizcnn.cli.options import (
    GivenPath,
    WholeNumber,
    compare_option,
    data_option,
    find_data,
    fitting_options,
    layers_option,
    method_option,
    part_option,
    per_photo_option,
    settle_way_back,
    way_back_options,
    workers_option,
)
from vizcnn.cli.page_command import Page, page_command
from vizcnn.cli.python_lines import write_lines
from vizcnn.cli.reporting import bar, count_others, say

if TYPE_CHECKING:
    from vizcnn.gallery.manifest import Manifest
    from vizcnn.pages.layers.site_pages import LayersResults
    from vizcnn.projection.active_units import Compare
    from vizcnn.projection.parts import Part


@page_command(
    out="MODEL-gallery",
    figures=None,
    short_help="Show what excites every unit of whole layers, over folders of photos.",
)
@data_option
@fitting_options
@layers_option
@click.option(
    "--unit",
    "units",
    type=WholeNumber(0),
    multiple=True,
    help="Number of a unit; may be repeated.  [default: every unit]",
)
@click.option(
    "--top",
    type=WholeNumber(1, 100),
    default=9,
    show_default=True,
    help="How many of the strongest places to show per unit.",
)
@per_photo_option
@method_option
@part_option
@compare_option(3, none=True)
@click.option(
    "--scale",
    "scaling",
    type=click.Choice(["unit", "shared"]),
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
@workers_option
def gallery(
    page: Page,
    /,
    data: tuple[str, ...],
    layers: tuple[str, ...],
    units: tuple[int, ...],
    top: int,
    per_photo: int,
    method: str,
    part: "Part",
    compare: "Compare | None",
    scaling: str,
    index: Path | None,
    poster: bool,
    poster_units: int | None,
    workers: int | None,
    **way_back: str,
) -> None:
    """Show what excites every unit of whole layers, over folders of photos.

    One pass over the photos finds the places where each unit responds most strongly, and each is
    projected back to pixels. The site has a page for each layer and each unit. After an
    interruption, run the same command again to continue.
    """
    from vizcnn.mining.photo_sets import FolderPhotos, SamplePatches
    from vizcnn.pages.layers.gallery import make_top_gallery
    from vizcnn.pages.layers.job import TopSettings
    from vizcnn.pages.layers.work_folder import INDEX_NAME
    from vizcnn.recording.layers import list_stages, select_layers

    paths = find_data(page.context, data)
    started = time.monotonic()
    (net,) = page.load()
    wanted = layers or (list_stages(net),)
    settings = TopSettings(
        layers=select_layers(net, wanted),
        units=units or None,
        top=top,
        per_photo=per_photo,
        method=method,
        part=part,
        compare=compare,
        scaling=scaling,  # type: ignore[arg-type]  # click has checked these two
        **settle_way_back(**way_back),
        poster=poster,
        poster_units=poster_units,
        seed=page.seed,
        workers=workers,
    )
    photos = FolderPhotos(paths, net.preprocessing) if paths else SamplePatches(net.preprocessing)

    def repeat_unit(layer: str, unit: int) -> str:
        alone = page.folder.with_name(f"{page.folder.name}-{layer.replace('/', '-')}-{unit}")
        mined = index or page.folder / INDEX_NAME
        return page.quote(layers=(layer,), units=(unit,), index=mined, out=alone, poster=False)

    def write_python(layer: str, unit: int, photo: str, position: tuple[int, int] | None) -> str:
        places = [path if path.name == photo else path / photo for path in paths]
        file = next((place for place in places if place.is_file()), None)
        return write_lines(page, settings, file, layer, unit, position or "max") if file else ""

    try:
        manifest = make_top_gallery(
            net,
            photos,
            settings,
            page.folder,
            index=index,
            command=page.quote(layers=wanted),
            unit_command=repeat_unit,
            unit_python=write_python,
            progress=bar,
            notice=lambda line: say(line, err=True),
        )
    except KeyboardInterrupt:
        say("stopped: run the same command again to continue from here", err=True)
        raise
    summary = summarise(manifest, time.monotonic() - started)
    page.report(manifest, summary, [failure.error for failure in manifest.failures])


def summarise(manifest: "Manifest[LayersResults]", seconds: float) -> str:
    """Say in a line per layer what was made."""
    results = manifest.results
    lines = [f"{results.data.count} photos mined: {results.data.describe}"]
    if results.data.left_out:
        lines.append(f"{count_others(results.data.left_out)} left out")
    for layer in results.layers:
        places = sum(len(unit.places) for unit in layer.units)
        silent = sum(not unit.places for unit in layer.units)
        lines.append(
            f"{layer.name}: {len(layer.units)} units, {places} projections by {results.method} "
            f"(computed by {layer.computed})" + (f", {silent} silent" if silent else "")
        )
        if layer.evidence:
            lines.append(
                f"{layer.name}: {layer.evidence.describe(results.method)}; selectivity "
                f"{layer.evidence.value} ({layer.evidence.basis})"
            )
    return "\n".join([*lines, f"{seconds:.0f} s"])
