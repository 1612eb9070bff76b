"""docs/results/faults.md from the report."""

from __future__ import annotations

from typing import Any

HEAD = """# Faults

Made by `make faults`: real worker processes, a real broker behind a TCP proxy, SQLite and a real PostgreSQL. A seed gives the documents
and the faults in their order. Documents are small and each takes some milliseconds, so that faults strike while documents are read; leases
are {lease} s in the runs with faults, and as shipped (60 s, sweep 5 s) where the time of recovery is measured.

Lost: submitted, not given up, and neither read nor failed. Doubled: written twice, by an append-only record that triggers keep. Ghosts:
written after a cancel, a pause or a purge had returned. Wrong: findings that differ from those read without queue and faults. Innocents:
documents given up though nothing was wrong with them. Poison: documents that crash, hang, raise or eat memory; each must end as a failure.
Zombies: writes of claims that had lapsed, refused by the fence. Canaries: planted words in logs, broker, temporary files, exports or tables without text.
"""
ROWS = (
    ("documents", "documents"),
    ("faults", "faults"),
    ("seeds", "seeds"),
    ("lost", "lost"),
    ("doubled", "doubled"),
    ("ghosts", "ghosts"),
    ("wrong", "wrong findings"),
    ("innocents_dead", "innocents given up"),
    ("poisons", "poison documents"),
    ("poisons_alive", "poison that did not end as a failure"),
    ("zombies_refused", "zombie writes refused"),
    ("canaries_found", "canaries found"),
    ("stop_max_s", "longest stop by SIGTERM, s"),
    ("docs_per_s_faults", "documents/s under faults"),
    ("docs_per_s_calm", "documents/s without"),
    ("recovery_p50_s", "recovery of what a dead process held, p50, s"),
    ("recovery_p99_s", "the same, p99, s"),
    ("recovery_max_s", "the longest, s (a document whose next reader is killed too waits anew)"),
    ("recovery_kills", "processes killed for these figures"),
    ("recovery_n", "documents that they held"),
)


def page(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    from tests.faults.world import SHORT

    stores = report["stores"]
    lines = [HEAD.format(lease=SHORT["lease_s"]), f"| | {' | '.join(s['store'] for s in stores)} |", f"|---|{'---:|' * len(stores)}"]
    lines += [f"| {words} | {' | '.join(_cell(s.get(name)) for s in stores)} |" for name, words in ROWS]
    lines += ["", "## Faults by kind", "", f"| fault | {' | '.join(s['store'] for s in stores)} |", f"|---|{'---:|' * len(stores)}"]
    kinds = sorted({kind for store in stores for kind in store["faults_by_kind"]})
    lines += [f"| `{kind}` | {' | '.join(_cell(s['faults_by_kind'].get(kind, 0)) for s in stores)} |" for kind in kinds]
    lines += ["", "## With a part of the protocol taken out", "", "| taken out | documents lost, doubled or left over | with it in place |", "|---|---:|---:|"]
    lines += [f"| {a['words']} (`{a['name']}`) | {a['wrong']} | {a['wrong_whole']} |" for a in report["ablations"]]
    lines += ["", "## Half-open link to the broker, known after", "", "| broker | times | p50, s | longest, s |", "|---|---:|---:|---:|"]
    lines += [f"| {name} | {s['n']} | {s['p50_s']} | {s['max_s']} |" for name, s in report["half_open_s"].items()]
    lines += ["", "## Other brokers, under the same faults", "", "| broker | documents | faults | lost | doubled | ghosts | wrong | innocents | refused |"]
    lines += ["|---|" + "---:|" * 8]
    names = ("documents", "faults", "lost", "doubled", "ghosts", "wrong", "innocents_dead", "zombies_refused")
    lines += [f"| {broker} | {' | '.join(_cell(s[name]) for name in names)} |" for broker, s in report["other_brokers"].items()]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)
