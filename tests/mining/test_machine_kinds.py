"""By what an index was computed: recorded, united, told, and refused where it is asked for."""

import contextlib
import hashlib
import itertools
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import PIL
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.mining_runs import make_photos, to_lists
from tests.support.small_zoo import make_model
from vizcnn.basics.errors import DataError, VizcnnWarning
from vizcnn.mining.cluster import mine_parts, plan_parts
from vizcnn.mining.index import read_index, write_index
from vizcnn.mining.machine_kinds import (
    LONGEST_KIND,
    NAMED_KINDS,
    UNKNOWN,
    describe_kind,
    describe_kinds,
)
from vizcnn.mining.merging import merge_files
from vizcnn.mining.photo_sets import PartOfPhotos
from vizcnn.mining.ranking import merge_indexes
from vizcnn.mining.run import MiningRun, MiningSettings, mine

SETTINGS = MiningSettings(layers=("conv1", "fc6"), top=3, workers=0)
PHOTOS = make_photos(70)


@pytest.fixture
def elsewhere(monkeypatch):
    """Gives a block in which this machine is one of another kind."""

    @contextlib.contextmanager
    def be_elsewhere(capability="NEON"):
        with monkeypatch.context() as patch:
            patch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
            yield describe_kind("cpu")

    return be_elsewhere


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """What one run over all photos finds."""
    return mine(make_model(), PHOTOS, tmp_path_factory.mktemp("all") / "index", SETTINGS)


def stop_at(number):
    """Break a run off after so many photos."""

    def stop(items, **options):
        for _ in itertools.islice(items, number):
            pass
        raise KeyboardInterrupt

    return stop


def mine_some(file, number, photos=PHOTOS):
    with pytest.raises(KeyboardInterrupt):
        mine(make_model(), photos, file, SETTINGS, stop_at(number))


def find_places(index):
    return [to_lists(layer) for layer in index.layers.values()]


def test_the_kind_of_this_machine_names_all_that_decides():
    kind = describe_kind("cpu")
    for part in (
        torch.backends.cpu.get_cpu_capability(),
        f"torch {torch.__version__}",
        f"Pillow {PIL.__version__}",
    ):
        assert f", {part}" in kind
    assert kind.isprintable() and len(kind) <= LONGEST_KIND
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        assert describe_kind("cpu") == kind
    finally:
        torch.set_num_threads(before)


def test_variables_that_choose_the_instructions_are_part_of_the_kind(monkeypatch):
    kind = describe_kind("cpu")
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "A\tVX2\x1b" + "X" * 1000)
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")  # says nothing of a CPU
    told = describe_kind("cpu")
    assert told.startswith(f"{kind}, MKL_CBWR=COMPATIBLE, ONEDNN_MAX_CPU_ISA=A VX2XX")
    assert told.isprintable() and len(told) == LONGEST_KIND


@pytest.mark.parametrize("hip", [None, "6.4"])
def test_the_kind_of_a_gpu(monkeypatch, hip):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Card\n{device.index}")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.version, "cuda", None if hip else "12.8")
    monkeypatch.setattr(torch.version, "hip", hip)
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: None if hip else 91002)
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    toolkit = "HIP 6.4" if hip else "CUDA 12.8, cuDNN 91002"
    assert describe_kind("cuda:1") == (
        f"Card 1, compute capability 9.0, torch {torch.__version__}, {toolkit}, "
        f"Pillow {PIL.__version__}, NVIDIA_TF32_OVERRIDE=1"
    )


def test_an_index_knows_the_kind_that_computed_it(tmp_path, index):
    assert index.machines == (describe_kind("cpu"),)
    write_index(index, tmp_path / "again")
    assert read_index(tmp_path / "again").machines == index.machines
    run = MiningRun(make_model(), PHOTOS, tmp_path / "new", SETTINGS)
    assert run.index.machines == ()  # nothing is computed yet
    write_index(run.index, tmp_path / "begun")
    assert read_index(tmp_path / "begun").machines == ()


def test_a_run_that_goes_on_elsewhere_has_both_kinds(tmp_path, index, elsewhere):
    with elsewhere() as former:
        mine_some(tmp_path / "index", 32)
    assert read_index(tmp_path / "index").machines == (former,)
    with pytest.warns(VizcnnWarning, match="goes on on another kind of machine than before"):
        found = mine(make_model(), PHOTOS, tmp_path / "index", SETTINGS)
    assert found.machines == tuple(sorted((former, describe_kind("cpu"))))
    assert find_places(found) == find_places(index)
    with elsewhere("VSX"):  # where nothing is computed any more
        assert mine(make_model(), PHOTOS, tmp_path / "index", SETTINGS).machines == found.machines


def test_a_run_that_went_no_further_elsewhere_has_one_kind(tmp_path, index, elsewhere):
    with elsewhere():
        mine_some(tmp_path / "index", 0)
    mine(make_model(), PHOTOS, tmp_path / "index", SETTINGS)
    write_index(index, tmp_path / "plain")
    assert (tmp_path / "index").read_bytes() == (tmp_path / "plain").read_bytes()


def test_a_strict_run_does_not_go_on_elsewhere(tmp_path, elsewhere):
    file = tmp_path / "index"
    with elsewhere() as former:
        mine_some(file, 32)
    before, here = file.read_bytes(), describe_kind("cpu")
    with pytest.raises(DataError) as caught:
        mine(make_model(), PHOTOS, file, SETTINGS, strict=True)
    told = str(caught.value)
    assert f"{str(file)!r} mixes 2 kinds of machines, whose last digits may differ: " in told
    assert f"{former!r} (so far)" in told and f"{here!r} (here)" in told
    assert told.endswith("or leave --strict out") and len(told.splitlines()) == 1
    assert file.read_bytes() == before
    with elsewhere():  # where it began
        assert mine(make_model(), PHOTOS, file, SETTINGS, strict=True).complete
    # what is complete is computed nowhere else
    assert mine(make_model(), PHOTOS, file, SETTINGS, strict=True).machines == (former,)


def test_a_strict_run_takes_no_index_of_two_kinds(tmp_path, index):
    write_index(replace(index, machines=("a", "b")), tmp_path / "index")
    before = (tmp_path / "index").read_bytes()
    with pytest.raises(DataError, match=r"'a' \(so far\), 'b' \(so far\); "):
        mine(make_model(), PHOTOS, tmp_path / "index", SETTINGS, strict=True)
    assert (tmp_path / "index").read_bytes() == before
    assert mine(make_model(), PHOTOS, tmp_path / "index", SETTINGS).machines == ("a", "b")


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Three indexes, of the kinds b, a and b."""
    folder = tmp_path_factory.mktemp("parts")
    found = []
    for number, kind in enumerate("bab", 1):
        part = mine(make_model(), PartOfPhotos(PHOTOS, number, 3), folder / "own", SETTINGS)
        found.append(folder / f"{number}.safetensors")
        write_index(replace(part, machines=(kind,)), found[-1])
        (folder / "own").unlink()
    return found


def test_kinds_are_united_in_every_order_and_tree(tmp_path, parts, index):
    wanted = replace(index, machines=("a", "b"))
    write_index(wanted, tmp_path / "wanted")
    for a, b, c in itertools.permutations(map(read_index, parts)):
        for merged in (merge_indexes([a, b, c]), merge_indexes([merge_indexes([a, b]), c])):
            write_index(merged, tmp_path / "merged")
            assert (tmp_path / "merged").read_bytes() == (tmp_path / "wanted").read_bytes()
    same = [replace(read_index(part), machines=index.machines) for part in parts]
    write_index(merge_indexes(same), tmp_path / "merged")
    write_index(index, tmp_path / "plain")
    assert (tmp_path / "merged").read_bytes() == (tmp_path / "plain").read_bytes()


def test_a_strict_merge_refuses_two_kinds(tmp_path, parts):
    with pytest.raises(DataError) as caught:
        merge_files(parts, tmp_path / "all", strict=True)
    told = str(caught.value)
    assert f"'a' ({str(parts[1])!r}), 'b' ({str(parts[0])!r}); " in told
    assert "mixes 2 kinds of machines" in told and len(told.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
    assert merge_files(parts, tmp_path / "all").machines == ("a", "b")
    assert merge_files(parts[::2], tmp_path / "some", strict=True).machines == ("b",)


def write_former(index, file, layout):
    """Write an index as former versions did: without kinds, with a checksum of the rest."""
    write_index(index, file)
    tensors = load_file(file)
    record = json.loads(tensors["record"].numpy().tobytes())
    del record["machines"]
    text = json.dumps(record, separators=(",", ":"), sort_keys=True)
    tensors["record"] = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)
    del tensors["checksum"]
    sha256 = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        sha256.update(f"{name} {tuple(tensor.shape)}\n".encode() + tensor.numpy().tobytes())
    tensors["checksum"] = torch.frombuffer(bytearray(sha256.digest()), dtype=torch.uint8)
    save_file(tensors, file, {"vizcnn.strongest": layout})


@pytest.mark.parametrize("layout", ["2", "3"])
def test_a_former_index_is_read_and_its_kind_is_unknown(tmp_path, index, layout):
    write_former(index, tmp_path / "former", layout)
    found = read_index(tmp_path / "former")
    assert found.machines == (UNKNOWN,)
    assert find_places(found) == find_places(index)
    assert found.identity == index.identity and found.photos == index.photos
    before = (tmp_path / "former").read_bytes()
    assert mine(make_model(), PHOTOS, tmp_path / "former", SETTINGS, strict=True).complete
    assert (tmp_path / "former").read_bytes() == before
    write_index(found, tmp_path / "now")
    assert b'{"vizcnn.strongest":"4"}' in (tmp_path / "now").read_bytes()[:4096]
    assert read_index(tmp_path / "now").machines == (UNKNOWN,)


def test_what_is_unknown_counts_as_a_kind(tmp_path, parts):
    write_former(read_index(parts[0]), tmp_path / "former", "2")
    files = [tmp_path / "former", parts[1]]
    with pytest.raises(DataError, match=r"'a' \(.*\), 'unknown' \(.*former'\)"):
        merge_files(files, tmp_path / "all", strict=True)
    assert merge_files(files, tmp_path / "all").machines == ("a", UNKNOWN)


def test_a_strict_run_in_parts_keeps_the_parts_of_two_kinds(tmp_path, index, elsewhere):
    out = tmp_path / "index"
    first, second = plan_parts(PHOTOS, out, 2)
    with elsewhere() as former:
        mine(make_model(), first.photos, first.file, SETTINGS)
    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(DataError) as caught:
            mine_parts(executor, make_model, PHOTOS, out, SETTINGS, 2, strict=True)
        told = str(caught.value)
        assert f"{former!r} (part 1/2)" in told and f"{describe_kind('cpu')!r} (part 2/2)" in told
        assert repr(str(first.file.parent)) in told and len(told.splitlines()) == 1
        assert not out.exists()
        assert read_index(first.file).complete and read_index(second.file).complete
        notices: list[str] = []
        found = mine_parts(executor, make_model, PHOTOS, out, SETTINGS, 2, notice=notices.append)
    words = r"part (1/2 .* of part 2|2/2 .* of part 1)/2: .*torch"
    assert len(notices) == 1 and re.match(words, notices[0])
    assert found.machines == tuple(sorted((former, describe_kind("cpu"))))
    assert read_index(out).machines == found.machines
    assert find_places(found) == find_places(index)


def test_a_strict_run_in_parts_does_not_mix_within_one(tmp_path, elsewhere):
    out = tmp_path / "index"
    (part,) = plan_parts(PHOTOS, out, 1)
    with elsewhere() as former:
        mine_some(part.file, 32, part.photos)
    before = part.file.read_bytes()
    with ThreadPoolExecutor(1) as executor, pytest.raises(DataError, match=r"\(so far\)"):
        mine_parts(executor, make_model, PHOTOS, out, SETTINGS, 1, strict=True)
    assert part.file.read_bytes() == before and read_index(part.file).machines == (former,)


def test_many_kinds_are_counted():
    kinds = [f"kind {number}" for number in range(NAMED_KINDS + 2)]
    told = describe_kinds(kinds)
    assert told.startswith("computed by 7 kinds of machines, whose last digits may differ: kind 0;")
    assert told.endswith("kind 4; 2 more")
