"""Commands that are killed at any moment and given again: the same bytes, and nothing beside."""

import random

import pytest

from tests.support.killing import choose_moments, kill_and_repeat, prepare, run_whole

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("killed")
    prepare(made)
    return made


@pytest.mark.parametrize("command", ["gallery", "mine", "deconv", "train"])
def test_a_killed_command_ends_as_if_it_had_not_been(folder, command):
    whole = run_whole(folder, command)
    assert len(whole.files) >= 1
    # one draw, that falls while the command writes: the program in tests/support/killing does many
    moments = choose_moments(random.Random(1), whole)
    assert moments[0] > whole.first
    outcome = kill_and_repeat(folder, command, whole, moments)
    assert not outcome.faults, outcome.describe()
