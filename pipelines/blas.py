"""numpy's matrix products on one thread, where others read on the cores."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from threadpoolctl import ThreadpoolController


class _OneThread:
    """The limit, set by the first who comes and lifted by the last who leaves."""

    def __init__(self) -> None:
        self._libraries = ThreadpoolController().select(user_api="blas")
        self._lock, self._n_inside = threading.Lock(), 0

    def enter(self) -> None:
        with self._lock:
            if not self._n_inside:
                self._limit = self._libraries.limit(limits=1)
            self._n_inside += 1

    def leave(self) -> None:
        with self._lock:
            self._n_inside -= 1
            if not self._n_inside:
                self._limit.restore_original_limits()


@lru_cache(maxsize=1)
def _one_thread() -> _OneThread:
    return _OneThread()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """While anyone is inside, products run on the thread that asks for them: a reader's are small, and the library's own threads only spin.

    Who is inside need not leave in order, as readers that take turns do not. `threadpoolctl` lets only the thread that came first lift the limit.
    """
    limit = _one_thread()
    limit.enter()
    try:
        yield
    finally:
        limit.leave()
