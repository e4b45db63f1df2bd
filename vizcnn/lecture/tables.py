"""Tables of values, written as Markdown, LaTeX and CSV."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from vizcnn.errors import VizcnnError, nearest_names

Cell = str | int | float | None
"""A value; None is an empty cell."""

TableFormat = Literal["md", "tex", "csv"]
TABLE_FORMATS: tuple[TableFormat, ...] = ("md", "tex", "csv")

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "×": r"$\times$",
    "–": "--",
    "²": "$^2$",
    "√": r"$\sqrt{\ }$",
    "→": r"$\to$",
    "≠": r"$\neq$",
    "≈": r"$\approx$",
    "·": r"$\cdot$",
    "−": "$-$",
    "ε": r"$\epsilon$",
    "µ": r"$\mu$",
    "\N{NO-BREAK SPACE}": "~",
    "\N{NARROW NO-BREAK SPACE}": r"\,",
    "…": r"\ldots{}",
    "’": "'",
    "“": "``",
    "”": "''",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


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


def write_table(table: Table, kind: TableFormat) -> str:
    """Write a table as text.

    Args:
        table: The table.
        kind: ``"md"``: Markdown of GitHub's kind. ``"tex"``: a LaTeX ``tabular`` in the style of
            the package booktabs, in a ``table``. ``"csv"``: plain values as in RFC 4180, numbers
            without thousands' commas, notes left out.

    Raises:
        VizcnnError: If there is no such kind.

    Example:
        >>> table = Table("Sizes", ("layer", "parameters"), (("conv1", 34944),))
        >>> print(write_table(table, "md"), end="")
        **Sizes**
        <BLANKLINE>
        | layer | parameters |
        |---|---:|
        | conv1 | 34,944 |
    """
    writers = {"md": _write_markdown, "tex": _write_latex, "csv": _write_csv}
    if kind not in writers:
        raise VizcnnError(f"no table format {kind!r}: {nearest_names(kind, writers)}")
    return writers[kind](table)


def _write_markdown(table: Table) -> str:
    def line(cells: Sequence[Cell]) -> str:
        shown = (show_cell(cell).replace("|", "\\|").replace("\n", " ") for cell in cells)
        return f"| {' | '.join(shown)} |"

    rule = "".join("---:|" if right else "---|" for right in table.numeric)
    body = "\n".join(
        [f"**{table.title}**", "", line(table.columns), f"|{rule}", *map(line, table.rows)]
    )
    return body + "".join(f"\n\n{note}" for note in table.notes) + "\n"


def _write_latex(table: Table) -> str:
    def line(cells: Sequence[Cell]) -> str:
        return "  " + " & ".join(escape_latex(show_cell(cell)) for cell in cells) + r" \\"

    rows = [line(row) for row in table.rows]
    if table.totals:
        rows.insert(len(rows) - table.totals, r"  \midrule")
    places = "".join("r" if right else "l" for right in table.numeric)
    notes = [f"\n  \\par\\small {escape_latex(note)}" for note in table.notes]
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{escape_latex(table.title)}}}",
            rf"  \begin{{tabular}}{{{places}}}",
            r"  \toprule",
            line(table.columns),
            r"  \midrule",
            *rows,
            r"  \bottomrule",
            r"  \end{tabular}" + "".join(notes),
            r"\end{table}",
            "",
        ]
    )


def escape_latex(text: str) -> str:
    r"""Write a text so that LaTeX sets it letter by letter.

    Example:
        >>> print(escape_latex("3×3, 50 % of fc_6"))
        3$\times$3, 50 \% of fc\_6
    """
    return "".join(_LATEX.get(letter, letter) for letter in text.replace("\n", " "))


def _write_csv(table: Table) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([["" if cell is None else cell for cell in row] for row in table.rows])
    return text.getvalue()
