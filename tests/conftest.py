"""Fixtures that several test files share."""

from collections.abc import Iterator

import hypothesis
import pytest
import torch

import vizcnn
from tests.support.browser import Browser, open_browser
from tests.support.firefox import Firefox, open_firefox
from tests.support.small_zoo import make_model
from tests.support.window import Window

hypothesis.settings.register_profile("tests", derandomize=True, deadline=None, max_examples=50)
hypothesis.settings.load_profile("tests")  # the same examples every time, on any machine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as fast what is not slow; whatever needs a browser is slow."""
    for item in items:
        if {"browser", "firefox", "window"} & {*getattr(item, "fixturenames", ())}:
            item.add_marker("slow")
        if item.get_closest_marker("slow") is None:
            item.add_marker("fast")


@pytest.fixture
def small_net(monkeypatch, tmp_path):
    """Every net that a command loads is the small one, and the test runs in its own folder."""
    model = make_model()
    monkeypatch.setattr(vizcnn, "load", lambda name, **options: model)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def images():
    """Give two small images of noise, the same in every test."""
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def one_thread():
    """Compute on one thread in a whole file: sums in one order, the same bytes every time."""
    former = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(former)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Share one window: what a test sets, the next one may find."""
    with open_browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="session")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    """Share one window of Firefox, as ``browser`` is shared."""
    with open_firefox(tmp_path_factory.mktemp("firefox")) as opened:
        yield opened


@pytest.fixture(scope="session", params=["browser", "firefox"])
def window(request: pytest.FixtureRequest) -> Window:
    """Give a window of either browser."""
    return request.getfixturevalue(request.param)
