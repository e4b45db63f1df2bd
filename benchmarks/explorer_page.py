"""Time what a reader of the explorer waits for, in chromium and in Firefox.

    python benchmarks/explorer_page.py
    python benchmarks/explorer_page.py --model zfnet --layer conv5 --clicks 20

Told are the seconds from opening the page until the tiles of "who fires here" are there, and the
milliseconds from a click on the photo until all that it asks for is shown, own parts and the tiles
of the other layers too: for a page made ahead, and for one that is served.
"""

import argparse
import json
import random
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from common import ROOT, describe_machine, write_table

sys.path.append(str(ROOT))
from tests.support.browser import open_browser
from tests.support.firefox import open_firefox
from tests.support.window import Window

OPENERS: dict[str, Callable[[Path], AbstractContextManager[Window]]] = {
    "chromium": open_browser,
    "Firefox": open_firefox,
}
OPENED = "return document.querySelector('.pane-fires .tile[data-unit]') && performance.now()"
CLICK = """const done = arguments[0];
    const { app } = vizcnnExplorer;
    const canvas = document.querySelector('.photo-stage canvas');
    const { left, top, width, height } = canvas.getBoundingClientRect();
    const began = performance.now();
    canvas.dispatchEvent(new MouseEvent('click', {bubbles: true,
        clientX: left + %f * width, clientY: top + %f * height}));
    const look = () => app.asked.size ? setTimeout(look, 0)
        : requestAnimationFrame(() => setTimeout(() => done(performance.now() - began), 0));
    setTimeout(look, 0)"""


@contextmanager
def serve(words: list[str]) -> Iterator[str]:
    """Serve the explorer; give its address."""
    command = [*words, "--serve", "--no-open", "--json"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=quiet, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["address"]
        finally:
            process.send_signal(signal.SIGINT)


@contextmanager
def make(words: list[str]) -> Iterator[str]:
    """Make the explorer's folder; give its address."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*words, "--out", folder], check=True, capture_output=True)
        yield (Path(folder) / "index.html").as_uri()


def measure(open_window: Callable, address: str, layer: str, clicks: int) -> tuple[float, ...]:
    """Give the seconds of opening, and the median and the longest milliseconds of a click."""
    draw = random.Random(address + open_window.__name__)  # no browser gets what another one asked
    with tempfile.TemporaryDirectory() as profile, open_window(Path(profile)) as window:
        window.resize(1400, 900)
        window.visit(f"{address}#{layer}")
        opened = window.wait_until(OPENED) / 1000
        taken = [
            window.run_until_done(CLICK % (draw.random(), draw.random())) for _ in range(clicks)
        ]
    return opened, statistics.median(taken), max(taken)


def main() -> None:
    """Measure both lives in both browsers."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--model", default="zfnet")
    parser.add_argument("--layer", default="conv5")
    parser.add_argument("--clicks", type=int, default=20)
    given = parser.parse_args()
    words = [sys.executable, "-m", "vizcnn", "explore", "chelsea", "--model", given.model]
    rows = []
    for life, begin in (("made ahead", make), ("served", serve)):
        with begin(words) as address:
            for name, open_window in OPENERS.items():
                link = f"{given.model}/{given.layer}/"
                rows.append((name, life, *measure(open_window, address, link, given.clicks)))
    print(f"{describe_machine()}\n")
    heads = ("browser", "page", "opened, s", "click, median ms", "longest ms")
    print(write_table(heads, rows))


if __name__ == "__main__":
    main()
