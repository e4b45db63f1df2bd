"""Debian's Firefox ESR, driven by WebDriver BiDi over a port of its own: no driver is needed."""

import json
import os
import shutil
import subprocess
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from websocket import WebSocket, create_connection

from tests.support.window import Window

EVENTS = ["log.entryAdded"]
EVENTS += [f"network.{name}" for name in ("beforeRequestSent", "responseCompleted", "fetchError")]
STRICT = "security.fileuri.strict_origin_policy"
"""Firefox lets go of this rule when it is driven, and readers' windows do not."""
MEDIA = {
    "prefers_color_scheme": (
        "layout.css.prefers-color-scheme.content-override",
        {"light": 1, "dark": 0},
    ),
    "prefers_reduced_motion": ("ui.prefersReducedMotion", {"no-preference": 0, "reduce": 1}),
}
"""By media feature: Firefox's setting, and the numbers of its values, the usual one first."""
MATCHES = "return matchMedia('(%s: %s)').matches"


class Firefox(Window):
    """A window of Firefox at the other end of a WebDriver BiDi connection."""

    browser_name = "firefox"

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._sent = 0
        self._urls: list[str] = []
        self._errors: list[str] = []
        self.ask("session.new", capabilities={})
        self._page = self.ask("browsingContext.getTree")["contexts"][0]["context"]
        chrome = self.ask("browsingContext.getTree", **{"moz:scope": "chrome"})
        self._chrome = chrome["contexts"][0]["context"]
        self._set(STRICT, True)
        self.ask("session.subscribe", events=EVENTS)

    def ask(self, method: str, **parameters: Any) -> Any:
        """Send a command; gives its result, and notes the events that come before it."""
        self._sent += 1
        self._socket.send(json.dumps({"id": self._sent, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("id") == self._sent:
                if message["type"] == "error":
                    raise RuntimeError(f"{method}: {message['error']}: {message['message']}")
                return message["result"]
            self._note(message["method"], message["params"])

    def _note(self, event: str, parameters: dict[str, Any]) -> None:
        if event == "network.beforeRequestSent":
            self._urls.append(parameters["request"]["url"])
        elif event == "network.responseCompleted":
            if (status := parameters["response"]["status"]) >= 400:
                self._errors.append(f"{parameters['request']['url']}: status {status}")
        elif event == "network.fetchError":
            self._errors.append(f"{parameters['request']['url']}: {parameters['errorText']}")
        elif parameters["level"] == "error":
            self._errors.append(parameters["text"])

    def _set(self, name: str, value: bool | int) -> None:
        kind = "Bool" if isinstance(value, bool) else "Int"
        call = f"set{kind}Pref({name!r}, {json.dumps(value)})"
        self._evaluate(f"void Services.prefs.{call}", self._chrome)

    def _evaluate(self, expression: str, context: str) -> Any:
        told = self.ask(
            "script.evaluate",
            expression=expression,
            target={"context": context},
            awaitPromise=True,
            userActivation=True,
        )
        if told["type"] == "exception":
            raise RuntimeError(told["exceptionDetails"]["text"])
        return told["result"].get("value")

    def load(self, url: str) -> None:
        self.ask("browsingContext.navigate", context=self._page, url=url, wait="complete")
        self._focus()

    def reload(self) -> None:
        self.ask("browsingContext.reload", context=self._page, wait="complete")
        self._focus()
        self.wait_for_frame()

    def _focus(self) -> None:
        """Take the keys from the address bar; else Enter and Space press no button."""
        self._evaluate("void gBrowser.selectedBrowser.focus()", self._chrome)
        self.wait_until("return document.hasFocus()")

    def run(self, script: str) -> Any:
        text = self._evaluate(f"JSON.stringify((() => {{ {script}\n }})() ?? null)", self._page)
        return json.loads(text)

    def run_until_done(self, script: str) -> Any:
        body = f"new Promise(done => (function () {{ {script}\n }})(done))"
        text = self._evaluate(f"{body}.then(found => JSON.stringify(found ?? null))", self._page)
        return json.loads(text)

    def act(self, *devices: dict[str, Any]) -> None:
        self.ask("input.performActions", context=self._page, actions=devices)

    def requested_urls(self) -> list[str]:
        self.ask("session.status")  # what has happened is told before the answer
        urls, self._urls = self._urls, []
        return urls

    def read_errors(self) -> list[str]:
        self.ask("session.status")
        errors, self._errors = self._errors, []
        return errors

    def resize(self, width: int, height: int) -> None:
        self.ask(
            "browsingContext.setViewport",
            context=self._page,
            viewport={"width": width, "height": height},
            devicePixelRatio=1,
        )

    def prefer(self, **features: str) -> None:
        for feature, (name, numbers) in MEDIA.items():
            value = features.get(feature, next(iter(numbers)))
            self._set(name, numbers[value])
            self.wait_until(MATCHES % (feature.replace("_", "-"), value))  # comes to the page later

    def take_picture(self) -> bytes:
        return b64decode(self.ask("browsingContext.captureScreenshot", context=self._page)["data"])


@contextmanager
def open_firefox(profile: Path) -> Iterator[Firefox]:
    """Open a window of Firefox; the test is skipped where there is none."""
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        pytest.skip("needs firefox-esr on the PATH")
    (profile / "user.js").write_text('user_pref("browser.newtab.preload", false);\n')
    flags = ("--headless", "--no-remote", "--remote-debugging-port=0")
    command = [program, *flags, "--remote-allow-system-access", "--profile", str(profile)]
    surroundings = os.environ | {"HOME": str(profile)}
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, env=surroundings, stdout=quiet, stderr=quiet)
    try:
        address = f"ws://127.0.0.1:{_wait_for_port(profile, process)}/session"
        with closing(create_connection(address, timeout=60, suppress_origin=True)) as socket:
            yield Firefox(socket)
    finally:
        process.terminate()
        process.wait()


def _wait_for_port(profile: Path, process: subprocess.Popen[bytes]) -> int:
    """Firefox writes into its profile where it listens."""
    told = profile / "WebDriverBiDiServer.json"
    end = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        with suppress(OSError, ValueError):
            return json.loads(told.read_text("utf-8"))["ws_port"]
        time.sleep(0.02)
    raise RuntimeError(f"Firefox does not listen (exit status {process.poll()})")
