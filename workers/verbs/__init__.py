"""One module per verb: its help, `add_arguments(parser)`, and `run(options, settings)`, which gives the data of --json."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """Data that a limit may have cut; `more` stands beside it in --json."""

    data: object
    more: bool
