"""What the browser tests of a net's gallery share: where it is, and what is read from its pages."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

from tests.support.webdriver import Browser, find_browser, open_browser

FOUND = find_browser()
SHOWN = """return [...document.querySelectorAll('.units li:not([hidden])')].map(
    item => Number(item.dataset.u))"""
WATCH_SHIFTS = """window.shifts = [];
    new PerformanceObserver(list => shifts.push(...list.getEntries().map(entry => entry.value)))
        .observe({type: 'layout-shift', buffered: true})"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and writes no log."""

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def open_watched_browser() -> Iterator[Browser]:
    """Open a browser that notes what jumps on its pages."""
    assert FOUND is not None
    with open_browser(*FOUND) as opened:
        # else a window that is not in front on a busy machine gets no focus events
        opened.devtools("Emulation.setFocusEmulationEnabled", enabled=True)
        opened.devtools("Page.addScriptToEvaluateOnNewDocument", source=WATCH_SHIFTS)
        yield opened


@contextmanager
def publish(folder: Path, kind: str) -> Iterator[str]:
    """Give a folder's URL on disk, or on a server of this machine."""
    if kind == "disk":
        yield folder.as_uri()
        return
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder.parent))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{quote(folder.name)}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def open_afresh(page: Browser, url: str) -> None:
    """Open a page as for the first time: no theme chosen, nothing in its fragment."""
    page.resize(1280, 900)
    page.visit(url)
    page.run("localStorage.clear()")
    page.visit("about:blank")  # a fragment alone would not load the page again
    page.visit(url)


def go_back(page: Browser) -> None:
    page.call("/back", {})
    page.wait_for_frame()
