"""``vizcnn models`` and ``weights``: the nets, and where their weights come from."""

import json
from typing import TYPE_CHECKING

import click

from vizcnn.cli.options import CarefulCommand, NetName, json_option
from vizcnn.cli.reporting import bar, say

if TYPE_CHECKING:
    from vizcnn.zoo.listing import ModelRow, SourceRow


@click.command(cls=CarefulCommand, short_help="List the nets, their weights and layers.")
@click.argument("names", type=NetName(), nargs=-1, metavar="[NET]...")
@click.option("--layers", is_flag=True, help="Also list the layers.")
@click.option(
    "--preprocess",
    "preprocessing",
    metavar="SETTINGS",
    help="As for the other commands; a net of your own that takes images of one size is run at the "
    "size that it says, such as size=32.  [default: the net's own]",
)
@json_option
def models(names: tuple[str, ...], layers: bool, preprocessing: str | None, as_json: bool) -> None:
    """List the nets with their weights and accuracies; with NET, also its layers.

    NET is a name in the catalogue or the spec of any other net, as for --model. Its layers are
    listed by their canonical names, and all of them as torchvision's feature extraction names them;
    --layer takes both.
    """
    from vizcnn.zoo.listing import list_models

    if preprocessing is not None and not names:
        raise click.UsageError("--preprocess is of a net: name it")
    rows = list_models(
        layers=layers or as_json or bool(names), names=names, preprocessing=preprocessing
    )
    if as_json:
        say(*json.dumps([row.to_dict() for row in rows], indent=2).splitlines())
        return
    for row in rows:
        say(*_describe(row))
    say("", "* at hand; the others: vizcnn weights fetch NET. Random weights need no file.")


@click.group()
def weights() -> None:
    """Download ImageNet weights into the cache folder."""


@weights.command(cls=CarefulCommand, short_help="Download the ImageNet weights of nets.")
@click.argument("names", type=NetName(), nargs=-1, required=True, metavar="NET...")
@click.option(
    "--source", help="Where from: torchvision, onnx-zoo, or a label from `vizcnn models`."
)
@json_option
def fetch(names: tuple[str, ...], source: str | None, as_json: bool) -> None:
    """Download the ImageNet weights of nets; broken downloads resume, files are verified."""
    from vizcnn.zoo.fetch import fetch_weights

    paths = {name: str(fetch_weights(name, source, progress=bar)) for name in names}
    if as_json:
        say(json.dumps(paths))
        return
    for name, path in paths.items():
        say(f"{name}: {path}")


@weights.command(cls=CarefulCommand, short_help="Print the cache folder.")
@json_option
def where(as_json: bool) -> None:
    """Print the cache folder (set it with the environment variable VIZCNN_CACHE)."""
    from vizcnn.zoo.cache import cache_folder

    folder = str(cache_folder())
    say(json.dumps({"cache": folder}) if as_json else folder)


def _describe(row: "ModelRow") -> list[str]:
    told = (row.title, f"{row.input_size} px", row.paper)
    lines = [f"{row.name:<20} {', '.join(filter(None, told))}"]
    lines += [
        f"  {'*' if source.cached else ' '} {_describe_source(source)}" for source in row.sources
    ]
    if len(row.variants) > 1:
        lines.append(f"    variants: {', '.join(row.variants)}")
    lines += [f"    {name:<16} {path}" for name, path in row.layers.items()]
    leaves = [node for node in row.nodes if node.is_leaf]
    if leaves:
        lines.append("    every layer, in the order of the forward pass:")
    for node in leaves:
        shape = " × ".join(map(str, node.shape))
        lines.append(f"      {node.name:<32} {node.kind:<20} {shape}")
    return lines


def _describe_source(source: "SourceRow") -> str:
    accuracy = "accuracy unknown"
    if source.top1 is not None:
        where = "" if source.measured_on == "val" else f" ({source.measured_on})"
        five = "" if source.top5 is None else f" / top-5 {source.top5:.1%}"
        accuracy = f"top-1 {source.top1:.1%}{five}{where}"
    return f"{source.kind:<12} {source.label:<16} {source.data}, {accuracy}"
