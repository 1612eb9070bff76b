"""The SQL box's statements run in a child process, `python manage.py query`: whatever they do to it, the console goes on."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from suites.errors import UsageError
from workers.hardening import end_with_parent
from workers.settings import PREFIX, Settings

MANAGE = Path(__file__).parent.parent.parent / "manage.py"
STATEMENT_S = 20
# the child ends itself; where it cannot, it is ended so many seconds later
GRACE_S = 5.0
# of an answer so much is taken; `query` and `export` on the command line give more
ANSWER_BYTES = 8 << 20
# statements at once; who comes next is asked to wait
AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gave: rows, whether there are more, and how long it took; or an error in words."""

    seconds: float
    rows: list[dict[str, Any]] = field(default_factory=list)
    more: bool = False
    error: str = ""
    code: str = ""


class Child:
    """Runs statements, a few at once, each in a process of its own."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.console.query_url
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def asked(self, sql: str, limit: int) -> Answer:
        """The answer to one statement. Raises UsageError where others are being answered."""
        if self._turn.locked():
            raise UsageError(f"{AT_ONCE} statements are being answered. Ask again when they are done, in {STATEMENT_S} s at the latest.", "busy")
        async with self._turn:
            started = time.monotonic()
            out = await self._out(sql, limit)
            return _answer(out, time.monotonic() - started)

    async def _out(self, sql: str, limit: int) -> bytes | None:
        """What the child writes; None where it was ended."""
        # the statement goes by stdin: a process's arguments can be read by every user of the machine
        command = [sys.executable, str(MANAGE), "query", "-", "--json", "--limit", str(limit), "--seconds", str(STATEMENT_S)]
        child = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=self._environment(), preexec_fn=end_with_parent, start_new_session=True
        )
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            async with asyncio.timeout(STATEMENT_S + GRACE_S):
                with suppress(ConnectionError):  # it may have ended before it read all
                    child.stdin.write(sql.encode("utf-8", "replace"))
                    child.stdin.close()
                out = await _first(child.stdout, ANSWER_BYTES)
                return None if out is None or await child.wait() < 0 else out
        except TimeoutError:
            return None
        finally:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()

    def _environment(self) -> dict[str, str]:
        """The console's own, without its tokens and the master key; the store by the analyst's login, where there is one."""
        secret = (f"{PREFIX}CONSOLE__", f"{PREFIX}PRIVACY__KEY", f"{PREFIX}SCORE__TOKEN", f"{PREFIX}BROKER__")
        ours = {name: value for name, value in os.environ.items() if not name.startswith(secret)}
        return ours | ({f"{PREFIX}STORE__URL": self._url} if self._url else {})


async def _first(stream: asyncio.StreamReader, n_bytes: int) -> bytes | None:
    """All that comes; None where it is more than so much."""
    parts: list[bytes] = []
    size = 0
    while part := await stream.read(1 << 16):
        size += len(part)
        if size > n_bytes:
            return None
        parts.append(part)
    return b"".join(parts)


def _answer(out: bytes | None, seconds: float) -> Answer:
    if out is None:
        return Answer(
            seconds, error="The answer is too large to be shown, or took too long. Ask for fewer rows or columns, or write a file: `export`.", code="too_large"
        )
    try:
        said = json.loads(out)
    except ValueError:
        return Answer(seconds, error="The statement could not be run. Try it on the command line: python manage.py query", code="no_answer")
    if not said["ok"]:
        return Answer(seconds, error=said["error"]["message"], code=said["error"]["code"])
    return Answer(seconds, said["data"], bool(said.get("more")))
