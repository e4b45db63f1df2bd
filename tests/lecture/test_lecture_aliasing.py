"""The aliasing lab in the lecture: the numbers of ``vizcnn aliasing``, not others beside them."""

from dataclasses import replace

import pytest

from tests.support.small_zoo import make_model
from vizcnn.lecture.run import choose_exhibits
from vizcnn.lecture.studio import Studio
from vizcnn.pages.aliasing import make_aliasing_page
from vizcnn.photos.samples import find_sample

NETS = [replace(make_model(), title=title) for title in ("AlexNet", "ZFNet")]


class SmallStudio(Studio):
    """A studio whose trained nets are small."""

    @property
    def alexnet(self):
        return NETS[0]

    @property
    def zfnet(self):
        return NETS[1]


@pytest.mark.slow
def test_the_lecture_and_the_command_tell_the_same_numbers(tmp_path):
    """Of the same photos: two figures of one measure would contradict each other."""
    page = make_aliasing_page(NETS, tmp_path / "out")
    studio = SmallStudio(find_sample("motorcycle"))
    told = {figure.file.removesuffix(".png"): figure.note for figure in page.figures}
    for name in ("shares", "sweep", "shifts", "cure", "grids"):
        (exhibit,) = choose_exhibits([f"zfnet-aliasing-{name}"])
        assert exhibit.make(studio).caption == told[name], name
    assert "first class: " in told["shifts"] and "photos, moved by 0 to 16 pixels" in told["shifts"]
