"""Blocks of the manual that are made from the code: ``python -m docs.tools.blocks`` renews them.

A block stands between ``<!-- made: WHAT -->`` and ``<!-- /made -->``, on lines of its own or within
one. Blocks are committed, so that the manual can be read without building it; a test asks whether
they are up to date. What takes minutes to measure is read from what ``docs.tools.numbers`` kept.
"""

import ast
import importlib
import inspect
import json
import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import click

import vizcnn
from docs.tools.numbers import read_numbers
from vizcnn.cli.main import commands
from vizcnn.lecture.claims import list_claims
from vizcnn.zoo.files import BUNDLE
from vizcnn.zoo.listing import ModelRow, SourceRow, list_models

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"(<!-- made: (\w.*?) -->)(\n?).*?(<!-- /made -->)", re.DOTALL)


def renew(text: str) -> str:
    """Make every block of a page anew."""
    return BLOCK.sub(
        lambda found: f"{found[1]}{found[3]}{_make(found[2])}{found[3]}{found[4]}", text
    )


def list_pages() -> list[Path]:
    """List the pages of the manual, and the texts beside it."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def list_options(words: Iterable[str]) -> str:
    """Write a command's arguments and options as a table, as its --help has them."""
    command: click.Command = commands
    context = click.Context(commands, info_name="vizcnn")
    for word in words:
        assert isinstance(command, click.Group)
        command = command.commands[word]
        context = click.Context(command, parent=context, info_name=word)
    rows = []
    for parameter in command.params:
        if getattr(parameter, "hidden", False):
            continue
        name, told = parameter.get_help_record(context) or (parameter.make_metavar(context), "")
        if not told:  # an argument
            several = "One or more." if parameter.required else "Any number."
            told = several if parameter.nargs == -1 else "One."
        told, *extras = re.split(r"\s+\[(?=default|required|\S*x[<>])", told)
        given = [re.sub(r"(; )?\S*x[<>]\S*$|\]$", "", extra.removesuffix("]")) for extra in extras]
        given = [extra.removeprefix("default: ").strip("()") for extra in given]
        for kind, short in (("INTEGER RANGE", "N"), ("INTEGER", "N"), ("FLOAT RANGE", "X")):
            name = name.replace(kind, short)
        rows.append((f"`{re.sub(r'[][]', '', name).replace('|', ', ')}`", told, "".join(given)))
    return _write_table(("option", "what it does", "default"), rows)


def list_nets() -> str:
    """Write the nets, and where their weights come from, as a table."""
    rows = [
        (
            f"`{row.name}`",
            f"{row.title}: {row.paper}",
            f"{row.input_size} px",
            ", ".join(row.variants) if len(row.variants) > 1 else "",
            _describe_sources(row, ("torchvision", "onnx-zoo")),
            _describe_sources(row, ("bundled", "ndf", "package")),
        )
        for row in list_models()
    ]
    heads = ("`--model`", "net", "input", "variants", "to fetch", "offline")
    return _write_table(heads, rows)


def list_bundled() -> str:
    """Write what the bundled nets' model cards say as a table."""
    rows = []
    for path in sorted(BUNDLE.glob("*.json")):
        card = json.loads(path.read_text("utf-8"))
        if "accuracy" not in card:  # the checksums
            continue
        accuracy, filters = card["accuracy"], card["filters"]
        shares = (accuracy[name] for name in ("top1", "top5", "mean_class_top1"))
        rows.append(
            (
                f"`{path.stem}`",
                f"{card['parameters']:,}",
                card["data"]["name"],
                *(f"{share * 100:.1f} %" for share in shares),
                f"{filters['dead']} of {filters['count']}",
            )
        )
    heads = ("net", "parameters", "data", "top-1", "top-5", "classes' mean top-1", "dead filters")
    return _write_table(heads, rows)


def list_names() -> str:
    """Write the public names with their first lines, each a reference to its description."""
    rows = []
    for name in sorted(set(vizcnn.__all__) - {"__version__"}, key=str.lower):
        value = getattr(vizcnn, name)
        home = f"{getattr(value, '__module__', vizcnn._HOMES[name])}.{name}"
        told = inspect.getdoc(value) if callable(value) else _describe_constant(home)
        rows.append((f"[`vizcnn.{name}`][{home}]", (told or "").split("\n")[0]))
    return _write_table(("name", "what it is"), rows)


def list_aliasing() -> str:
    """Write the aliasing lab's measures of the bundled nets as a table."""
    found = read_numbers("aliasing")
    forms = {
        **dict.fromkeys(("top-1", "alias share, theory", "alias share, photos"), "{:.1%}"),
        "dead filters": "{:.0f}",
        "distance, conv1": "{:.2f}",
        "consistency": "{:.1%}",
        "grid artefact": "{:.2f}",
    }
    rows = [
        (name, *(form.format(value).replace("%", " %") for value in found[name]))
        for name, form in forms.items()
    ]
    return _write_table(("", *found["nets"]), rows)


def list_layer_aliasing() -> str:
    """Write what the subsamplings of several nets fold as a table."""
    rows = []
    for title, net in read_numbers("aliasing-layers").items():
        layers = net["layers"]
        worst = max(layers, key=lambda name: layers[name]["shares"][0])
        shares = [_write_median(layers, "shares", number, "{:.1%}") for number in range(3)]
        distances = [_write_median(layers, "distances", number, "{:.2f}") for number in range(3)]
        most = f"{layers[worst]['shares'][0]:.1%} in `{worst}`".replace("%", " %", 1)
        rows.append((title, net["weights"], str(len(layers)), most, *shares, *distances))
    heads = ("net", "weights", "steps", "most folds", "median", "blur 3", "blur 5")
    return _write_table((*heads, "distance", "blur 3", "blur 5"), rows)


def _write_median(layers: Mapping[str, Any], name: str, number: int, form: str) -> str:
    value = median(layer[name][number] for layer in layers.values())
    return form.format(value).replace("%", " %")


def list_checks() -> str:
    """Write what ``vizcnn check`` found on ZFNet's validation photos as a table."""
    found = read_numbers("check-natural144")
    methods = ("deconvnet", "guided", "gradient", "gradient-x-input")
    active = f"effective number of pictures, conv5 ({found['conv5/active']:.0f} active units)"
    shuffled = "down to {}/{} switches/{{}}/similarity"
    keys = {
        "cosine with another unit, conv2": "conv2/{}/cosine",
        "… conv3": "conv3/{}/cosine",
        "… conv5": "conv5/{}/cosine",
        "cosine of the predicted class with the second": "fc8/{}/cosine",
        active: "conv5/{}/effective",
        "similarity with fc8 down to conv5 shuffled": shuffled.format("conv5", "recomputed"),
        "… with the trained net's switches": shuffled.format("conv5", "trained"),
        "similarity with all layers shuffled": shuffled.format("conv1", "recomputed"),
        "… with the trained net's switches ": shuffled.format("conv1", "trained"),
        "agreement with the drop, own picture, conv5": "conv5/{}/own",
        "… another unit's picture": "conv5/{}/other",
        "… own minus another's, photo by photo": "conv5/{}/gap",
    }
    rows = [
        (name, *(_write_number(found[key.format(method)]) for method in methods))
        for name, key in keys.items()
    ]
    return _write_table(("", *methods[:3], "gradient × input"), rows)


def write_speed() -> str:
    """Write one row of the page on speed as the README's table."""
    page = (ROOT / "docs" / "speed.md").read_text("utf-8")
    (row,) = re.findall(
        r"^\| vgg16 conv3_3 \| (\d+) \| ([\d.]+) \| ([\d.]+) \|", page, re.MULTILINE
    )
    units, ours, theirs = row
    heads = ("all units of a layer, one photo, 2 CPU threads", "vizcnn")
    cells = (f"VGG-16 conv3_3, {units} units", f"{float(ours):.2f} s", f"{float(theirs):.0f} s")
    return _write_table((*heads, "loop of Captum's `NeuronDeconvolution`"), [cells])


def write_number(name: str, key: str) -> str:
    """Write one of the numbers that ``docs.tools.numbers`` kept."""
    return _write_number(read_numbers(name)[key])


def count_claims(verdict: str = "") -> str:
    """Count the lecture's claims, or those of a verdict."""
    return str(sum(verdict in ("", claim.verdict) for claim in list_claims()))


def _write_number(value: float) -> str:
    """Write a share with two digits behind the point, a count of pictures with fewer."""
    digits = 2 if abs(value) < 1.005 else 1 if value < 10 else 0
    return f"{value + 0.0:.{digits}f}"


MAKERS = {
    "nets": list_nets,
    "bundled": list_bundled,
    "names": list_names,
    "aliasing": list_aliasing,
    "aliasing-layers": list_layer_aliasing,
    "checks": list_checks,
    "speed": write_speed,
}


def _make(what: str) -> str:
    kind, _, rest = what.partition(" ")
    if kind == "options":
        return list_options(rest.split())
    if kind == "claims":
        return count_claims(rest)
    if kind == "number":
        return write_number(*rest.split(" ", 1))
    return MAKERS[kind]()


def _describe_sources(row: ModelRow, kinds: tuple[str, ...]) -> str:
    return "; ".join(_describe_source(source) for source in row.sources if source.kind in kinds)


def _describe_source(source: SourceRow) -> str:
    if source.top1 is None:
        return f"{source.kind} (not published)"
    five = "" if source.top5 is None else f" / {source.top5 * 100:.1f}"
    return f"{source.kind} {source.top1 * 100:.1f}{five}"


def _describe_constant(path: str) -> str:
    """Find the text below a constant; Python keeps none."""
    home, _, name = path.rpartition(".")
    body = ast.parse(inspect.getsource(importlib.import_module(home))).body
    for node, text in pairwise(body):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if name in [getattr(target, "id", None) for target in targets]:
            return str(ast.literal_eval(text.value)) if isinstance(text, ast.Expr) else ""
    return ""


def _write_table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join(f"| {' | '.join(' '.join(cell.split()) for cell in row)} |" for row in lines)


if __name__ == "__main__":
    for page in list_pages():
        page.write_text(renew(page.read_text("utf-8")), "utf-8")
