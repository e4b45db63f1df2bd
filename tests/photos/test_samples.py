"""Sample photos: found, named the same everywhere, out of the way of files."""

import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data

from vizcnn.basics.errors import VizcnnError
from vizcnn.photos.images import read_photo
from vizcnn.photos.samples import SAMPLES, find_sample, name_distinctly, name_source


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_are_photos_and_named_the_same_on_every_machine(name):
    path = find_sample(name)
    assert path is not None and path.is_file()
    assert name_source(path) == f"sample {name}"


def test_samples_are_found_in_any_case(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_sample("Chelsea") == find_sample("chelsea") is not None
    Path("Chelsea").touch()
    assert find_sample("Chelsea") is None and find_sample("chelsea") is not None


def test_samples_give_way_to_files_and_mistyped_ones_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VizcnnError, match="did you mean 'coffee'"):
        find_sample("cofee")
    (tmp_path / "coffee").touch()
    assert find_sample("coffee") is None
    assert find_sample("holiday.jpg") is None


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "retina", "rocket"])
def test_samples_are_what_scikit_image_gives_by_that_name(name):
    path = find_sample(name)
    assert path is not None
    np.testing.assert_array_equal(read_photo(path), getattr(skimage.data, name)())


def test_a_missing_scikit_image_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.data", None)
    with pytest.raises(VizcnnError, match="pip install scikit-image, or give a photo"):
        find_sample("coffee")


def test_photos_of_one_name_are_told_apart_by_their_folders():
    paths = [Path(name) for name in ("a/x/1.jpg", "b/x/1.jpg", "b/y/1.jpg", "2.jpg", "/c/2.jpg")]
    assert list(name_distinctly(paths).values()) == [
        "a/x/1.jpg",
        "b/x/1.jpg",
        "y/1.jpg",
        "2.jpg",
        "c/2.jpg",
    ]
    # the very name of another's folder and file
    assert (
        len(set(name_distinctly([Path("1.jpg"), Path("a/1.jpg"), Path("b/a/1.jpg")]).values())) == 3
    )
