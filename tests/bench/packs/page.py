"""docs/results/packs.md from the figures of packs.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

PEERS_NOTE = """\
Precision / recall / F1. Peers have their best configuration, chosen on dev, and have not seen these sets. Our student has learned from
the train splits of negex_context, deid_presidio_synth_en and measeval_quantities, so it knows how they are written; os_climate_kpi nobody
has learned from. Each paragraph of os_climate_kpi holds a figure that was asked for, so precision on whole reports is lower. Presidio reads
with spaCy's en_core_web_md, as its default en_core_web_lg cannot be had as a package; Philter with spaCy's tagger, as NLTK's is a download;
quantulum3 without its classifier of units. Philter masks without labels."""


def markdown(results: Mapping[str, Any]) -> str:
    """The page; sections without figures are left out."""
    measured = _machine(results.get("machine", {}))
    lines = ["# The packs on real data", "", f"Written by `make results-packs`: {measured}. Test splits, which nothing was chosen or tuned on.", ""]
    rows = results.get("rows", [])
    if scored := [row for row in rows if not isinstance(row["ours"], dict)]:
        lines += ["## Set by set", "", "One student a pack, on all its sets at once, taught by its teacher; seed 1. In brackets 95 % intervals.", ""]
        lines += _table(
            ["set", "task", "measure", "n", "ours", "accuracy", "teacher", "compressed", "TF-IDF", "majority", "published"], [_scored(row) for row in scored]
        )
    lines += [line for title, made in (("Disguises, the student of all sets", _attacked), ("Decisions", _decisions)) for line in _section(title, made(results))]
    if compared := [row for row in rows if isinstance(row["ours"], dict)]:
        lines += ["", "## Beside peers on the same rows", "", PEERS_NOTE, ""]
        peers = list(dict.fromkeys(peer for row in compared for peer in (row["peer"] or {})))
        lines += _table(["set", "measure", "n", "ours", *peers, "published"], [_compared(row, peers) for row in compared])
    for name, title in (("robustness", "Disguises, with and without defence"), ("few", "Few examples")):
        if figures := results.get(name):
            lines += ["", f"## {title}", "", *_note(name, results), *_nested(figures)]
    if latency := results.get("latency"):
        lines += ["", "## One message of about 60 word pieces on one core, ms", ""]
        lines += _table(["way", "n", "p50", "p90", "p99", "longest"], [[way, *map(str, latency[way].values())] for way in ("in_process", "http")])
    if tutorial := results.get("tutorial"):
        lines += ["", f"The tutorial of docs/packs.md, all commands: {tutorial['seconds']} s."]
    return "\n".join(lines) + "\n"


def _machine(machine: Mapping[str, Any]) -> str:
    return f"{machine.get('processor', '')}, {machine.get('cores', '')} cores, {machine.get('measured', '')}"


def _scored(row: Mapping[str, Any]) -> list[str]:
    low, high = row["interval"] or (row["ours"], row["ours"])
    others = [f"{row[name]:.3f}" if row.get(name) is not None else "" for name in ("teacher", "compressed", "tfidf", "majority")]
    return [
        row["set"],
        row["task"],
        row["measure"],
        str(row["n"]),
        f"{row['ours']:.3f} [{low:.3f}, {high:.3f}]",
        _number(row["accuracy"]),
        *others,
        row["published"],
    ]


def _compared(row: Mapping[str, Any], peers: Sequence[str]) -> list[str]:
    theirs = [_figures((row["peer"] or {}).get(peer)) for peer in peers]
    return [row["set"], row["measure"], str(row["n"]), _figures(row["ours"]), *theirs, row["published"]]


def _note(name: str, results: Mapping[str, Any]) -> list[str]:
    """What must be known of how a section was measured."""
    if name == "few":
        return []
    rows = f"at most {results['robustness_rows']:,} rows of each set" if results.get("robustness_rows") else "all rows"
    return [f"Three students alike but for the defence, trained on {rows}, without a teacher.", ""]


def _section(title: str, table: Sequence[str]) -> list[str]:
    return ["", f"## {title}", "", *table] if table else []


def _attacked(results: Mapping[str, Any]) -> list[str]:
    """Score by source and attack."""
    found = {pack: measured["attacked"] for pack, measured in results.get("sets", {}).items() if measured.get("attacked")}
    return [
        line
        for attacks in found.values()
        for line in _table(["set", *attacks], [[source, *(_number(attacks[a][source]["score"]) for a in attacks)] for source in attacks["plain"]])
    ]


def _decisions(results: Mapping[str, Any]) -> list[str]:
    """What decisions by the declared policy cost, beside one decision for all, and how many of the first k are right."""
    policies = [(source, p) for measured in results.get("sets", {}).values() for source, p in measured.get("policy", {}).items()]
    constants = sorted({name for _, p in policies for name in p["constant_per_1000"]})
    ks = sorted({int(k) for _, p in policies for k in p["precision_at"]})
    names = ["set", "n", "base rate", "cost per 1,000", *(f"all {name}" for name in constants), *(f"precision at {k}" for k in ks)]
    rows = [
        [source, str(p["n"]), _number(p["base_rate"]), f"{p['cost_per_1000']:.0f}"]
        + [f"{p['constant_per_1000'][name]:.0f}" for name in constants]
        + [_number(p["precision_at"].get(str(k))) for k in ks]
        for source, p in policies
    ]
    return _table(names, rows) if rows else []


def _figures(score: Mapping[str, Any] | None) -> str:
    if score is None:
        return ""
    if "exact" in score:  # key figures
        return "; ".join(f"{name} {_figures(score[name])}" for name in ("exact", "overlap"))
    return f"{score['precision']:.3f} / {score['recall']:.3f} / {score['f1']:.3f}"


def _nested(figures: Mapping[str, Any]) -> list[str]:
    """A table a source: of figures by name, or of ways by name."""
    lines: list[str] = []
    for source, found in figures.items():
        ways = found if all(isinstance(v, dict) for v in found.values()) else {source: found}
        names = list(dict.fromkeys(name for way in ways.values() for name in way))
        lines += [*_table([source, *names], [[way, *(_number(scores.get(name)) for name in names)] for way, scores in ways.items()]), ""]
    return lines[:-1]


def _number(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_number, value))
    return f"{value:.3f}" if isinstance(value, float) else "" if value is None else str(value)


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}", *(f"| {' | '.join(row)} |" for row in rows)]
