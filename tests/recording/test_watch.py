"""Watching a net's modules: which calls are shown, when a pass ends, what is left behind."""

import pytest
import torch
from torch import nn

from vizcnn.recording.watch import AllRecorded, watch


def make_net() -> nn.Sequential:
    relu = nn.ReLU()
    return nn.Sequential(nn.Linear(3, 2), relu, nn.Linear(2, 2), relu)


def count_hooks(net: nn.Module) -> int:
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in net.modules())


def test_calls_are_numbered_anew_in_every_pass_and_may_be_replaced() -> None:
    net, seen = make_net(), []

    def see(call, args, output):
        seen.append((str(call), torch.equal(output, args[0].relu())))
        return torch.full_like(output, 7)

    with watch(net, ["1"], see):
        results = [net(torch.randn(2, 3)) for _ in range(2)]
    assert seen == [("1#1", True), ("1#2", True)] * 2
    assert all(bool((result == 7).all()) for result in results)
    assert count_hooks(net) == 0


def test_a_pass_ends_when_all_layers_were_called_as_often_as_they_say() -> None:
    net = make_net()
    seen: list[str] = []
    entered: list[str] = []
    with watch(net, ["1#2", "0"], lambda call, *_: seen.append(str(call)), entered.append, True):
        for _ in range(2):
            with pytest.raises(AllRecorded):
                net(torch.randn(2, 3))
    assert seen == ["0#1", "1#1", "1#2"] * 2
    assert entered == ["0", "1", "1"] * 2
    assert count_hooks(net) == 0
