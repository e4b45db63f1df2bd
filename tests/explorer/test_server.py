"""The explorer's server answers its user, and nobody else; and nothing that is sent harms it."""

import json
import socket
import threading
import time
from contextlib import ExitStack, suppress

import pytest

from tests.support.explorer_clients import FILES, Client, Echo, send_bytes
from vizcnn.basics.errors import VizcnnError
from vizcnn.explorer.request_limits import (
    LARGEST_QUESTION,
    LARGEST_UPLOAD,
    SLOWEST,
    PunctualReader,
)
from vizcnn.explorer.server import MOST_CONNECTIONS, serve

NOTHING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
"""All that anyone gets who is not the user."""


@pytest.fixture(scope="module")
def echo():
    return Echo()


@pytest.fixture(scope="module")
def server(echo):
    with serve(echo, FILES, seconds=1) as running:
        yield running


@pytest.fixture
def client(server):
    with Client(server) as made:
        yield made


def request(server, line=None, host=None, body=b"", **headers):
    """Write a request of the user's, with some of it changed."""
    port, token = server.server_port, server.token
    headers = {
        "Host": f"127.0.0.1:{port}" if host is None else host,
        "X-Vizcnn-Token": token,
        "Content-Length": len(body),
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [line or f"POST /{token}/api/ask HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


QUESTION = b'{"ask": "maps"}'


def test_the_user_gets_the_page_and_answers_with_their_bytes(client):
    page = client.send("GET", "")
    assert (page.status, page.body) == (200, FILES[""].content)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    script = client.send("GET", "explorer/core.js")
    assert (script.status, script.body) == (200, FILES["explorer/core.js"].content)
    answer = client.ask(ask="maps", net=0, bytes=5)
    assert answer.status == 200
    assert answer.fields == {"asked": {"ask": "maps", "net": 0, "bytes": 5}}
    assert answer.content == bytes(5)
    head = client.send("HEAD", "")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(FILES[""].content))


def test_one_connection_serves_many_requests(server, client):
    client.ask(ask="a")
    first = client.connection.sock
    for number in range(20):
        assert client.ask(ask="b", n=number).fields["asked"]["n"] == number
    assert client.connection.sock is first


def test_every_reply_forbids_what_is_not_from_here(client):
    for reply in (client.send("GET", ""), client.ask(ask="maps")):
        policy = reply.headers["content-security-policy"]
        assert policy.startswith("default-src 'self';")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert reply.headers["x-frame-options"] == "DENY"
        assert reply.headers["cross-origin-resource-policy"] == "same-origin"
        assert reply.headers["cache-control"] == "no-store"
        assert not any(name.startswith("access-control") for name in reply.headers)
        assert "server" not in reply.headers


def test_the_user_s_own_request_is_taken_as_bytes_too(server):
    """So that what the next tests change of it is what is refused."""
    for host in (None, f"localhost:{server.server_port}", f"LOCALHOST:{server.server_port}"):
        reply = send_bytes(server, request(server, host=host, body=QUESTION, Connection="close"))
        assert reply.startswith(b"HTTP/1.1 200 OK\r\n")
    for name in ("127.0.0.1", "localhost"):
        origin = f"http://{name}:{server.server_port}"
        reply = send_bytes(
            server, request(server, body=QUESTION, Origin=origin, Connection="close")
        )
        assert reply.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "index.html",
        "api/ask",
        "wrong/",
        "wrong/api/ask",
        "{token}",
        "{short}/",
        "{longer}/",
        "{token}x/",
        "{token}/../{token}/",
        "%2e%2e/{token}/",
        "/{token}/",
        "é/",
        "\x00/",
    ],
)
def test_without_the_token_in_the_address_there_is_nothing(server, path):
    token = server.token
    path = path.format(token=token, short=token[:-1], longer=token + "A")
    for method in ("GET", "POST", "HEAD"):
        if path == f"/{token}/" and method != "POST":
            continue  # http.server takes several slashes for one
        sent = request(server, f"{method} /{path} HTTP/1.1", body=QUESTION)
        assert send_bytes(server, sent) == NOTHING


@pytest.mark.parametrize("token", [None, "", "wrong", "{token}A", "{short}", "é" * 43])
def test_without_the_token_in_the_header_nothing_is_answered(server, echo, token):
    asked = len(echo.asked)
    if token:
        token = token.format(token=server.token, short=server.token[:-1])
    for name in ("ask", "photo", "frame"):
        line = f"POST /{server.token}/api/{name} HTTP/1.1"
        sent = request(server, line, body=QUESTION, X_Vizcnn_Token=token)
        assert send_bytes(server, sent) == NOTHING
    assert len(echo.asked) == asked


def test_two_tokens_or_two_hosts_are_none(server):
    port, token = server.server_port, server.token
    for twice in (f"X-Vizcnn-Token: {token}", f"Host: 127.0.0.1:{port}"):
        sent = request(server, body=QUESTION).replace(b"\r\n", f"\r\n{twice}\r\n".encode(), 1)
        assert send_bytes(server, sent) == NOTHING


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1",
        "localhost",
        "127.0.0.1:1",
        "0.0.0.0:{port}",
        "127.0.0.1:{port}.evil.example",
        "127.0.0.1.evil.example:{port}",
        "[::1]:{port}",
        "",
        "127.0.0.1:{port}, evil.example",
    ],
)
def test_a_name_of_others_that_leads_here_gets_nothing(server, host):
    """DNS rebinding: the browser takes the page of evil.example and this server for one site."""
    host = host.format(port=server.server_port)
    assert send_bytes(server, request(server, host=host, body=QUESTION)) == NOTHING
    page = f"GET /{server.token}/ HTTP/1.1"
    assert send_bytes(server, request(server, page, host=host)) == NOTHING


def test_a_request_without_a_host_gets_nothing(server):
    sent = request(server, body=QUESTION).replace(b"Host:", b"Not-Host:")
    assert send_bytes(server, sent) == NOTHING


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "http://evil.example",
        "https://127.0.0.1:{port}",
        "http://127.0.0.1",
        "file://",
        "http://127.0.0.1:{port}.evil.example",
        "http://localhost:1",
    ],
)
def test_a_page_of_another_site_gets_nothing(server, origin):
    origin = origin.format(port=server.server_port)
    assert send_bytes(server, request(server, body=QUESTION, Origin=origin)) == NOTHING


def test_other_sites_are_not_told_that_they_may_ask(server):
    line = f"OPTIONS /{server.token}/api/ask HTTP/1.1"
    preflight = {
        "Origin": "http://evil.example",
        "Access_Control_Request_Method": "POST",
        "Access_Control_Request_Headers": "x-vizcnn-token",
    }
    assert send_bytes(server, request(server, line, **preflight)) == NOTHING


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "get"])
def test_no_other_method_is_known(server, method):
    for name in ("", "api/ask"):
        sent = request(server, f"{method} /{server.token}/{name} HTTP/1.1", body=QUESTION)
        assert send_bytes(server, sent) == NOTHING


@pytest.mark.parametrize(
    "name",
    [
        "explorer/../explorer/core.js",
        "../../etc/passwd",
        "%2e%2e/etc/passwd",
        "explorer/core.js?x",
        "explorer//core.js",
        "explorer/",
        "core.js",
        "/etc/passwd",
        "EXPLORER/CORE.JS",
        "api/ask",
        "explorer/core.js\\..",
        "data/start-0.js",
    ],
)
def test_no_path_is_made_from_a_request(server, name):
    sent = request(server, f"GET /{server.token}/{name} HTTP/1.1")
    assert send_bytes(server, sent) == NOTHING


def test_there_is_nothing_to_load_but_the_page_and_nothing_to_send_to_but_the_questions(server):
    for name in ("", "explorer/core.js", "api", "api/", "api/start", "api/ask/", "api/Ask"):
        line = f"POST /{server.token}/{name} HTTP/1.1"
        assert send_bytes(server, request(server, line, body=QUESTION)) == NOTHING


@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: " + b"a" * 70_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: a\r\n" % n for n in range(200)) + b"\r\n",
    ],
)
def test_what_is_no_request_gets_nothing(server, client, sent):
    with suppress(ConnectionResetError):  # it was not read to its end
        assert send_bytes(server, sent) in (NOTHING, b"")
    assert client.ask(ask="maps").status == 200


def test_from_whom_is_not_known_no_megabytes_are_taken(server, client):
    header = b"X: " + b"a" * 60_000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", server.server_port), 10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        with pytest.raises(OSError):
            for _ in range(90):
                connection.sendall(header)
                time.sleep(0.01)
    assert client.ask(ask="maps").status == 200


def test_before_it_is_known_who_asks_nobody_is_told_to_go_on(server):
    sent = request(
        server, body=b"", Content_Length=5, X_Vizcnn_Token="wrong", Expect="100-continue"
    )
    assert send_bytes(server, sent) == NOTHING


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "JSON object"),
        (b"[]", "JSON object"),
        (b"{", "JSON object"),
        (b"\xff", "JSON object"),
        (b'{"ask": NaN}', "JSON object"),
        (b"[" * 100_000, "JSON object"),
        (b"9" * 10_000, "JSON object"),
        (b'{"ask": "x", "for": 7}', "short text"),
        (b'{"ask": "x", "for": "%s"}' % (b"x" * 201), "short text"),
    ],
)
def test_what_is_no_question_is_told_in_a_line(client, body, told):
    reply = client.send("POST", "api/ask", body)
    assert reply.status == 400
    assert told in reply.fields["error"]
    assert len(reply.fields["error"].splitlines()) == 1
    assert client.ask(ask="maps").status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content_Length": None}, 411),
        ({"Content_Length": None, "Transfer_Encoding": "chunked"}, 411),
        ({"Content_Length": "15", "Transfer_Encoding": "chunked"}, 411),
        ({"Content_Length": "-1"}, 400),
        ({"Content_Length": "1e3"}, 400),
        ({"Content_Length": "9" * 5000}, 400),
        ({"Content_Length": "²"}, 400),
        ({"Content_Length": LARGEST_QUESTION + 1}, 413),
        ({"Content_Length": "15\r\nContent-Length: 16"}, 411),
    ],
)
def test_a_body_has_a_plain_length_and_a_bound(server, echo, headers, status):
    asked = len(echo.asked)
    reply = send_bytes(server, request(server, body=QUESTION, **headers))
    assert reply.startswith(b"HTTP/1.1 %d " % status)
    assert b"Connection: close" in reply
    assert len(echo.asked) == asked


def test_a_photo_that_is_too_large_is_told_how_large_it_may_be(server, echo):
    with Client(server) as client:  # the whole of it is sent, and the reply still arrives
        reply = client.send("POST", "api/photo", bytes(LARGEST_UPLOAD + 1))
    assert reply.status == 413
    assert "at most 16 MB" in reply.fields["error"]


@pytest.mark.parametrize(
    "body", [b"", b"\1", b"\5\0\0\0{}", b"\xff\xff\xff\xff{}", b"\2\0\0\0[]", b"\0\0\0\0"]
)
def test_what_is_no_message_is_told_in_a_line(client, body):
    for name in ("photo", "frame"):
        reply = client.send("POST", f"api/{name}", body)
        assert reply.status == 400
        assert "needed" in reply.fields["error"] or "no message" in reply.fields["error"]


def read_until_closed(connection):
    received = b""
    with suppress(ConnectionResetError):
        while piece := connection.recv(2**16):
            received += piece
    return received


def test_who_says_nothing_more_is_left(server):
    beginnings = (b"", b"GET", b"GET / HTTP/1.1\r\nHost: 127", b"POST / HTTP/1.1\r\nX: 1\r\n")
    began = time.monotonic()
    with ExitStack() as stack:
        held = []
        for begun in beginnings:
            address = ("127.0.0.1", server.server_port)
            held.append(stack.enter_context(socket.create_connection(address, 10)))
            held[-1].sendall(begun)
        for connection in held:
            assert read_until_closed(connection) in (b"", NOTHING)
            assert 0.9 < time.monotonic() - began < 5  # the limit is one second here


def test_who_sends_a_byte_now_and_then_is_left_as_soon(server):
    with socket.create_connection(("127.0.0.1", server.server_port), 10) as connection:
        began = time.monotonic()
        sent = request(server, body=QUESTION)
        with pytest.raises(OSError):
            for byte in sent:  # would take a minute
                connection.sendall(bytes([byte]))
                time.sleep(0.2)
        assert time.monotonic() - began < 5


def test_a_body_that_does_not_come_is_not_waited_for(server, client):
    sent = request(server, body=QUESTION, Content_Length=100)
    with socket.create_connection(("127.0.0.1", server.server_port), 10) as connection:
        began = time.monotonic()
        connection.sendall(sent)
        assert read_until_closed(connection) == b""
        assert time.monotonic() - began < 5
    assert client.ask(ask="maps").status == 200


def test_a_photo_of_the_user_s_may_come_on_a_slow_line():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        hurried, patient = PunctualReader(ours, 0.1), PunctualReader(ours, 0.1)
        patient.allow(10 * SLOWEST)
        time.sleep(0.2)
        theirs.sendall(b"photo")
        with pytest.raises(TimeoutError):
            hurried.read(5)
        assert patient.read(5) == b"photo"


def test_who_does_not_take_the_answer_does_not_stop_the_others(server, client):
    question = json.dumps({"ask": "big", "bytes": 30_000_000}).encode()
    with socket.create_connection(("127.0.0.1", server.server_port), 10) as connection:
        connection.sendall(request(server, body=question))
        began = time.monotonic()
        assert client.ask(ask="maps").status == 200
        assert time.monotonic() - began < 1


def test_what_a_client_that_went_away_asked_is_not_computed(server, echo, client):
    with socket.create_connection(("127.0.0.1", server.server_port), 10) as first:
        first.sendall(request(server, body=b'{"ask": "slow", "seconds": 0.4}'))
        wait_for(lambda: {"ask": "slow", "seconds": 0.4} in echo.asked)
        for number in range(5):  # a page that is loaded anew
            with socket.create_connection(("127.0.0.1", server.server_port), 10) as gone:
                gone.sendall(request(server, body=b'{"ask": "gone", "n": %d}' % number))
                wait_for(lambda number=number: server.desk.count_waiting() == number + 1)
        assert client.ask(ask="after").fields == {"asked": {"ask": "after"}}
    assert not [question for question in echo.asked if question["ask"] == "gone"]


def wait_for(is_true):
    for _ in range(1000):
        if is_true():
            return
        time.sleep(0.005)
    raise AssertionError("it did not come")


def test_the_newest_of_a_purpose_wins(server, echo):
    replies = {}

    def ask(number, seconds):
        with Client(server) as client:
            replies[number] = client.ask(
                **{"ask": "hide", "n": number, "seconds": seconds, "for": "square"}
            )

    threads = [threading.Thread(target=ask, args=(0, 0.3))]
    threads[0].start()
    wait_for(lambda: {"ask": "hide", "n": 0, "seconds": 0.3} in echo.asked)
    for number in (1, 2):
        threads.append(threading.Thread(target=ask, args=(number, 0)))
        threads[-1].start()
        wait_for(
            lambda number=number: server.desk.count_waiting() == 1 and len(replies) >= number - 1
        )
    for thread in threads:
        thread.join(10)
    assert replies[1].fields["superseded"]
    assert [replies[number].fields["asked"]["n"] for number in (0, 2)] == [0, 2]


def test_connections_that_do_nothing_do_not_keep_the_user_out(server, client):
    assert client.ask(ask="maps").status == 200
    own = client.connection.sock
    with ExitStack() as stack:
        for _ in range(2 * MOST_CONNECTIONS):
            address = ("127.0.0.1", server.server_port)
            stack.enter_context(socket.create_connection(address, 10))
        began = time.monotonic()
        assert is_answered(server)  # a new connection, at once
        assert time.monotonic() - began < 0.9  # they are left after a second
        assert client.ask(ask="maps").status == 200
        assert client.connection.sock is own  # what is known as the user's stays
    assert threading.active_count() < MOST_CONNECTIONS + 40


def is_answered(server):
    try:
        with Client(server) as client:
            return client.ask(ask="maps").status == 200
    except OSError:
        return False


def test_a_port_that_is_taken_is_told(server, echo):
    with (
        pytest.raises(VizcnnError, match="choose another --port"),
        serve(echo, FILES, server.server_port),
    ):
        pass


def test_it_listens_on_the_loopback_alone(server):
    assert server.socket.getsockname()[0] == "127.0.0.1"
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", server.server_port), 1).close()


def test_each_server_has_a_token_of_its_own(server, echo):
    with serve(echo, FILES) as another:
        assert another.token != server.token
        assert len(another.token) == 43  # 256 bits, 6 a letter
        assert not another.visited.is_set()
        with Client(another) as client:
            assert client.send("GET", "").status == 200
        assert another.visited.is_set()


def test_in_the_end_nobody_is_answered_and_no_thread_is_left(echo):
    before = set(threading.enumerate())
    ends = []

    def ask_slowly(client):
        try:
            ends.append(client.ask(ask="slow", seconds=0.3).status)
        except OSError:
            ends.append(None)

    with serve(echo, FILES) as running, Client(running) as idle, Client(running) as client:
        assert idle.ask(ask="maps").status == client.ask(ask="maps").status == 200
        asking = threading.Thread(target=ask_slowly, args=(client,))
        asking.start()
        wait_for(lambda: {"ask": "slow", "seconds": 0.3} in echo.asked)
    asking.join(5)
    assert len(ends) == 1
    assert not is_answered(running)
    wait_for(lambda: set(threading.enumerate()) <= before)
