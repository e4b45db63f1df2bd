"""The drawing of the rooms, from the import graph: ``python -m docs.tools.rooms`` writes it.

One row a room, the uppermost first; a dot says that the room of the row imports from the room of
the column. Imports run one way, so that nothing stands right of the stairs.
"""

import importlib
import re
import tomllib
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).parents[2]
DRAWING = ROOT / "docs" / "pictures" / "rooms.svg"
ROW, LEFT, TOP, STEP, WIDTH = 34, 560, 92, 26, 960
STYLE = (
    "text{font:14px system-ui,sans-serif;fill:#1a1a1a}.name{font-weight:600}.dim{fill:#555}"
    ".way{fill:none;stroke:#0072b2;stroke-width:2}"
)


def list_rooms() -> list[str]:
    """List the rooms as the import contract orders them, the uppermost first."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    layers: list[str] = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    return layers


def find_imports(rooms: list[str]) -> set[tuple[str, str]]:
    """Find which room imports from which other, as (from, to)."""
    import grimp  # comes with import-linter; building the manual does without

    graph = grimp.build_graph("vizcnn", cache_dir=None)
    pairs = {
        (_room_of(importer), _room_of(imported))
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
    }
    return {pair for pair in pairs if pair[0] != pair[1] and set(pair) <= set(rooms)}


def describe_room(room: str) -> str:
    """Say what a room is: its docstring's first line, up to a colon or comma."""
    told = importlib.import_module(f"vizcnn.{room}").__doc__ or ""
    return re.split(r"[:,\n]", told.strip())[0].rstrip(".")


def draw_rooms() -> str:
    """Draw the rooms as an SVG."""
    rooms = list_rooms()
    row = {room: TOP + ROW * place for place, room in enumerate(rooms)}
    column = {room: LEFT + STEP * place for place, room in enumerate(rooms)}
    height = TOP + ROW * len(rooms)
    parts = [f'<path class="way" d="M20 {height - 28}V{TOP - 8}m-6 9l6-9l6 9"/>']
    for room in rooms:
        x, y = column[room], row[room]
        parts += [
            f'<text class="name" x="40" y="{y}">{room}</text>',
            f'<text class="dim" x="132" y="{y}">{escape(describe_room(room))}</text>',
            f'<text class="dim" transform="translate({x} {TOP - 22}) rotate(-50)">{room}</text>',
            f'<rect x="{x - 11}" y="{y - 16}" width="22" height="22" rx="4" fill="#dde5ec"/>',
        ]
    parts += [
        f'<circle cx="{column[imported]}" cy="{row[importer] - 5}" r="6" fill="#0072b2">'
        f"<title>{importer} imports from {imported}</title></circle>"
        for importer, imported in sorted(find_imports(rooms))
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">\n'
        f"<title>The rooms of vizcnn and what they import</title>\n<style>{STYLE}</style>\n"
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#fff"/>\n'
        '<text class="dim" x="40" y="40">Data flows up, imports go down.</text>\n'
        '<text class="dim" x="40" y="60">A dot: this row imports from that column.</text>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


if __name__ == "__main__":
    DRAWING.write_text(draw_rooms(), "utf-8")
