"""Native libraries told how to use cores: one each where the engine shares them out itself, and not to keep one busy by waiting."""

from __future__ import annotations

import os


def one_thread_each() -> None:
    """Must come before numpy is imported. What a user has set stays."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def spin_briefly() -> None:
    """Must come before torch is imported. What a user has set stays.

    Threads of OpenMP that wait for the slowest keep their core busy meanwhile. Where something else runs on the machine, that is the core which
    the slowest would need, and training goes on at less than a tenth of its pace. A little of it is of use, then a thread had better sleep:
    docs/performance.md has the figures.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
