"""A pool of Ray's actors: results, deaths, errors, and that Ray is not heard."""

import logging
import signal
import sys
import time

import pytest

from tests.support.ray_work import Counting
from vizcnn.basics.errors import DataError, PhotoWarning, VizcnnError
from vizcnn.basics.ray_pool import ATTEMPTS, ActorPlan, RayPool, plan_actors


@pytest.fixture(scope="module")
def pool():
    pytest.importorskip("ray.data")
    with RayPool("local", actors=2) as opened:
        yield opened


def work_through(pool, begin, items=8):
    return dict(pool.work_through(begin, list(range(items)), "item {}".format))


@pytest.mark.parametrize(
    ("nodes", "device", "actors", "plan"),
    [
        ([{"CPU": 2.0}], "auto", None, ActorPlan("cpu", 2, 0, 1, None)),
        ([{"CPU": 2.0}, {"CPU": 4.0}, {}], "cpu", None, ActorPlan("cpu", 6, 0, 1, None)),
        ([{"CPU": 8.0}], "auto", 3, ActorPlan("cpu", 3, 0, 1, None)),
        ([{"CPU": 16.0, "GPU": 2.0}], "auto", None, ActorPlan("cuda", 2, 1, 8, 8)),
        ([{"CPU": 16.0, "GPU": 2.0}], "cpu", None, ActorPlan("cpu", 16, 0, 1, None)),
        # as many cores for each as the machine has that has the fewest; without GPU, none computes
        (
            [{"CPU": 96.0, "GPU": 2.0}, {"CPU": 8.0, "GPU": 2.0}, {"CPU": 64.0}],
            "cuda",
            None,
            ActorPlan("cuda", 4, 1, 4, 4),
        ),
        ([{"CPU": 128.0, "GPU": 1.0}], "cuda", None, ActorPlan("cuda", 1, 1, 16, 16)),
        ([{"CPU": 1.0, "GPU": 2.0}], "auto", None, ActorPlan("cuda", 2, 1, 0, 1)),
        ([{"CPU": 4.0}], "cuda", 2, ActorPlan("cuda", 2, 1, 1, 1)),  # it adds machines
    ],
)
def test_actors_share_what_a_cluster_has(nodes, device, actors, plan):
    assert plan_actors(nodes, device, actors) == plan


def test_a_cluster_without_what_is_needed_is_refused():
    with pytest.raises(VizcnnError, match="Ray has no GPU"):
        plan_actors([{"CPU": 4.0}], "cuda")
    with pytest.raises(VizcnnError, match="Ray has no core"):
        plan_actors([{}])
    with pytest.raises(VizcnnError, match="device 'cuda:1' cannot be chosen"):
        RayPool(device="cuda:1")


def test_without_ray_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(VizcnnError, match=r"pip install 'vizcnn\[ray\]'"), RayPool():
        pass


@pytest.mark.slow
@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("127.0.0.1:1", "no cluster of Ray answers at '127.0.0.1:1'"),
        ("ray://127.0.0.1:10001", "for clients outside of a cluster"),
        ("nonsense", "Ray cannot be joined at 'nonsense'"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused(address, told):
    pytest.importorskip("ray.data")
    with pytest.raises(VizcnnError, match=told) as caught, RayPool(address):
        pass
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_items_are_worked_through_in_silence_though_an_actor_dies(pool, tmp_path, capfd):
    with pytest.warns(PhotoWarning, match="item 0 is odd") as told:
        found = work_through(pool, Counting(tmp_path, deadly=2, deaths=1))
    assert found == {number: number**2 for number in range(8)}
    assert len(told) == 1
    assert len(list(tmp_path.glob("item 2 *"))) == 2
    # the work is begun once in each process, of two actors and a new one, not for each item
    assert len(list(tmp_path.glob("begun *"))) in (2, 3)
    assert capfd.readouterr() == ("", "")
    assert work_through(pool, Counting(tmp_path), items=0) == {}


@pytest.fixture
def one(pool):
    """Give a pool of one actor, which is faster there."""
    with RayPool(actors=1) as joined:
        yield joined


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:item 0 is odd")
def test_an_item_whose_actor_always_dies_is_named(one, tmp_path, capfd):
    with pytest.raises(VizcnnError, match=r"^item 2 ended its process 3 times: ") as caught:
        work_through(one, Counting(tmp_path, deadly=2, deaths=99), items=4)
    assert "\n" not in str(caught.value)
    assert len(list(tmp_path.glob("item 2 *"))) == ATTEMPTS
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:item 0 is odd")
def test_an_error_ends_the_work_as_it_was_raised(one, tmp_path):
    """And the actors let go of what they had, although Ray goes on."""
    import ray

    with pytest.raises(DataError, match=r"^item 1 is wrong$"):
        work_through(one, Counting(tmp_path, wrong=1))
    end = time.monotonic() + 20
    while ray.available_resources().get("CPU") != 2 and time.monotonic() < end:
        time.sleep(0.05)
    assert ray.available_resources()["CPU"] == 2


@pytest.mark.slow
def test_ray_that_runs_already_goes_on(pool, tmp_path):
    """Signals and logs stay as they were."""
    import ray

    handlers = logging.getLogger("ray.data").handlers
    former = [handler.level for handler in handlers]
    numbers = (signal.SIGINT, signal.SIGTERM)
    signals = [signal.getsignal(number) for number in numbers]
    with RayPool() as second:
        assert second.actors == 2 and second.device == "cpu"
    assert ray.is_initialized()
    assert [handler.level for handler in handlers] == former
    assert [signal.getsignal(number) for number in numbers] == signals
