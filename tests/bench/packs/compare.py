"""Scores the peers on the public sets: `python -m tests.bench.packs.compare --data-root FOLDER`, on dev unless told otherwise.

`--choose` tries every configuration of every peer on dev, which is how `peers.py` came to the ones that it holds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.bench.packs import gold as sets
from tests.bench.packs.measures import Found, Scores, assertion_scores, identifier_scores, quantity_scores
from tests.bench.packs.peers import PEERS, Answers, ask


@dataclass(frozen=True, slots=True)
class Comparison:
    """One set: how its gold is read and scored, what a system is asked, and the peers that answer it."""

    name: str
    read: Callable[[Path, str], Sequence[Any]]
    scores: Callable[[Sequence[Any], Sequence[Found]], Scores]
    fields: tuple[str, ...]
    peers: tuple[str, ...]

    def rows(self, gold: Sequence[Any]) -> list[dict[str, Any]]:
        """What a system is asked: gold without its answers."""
        return [{name: getattr(document, name) for name in self.fields} for document in gold]


COMPARISONS = (
    Comparison("assertions", sets.concepts, assertion_scores, ("id", "text", "start", "end"), ("medspacy", "negspacy")),
    Comparison("identifiers", sets.identifiers, identifier_scores, ("id", "text"), ("presidio", "presidio_undated", "philter")),
    Comparison("quantities", sets.quantities, quantity_scores, ("id", "text"), ("quantulum",)),
)


def compare(data_root: Path, split: str, choose: bool = False) -> Iterator[tuple[str, str, Mapping[str, str], Answers, Scores]]:
    """Set, peer, its configuration, its answers and its scores, one after the other."""
    for comparison in COMPARISONS:
        gold = comparison.read(data_root, split)
        for name in comparison.peers:
            for options in PEERS[name].configurations() if choose else [PEERS[name].options]:
                answers = ask(PEERS[name], comparison.rows(gold), options)
                yield comparison.name, name, options, answers, comparison.scores(gold, answers.rows)


def main() -> int:
    """Prints a table, and writes all figures to the file of `--json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--split", choices=("dev", "test"), default="dev")
    parser.add_argument("--choose", action="store_true", help="try every configuration, on dev")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.choose and given.split != "dev":
        parser.error("configurations are chosen on dev: leave --split out")
    kept = []
    for comparison, name, options, answers, scores in compare(given.data_root, given.split, given.choose):
        _show(comparison, name, options, answers, scores)
        kept.append(
            {
                "comparison": comparison,
                "peer": name,
                "split": given.split,
                "options": dict(options),
                "ms_per_row": answers.ms_per_row,
                **answers.meta,
                "scores": {key: asdict(value) for key, value in scores.items()},
            }
        )
    if given.json:
        given.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 0


def _show(comparison: str, name: str, options: Mapping[str, str], answers: Answers, scores: Scores) -> None:
    about = " ".join(f"{key}={value}" for key, value in options.items())
    print(f"\n{comparison}: {PEERS[name].title} {about} ({answers.ms_per_row:.1f} ms a text, {answers.meta['n_failed']} failed)")
    for key, s in scores.items():
        interval = f"  [{s.interval[0]:.3f}, {s.interval[1]:.3f}]" if s.interval else ""
        print(f"  {key:42} P {s.precision:.3f}  R {s.recall:.3f}  F1 {s.f1:.3f}{interval}  gold {s.n_gold}, found {s.n_found}")


if __name__ == "__main__":
    sys.exit(main())
