"""The served page in a browser: it asks its own server alone, takes photos, and tells of an end."""

import time
from urllib.parse import urlsplit

import pytest

import vizcnn
from tests.support.browser import Browser
from tests.support.explorer_clients import make_pictures
from vizcnn.explorer.explored import ExploredNet, explore_image
from vizcnn.explorer.explorer import Explorer
from vizcnn.explorer.server import serve
from vizcnn.pages.explore_live import list_files

SEND = """const [name, done] = arguments;
const canvas = document.createElement("canvas");
canvas.width = 50; canvas.height = 40;
const context = canvas.getContext("2d");
context.fillStyle = "rgb(200, 30, 60)"; context.fillRect(5, 5, 30, 20);
canvas.toBlob(async (blob) => {
  const { source } = vizcnnExplorer.app;
  const file = new File([blob], "mine.png");
  const answer = name === "upload" ? await source.upload(file)
    : await source.frame({ ask: "maps", net: 0, layer: 1 }, file);
  done({ fields: answer.fields, bytes: answer.bytes.length });
});"""


@pytest.fixture(scope="module")
def explorer():
    net = vizcnn.load("lenet", weights="bundled")
    photos = [
        explore_image(picture, str(number)) for number, picture in enumerate(make_pictures(2))
    ]
    return Explorer([ExploredNet("lenet", net, ("conv1", "conv2"))], photos)


def wait_for(browser, script):
    for _ in range(400):
        if browser.run(f"return {script}"):
            return
        time.sleep(0.025)
    raise AssertionError(f"{script} did not come true")


@pytest.fixture
def page(browser: Browser, explorer):
    with serve(explorer, list_files("Explorer of LeNet")) as server:
        browser.requested_urls()
        browser.read_errors()
        browser.visit(server.address)
        wait_for(browser, "vizcnnExplorer.app && vizcnnExplorer.app.maps")
        yield browser, server
    browser.visit("about:blank")
    browser.read_errors()


def test_it_asks_its_own_server_alone_and_the_policy_stops_nothing_that_it_needs(page):
    browser, server = page
    browser.run("vizcnnExplorer.app.set({ place: [2, 3], unit: 4 })")
    browser.press("u", "o")
    wait_for(browser, "vizcnnExplorer.app.source.live")
    asked = [urlsplit(url) for url in browser.requested_urls() if url.startswith("http")]
    assert {url.netloc for url in asked} == {f"127.0.0.1:{server.server_port}"}
    assert all(url.path.startswith(f"/{server.token}/") for url in asked)
    assert browser.read_errors() == []
    assert server.token not in browser.run("return document.documentElement.outerHTML")


def test_what_it_may_not_do_is_stopped(page):
    browser, _ = page
    script = """const [done] = arguments;
    fetch("http://localhost:1/").then(() => done("sent"), () => done("refused"))"""
    assert browser.execute_async_script(script) == "refused"
    assert "violates" in " ".join(browser.read_errors())
    script = """const [done] = arguments, script = document.createElement("script");
    script.textContent = "window.injected = true";
    document.body.append(script);
    done(!window.injected)"""
    assert browser.execute_async_script(script)
    assert "violates" in " ".join(browser.read_errors())


def test_a_photo_and_a_camera_s_picture_are_answered(page, explorer):
    browser, _ = page
    known = len(explorer.photos)
    sent = browser.execute_async_script(SEND, "upload")
    words = {"typed": None, "python": None}
    taken = {"number": known, "key": f"photo{known + 1}", "name": "mine.png"}
    assert sent["fields"] == taken | words
    framed = browser.execute_async_script(SEND, "frame")
    maps = explorer.answer({"ask": "maps", "net": 0, "photo": known, "layer": 1})
    assert framed["bytes"] == len(maps.content)
    assert framed["fields"]["units"] == maps.fields["units"] == 16
    assert len(explorer.photos) == known + 1
    large = """const [done] = arguments;
    vizcnnExplorer.app.source.upload(new File([new Uint8Array(2 ** 24 + 1)], "large.png"))
        .then((answer) => done(answer.fields.error))"""
    assert browser.execute_async_script(large) == "large.png has 16.0 MB; at most 16 MB are taken."
    assert browser.read_errors() == []


def test_a_server_that_has_ended_is_told_and_one_that_is_back_too(browser: Browser, explorer):
    with serve(explorer, list_files("Explorer")) as server:
        browser.visit(server.address)
        wait_for(browser, "vizcnnExplorer.app && vizcnnExplorer.app.maps")
        assert browser.run("return document.querySelector('.ended').hidden")
        top = "return document.querySelector('.bar').getBoundingClientRect().top"
        bar = browser.run(top)
    port, token = server.server_port, server.token
    browser.run("vizcnnExplorer.app.set({ photo: 1, place: [1, 1] })")
    wait_for(browser, "!document.querySelector('.ended').hidden")
    told = browser.run("return document.querySelector('.ended').textContent")
    assert "does not answer any more" in told
    assert "vizcnn explore --serve" in told
    assert browser.run("return document.querySelector('.ended').getAttribute('role')") == "alert"
    assert browser.run(top) == bar  # nothing on the page makes room for it
    assert "photo2:1,1" in browser.run("return location.hash")
    with serve(explorer, list_files("Explorer"), port):  # another program, with another token
        browser.run("document.querySelector('.ended button').click()")
        time.sleep(0.3)
        assert not browser.run("return document.querySelector('.ended').hidden")
    with serve(explorer, list_files("Explorer"), port) as again:
        again.token = token  # as if only the network had failed
        browser.run("document.querySelector('.ended button').click()")
        wait_for(browser, "document.querySelector('.ended').hidden")
        wait_for(browser, "vizcnnExplorer.app.maps && !vizcnnExplorer.app.maps.error")
    browser.visit("about:blank")
    browser.read_errors()
