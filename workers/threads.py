"""Native libraries that would take all cores, told not to: the engine shares the cores out itself."""

from __future__ import annotations

import os


def one_thread_each() -> None:
    """Must come before numpy is imported. What a user has set stays."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
