"""The page of the aliasing lab, from a manifest: escaped, complete, read back as it was."""

from dataclasses import replace

import pytest

from tests.gallery.test_site import NASTY, write
from tests.support.galleries import make_aliasing
from vizcnn.basics.codec import ManifestError
from vizcnn.gallery.manifest import from_json, read_manifest, to_json
from vizcnn.pages.aliasing import AliasingResults


@pytest.mark.parametrize("text", NASTY)
def test_what_a_user_named_is_shown_as_text(text, tmp_path):
    page = write(make_aliasing(tmp_path, caption=text, title=text), tmp_path)["index.html"]
    shown = " ".join(page.text.split())
    assert shown.count(" ".join(text.split())) >= 3  # heading, column of the table, caption
    assert len(page.find_all("script")) == 1
    assert [image["src"] for image in page.find_all("img")] == ["spectra.png"]


def test_every_measure_stands_in_the_table(tmp_path):
    page = write(make_aliasing(tmp_path), tmp_path)["index.html"]
    words = page.text.replace("\N{NO-BREAK SPACE}", " ").split()
    for value in ("8.1", "1.4", "3.06", "–", "4", "2"):
        assert value in words
    assert "'bad <i>.png' cannot be read" in page.text


def test_manifest_survives_a_round_trip(tmp_path):
    manifest = make_aliasing(tmp_path)
    write(manifest, tmp_path)
    assert read_manifest(tmp_path, AliasingResults) == manifest


def test_refuses_values_of_another_kind(tmp_path):
    text = to_json(make_aliasing(tmp_path)).replace('"percent"', '"parsec"')
    with pytest.raises(ManifestError, match=r"table\[1\]\.form: invalid enum value 'parsec'"):
        from_json(text, AliasingResults)


def test_refuses_a_missing_picture(tmp_path):
    manifest = make_aliasing(tmp_path)
    figure = replace(manifest.figures[0], file="gone.png")
    with pytest.raises(ManifestError, match="gone"):
        write(replace(manifest, figures=(figure,)), tmp_path)
