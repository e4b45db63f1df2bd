"""Ask the explorer's server as many windows would, and see whether it answers and its memory stays.

    python benchmarks/serving.py
    python benchmarks/serving.py --rate 200 --seconds 60 --model zfnet

`vizcnn explore --serve` runs as a process of its own. So many requests a second are sent, over
connections that are kept, each at its time whether the former ones were answered or not: files of
the page, maps, projections of units at random places, and pictures of a camera. Told are how long
they took, and the memory of the server's process: when a third of the time has gone by, and in the
end.
"""

import argparse
import http.client
import io
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import ROOT, CannotRunError, describe_machine, tell_last_line, write_row, write_table
from PIL import Image

PAGE = 4096
"""Bytes of a page of memory, as /proc counts."""
CLIENTS = 24
"""Connections."""
KINDS = {"file": 50, "maps": 30, "pictures": 17, "frame": 3}
"""How often each kind of request comes."""


@dataclass(frozen=True)
class Load:
    """What became of a load.

    Attributes:
        seconds: By kind, how long each request took.
        failed: What went wrong.
        late: Seconds by which the last request was sent too late.
        memory: MB of the server's process at a third of the time, and in the end.
    """

    seconds: dict[str, list[float]]
    failed: list[str]
    late: float
    memory: tuple[float, float]


@contextmanager
def run_server(model: str) -> Iterator[tuple[int, int, str]]:
    """Run the server; give the process's number, the port and the token."""
    command = [sys.executable, "-m", "vizcnn", "explore", "--serve", "--no-open", "--model", model]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        try:
            for line in process.stdout or ():
                if found := re.search(r"http://127\.0\.0\.1:(\d+)/([\w-]+)/", line):
                    yield process.pid, int(found[1]), found[2]
                    return
            errors.seek(0)
            raise CannotRunError(tell_last_line(errors.read()))
        finally:
            process.terminate()
            process.communicate()


class Asker:
    """Asks the server's questions over one connection."""

    def __init__(self, port: int, token: str) -> None:
        self.port, self.token = port, token
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def send(self, method: str, name: str, body: bytes = b"") -> bytes:
        """Send a request, and give the reply's body.

        Raises:
            RuntimeError: If it was refused.
        """
        headers = {"X-Vizcnn-Token": self.token}
        self.connection.request(method, f"/{self.token}/{name}", body, headers)
        reply = self.connection.getresponse()
        content = reply.read()
        if reply.status != 200:
            raise RuntimeError(f"{name}: {reply.status}")
        return content

    def ask(self, question: dict[str, Any], content: bytes | None = None) -> dict[str, Any]:
        """Ask a question, of a camera's picture if there is one, and give the answer's fields."""
        text = json.dumps(question).encode()
        if content is None:
            reply = self.send("POST", "api/ask", text)
        else:
            length = len(text).to_bytes(4, "little")
            reply = self.send("POST", "api/frame", length + text + content)
        end = 4 + int.from_bytes(reply[:4], "little")
        fields: dict[str, Any] = json.loads(reply[4:end])
        if "error" in fields and "superseded" not in fields:
            raise RuntimeError(f"{question}: {fields['error']}")
        return fields


def load(pid: int, port: int, token: str, rate: float, seconds: float, seed: int = 0) -> Load:
    """Send requests at a rate for a time."""
    with closing(Asker(port, token)) as asker:
        start = asker.ask({"ask": "start"})
    kinds = random.Random(seed).choices(list(KINDS), list(KINDS.values()), k=int(rate * seconds))
    taken: dict[str, list[float]] = {kind: [] for kind in KINDS}
    failed: list[str] = []
    late = [0.0]
    turns = iter(enumerate(kinds))
    guard = threading.Lock()
    began = time.monotonic()

    def work() -> None:
        with closing(Asker(port, token)) as asker:
            while True:
                with guard:
                    number, kind = next(turns, (None, ""))
                if number is None:
                    return
                due = began + number / rate
                time.sleep(max(due - time.monotonic(), 0))
                sent = time.monotonic()
                late[0] = max(late[0], sent - due)
                try:
                    send_one(asker, kind, start, random.Random(seed + number))
                except Exception as error:
                    failed.append(f"{type(error).__name__}: {error}")
                    asker.close()  # the next request opens a connection anew
                taken[kind].append(time.monotonic() - sent)

    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    time.sleep(seconds / 3)
    before = measure_memory(pid)
    for thread in threads:
        thread.join()
    return Load(taken, failed, late[0], (before, measure_memory(pid)))


def send_one(asker: Asker, kind: str, start: dict[str, Any], draw: random.Random) -> None:
    """Send a request of a kind, of a random net, photo, layer, unit and place."""
    if kind == "file":
        asker.send("GET", draw.choice(["", "explorer/explorer.css", "explorer/app.js"]))
        return
    number = draw.randrange(len(start["nets"]))
    net = start["nets"][number]
    layer = draw.randrange(len(net["layers"]))
    units, size = net["layers"][layer]["units"], net["layers"][layer]["size"]
    question = {"net": number, "photo": draw.randrange(len(start["photos"])), "layer": layer}
    if kind == "maps":
        asker.ask({"ask": "maps", **question})
    elif kind == "frame":
        del question["photo"]
        noise = Image.effect_noise((160, 120), 90).convert("RGB")
        file = io.BytesIO()
        noise.save(file, "JPEG")
        asker.ask({"ask": "tiles", **question}, file.getvalue())
    else:
        place = [draw.randrange(extent) for extent in size] or None
        method = draw.choice(net["methods"])["key"]
        unit = draw.randrange(units)
        what = {"method": method, "units": [unit], "place": place}
        asker.ask({"ask": "pictures", **question, **what})


def measure_memory(pid: int) -> float:
    """Give how many MB of memory a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 1e6


def main() -> None:
    options = _parse()
    print(describe_machine() + "\n")
    with run_server(options.model) as (pid, port, token):
        done = load(pid, port, token, options.rate, options.seconds)
    heads = ("request", "sent", "median in ms", "99 % below", "slowest")
    rows = []
    for kind, seconds in done.seconds.items():
        if len(seconds) > 1:
            cuts = statistics.quantiles(seconds, n=100, method="inclusive")
            told = [1e3 * cut for cut in (cuts[49], cuts[98], max(seconds))]
            rows.append((kind, len(seconds), *told))
    print(f"{options.rate:g} requests a second for {options.seconds:g} s, {options.model}:\n")
    print(write_table(heads, rows))
    print()
    print(write_table(("failed", "sent late by at most", "MB at a third", "MB in the end"), []))
    print(write_row([len(done.failed), f"{done.late:.2f} s", *done.memory]))
    for line in done.failed[:5]:
        print(line, file=sys.stderr)
    if done.failed:
        sys.exit(1)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rate", type=float, default=200, help="requests a second")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--model", default="lenet")
    return parser.parse_args()


if __name__ == "__main__":
    main()
