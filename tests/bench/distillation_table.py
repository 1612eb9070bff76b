"""The table of distillation, made of the lines of its runs: docs/results/distillation.json and .md."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

from tests.bench.sets import SETS, Set

RESULTS = Path(__file__).parent.parent.parent / "docs" / "results"
SYSTEMS = ("baseline", "teacher", "student_plain", "student", "compressed")


def write_table(lines: Sequence[Mapping[str, Any]], speed_record: Path, results: Path, n_folds: int) -> None:
    """Writes the table from the lines that are there, of some sets and runs perhaps."""
    by_set: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for line in lines:
        by_set[line["set"]].append(line)
    rows = [row_of(SETS[name], sorted(by_set[name], key=lambda line: int(line["seed"])), n_folds) for name in SETS if name in by_set]
    speed = json.loads(speed_record.read_text(encoding="utf-8")) if speed_record.exists() else {}
    largest = {s: max((line["parameters"][s] for lines in by_set.values() for line in lines), default=None) for s in ("teacher", "student")}
    record = {
        "teacher_parameters": largest["teacher"],
        "student_parameters": largest["student"],
        "speedup": speed.get("speedup", {}).get("f32"),
        "speed": speed,
        "distilled_encoders": {SETS[name].domain: lines[-1]["distill"] for name, lines in by_set.items()},
        "rows": rows,
    }
    (results / "distillation.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (results / "distillation.md").write_text(markdown(record), encoding="utf-8")


def markdown(record: Mapping[str, Any]) -> str:
    """The table for people."""
    lines = ["# Distillation, set by set", ""]
    lines += ["Written by `make results-distillation`; how it is measured stands in [distillation.md](../distillation.md).", ""]
    if record["student_parameters"]:
        share = 1 - record["student_parameters"] / record["teacher_parameters"]
        sizes = f"teacher {record['teacher_parameters']:,}, student {record['student_parameters']:,} ({share:.1%} fewer)"
        lines.append(f"Parameters, heads included, of the largest of each: {sizes}.")
    for precision, ratio in record["speed"].get("speedup", {}).items():
        speeds = record["speed"]["tokens_per_second"][precision]
        times = f"teacher {speeds['teacher']:,} tokens/s, student {speeds['student']:,}, {ratio:.2f} times"
        lines.append(f"Speed in {precision}: {times} ({record['speed']['machine']}).")
    heads = ["set", "metric", "judged by", "TF-IDF", "teacher", "student, no distillation", "student, distilled", "compressed", "kept", "calibration error"]
    lines += ["", f"| {' | '.join(heads)} |", "|---|---|---|" + "---:|" * 7]
    for row in record["rows"]:
        figures = [f"{row[s]:.3f}" for s in SYSTEMS]
        lines.append(f"| {row['set']} | {row['metric']} | {row['judged_by']} | {' | '.join(figures)} | {row['kept']:.1%} | {row['calibration_error']:.3f} |")
    lines += ["", "On the test splits (means over the same runs):", ""]
    heads = ["set", "TF-IDF", "teacher", "student, no distillation", "student, distilled", "compressed", "kept", "calibration error", "published"]
    lines += [f"| {' | '.join(heads)} |", "|---|" + "---:|" * 7 + "---|"]
    for row in record["rows"]:
        figures = [*(f"{row['test'][s]:.3f}" for s in SYSTEMS), f"{row['test']['kept']:.1%}", f"{row['test']['calibration_error']:.3f}"]
        lines.append(f"| {row['set']} | {' | '.join(figures)} | {row['published']} |")
    lines += [
        "",
        "Minutes of one fine-tuning, the median of the runs:",
        "",
        "| set | rows | teacher | student, no distillation | student, distilled |",
        "|---|" + "---:|" * 4,
    ]
    for row in record["rows"]:
        lines.append(f"| {row['set']} | {row['n_train']:,} | {' | '.join(str(row['minutes'][s]) for s in ('teacher', 'student_plain', 'student'))} |")
    return "\n".join([*lines, ""])


def score_of(kind: str, counts: Mapping[str, Sequence[int]]) -> float:
    """Macro-F1 of a choice over the labels that occur in gold, micro-F1 of tags and spans."""
    if kind == "choice":
        return fmean(2 * right / (gold + found) for right, gold, found in counts.values() if gold)
    right, gold, found = (sum(c[k] for c in counts.values()) for k in range(3))
    return 2 * right / (gold + found) if gold + found else 0.0


def added(counted: Sequence[Mapping[str, Any]]) -> dict[str, list[int]]:
    """The label counts of several runs, added up."""
    total: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for one in counted:
        for label, counts in one["labels"].items():
            total[label] = [a + b for a, b in zip(total[label], counts, strict=True)]
    return dict(total)


def calibration_error_of(counted: Sequence[Mapping[str, Any]]) -> float:
    """The expected calibration error of several runs' answers together."""
    total: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for one in counted:
        for place, n, scores, right in one["bins"]:
            total[place] = [a + b for a, b in zip(total[place], (n, scores, right), strict=True)]
    n_answers = sum(n for n, _, _ in total.values())
    return sum(abs(scores - right) for _, scores, right in total.values()) / n_answers if n_answers else 0.0


def row_of(chosen: Set, lines: Sequence[Mapping[str, Any]], n_folds: int) -> dict[str, Any]:
    """One row of the table from a set's runs: folds are judged together, seeds by the mean of their scores."""
    by_folds = lines[0]["fold"] is not None
    row: dict[str, Any] = {
        "set": chosen.name,
        "metric": {"choice": "macro_f1", "tags": "micro_f1", "spans": "span_f1"}[chosen.kind],
        "seeds": [line["seed"] for line in lines],
        "judged_by": f"{len(lines)} of {n_folds} folds of train and dev" if by_folds else "test split",
        "n_train": round(fmean(line["n_train"] for line in lines)),
    }
    scores = {s: _figure(chosen.kind, [line["judged"][s] for line in lines], together=by_folds) for s in SYSTEMS}
    row |= {s: round(v, 4) for s, v in scores.items()}
    row["kept"] = _kept(scores["student"], scores["teacher"])
    row["kept_without_distillation"] = _kept(scores["student_plain"], scores["teacher"])
    row["calibration_error"] = round(calibration_error_of([line["judged"]["student"] for line in lines]), 4)
    row["spread"] = {s: [round(score_of(chosen.kind, line["judged"][s]["labels"]), 4) for line in lines] for s in SYSTEMS}
    on_test = "test" if by_folds else "judged"
    row["test"] = {s: round(_figure(chosen.kind, [line[on_test][s] for line in lines], together=False), 4) for s in SYSTEMS}
    row["test"]["kept"] = _kept(row["test"]["student"], row["test"]["teacher"])
    row["test"]["calibration_error"] = round(fmean(calibration_error_of([line[on_test]["student"]]) for line in lines), 4)
    row["minutes"] = {s: round(median(line["seconds"][s] for line in lines) / 60, 1) for s in ("teacher", "student_plain", "student")}
    row["published"] = chosen.published
    return row


def _kept(student: float, teacher: float) -> float:
    return round(student / teacher, 4) if teacher else 0.0


def _figure(kind: str, counted: Sequence[Mapping[str, Any]], *, together: bool) -> float:
    return score_of(kind, added(counted)) if together else fmean(score_of(kind, one["labels"]) for one in counted)
