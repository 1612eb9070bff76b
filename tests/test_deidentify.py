"""Texts without their identifiers: what stands in their place, and that it is the same for the same patient."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.deidentify import FORMATS, Deidentifying
from pipelines.placeholders import without_placeholders
from suites.types import Deidentify, DeidentifyMode, Finding

PLAN = Deidentify(task="identity", dates=("DATE",), ages=("AGE_OVER_89",))
TEXT = "Ann Lee, 94, seen 03/07/2019 and again 3 August 2019.\nANN LEE phoned 555 0100."


def findings(text: str = TEXT) -> list[Finding]:
    found = [("NAME", "Ann Lee", None), ("AGE_OVER_89", "94", None), ("DATE", "03/07/2019", "2019-03-07"), ("DATE", "3 August 2019", "2019-08-03")]
    found += [("NAME", "ANN LEE", None), ("PHONE", "555 0100", None)]
    return [Finding("identity", label, 0.9, text.index(word), text.index(word) + len(word), value=value) for label, word, value in found]


def made(mode: DeidentifyMode, patient: str = "p1", key: bytes = b"k", text: str = TEXT, found: Sequence[Finding] | None = None) -> str:
    return Deidentifying(PLAN, mode, key).text(text, findings() if found is None else found, patient)


def test_each_mode_leaves_nothing_of_an_identifier() -> None:
    """A mask keeps every place, a label says what stood there, an age over 89 is 90+."""
    assert made("mask") == "*** ***, **, seen ********** and again * ****** ****.\n*** *** phoned *** ****."
    assert made("label") == "[NAME], 90+, seen [DATE] and again [DATE].\n[NAME] phoned [PHONE]."


def test_pseudonyms_follow_a_name_through_all_documents() -> None:
    """However a name is set it has one pseudonym under one key, another under another; a name and a phone never share one."""
    name = re.findall(r"\[(NAME-[a-f][0-9a-f]{10})\]", made("hash"))
    assert len(name) == 2
    assert len(set(name)) == 1
    assert name[0] in made("hash", patient="p2")
    assert name[0] not in made("hash", key=b"another")
    assert "[DATE]" in made("hash")


def test_dates_of_a_patient_move_together() -> None:
    """Intervals and the way dates are written stay, the days depend on the patient, and no date moves forward."""
    first, second = re.findall(r"(\d\d/\d\d/\d{4}) and again (\d{1,2} [A-Z][a-z]+ \d{4})", made("shift"))[0]
    months = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]
    day, month, year = second.split()
    dates = [date(int(first[6:]), int(first[:2]), int(first[3:5])), date(int(year), months.index(month) + 1, int(day))]
    assert dates[1] - dates[0] == date(2019, 8, 3) - date(2019, 3, 7)
    assert date(2018, 3, 6) < dates[0] < date(2019, 3, 7)
    assert len({made("shift", patient=f"p{i}") for i in range(20)}) > 15
    assert made("shift") == made("shift")
    assert made("shift", key=b"another") != made("shift")


@given(st.sampled_from(FORMATS), st.dates(date(1990, 1, 1), date(2060, 1, 1)), st.booleans())
def test_a_shifted_date_is_written_as_it_was(form: str, day: date, padded: bool) -> None:
    """For every known form the shifted date reads back as the day moved by the patient's days, with leading zeros where there were some."""
    # without signs between them numbers have all their digits
    padded = padded or form == "%Y%m%d"
    written = day.strftime(form if padded else form.replace("%d", str(day.day)).replace("%m", str(day.month)))
    how = Deidentifying(PLAN, "shift", b"k")
    shifted = how.text(written, [Finding("identity", "DATE", 1.0, 0, len(written), value=day.isoformat())], "p")
    moved = day - timedelta(days=how.days("p"))
    # a form that cannot be told from another for this day may be taken for it; the day is right in one of them
    read = {datetime.strptime(shifted, f).date() for f in FORMATS if _reads(shifted, f)}
    assert moved in read, (written, shifted)
    if "%B" in form and padded:
        assert shifted == moved.strftime(form)


def _reads(written: str, form: str) -> bool:
    try:
        datetime.strptime(written, form)
    except ValueError:
        return False
    return True


def test_a_year_keeps_its_zero() -> None:
    """Of dates without leading zeros the year keeps its own."""
    found = [Finding("identity", "DATE", 1.0, 0, 8, value="2010-12-31")]
    assert re.fullmatch(r"\d{1,2}/\d{1,2}/(09|10)", made("shift", text="12/31/10", found=found))


def test_scripts_and_forms_are_told_apart() -> None:
    """Names of other vowels have other pseudonyms in any script; one name in two normal forms has one."""
    how = Deidentifying(PLAN, "hash", b"k")
    assert how.pseudonym("NAME", "राम") != how.pseudonym("NAME", "रमा")
    assert how.pseudonym("NAME", "Jos\u00e9") == how.pseudonym("NAME", "Jose\u0301") != how.pseudonym("NAME", "Jose")


def test_patients_are_told_apart_by_every_sign() -> None:
    """Two numbers that differ in their dashes are two patients: neither pseudonym nor shift is one."""
    how = Deidentifying(PLAN, "shift", b"k")
    assert how.meta({"patient": "MRN 12-3"}, "")["patient"] != how.meta({"patient": "MRN 1-23"}, "")["patient"]
    assert len({how.days(f"{a}-{b}") for a, b in (("12", "3"), ("1", "23"), ("123", ""))}) > 1


def test_pseudonyms_do_not_look_like_numbers() -> None:
    """Each begins with a letter, so that a number in brackets is never taken for one."""
    how = Deidentifying(PLAN, "hash", b"k")
    assert all(re.fullmatch(r"ID-[a-f][0-9a-f]{10}", how.pseudonym("ID", str(i))) for i in range(200))
    text = "Call [PHONE-2025550143] or [NAME-20255501431]."
    found = [Finding("identity", "PHONE", 1.0, 12, 22), Finding("identity", "NAME", 1.0, 27, 46)]
    assert without_placeholders(text, found, "identity", ["PHONE", "NAME"]) == found


@pytest.mark.parametrize("value", [None, "2019-03", "--03-07", "2019-13-01"])
def test_a_date_without_a_day_is_not_guessed(value: str | None) -> None:
    """A date whose day is not known is named, not shifted."""
    assert made("shift", text="March 2019", found=[Finding("identity", "DATE", 1.0, 0, 10, value=value)]) == "[DATE]"


def test_overlapping_findings_hide_all_they_cover() -> None:
    """Where two findings overlap nothing of either stays; findings of other tasks hide nothing."""
    found = [Finding("identity", "NAME", 0.9, 0, 7), Finding("identity", "NAME", 0.9, 4, 11), Finding("problems", "PROBLEM", 0.9, 12, 15)]
    assert made("label", text="Ann Lee May ill", found=found) == "[NAME][NAME] ill"
    assert made("mask", text="Ann Lee May ill", found=found) == "*** *** *** ill"


def test_metadata_stay_only_where_they_are_named() -> None:
    """Patient and encounter become pseudonyms, names that may stay do, and all else is left out."""
    how = Deidentifying(PLAN, "label", b"k", frozenset({"kind", "patient"}))
    meta = how.meta({"kind": "note", "patient": "Patient/17", "author": "Dr. Lee", "encounter": None, "date": "2024-02-01"}, "p1")
    assert meta == {"kind": "note", "patient": how.meta({"patient": " Patient/17 "}, "")["patient"]}
    assert how.meta({"patient": "Patient/1 7"}, "")["patient"] != meta["patient"] != "Patient/17"
    assert how.meta({"patient": "", "encounter": " "}, "p1") == {}


def test_what_a_reader_of_files_counts_stays() -> None:
    """That a text was cut, or has pages without text, is known of it still; words under these names do not stay."""
    meta = {"truncated": True, "n_pages_without_text": 3, "nul_replaced": "John Smith", "title": "x"}
    assert Deidentifying(PLAN, "label", b"k").meta(meta, "p1") == {"truncated": True, "n_pages_without_text": 3}


@pytest.mark.parametrize(("written", "moves"), [("2019-03-07", True), ("2019-03-07T08:30:00+01:00", True), ("2019-03", False), ("7 March", False)])
def test_the_date_of_a_document_moves_with_those_in_its_text(written: str, moves: bool) -> None:
    """Shifted by its patient's days, to the day; one without a day is left out, even where dates may stay."""
    how = Deidentifying(PLAN, "shift", b"k", frozenset({"date"}))
    meta = how.meta({"date": written}, "p1")
    assert meta == ({"date": (date(2019, 3, 7) - timedelta(days=how.days("p1"))).isoformat()} if moves else {})


@pytest.mark.parametrize("mode", ["label", "hash"])
def test_what_is_hidden_is_found_no_more(mode: DeidentifyMode) -> None:
    """A placeholder that looks like a name is none; a name beside one still is, and so is a finding of another task."""
    text = made(mode) + " [LABEL] [NAME] Lee"
    start, end = text.index("["), text.index("]") + 1
    last = text.rindex("[")
    beside = [Finding("identity", "NAME", 0.9, last, len(text)), Finding("problems", "PROBLEM", 0.9, start, end)]
    beside.append(Finding("identity", "NAME", 0.9, text.index("[LABEL]"), text.index("[LABEL]") + 7))
    inside = [Finding("identity", "NAME", 0.9, start, end), Finding("identity", "ID", 0.9, start + 1, end - 1)]
    two = made(mode) + "\n[NAME] [DATE]"
    inside.append(Finding("identity", "ID", 0.9, len(two) - len("[NAME] [DATE]"), len(two) - 1))  # from one into the next
    assert without_placeholders(text, [*inside[:2], *beside], "identity", ["NAME", "DATE"]) == beside
    assert without_placeholders(two, inside[2:], "identity", ["NAME", "DATE"]) == []
