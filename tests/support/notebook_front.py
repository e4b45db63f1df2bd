"""A notebook's front end in a browser: anywidget's model, over a comm of this process.

A page gives the widget's own module what anywidget gives to its ``render``. What it sends lies
there until a test carries it to the widget, and back: so nothing runs at the same time.
"""

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import comm
import pytest
from comm.base_comm import BaseComm

from tests.support.browser import Browser, publish

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Notebook</title><link rel="icon" href="data:,">
<link rel="icon" href="data:,"><link rel="stylesheet" href="widget.css"></head>
<body><main></main><script type="module" src="front.js"></script></body></html>
"""

FRONT = Path(__file__).with_name("notebook_front.js")


class NotedComm(BaseComm):
    """A comm whose messages to the front end are kept."""

    def __init__(self, *given: Any, **named: Any) -> None:
        self.sent: list[tuple[dict[str, Any], list[bytes]]] = []
        super().__init__(*given, **named)

    def publish_msg(self, msg_type: str, data: Any = None, *_: Any, **named: Any) -> None:
        """Keep what is sent once the comm is open."""
        if msg_type == "comm_msg":
            self.sent.append((data, named.get("buffers") or []))

    def take_sent(self) -> list[tuple[dict[str, Any], list[bytes]]]:
        """Give what was sent since the last call."""
        sent, self.sent = self.sent, []
        return sent

    def receive(self, data: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        """Let the widget receive a message of the front end."""
        self.handle_msg({"content": {"data": data}, "buffers": buffers or []})


def use_noted_comms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let widgets have comms that keep what is sent, as a kernel lets them have its own."""
    monkeypatch.setattr(comm, "create_comm", NotedComm)


class Front:
    """A widget in a page."""

    def __init__(self, browser: Browser, widget: Any) -> None:
        self.browser, self.widget = browser, widget

    def carry(self) -> int:
        """Carry messages both ways, and say how many."""
        sent = self.browser.run("return window.model?.sent.splice(0) ?? []")
        for message in sent:
            buffers = [base64.b64decode(text) for text in message["buffers"]]
            self.widget.comm.receive(message["data"], buffers)
        answers = self.widget.comm.take_sent()
        for data, buffers in answers:
            texts = [base64.b64encode(part).decode() for part in buffers]
            self.browser.execute_script("model.receive(...arguments)", data, texts)
        return len(sent) + len(answers)

    def wait_for(self, holds: Callable[[], Any] | str, longest: float = 20) -> Any:
        """Carry messages until something holds: a function of Python, an expression of the page."""
        end = time.monotonic() + longest
        while True:
            found = self.browser.run(f"return {holds}") if isinstance(holds, str) else holds()
            if found:
                return found
            assert time.monotonic() < end, f"waited for {holds} in vain"
            self.carry()

    def rest(self) -> None:
        """Carry messages until none comes."""
        quiet = 0
        while quiet < 3:
            quiet = 0 if self.carry() else quiet + 1
            self.browser.wait_for_frame()


@contextmanager
def show_widget(browser: Browser, widget: Any, folder: Path) -> Iterator[Front]:
    """Show a widget in a page of this machine."""
    state = {name: value for name, value in widget.get_state().items() if name == "_page"}
    files = {
        "index.html": PAGE,
        "front.js": FRONT.read_text("utf-8"),
        "state.json": json.dumps(state),
    }
    files |= {"widget.js": widget._esm, "widget.css": widget._css}
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    with publish(folder, "server") as url:
        browser.open_afresh(f"{url}/index.html")
        front = Front(browser, widget)
        front.wait_for("window.isReady")
        yield front
        browser.visit("about:blank")
