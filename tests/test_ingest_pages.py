"""Documents by page: each page is a document that knows its number."""

from __future__ import annotations

from pathlib import Path

from pipelines.following import paged
from suites.types import Finding
from workers.ingest import Incoming, ReadOptions, read_paths


def read(path: Path, *, by_page: bool) -> list[Incoming]:
    rows = [row for _, found in read_paths([path], ReadOptions(10_000, by_page=by_page)) for row in found]
    assert all(isinstance(row, Incoming) for row in rows)
    return [row for row in rows if isinstance(row, Incoming)]


def test_each_page_is_a_document_with_its_number(tmp_path: Path) -> None:
    """Empty pages are passed over, the others keep their number in id and findings; a text without pages stays whole."""
    (tmp_path / "report.txt").write_text("First page.\n\f\n \n\fThird page.\fFourth.", encoding="utf-8")
    (tmp_path / "single.txt").write_text("One page.", encoding="utf-8")
    pages = read(tmp_path, by_page=True)
    assert [row.key for row in pages] == ["report.txt#page=1", "report.txt#page=3", "report.txt#page=4", "single.txt"]
    third = pages[1].text
    start = third.index("Third")
    assert [f.page for f in paged(third, [Finding("t", "A", 1.0, start, start + 5)])] == [3]
    assert [row.key for row in read(tmp_path, by_page=False)] == ["report.txt", "single.txt"]


def test_a_page_whose_id_is_too_long_is_rejected(tmp_path: Path) -> None:
    """An id that the page's number makes too long is a reject with its place, and nothing is cut."""
    (tmp_path / f"{'n' * 194}.txt").write_text("One.\fTwo.", encoding="utf-8")
    rows = [row for _, found in read_paths([tmp_path], ReadOptions(10_000, by_page=True)) for row in found]
    assert [getattr(row, "code", "") for row in rows] == ["bad_id", "bad_id"]


def test_pages_without_end_are_refused(tmp_path: Path) -> None:
    """A text with more pages than a document of each can bear is one reject, with the number."""
    (tmp_path / "many.txt").write_text("a\f" * 20_000, encoding="utf-8")
    (row,) = [row for _, found in read_paths([tmp_path], ReadOptions(100_000, by_page=True)) for row in found]
    assert (getattr(row, "code", ""), "20001 pages" in getattr(row, "reason", "")) == ("too_long", True)
