"""Pages from a manifest: HTML that opens from disk, with its own style and script."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from vizcnn.basics.codec import ManifestError, find_files
from vizcnn.basics.files import write_text
from vizcnn.basics.progress import Progress, silent
from vizcnn.drawing.tables import show_cell
from vizcnn.drawing.words import describe_part, name_part, percent, show_decimal, show_number
from vizcnn.gallery import explorer_files
from vizcnn.gallery.manifest import Manifest, write_manifest
from vizcnn.zoo.provenance import Provenance

HERE = Path(__file__).parent

STATIC_FILES = ("gallery.css", "gallery.js")
"""Files that are copied beside the pages."""

SHOWN_BY_BROWSERS = (".png", ".svg", ".webp", ".jpg", ".jpeg", ".gif")
"""Figures that stand in the page itself; others (PDF) are linked only."""

CRISP_BELOW = 48
"""Images of at most so many pixels are shown with hard pixel edges in the small view."""


def write_gallery(manifest: Manifest[Any], folder: Path, progress: Progress = silent) -> Path:
    """Write the pages, their style and script, and ``manifest.json`` into a folder.

    Args:
        manifest: What a run made.
        folder: The output folder; every file that the manifest names is there already.
        progress: Shows how many pages are written.

    Returns:
        Path of ``index.html``.

    Raises:
        ManifestError: If a file that the manifest names is missing, or the manifest is not
            valid; then nothing is written.
    """
    missing = [name for name in find_files(manifest) if not (folder / name).is_file()]
    if missing:
        raise ManifestError(
            f"{len(missing)} file(s) of the manifest are missing in {str(folder)!r}, "
            f"{missing[0]!r} first: write the images before the pages"
        )
    pages = manifest.results.render(manifest, make_environment(manifest.further))
    write_manifest(manifest, folder)
    for name in STATIC_FILES + manifest.results.static:
        write_text(folder / name, (HERE / "static" / name).read_text(encoding="utf-8"))
    # index.html last: while it is missing or old, so is the gallery
    ordered = sorted(pages.items(), key=lambda item: item[0] == "index.html")
    for name, page in progress(ordered, label="pages", total=len(ordered), unit="page"):
        write_text(folder / name, page, flush=name == "index.html")
    return folder / "index.html"


def make_environment(further: Sequence[str] = ()) -> Environment:
    """Make the Jinja2 environment of the pages: everything escaped, nothing undefined.

    Args:
        further: Formats that figures are there in beside their own.
    """
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "cell": show_cell,
        "cosine": show_decimal,
        "facts": list_facts,
        "further": partial(link_further, forms=further),
        "in_words": describe_part,
        "link": link_file,
        "number": show_number,
        "part": name_part,
        "percent": percent,
        "pixels": lambda size: f"{size[0]}\u00a0×\u00a0{size[1]}\u00a0px",
        "setting": show_setting,
        "shown": is_shown,
        "suffix": lambda name: Path(name).suffix.lstrip(".").upper(),
    }
    environment.tests["shown"] = is_shown
    environment.globals |= {"CRISP_BELOW": CRISP_BELOW, "root": "", "explorer": explorer_files}
    return environment


def is_shown(name: str) -> bool:
    """Tell whether browsers show a file in a page.

    Example:
        >>> is_shown("a.PNG"), is_shown("a.pdf")
        (True, False)
    """
    return name.lower().endswith(SHOWN_BY_BROWSERS)


def list_facts(weights: Provenance) -> dict[str, str]:
    r"""List what is known of weights, by name; what is unknown is left out.

    Example:
        >>> list_facts(Provenance("bundled", "photos", "MIT", top1=0.5))
        {'weights from': 'bundled', 'trained on': 'photos', 'top-1': '50.0\xa0%', ...}
    """
    facts = {
        "weights from": weights.source,
        "trained on": weights.data,
        "top-1": "" if weights.top1 is None else percent(weights.top1),
        "top-5": "" if weights.top5 is None else percent(weights.top5),
        "licence of the weights": weights.licence,
        "sha256 of the weights": weights.sha256 or "",
    }
    return {name: fact for name, fact in facts.items() if fact}


def link_file(name: str) -> str:
    """Encode a relative file name as a URL.

    Example:
        >>> link_file("caf\u00e9 #1?.png")
        'caf%C3%A9%20%231%3F.png'
    """
    # names that are not UTF-8 reach Python with surrogates for their bytes
    return quote(name, safe="/", errors="surrogateescape")


def link_further(name: str, forms: Sequence[str]) -> Markup:
    """Write links to a figure in further formats.

    Example:
        >>> link_further("a b.png", ["pdf"])
        Markup(' <a href="a%20b.pdf">PDF</a>')
    """
    stem = str(Path(name).with_suffix(""))
    return Markup("").join(
        Markup(' <a href="{}">{}</a>').format(link_file(f"{stem}.{form}"), form.upper())
        for form in forms
    )


def show_setting(value: Any) -> str:
    """Show a setting's value in words.

    Example:
        >>> [show_setting(value) for value in (True, None, ["conv1", "conv2"], 9)]
        ['yes', 'none', 'conv1, conv2', '9']
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {show_setting(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(show_setting(item) for item in value)
    return str(value)
