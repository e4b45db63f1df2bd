"""Torch's flags: what each precision sets, that all is put back, and who wins among threads."""

import pickle
import threading

import pytest
import torch
from torch import nn

import vizcnn
from tests.support.models import prepare
from vizcnn.basics.errors import ModelError
from vizcnn.recording.arithmetic import (
    Precision,
    check_precision,
    chosen_arithmetic,
    find_precision,
    use_precision,
)

EXACT, FAST = (False, True, False, False), (False, True, True, True)
"""cuDNN's benchmark, deterministic and TF32 in convolutions; TF32 in products."""


def read_flags():
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    of_products = (
        products.fp32_precision == "tf32"
        if hasattr(products, "fp32_precision")
        else products.allow_tf32
    )
    return cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, of_products


@pytest.fixture(params=["highest", "high"])
def _user_flags(request):
    """What a user has set before: also TF32 everywhere, which exact numbers must not see."""
    former, benchmark = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark
    torch.set_float32_matmul_precision(request.param)
    torch.backends.cudnn.benchmark = True
    yield
    torch.set_float32_matmul_precision(former)
    torch.backends.cudnn.benchmark = benchmark


@pytest.mark.usefixtures("_user_flags")
@pytest.mark.parametrize(("precision", "flags"), [("exact", EXACT), ("fast", FAST)])
def test_flags_are_set_inside_and_put_back(precision, flags):
    before, asked = read_flags(), torch.get_float32_matmul_precision()
    with pytest.raises(ZeroDivisionError), use_precision(precision), chosen_arithmetic():
        assert read_flags() == flags
        with chosen_arithmetic():
            assert read_flags() == flags
        assert read_flags() == flags
        raise ZeroDivisionError
    assert read_flags() == before
    assert torch.get_float32_matmul_precision() == asked
    assert find_precision() == "exact"


def test_exact_is_what_nobody_chose():
    with chosen_arithmetic():
        assert read_flags() == EXACT


def test_the_choice_alone_sets_nothing():
    before = read_flags()
    with use_precision("fast"):
        assert read_flags() == before


def test_exact_wins_inside_fast():
    with use_precision("fast"), chosen_arithmetic():
        with use_precision("exact"), chosen_arithmetic():
            assert read_flags() == EXACT
        assert read_flags() == FAST


def test_exact_wins_among_threads():
    """The flags are one for all threads, and only one of these has promised something."""
    before, seen = read_flags(), {}
    fast_is_in, exact_is_in, fast_is_out = (threading.Event() for _ in range(3))

    def compute_fast():
        with use_precision("fast"), chosen_arithmetic():
            seen["alone"] = read_flags()
            fast_is_in.set()
            exact_is_in.wait(10)
            seen["together"] = read_flags()
        fast_is_out.set()

    thread = threading.Thread(target=compute_fast)
    thread.start()
    assert fast_is_in.wait(10)
    assert find_precision() == "exact"  # the choice is the other thread's
    with chosen_arithmetic():
        exact_is_in.set()
        assert fast_is_out.wait(10)
        assert read_flags() == EXACT
    thread.join()
    assert seen == {"alone": FAST, "together": EXACT}
    assert read_flags() == before


def test_a_generator_may_be_closed_by_another_thread():
    def hold():
        with use_precision("fast"), chosen_arithmetic():
            yield

    before, held = read_flags(), hold()

    def begin():
        next(held)

    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()
    assert read_flags() == FAST
    with chosen_arithmetic():
        assert read_flags() == EXACT
    assert read_flags() == FAST
    held.close()
    assert read_flags() == before
    assert find_precision() == "exact"


@pytest.mark.parametrize("device", ["cpu", "mps", "meta", torch.device("cpu")])
def test_fast_is_refused_where_it_would_change_nothing(device):
    assert check_precision("exact", device) == "exact"
    assert check_precision(None, device) == "exact"
    with pytest.raises(ModelError, match=rf"'fast' rounds to TF32, which {device} does not have"):
        check_precision("fast", device)
    with use_precision("fast"), pytest.raises(ModelError, match="TF32"):
        check_precision(None, device)


@pytest.mark.parametrize("odd", ["bfloat16", "", 0, 1.5, [], torch.zeros(2)])
def test_there_is_no_other_precision(odd):
    with pytest.raises(ModelError, match="needed: exact or fast"):
        check_precision(odd, "cpu")
    with pytest.raises(ModelError, match="needed: exact or fast"):
        vizcnn.Projector(nn.Conv2d(3, 2, 3), "guided", precision=odd)


class Watching(nn.Module):
    """Remembers the flags of its forward and backward passes."""

    def __init__(self):
        super().__init__()
        self.conv, self.seen = nn.Conv2d(3, 2, 3), []

    def forward(self, x):
        self.seen.append(read_flags())
        y = self.conv(x)
        if y.requires_grad:
            y.register_hook(lambda gradient: self.seen.append(read_flags()))
        return y


def test_a_projector_computes_as_it_says():
    """It is told after it is made: on a CPU it could not be made."""
    net = prepare(Watching())
    projector = vizcnn.Projector(net, "guided")
    assert projector.precision == "exact"
    wanted: dict[Precision, tuple[bool, ...]] = {"fast": FAST, "exact": EXACT}
    for precision, flags in wanted.items():
        projector.precision = precision
        assert pickle.loads(pickle.dumps(projector)).precision == precision
        net.seen.clear()
        with use_precision("exact" if precision == "fast" else "fast"):
            projector.project(torch.rand(1, 3, 8, 8), "conv")
        assert net.seen and set(net.seen) == {flags}
