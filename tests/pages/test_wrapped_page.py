"""The page of a wrapped module against that of the same net by its name: every picture's bytes."""

import vizcnn
from tests.support.small_zoo import list_files, paint_photo
from vizcnn.pages.deconv import DeconvSettings, make_deconv_gallery


def test_every_picture_has_the_same_bytes(tmp_path):
    named = vizcnn.load("lenet", weights="bundled")
    wrapped = vizcnn.wrap(
        named.module,
        preprocessing=named.preprocessing,
        classes=named.classes,
        name=named.name,
        title=named.title,
        provenance=named.provenance,
    )
    photo = paint_photo(tmp_path / "a.png")
    settings = DeconvSettings(layers=("conv1", "conv3", "fc5"), top=2, compare=4)
    files = []
    for net, folder in ((named, tmp_path / "named"), (wrapped, tmp_path / "wrapped")):
        make_deconv_gallery(net, [photo], settings, folder)
        files.append(list_files(folder))
    pictures, others = ({k: v for k, v in found.items() if k.endswith(".png")} for found in files)
    assert pictures == others and len(pictures) > 20
