"""Tables of papers, cited as tables of ours."""

from vizcnn.drawing.tables import Table
from vizcnn.measures.published import read_published


def cite_table(name: str, title: str) -> Table:
    """Give a table of a paper with its source."""
    told = read_published()
    table = told.table(name)
    notes = [f"{table.note}." if table.note else "", f"Cited from {told.cite(table)}."]
    return Table(title, table.columns, table.rows, notes=tuple(note for note in notes if note))
