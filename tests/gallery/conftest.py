"""What the browser tests of layers share; each module gives the ``folder`` that is looked at."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.browser import Browser, publish


@pytest.fixture(scope="module", params=["disk", "server"])
def home(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    with publish(folder, request.param) as url:
        yield url


@pytest.fixture
def page(browser: Browser, home: str) -> Iterator[Browser]:
    """The page of the first layer."""
    browser.open_afresh(f"{home}/net/conv1/index.html")
    yield browser
    assert browser.read_errors() == []
