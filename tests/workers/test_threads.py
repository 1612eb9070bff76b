"""What native libraries are told about cores, before they are loaded."""

from __future__ import annotations

import os
import subprocess
import sys

SHOWN = "import os; from workers.cli import main; main(['packs', '--json']); print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in __import__('sys').modules)"


def spin_count(**given: str) -> str:
    """What threads are told after a command has begun, and whether torch was there to hear it too late."""
    env = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")} | given
    return subprocess.run([sys.executable, "-c", SHOWN], env=env, check=True, capture_output=True, text=True).stdout.splitlines()[-1]


def test_waiting_threads_spin_briefly_unless_told_otherwise() -> None:
    """A command tells OpenMP before torch is loaded; what a user has set stays."""
    assert spin_count() == "1000 False"
    assert spin_count(GOMP_SPINCOUNT="7") == "7 False"
    assert spin_count(OMP_WAIT_POLICY="ACTIVE") == "None False"
