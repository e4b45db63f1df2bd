"""Pages from a manifest: HTML that opens from disk, with its own style and script."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from vizcnn.basics.codec import ManifestError, find_files
from vizcnn.basics.files import write_text
from vizcnn.basics.progress import Progress, silent
from vizcnn.drawing.words import percent, show_number
from vizcnn.gallery.aliasing_manifest import AliasingManifest
from vizcnn.gallery.deconv_manifest import DeconvManifest, PhotoSection
from vizcnn.gallery.filter_manifest import FilterManifest
from vizcnn.gallery.lecture_manifest import LectureManifest
from vizcnn.gallery.manifest import Manifest, write_manifest
from vizcnn.gallery.receptive_manifest import ReceptiveManifest
from vizcnn.gallery.records import Weights
from vizcnn.gallery.top_site import render_layers

HERE = Path(__file__).parent

STATIC_FILES = ("gallery.css", "gallery.js")
"""Files that are copied beside the pages."""

OWN_STATIC_FILES = {"gallery": ("top.css", "top.js"), "lecture": ("lecture.css",)}
"""Further such files, by kind of manifest."""

SHOWN_BY_BROWSERS = (".png", ".svg", ".webp", ".jpg", ".jpeg", ".gif")
"""Figures that stand in the page itself; others (PDF) are linked only."""

CRISP_BELOW = 48
"""Images of at most so many pixels are shown with hard pixel edges in the small view."""


def write_gallery(manifest: Manifest, folder: Path, progress: Progress = silent) -> Path:
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
    _require_files(manifest, folder)
    pages = render_pages(manifest)
    write_manifest(manifest, folder)
    for name in STATIC_FILES + OWN_STATIC_FILES.get(manifest.kind, ()):
        write_text(folder / name, (HERE / "static" / name).read_text(encoding="utf-8"))
    # index.html last: while it is missing or old, so is the gallery
    ordered = sorted(pages.items(), key=lambda item: item[0] == "index.html")
    for name, page in progress(ordered, label="pages", total=len(ordered), unit="page"):
        write_text(folder / name, page, flush=name == "index.html")
    return folder / "index.html"


def _require_files(manifest: Manifest, folder: Path) -> None:
    missing = [name for name in find_files(manifest) if not (folder / name).is_file()]
    if missing:
        raise ManifestError(
            f"{len(missing)} file(s) of the manifest are missing in {str(folder)!r}, "
            f"{missing[0]!r} first: write the images before the pages"
        )


def render_pages(manifest: Manifest) -> dict[str, str]:
    """Render the pages of a manifest.

    Args:
        manifest: What a run made.

    Returns:
        HTML by file name; every run has an ``index.html``.
    """
    return PAGES[manifest.kind](make_environment(), manifest)


def _render_photos(environment: Environment, manifest: DeconvManifest) -> dict[str, str]:
    """Render one photo as the whole; several as an index of cards and a page each."""
    if len(manifest.photos) == 1:
        return {"index.html": _render_photo(environment, manifest, 0)}
    links = [name_page(index) for index in range(len(manifest.photos))]
    photos = environment.get_template("photos.html").render(manifest=manifest, links=links)
    pages = {link: _render_photo(environment, manifest, i) for i, link in enumerate(links)}
    return {"index.html": photos, **pages}


def _render_filters(environment: Environment, manifest: FilterManifest) -> dict[str, str]:
    return {"index.html": environment.get_template("filters.html").render(manifest=manifest)}


def _render_aliasing(environment: Environment, manifest: AliasingManifest) -> dict[str, str]:
    return {"index.html": environment.get_template("aliasing.html").render(manifest=manifest)}


def _render_receptive(environment: Environment, manifest: ReceptiveManifest) -> dict[str, str]:
    return {"index.html": environment.get_template("receptive.html").render(manifest=manifest)}


def _render_lecture(environment: Environment, manifest: LectureManifest) -> dict[str, str]:
    return {"index.html": environment.get_template("lecture.html").render(manifest=manifest)}


PAGES: Mapping[str, Callable[[Environment, Any], dict[str, str]]] = {
    "deconv": _render_photos,
    "filters": _render_filters,
    "aliasing": _render_aliasing,
    "receptive": _render_receptive,
    "lecture": _render_lecture,
    "gallery": render_layers,
}
"""What renders the pages of each kind of manifest."""


def _render_photo(environment: Environment, manifest: DeconvManifest, index: int) -> str:
    last = len(manifest.photos) - 1
    return environment.get_template("photo.html").render(
        manifest=manifest,
        photo=manifest.photos[index],
        number=index + 1,
        previous=name_page(index - 1) if index > 0 else None,
        next=name_page(index + 1) if index < last else None,
        scalings=list_scalings(manifest.photos[index]),
    )


def name_page(index: int) -> str:
    """Name a photo's page.

    Example:
        >>> name_page(0)
        'photo-001.html'
    """
    return f"photo-{index + 1:03}.html"


def list_scalings(photo: PhotoSection) -> list[str]:
    """List the scalings of a photo's layers, each once, in order."""
    return list(dict.fromkeys(layer.scaling for layer in photo.layers))


def make_environment() -> Environment:
    """Make the Jinja2 environment of the pages: everything escaped, nothing undefined."""
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "facts": list_facts,
        "link": link_file,
        "number": show_number,
        "percent": percent,
        "pixels": lambda size: f"{size[0]}\u00a0×\u00a0{size[1]}\u00a0px",
        "setting": show_setting,
        "shown": is_shown,
        "suffix": lambda name: Path(name).suffix.lstrip(".").upper(),
    }
    environment.tests["shown"] = is_shown
    environment.globals |= {"CRISP_BELOW": CRISP_BELOW, "root": ""}
    return environment


def is_shown(name: str) -> bool:
    """Tell whether browsers show a file in a page.

    Example:
        >>> is_shown("a.PNG"), is_shown("a.pdf")
        (True, False)
    """
    return name.lower().endswith(SHOWN_BY_BROWSERS)


def list_facts(weights: Weights) -> dict[str, str]:
    r"""List what is known of weights, by name; what is unknown is left out.

    Example:
        >>> list_facts(Weights(describe="bundled", top1=0.5, licence="MIT"))
        {'top-1': '50.0\xa0%', 'licence of the weights': 'MIT'}
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
