"""What Datasette itself makes of our metadata: `python -m tests.workers.real_datasette DATASETTE` starts it twice and looks at its pages.

DATASETTE is its command in an environment of its own, as `make datasette` sets it up. A line a check; exit code 1 where one fails.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
from sqlalchemy import insert

from pipelines.progress import silent
from tests.bench.many_findings import fill, toy_pack
from workers.copy_store import copy_store
from workers.datasette import datasette_metadata
from workers.store import Store
from workers.tables import texts

CANARY = "Quillonberry"
PATIENCE_S = 30.0
DENIED = ("texts", "data_keys", "audit", "documents", "erasures", "tombstones")
SECRET_SQL = "select text from texts"


@contextmanager
def served(command: str, database: Path, metadata: Path, *options: str) -> Iterator[httpx.Client]:
    """A client of a Datasette that serves the file."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [command, "serve", *options, str(database), "--metadata", str(metadata), "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", follow_redirects=True, timeout=PATIENCE_S) as client:
            for _ in range(int(PATIENCE_S * 10)):
                try:
                    client.get("/")
                    break
                except httpx.ConnectError:
                    time.sleep(0.1)
            yield client
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def said(ok: bool, what: str) -> bool:
    print(f"{'ok  ' if ok else 'FAIL'} {what}", flush=True)
    return ok


def descriptions_show(client: httpx.Client, metadata: dict[str, object], name: str) -> bool:
    """Each shown table's page holds its description and those of its columns."""
    tables = {table: entry for table, entry in metadata["databases"][name]["tables"].items() if "columns" in entry}  # type: ignore[index]
    missing = []
    for table, entry in tables.items():
        page = client.get(f"/{name}/{table}")
        wanted = [entry["description"], *entry["columns"].values()]
        missing += [f"{table}: {page.status_code}"] if page.status_code != 200 else [f"{table}: {w}" for w in wanted if _html(w) not in page.text]
    return said(not missing, f"{name}: descriptions of {len(tables)} tables and views, and of their columns {missing[:3] or ''}")


def _html(words: str) -> str:
    return words.replace("&", "&amp;").replace("'", "&#39;").replace('"', "&#34;").replace("<", "&lt;").replace(">", "&gt;")


def queries_run(client: httpx.Client, metadata: dict[str, object], name: str) -> bool:
    queries = metadata["databases"][name]["queries"]  # type: ignore[index]
    failed = [query for query in queries if not client.get(f"/{name}/{query}.json").json().get("ok", False)]
    return said(bool(queries) and not failed, f"{name}: {len(queries)} worked queries run {failed or ''}")


def store_is_closed(client: httpx.Client) -> bool:
    """Of the store itself what is denied is refused, whatever the address, and no page holds a text."""
    paths = [f"/{table}{form}" for table in DENIED for form in ("", ".json", "/1", "/1.json", ".json?_shape=array")]
    paths += ["/texts.csv?_stream=on", f".json?sql={quote(SECRET_SQL)}", f"?sql={quote(SECRET_SQL)}", f"/toy_results.json?_where={quote('1=1')}", ".db"]
    paths += [
        f"/documents.json?_through={quote(json.dumps({'table': 'texts', 'column': 'text', 'value': CANARY}))}",
        "/texts/1.json?_extras=foreign_key_tables",
    ]
    let = [path for path in paths if (answer := client.get(f"/store{path}")).status_code != 403 or CANARY in answer.text]
    shown = ("", "/toy_results.json", "/toy_findings.json", "/findings.json?_labels=on", "/readings/1,toy-0123456789ab.json")
    pages = [client.get(f"/store{path}").text for path in shown]
    ok = said(not let, f"store: {len(paths)} ways to texts, keys, SQL and the file are refused {let[:3] or ''}")
    return ok & said(not any(CANARY in page for page in pages), "store: no page holds a word of a text")


def copy_is_open(client: httpx.Client) -> bool:
    """Of the copy any SQL is let through, and there is nothing to find."""
    counted = client.get(f"/analysts.json?sql={quote('select count(*) as n from toy_findings')}&_shape=array").json()
    ok = said(counted == [{"n": 1000}], f"copy: SQL of one's own runs {counted}")
    refused = client.get(f"/analysts.json?sql={quote(SECRET_SQL)}").json()
    return ok & said("no such table" in str(refused), "copy: it has no texts")


def main(command: str) -> int:
    with tempfile.TemporaryDirectory(prefix="stillhouse-datasette-") as folder:
        store_file, copy = Path(folder) / "store.db", Path(folder) / "analysts.db"
        store = Store(f"sqlite:///{store_file}")
        fill(store, 1000)
        with store.begin() as connection:
            connection.execute(insert(texts), [{"document_id": number, "text": f"{CANARY} {number}"} for number in range(1, 101)])
        store.close()
        copy_store(f"sqlite:///{store_file}", [toy_pack()], copy, silent)
        ok = True
        for file in (store_file, copy):
            metadata = datasette_metadata([toy_pack()], file)
            place = file.with_suffix(".json")
            place.write_text(json.dumps(metadata), encoding="utf-8")
            with served(command, file, place, *(["-i"] if file == copy else [])) as client:
                ok &= descriptions_show(client, metadata, file.stem) & queries_run(client, metadata, file.stem)
                ok &= store_is_closed(client) if file == store_file else copy_is_open(client)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
