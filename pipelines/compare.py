"""A student beside all that it is compared with: majority, TF-IDF, its teacher, the same student untaught, its compressed form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.attacks import ATTACKS, attacked, harmless
from pipelines.baselines import tfidf_scores
from pipelines.engines import Name, compressed_engines
from pipelines.evaluate import (
    SYSTEMS,
    Evaluation,
    Found,
    Scores,
    all_form_scores,
    calibrations,
    findings,
    held_out,
    majority_scores,
    policy_scores,
    raw,
    score_found,
)
from pipelines.examples import absent, read_examples
from pipelines.family import births, family, is_own_teacher
from pipelines.gate import compressed_problems
from pipelines.metrics import N_RESAMPLES, TaskScore
from pipelines.predict import Predictor, make_predictor
from pipelines.progress import OnProgress, silent
from pipelines.speed import machine, n_parameters, tokens_per_second
from pipelines.student import Student, load_student
from suites.discover import Pack
from suites.errors import StudentError
from suites.samples import Split
from suites.types import Example, Finding

FULL: Name = "f32"
# of the disguises that a student is judged on: training draws its own with the seed of the student
ATTACK_SEED = 1_000_003


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """What a user may choose for one comparison.

    `report`: also what a card shows and the gate does not look at: the student's other seeds, the
    student without a teacher, and the calibration without what was fitted on dev.
    """

    split: Split = "test"
    data_root: Path | None = None
    sources: tuple[str, ...] | None = None
    baseline: bool = True
    report: bool = True
    speed: bool = True
    n_threads: int = 1
    trusted: tuple[str, ...] = ()


def compare(pack: Pack, student: Student, students: Path, options: CompareOptions, on_progress: OnProgress = silent) -> Evaluation:
    """The scores of every system that is there, all on the same examples, and how large and fast the students are."""
    examples = held_out(pack, options.split, data_root=options.data_root, sources=options.sources)
    members = _members(pack, student, students, report=options.report)
    without_fit, full = _read(pack, student, members, examples, options, on_progress)
    engine, compressed = _compressed(pack, student, examples, full[student.id], options, on_progress)
    found = {system: [full[member.id] for member in kin] for system, kin in members.items()}
    # the figures are of the student itself and of those that taught it; their other seeds stand in `per_seed`
    own = _own(student)
    answers = {system: [full[member.id] for member in kin if system == "plain" or member.id in own] for system, kin in members.items()}
    answers["compressed"] = [compressed]
    systems = {system: score_found(pack, examples, *several, n_resamples=N_RESAMPLES) for system, several in answers.items()}
    systems["majority"] = majority_scores(pack, examples)
    if linear := _baseline(pack, examples, options, on_progress):
        systems["tfidf"] = linear
    return Evaluation(
        student=student.id,
        split=options.split,
        systems={system: systems[system] for system in SYSTEMS if system in systems},
        members={system: [member.id for member in kin] for system, kin in members.items()},
        per_seed={system: _per_seed([score_found(pack, examples, f) for f in several]) for system, several in found.items()},
        calibration=calibrations(pack, examples, found["student"][0], without_fit),
        size=_sizes(members),
        compressed_as=engine,
        speed=_speeds(members, examples, engine, options, on_progress) if options.speed else {},
        machine=machine(options.n_threads) if options.speed else "",
        forms=all_form_scores(pack, examples, found["student"][0]),
        policy=policy_scores(pack, examples, found["student"][0]),
        attacked=_attacked(pack, student, examples, found["student"][0], options, on_progress) if options.report else {},
        gaps=tuple(_gaps(pack, student, members, options)),
    )


def _attacked(
    pack: Pack, student: Student, examples: Sequence[Example], full: Sequence[Sequence[Finding]], options: CompareOptions, on_progress: OnProgress
) -> dict[str, dict[str, TaskScore]]:
    """The student's scores on disguised messages, where the pack says against what it is hardened; the harmless text around them is of train."""
    plan = pack.manifest.robustness
    if plan is None:
        return {}
    reader = _reader(pack, student, FULL, options)
    benign = harmless(read_examples(pack, "train", data_root=options.data_root, sources=options.sources), plan)
    plain = score_found(pack, examples, full, n_resamples=N_RESAMPLES)
    made = {"plain": {source: by_task[plan.task] for source, by_task in plain.items() if plan.task in by_task}}
    for attack in ATTACKS:
        disguised = attacked(examples, plan, attack, ATTACK_SEED, benign)
        scores = score_found(pack, disguised, findings(reader, disguised, on_progress, f"disguised: {attack}"), n_resamples=N_RESAMPLES)
        made[attack] = {source: by_task[plan.task] for source, by_task in scores.items()}
    return made


def _gaps(pack: Pack, student: Student, members: Mapping[str, Sequence[Student]], options: CompareOptions) -> Iterator[str]:
    """What the student was made from and is not scored on or beside: what is left would judge it too mildly."""
    not_there = absent(pack, options.data_root)
    for source in student.birth.data:
        if source in not_there:
            yield f"{source}: the student learned from this source, and it is not there to be scored on: set [data] root or --data-root"
        elif options.sources is not None and source not in options.sources:
            yield f"{source}: the student learned from this source, and --source leaves it out"
    there = {member.id for member in members.get("teacher", ())}
    if there:  # without any there is no teacher's score, and the gate says so
        gone = [teacher for teacher in student.birth.teachers if teacher not in there]
        yield from (f"teacher {teacher} is gone: restore its folder, or fine-tune again" for teacher in gone)


def _own(student: Student) -> set[str]:
    return {student.id, *student.birth.teachers}


def _members(pack: Pack, student: Student, students: Path, *, report: bool) -> dict[str, list[Student]]:
    """The students of each system, loaded; without a report the student itself and those that taught it."""
    known = births(students, pack.name) | {student.id: student.birth}
    systems = family(student.id, known, own_teacher=is_own_teacher(student.birth, pack.manifest.student))
    if not report:
        systems = {system: kept for system, ids in systems.items() if (kept := [i for i in ids if i in _own(student)])}
    loaded = {student.id: student}
    for other in {i for ids in systems.values() for i in ids} - {student.id}:
        try:
            loaded[other] = load_student(students / pack.name / other)
        except StudentError:
            if other in _own(student):
                raise
            # of the others one that is damaged, or from before, is left out
    return {system: there for system, ids in systems.items() if (there := [loaded[i] for i in ids if i in loaded])}


def _read(
    pack: Pack,
    student: Student,
    members: Mapping[str, Sequence[Student]],
    examples: Sequence[Example],
    options: CompareOptions,
    on_progress: OnProgress,
) -> tuple[Found | None, dict[str, Found]]:
    """The findings of the student's raw heads, and of each member by id: one may be of two systems."""
    unique = {member.id: member for kin in members.values() for member in kin}
    total = len(unique) + options.report
    numbers = iter(range(1, total + 1))

    def read(reader: Student, name: str) -> Found:
        return findings(_reader(pack, reader, FULL, options), examples, on_progress, f"{name} ({next(numbers)} of {total})")

    without_fit = read(raw(student), "raw heads") if options.report else None
    return without_fit, {i: read(member, i) for i, member in unique.items()}


def _compressed(pack: Pack, student: Student, examples: Sequence[Example], full: Found, options: CompareOptions, on_progress: OnProgress) -> tuple[Name, Found]:
    """The fastest engine on which the student loses no more than [gate] compressed_loss, or the last that was tried, and its findings there."""
    own = score_found(pack, examples, full)
    for engine in compressed_engines(student.folder):
        found = findings(_reader(pack, student, engine, options), examples, on_progress, f"compressed, {engine}")
        systems = {"student": own, "compressed": score_found(pack, examples, found)}
        if not compressed_problems(pack, Evaluation(student=student.id, split=options.split, systems=systems)):
            break
    return engine, found


def _reader(pack: Pack, student: Student, engine: Name, options: CompareOptions) -> Predictor:
    return make_predictor(pack, student, n_threads=options.n_threads, engine=engine, trusted=options.trusted)


def _baseline(pack: Pack, examples: Sequence[Example], options: CompareOptions, on_progress: OnProgress) -> Scores:
    """TF-IDF + linear, trained on the train split of the same sources; nothing where it was not asked for."""
    if not options.baseline:
        return {}
    train = read_examples(pack, "train", data_root=options.data_root, sources=options.sources)
    return tfidf_scores(pack, train, examples, n_resamples=N_RESAMPLES, on_progress=on_progress)


def _per_seed(scores: Sequence[Scores]) -> dict[str, dict[str, list[float]]]:
    return {source: {task: [s[source][task].score for s in scores] for task in by_task} for source, by_task in scores[0].items()}


def _sizes(members: Mapping[str, Sequence[Student]]) -> dict[str, int]:
    sizes = {system: n_parameters(members[system][0].folder) for system in ("teacher", "student") if system in members}
    return sizes | {"compressed": sizes["student"]}


def _speeds(
    members: Mapping[str, Sequence[Student]], examples: Sequence[Example], engine: Name, options: CompareOptions, on_progress: OnProgress
) -> dict[str, float]:
    """The first teacher, the student and the compressed student; one that is its own teacher is measured once."""
    student, *_ = members["student"]
    timed = {"student": (student, FULL), "compressed": (student, engine)}
    teacher = next(iter(members.get("teacher", ())), None)
    if teacher is not None and teacher.id != student.id:
        timed["teacher"] = (teacher, FULL)
    speeds = tokens_per_second(timed, [e.document.text for e in examples], n_threads=options.n_threads, on_progress=on_progress)
    return speeds if teacher is None or teacher.id != student.id else speeds | {"teacher": speeds["student"]}
