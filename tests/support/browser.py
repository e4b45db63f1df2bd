"""Debian's chromium, driven by selenium: a window for the tests of pages, and where they lie."""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from selenium.webdriver import ActionChains, Chrome, ChromeOptions, ChromeService, Keys

KEYS = {"left": Keys.LEFT, "up": Keys.UP, "right": Keys.RIGHT, "down": Keys.DOWN}
KEYS |= {"enter": Keys.ENTER, "escape": Keys.ESCAPE, "tab": Keys.TAB}
KEYS |= {"home": Keys.HOME, "end": Keys.END, "backspace": Keys.BACKSPACE}

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)
SHOWN = """return [...document.querySelectorAll('.units li:not([hidden])')].map(
    item => Number(item.dataset.u))"""
NEXT_FRAME = """const done = arguments[0];
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 0)))"""
"""Keys reach a page with its next frame: on a busy machine a script would come before them."""
WATCH_SHIFTS = """window.shifts = [];
    new PerformanceObserver(list => shifts.push(...list.getEntries().map(entry => entry.value)))
        .observe({type: 'layout-shift', buffered: true})"""


class Browser(Chrome):
    """One window of chromium; after every step that it takes, it has drawn what follows."""

    def visit(self, url: str) -> None:
        self.get(url)
        self.wait_for_frame()  # keys are dropped before the first picture

    def open(self, page: Path) -> None:
        self.visit(page.absolute().as_uri())

    def open_afresh(self, url: str) -> None:
        """Open a page as for the first time: no theme chosen, nothing in its fragment."""
        self.resize(1280, 900)
        self.prefer()
        self.visit(url)
        self.run("localStorage.clear()")
        self.visit("about:blank")  # a fragment alone would not load the page again
        self.read_errors()
        self.visit(url)

    def go_back(self) -> None:
        self.back()
        self.wait_for_frame()

    def press(self, *keys: str) -> None:
        for key in keys:
            ActionChains(self).send_keys(KEYS.get(key, key)).perform()
        self.wait_for_frame()

    def wait_for_frame(self) -> None:
        self.execute_async_script(NEXT_FRAME)

    def run(self, script: str) -> Any:
        return self.execute_script(script)

    def requested_urls(self) -> list[str]:
        """Give what was asked for since the last call."""
        entries = self.get_log("performance")
        messages = [json.loads(entry["message"])["message"] for entry in entries]
        sent = [item for item in messages if item["method"] == "Network.requestWillBeSent"]
        return [item["params"]["request"]["url"] for item in sent]

    def read_errors(self) -> list[str]:
        """Give what the console said since the last call."""
        return [entry["message"] for entry in self.get_log("browser")]

    def resize(self, width: int, height: int) -> None:
        # a headless window has a least width; the emulated screen has none
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)

    def prefer(self, **features: str) -> None:
        media = [
            {"name": name.replace("_", "-"), "value": value} for name, value in features.items()
        ]
        self.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})


@contextmanager
def open_browser(profile: Path) -> Iterator[Browser]:
    """Open a window that notes what jumps on its pages; the test is skipped where there is none."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs chromium and chromedriver on the PATH")
    options = ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(profile))
        patch.setenv("no_proxy", "localhost")  # where the driver is
        opened = Browser(options, ChromeService(driver))
        try:
            opened.set_script_timeout(60)
            # else a window that is not in front on a busy machine gets no focus events
            opened.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})
            watch = {"source": WATCH_SHIFTS}
            opened.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", watch)
            yield opened
        finally:
            opened.quit()


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and writes no log."""

    def log_message(self, *_: object) -> None:
        pass


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
