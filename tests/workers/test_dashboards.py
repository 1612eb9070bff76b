"""What a dashboard sees of a PostgreSQL store with an analyst's login, asked as such tools ask: by SQLAlchemy's inspector."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, make_url, text
from sqlalchemy.exc import DBAPIError

from suites.discover import Pack
from workers.roles import READS_ONLY

from .test_export_clinical import roles  # noqa: F401
from .test_roles import url_of as login_url
from .ward import N_FINDINGS, ward_pack


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    return ward_pack(tmp_path)


@pytest.mark.usefixtures("roles")
def test_a_dashboard_reads_and_no_more(postgres_url: str) -> None:
    """Views and tables are listed with their columns, rows of a view come; texts and writing are refused, statements end in time."""
    engine = create_engine(make_url(login_url(postgres_url, "a_analyst")).set(drivername="postgresql+psycopg"))
    found = inspect(engine)
    assert {"ward_results", "ward_findings"} <= set(found.get_view_names()) and {"jobs", "tallies", "ward_rows"} <= set(found.get_table_names())
    assert {"document", "label", "score"} <= {column["name"] for column in found.get_columns("ward_findings")}
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM ward_findings")).scalar_one() == 3 * N_FINDINGS
        assert connection.execute(text("SHOW statement_timeout")).scalar_one() == {"60s": "1min"}[READS_ONLY["statement_timeout"]]
    for sql in ("SELECT text FROM texts", "SELECT meta FROM documents", "CREATE TABLE a (b int)", "DELETE FROM findings", "SELECT * FROM audit"):
        with engine.connect() as connection, pytest.raises(DBAPIError, match=r"permission denied|read-only"):
            connection.execute(text(sql))
    engine.dispose()
