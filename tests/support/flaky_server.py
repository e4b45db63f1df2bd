"""A server on this machine that misbehaves on demand, for the tests of downloads."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CONTENT = bytes(range(256)) * 10_000  # 2.4 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12\n"

MOVED = {"moved": "/file", "to-file": "file:///etc/hostname", "to-ftp": "ftp://127.0.0.1/x"}
"""Where the server sends on to."""


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT under names that say how."""

    ranges: list[str | None]  # set per server, in a subclass

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.ranges.append(wanted)
        begin = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        kind = self.path.strip("/")
        if kind == "missing":
            self.send_error(404)
        elif kind in MOVED:
            self.send_response(302)
            self.send_header("Location", MOVED[kind])
            self.end_headers()
        elif kind == "pointer":
            self._answer(200, POINTER)
        elif kind == "cut":
            self._answer(206 if wanted else 200, CONTENT[begin:], send=1_500_000, begin=begin)
        elif kind == "whole-only":
            self._answer(200, CONTENT)
        elif kind == "no-length":
            self._answer(200, CONTENT, length=False)
        elif begin >= len(CONTENT):
            self.send_error(416)
        else:
            self._answer(206 if wanted else 200, CONTENT[begin:], begin=begin)

    def _answer(
        self, status: int, body: bytes, send: int | None = None, begin: int = 0, length: bool = True
    ) -> None:
        self.send_response(status)
        if length:
            self.send_header("Content-Length", str(len(body)))
        if status == 206:
            self.send_header("Content-Range", f"bytes {begin}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        self.wfile.write(body[:send])

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Server:
    """Address of a running server, and the ranges that it was asked for."""

    url: str
    ranges: list[str | None]


@contextmanager
def run_server() -> Iterator[Server]:
    ranges: list[str | None] = []
    handler = type("CountingHandler", (Handler,), {"ranges": ranges})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Server(f"http://127.0.0.1:{running.server_port}", ranges)
        finally:
            running.shutdown()
            thread.join()


def files_in(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in folder.iterdir()}
