"""What a command says of the gallery that it wrote."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from vizcnn.gallery.manifest import Manifest


SOME_FAILED = 2
"""Exit status when some photos could not be used."""

SHOWN_FAILURES = 20
"""Unusable photos that are named, one line each."""


def report_gallery(manifest: "Manifest[Any]", folder: Path, summary: str, as_json: bool) -> None:
    """Say on stdout what was made and where it is.

    Args:
        manifest: What was written.
        folder: The gallery's folder.
        summary: What it holds, in one line.
        as_json: Whether to print the manifest instead of lines for a person.
    """
    from vizcnn.gallery.manifest import to_json

    index = folder / "index.html"
    if as_json:
        click.echo(json.dumps({"index": str(index), "manifest": json.loads(to_json(manifest))}))
        return
    for net in manifest.nets:
        click.echo(f"{net.title}, {net.weights.describe}")
    click.echo(summary)
    click.echo(f"gallery: {click.format_filename(index)}")


def list_left_out(failures: list[str]) -> None:
    """Say on standard error which photos could not be used.

    Args:
        failures: Why, a line for each.
    """
    for failure in failures[:SHOWN_FAILURES]:
        click.echo(f"left out: {failure}", err=True)
    if len(failures) > SHOWN_FAILURES:
        click.echo(f"left out: {len(failures) - SHOWN_FAILURES} more", err=True)
