"""A step of a pipeline that works ahead of who takes its results."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")

# a thread back from code that needs no interpreter waits so long for one that does not let go of it; Python's own five milliseconds are a third of a batch
SWITCH_S = 0.0005


def ahead(work: Callable[[Given], Made], items: Iterable[Given], n: int) -> Iterator[Made]:
    """What `work` makes of each item, in order: while one result is used, the next `n` are made, on threads of their own. With 0 each is made when asked for.

    Items are taken by the caller's thread. What `work` or `items` raises is raised in its place, after what was made before. With `n` the process's
    threads change places more often from then on.
    """
    if not n:
        yield from map(work, items)
        return
    sys.setswitchinterval(min(SWITCH_S, sys.getswitchinterval()))
    with ThreadPoolExecutor(n) as threads:
        coming: deque[Future[Made]] = deque()
        following, failed = iter(items), None
        while True:
            try:
                item = next(following)
            except StopIteration:
                break
            except Exception as error:  # whatever it is, it comes after what was made before
                failed = error
                break
            coming.append(threads.submit(work, item))
            if len(coming) > n:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
        if failed is not None:
            raise failed
