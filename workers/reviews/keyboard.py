"""Single keys from a terminal, which is left as it was found however the process ends; or from a pipe."""

from __future__ import annotations

import os
import re
import signal
import sys
import termios
import tty
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType

# no more keys
END = ""
ENDING = (signal.SIGTERM, signal.SIGHUP)
CTRL_D = "\x04"
# what an arrow, function or Alt key sends is one key of several characters (ECMA-48, 5.4); all else is a key a character
_KEYS = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|.)?|.", re.DOTALL)


@contextmanager
def keyboard() -> Iterator[Callable[[], str]]:
    """A function that waits for the next key; it gives END once a pipe has ended, or for Ctrl-D.

    On a terminal a key counts without Enter and is not shown; Ctrl-C and Ctrl-Z do what they always do.
    """
    if not sys.stdin.isatty():
        yield lambda: sys.stdin.read(1)
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    # these would end the process where it stands, with the terminal as it is
    handlers = {number: signal.signal(number, _leave) for number in ENDING}
    try:
        tty.setcbreak(descriptor)
        yield partial(_typed, descriptor, deque())
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _typed(descriptor: int, ahead: deque[str]) -> str:
    """The next key; several may have been typed ahead."""
    if not ahead:
        ahead.extend(_KEYS.findall(os.read(descriptor, 64).decode("utf-8", "replace")) or [END])
    key = ahead.popleft()
    return END if key == CTRL_D else key
