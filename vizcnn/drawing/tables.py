"""Tables of values."""

from dataclasses import dataclass, replace

from vizcnn.errors import VizcnnError

Cell = str | int | float | None
"""A value; None is an empty cell."""


@dataclass(frozen=True)
class Table:
    """Rows of values below named columns.

    Attributes:
        title: Heading.
        columns: Names of the columns.
        rows: As many cells each as there are columns.
        totals: How many of the last rows are totals, set off by a line.
        notes: Sentences below the table.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    totals: int = 0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise VizcnnError(
                    f"a row of {len(row)} cells in the table {self.title!r}: needed are "
                    f"{len(self.columns)}"
                )

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Which columns hold numbers, to be set flush right."""
        columns = zip(*self.rows, strict=True) if self.rows else ((),) * len(self.columns)
        return tuple(
            any(isinstance(cell, int | float) for cell in column)
            and not any(isinstance(cell, str) and cell for cell in column[: -self.totals or None])
            for column in columns
        )

    def pick(self, *columns: str) -> "Table":
        """Give the same table with fewer columns, for a slide."""
        places = [self.columns.index(column) for column in columns]
        rows = tuple(tuple(row[place] for place in places) for row in self.rows)
        return replace(self, columns=columns, rows=rows)


def show_cell(cell: Cell) -> str:
    """Write a value for a reader: thousands set apart, an empty cell for None.

    Example:
        >>> [show_cell(cell) for cell in (34944, 28.2, 36.0, "conv1", None)]
        ['34,944', '28.2', '36.0', 'conv1', '']
    """
    if cell is None:
        return ""
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, float):
        return f"{cell:,.1f}" if cell.is_integer() else f"{cell:,.10g}"
    return cell
