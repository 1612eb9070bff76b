"""What the store calls this process."""

from __future__ import annotations

import os
import socket


def owner_name() -> str:
    """Host and process."""
    return f"{socket.gethostname()[:40]}:{os.getpid()}"
