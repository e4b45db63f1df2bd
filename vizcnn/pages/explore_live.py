"""``vizcnn explore --serve``: the explorer's page, asked of this program while it runs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath

from vizcnn.basics.progress import Progress, silent
from vizcnn.basics.version import __version__
from vizcnn.explorer.explored import ExploredNet
from vizcnn.explorer.explorer import Explorer, ExplorerSettings
from vizcnn.explorer.server import ExplorerServer, Files, ServedFile, serve
from vizcnn.explorer.sights import keep_what_fits
from vizcnn.gallery.explorer_files import list_page_files
from vizcnn.gallery.manifest import Failure
from vizcnn.gallery.site import HERE, make_environment
from vizcnn.pages.explore import take_photos
from vizcnn.photos.stored import PhotoFile


@contextmanager
def serve_explorer(
    nets: Sequence[ExploredNet],
    photos: Sequence[PhotoFile],
    settings: ExplorerSettings,
    failures: list[Failure],
    port: int = 0,
    progress: Progress = silent,
) -> Iterator[ExplorerServer]:
    """Serve the explorer of nets and photos to this machine's user, while the block runs.

    Args:
        nets: The nets.
        photos: Photo files.
        settings: What is shown.
        failures: Gets the photos that cannot be read.
        port: Where it listens; 0 takes a port that is free.
        progress: Shows how far it is with reading.

    Yields:
        The server, which says where the page is.

    Raises:
        VizcnnError: If no photo can be read, or the port cannot be had.
    """
    taken = take_photos(photos, failures, progress)
    explorer = Explorer(nets, list(taken.values()), settings, keep_what_fits())
    title = f"Explorer: {', '.join(net.net.title for net in nets)}"
    with serve(explorer, list_files(title), port) as server:
        yield server


def list_files(title: str) -> Files:
    """List all files of the page, by their names below its address.

    Args:
        title: The page's.

    Example:
        >>> files = list_files("Explorer")
        >>> files[""].kind, files["explorer/live.js"].kind
        ('text/html; charset=utf-8', 'text/javascript; charset=utf-8')
    """
    template = make_environment().get_template("explore_live.html")
    page = template.render(title=title, version=__version__).encode()
    files = {name: (HERE / "static" / name).read_bytes() for name in list_page_files(live=True)}
    return {"": ServedFile(_find_kind("index.html"), page)} | {
        name: ServedFile(_find_kind(name), content) for name, content in files.items()
    }


def _find_kind(name: str) -> str:
    # not what the machine is set up to: with nosniff a script of another kind is not run
    kinds = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
    kind = kinds.get(PurePosixPath(name).suffix)
    return f"{kind}; charset=utf-8" if kind else "image/svg+xml"
