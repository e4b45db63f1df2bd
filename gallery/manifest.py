"""Manifests of every command: written as JSON, read back and checked."""

from pathlib import Path

from vizcnn.basics.codec import ManifestError, decode, encode, parse
from vizcnn.basics.errors import VizcnnError
from vizcnn.basics.files import write_text
from vizcnn.gallery.aliasing_manifest import AliasingManifest
from vizcnn.gallery.deconv_manifest import DeconvManifest
from vizcnn.gallery.filter_manifest import FilterManifest
from vizcnn.gallery.lecture_manifest import LectureManifest
from vizcnn.gallery.receptive_manifest import ReceptiveManifest
from vizcnn.gallery.top_manifest import TopManifest

FILE_NAME = "manifest.json"
"""The manifest's name in the output folder."""

Manifest = (
    DeconvManifest
    | FilterManifest
    | AliasingManifest
    | TopManifest
    | ReceptiveManifest
    | LectureManifest
)
"""What a command of vizcnn writes."""

KINDS: dict[str, type[Manifest]] = {
    "deconv": DeconvManifest,
    "filters": FilterManifest,
    "aliasing": AliasingManifest,
    "gallery": TopManifest,
    "receptive": ReceptiveManifest,
    "lecture": LectureManifest,
}
"""Manifests by their ``kind``. Each states the version of its layout in its field ``schema``, which
is raised when an older reader would misread a newer file."""


def to_json(manifest: Manifest) -> str:
    """Write a manifest as JSON; the same run always gives the same text.

    Raises:
        ManifestError: If a value is not of its field's type, or a number is not finite.
    """
    text = encode(manifest)
    from_json(text)  # what cannot be read back is never written
    return text


def from_json(text: str) -> Manifest:
    """Read a manifest of any kind and check every value.

    Raises:
        ManifestError: If the text is not a manifest, or one of another vizcnn.

    Example:
        >>> from_json('{"kind": "recipe"}')
        Traceback (most recent call last):
        vizcnn.basics.codec.ManifestError: manifest of kind 'recipe': ...
    """
    raw = parse(text)
    kind = raw.get("kind") if isinstance(raw, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise ManifestError(f"manifest of kind {kind!r}: needed is one of {', '.join(KINDS)}")
    schema = KINDS[kind].schema
    if raw.get("schema") != schema:
        raise ManifestError(
            f"manifest of schema {raw.get('schema')!r}: this vizcnn reads {schema}; "
            "write the gallery again, or install the vizcnn that wrote it"
        )
    return decode(KINDS[kind], text)


def write_manifest(manifest: Manifest, folder: Path) -> Path:
    """Write ``manifest.json`` into a folder, moved into place when it is whole.

    Raises:
        ManifestError: If the manifest cannot be written as JSON; then no file changes.
    """
    return write_text(folder / FILE_NAME, to_json(manifest))


def read_manifest(path: Path) -> Manifest:
    """Read a manifest file, or the ``manifest.json`` of a folder.

    Raises:
        ManifestError: If there is none, or it is damaged.
    """
    file = path / FILE_NAME if path.is_dir() else path
    try:
        return from_json(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise ManifestError(f"{str(file)!r} is not text: needed is a manifest of vizcnn") from None
    except OSError as error:
        raise ManifestError(
            f"{str(file)!r} cannot be read ({error.strerror}): check the path"
        ) from None
    except VizcnnError as error:
        raise ManifestError(f"{str(file)!r}: {error}") from None
