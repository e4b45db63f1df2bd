"""Blocks of the manual that are made from the code: ``python -m docs.tools.blocks`` renews them.

A block stands between ``<!-- made: WHAT -->`` and ``<!-- /made -->``. Blocks are committed, so
that the manual can be read without building it; a test asks whether they are up to date.
"""

import ast
import importlib
import inspect
import json
import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import click

import vizcnn
from vizcnn.cli.main import commands
from vizcnn.zoo.files import BUNDLE
from vizcnn.zoo.listing import ModelRow, SourceRow, list_models

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"(<!-- made: (.+?) -->\n).*?(<!-- /made -->)", re.DOTALL)


def renew(text: str) -> str:
    """Make every block of a page anew."""
    return BLOCK.sub(lambda found: f"{found[1]}{_make(found[2])}\n{found[3]}", text)


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
            told = "One or more." if parameter.required else "Any number."
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


MAKERS = {
    "nets": list_nets,
    "bundled": list_bundled,
    "names": list_names,
}


def _make(what: str) -> str:
    kind, *words = what.split()
    return list_options(words) if kind == "options" else MAKERS[kind]()


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
