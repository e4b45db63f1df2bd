"""The index on disk: what it holds, what it refuses to go on with, damage, folders that refuse."""

import contextlib
import json
import os
import socket
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.mining_runs import LAYERS, NoisePhotos, make_photos, to_lists
from tests.support.small_zoo import make_model
from vizcnn.basics.errors import DataError
from vizcnn.mining.index import FORMAT, FORMAT_KEY, hash_pixels, read_index, write_index
from vizcnn.mining.machine_kinds import describe_kind
from vizcnn.mining.run import MiningRun, MiningSettings, mine
from vizcnn.zoo.provenance import Provenance

SETTINGS = MiningSettings(layers=LAYERS, top=3, workers=0)
LOOKS = {f"photo {number:03d}": number for number in range(40)} | {"photo 007": None}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "strongest.safetensors"


@pytest.fixture
def index(file):
    return mine(make_model(), NoisePhotos(LOOKS), file, SETTINGS)


def test_reading_gives_what_was_written(index, file):
    found = read_index(file)
    assert found.identity == index.identity
    assert found.photos == index.photos
    assert found.sizes == index.sizes
    assert found.failures == index.failures == (("photo 007", "'photo 007' is broken"),)
    assert found.done == 40
    assert found.complete
    assert list(found.layers) == list(LAYERS)
    for name, layer in found.layers.items():
        assert to_lists(layer) == to_lists(index.layers[name])
        assert (layer.name, layer.path) == (name, make_model().layers[name])
        assert layer.map_size == index.layers[name].map_size
    again = file.with_name("again")
    write_index(found, again)
    assert again.read_bytes() == file.read_bytes()


def test_what_the_index_knows_of_its_net(index):
    model = make_model()
    identity = index.identity
    assert (identity.model, identity.options) == ("tiny", {"width": 10})
    assert identity.weights == model.provenance.describe()
    assert len(identity.sha256) == 64
    assert identity.preprocessing["mean"] == [0.5, 0.4, 0.3]
    assert identity.input_size == 32
    assert identity.layers == tuple((name, model.layers[name]) for name in LAYERS)
    assert (identity.top, identity.per_photo) == (3, 1)


def test_the_file_tells_nothing_of_the_machine_but_its_kind(index, file):
    tensors = load_file(file)
    record = json.loads(tensors.pop("record").numpy().tobytes())
    known = {"done", "failures", "identity", "machines", "map_sizes", "photos", "sizes"}
    assert set(record) == known
    assert record["machines"] == [describe_kind("cpu")]
    assert str(file.parent).encode() not in file.read_bytes()
    assert len(tensors) == 3 * len(LAYERS) + len({"digests", "checksum"})


def change_weights(model):
    with torch.no_grad():
        model.module[0].bias[3] += 1e-7
    return model


def add_buffer(model):
    model.module.register_buffer("more", torch.zeros(1), persistent=False)
    return model


def change_preprocessing(model, **changes):
    return replace(model, preprocessing=replace(model.preprocessing, **changes))


CHANGED_NETS = {
    "net: 'tiny', not 'other'": lambda model: replace(model, name="other"),
    "net's options: {'width': 10}, not {'width': 11}": lambda model: replace(
        model, options={"width": 11}
    ),
    "weights: 'random weights (untrained)', not 'file weights": lambda model: replace(
        model, provenance=Provenance("file")
    ),
    "weights' sha256: ": change_weights,
    "sha256: ": add_buffer,
    "preprocessing: ": lambda model: change_preprocessing(model, mean=(0.5, 0.4, 0.2)),
    "'resize': 32": lambda model: change_preprocessing(model, resize=36),
}


@pytest.mark.parametrize("word", CHANGED_NETS)
def test_another_net_is_refused(index, file, word):
    before = file.read_bytes()
    with pytest.raises(DataError) as caught:
        mine(CHANGED_NETS[word](make_model()), NoisePhotos(LOOKS), file, SETTINGS)
    message = str(caught.value)
    assert word in message
    assert len(message.splitlines()) == 1
    assert message.endswith("give another file, or delete it")
    assert file.read_bytes() == before


def test_another_input_size_is_refused(index, file):
    model = change_preprocessing(make_model(), input_size=30, resize=30)
    with pytest.raises(DataError, match="'input_size': 32"):
        mine(model, NoisePhotos(LOOKS, size=30), file, SETTINGS)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"layers": LAYERS[:-1]}, "layers: "),
        ({"layers": LAYERS[::-1]}, "layers: "),
        ({"top": 4}, "top: 3, not 4"),
        ({"per_photo": 2}, "per_photo: 1, not 2"),
    ],
)
def test_other_settings_are_refused(index, file, changes, word):
    with pytest.raises(DataError, match=word):
        mine(make_model(), NoisePhotos(LOOKS), file, replace(SETTINGS, **changes))


class Resized(NoisePhotos):
    def __init__(self):
        super().__init__(LOOKS)
        self.sizes = (*self.sizes[:-1], 1)


@pytest.mark.parametrize(
    ("photos", "word"),
    [
        (NoisePhotos(LOOKS | {"more": 1}), "1 photo.s. new, such as 'more'"),
        (make_photos(38), "2 photo.s. gone, such as 'photo 038'"),
        (Resized(), "1 photo.s. of another size, such as 'photo 039'"),
    ],
)
def test_other_photos_are_refused(index, file, photos, word):
    with pytest.raises(DataError, match=word):
        mine(make_model(), photos, file, SETTINGS)


def test_workers_and_interval_may_change(index, file):
    settings = replace(SETTINGS, workers=1, interval=7.0)
    assert MiningRun(make_model(), NoisePhotos(LOOKS), file, settings).index.complete


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"0123",
        b"\xff" * 64,
        b"\x02\0\0\0\0\0\0\0{}",
        b"\x02\0\0\0\0\0\0\0[]",
        (20000).to_bytes(8, "little") + b"[" * 20000,
        "an html page: <html>é".encode(),
    ],
    ids=repr,
)
def test_other_files_are_refused_and_kept(file, content):
    file.write_bytes(content)
    with pytest.raises(DataError) as caught:
        mine(make_model(), make_photos(2), file, SETTINGS)
    assert len(str(caught.value).splitlines()) == 1
    assert repr(str(file)) in str(caught.value)
    assert file.read_bytes() == content


def test_weights_are_no_index(file):
    save_file({"record": torch.zeros(3, dtype=torch.uint8)}, file, {"vizcnn": "{}"})
    with pytest.raises(DataError, match="is no index"):
        read_index(file)
    save_file({}, file, {FORMAT_KEY: "99"})
    with pytest.raises(DataError, match="another version"):
        read_index(file)


@pytest.mark.parametrize("cut", [1, 100, 3000])
def test_cut_off_files_are_told(index, file, cut):
    file.write_bytes(file.read_bytes()[:-cut])
    with pytest.raises(DataError, match="cut off"):
        read_index(file)


def test_folders_and_missing_files(tmp_path):
    with pytest.raises(DataError, match="is a folder"):
        read_index(tmp_path)
    with pytest.raises(DataError, match="no index"):
        read_index(tmp_path / "missing")


def change_record(**changes):
    def change(tensors):
        record = json.loads(tensors["record"].numpy().tobytes())
        tensors["record"] = encode(json.dumps({**record, **changes}))

    return change


def change_identity(**changes):
    def change(tensors):
        record = json.loads(tensors["record"].numpy().tobytes())
        change_record(identity=record["identity"] | changes)(tensors)

    return change


def encode(text):
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)


def change_tensor(name, make):
    return lambda tensors: tensors.update({name: make(tensors[name])})


def put(value, *place):
    """Change one entry of a tensor."""

    def make(tensor):
        tensor = tensor.clone()
        tensor[place] = value
        return tensor

    return make


def replace_record(text):
    return lambda tensors: tensors.update(record=encode(text))


DAMAGES = {
    "no record": (lambda tensors: tensors.pop("record"), "record: missing"),
    "no digests": (lambda tensors: tensors.pop("digests"), "'digests': missing"),
    "a layer less": (lambda tensors: tensors.pop("layer-002.photos"), "'layer-002.photos': miss"),
    "a tensor more": (
        lambda tensors: tensors.update(more=torch.zeros(1)),
        "'more': missing",
    ),
    "no photos": (change_record(photos=[]), "sizes: not one for each photo"),
    "photos out of order": (change_record(photos=list(LOOKS)[::-1]), "photos: not in order"),
    "photos twice": (change_record(photos=["photo 001"] * 40), "photos: not in order, or not each"),
    "photos that are numbers": (change_record(photos=list(range(40))), r"photos\[0\]"),
    "sizes that are not whole": (change_record(sizes=[1.5] * 40), r"sizes\[0\]"),
    "sizes below zero": (change_record(sizes=[-1] * 40), r"sizes\[0\]"),
    "done too much": (change_record(done=41), "done: more than there are photos"),
    "done of 1e12": (change_record(done=10**12), "done: more than there are photos"),
    "done of 1e30": (change_record(done=10**30), "done: "),
    "done in words": (change_record(done="40"), "done: expected `int`"),
    "done of nan": (change_record(done=float("nan")), "done: expected `int`"),
    "something unknown": (change_record(more=1), "unknown field `more`"),
    "identity of another form": (change_record(identity={"model": "tiny"}), "identity: .*missing"),
    "identity in words": (change_record(identity="tiny"), "identity: expected `object`"),
    "a checksum of another form": (change_identity(sha256="A" * 64), "identity.sha256"),
    "no layers": (change_identity(layers=[]), "identity.layers: none"),
    "a layer twice": (
        change_identity(layers=[["conv1", "1"]] * 5),
        "identity.layers: none, or one",
    ),
    "top of 1e12": (change_identity(top=10**12), "identity.top"),
    "top of zero": (change_identity(top=0), "identity.top"),
    "more than top of a photo": (change_identity(per_photo=9), "identity.per_photo: more than"),
    "failures of another form": (change_record(failures=[["photo 001"]]), r"failures\[0\]"),
    "failures of others": (
        change_record(failures=[["photo 999", "gone"]]),
        "failures: not in order",
    ),
    "no machines": (change_record(machines=[]), "machines: none that looked at"),
    "machines out of order": (change_record(machines=["b", "a"]), "machines: not in order"),
    "machines twice": (change_record(machines=["a", "a"]), "machines: not in order"),
    "machines of two lines": (change_record(machines=["a\nb"]), "machines: more than a line"),
    "machines that are numbers": (change_record(machines=[1]), r"machines\[0\]"),
    "a machine of megabytes": (change_record(machines=["x" * (8 << 20)]), r"machines\[0\]"),
    "a machine without a name": (change_record(machines=[""]), r"machines\[0\]"),
    "map sizes of another form": (change_record(map_sizes=[3] * 5), r"map_sizes\[0\]"),
    "map sizes of zero": (change_record(map_sizes=[[0, -1]] * 5), r"map_sizes\[0\]"),
    "too few map sizes": (change_record(map_sizes=[None]), "map_sizes: not one for each"),
    "other map sizes": (change_record(map_sizes=[[2, 2]] * 5), "'conv1', positions: outside"),
    "photos beyond the list": (
        change_tensor("layer-000.photos", lambda photos: photos + 40),
        "layer 'conv1', photos: not among",
    ),
    "photos below the list": (
        change_tensor("layer-000.photos", lambda photos: photos - 50),
        "layer 'conv1', photos: not among",
    ),
    "empty slots with values": (
        change_tensor("layer-000.photos", put(-1, 0, 0)),
        "layer 'conv1', photos: not among",
    ),
    "fewer units": (change_tensor("layer-000.photos", lambda some: some[1:]), "'conv1', photos"),
    "no units": (change_tensor("layer-000.values", lambda some: some[:0]), "'conv1'"),
    "a single number": (change_tensor("layer-000.values", lambda some: some[0, 0]), "'conv1', val"),
    "another top": (change_tensor("layer-001.values", lambda some: some[:, :2]), "'conv3', values"),
    "another type": (
        change_tensor("layer-001.values", lambda some: some.double()),
        "torch.float64",
    ),
    "no columns": (
        change_tensor("layer-003.positions", lambda positions: positions[..., :1]),
        "'fc6', positions",
    ),
    "nan": (change_tensor("layer-004.values", put(torch.nan, 2, 1)), "'fc7', values: not finite"),
    "inf": (change_tensor("layer-004.values", put(torch.inf, 2, 0)), "'fc7', values: not finite"),
    "values out of order": (
        change_tensor("layer-000.values", lambda values: -values),
        "values: not in order",
    ),
    "positions outside": (
        change_tensor("layer-001.positions", put(16, 0, 0, 1)),
        "'conv3', positions: outside",
    ),
    "positions in a vector": (
        change_tensor("layer-003.positions", put(0, 0, 0, 0)),
        "'fc6', positions: outside",
    ),
    "digests of another form": (
        change_tensor("digests", lambda digests: digests[:, :4].contiguous()),
        "digests: of another form",
    ),
    "a record of letters": (change_tensor("record", lambda record: record[:-1]), "JSON"),
    "a record of numbers": (change_tensor("record", lambda record: record.float()), "record: "),
    "a deep record": (replace_record("[" * 200_000), "JSON"),
    "megabytes of text": (change_record(done="x" * (8 << 20)), "done: expected `int`"),
    "a list": (replace_record("[]"), "expected `object`"),
    "no JSON": (replace_record("é"), "codec"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_one_line(index, file, damage):
    tensors = load_file(file)
    change, words = DAMAGES[damage]
    change(tensors)
    tensors = {name: value.contiguous() for name, value in tensors.items()}
    save_file(tensors, file, {FORMAT_KEY: FORMAT})
    content = file.read_bytes()
    with pytest.raises(DataError, match=f"is damaged .*{words}") as caught:
        mine(make_model(), NoisePhotos(LOOKS), file, SETTINGS)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 400 + len(str(file))
    assert file.read_bytes() == content


def test_an_index_of_a_former_version_is_told(index, file):
    save_file(load_file(file), file, {FORMAT_KEY: "1"})
    with pytest.raises(DataError, match=r"another version of vizcnn .layout '1', not '2'.*anew"):
        mine(make_model(), NoisePhotos(LOOKS), file, SETTINGS)


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "link to nothing", "socket"])
def test_what_is_no_plain_file_is_told(tmp_path, file, kind):
    with socket.socket(socket.AF_UNIX) as listening:
        if kind == "folder":
            file.mkdir()
        elif kind == "pipe":
            os.mkfifo(file)
        elif kind == "device":
            file.symlink_to("/dev/zero")
        elif kind == "socket":
            with contextlib.chdir(tmp_path):  # names of sockets are short
                listening.bind(file.name)
        else:
            file.symlink_to("nothing")
        with pytest.raises(DataError) as caught:
            mine(make_model(), make_photos(2), file, SETTINGS)
    assert repr(str(file)) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize(
    ("former", "stop"),
    [
        (NoisePhotos({"a": None, "b": None}), False),
        (NoisePhotos(dict.fromkeys(LOOKS)), False),
        (make_photos(3), True),
    ],
)
def test_an_index_that_holds_nothing_blocks_no_run(file, former, stop):
    """Over unreadable photos only, which were mended since, or begun and killed."""
    other = replace(SETTINGS, top=7)
    if stop:
        write_index(MiningRun(make_model(), former, file, other).index, file)
    else:
        mine(make_model(), former, file, other)
    assert read_index(file).holds_nothing
    index = mine(make_model(), NoisePhotos(LOOKS), file, SETTINGS)
    assert index.complete
    assert not index.holds_nothing


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("stop", [None, 33])
def test_a_run_does_not_go_on_over_photos_that_changed(file, stop, workers):
    """Names and sizes are the same; the last of them is repaired, one lost: they are others too."""
    settings = replace(SETTINGS, workers=workers)

    def break_off(items, **options):
        for number, _ in enumerate(items, start=1):
            if number == stop:
                raise KeyboardInterrupt
        return iter(())

    with contextlib.suppress(KeyboardInterrupt):
        mine(make_model(), NoisePhotos(LOOKS), file, settings, break_off)
    content = file.read_bytes()
    for changes, names in (
        ({"photo 031": 777}, "'photo 031' changed"),
        ({"photo 031": None, "photo 007": 7}, "'photo 007', 'photo 031' changed"),
    ):
        with pytest.raises(DataError, match=names) as caught:
            mine(make_model(), NoisePhotos(LOOKS | changes), file, settings)
        assert len(str(caught.value).splitlines()) == 1
        assert file.read_bytes() == content
    assert mine(make_model(), NoisePhotos(LOOKS), file, settings).complete


def test_an_index_knows_the_pixels_that_it_saw(index):
    photos = NoisePhotos(LOOKS)
    for number, name in enumerate(photos.names):
        wanted = bytes(8) if LOOKS[name] is None else hash_pixels(photos.read(number))
        assert index.digests[number].numpy().tobytes() == wanted


@pytest.mark.parametrize("top", [10**7, 10**12, 10**400])
def test_more_places_than_can_be_kept_are_refused_before_any_work(file, top, monkeypatch):
    read = []
    monkeypatch.setattr(NoisePhotos, "read", lambda photos, number: read.append(number))
    with pytest.raises(DataError, match=r"--top") as caught:
        mine(make_model(), make_photos(3), file, replace(SETTINGS, top=top))
    assert len(str(caught.value)) < 300
    assert read == []
    assert not file.exists()

    assert "checksum" not in str(caught.value)  # it names what is wrong


def test_no_bit_of_an_index_can_change_unseen(index, file):
    content = file.read_bytes()
    for place in range(0, len(content), 97):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        file.write_bytes(damaged)
        with pytest.raises(DataError) as caught:
            read_index(file)
        assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_cannot_be_written_is_told_at_once(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(NoisePhotos, "read", lambda photos, number: read.append(number))
    (tmp_path / "a file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        mine(make_model(), make_photos(3), tmp_path / "a file" / "index", SETTINGS)
    assert read == []


def test_nothing_is_left_beside_the_index(index, file):
    assert list(file.parent.iterdir()) == [file]
