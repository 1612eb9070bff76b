"""Measures the three packs on real data and writes docs/results/packs.json and .md: `make results-packs DATA=folder`.

    sets        each pack's student, taught by its teacher, on the test split of every set that the pack names
    comparisons assertions, identifiers, quantities and key figures by our students, scored as the peers are
    peers       medspaCy, negspaCy, Presidio, Philter and quantulum3 on the same rows (make setup-peers)
    robustness  what disguises cost the finance student, with and without defence
    few         what 20 to 100 examples a label give, and what suggestions add over chance
    latency     one message on one core, in process and over HTTP
    tutorial    the tutorial of docs/packs.md by a stopwatch

Each part replaces its own section of the results; `--only PART` runs one. Students are made once and reused until their pack changes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.bench.main_job import machine, say, student_of
from tests.bench.packs.page import markdown
from workers.threads import spin_briefly

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "docs" / "results"
PACKS = ("clinical", "finance", "environment")
# tests that set no student apart from another are not scored here: they are few and ours
SAMPLES = "samples"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--only", choices=tuple(PARTS), action="append")
    parser.add_argument("--pack", choices=PACKS, action="append", help="measure this pack alone; the others' rows stay")
    parser.add_argument("--students", type=Path, default=ROOT / "var" / "measure", help="distilled encoders and students are kept and reused here")
    parser.add_argument("--keep-students", action="store_true", help="reuse students though rules or hooks changed since: what they learned is the same")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--limit", type=int, help="at most so many rows of a source in the parts that train beside `sets`: for a quick try")
    options = parser.parse_args()
    spin_briefly()
    options.results.mkdir(parents=True, exist_ok=True)
    path = options.results / "packs.json"
    for part in options.only or PARTS:
        say(f"{part} ...")
        found = PARTS[part](options)
        results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        results |= {"machine": machine(), part: results.get(part, {}) | found if part in MERGED else found}
        if part == "robustness":
            results["robustness_rows"] = options.limit
        results["rows"] = rows(results)
        path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        (options.results / "packs.md").write_text(markdown(results), encoding="utf-8")


def sets(options: argparse.Namespace) -> dict[str, Any]:
    """Pack -> the systems' scores by source and task, disguises, policy, numbers, and how the student was made."""
    from pipelines.compare import CompareOptions, compare
    from suites.discover import find_pack

    made = {}
    for name in options.pack or PACKS:
        student = student_of(name, options.data_root, options.students, 1, exact=not options.keep_students)
        chosen = CompareOptions(data_root=options.data_root, speed=False, n_threads=os.cpu_count() or 1)
        evaluation = compare(find_pack(name), student, options.students, chosen, _shown())
        kept = evaluation.model_dump(include={"systems", "policy", "attacked", "forms", "compressed_as", "size"})
        training = json.loads((student.folder / "training.json").read_text(encoding="utf-8"))
        same = student.birth.pack_digest == find_pack(name).digest
        about = {"student": student.id, "data": student.birth.data, "pack_as_trained": same, "training_s": training["seconds"]}
        made[name] = about | brief(_rounded(kept))
    return made


def comparisons(options: argparse.Namespace) -> dict[str, Any]:
    """Comparison -> the scores of ours."""
    from pipelines.predict import make_predictor
    from suites.discover import find_pack
    from tests.bench.packs import gold, ours
    from tests.bench.packs.kpis import kpi_scores
    from tests.bench.packs.measures import assertion_scores, identifier_scores, quantity_scores

    made: dict[str, Any] = {}
    for name in options.pack or PACKS:
        if name == "finance":
            continue
        student = student_of(name, options.data_root, options.students, 1, exact=not options.keep_students)
        predictor = make_predictor(find_pack(name), student, n_threads=os.cpu_count() or 1)
        if name == "clinical":
            concepts, marked = gold.concepts(options.data_root, "test"), gold.identifiers(options.data_root, "test")
            made["assertions"] = _scores(assertion_scores(concepts, ours.assertions(predictor, concepts)))
            made["identifiers"] = _scores(identifier_scores(marked, ours.spans(predictor, marked, "identity")))
        else:
            quantities = gold.quantities(options.data_root, "test")
            made["quantities"] = _scores(quantity_scores(quantities, ours.spans(predictor, quantities, "quantities")))
            made["key figures"] = {label: score.row() for label, score in kpi_scores(predictor, options.data_root).items()}
    return made


def peers(options: argparse.Namespace) -> dict[str, Any]:
    """Comparison -> peer -> its scores, versions and milliseconds a text."""
    from tests.bench.packs.compare import compare
    from tests.bench.packs.peers import PEERS

    made: dict[str, Any] = {}
    for comparison, peer, chosen, answers, scores in compare(options.data_root, "test"):
        meta = {"title": PEERS[peer].title, "options": dict(chosen), "ms_per_text": round(answers.ms_per_row, 2), **answers.meta}
        made.setdefault(comparison, {})[peer] = meta | {"scores": _scores(scores)}
    return made


def robustness(options: argparse.Namespace) -> dict[str, Any]:
    """Source -> way -> attack -> score."""
    from suites.discover import find_pack
    from tests.bench.packs.robustness import robustness as measured

    return measured(find_pack("finance"), options.students / "robustness", options.data_root, ("sms_smishing", "email_phishing"), options.limit, _shown())


def few(options: argparse.Namespace) -> dict[str, Any]:
    """Source -> the learning curve."""
    from suites.discover import find_pack
    from tests.bench.packs.few import curve

    threads, folder = os.cpu_count() or 1, options.students / "few"
    return {
        source: curve(find_pack(pack), source, task, folder, options.data_root, threads, _shown())
        for pack, source, task in (("finance", "sms_smishing", "verdict"), ("environment", "environmental_claims", "claim"))
    }


def latency(options: argparse.Namespace) -> dict[str, Any]:
    """In process and over HTTP: percentiles in milliseconds. Speed does not depend on what a student has learned: one made from the samples serves."""
    from pipelines.finetune import FinetuneOptions, finetune
    from pipelines.release import released_student, student_folder
    from suites.discover import find_pack
    from tests.bench.packs.latency import in_process, messages, over_http

    pack, home = find_pack("finance"), options.students / "latency"
    home.mkdir(parents=True, exist_ok=True)
    (home / "settings.toml").write_text('[students]\nfolder = "students"\n', encoding="utf-8")
    env = {**os.environ, "STILLHOUSE_SETTINGS": str(home / "settings.toml")}
    student = finetune(pack, home / "students", FinetuneOptions(size="small"))
    for command in (["evaluate", "finance", "--no-speed"], ["release", "finance", "--student", student.id, "--experimental"]):
        subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, env=env, check=True, capture_output=True)
    folder = student_folder(home / "students", "finance", released_student(home / "students", "finance"))
    texts = messages(pack, folder, options.data_root)
    return {"messages": len(texts), "in_process": in_process(home, "finance", texts), "http": over_http(home, "finance", texts)}


def tutorial(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of all commands of the tutorial, run as they are written."""
    started = time.monotonic()
    test = "tests/test_tutorial.py::test_the_tutorial_runs_as_written"
    subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test], cwd=ROOT, check=True, capture_output=True)
    return {"seconds": round(time.monotonic() - started, 1)}


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "sets": sets,
    "comparisons": comparisons,
    "peers": peers,
    "robustness": robustness,
    "few": few,
    "latency": latency,
    "tutorial": tutorial,
}
MERGED = ("sets", "comparisons")


def rows(results: dict[str, Any]) -> list[dict[str, Any]]:
    """A row a set and task: ours, peers, what was published."""
    from tests.bench.packs.published import PEER_OF, PUBLISHED

    made = []
    for pack, measured in results.get("sets", {}).items():
        for source, by_task in measured["systems"]["student"].items():
            for task, score in by_task.items():
                if source != SAMPLES:
                    others = {
                        s: scores[source][task]["score"] for s, scores in measured["systems"].items() if s != "student" and task in scores.get(source, {})
                    }
                    row = {"pack": pack, "set": source, "task": task, "measure": score["measure"], "n": score["n"], "ours": score["score"]}
                    row |= {"interval": score["interval"], "accuracy": score["accuracy"], **others, "published": PUBLISHED.get(source, "none")}
                    made.append(row | {"peer": None})
    for comparison, chosen in PEER_OF.items():
        ours = results.get("comparisons", {}).get(comparison, {})
        for measure in chosen.measures:
            theirs = {peer: found["scores"][measure] for peer, found in results.get("peers", {}).get(comparison, {}).items() if measure in found["scores"]}
            if measure in ours:
                about = {
                    "pack": chosen.pack,
                    "set": chosen.source,
                    "task": chosen.task,
                    "measure": measure,
                    "n": ours[measure].get("n_gold", ours[measure].get("n")),
                }
                made.append({**about, "ours": ours[measure], "peer": theirs or None, "published": chosen.published})
    return made


def brief(kept: dict[str, Any]) -> dict[str, Any]:
    """The figures of a pack with labels one by one for the student's own answers alone."""
    systems = {name: scores if name == "student" else _whole(scores) for name, scores in kept["systems"].items()}
    return kept | {"systems": systems, "attacked": _whole(kept["attacked"])}


def _whole(scores: dict[str, Any]) -> dict[str, Any]:
    """Scores, however deep they lie, without those of labels."""
    return {name: _whole(inner) if isinstance(inner, dict) else inner for name, inner in scores.items() if name != "labels"}


def _scores(scores: Any) -> dict[str, Any]:
    rounded: dict[str, Any] = _rounded({name: asdict(score) for name, score in scores.items()})
    return rounded


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {str(k): _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, list | tuple) else value


def _shown() -> Callable[[str, int, int], None]:
    last = [0.0]

    def progress(what: str, done: int, total: int) -> None:
        if time.monotonic() - last[0] > 30:
            last[0] = time.monotonic()
            say(f"  {what}: {done}/{total}")

    return progress


if __name__ == "__main__":
    main()
