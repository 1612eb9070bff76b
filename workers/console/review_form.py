"""What a reviewer's form says of a finding, done; and told in a sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping

from suites.discover import Pack
from suites.errors import UsageError, unknown
from workers.reviews import FindingKey
from workers.reviews.judged import ACCEPTED, ADDED, CORRECTED, REJECTED
from workers.reviews.sitting import Decision, Sitting

# it was erased, or read anew: it cannot be decided any more
GONE = frozenset({"no_finding", "no_document"})
# Enter in a field decides nothing: it may be meant either way
UNSAID = "Say what the words are: those that were meant here, or some that were missed."
NOTHING = "Nothing of this sitting is there to be taken back."
# offsets of the longest text, and numbers of documents
DIGITS = 18
# of the columns
MOST_OFFSET = 2**31 - 1
NO_FINDING = "The form names no finding. Load the page again."
_TYPES = (int, str, str, str, int, int, int, int)


def key_told(key: FindingKey) -> str:
    """A finding's key as one field of a form."""
    return json.dumps(list(key), ensure_ascii=False)


def acted(sitting: Sitting, pack: Pack, given: Mapping[str, str]) -> str:
    """Does what the form says; gives what is to be told of it, also where it could not be done. Raises UsageError where it names no finding."""
    if given.get("do") == "undo":
        return _undone(sitting, given.get("last", ""))
    key = _key(given)
    if given.get("do") == "skip":
        sitting.skip(key)
        return "Passed over. In this sitting it does not come again."
    try:
        _decided(sitting, pack, key, given)
    except UsageError as error:
        if error.code in GONE:
            sitting.skip(key)
        return error.message
    return f"{_told(sitting.decided[-1])[0].upper()}{_told(sitting.decided[-1])[1:]}."


def _undone(sitting: Sitting, meant: str) -> str:
    """Takes back the decision that the page named as the last one: where another came since, by another window or a second click, it stays."""
    if not sitting.decided or key_told(sitting.decided[-1].key) != meant:
        return "Nothing was taken back: that decision is not the last one of this sitting any more." if meant else NOTHING
    last = sitting.undo()
    assert last is not None
    return f"Taken back: {_told(last)}."


def _decided(sitting: Sitting, pack: Pack, key: FindingKey, given: Mapping[str, str]) -> None:
    do = given.get("do", "")
    if do in (ACCEPTED, REJECTED):
        sitting.decide(key, do)
    elif do == ADDED:
        sitting.decide(_added(pack, key, given), ADDED)
    elif do == "move":
        _moved(sitting, pack, key, given)
    elif "label" in given:
        sitting.decide(key, CORRECTED, new_label=given["label"])
    else:
        raise UsageError(UNSAID if do == "none" else unknown("decision", do, [ACCEPTED, REJECTED, "label", "move", ADDED, "skip", "undo"]), "bad_form")


def _moved(sitting: Sitting, pack: Pack, key: FindingKey, given: Mapping[str, str]) -> None:
    """Another range, another label, or both."""
    task, label = _answer(pack, given)
    if task != key.task:
        raise UsageError(f"This is a finding of {key.task}: it cannot become one of {task}. Reject it, and add that one.", "bad_label")
    start, end = _number(given, "start"), _number(given, "end")
    is_moved = (start, end) != (key.start, key.end)
    new = {"new_start": start, "new_end": end} if is_moved else {}
    sitting.decide(key, CORRECTED, new_label=None if label == key.label else label, **new)


def _added(pack: Pack, key: FindingKey, given: Mapping[str, str]) -> FindingKey:
    """A finding that the student missed in the document of this one."""
    task, label = _answer(pack, given)
    is_whole = task in pack.tasks and pack.tasks[task].kind == "tags"
    start, end = (0, _number(given, "n_chars")) if is_whole else (_number(given, "start"), _number(given, "end"))
    return FindingKey(key.document_id, key.student_id, task, label, start, end)


def _answer(pack: Pack, given: Mapping[str, str]) -> tuple[str, str]:
    """Task and label of the field `as`."""
    task, slash, label = given.get("as", "").partition("/")
    if not slash:
        raise UsageError("as: expected TASK/LABEL.", "bad_form")
    return task, label


def _number(given: Mapping[str, str], name: str) -> int:
    value = given.get(name, "").strip()
    if not (value.isascii() and value.isdecimal() and len(value) <= DIGITS and int(value) <= MOST_OFFSET):
        raise UsageError(f"{name}: expected a whole number. Mark the words in the text, or type where they begin and end.", "bad_range")
    return int(value)


def _key(given: Mapping[str, str]) -> FindingKey:
    """Raises UsageError."""
    try:
        parts = json.loads(given.get("key", ""))
    except (ValueError, RecursionError):
        parts = None
    if not isinstance(parts, list) or len(parts) != len(_TYPES) or any(type(part) is not kind for part, kind in zip(parts, _TYPES, strict=True)):
        raise UsageError(NO_FINDING, "bad_form")
    number, *offsets = (part for part in parts if isinstance(part, int))
    if not 0 < number < 10**DIGITS or not all(0 <= offset <= MOST_OFFSET for offset in offsets):
        raise UsageError(NO_FINDING, "bad_form")
    # half of a surrogate pair is no text, and NUL none that PostgreSQL takes
    if any(char == "\x00" or "\ud800" <= char <= "\udfff" for part in parts if isinstance(part, str) for char in part):
        raise UsageError(NO_FINDING, "bad_form")
    return FindingKey(*parts)


def _told(decision: Decision) -> str:
    key = decision.key
    said = {ACCEPTED: "accepted", REJECTED: "rejected", CORRECTED: "corrected", ADDED: "added"}[decision.verdict]
    return f"{said}, {key.task} {key.label} of document {key.document_id}"
