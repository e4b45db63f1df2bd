"""Debian's chromium, driven by selenium, and where pages lie: on disk or on a server."""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.remote.command import Command

from tests.support.window import Window

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
WATCH_SHIFTS = """window.shifts = [];
    new PerformanceObserver(list => shifts.push(...list.getEntries()
        .filter(entry => !entry.hadRecentInput).map(entry => [entry.value, ...entry.sources.map(
            ({ node, previousRect, currentRect }) => `${node?.className || node?.nodeName}: `
                + `${previousRect.y} to ${currentRect.y}`)])))
        .observe({type: 'layout-shift', buffered: true})"""
"""What moves within half a second of a key or a click is an answer to it, and counts apart."""


class Browser(Window, Chrome):
    """A window of chromium."""

    browser_name = "chromium"

    def load(self, url: str) -> None:
        self.get(url)

    def reload(self) -> None:
        self.refresh()
        self.wait_for_frame()

    def go_back(self) -> None:
        self.back()
        self.wait_for_frame()

    def run(self, script: str) -> Any:
        return self.execute_script(script)

    def run_until_done(self, script: str) -> Any:
        return self.execute_async_script(script)

    def act(self, *devices: dict[str, Any]) -> None:
        self.execute(Command.W3C_ACTIONS, {"actions": devices})

    def requested_urls(self) -> list[str]:
        entries = self.get_log("performance")
        messages = [json.loads(entry["message"])["message"] for entry in entries]
        sent = [item for item in messages if item["method"] == "Network.requestWillBeSent"]
        return [item["params"]["request"]["url"] for item in sent]

    def read_errors(self) -> list[str]:
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

    def forget(self, url: str) -> None:
        place = urlsplit(url)
        origin = f"{place.scheme}://{place.netloc}"
        what = {"origin": origin, "storageTypes": "local_storage"}
        self.execute_cdp_cmd("Storage.clearDataForOrigin", what)

    def take_picture(self) -> bytes:
        return self.get_screenshot_as_png()


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
