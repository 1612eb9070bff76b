"""What int8 loses, set by set: `make results-int8 DATA=folder`. It may be stopped at any time and goes on.

For each real set of the distillation table the small student (every second layer, trimmed vocabulary, no teacher) is fine-tuned on
at most 1,000 train rows, and reads dev and test on every engine that can run here. A set is a line of
docs/results/int8_quality.jsonl: the scores on test and on dev of fp32 and int8, and the share of answers that are the same.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from suites.types import Example
from tests.bench.distillation import STUDENT, Run, _answers, _counted, say, split
from tests.bench.distillation_table import RESULTS, score_of
from tests.bench.sets import SETS, empty_folder, set_pack

ROOT = Path(__file__).parent.parent.parent
LINES = "int8_quality.jsonl"
# train rows of a set: what is asked is how a student's answers change, not how good they are
CAP = 1000
# the bound that [gate] compressed_loss has by default
BOUND = 0.005


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--set", choices=tuple(SETS), action="append", help="this set alone; may be repeated")
    parser.add_argument("--cap", type=int, default=CAP, help=f"train rows at most (default: {CAP})")
    parser.add_argument("--minutes", type=float, help="begin no further set after so long")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    ends = None if options.minutes is None else time.monotonic() + options.minutes * 60
    path = options.results / LINES
    for name in options.set or SETS:
        if name in {line["set"] for line in read_lines(path)}:
            continue
        if ends is not None and time.monotonic() > ends:
            say("time is up; the same command goes on")
            break
        line = measured(name, options.data_root, options.cap)
        with path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(line) + "\n")
        say(f"  {line['test']}")
    (options.results / "int8_quality.md").write_text(markdown(read_lines(path)), encoding="utf-8")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The sets that have a line."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def measured(name: str, data_root: Path, cap: int) -> dict[str, Any]:
    """One set's line."""
    from pipelines.finetune import FinetuneOptions, finetuned

    say(name)
    work = ROOT / "var" / "int8-quality"
    pack = set_pack(name, data_root, empty_folder(work / "pack"), STUDENT)
    parts = split(Run(SETS[name], 1, None), pack, data_root, cap)
    student = finetuned(pack, work / name, parts.examples, FinetuneOptions(seed=1, encoder="none"))
    line: dict[str, Any] = {"set": name, "kind": SETS[name].kind, "cap": cap, "n_train": len(parts.train)}
    for part, examples in (("test", parts.judged["judged"]), ("dev", parts.dev)):
        line[part] = {"n": len(examples)} | _compared(pack, student, examples)
    shutil.rmtree(work / name)
    return line


def _compared(pack: Any, student: Any, examples: Sequence[Example]) -> dict[str, float]:
    """The score of each engine and the share of answers, of either, that both give."""
    from pipelines.engines import usable
    from pipelines.evaluate import findings
    from pipelines.predict import make_predictor

    name = pack.manifest.data[0].name
    found = {e: findings(make_predictor(pack, student, n_threads=os.cpu_count() or 1, engine=e), examples) for e in usable(student.folder)}
    scores = {engine: round(score_of(SETS[name].kind, _counted(pack, examples, f)["labels"]), 4) for engine, f in found.items()}
    small, full = (_answers(name, found[engine]) for engine in ("int8", "f32"))
    return {**scores, "same": round(len(small & full) / max(1, len(small | full)), 4)}


def markdown(lines: Sequence[Mapping[str, Any]]) -> str:
    """The table for people."""
    made = ["# What int8 loses, set by set", "", "Written by `make results-int8`: the small student without a teacher, one seed, at most 1,000 train rows.", ""]
    made += ["Scores as in [distillation.md](distillation.md); same: the share of answers, of either engine, that both give.", ""]
    heads = ["set", "test rows", "fp32", "int8", "lost", "same", "dev rows", "fp32", "int8", "lost"]
    made += [f"| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 1)]
    for line in sorted(lines, key=lambda line: list(SETS).index(line["set"])):
        test, dev = line["test"], line["dev"]
        lost = [f"{part['f32'] - part['int8']:+.4f}" for part in (test, dev)]
        cells = [test["n"], test["f32"], test["int8"], lost[0], test["same"], dev["n"], dev["f32"], dev["int8"], lost[1]]
        made.append(f"| {line['set']} | {' | '.join(str(c) for c in cells)} |")
    n_held = sum(round(line["test"]["f32"] - line["test"]["int8"], 4) <= BOUND for line in lines)
    return "\n".join([*made, "", f"{n_held} of {len(lines)} sets lose at most {BOUND} on test."]) + "\n"


if __name__ == "__main__":
    main()
