"""Tables as text: Markdown, LaTeX and CSV."""

import csv
import io
from collections.abc import Sequence
from typing import Literal

from vizcnn.errors import VizcnnError, nearest_names
from vizcnn.lecture.latex import write_latex
from vizcnn.lecture.tables import Cell, Table, show_cell

TableFormat = Literal["md", "tex", "csv"]
TABLE_FORMATS: tuple[TableFormat, ...] = ("md", "tex", "csv")

_MARKDOWN = str.maketrans({letter: f"\\{letter}" for letter in "\\|*<`[]"} | {"\n": " "})


def write_table(table: Table, kind: TableFormat) -> str:
    """Write a table as text.

    Args:
        table: The table.
        kind: ``"md"``: Markdown of GitHub's kind. ``"tex"``: a LaTeX ``table``, or a
            ``longtable``. ``"csv"``: plain values as in RFC 4180, numbers without thousands'
            commas, notes left out.

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
    writers = {"md": _write_markdown, "tex": write_latex, "csv": _write_csv}
    if kind not in writers:
        raise VizcnnError(f"no table format {kind!r}: {nearest_names(kind, writers)}")
    return writers[kind](table)


def _write_markdown(table: Table) -> str:
    def line(cells: Sequence[Cell]) -> str:
        return f"| {' | '.join(show_cell(cell).translate(_MARKDOWN) for cell in cells)} |"

    rule = "".join("---:|" if right else "---|" for right in table.numeric)
    body = "\n".join(
        [f"**{table.title}**", "", line(table.columns), f"|{rule}", *map(line, table.rows)]
    )
    return body + "".join(f"\n\n{note}" for note in table.notes) + "\n"


def _write_csv(table: Table) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([["" if cell is None else cell for cell in row] for row in table.rows])
    return text.getvalue()
