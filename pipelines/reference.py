"""What a student was tried on, kept as a reference for drift: directions to measure distances along, and counts. No text.

A document's embedding is the mean of its tokens' states. The directions are those in which the embeddings of train documents vary
most, and some drawn by chance among all others; along each the embeddings of train have mean 0 and variance 1. A document's
distance is the root of the mean of its squared places along them: about 1 for documents like those. It is linear but for that root, so
it is computed with the heads, in the pass that reads the document. The counts are of documents that were not trained on. Where those are few,
what is counted of the text itself is counted of train documents too; what a student answers is not: of what it was trained on it is surer.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.encode import Floats
from pipelines.tally import Tally

FILE = "reference.json"
# directions of most variance, and drawn ones
MAIN, DRAWN = 8, 8
# fewer documents tell nothing of directions, more tell nothing new
FEWEST, MOST = 20, 1000
# with fewer held-out documents than this texts are counted of train too
ENOUGH = 100


@dataclass(frozen=True)
class Reference:
    """Directions of shape (n_directions, hidden), what train's mean embedding is along them, shape (n_directions,), and counts of held-out documents."""

    directions: Floats
    centre: Floats
    tally: Tally

    def distances(self, along: Floats) -> Floats:
        """How far documents lie from the reference, by their mean embeddings along the directions. Shapes: (n_documents, n_directions), (n_documents,)."""
        return np.asarray(np.sqrt(np.mean((along - self.centre) ** 2, axis=1)), np.float32)


def directions_of(embeddings: Sequence[Floats], seed: int) -> tuple[Floats, Floats] | None:
    """Directions and centre for documents with these embeddings, shape of each: (hidden,); None where they are too few."""
    if len(embeddings) < FEWEST:
        return None
    rows = np.asarray(embeddings, np.float64)
    mean = rows.mean(axis=0)
    main = np.linalg.svd(rows - mean, full_matrices=False)[2][: min(MAIN, len(rows) // FEWEST * 2)]
    drawn = np.random.default_rng(seed).normal(size=(DRAWN, rows.shape[1]))
    drawn -= drawn @ main.T @ main
    axes = np.concatenate([main, drawn])
    spread = (rows @ axes.T).std(axis=0)
    axes = axes[spread > 0] / spread[spread > 0, None]
    return np.asarray(axes, np.float32), np.asarray(axes @ mean, np.float32)


def write_reference(folder: Path, reference: Reference) -> None:
    """Writes reference.json."""
    told = {
        "directions": [[float(f"{x:.6g}") for x in row] for row in reference.directions.tolist()],
        "centre": [float(f"{x:.6g}") for x in reference.centre.tolist()],
        "tally": [[*key, n] for key, n in sorted(reference.tally.items())],
    }
    (folder / FILE).write_text(json.dumps(told) + "\n", encoding="utf-8")


def read_reference(folder: Path) -> Reference | None:
    """The student's reference; None where it has none. Raises ValueError, KeyError or TypeError for a file of another shape."""
    if not (folder / FILE).exists():
        return None
    told = json.loads((folder / FILE).read_text(encoding="utf-8"))
    tally: Tally = Counter({(str(measure), str(bucket)): int(n) for measure, bucket, n in told["tally"]})
    directions, centre = np.asarray(told["directions"], np.float32), np.asarray(told["centre"], np.float32)
    if not directions.size:  # train was too small to measure distances by
        return Reference(np.zeros((0, 0), np.float32), centre, tally)
    if directions.ndim != 2 or centre.shape != directions.shape[:1]:
        raise ValueError("directions and centre do not fit")
    return Reference(directions, centre, tally)


def means(states: Iterable[Floats]) -> list[Floats]:
    """The embedding of each document that has tokens. Shapes: (n_tokens, hidden), (hidden,)."""
    return [row.mean(axis=0) for row in states if len(row)]
