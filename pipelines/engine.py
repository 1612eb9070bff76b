"""The one seam of inference: token ids to hidden states. Torch is not needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from pipelines.encode import Floats, Inputs, Ints, stitch

Project = Callable[[Floats], Floats]


def as_they_are(states: Floats) -> Floats:
    return states.copy()


def nothing() -> None:
    """No one waits for progress."""


class Engine(Protocol):
    """Anything that gives hidden states."""

    hidden: int

    def states(self, rows: Sequence[Ints], project: Project = as_they_are, on_batch: Callable[[], None] = nothing) -> list[Floats]:
        """Hidden states of each row of token ids, shape (len(row), hidden), or what `project` makes of them.

        `project` is applied batch by batch, so that the states of a long text never lie in memory together; it keeps
        nothing of what it is given, where the engine's next batch is written. `on_batch` is called once a batch: a caller
        with a lease renews it there.
        """
        ...


def stitched(engine: Engine, texts: Sequence[Inputs], project: Project = as_they_are, on_batch: Callable[[], None] = nothing) -> Iterator[Floats]:
    """The hidden states of each text, one row a token, or what `project` makes of them. Shape of each: (n_tokens, hidden)."""
    states = iter(engine.states([row for text in texts for row in text.rows], project, on_batch))
    for text in texts:
        yield stitch([next(states) for _ in text.plan], text.plan)
