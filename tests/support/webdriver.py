"""A small WebDriver client: chromedriver's plain HTTP interface, no extra packages."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

KEYS = {"left": "\ue012", "up": "\ue013", "right": "\ue014", "down": "\ue015"}
KEYS |= {"enter": "\ue007", "escape": "\ue00c", "tab": "\ue004"}
KEYS |= {"home": "\ue011", "end": "\ue010", "backspace": "\ue003"}

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
]


def find_browser() -> tuple[str, str] | None:
    """Give the paths of chromium and chromedriver, or None where either is missing."""
    chromium = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    driver = shutil.which("chromedriver")
    return (chromium, driver) if chromium and driver else None


NEXT_FRAME = """const done = arguments[0];
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 0)))"""
"""Keys reach a page with its next frame: on a busy machine a script would come before them."""


class Browser:
    """One window of chromium."""

    def __init__(self, session: str) -> None:
        self.session = session

    def call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return send(self.session + path, body)

    def open(self, page: Path) -> None:
        self.visit(page.absolute().as_uri())

    def visit(self, url: str) -> None:
        self.call("/url", {"url": url})
        self.wait_for_frame()  # keys are dropped before the first picture

    def press(self, *keys: str) -> None:
        actions = []
        for key in keys:
            value = KEYS.get(key, key)
            actions += [{"type": "keyDown", "value": value}, {"type": "keyUp", "value": value}]
        self.call("/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})
        self.wait_for_frame()

    def wait_for_frame(self) -> None:
        self.call("/execute/async", {"script": NEXT_FRAME, "args": []})

    def run(self, script: str) -> Any:
        return self.call("/execute/sync", {"script": script, "args": []})

    def devtools(self, command: str, **params: Any) -> Any:
        return self.call("/goog/cdp/execute", {"cmd": command, "params": params})

    def log(self, kind: str) -> list[Any]:
        return list(self.call("/se/log", {"type": kind}))

    def requested_urls(self) -> list[str]:
        messages = [json.loads(entry["message"])["message"] for entry in self.log("performance")]
        sent = [item for item in messages if item["method"] == "Network.requestWillBeSent"]
        return [item["params"]["request"]["url"] for item in sent]

    def resize(self, width: int, height: int) -> None:
        # a headless window has a least width; the emulated screen has none
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def prefer(self, **features: str) -> None:
        media = [
            {"name": name.replace("_", "-"), "value": value} for name, value in features.items()
        ]
        self.devtools("Emulation.setEmulatedMedia", features=media)

    def screenshot(self, file: Path) -> None:
        file.write_bytes(b64decode(self.call("/screenshot")))


def send(url: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    # the driver is on this machine, so no proxy is asked
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        with error:
            raise RuntimeError(error.read().decode()) from None


@contextmanager
def open_browser(chromium: str, driver: str) -> Iterator[Browser]:
    """Start chromedriver and one headless window; both end with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        environment = os.environ | {"HOME": profile}
        process = subprocess.Popen(
            [driver, f"--port={port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        try:
            yield from _open_session(f"http://127.0.0.1:{port}", chromium, profile)
        finally:
            process.terminate()
            process.wait(timeout=20)


def _open_session(url: str, chromium: str, profile: str) -> Iterator[Browser]:
    _wait_until_ready(url)
    options = {"binary": chromium, "args": [*FLAGS, f"--user-data-dir={profile}/data"]}
    wanted = {
        "browserName": "chrome",
        "goog:chromeOptions": options,
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
    }
    answer = send(f"{url}/session", {"capabilities": {"alwaysMatch": wanted}})
    session = f"{url}/session/{answer['sessionId']}"
    try:
        yield Browser(session)
    finally:
        send(session, method="DELETE")


def _wait_until_ready(url: str) -> None:
    for _ in range(100):
        try:
            if send(f"{url}/status")["ready"]:
                return
        except (OSError, ValueError):
            pass
        time.sleep(0.1)
    raise RuntimeError("chromedriver does not answer")
