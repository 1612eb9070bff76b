"""The peers, each in its best configuration on dev, and what they find: each is started in the peers' own environment.

Best is the highest F1: of negation, of quantities by exact range, of identifiers by exact range and label. Configurations
that tie give way to what the peer's documentation has. Presidio stands there twice: without dates its exact F1 is higher on
dev, whose texts hold few, but who masks identifiers must mask dates, and with them it covers more.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from suites.errors import RunError
from tests.bench.process import ROOT, environment

PYTHON = ROOT / ".venv-peers" / "bin" / "python"
SET_UP = "make setup-peers"
# quantulum3 needs over a minute for one text of 40,000 characters
PATIENCE_S = 1800.0
PRESIDIO_CHOICES: Mapping[str, Sequence[str]] = {"organisations": ("yes", "no"), "threshold": ("0", "0.3", "0.4", "0.5", "0.6")}


@dataclass(frozen=True, slots=True)
class Peer:
    """A system beside ours: its module, the configuration that was best on dev, and the ones that it was chosen from."""

    name: str
    title: str
    module: str
    options: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def configurations(self) -> list[dict[str, str]]:
        """Every configuration that was tried on dev."""
        return [dict(zip(self.choices, values, strict=True)) for values in product(*self.choices.values())]


PEERS = {
    peer.name: peer
    for peer in (
        Peer(
            "medspacy",
            "medspaCy ConText",
            "medspacy_peer",
            {"case": "concept", "sentences": "pyrush", "sections": "yes"},
            {"case": ("as_is", "concept", "all"), "sentences": ("pyrush", "pysbd", "one"), "sections": ("yes", "no")},
        ),
        Peer(
            "negspacy",
            "negspaCy NegEx",
            "negspacy_peer",
            {"case": "concept", "terms": "en"},
            {"case": ("as_is", "concept", "all"), "terms": ("en", "en_clinical", "en_clinical_sensitive")},
        ),
        Peer("presidio", "Presidio", "presidio_peer", {"organisations": "yes", "dates": "yes", "threshold": "0"}, {**PRESIDIO_CHOICES, "dates": ("yes",)}),
        Peer(
            "presidio_undated",
            "Presidio without dates",
            "presidio_peer",
            {"organisations": "yes", "dates": "no", "threshold": "0"},
            {**PRESIDIO_CHOICES, "dates": ("no",)},
        ),
        Peer("philter", "Philter-lite", "philter_peer"),
        Peer("quantulum", "quantulum3", "quantulum_peer", {"bare": "no"}, {"bare": ("yes", "no")}),
    )
}


@dataclass(frozen=True, slots=True)
class Answers:
    """What a peer found, row by row, and what it says of itself: seconds, versions, rows that failed."""

    rows: tuple[dict[str, Any], ...]
    meta: Mapping[str, Any]

    @property
    def ms_per_row(self) -> float:
        return 1000 * float(self.meta["read_s"]) / max(1, int(self.meta["n_rows"]))


def ask(peer: Peer, rows: Sequence[Mapping[str, Any]], options: Mapping[str, str] | None = None, n_threads: int = 1) -> Answers:
    """The peer's answers to rows, in their order; `options` in place of its best ones. RunError where it is not set up or fails."""
    if not PYTHON.exists():
        raise RunError(f"No environment of the peers at {PYTHON.parent.parent}. Make it: {SET_UP}", "bench")
    arguments = [f"{name}={value}" for name, value in (peer.options if options is None else options).items()]
    command = [str(PYTHON), "-m", f"tests.bench.packs.{peer.module}", *arguments]
    asked = "".join(json.dumps(dict(row)) + "\n" for row in rows)
    with environment(n_threads):
        done = subprocess.run(command, cwd=ROOT, input=asked, capture_output=True, text=True, timeout=PATIENCE_S)
    if done.returncode:
        raise RunError(f"{peer.title}: its process ended with exit code {done.returncode}: {(done.stderr.splitlines() or [''])[-1][:200]}", "bench")
    *found, last = map(json.loads, done.stdout.splitlines())
    if [answer["id"] for answer in found] != [row["id"] for row in rows]:
        raise RunError(f"{peer.title}: it answered {len(found)} rows of {len(rows)}, or in another order", "bench")
    return Answers(tuple(found), last["meta"])
