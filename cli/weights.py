"""``vizcnn weights``: fetch weights, and say where they are kept."""

import json

import click

from vizcnn.cli.options import NetName, json_option
from vizcnn.cli.progress import bar


@click.group()
def weights() -> None:
    """Fetch ImageNet weights into the cache folder."""


@weights.command(short_help="Fetch the ImageNet weights of nets.")
@click.argument("names", type=NetName(), nargs=-1, required=True, metavar="NET...")
@click.option("--source", help="torchvision, onnx-zoo, or a label that `vizcnn models` shows.")
@json_option
def fetch(names: tuple[str, ...], source: str | None, as_json: bool) -> None:
    """Fetch the ImageNet weights of nets: resumed when cut, verified before use."""
    from vizcnn.zoo.fetch import fetch_weights

    paths = {name: str(fetch_weights(name, source, progress=bar)) for name in names}
    if as_json:
        click.echo(json.dumps(paths))
        return
    for name, path in paths.items():
        click.echo(f"{name}: {path}")


@weights.command(short_help="Print the cache folder.")
@json_option
def where(as_json: bool) -> None:
    """Print the cache folder (set it with the environment variable VIZCNN_CACHE)."""
    from vizcnn.zoo.cache import cache_folder

    folder = str(cache_folder())
    click.echo(json.dumps({"cache": folder}) if as_json else folder)
