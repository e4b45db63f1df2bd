"""The manifest of a run: one envelope for every command, written as JSON, read back and checked."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from jinja2 import Environment

from vizcnn.basics.codec import (
    LARGEST_JSON,
    ManifestError,
    RelativeFile,
    decode,
    encode,
    find_files,
    parse,
    unwritten,
)
from vizcnn.basics.errors import VizcnnError, quote
from vizcnn.basics.files import read_plain_file, write_text
from vizcnn.photos.framing import Fit
from vizcnn.zoo.provenance import Provenance

FILE_NAME = "manifest.json"
"""The manifest's name in the output folder."""

SCHEMA = 3
"""Layout of the file; raised when an older reader would misread a newer file."""


@dataclass(frozen=True, kw_only=True)
class Net:
    """A net of a run.

    Attributes:
        model: Name of the net.
        title: Title of the net, for headings; tells nets of one name apart.
        input_size: Width and height of what the net sees, in pixels.
        classes: Number of classes that it knows.
        options: What the net was built with.
        fit: How photos were brought to its input (:data:`vizcnn.photos.framing.Fit`).
        weights: Where its weights come from; without the place on this machine.
    """

    model: str
    title: str
    input_size: tuple[int, int]
    classes: int
    options: dict[str, Any] = field(default_factory=dict)
    fit: Fit = "crop"
    weights: Provenance


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A photo that was looked at.

    Attributes:
        name: Short name, for titles; in a gallery of layers, its path in the folder of photos.
        source: Path as it was given, of a photo in an archive or table both names; in a gallery
            of layers only that of an archive or table.
        sha256: Of the photo's file, in hexadecimal; in a gallery of layers, of the pixels that
            the net saw (RGB, 8 bits, row by row).
        image: Image of what the net saw.
    """

    name: str
    source: str = ""
    sha256: str
    image: RelativeFile | None = None


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What could not be used or made, and why."""

    source: str
    error: str


@dataclass(frozen=True, kw_only=True)
class PageFigure:
    """A figure of the page.

    Attributes:
        title: Heading on the page.
        file: The figure (PNG, SVG or PDF).
        text: What is to be seen, for those who cannot see it.
        note: What a reader should know.
    """

    title: str
    file: RelativeFile
    text: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class View:
    """What stands for a part of a run on a page beside other runs.

    Attributes:
        title: What it is of, such as a photo: views of one title stand side by side.
        files: Pictures of it, in the folder of the run.
        page: The page that shows more.
        text: What is to be seen, for those who cannot see it.
    """

    title: str
    files: tuple[str, ...]
    page: str = "index.html"
    text: str


class Results:
    """Base of what a command found: frozen dataclasses, which also say how they are shown."""

    kind: ClassVar[str]
    """The command. Its page is the template of this name, or ``page.html`` if there is none."""
    static: ClassVar[tuple[str, ...]] = ()
    """Style and script of its own, copied beside the pages."""

    @property
    def shown(self) -> tuple[str, ...]:
        """Pictures that stand for the run where there are no figures, the best first."""
        return tuple(find_files(self))

    def render(self, manifest: "Manifest[Any]", environment: Environment) -> dict[str, str]:
        """Render the pages, one or several: HTML by file name, ``index.html`` among them."""
        template = environment.select_template([f"{self.kind}.html", "page.html"])
        return {"index.html": template.render(manifest=manifest, results=self)}

    def list_views(self, manifest: "Manifest[Any]") -> tuple[View, ...]:
        """List what stands for the run beside others: its figures, unless there is better."""
        return tuple(
            View(title=figure.title, files=(figure.file,), text=figure.text)
            for figure in manifest.figures
        )


R = TypeVar("R", bound=Results)


@dataclass(frozen=True, kw_only=True)
class Manifest(Generic[R]):
    """A run of a command.

    Attributes:
        schema: Layout of this file.
        kind: Which command made it.
        vizcnn: Version of vizcnn.
        command: Shell-quoted command that repeats the run.
        title: Heading.
        settings: Every setting of the run.
        versions: Versions of the libraries, by name.
        nets: The nets, in the order asked for.
        photos: The photos that were looked at.
        failures: What could not be used or made.
        further: Formats that every figure of the run is written in beside its own.
        figures: The figures, in the page's order.
        results: What was found.
        folder: Where it lies, so that notebooks show its pictures; of this machine, not written.
    """

    schema: int = SCHEMA
    kind: str
    vizcnn: str
    command: str
    title: str
    settings: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    nets: tuple[Net, ...] = ()
    photos: tuple[Photo, ...] = ()
    failures: tuple[Failure, ...] = ()
    further: tuple[str, ...] = ()
    figures: tuple[PageFigure, ...] = ()
    results: R
    folder: Path | None = unwritten()

    def _repr_html_(self) -> str:
        """Describe the run for notebooks, with some of its pictures."""
        from vizcnn.gallery.cells import write_cell  # which needs this module

        return write_cell(self)


def to_json(manifest: Manifest[Any]) -> str:
    """Write a manifest as JSON; the same run always gives the same text.

    Raises:
        ManifestError: If a value is not of its field's type, or a number is not finite.
    """
    text = encode(manifest)
    from_json(text, type(manifest.results))  # what cannot be read back is never written
    return text


def from_json(text: str, results: type[R]) -> Manifest[R]:
    """Read the manifest of a command and check every value.

    Args:
        text: What :func:`to_json` gave.
        results: The command's results.

    Raises:
        ManifestError: If the text is not a manifest, one of another command or another vizcnn.

    Example:
        >>> from vizcnn.pages.receptive import ReceptiveResults
        >>> from_json('{"kind": "recipe"}', ReceptiveResults)
        Traceback (most recent call last):
        vizcnn.basics.codec.ManifestError: manifest of kind 'recipe': needed is 'receptive'
    """
    raw = parse(text)
    kind, schema = (raw.get("kind"), raw.get("schema")) if isinstance(raw, dict) else (None, None)
    if kind != results.kind:
        raise ManifestError(f"manifest of kind {quote(kind)}: needed is {results.kind!r}")
    if schema != SCHEMA:
        raise ManifestError(
            f"manifest of schema {quote(schema)}: this vizcnn reads {SCHEMA}; "
            "write the gallery again, or install the vizcnn that wrote it"
        )
    return decode(Manifest[results], text)  # type: ignore[valid-type]  # of the type at hand


def write_manifest(manifest: Manifest[Any], folder: Path) -> Path:
    """Write ``manifest.json`` into a folder, moved into place when it is whole.

    Raises:
        ManifestError: If the manifest cannot be written as JSON; then no file changes.
    """
    return write_text(folder / FILE_NAME, to_json(manifest))


def read_manifest(path: Path, results: type[R]) -> Manifest[R]:
    """Read a manifest file, or the ``manifest.json`` of a folder.

    Args:
        path: The file or folder.
        results: The command's results.

    Raises:
        ManifestError: If there is none, or it is damaged.
    """
    file = path / FILE_NAME if path.is_dir() else path
    content = read_plain_file(file, "manifest", ManifestError, largest=LARGEST_JSON)
    try:
        manifest = from_json(content.decode("utf-8"), results)
    except UnicodeDecodeError:
        raise ManifestError(f"{quote(file)} is not text: needed is a manifest of vizcnn") from None
    except VizcnnError as error:
        raise ManifestError(f"{quote(file)}: {error}") from None
    return replace(manifest, folder=file.parent)
