"""``vizcnn explore``: photos and nets -> a page to look around in what they see."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vizcnn.cli.deconv_command import deconv
from vizcnn.cli.live_explorer import serve_until_stopped
from vizcnn.cli.options import (
    GivenPath,
    WholeNumber,
    compare_option,
    fitting_options,
    index_data_option,
    layers_option,
    list_given,
    make_methods_option,
    models_option,
    settle_way_back,
    several_weights_option,
    way_back_options,
)
from vizcnn.cli.page_command import Page, page_command
from vizcnn.cli.photo_arguments import find_given, photo_list_argument
from vizcnn.cli.repeating import write_templates
from vizcnn.cli.reporting import bar, telling_to_continue
from vizcnn.photos.samples import SAMPLES
from vizcnn.zoo.specs import slug_net

if TYPE_CHECKING:
    from vizcnn.projection.active_units import Compare


@page_command(
    out="MODELS-PHOTOS-explore",
    nets=models_option(("zfnet",)),
    weights=several_weights_option,
    figures=None,
    modes=("serve",),
)
@photo_list_argument("the sample photos", tuple(SAMPLES))
@fitting_options
@layers_option
@click.option(
    "--top",
    type=WholeNumber(1),
    help="Make pictures of so many of each layer's strongest units on each photo only.  "
    "[default: of all]",
)
@make_methods_option("to see them side by side")
@click.option(
    "--own",
    type=WholeNumber(1),
    default=16,
    show_default=True,
    help="Of how many of each layer's strongest units on each photo to show the own part, too, "
    "with its selectivity.",
)
@compare_option(32, none=True)
@way_back_options
@click.option(
    "--index",
    "indexes",
    multiple=True,
    type=GivenPath(dir_okay=False),
    help="Index that `vizcnn mine` or a gallery made (strongest.safetensors): the page shows each "
    "unit's strongest patches, and the units that share their photos; once for each net.",
)
@index_data_option
@click.option(
    "--gallery",
    "galleries",
    multiple=True,
    type=GivenPath(file_okay=False),
    help="Folder that `vizcnn gallery` made, in place of an index and its photos; once for each "
    "net.",
)
@click.option(
    "--serve",
    is_flag=True,
    help="Write nothing: serve the page to this machine's user until Ctrl-C, with answers for any "
    "photo, place and unit.",
)
@click.option(
    "--port",
    type=WholeNumber(0, 65535),
    help="Port of 127.0.0.1 to serve at.  [default: one that is free]",
)
@click.option("--no-open", is_flag=True, help="Serve without opening the page in a browser.")
def explore(
    page: Page,
    /,
    photos: tuple[str, ...],
    layers: tuple[str, ...],
    top: int | None,
    methods: tuple[str, ...],
    own: int,
    compare: "Compare | None",
    indexes: tuple[Path, ...],
    data: tuple[Path, ...],
    galleries: tuple[Path, ...],
    serve: bool,
    port: int | None,
    no_open: bool,
    **way_back: str,
) -> None:
    """Look around in nets: who fires at a place of a photo, and what a unit looks for.

    The page has all maps and projections of every photo; it opens from disk.
    """
    from vizcnn.explorer.explored import ExploredNet, make_keys
    from vizcnn.explorer.explorer import ExplorerSettings
    from vizcnn.explorer.strongest_sources import open_strongest
    from vizcnn.pages.check import name_nets
    from vizcnn.pages.explore import make_explorer
    from vizcnn.photos.stores import find_photos
    from vizcnn.projection.methods import find_method
    from vizcnn.recording.layers import list_stages, select_layers

    _check_serving(page.context)
    files = find_photos(find_given(photos))
    settled = settle_way_back(**way_back)
    settled["seed"] = settled.pop("start")
    settings = ExplorerSettings(
        methods=tuple(find_method(method, **settled) for method in methods),
        compare=compare,
        top=top,
        own=own,
    )
    loaded = page.load()
    loaded = name_nets(loaded, len(loaded))
    strongest = open_strongest(loaded, indexes, data, galleries)
    keys = make_keys(map(slug_net, page.models))
    nets = [
        ExploredNet(
            key,
            net,
            select_layers(net, layers or [list_stages(net)]),
            *write_templates(page, number, deconv, settled),
            strongest[number],
        )
        for number, (key, net) in enumerate(zip(keys, loaded, strict=True))
    ]
    if serve:
        serve_until_stopped(page, nets, files, settings, port or 0, opens=not no_open)
        return
    with telling_to_continue():
        manifest = make_explorer(nets, files, page.folder, settings, page.quote(), bar)
    size = manifest.results.size / 1e6
    page.report(manifest, f"{len(manifest.photos)} photo(s), {size:.1f} MB of answers")


def _check_serving(context: click.Context) -> None:
    """Refuse options of the one life together with the other's.

    Raises:
        click.UsageError: If some are given.
    """
    given = {parameter.opts[0] for parameter in list_given(context)}
    serves = "--serve" in given
    wrong = sorted(given & ({"--out", "--force", "--open"} if serves else {"--port", "--no-open"}))
    if wrong:
        reason = "--serve writes no folder" if serves else "it goes with --serve"
        raise click.UsageError(f"{wrong[0]}: {reason}", context)
