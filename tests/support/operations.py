"""What torch is asked to do, counted: launches on a GPU, whatever the machine at hand."""

from collections import Counter
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

READS = ("_local_scalar_dense", "nonzero")
"""Operations that wait for a device."""


class CountOperations(TorchDispatchMode):
    """Counts the operations inside the context by name."""

    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.names[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))

    @property
    def total(self) -> int:
        return self.names.total()

    @property
    def reads(self) -> int:
        return sum(self.names[name] for name in READS)
