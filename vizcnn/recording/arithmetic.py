"""Arithmetic that a picture can be trusted with, and a faster one that says so."""

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Literal, get_args

import torch

from vizcnn.basics.errors import ModelError, quote
from vizcnn.basics.sharing import keep_over_fork

Precision = Literal["exact", "fast"]
"""``"exact"``: float32 throughout. ``"fast"``: the factors of convolutions and matrix products are
rounded to TF32 (10 bits of mantissa instead of 23), their sums stay float32. Both are repeatable to
the bit on one machine."""
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

_FIRST_WITH_TF32 = (8, 0)
"""Compute capability of NVIDIA's Ampere."""

_chosen: ContextVar[Precision] = ContextVar("precision", default="exact")


def find_precision() -> Precision:
    """Tell which precision was chosen (:func:`use_precision`): exact unless something was."""
    return _chosen.get()


@contextmanager
def use_precision(precision: Precision) -> Iterator[None]:
    """Choose the precision of what this thread computes with nets, inside the context.

    Example:
        >>> with use_precision("fast"):
        ...     find_precision()
        'fast'
        >>> find_precision()
        'exact'
    """
    token = _chosen.set(precision)
    try:
        yield
    finally:
        with suppress(ValueError):  # another thread closes a generator: its own choice stays
            _chosen.reset(token)


def check_precision(precision: Precision | None, device: torch.device | str) -> Precision:
    """Make sure that a device can compute so.

    Args:
        precision: Whose name is given; what was chosen (:func:`use_precision`) when None.
        device: Where to compute.

    Raises:
        ModelError: If there is no such precision, or it would change nothing there.

    Example:
        >>> check_precision("fast", "cpu")
        Traceback (most recent call last):
        vizcnn.basics.errors.ModelError: precision 'fast' rounds to TF32, which cpu does not have...
    """
    if precision is None:
        precision = find_precision()
    if not isinstance(precision, str) or precision not in PRECISIONS:
        raise ModelError(f"no precision {quote(precision)}; needed: {' or '.join(PRECISIONS)}")
    device = torch.device(device)
    if precision == "fast" and not _has_tf32(device):
        raise ModelError(
            f"precision 'fast' rounds to TF32, which {device} does not have: it would change "
            "nothing; take 'exact', or an NVIDIA GPU of 2020 or later"
        )
    return precision


def _has_tf32(device: torch.device) -> bool:
    if device.type != "cuda" or torch.version.cuda is None:
        return False
    return torch.cuda.get_device_capability(device) >= _FIRST_WITH_TF32


class _Flags:
    """Torch's flags, which are those of the whole process: from the first thread to the last.

    As long as one thread inside wants exact numbers, all compute exactly.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._inside: list[tuple[int, Precision]] = []
        self._set: Precision | None = None
        self._former = ExitStack()
        keep_over_fork(self._lock, self._forget_others)

    def enter(self, precision: Precision) -> None:
        with self._lock:
            self._inside.append((threading.get_ident(), precision))
            self._settle()

    def leave(self, precision: Precision) -> None:
        with self._lock:
            # a generator that holds a context may be closed by another thread
            ours = (threading.get_ident(), precision)
            others = (entry for entry in self._inside if entry[1] == precision)
            self._inside.remove(ours if ours in self._inside else next(others))
            self._settle()

    def _settle(self) -> None:
        wanted: Precision | None = None
        if self._inside:
            kinds = {precision for _, precision in self._inside}
            wanted = "exact" if "exact" in kinds else "fast"
        if wanted != self._set:
            self._former.close()
            self._set = wanted
            if wanted is not None:
                self._former.enter_context(_set_flags(wanted))

    def _forget_others(self) -> None:
        me = threading.get_ident()
        self._inside = [entry for entry in self._inside if entry[0] == me]
        self._settle()


@contextmanager
def _set_flags(precision: Precision) -> Iterator[None]:
    fast = precision == "fast"
    products: Any = torch.backends.cuda.matmul
    # since torch 2.9; to ask for the former flag fails where somebody has set the new one
    value: str | bool
    flag, value = "fp32_precision", "tf32" if fast else "ieee"
    if not hasattr(products, flag):
        flag, value = "allow_tf32", fast
    former = getattr(products, flag)
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=fast
    ):
        setattr(products, flag, value)
        try:
            yield
        finally:
            setattr(products, flag, former)


_FLAGS = _Flags()


@contextmanager
def chosen_arithmetic() -> Iterator[None]:
    """Compute repeatably to the bit, in the precision that was chosen (:func:`use_precision`).

    Inside the context; in full float32 where nothing was chosen. The flags are those of the whole
    process: they stay until the last thread has left.
    """
    precision = find_precision()
    _FLAGS.enter(precision)
    try:
        yield
    finally:
        _FLAGS.leave(precision)


if hasattr(os, "register_at_fork"):  # Windows starts processes anew
    # OpenMP's threads stay behind with the parent, and torch would wait for them for ever
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))
