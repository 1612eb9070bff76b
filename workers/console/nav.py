"""The pages of the console that the navigation lists, in its order. A page more is an entry here, and a module with its route."""

from __future__ import annotations

from typing import NamedTuple


class Page(NamedTuple):
    """One page: its path, its name, and the key that goes to it after `g`."""

    path: str
    name: str
    key: str
    words: str


PAGES = (
    Page("/jobs", "Jobs", "j", "what is being read, how fast, what failed"),
    Page("/results", "Results", "r", "a row a document"),
    Page("/findings", "Findings", "f", "a row a finding"),
    Page("/documents", "Document", "d", "one document, all that was found in it"),
    Page("/review", "Review", "v", "what the student is unsure of, to be decided"),
    Page("/charts", "Charts", "c", "labels and scores over time"),
    Page("/drift", "Drift", "i", "how far what is read lies from what the student was tried on"),
    Page("/energy", "Energy", "e", "what reading took, and what it would have taken"),
    Page("/students", "Students", "s", "who reads, and how two of them differ"),
    Page("/sql", "SQL", "q", "ask the store"),
    Page("/tables", "Tables", "t", "what there is to ask"),
)
