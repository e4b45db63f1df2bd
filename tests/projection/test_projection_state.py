"""A projection leaves the net, the input and torch as they were, whatever happens."""

import dataclasses
import pickle

import pytest
import torch
from torch.nn import functional as F

from tests.support.models import Failing, Spelled, branching_nets, prepare
from tests.support.projecting import project_unit
from vizcnn.basics.errors import LayerError
from vizcnn.projection.deconvnet import Deconvnet
from vizcnn.projection.methods import Method
from vizcnn.projection.rules import RULES

METHODS = tuple(RULES)


def state_of(net):
    """Everything of a net that a projection could leave changed, as bytes."""
    hooks = [
        (path, len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks), m.training)
        for path, m in net.named_modules()
    ]
    parameters = [
        (
            name,
            p.detach().numpy().tobytes(),
            p.requires_grad,
            None if p.grad is None else p.grad.numpy().tobytes(),
        )
        for name, p in net.named_parameters()
    ]
    buffers = [(name, b.numpy().tobytes()) for name, b in net.named_buffers()]
    return pickle.dumps((hooks, parameters, buffers, [type(m).__name__ for m in net.modules()]))


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_left_changed_after_success(method, images):
    for net, layer in branching_nets().values():
        prepare(net)
        net.train()
        next(net.parameters()).requires_grad_(False)
        next(net.parameters()).grad = torch.ones_like(next(net.parameters()))
        before, given = state_of(net), images.clone()
        first = project_unit(net, images, layer, 0, method)
        again = project_unit(net, images, layer, 0, method)
        assert state_of(net) == before
        assert torch.equal(images, given)
        assert not images.requires_grad
        assert images.grad is None
        assert first.numpy().tobytes() == again.numpy().tobytes()
        assert not first.requires_grad


@pytest.mark.parametrize("flag", [True, False])
def test_nothing_is_left_changed_after_an_exception(flag, images):
    net = prepare(Failing()).train(flag)
    before = state_of(net)
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        Deconvnet(net).project(images, "relu", 0)
    with pytest.raises(LayerError):
        Deconvnet(net).project(images, "rleu", 0)
    assert state_of(net) == before
    assert torch.is_grad_enabled()
    assert torch.overrides._get_current_function_mode() is None


def test_an_exception_in_the_backward_pass_leaves_nothing(images):
    net = prepare(Spelled(F.relu))
    projector = Deconvnet(net)
    method = projector.method
    recording = projector.record(images, ["conv2"])
    before = state_of(net)

    def fail(signal, active):
        raise ZeroDivisionError("in the middle")

    projector.method = Method(dataclasses.replace(projector.rule, rectify=fail), True)
    with pytest.raises(ZeroDivisionError, match="in the middle"):
        projector.project_recording(recording, "conv2", 0)
    assert state_of(net) == before
    projector.method = method
    assert recording.way.rectify is torch.mul
    assert len(projector.project_recording(recording, "conv2", 0)) == 2
