"""Signals that end a command: held until a step is whole, ignored where the user has said so."""

import signal

import pytest

from vizcnn.basics.interrupts import (
    ENDING,
    Interrupted,
    hold_interrupts,
    ignore_signals,
    leave_signals_to_the_parent,
    raise_on_signals,
)


@pytest.fixture(autouse=True)
def _leave_the_handlers():
    former = {number: signal.getsignal(number) for number in ENDING}
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


def test_each_ends_a_command_as_ctrl_c_does():
    raise_on_signals()
    for number in ENDING:
        with pytest.raises(KeyboardInterrupt) as interrupted:
            signal.raise_signal(number)
        assert isinstance(interrupted.value, Interrupted)
        assert interrupted.value.number == number


def test_what_nohup_ignores_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    raise_on_signals()
    with hold_interrupts():
        signal.raise_signal(signal.SIGHUP)
    signal.raise_signal(signal.SIGHUP)


@pytest.mark.parametrize("number", ENDING)
def test_a_held_signal_is_heard_when_the_step_is_whole(number):
    raise_on_signals()
    done = []
    with pytest.raises(Interrupted) as interrupted, hold_interrupts():
        signal.raise_signal(number)
        signal.raise_signal(signal.SIGINT)
        done.append(1)
    assert done == [1]
    assert interrupted.value.number == number  # the first of them
    with pytest.raises(Interrupted):
        signal.raise_signal(number)  # the handlers are back


def test_at_the_end_and_in_workers():
    ignore_signals()
    for number in ENDING:
        signal.raise_signal(number)
    leave_signals_to_the_parent()
    heard = {number: signal.getsignal(number) for number in ENDING}
    assert heard.pop(signal.SIGTERM) == signal.SIG_DFL  # so that the parent can end it
    assert set(heard.values()) == {signal.SIG_IGN}
