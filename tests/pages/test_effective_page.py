"""The page of effective receptive fields: numbers, twins, epochs, and going on after a stop."""

import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.patches import Rectangle

import vizcnn
from tests.drawing.test_figures import CAPTION, check_layout
from tests.gallery.test_site import NASTY, check_links, write
from tests.support.galleries import change_results
from tests.support.small_zoo import LAYERS, list_files, make_model, paint_photo
from vizcnn.basics.codec import find_files
from vizcnn.basics.errors import ModelError, VizcnnError
from vizcnn.basics.kept_parts import FOLDER_NAME
from vizcnn.basics.output import LIST_NAME
from vizcnn.drawing.effective_maps import (
    DECADES,
    NetFields,
    choose_colours,
    describe_field,
    draw_effective_curves,
    draw_effective_maps,
    list_columns,
    scale_map,
)
from vizcnn.gallery.manifest import from_json, read_manifest, to_json
from vizcnn.measures.effective_field import AT_ONCE, hold_by_side, measure_effective_fields
from vizcnn.pages.effective import (
    EffectiveResults,
    EffectiveSettings,
    add_untrained,
    make_effective_gallery,
)
from vizcnn.zoo.provenance import Provenance

MODEL = replace(make_model(), provenance=Provenance("file", location="mine.safetensors"))


@pytest.fixture
def photos(tmp_path):
    for number in range(AT_ONCE + 2):
        paint_photo(tmp_path / "photos" / f"{number}.png", seed=number)
    return tmp_path / "photos"


def make(photos, folder, models=MODEL, **changes):
    settings = EffectiveSettings(**changes)
    return make_effective_gallery(models, [photos], folder, settings, "vizcnn receptive")


def test_the_page_is_whole_and_says_what_was_measured(photos, tmp_path):
    made = make(photos, tmp_path / "out", count=4, save_arrays=True, normalise="photo")
    files = list_files(tmp_path / "out")
    pages = {"index.html", "gallery.css", "gallery.js", "manifest.json", LIST_NAME}
    assert set(files) == {*find_files(made), *pages}
    written = read_manifest(tmp_path / "out", EffectiveResults)
    assert from_json(to_json(written), EffectiveResults) == written
    assert len(written.photos) == 4 and written.command == "vizcnn receptive"
    own, twin = written.results.nets
    assert (own.untrained, twin.untrained) == (False, True)
    assert [net.title for net in written.nets] == ["Tiny $net", "Tiny $net, untrained"]
    paths = [photos / photo.name for photo in written.photos]
    expected = measure_effective_fields(MODEL, paths, normalise="photo")
    assert [field.name for field in own.fields] == [n for n in LAYERS if n.startswith("conv")]
    for field, wanted in zip(own.fields, expected, strict=True):
        assert replace(field, map=None) == replace(wanted, map=None)
    maps = np.load(tmp_path / "out" / own.arrays)
    for wanted in expected:
        np.testing.assert_array_equal(maps[wanted.name], wanted.map)
    assert own.fields != twin.fields
    page = write(made, tmp_path / "out")["index.html"]
    text = " ".join(page.text.split())
    assert "so it was found here, exactly" in text and "divided by its sum" in text
    assert [image["src"] for image in page.find_all("img")] == ["maps.png", "curves.png"]
    check_links({"index.html": page}, tmp_path / "out")


def test_a_stopped_run_goes_on_and_ends_with_the_same_bytes(photos, tmp_path):
    layers = ("conv2",)
    make(photos, tmp_path / "whole", layers=layers)

    def stop(items, *, label, **settings):
        for number, item in enumerate(items):
            if label == "gradients" and number == 3:
                raise KeyboardInterrupt
            yield item

    settings = EffectiveSettings(layers=layers)
    with pytest.raises(KeyboardInterrupt):
        make_effective_gallery(MODEL, [photos], tmp_path / "out", settings, "vizcnn", stop)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [FOLDER_NAME]
    done = []

    def watch(items, *, label, total=None, initial=0, **settings):
        items = list(items)
        done.append((label, len(items), total, initial))
        return iter(items)

    make_effective_gallery(MODEL, [photos], tmp_path / "out", settings, "vizcnn receptive", watch)
    # two nets, two batches each; three of them were kept
    assert ("gradients", 1, 4, 3) in done
    assert list_files(tmp_path / "out") == list_files(tmp_path / "whole")


def test_what_was_kept_of_other_settings_is_not_used(photos, tmp_path):
    def stop(items, *, label, **settings):
        yield from items
        if label == "gradients":
            raise KeyboardInterrupt

    settings = EffectiveSettings(layers=("conv2",), count=3, untrained=False)
    with pytest.raises(KeyboardInterrupt):
        make_effective_gallery(MODEL, [photos], tmp_path / "out", settings, "", stop)
    other = replace(settings, normalise="photo")
    made = make_effective_gallery(MODEL, [photos], tmp_path / "out", other)
    used = [photos / photo.name for photo in made.photos]
    (expected,) = measure_effective_fields(MODEL, used, ["conv2"], "photo")
    assert made.results.nets[0].fields[0].peak == expected.peak


def name_epoch(epoch):
    return replace(
        MODEL, provenance=Provenance("file", location=f"run/tiny.epoch-{epoch:03d}.safetensors")
    )


def test_epochs_stand_side_by_side_with_one_untrained_twin():
    nets, twins = add_untrained([name_epoch(1), name_epoch(20)], EffectiveSettings())
    assert [net.title for net in nets] == [
        "Tiny $net, epoch 1",
        "Tiny $net, epoch 20",
        "Tiny $net, untrained",
    ]
    assert twins == [False, False, True]
    nets, twins = add_untrained([name_epoch(0), name_epoch(20)], EffectiveSettings())
    assert len(nets) == 2  # the first is untrained
    other = vizcnn.load("lenet")
    nets, twins = add_untrained([MODEL, other], EffectiveSettings())
    assert twins == [False, True, False, True] and nets[3].name == "lenet"
    nets, twins = add_untrained([MODEL, other], EffectiveSettings(untrained=False))
    assert len(nets) == 2
    nets, twins = add_untrained([vizcnn.load("lenet", weights=None)], EffectiveSettings())
    assert twins == [False]
    with pytest.raises(ModelError, match=r"13 nets.* needed: 12 at most"):
        add_untrained([name_epoch(epoch) for epoch in range(1, 13)], EffectiveSettings())


def test_unreadable_photos_are_named_and_the_others_go_through(photos, tmp_path):
    (photos / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n no photo")
    made = make(photos, tmp_path / "out", layers=("conv1",), untrained=False)
    assert [failure.source for failure in made.failures] == ["broken.png"]
    assert made.results.nets[0].fields[0].photos == AT_ONCE + 2


def test_a_wrong_layer_leaves_nothing(photos, tmp_path):
    with pytest.raises(VizcnnError, match="no layer 'conv9'"):
        make(photos, tmp_path / "out", layers=("conv9",))
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def simple(tmp_path_factory):
    home = tmp_path_factory.mktemp("simple")
    photo = paint_photo(home / "a.png")
    return make(photo, home / "out", layers=("conv1",), count=1, untrained=False), home / "out"


@pytest.mark.parametrize("name", NASTY)
def test_everything_is_escaped(simple, name):
    made, folder = simple

    def rename(word):
        (net,), (found,) = made.nets, made.results.nets
        fields = tuple(replace(field, name=word, path=word) for field in found.fields)
        named = replace(
            made, title=word, command=word, nets=(replace(net, title=word),), settings={word: word}
        )
        return change_results(named, photos=word, nets=(replace(found, fields=fields),))

    usual = write(rename("word"), folder)["index.html"]
    page = write(rename(name), folder)["index.html"]
    assert page.text.count(name) == usual.text.count("word") > 5
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in usual.elements]


def measure_nets(count):
    fields = measure_effective_fields(MODEL, np.full((1, 32, 32, 3), 0.5, dtype=np.float32))
    return [NetFields("tiny", f"Net, number {k}", k == count - 1, fields) for k in range(count)]


@pytest.mark.parametrize("count", [1, 6])
def test_maps_and_their_words_stand_apart(count):
    figure = draw_effective_maps(measure_nets(count), "Effective fields", CAPTION)
    texts = check_layout(figure)
    for words in ("conv1", "conv5", "Net", "number 0", "share of the map"):
        assert words in texts


def test_curves_are_the_numbers():
    nets = measure_nets(2)
    figure = draw_effective_curves(nets, "Effective fields", CAPTION)
    plots = [axes for axes in figure.axes if axes.get_xlabel()]
    assert len(plots) == 10  # profiles and shares of five layers, layer by layer
    field = nets[0].fields[2]
    profile, _ = plots[4].lines[0], plots[4].lines[1]
    middle = sorted({int(np.floor(field.centre[0])), int(np.ceil(field.centre[0]))})
    row = field.map[middle].mean(axis=0) / field.peak
    np.testing.assert_allclose(profile.get_ydata(), row[row > 0])
    np.testing.assert_allclose(profile.get_xdata(), np.flatnonzero(row) - field.centre[1])
    curve = next(line for line in plots[5].lines if len(line.get_xdata()) > 2)
    sides, shares = zip(*hold_by_side(field.map, field.centre), strict=True)
    np.testing.assert_array_equal(curve.get_xdata(), [0, *sides])
    np.testing.assert_array_equal(curve.get_ydata(), [0, *shares])


def test_frames_lie_where_the_fields_are():
    (net,) = measure_nets(1)
    figure = draw_effective_maps([net], "Effective fields", CAPTION)
    panels = [axes for axes in figure.axes if len(axes.patches) >= 4]
    assert len(panels) == 5
    for axes, field in zip(panels, net.fields, strict=True):
        frames = [p for p in axes.patches if isinstance(p, Rectangle) and not p.fill]
        sizes = [(frame.get_height(), frame.get_width()) for frame in frames]
        sides = {held.share: held.side for held in field.held}
        assert sizes == [field.size, (sides[0.95],) * 2, (sides[0.5],) * 2]
        for frame in frames:
            middle = frame.get_y() + frame.get_height() / 2, frame.get_x() + frame.get_width() / 2
            assert middle == pytest.approx(field.centre)


def test_the_scale_is_logarithmic_and_ends_where_it_says():
    values = np.array([[8.0, 0.8, 8e-4, 7e-4, 0.0]])
    np.testing.assert_allclose(
        scale_map(values)[0], [1, 1 - 1 / DECADES, 0, 0, 0], rtol=0, atol=1e-12
    )
    assert not scale_map(np.zeros((2, 2))).any()


def test_of_many_layers_some_are_drawn_and_colours_tell_nets_apart():
    nets = measure_nets(6)
    assert list_columns(nets, 3) == ["conv1", "conv3", "conv5"]
    colours = choose_colours(nets)
    assert len(set(colours)) == 6 and colours[-1] == ("#888888", 1.0)
    own = choose_colours([replace(nets[0], name="zfnet"), replace(nets[-1], name="zfnet")])
    assert own[0][0] == own[1][0] and own[0][1] > own[1][1]


def test_a_field_is_told_in_a_line():
    field = measure_nets(1)[0].fields[0]
    assert re.fullmatch(r"\d of 4", describe_field(field))
    assert describe_field(replace(field, held=())) == "silent of 4"
    assert describe_field(replace(field, size=(1, 7))).endswith("of 1×7")
    assert replace(field, box=(0, 0, 2, 4)).is_cut and not field.is_cut
