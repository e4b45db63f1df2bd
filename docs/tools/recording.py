"""The explorer in use, recorded as a moving picture for its page of the manual.

``python -m docs.tools.recording`` serves the explorer by ``COMMAND``, uses it in chromium as a
reader would, and writes ``docs/pictures/explorer.webp``. What is pressed and pointed at is told
below the page.
"""

import io
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from tests.support.browser import open_browser
from tests.support.window import Point, Window

TARGET = Path(__file__).parents[1] / "pictures" / "explorer.webp"
COMMAND = "vizcnn explore chelsea coffee --method deconvnet --method guided --serve"
WINDOW = (1360, 940)
"""CSS pixels of the page: a lecture's projector has about as many."""
SHOWN_WIDTH = 1000
"""Pixels of the recording: as wide as a page of the manual."""
LINE_HEIGHT = 34
LARGEST = 1_500_000
"""Bytes; else the page takes long to load."""
ARROW = [(0, 0), (0, 17), (4, 13), (7, 19), (10, 18), (7, 12), (12, 12)]
SETTLED = """return vizcnnExplorer.app.maps && !vizcnnExplorer.app.asked.size
    && !document.querySelector('.pane-unit .late')"""


@dataclass
class Recording:
    """Pictures of a window, each with how long it is to be seen.

    Attributes:
        window: What is recorded.
        frames: The pictures.
        milliseconds: How long each is shown.
        told: The line below the page.
        mouse: Where the arrow is, in CSS pixels; None while the keys are used.
    """

    window: Window
    frames: list[Image.Image] = field(default_factory=list)
    milliseconds: list[int] = field(default_factory=list)
    told: str = ""
    mouse: Point | None = None

    def take(self, milliseconds: int) -> None:
        """Take a picture of what is to be seen once all of it is there."""
        self.window.wait_until(SETTLED)
        self.window.wait_for_frame()
        page = Image.open(io.BytesIO(self.window.take_picture())).convert("RGB")
        if self.mouse is not None:
            corners = [(self.mouse[0] + 1.6 * x, self.mouse[1] + 1.6 * y) for x, y in ARROW]
            ImageDraw.Draw(page).polygon(corners, fill="black", outline="white", width=2)
        height = round(page.height * SHOWN_WIDTH / page.width)
        frame = Image.new("RGB", (SHOWN_WIDTH, height + LINE_HEIGHT), "#202124")
        frame.paste(page.resize((SHOWN_WIDTH, height), Image.Resampling.LANCZOS))
        font = ImageFont.load_default(18)
        ImageDraw.Draw(frame).text((12, height + 7), self.told, fill="white", font=font)
        self.frames.append(frame)
        self.milliseconds.append(milliseconds)

    def tell(self, text: str) -> None:
        """Say below the page what comes."""
        self.told = text

    def point(self, *points: Point, milliseconds: int = 450) -> None:
        """Lead the mouse over points, each of which is seen."""
        for self.mouse in points:
            self.window.move(self.mouse)
            self.take(milliseconds)

    def click(self, selector: str, milliseconds: int = 1800) -> None:
        """Lead the mouse to a part and click it."""
        self.mouse = self.window.find_centre(selector)
        self.take(350)
        self.window.click_at(self.mouse)
        self.take(milliseconds)

    def press(self, *keys: str, milliseconds: int = 900) -> None:
        """Press keys, the picture after each of them is seen."""
        self.mouse = None
        for key in keys:
            self.window.press(key)
            self.take(milliseconds)

    def save(self, target: Path) -> None:
        """Write the moving picture, as well as its largest size allows.

        Args:
            target: A file that ends in .webp.
        """
        first, *others = self.frames
        for quality in (80, 65, 50, 35):
            written = io.BytesIO()
            first.save(
                written,
                "webp",
                save_all=True,
                append_images=others,
                duration=self.milliseconds,
                loop=0,
                quality=quality,
                method=6,
                minimize_size=True,
            )
            if len(written.getvalue()) < LARGEST:
                break
        target.write_bytes(written.getvalue())


def use_explorer(window: Window, address: str) -> Recording:
    """Look around as a reader would.

    Args:
        window: A browser's.
        address: Of the explorer's page.

    Returns:
        What was to be seen.
    """
    window.resize(*WINDOW)
    window.visit(address)
    record = Recording(window, told="ZFNet on a photo: the photo, the net, one of its units")
    record.take(2200)
    left, top, wide, tall = window.run(
        """const { left, top, width, height } = document.querySelector('.photo-stage canvas')
            .getBoundingClientRect(); return [left, top, width, height]"""
    )

    def find_point(across: float, down: float) -> Point:
        return left + across * wide, top + down * tall

    record.tell("The mouse on the photo: what a unit there can see, to the pixel")
    record.point(*(find_point(*share) for share in ((0.7, 0.8), (0.5, 0.6), (0.35, 0.42))))
    record.tell("A click: who fires here?")
    window.click_at(find_point(0.35, 0.42))
    record.take(2200)
    record.tell("One of them: its map, what it sees, its projections, what is its own")
    record.click(".pane-fires .fires li:nth-child(2) .tile", 2800)
    record.tell("Arrow keys: the next place")
    window.run("document.activeElement.blur()")
    record.press("right", "right", "down")
    record.tell("u: the layer below, around the same point")
    record.press("u", "u", milliseconds=1500)
    record.tell("o: back up;  s: sorted by the activation here")
    record.press("o", "o", "s", milliseconds=1200)
    record.tell("b: tiles by the next method")
    record.press("b", "b", milliseconds=1400)
    record.tell("g: a grey square hides a part; arrows move it, and the classes' bars follow")
    record.press("g", "left", "up", "up", milliseconds=1200)
    record.press("g", milliseconds=300)
    record.tell("p: the next photo;  m: where the unit is strongest")
    record.press("p", "m", milliseconds=1500)
    record.tell("t: light or dark")
    record.press("t", milliseconds=2200)
    return record


@contextmanager
def serve_explorer() -> Iterator[str]:
    """Run the command, and end it as a user does.

    Yields:
        The address of its page.
    """
    words = [sys.executable, "-m", *COMMAND.split(), "--no-open", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["address"]
        finally:
            process.send_signal(signal.SIGINT)


def main() -> None:
    """Record the explorer."""
    with (
        tempfile.TemporaryDirectory() as profile,
        serve_explorer() as address,
        open_browser(Path(profile)) as browser,
    ):
        use_explorer(browser, address).save(TARGET)


if __name__ == "__main__":
    main()
