"""The data dictionary: tables from their declarations, views from the packs' columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from suites.discover import Pack
from suites.types import LEADING, Column
from workers.questions import Question, questions
from workers.rows import rows_table
from workers.tables import metadata
from workers.views import FINDING_COLUMNS

_INTEGERS = ("n_chars", "n_findings", "n_unsure", "start", "end", "unsure", "other_start", "other_end", "page", "document_id")
_VIEW_TYPES = dict.fromkeys(_INTEGERS, "integer") | {"score": "number", "number": "number"}
_SHOWN_TYPES = {"label": "text", "labels": "text", "score": "number", "count": "integer", "sum": "number", "number": "number", "value": "text"}

Entry = dict[str, Any]


def data_dictionary(packs: Iterable[Pack]) -> list[Entry]:
    """Views first, then tables: name, kind, description, columns with type and description, and worked queries in both databases' SQL."""
    entries: list[Entry] = []
    found = {pack.name: pack for pack in packs}
    for pack in found.values():
        results = [_column(n, _VIEW_TYPES.get(n, "text"), d) for n, d in LEADING.items()] + [_shown(c) for c in pack.manifest.column]
        entries.append(
            {
                "name": f"{pack.name}_results",
                "kind": "view",
                "description": f"{pack.manifest.title}: one row a document, read by the primary student",
                "columns": results,
            }
        )
        of_findings = [_column(n, _VIEW_TYPES.get(n, "text"), d) for n, d in FINDING_COLUMNS.items()]
        entries.append(
            {
                "name": f"{pack.name}_findings",
                "kind": "view",
                "description": f"{pack.manifest.title}: one row a finding of the primary student",
                "columns": of_findings,
            }
        )
    for table in (*map(rows_table, found.values()), *metadata.sorted_tables):
        columns = [_column(c.name, str(c.type).lower(), c.comment or "") for c in table.columns]
        entries.append({"name": table.name, "kind": "table", "description": table.comment or "", "columns": columns})
    asked: dict[str, list[Question]] = defaultdict(list)
    for question in questions(found):
        asked[question.of].append(question)
    return [entry | {"queries": [asdict(q) for q in asked[entry["name"]]]} for entry in entries]


def described_columns(pack: Pack, view: str) -> list[dict[str, str]]:
    """The columns of a pack's view: name, type (text, integer or number) and description."""
    entry = next(e for e in data_dictionary([pack]) if e["name"] == view)
    return list(entry["columns"])


def _column(name: str, kind: str, description: str) -> dict[str, str]:
    return {"name": name, "type": kind, "description": description}


def _shown(column: Column) -> dict[str, str]:
    return _column(column.name, _SHOWN_TYPES[column.show], column.description)


def _code(sql: str, remark: str) -> list[str]:
    return [f"    {sql};{remark}"]


def markdown(entries: Iterable[Entry]) -> str:
    """The dictionary as a Markdown page."""
    lines = ["# Data dictionary", "", "Made by `python manage.py tables --markdown` from the same declarations as the store."]
    for entry in entries:
        lines += ["", f"## {entry['name']} ({entry['kind']})", "", f"{entry['description']}.", "", "| column | type | holds |", "|---|---|---|"]
        lines += [f"| {c['name']} | {c['type']} | {c['description']} |" for c in entry["columns"]]
        for query in entry["queries"]:
            lines += ["", f"{query['words']}:", "", *_code(query["sqlite"], "" if query["sqlite"] == query["postgresql"] else "  -- SQLite")]
            lines += _code(query["postgresql"], "  -- PostgreSQL") if query["sqlite"] != query["postgresql"] else []
    return "\n".join(lines)
