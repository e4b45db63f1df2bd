"""What a run of ``vizcnn lecture`` made."""

from dataclasses import dataclass
from typing import ClassVar

from vizcnn.basics.codec import RelativeFile
from vizcnn.drawing.tables import Table
from vizcnn.gallery.manifest import Results
from vizcnn.lecture.claims import LECTURE, Claim


@dataclass(frozen=True, kw_only=True)
class LectureExhibit:
    """A figure or table of the lecture, or both.

    Attributes:
        name: Name of its files.
        title: Heading.
        caption: What is to be seen, with the numbers of this run.
        text: What the figure shows, for those who cannot see it.
        captioned: Whether the caption stands in the figure itself.
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
    captioned: bool = False
    figures: tuple[RelativeFile, ...] = ()
    dark: tuple[RelativeFile, ...] = ()
    size: tuple[int, ...] = ()
    tables: tuple[RelativeFile, ...] = ()
    shown: tuple[Table, ...] = ()


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
class LectureResults(Results):
    """The parts of the lecture.

    Attributes:
        lecture: Whose lecture it is.
        style: ``"slides"`` or ``"paper"``.
        sections: The parts of the lecture, in order.
        claims: Its claims; empty where they were not asked for.
    """

    kind: ClassVar[str] = "lecture"
    static: ClassVar[tuple[str, ...]] = ("lecture.css",)
    lecture: str = LECTURE
    style: str
    sections: tuple[LectureSection, ...]
    claims: tuple[Claim, ...] = ()

    @property
    def exhibits(self) -> tuple[LectureExhibit, ...]:
        """All exhibits, in order."""
        return tuple(exhibit for section in self.sections for exhibit in section.exhibits)
