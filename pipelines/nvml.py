"""The energy counters of NVIDIA's accelerators (NVML, from Volta on): joules of the whole board, in millijoules since the driver was loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Accelerators:
    """The accelerators that a training uses, by their UUIDs, and their joules since this was made.

    A board's counter cannot be shared out: a training is taken to have its accelerators to itself. `library` is NVML, as the
    wheel nvidia-ml-py binds it (module pynvml). Raises its NVMLError, or OSError, where the driver or the counter is missing.
    """

    def __init__(self, uuids: Sequence[str], library: Any = None) -> None:
        self._library = library or _library()
        self._library.nvmlInit()
        self._handles = [self._library.nvmlDeviceGetHandleByUUID(uuid) for uuid in uuids]
        self.names = tuple(str(self._library.nvmlDeviceGetName(handle)) for handle in self._handles)
        self._began = self._millijoules()

    def joules(self) -> float:
        """Joules of all of them since this was made."""
        return (self._millijoules() - self._began) / 1000

    def _millijoules(self) -> int:
        return sum(self._library.nvmlDeviceGetTotalEnergyConsumption(handle) for handle in self._handles)


def _library() -> Any:
    import pynvml

    return pynvml
