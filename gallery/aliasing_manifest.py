"""What a run of ``vizcnn aliasing`` made."""

from dataclasses import dataclass, field
from typing import Any, Literal

from vizcnn.gallery.records import Net, PageFigure

Form = Literal["count", "percent", "number"]
"""How a value is written."""


@dataclass(frozen=True, kw_only=True)
class AliasingNet(Net):
    """A net of the lab, with the measures of its filters and units.

    Attributes:
        path: Module path of the first convolution.
        kernel: Height and width of its filters.
        stride: Its step in pixels.
        limit: Highest frequency that the stride keeps, cycles per pixel.
        dead: Number of dead filters.
        predicted: Alias share 0..1 of each filter for natural images (1/f^2).
        measured: Alias share 0..1 of each filter on the photos.
        units: Numbers of the units of the second layer that were projected.
        grids: Grid artefact of each of them, None where none could be measured.
        options: What the net was built with.
    """

    path: str
    kernel: tuple[int, int]
    stride: int
    limit: float
    dead: int
    predicted: tuple[float, ...]
    measured: tuple[float, ...]
    units: tuple[int, ...]
    grids: tuple[float | None, ...]
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A row of the table: one measure of every net.

    Attributes:
        name: What is measured.
        meaning: How, in a sentence.
        form: How its values are written.
        values: One per net; None where it could not be measured.
    """

    name: str
    meaning: str
    form: Form
    values: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class AliasingManifest:
    """A run of ``vizcnn aliasing``.

    Attributes:
        schema: Layout of this file.
        kind: Which command made it.
        vizcnn: Version of vizcnn.
        command: Shell-quoted command that repeats the run.
        title: Heading.
        photos: What was looked at, in words.
        sources: The photos' sources, each once.
        sha256: Of the photos' files, in the order of ``sources``.
        figures: The story's pictures with their captions, in order.
        table: The measures of all nets.
        nets: The nets, in the order asked for.
        failures: Why photos were left out, a line each.
        settings: Every setting of the run.
        versions: Versions of the libraries, by name.
    """

    schema: int = 1
    kind: Literal["aliasing"] = "aliasing"
    vizcnn: str
    command: str
    title: str
    photos: str
    sources: tuple[str, ...]
    sha256: tuple[str, ...]
    figures: tuple[PageFigure, ...]
    table: tuple[Measure, ...]
    nets: tuple[AliasingNet, ...]
    failures: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
