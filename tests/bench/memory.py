"""The memory of a worker process that has read with a student of every pack, its caches full. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.bench.ours import Ours, predictor
from tests.bench.process import peak_mb


def worker_memory(students: Sequence[Ours], texts: Sequence[str], cache: int) -> dict[str, float]:
    """The peak, and what of it is mapped files now, which processes of one host share; MB. In a process of its own.

    `cache` findings of each student are kept, as [inference] cache says.
    """
    import workers.drain
    import workers.tasks  # noqa: F401  both are loaded in a worker that reads
    from suites.types import Document, Finding

    readers = [predictor(student, 1, cache) for student in students]
    for number, reader in enumerate(readers):
        list(reader.predict([Document(str(i), text) for i, text in enumerate(texts)]))
        assert reader.cache is not None
        for i in range(cache):
            task = reader.pack.student_tasks[0]
            reader.cache.put(f"{number}/{i}", (Finding(task.name, task.labels[0], 0.5 + i * 1e-6, i, i + 10),))
    return {"worker_mb": peak_mb(), "worker_mapped_mb": _mapped_mb()}


def _mapped_mb() -> float:
    """Resident pages of mapped files: students and libraries; 0 where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("RssFile")), 0.0)
