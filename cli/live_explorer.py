"""A served explorer at the terminal: where it is, a browser with it, and the wait for Ctrl-C."""

import json
import threading
import webbrowser
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vizcnn.cli.page_command import Page
from vizcnn.cli.reporting import bar, end_with_failures, list_notes, say

if TYPE_CHECKING:
    from vizcnn.explorer.explored import ExploredNet
    from vizcnn.explorer.explorer import ExplorerSettings
    from vizcnn.explorer.server import ExplorerServer
    from vizcnn.gallery.manifest import Failure
    from vizcnn.photos.stored import PhotoFile

SECONDS_TO_OPEN = 120.0
"""How long the file that leads a browser to the page is there, if none comes."""


def serve_until_stopped(
    page: Page,
    nets: "Sequence[ExploredNet]",
    photos: "Sequence[PhotoFile]",
    settings: "ExplorerSettings",
    port: int,
    opens: bool,
) -> None:
    """Serve an explorer, say where it is, and stay until a signal ends the command.

    Args:
        page: The command's shared options.
        nets: The nets.
        photos: Photo files.
        settings: What is shown.
        port: Where it listens; 0 takes a port that is free.
        opens: Whether to open the page in a browser.
    """
    from vizcnn.explorer.browser_opening import write_tunnel
    from vizcnn.pages.explore_live import serve_explorer

    failures: list[Failure] = []
    with serve_explorer(nets, photos, settings, failures, port, bar) as server:
        end_with_failures(page.context, [failure.error for failure in failures])
        tunnel = write_tunnel(server.server_port)
        if page.as_json:
            told = {"address": server.address, "port": server.server_port, "tunnel": tunnel or None}
            say(json.dumps({**told, "notes": list_notes()}))
        else:
            say(*(f"{net.net.title}, {net.net.provenance.describe()}" for net in nets))
            say(f"explorer: {server.address}")
            if tunnel:
                say(
                    "over ssh: on your own machine give the next line, then open that address there"
                )
                say(tunnel)
            say("Ctrl-C ends it")
        if opens and not tunnel:
            open_unseen(server)
        threading.Event().wait()


def open_unseen(server: "ExplorerServer") -> None:
    """Open the page in the user's browser, so that no list of processes has its address."""
    from vizcnn.explorer.browser_opening import hold_redirect

    with hold_redirect(server.address) as file:
        if webbrowser.open(file.as_uri()):
            server.visited.wait(SECONDS_TO_OPEN)
        else:
            say("note: no browser could be started: open that address in one", err=True)
