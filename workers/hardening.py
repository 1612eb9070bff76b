"""What a process takes from itself before it holds a text: others' eyes on its files, a core file, its hold on memory, and life after its parent's."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path

# verbs that make students and packs, which other users' workers and people read; none of them stores a document's text
FOR_OTHERS = ("distill", "evaluate", "finetune", "new-pack", "release", "rollback", "students")
PRIVATE = 0o077
# the kernel ends the process with the highest score when memory is short: a worker, whose documents are read again, and no database
OOM_SCORE = 500
# loaded here: between fork and exec no library may be
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


def keep_private(verb: str) -> None:
    """Files and folders made from now on are this user's alone, but for students and packs; no crash writes memory to a core file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if verb not in FOR_OTHERS:
        os.umask(PRIVATE)


def end_before_others(score: Path = Path("/proc/self/oom_score_adj")) -> None:
    """Makes this process the one that is ended first when memory is short. What was set higher stays; where there is no such file nothing is done."""
    with suppress(OSError, ValueError):
        if int(score.read_text(encoding="ascii")) < OOM_SCORE:
            score.write_text(str(OOM_SCORE), encoding="ascii")


def bound_memory(mb: int) -> None:
    """No more than so many MB of this process's own data; 0: no bound. A document that would eat the machine fails alone. Shared files do not count."""
    if mb:
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = mb << 20
        resource.setrlimit(resource.RLIMIT_DATA, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))


def end_with_parent() -> None:
    """For `subprocess.Popen(preexec_fn=...)`: the child gets SIGTERM once the thread that starts it is gone, however it went (prctl(2); Linux alone)."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
