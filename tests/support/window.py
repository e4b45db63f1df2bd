"""What the tests of pages ask of a browser's window, whichever browser it is."""

from pathlib import Path
from typing import Any

from selenium.webdriver import Keys

KEYS = {"left": Keys.LEFT, "up": Keys.UP, "right": Keys.RIGHT, "down": Keys.DOWN}
KEYS |= {"enter": Keys.ENTER, "escape": Keys.ESCAPE, "tab": Keys.TAB, "shift": Keys.SHIFT}
KEYS |= {"home": Keys.HOME, "end": Keys.END, "backspace": Keys.BACKSPACE, "space": " "}

NEXT_FRAME = """const done = arguments[0];
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 0)))"""
"""Keys reach a page with its next frame: on a busy machine a script would come before them."""
UNTIL = """const done = arguments[0];
    const end = Date.now() + 20000;
    const look = () => {
        let found = null;
        try { found = (() => { %s })(); } catch (error) { found = null; }
        if (found || Date.now() > end) done(found); else setTimeout(look, 10);
    };
    look()"""
CENTRE = """const part = document.querySelector(%r);
    part.scrollIntoView({block: 'nearest', inline: 'nearest', behavior: 'instant'});
    const box = part.getBoundingClientRect();
    return [Math.floor(box.x + box.width / 2), Math.floor(box.y + box.height / 2)]"""

Point = tuple[float, float]


class Window:
    """One window; after every step that it takes, it has drawn what follows.

    A browser gives the first half. Keys, mouse and finger are the actions of WebDriver, which are
    the same for every browser.
    """

    browser_name: str

    def load(self, url: str) -> None:
        """Load a page, and wait until its files have come."""
        raise NotImplementedError

    def reload(self) -> None:
        """Load the page again, as its address is now."""
        raise NotImplementedError

    def run(self, script: str) -> Any:
        """Run the body of a function in the page; gives what it returns."""
        raise NotImplementedError

    def run_until_done(self, script: str) -> Any:
        """Run the body of a function; gives what it hands to its only argument."""
        raise NotImplementedError

    def act(self, *devices: dict[str, Any]) -> None:
        """Perform WebDriver's actions."""
        raise NotImplementedError

    def requested_urls(self) -> list[str]:
        """Give what was asked for since the last call."""
        raise NotImplementedError

    def read_errors(self) -> list[str]:
        """Give what the console said since the last call."""
        raise NotImplementedError

    def resize(self, width: int, height: int) -> None:
        """Give the page this many pixels."""
        raise NotImplementedError

    def prefer(self, **features: str) -> None:
        """Set the media features that are given (``prefers_color_scheme="dark"``), and no other."""
        raise NotImplementedError

    def take_picture(self) -> bytes:
        """Give what is to be seen, as PNG."""
        raise NotImplementedError

    def visit(self, url: str) -> None:
        self.load(url)
        self.wait_for_frame()  # keys are dropped before the first picture

    def open(self, page: Path) -> None:
        self.visit(page.absolute().as_uri())

    def open_afresh(self, url: str) -> None:
        """Open a page as for the first time: no theme chosen, nothing in its fragment."""
        self.resize(1280, 900)
        self.prefer()
        self.forget(url)
        self.load("about:blank")  # a fragment alone would not load the page again
        self.read_errors()
        self.visit(url)

    def forget(self, url: str) -> None:
        """Forget what pages have stored where a page lies; one of them may be shown for it."""
        self.visit(url)
        self.run("localStorage.clear()")

    def wait_for_frame(self) -> None:
        self.run_until_done(NEXT_FRAME)

    def wait_until(self, script: str) -> Any:
        """Wait until a function's body gives something true; gives it, or what it gave last."""
        found = self.run_until_done(UNTIL % script)
        self.wait_for_frame()
        return found

    def press(self, *keys: str) -> None:
        """Press keys one after the other: ``left``, ``shift+tab``, or what is typed."""
        for key in keys:
            if key in KEYS:
                self._hold(KEYS[key])
            elif key.startswith("shift+"):
                self._hold(KEYS["shift"], KEYS[key.removeprefix("shift+")])
            else:
                for letter in key:
                    self._hold(letter)
        self.wait_for_frame()

    def _hold(self, *values: str) -> None:
        down = [{"type": "keyDown", "value": value} for value in values]
        up = [{"type": "keyUp", "value": value} for value in reversed(values)]
        self.act({"type": "key", "id": "keyboard", "actions": down + up})

    def find_centre(self, selector: str) -> Point:
        """Scroll a part into sight; gives the middle of it."""
        left, top = self.run(CENTRE % selector)
        return left, top

    def point_at(self, selector: str) -> None:
        self.move(self.find_centre(selector))

    def click(self, selector: str) -> None:
        self.click_at(self.find_centre(selector))

    def move(self, *points: Point) -> None:
        """Lead the mouse over points, with no button held."""
        self._point("mouse", [_move(point) for point in points])

    def click_at(self, point: Point, kind: str = "mouse") -> None:
        self._point(kind, [_move(point), _button("pointerDown"), _button("pointerUp")])

    def drag(self, *points: Point, kind: str = "mouse") -> None:
        """Go down at the first point, over all others, and up at the last."""
        first, *others = [_move(point) for point in points]
        self._point(kind, [first, _button("pointerDown"), *others, _button("pointerUp")])

    def _point(self, kind: str, actions: list[dict[str, Any]]) -> None:
        parameters = {"pointerType": kind}
        self.act({"type": "pointer", "id": kind, "parameters": parameters, "actions": actions})
        self.wait_for_frame()


def _move(point: Point) -> dict[str, Any]:
    return {"type": "pointerMove", "x": round(point[0]), "y": round(point[1]), "duration": 0}


def _button(kind: str) -> dict[str, Any]:
    return {"type": kind, "button": 0}
