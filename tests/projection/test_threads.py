"""Any number of threads and processes may project one net, and others may use it meanwhile."""

import copy
import multiprocessing
import pickle
import sys
import threading
import warnings
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import vizcnn
from vizcnn.basics.errors import ModelError
from vizcnn.basics.sharing import ProcessContext
from vizcnn.projection.deconvnet import Deconvnet, Projector
from vizcnn.projection.projection import Projection
from vizcnn.projection.rules import RULES
from vizcnn.recording.recording import record

RUNS = 300
METHODS = tuple(RULES)


def build_net(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    below = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential(below, nn.Dropout(), nn.Conv2d(4, 5, 3), nn.ReLU()).eval()


class Remembering(nn.Module):
    """Keeps what its first part put out for its second, as some nets do."""

    def __init__(self) -> None:
        super().__init__()
        self.net = build_net()
        self.kept: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.kept = self.net[0](x)
        result: Tensor = self.net[1:](self.kept)
        return result


@pytest.fixture
def switching_often() -> Iterator[None]:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


def read_state(net: nn.Module) -> list[object]:
    """Everything of the process and the net that a projection could leave changed."""
    backends = torch.backends
    return [
        backends.cudnn.enabled,
        backends.cudnn.benchmark,
        backends.cudnn.deterministic,
        backends.cudnn.allow_tf32,
        backends.cuda.matmul.allow_tf32,
        torch.are_deterministic_algorithms_enabled(),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.get_rng_state().tolist(),
        [
            (m.training, len(m._forward_hooks), len(m._forward_pre_hooks), sorted(vars(m)))
            for m in net.modules()
        ],
    ]


@pytest.mark.usefixtures("switching_often")
def test_every_picture_is_right_in_every_thread_and_nobody_else_is_disturbed(images: Tensor):
    net, other = build_net(), build_net(1)
    # the net, two that share its parts, one of its parts, and one that has nothing to do with it
    nets = {
        "net": (net, "0.2", "3"),
        "around": (nn.Sequential(net), "0.0.2", "0.3"),
        "beside": (nn.Sequential(net[0], net[2]), "0.2", "1"),
        "part": (net[0], "1", "2"),
        "other": (other, "0.2", "3"),
    }
    jobs = [(name, layer, method) for name in nets for layer in (1, 2) for method in METHODS]

    def project(job: tuple[str, int, str]) -> bytes:
        name, layer, method = job
        projector = Projector(nets[name][0], method)
        pixels = projector.project(images, nets[name][layer], [0, 3]).pixels
        return pixels.numpy().tobytes()

    wanted = {job: project(job) for job in jobs}
    plain, filters = net(images).detach(), net[2].get_parameter("weight")
    loss = torch.autograd.grad(net(images).sum(), filters)[0]
    before = read_state(net)
    found: Counter[str] = Counter()
    done = threading.Event()

    def use_plainly() -> None:
        while not done.is_set():
            right = torch.equal(net(images), plain)
            gradient = torch.autograd.grad(net(images).sum(), filters)[0]
            found[f"plain {right and torch.equal(gradient, loss)}"] += 1
            with torch.no_grad():
                net.eval()(images)

    def compare(number: int) -> bool:
        job = jobs[number % len(jobs)]
        return project(job) == wanted[job]

    with ThreadPoolExecutor(12) as pool:
        others = [pool.submit(use_plainly) for _ in range(2)]
        right = sum(pool.map(compare, range(RUNS)))
        done.set()
        for future in others:
            future.result()
    assert right == RUNS
    assert set(found) == {"plain True"}
    assert read_state(net) == before


@pytest.mark.usefixtures("switching_often")
def test_a_net_that_remembers_is_projected_by_one_thread_at_a_time(images: Tensor):
    net = Remembering().eval()
    batches = [images * share for share in (1.0, 0.5, 0.25)]
    wanted = [Deconvnet(net).project(batch, "net.3", 0).pixels for batch in batches]

    def compare(number: int) -> bool:
        found = Deconvnet(net).project(batches[number % 3], "net.3", 0).pixels
        return torch.equal(found, wanted[number % 3])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(compare, range(60)))
    assert net.kept is None or net.kept.grad_fn is None


@pytest.mark.usefixtures("switching_often")
def test_one_recording_is_projected_by_several_methods_at_a_time(images: Tensor):
    # in a net with a vector of units the way back goes over the whole image
    net = nn.Sequential(build_net(), nn.Flatten(), nn.Linear(5 * 13 * 13, 6)).eval()
    with record(net) as recording:
        net(images)
    targets = vizcnn.strongest(recording.find_output("2"), 2)

    def project(method: str) -> Projection:
        return vizcnn.project(recording, "2", targets, method)

    wanted = {method: project(method) for method in METHODS}
    assert {projection.computed for projection in wanted.values()} == {"full image"}
    with ThreadPoolExecutor(6) as pool:
        for method, found in zip(METHODS * 20, pool.map(project, METHODS * 20), strict=True):
            assert torch.equal(found.pixels, wanted[method].pixels)


def test_threads_that_fail_leave_nothing_changed(images: Tensor):
    net = build_net().train()
    before = read_state(net)

    def fail(number: int) -> str:
        with pytest.raises(vizcnn.VizcnnError) as caught:
            Deconvnet(net).project(images[..., :2, :2] if number % 2 else images, "3", 77)
        return str(caught.value)

    with ThreadPoolExecutor(8) as pool:
        told = set(pool.map(fail, range(40)))
    assert len(told) == 2
    assert read_state(net) == before


def test_flags_of_the_process_are_put_back_by_the_last_thread():
    value = ["own"]

    class Change:
        def __enter__(self) -> None:
            self.former, value[0] = value[0], "changed"

        def __exit__(self, *exception: object) -> None:
            value[0] = self.former

    context = ProcessContext(Change)
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with context:
            inside.set()
            leave.wait(60)

    thread = threading.Thread(target=hold)
    with context:
        thread.start()
        assert inside.wait(60)
    assert value == ["changed"]
    leave.set()
    thread.join()
    assert value == ["own"]


@pytest.mark.usefixtures("switching_often")
def test_checkpoints_are_read_by_any_number_of_threads(tmp_path: Path):
    state = vizcnn.load("lenet", weights=None).module.state_dict()
    path = tmp_path / "lenet.pth"
    torch.save({"state_dict": state, "args": Namespace(epochs=3)}, path)
    before = list(warnings.filters), set(torch.serialization.get_safe_globals())
    with ThreadPoolExecutor(8) as pool:
        loaded = list(pool.map(lambda _: vizcnn.load("lenet", path), range(40)))
    assert {model.provenance.source for model in loaded} == {"file"}
    assert (list(warnings.filters), set(torch.serialization.get_safe_globals())) == before


def read_pixels(projector: Projector, images: Tensor) -> bytes:
    return projector.project(images, "3", [0, 3]).pixels.numpy().tobytes()


@pytest.mark.parametrize("method", METHODS)
def test_a_copied_or_pickled_projector_gives_the_same_bytes(method: str, images: Tensor):
    projector = Projector(build_net(), method, gates="hold")
    wanted = read_pixels(projector, images)
    for again in (copy.deepcopy(projector), pickle.loads(pickle.dumps(projector))):
        assert again.net is not projector.net
        assert again.method == projector.method
        assert read_pixels(again, images) == wanted


def test_what_the_library_gives_can_be_copied_and_pickled(images: Tensor):
    model = vizcnn.load("lenet", weights=None)
    projector = Deconvnet(model)
    pixels = images[:, :, :1, :1].expand(-1, -1, model.input_size, model.input_size)
    projection = projector.project(pixels, "conv2", "top", count=2)
    values = (
        *(model, projector, projection, model.provenance, projector.method, RULES),
        *(vizcnn.measure_fields(model, ["conv2"]), vizcnn.strongest(torch.rand(1, 2, 3, 3))),
    )
    for value in values:
        copies = copy.deepcopy(value), pickle.loads(pickle.dumps(value))
        assert all(type(again) is type(value) for again in copies)
    again = pickle.loads(pickle.dumps(projector)).project(pixels, "conv2", "top", count=2)
    assert torch.equal(again.pixels, pickle.loads(pickle.dumps(projection)).pixels)


def test_a_recording_says_that_it_cannot_be_copied(images: Tensor):
    recording = Deconvnet(build_net()).record(images)
    for copy_it in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(ModelError, match="neither copied nor pickled"):
            copy_it(recording)


@pytest.mark.parametrize("way", multiprocessing.get_all_start_methods())
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_pool_of_processes_gives_the_same_bytes(way: str, images: Tensor):
    projector = Deconvnet(build_net())
    wanted, sent = read_pixels(projector, images), copy.deepcopy(projector)
    # only what is forked takes it as it is, in the memory of both
    given = (projector if way == "fork" else sent, images)
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with record(projector.net):
            entered.set()
            leave.wait(60)

    # a process that is forked now has no thread that could ever release the net
    thread = threading.Thread(target=hold)
    thread.start()
    assert entered.wait(60)
    try:
        with multiprocessing.get_context(way).Pool(1, _keep, given) as pool:
            assert pool.apply_async(read_pixels, (sent, images)).get(60) == wanted
            assert pool.apply_async(_read_kept).get(60) == wanted
    finally:
        leave.set()
        thread.join()


_KEPT: list[tuple[Projector, Tensor]] = []


def _keep(projector: Projector, images: Tensor) -> None:
    _KEPT.append((projector, images))


def _read_kept() -> bytes:
    return read_pixels(*_KEPT[0])
