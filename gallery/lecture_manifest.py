"""What a run of ``vizcnn lecture`` made."""

from dataclasses import dataclass, field
from typing import Any, Literal

from vizcnn.basics.codec import RelativeFile
from vizcnn.gallery.deconv_manifest import Failure
from vizcnn.gallery.records import Net


@dataclass(frozen=True, kw_only=True)
class ShownTable:
    """A table as it stands on the page.

    Attributes:
        columns: Names of the columns.
        rows: Their cells as they are shown.
        numeric: Which columns hold numbers.
        totals: How many of the last rows are totals.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]
    totals: int = 0


@dataclass(frozen=True, kw_only=True)
class LectureExhibit:
    """A figure or table of the lecture, or both.

    Attributes:
        name: Name of its files.
        title: Heading.
        caption: What is to be seen, with the numbers of this run.
        text: What the figure shows, for those who cannot see it.
        figures: The light figure, a file a format.
        dark: The dark one.
        size: Width and height of the figure in 96ths of an inch, a page's pixels; empty without
            one.
        tables: The table, a file a format.
        shown: The table where it stands on the page itself.
    """

    name: str
    title: str
    caption: str
    text: str = ""
    figures: tuple[RelativeFile, ...] = ()
    dark: tuple[RelativeFile, ...] = ()
    size: tuple[int, ...] = ()
    tables: tuple[RelativeFile, ...] = ()
    shown: tuple[ShownTable, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LectureSection:
    """A part of the lecture.

    Attributes:
        name: Short name, as in the names of its files.
        title: Heading.
        exhibits: What it holds, in order.
    """

    name: str
    title: str
    exhibits: tuple[LectureExhibit, ...]


@dataclass(frozen=True, kw_only=True)
class ClaimRecord:
    """A numeric claim of the lecture and its verdict.

    Attributes:
        section: Part of the lecture.
        quote: A few of its words.
        what: What is claimed.
        claimed: The claimed value.
        computed: The computed one; empty if it is cited.
        how: The function that computed it, or the source.
        verdict: ``"holds"``, ``"holds when rounded"``, ``"does not hold"`` or ``"cited"``.
        why: What one should know.
    """

    section: str
    quote: str
    what: str
    claimed: str
    computed: str
    how: str
    verdict: Literal["holds", "holds when rounded", "does not hold", "cited"]
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class LectureManifest:
    """A run of ``vizcnn lecture``.

    Attributes:
        schema: Layout of this file.
        kind: Which command made it.
        vizcnn: Version of vizcnn.
        command: Shell-quoted command that repeats the run.
        title: Heading.
        style: ``"slides"`` or ``"paper"``.
        photo: The photo's source.
        sha256: Of the photo's file, in hexadecimal.
        sections: The parts of the lecture, in order.
        claims: Its claims; empty where they were not asked for.
        nets: Nets with trained weights that were used.
        failures: Exhibits that could not be made, and why.
        settings: Every setting of the run.
        versions: Versions of the libraries, by name.
    """

    schema: int = 1
    kind: Literal["lecture"] = "lecture"
    vizcnn: str
    command: str
    title: str
    style: str
    photo: str
    sha256: str
    sections: tuple[LectureSection, ...]
    claims: tuple[ClaimRecord, ...] = ()
    nets: tuple[Net, ...] = ()
    failures: tuple[Failure, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def exhibits(self) -> tuple[LectureExhibit, ...]:
        """All exhibits, in order."""
        return tuple(exhibit for section in self.sections for exhibit in section.exhibits)
