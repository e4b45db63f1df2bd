"""Clients of the explorer's server: a well-behaved one, and one that sends any bytes."""

import http.client
import json
import socket
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from vizcnn.explorer.answers import Answer
from vizcnn.explorer.server import TOKEN_HEADER, ExplorerServer, ServedFile

FILES = {
    "": ServedFile("text/html; charset=utf-8", b"<!doctype html><title>page</title>"),
    "explorer/core.js": ServedFile("text/javascript; charset=utf-8", b'"use strict";'),
}
"""A page that is small."""


class Echo:
    """Stands in for an explorer: answers with what it was asked, and with as many bytes."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def answer(self, question: Any) -> Answer:
        self.asked.append(question)
        time.sleep(question.get("seconds", 0))
        return Answer({"asked": question}, bytes(question.get("bytes", 0)))


@dataclass(frozen=True)
class Reply:
    """What a server replied."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def fields(self) -> dict[str, Any]:
        end = 4 + int.from_bytes(self.body[:4], "little")
        return json.loads(self.body[4:end])

    @property
    def content(self) -> bytes:
        return self.body[4 + int.from_bytes(self.body[:4], "little") :]


class Client:
    """Asks as the page does, over one connection that is kept."""

    def __init__(self, server: ExplorerServer) -> None:
        self.server = server
        self.connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None:
        self.connection.close()

    def send(
        self,
        method: str,
        name: str,
        body: bytes | None = None,
        token: str | None = None,
        **more: Any,
    ) -> Reply:
        headers = {TOKEN_HEADER: self.server.token if token is None else token}
        self.connection.request(method, f"/{self.server.token}/{name}", body, headers | more)
        reply = self.connection.getresponse()
        headers = {name.lower(): value for name, value in reply.getheaders()}
        return Reply(reply.status, headers, reply.read())

    def ask(self, **question: Any) -> Reply:
        return self.send("POST", "api/ask", json.dumps(question).encode())

    def send_file(self, name: str, said: dict[str, Any], content: bytes) -> Reply:
        return self.send("POST", f"api/{name}", Answer(said, content).to_bytes())


def send_bytes(server: ExplorerServer, sent: bytes, seconds: float = 10) -> bytes:
    """Send any bytes, and give what comes back until the server ends the connection."""
    with socket.create_connection(("127.0.0.1", server.server_port), seconds) as connection:
        connection.sendall(sent)
        received = b""
        while piece := connection.recv(2**16):
            received += piece
        return received


def make_pictures(count: int) -> list[Image.Image]:
    """Make pictures that differ, of noise."""
    draw = np.random.default_rng(5)
    shape = (40, 50, 3)
    return [Image.fromarray(draw.integers(0, 256, shape, np.uint8)) for _ in range(count)]
