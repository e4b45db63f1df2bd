"""Reads the manual's pages: their code, their links, and the commands that they show."""

import ast
import re
import shlex
from pathlib import Path

import click

from docs.tools.blocks import ROOT
from vizcnn.cli.main import commands

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def read_fences(page: Path, kind: str) -> list[tuple[str, str]]:
    """Code of a kind, each with the text block that follows it at once (or nothing)."""
    found = list(FENCE.finditer(page.read_text("utf-8")))
    told = []
    for this, after in zip(found, [*found[1:], None], strict=False):
        follows = (
            after
            and after[1] == "text"
            and not page.read_text("utf-8")[this.end() : after.start()].strip()
        )
        if this[1] == kind:
            told.append((this[2], after[2] if after and follows else ""))
    return told


def list_commands(page: Path) -> list[str]:
    """The command lines of vizcnn that a page shows."""
    lines = [line for code, _ in read_fences(page, "sh") for line in code.splitlines()]
    return [line for line in lines if line.startswith("vizcnn ")]


def parse_command(line: str) -> click.Context:
    """Let click read a command line, without running it."""
    command: click.Command = commands
    context = None
    words = shlex.split(line, comments=True)
    if ">" in words:  # where the shell puts what is printed
        words = words[: words.index(">")]
    while True:
        context = command.make_context(words[0], words[1:], parent=context)
        if not isinstance(command, click.Group):
            return context
        words = context._protected_args + context.args
        command = command.commands[words[0]]


def list_links(page: Path) -> list[str]:
    """The links of a page that lead to a place in the repository."""
    found = LINK.findall(FENCE.sub("", page.read_text("utf-8")))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def list_names(page: Path) -> list[str]:
    """The files of the checkout and the names of vizcnn's that a page mentions."""
    text = FENCE.sub("", page.read_text("utf-8"))
    files = r"(?:vizcnn|cli|gallery|docs|tests|benchmarks|notebooks)/[\w./-]*"
    return re.findall(rf"`({files}|vizcnn(?:\.\w+)+)`", text)


def list_anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as Markdown's tools make them."""
    heads = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", head).strip().lower()) for head in heads}


def read_texts() -> list[str]:
    """All constant texts in the sources; of a text with gaps, the parts between them."""
    files = [path for room in ("vizcnn", "cli", "gallery") for path in ROOT.glob(f"{room}/**/*.py")]
    return [
        node.value
        for file in files
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
