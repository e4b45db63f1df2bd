"""Tables of values."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from vizcnn.basics.errors import VizcnnError, nearest_names
from vizcnn.basics.texts import escape_controls

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


BREAKS = 24
"""Letters of a text from which on its column breaks lines."""
LONG_TABLE = 40
"""Rows from which on a table may run over several pages."""
UPRIGHT, TURNED = 72, 128
"""Letters of a line: of an upright page, and of a turned one in small letters."""

_ESCAPES = {
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
    "∂": r"$\partial$",
    "<": "$<$",
    ">": "$>$",
    "Σ": r"$\Sigma$",
    "÷": r"$\div$",
    # at the beginning of a row these would belong to the line break before
    "[": "{[}",
    "*": "{*}",
}


def write_latex(table: Table) -> str:
    """Write a table as LaTeX: a ``tabular`` in a ``table``, or a ``longtable``.

    Columns of long texts break lines, wide tables stand on turned pages. The first line names the
    packages that are needed.
    """
    rows = [_write_row(row) for row in table.rows]
    if table.totals:
        rows.insert(len(rows) - table.totals, r"  \midrule")
    letters = _measure_columns(table)
    broken = [
        count > BREAKS and not right for count, right in zip(letters, table.numeric, strict=True)
    ]
    least = sum(min(count, BREAKS) + 2 for count in letters)
    if not any(broken) and len(rows) < LONG_TABLE and least <= UPRIGHT:
        return _write_short(table, rows)
    places = _place_columns(table, letters, broken, UPRIGHT if least <= UPRIGHT else TURNED)
    text = _write_long(table, rows, places)
    return text if least <= UPRIGHT else _turn(text)


def escape_latex(text: str) -> str:
    r"""Write a text so that LaTeX sets it letter by letter.

    Example:
        >>> print(escape_latex("3×3, 50 % of fc_6"))
        3$\times$3, 50 \% of fc\_6
    """
    return "".join(_ESCAPES.get(letter, letter) for letter in escape_controls(text))


def _write_row(cells: tuple[Cell, ...]) -> str:
    return "  " + " & ".join(escape_latex(show_cell(cell)) for cell in cells) + r" \\"


def _measure_columns(table: Table) -> list[int]:
    """Count the letters of the longest cell of each column."""
    columns = zip(table.columns, *table.rows, strict=True)
    return [max(len(show_cell(cell)) for cell in column) for column in columns]


def _write_short(table: Table, rows: list[str]) -> str:
    places = "".join("r" if right else "l" for right in table.numeric)
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{escape_latex(table.title)}}}",
            rf"  \begin{{tabular}}{{{places}}}",
            r"  \toprule",
            _write_row(table.columns),
            r"  \midrule",
            *rows,
            r"  \bottomrule",
            r"  \end{tabular}",
            *[rf"  \par\small {escape_latex(note)}" for note in table.notes],
            r"\end{table}",
            "",
        ]
    )


def _write_long(table: Table, rows: list[str], places: str) -> str:
    lines = [
        r"% needs \usepackage{booktabs,longtable,array}",
        rf"\begin{{longtable}}{{{places}}}",
        rf"  \caption{{{escape_latex(table.title)}}} \\",
        r"  \toprule",
        _write_row(table.columns),
        r"  \midrule",
        r"  \endhead",
        r"  \bottomrule",
        r"  \endfoot",
        # names of functions have no other place to break
        *[re.sub(r"(\\_|[/-]|\((?='))", r"\1\\allowbreak{}", row) for row in rows],
        r"\end{longtable}",
        *[rf"\par\small {escape_latex(note)}" for note in table.notes],
    ]
    return "\n".join([*lines, ""])


def _place_columns(table: Table, letters: Sequence[int], broken: Sequence[bool], room: int) -> str:
    """Place the columns: texts that break lines share what the others leave of the width."""
    taken = sum(count for count, breaks in zip(letters, broken, strict=True) if not breaks)
    left = 1 - (taken + 2 * len(letters)) / room
    asked = [
        min(count, 4 * BREAKS) if breaks else 0
        for count, breaks in zip(letters, broken, strict=True)
    ]
    places = ["r" if right else "l" for right in table.numeric]
    for place, count in enumerate(asked):
        if count:
            share = max(left * count / sum(asked), 0.07)
            places[place] = rf">{{\raggedright\arraybackslash}}p{{{share:.3f}\linewidth}}"
    return "".join(places)


def _turn(text: str) -> str:
    needs, body = text.split("\n", 1)
    needs = needs.replace("array}", "array,pdflscape}")
    small = r"\footnotesize\setlength{\tabcolsep}{3pt}"
    return f"{needs}\n\\begin{{landscape}}\n{small}\n{body}\\end{{landscape}}\n"


TableFormat = Literal["md", "tex", "csv"]
TABLE_FORMATS: tuple[TableFormat, ...] = ("md", "tex", "csv")

_MARKDOWN = re.compile(r"[\\|*<`\[\]~]|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w+;)")
_FORMULA = re.compile(r"[=@\t\n]|[+-](?![\d.,]+ ?%?$)")
"""How a text begins that a spreadsheet would compute; not a plain number with its sign."""


def escape_markdown(text: str) -> str:
    r"""Keep a text in one cell, and from being read as Markdown or HTML.

    Example:
        >>> print(escape_markdown("![a|b](http://c) <img> two\nlines of conv_1"))
        !\[a\|b\](http://c) \<img> two lines of conv_1
    """
    return _MARKDOWN.sub(r"\\\g<0>", escape_controls(text))


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
        return f"| {' | '.join(escape_markdown(show_cell(cell)) for cell in cells)} |"

    rule = "".join("---:|" if right else "---|" for right in table.numeric)
    body = "\n".join(
        [f"**{table.title}**", "", line(table.columns), f"|{rule}", *map(line, table.rows)]
    )
    return body + "".join(f"\n\n{note}" for note in table.notes) + "\n"


def _write_csv(table: Table) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([[_shield(cell) for cell in row] for row in table.rows])
    return text.getvalue()


def _shield(cell: Cell) -> Cell:
    """Keep a spreadsheet from computing a text: an apostrophe marks it as one."""
    if not isinstance(cell, str):
        return "" if cell is None else cell
    text = cell.replace("\r", "\n")  # the only line break that is put in quotes
    return f"'{text}" if _FORMULA.match(text) else text
