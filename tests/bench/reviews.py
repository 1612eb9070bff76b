"""What fifty reviews add on a real set: `python -m tests.bench.reviews FILE.json --data-root FOLDER`.

For each seed a student of a hundred train rows of finance's sms_smishing reads a store of 1,500 others, as a worker does. A reviewer who knows
the answers works off fifty findings of the queue; and, beside it, fifty documents drawn by chance. Both students that come of it, and the one before,
are scored (macro-F1) on 1,000 more train rows that nobody reviewed and no training saw; dev watches the training, and test is not touched.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines.evaluate import score
from pipelines.examples import read_examples
from pipelines.finetune import Examples, FinetuneOptions, finetuned, teaching_pack
from pipelines.predict import make_predictor
from pipelines.student import Student
from suites.discover import Pack, find_pack
from suites.types import Example
from tests.bench.main_job import machine, say

SOURCE, TASK = "sms_smishing", "verdict"
N_START, N_DEV, N_STORED, N_HELD_BACK, N_REVIEWS = 100, 60, 1500, 1000, 50
REVIEWERS = {"after": "queue", "random": "chance"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    pack = find_pack("finance")
    by_seed = [measured(pack, options.data_root, seed) for seed in range(1, options.seeds + 1)]
    means = {f"review_f1_{what}": round(statistics.mean(seed[what] for seed in by_seed), 4) for what in ("before", *REVIEWERS)}
    sizes = {"start": N_START, "stored": N_STORED, "held_back": N_HELD_BACK, "reviews": N_REVIEWS}
    result = means | {"set": SOURCE, "sizes": sizes, "seeds": by_seed, "machine": machine()}
    options.file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    say(json.dumps(means))


def measured(pack: Pack, data_root: Path, seed: int) -> dict[str, Any]:
    """One seed's scores, and how many of each label were reviewed."""
    rng = random.Random(seed)
    train, dev = (
        [replace(e, tasks=frozenset({TASK})) for e in read_examples(pack, split, data_root=data_root, sources=[SOURCE])] for split in ("train", "dev")
    )
    order = rng.sample(list({e.document.text: e for e in train}.values()), N_START + N_STORED + N_HELD_BACK)
    start, stored, held_back = order[:N_START], order[N_START : N_START + N_STORED], order[N_START + N_STORED :]
    few = rng.sample(dev, N_DEV)
    with tempfile.TemporaryDirectory() as made:
        home = Path(made)

        def student_of(reviewed: Sequence[Example]) -> tuple[Student, float]:
            options = FinetuneOptions(seed=seed, encoder="none")
            student = finetuned(teaching_pack(pack), home / "students", Examples(start, few, list(reviewed)), options)
            predictor = make_predictor(pack, student, n_threads=os.cpu_count() or 1)
            return student, round(score(predictor, held_back)[SOURCE][TASK].score, 4)

        student, before = student_of(())
        reviewed = review(pack, student, home, stored, rng)
        result: dict[str, Any] = {"seed": seed, "before": before}
        for what, reviewer in REVIEWERS.items():
            result[what] = student_of(reviewed[reviewer])[1]
            result[f"{reviewer}_labels"] = dict(Counter(f.label for e in reviewed[reviewer] for f in e.gold))
    say(json.dumps(result))
    return result


def review(pack: Pack, student: Student, home: Path, stored: Sequence[Example], rng: random.Random) -> dict[str, tuple[Example, ...]]:
    """What comes of N_REVIEWS findings of the queue, or of all where fewer wait, and of as many documents drawn by chance; each in a store of its own."""
    return {reviewer: _reviewed(pack, student, home / reviewer, stored, rng if reviewer == "chance" else None) for reviewer in REVIEWERS.values()}


def _reviewed(pack: Pack, student: Student, home: Path, stored: Sequence[Example], rng: random.Random | None) -> tuple[Example, ...]:
    """A store that a worker read the documents into, and N_REVIEWS of its findings judged: those of the queue, or with `rng` of documents drawn by chance."""
    from workers.drain import drain
    from workers.keys import Keys
    from workers.migrate import migrate
    from workers.reviews import queue, reviewed_examples
    from workers.settings import load_settings
    from workers.store import Store
    from workers.submit import submit

    home.mkdir()
    os.environ["STILLHOUSE_SETTINGS"] = str(home / "settings.toml")
    (home / "settings.toml").write_text(f'[students]\nfolder = "{home.parent / "students"}"\n', encoding="utf-8")
    (home / "inbox.jsonl").write_text("".join(json.dumps({"id": e.document.id, "text": e.document.text}) + "\n" for e in stored), encoding="utf-8")
    gold = {e.document.id: next(f.label for f in e.gold if f.task == TASK) for e in stored}
    settings = load_settings()
    store = Store(settings.store_url)
    migrate(store, [pack])
    submit(store, pack, student.id, [home / "inbox.jsonl"], chunk=500, ring=lambda job_id: None)
    assert drain(store, settings, budget_s=600.0, n_threads=os.cpu_count() or 1).n_read == len(stored)
    if rng is not None:
        _judge(store, pack, student, _answers(store, student, set(rng.sample(sorted(gold), N_REVIEWS))), gold)
    for _ in range(N_REVIEWS // 10 if rng is None else 0):
        with store.reading() as connection:
            waiting = queue(connection, pack, student.id, reviewer="gold", task=TASK, limit=10)
        _judge(store, pack, student, [(one.document, one.key) for one in waiting], gold)
    made = reviewed_examples(store, pack, Keys(), 0.0).train
    store.close()
    return made


def _answers(store: Any, student: Student, chosen: set[str]) -> list[tuple[str, Any]]:
    """The student's answers about these documents."""
    from sqlalchemy import select

    from workers.reviews import FindingKey
    from workers.tables import documents, findings

    query = select(documents.c.key, *(findings.c[name] for name in FindingKey._fields)).join(documents, documents.c.id == findings.c.document_id)
    with store.reading() as connection:
        rows = connection.execute(query.where(findings.c.student_id == student.id, findings.c.task == TASK)).all()
    return [(row[0], FindingKey(*row[1:])) for row in rows if row[0] in chosen]


def _judge(store: Any, pack: Pack, student: Student, answers: Sequence[tuple[str, Any]], gold: Mapping[str, str]) -> None:
    """Stores what somebody who knows gold decides."""
    from workers.reviews import decide

    with store.begin() as connection:
        for document, key in answers:
            right = gold[document]
            said = {"verdict": "accept"} if right == key.label else {"verdict": "correct", "new_label": right}
            decide(connection, pack, key, "gold", **said)


if __name__ == "__main__":
    main()
