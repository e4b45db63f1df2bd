"""Sample photos: found, named the same everywhere, out of the way of files."""

import pytest

from vizcnn.basics.errors import VizcnnError
from vizcnn.photos.samples import SAMPLES, find_sample, name_source


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_are_photos_and_named_the_same_on_every_machine(name):
    path = find_sample(name)
    assert path is not None and path.is_file()
    assert name_source(path) == f"sample {name}"


def test_samples_give_way_to_files_and_mistyped_ones_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VizcnnError, match="did you mean 'coffee'"):
        find_sample("cofee")
    (tmp_path / "coffee").touch()
    assert find_sample("coffee") is None
    assert find_sample("holiday.jpg") is None
