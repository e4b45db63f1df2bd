"""The explorer's page, alive: a server of this machine for its user, and for nobody else.

Who knows the token in the page's address is the user. Everyone else gets 404 and nothing more: the
machine's other users, and pages of other sites in the user's own browser, whatever name they make
this machine's address have.
"""

import hmac
import io
import secrets
import select
import socket
import socketserver
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from vizcnn.basics.errors import VizcnnError, VizcnnWarning
from vizcnn.explorer.answers import Answer
from vizcnn.explorer.desk import Desk
from vizcnn.explorer.explorer import Explorer
from vizcnn.explorer.request_limits import (
    LARGEST_QUESTION,
    LARGEST_UPLOAD,
    PunctualReader,
    RefusedRequestError,
    find_length,
    parse_question,
    split_message,
)
from vizcnn.explorer.uploads import Uploads

LOOPBACK = "127.0.0.1"
TOKEN_HEADER = "X-Vizcnn-Token"

SECONDS = 20.0
"""In which a request has to be there, the next one of a connection has to begin, and an answer has
to be taken; large bodies of the user's have more."""

MOST_CONNECTIONS = 64
"""That are open at a time; a browser opens six to a server. One more takes the place of the oldest
of those that the user has asked nothing by: others cannot keep the user out by holding them."""

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every reply to the user: nothing comes from elsewhere, nobody else shows or keeps it."""


@dataclass(frozen=True)
class ServedFile:
    """A file of the page, held in memory.

    Attributes:
        kind: Its media type.
        content: Its bytes.
    """

    kind: str
    content: bytes


Files = Mapping[str, ServedFile]
"""All that can be loaded, by name below the page's address; the page itself is ``""``."""


@dataclass(frozen=True)
class _Action:
    """What the page may send.

    Attributes:
        take: Answers it, given the body and what tells whether the page still waits.
        largest: Bytes that it may have.
        what: What it is.
    """

    take: Callable[[bytes, Callable[[], bool]], Answer]
    largest: int
    what: str


class ExplorerServer(ThreadingHTTPServer):
    """Listens on the loopback; a thread for each connection, and the desk for what is asked.

    Args:
        port: Where; 0 takes one that is free.
        files: The page.
        desk: Answers its questions.
        uploads: Takes its photos.
        seconds: See :data:`SECONDS`.

    Attributes:
        token: What the user's requests are known by: 256 random bits.
        visited: Set as soon as the page was loaded.

    Raises:
        VizcnnError: If the port cannot be had.
    """

    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = sys.platform != "win32"  # there it would let others take the port over

    def __init__(
        self, port: int, files: Files, desk: Desk, uploads: Uploads, seconds: float = SECONDS
    ) -> None:
        self.files, self.desk, self.uploads, self.seconds = files, desk, uploads, seconds
        self.token = secrets.token_urlsafe(32)
        self.visited = threading.Event()
        self.actions: Mapping[str, _Action] = {
            "api/ask": _Action(self._take_question, LARGEST_QUESTION, "the question"),
            "api/photo": _Action(self._take_photo, LARGEST_UPLOAD, "the photo"),
            "api/frame": _Action(self._take_frame, LARGEST_UPLOAD, "the camera's picture"),
        }
        self._connections: dict[socket.socket, bool] = {}  # whether it is known as the user's
        self._guard = threading.Lock()
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            raise VizcnnError(
                f"port {port} of {LOOPBACK} cannot be had ({error.strerror}): choose another "
                "--port, or leave it out for one that is free"
            ) from None
        names = (LOOPBACK, "localhost")
        self.hosts = frozenset(f"{name}:{self.server_port}" for name in names)
        self.origins = frozenset(f"http://{host}" for host in self.hosts)

    @property
    def address(self) -> str:
        """The page's address, with the token."""
        return f"http://{LOOPBACK}:{self.server_port}/{self.token}/"

    def server_bind(self) -> None:
        """Take the port; http.server would also ask the network for this machine's name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = LOOPBACK, int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin with a connection, in the place of another one if there are too many."""
        with self._guard:
            unknown = (held for held, is_known in self._connections.items() if not is_known)
            full = len(self._connections) >= MOST_CONNECTIONS
            left = next(unknown, None) if full else None
            if left is not None:
                del self._connections[left]
                _end(left)
            if not full or left is not None:
                self._connections[request] = False
        if full and left is None:
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def know(self, connection: socket.socket) -> None:
        """Note that a connection is the user's."""
        with self._guard:
            if connection in self._connections:
                self._connections[connection] = True

    def shutdown_request(self, request: Any) -> None:
        """End a connection."""
        with self._guard:
            self._connections.pop(request, None)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Listen no more, and end all connections."""
        super().server_close()
        with self._guard:
            for connection in self._connections:
                _end(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell in one line of what should not happen; a client that goes away may."""
        error = sys.exception()
        if not isinstance(error, OSError):
            told = f"a request to the explorer failed, by a fault of vizcnn ({error!r})"
            warnings.warn(told, VizcnnWarning, stacklevel=2)

    def _take_question(self, body: bytes, is_wanted: Callable[[], bool]) -> Answer:
        question = parse_question(body)
        wanted_for = _take_purpose(question)
        return self.desk.ask(question, wanted_for, is_wanted)

    def _take_photo(self, body: bytes, is_wanted: Callable[[], bool]) -> Answer:
        said, content = split_message(body)
        return self.desk.do(lambda: self.uploads.take_photo(said, content), None, is_wanted)

    def _take_frame(self, body: bytes, is_wanted: Callable[[], bool]) -> Answer:
        question, content = split_message(body)
        wanted_for = _take_purpose(question) or "camera"  # frames are never lined up
        work = lambda: self.uploads.answer_frame(question, content)  # noqa: E731
        return self.desk.do(work, wanted_for, is_wanted)


def _end(connection: socket.socket) -> None:
    """Let whoever reads from a connection, or writes to it, find it at its end."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _take_purpose(question: dict[str, Any]) -> str | None:
    """Take out what a question is asked for."""
    purpose = question.pop("for", None)
    if purpose is not None and not (isinstance(purpose, str) and len(purpose) <= 200):
        raise RefusedRequestError(400, "what a question is for has to be a short text")
    return purpose


class _Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    server: ExplorerServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave together

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self._reader = PunctualReader(self.connection, self.server.seconds)
        self.rfile = io.BufferedReader(self._reader)

    def handle_one_request(self) -> None:
        self._reader.begin()
        super().handle_one_request()

    def handle_expect_100(self) -> bool:
        return True  # whoever asks may send the body; nothing is said before it is known who asks

    def do_GET(self) -> None:
        name = self._find_name()
        file = None if name is None else self.server.files.get(name)
        if file is None:
            self._send_nothing()
            return
        if name == "":
            self.server.visited.set()
        self._send(200, file.kind, file.content)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        name = self._find_name()
        action = None if name is None else self.server.actions.get(name)
        token = self.headers.get_all(TOKEN_HEADER, [])
        # a page of another site cannot send this header: the browser would ask here first
        if action is None or len(token) != 1 or not self._is_token(token[0]):
            self._send_nothing()
            return
        try:
            length = find_length(self.headers, action.largest, action.what)
            self._reader.allow(length)
            body = self.rfile.read(length)
            status, answer = 200, action.take(body, self._is_connected)
        except RefusedRequestError as error:
            status, answer = error.status, Answer({"error": str(error)})
            self.close_connection = True  # the body may not have been read
        self._send(status, "application/octet-stream", answer.to_bytes())
        if self.close_connection:
            self._read_the_rest()

    def _find_name(self) -> str | None:
        """Give what is asked for, below the page's address, if the user is who asks."""
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or hosts[0].lower() not in self.server.hosts:
            return None  # a name of another's that leads here (DNS rebinding)
        if not self.server.origins.issuperset(self.headers.get_all("Origin", [])):
            return None  # a page of another site
        token, slash, name = self.path.removeprefix("/").partition("/")
        if not (slash and self._is_token(token)):
            return None
        self.server.know(self.connection)
        return name

    def _is_token(self, given: str) -> bool:
        # as long for every wrong one: how long a comparison takes would tell what is right of it
        return hmac.compare_digest(given.encode(errors="replace"), self.server.token.encode())

    def _is_connected(self) -> bool:
        """Tell whether the client is still there: it sends nothing while it waits, but an end."""
        try:
            readable, _, _ = select.select([self.connection], [], [], 0)
            return not readable or bool(self.connection.recv(1, socket.MSG_PEEK))
        except (OSError, ValueError):
            return False

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.connection.settimeout(self.server.seconds)
        self.send_response_only(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.wfile.flush()

    def _send_nothing(self) -> None:
        """Answer everyone who is not the user, and what is not there: all alike."""
        self.connection.settimeout(self.server.seconds)
        self.close_connection = True
        self.send_response_only(404)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.flush()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Tell nothing of what http.server itself refuses, either."""
        self._send_nothing()

    def _read_the_rest(self) -> None:
        """Let the client finish: it reads no answer while it sends, and a closed end loses it."""
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self._reader.allow(4 * LARGEST_UPLOAD)
            while self.rfile.read1(2**16):
                pass

    def log_message(self, format: str, *args: Any) -> None:
        """Write no log: addresses hold the token."""


@contextmanager
def serve(
    explorer: Explorer, files: Files, port: int = 0, seconds: float = SECONDS
) -> Iterator[ExplorerServer]:
    """Serve the explorer's page to this machine's user while the block runs.

    Args:
        explorer: Answers the page's questions, in one thread.
        files: The page.
        port: Where; 0 takes one that is free.
        seconds: See :data:`SECONDS`.

    Yields:
        The server, which says where the page is.

    Raises:
        VizcnnError: If the port cannot be had.
    """
    desk = Desk(explorer)
    explorer.breathe = desk.breathe
    with ExplorerServer(port, files, desk, Uploads(explorer), seconds) as server, desk:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
