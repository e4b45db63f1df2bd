"""Tables as LaTeX, in the style of the package booktabs."""

import re
from collections.abc import Sequence

from vizcnn.lecture.tables import Cell, Table, show_cell

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
    return "".join(_ESCAPES.get(letter, letter) for letter in text.replace("\n", " "))


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
