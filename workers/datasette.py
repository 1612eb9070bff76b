"""Metadata for Datasette 0.65: what each table, view and column holds, worked queries, and what is not shown.

docs.datasette.io/en/stable/metadata.html. Datasette 1.0 keeps queries and permissions in datasette.yaml: it is not written for.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pysqlite3.dbapi2 as driver

from suites.discover import Pack
from suites.errors import StoreError
from workers.copy_store import readable
from workers.dictionary import Entry, data_dictionary
from workers.query import FORBIDDEN
from workers.roles import ALEMBIC

HIDDEN = {"views", ALEMBIC}
# what a row is called where another refers to it
LABELS = {"jobs": "name", "documents": "key", "sources": "label"}


def datasette_metadata(packs: Iterable[Pack], file: Path) -> dict[str, Any]:
    """The metadata of one SQLite file: a store, or a copy of one. Raises StoreError where it is none.

    Of a store all is denied that analysts may not read, and SQL of their own as a whole: Datasette asks for rights on tables where
    it shows tables, and not where somebody writes SQL. Of a copy, which holds nothing to hide, neither.
    """
    there = _columns(file)
    has_texts = not there.keys().isdisjoint(FORBIDDEN)
    entries = [entry for entry in data_dictionary(packs) if entry["name"] in there]
    shown = {e["name"] for e in entries if e["kind"] == "view" or e["name"].endswith("_rows") or e["name"] in _readable_as_whole(has_texts)}
    tables = {entry["name"]: _table(entry, there[entry["name"]]) for entry in entries if entry["name"] in shown}
    tables |= {name: {"allow": False} for name in sorted(there.keys() - shown) if has_texts}
    for name in HIDDEN & there.keys():
        tables[name] = tables.get(name, {}) | {"hidden": True}
    database: dict[str, Any] = {
        "description": "Findings of documents, without their texts. Queries below are worked examples.",
        "tables": tables,
        "queries": _queries([entry for entry in entries if entry["name"] in shown]),
    }
    if has_texts:
        database["allow_sql"] = False
    return {"title": "Stillhouse", "databases": {file.stem: database}}


def _readable_as_whole(has_texts: bool) -> set[str]:
    """Tables that analysts may read; of a store those alone of which they may read every column, as Datasette hides no column."""
    declared = {entry["name"]: len(entry["columns"]) for entry in data_dictionary([])}
    return {name for name, columns in readable().items() if not has_texts or len(columns) == declared[name]}


def _columns(file: Path) -> dict[str, set[str]]:
    """The columns of each table and view in the file."""
    sql = "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite%'"
    found: dict[str, set[str]] = defaultdict(set)
    try:
        with closing(driver.connect(f"file:{quote(str(file))}?mode=ro", uri=True)) as database:
            for name, column in database.execute(sql):
                found[name].add(column)
    except driver.Error:
        found.clear()
    if ALEMBIC not in found:
        raise StoreError(f"{file} is no SQLite store and no copy of one. Name a file that `python manage.py copy` wrote.", "no_store")
    return found


def _table(entry: Entry, there: set[str]) -> dict[str, Any]:
    columns = {column["name"]: column["description"] for column in entry["columns"] if column["name"] in there}
    found: dict[str, Any] = {"description": f"{entry['description']}.", "columns": columns}
    if entry["name"] in LABELS:
        found["label_column"] = LABELS[entry["name"]]
    if "read_at" in columns and entry["name"].endswith("_results"):
        found["sort_desc"] = "read_at"
    return found


def _queries(entries: Sequence[Entry]) -> dict[str, dict[str, str]]:
    """The worked queries of what is shown, by a name that an address may hold."""
    found: dict[str, dict[str, str]] = {}
    for entry in entries:
        for query in entry["queries"]:
            name = re.sub(r"[^a-z0-9]+", "-", f"{entry['name']} {query['words']}".lower()).strip("-")
            found[name] = {"title": f"{entry['name']}: {query['words']}", "sql": query["sqlite"]}
    return found
