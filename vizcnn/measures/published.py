"""What the papers report and cannot be computed here: one data file, a source for every figure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from vizcnn.basics.errors import VizcnnError, nearest_names

DATA = "published.json"


@dataclass(frozen=True)
class Source:
    """A paper.

    Attributes:
        authors: Its authors.
        title: Its title.
        year: When it appeared first.
        venue: Where.
        arxiv: Number in arXiv; None if it is not there.
    """

    authors: str
    title: str
    year: int
    venue: str
    arxiv: str | None


@dataclass(frozen=True)
class PublishedFigure:
    """A number that a paper reports.

    Attributes:
        name: What it is asked for by.
        value: The number.
        unit: What it counts.
        source: Key of its source.
        place: Table, figure or section.
        page: Page of the paper; None where it is not known.
        note: What one should know beside.
    """

    name: str
    value: float
    unit: str
    source: str
    place: str
    page: int | None
    note: str


@dataclass(frozen=True)
class PublishedTable:
    """A table of a paper.

    Attributes:
        source: Key of its source.
        place: Its number.
        page: Page of the paper; None where it is not known.
        note: What one should know beside.
        columns: Names of the columns.
        rows: Their values.
    """

    source: str
    place: str
    page: int | None
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float | None, ...], ...]


@dataclass(frozen=True)
class Published:
    """All figures and tables of the data file."""

    sources: Mapping[str, Source]
    figures: Mapping[str, PublishedFigure]
    tables: Mapping[str, PublishedTable]

    def figure(self, name: str) -> PublishedFigure:
        """Give a figure.

        Raises:
            VizcnnError: If there is none of that name.

        Example:
            >>> read_published().figure("alexnet-1").value
            18.2
        """
        found: PublishedFigure = _find(self.figures, name, "figure")
        return found

    def table(self, name: str) -> PublishedTable:
        """Give a table.

        Raises:
            VizcnnError: If there is none of that name.
        """
        found: PublishedTable = _find(self.tables, name, "table")
        return found

    def cite(self, item: PublishedFigure | PublishedTable) -> str:
        """Say where a figure or table stands.

        Example:
            >>> told = read_published()
            >>> told.cite(told.table("vgg-single-scale"))
            'Simonyan & Zisserman 2014 (arXiv 1409.1556), Table 3, p. 6'
        """
        source = self.sources[item.source]
        number = f" (arXiv {source.arxiv})" if source.arxiv else f" ({source.venue})"
        page = f", p. {item.page}" if item.page else ""
        return f"{source.authors} {source.year}{number}, {item.place}{page}"


def _find(items: Mapping[str, Any], name: str, kind: str) -> Any:
    if name not in items:
        raise VizcnnError(f"no published {kind} {name!r}: {nearest_names(name, items)}")
    return items[name]


@cache
def read_published() -> Published:
    """Read the data file.

    Example:
        >>> read_published().table("errors-by-year").columns
        ('year', 'entry', 'layers', 'figure')
    """
    raw = json.loads(files("vizcnn.measures").joinpath(DATA).read_text("utf-8"))
    figures = {item["name"]: PublishedFigure(**item) for item in raw["figures"]}
    tables = {
        name: PublishedTable(
            **{
                **item,
                "columns": tuple(item["columns"]),
                "rows": tuple(tuple(row) for row in item["rows"]),
            }
        )
        for name, item in raw["tables"].items()
    }
    return Published(
        sources=MappingProxyType({key: Source(**item) for key, item in raw["sources"].items()}),
        figures=MappingProxyType(figures),
        tables=MappingProxyType(tables),
    )
