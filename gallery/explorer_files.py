"""The files of the explorer's page: its scripts in the order that they load in, and its style."""

from pathlib import Path

EXPLORER_FOLDER = Path(__file__).parent / "static" / "explorer"

EXPLORER_STYLE = "explorer.css"

EXPLORER_ICON = "icon.svg"

EXPLORER_SCRIPTS = (
    # what the parts stand on
    "core.js",
    "links.js",
    "answers.js",
    "sources.js",
    "geometry.js",
    "maps.js",
    "captions.js",
    "figures.js",
    "pictures.js",
    "app.js",
    "layout.js",
    "begin.js",
    # the parts, each a pane or keys of its own; their keys are listed in this order
    "choices.js",
    "photo_pane.js",
    "fires.js",
    "classes.js",
    "net_pane.js",
    "unit_pane.js",
    "unit_facts.js",
    "grey_square.js",
    "photo_input.js",
    "saving.js",
    "pins.js",
    "keys.js",
)
"""Of a page and of a notebook alike; add a part's script before keys.js."""

LIVE_SCRIPTS = ("live.js",)
"""Of a page that is served: its answers come from the program that serves it."""

PAGE_SCRIPTS = ("page.js",)
"""Last in a page, and in no notebook: theme, address, keys from anywhere."""

WIDGET_SCRIPTS = ("widget.js",)
"""Last in a notebook, and in no page: it ends the module that all of them are joined to."""


def list_scripts(live: bool = False) -> tuple[str, ...]:
    """List the scripts of a page, in the order that they load in.

    Args:
        live: Whether the page is served.
    """
    return EXPLORER_SCRIPTS + (LIVE_SCRIPTS if live else ()) + PAGE_SCRIPTS


def list_page_files(live: bool = False) -> tuple[str, ...]:
    """List what lies beside a page, by names relative to it.

    Args:
        live: Whether the page is served.

    Example:
        >>> list_page_files()[0]
        'explorer/explorer.css'
    """
    names = (EXPLORER_STYLE, EXPLORER_ICON, *list_scripts(live))
    return tuple(f"explorer/{name}" for name in names)
