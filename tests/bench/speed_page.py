"""What the speed bench found, in words: the rows of its table, the notes below, and docs/results/speed.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.bench.process import OURS

Results = Mapping[str, Any]
# load a core from which on other work slows what is measured
BUSY = 0.5
FIGURES = {
    "ratio_bert_base": "ours over a BERT-base pipeline, batch 1, tokens/s",
    "ratio_distilbert": "ours over a DistilBERT-base pipeline, batch 1, tokens/s",
    "ratio_same_student": "ours over a pipeline with the same student, batch 1, tokens/s",
    "int8_peak_share": "share of the measured int8 peak",
    "latency_p50_ms": "one message of 60 tokens, one thread, median, ms",
    "latency_p99_ms": "the same, 99th percentile, ms",
    "cold_start_s": "cold start to the first result, s",
    "worker_mb": "peak memory of a worker process that has read for all three packs, caches full, MB",
    "worker_mapped_mb": "of it mapped files, which processes share, MB",
    "scaling_2_processes": "two processes of one thread over one",
    "path_share_sqlite": "documents/s of the whole path, two workers on SQLite, over bare `predict`",
    "path_share_postgresql": "the same on PostgreSQL",
    "training_ratio": "fine-tuning over `transformers.Trainer` with its defaults, examples/s",
}


def table_rows(results: Results) -> list[dict[str, object]]:
    """A row a system and batch size, as a terminal shows it. A star marks random weights."""
    ours = next(row for row in results["systems"] if row["system"] == OURS)
    return [_measured(row, ours) if row["measured"] else _unmeasured(row) for row in results["systems"]]


def _measured(row: Results, ours: Results) -> dict[str, object]:
    share = row["int8_peak_share"]
    about = "~" if row["energy_is"] == "estimate" else ""
    return {
        "system": row["title"] + ("*" if row["weights"] == "random" else ""),
        "batch": str(row["batch"] or "own"),
        "tokens/s": f"{row['tokens_per_s']:,.0f}",
        "+-": f"{_spread(row):.0%}" if row["rounds"] > 1 else "",
        "docs/s": f"{row['docs_per_s']:,.1f}",
        "ours is": "" if row is ours else f"{ours['tokens_per_s'] / row['tokens_per_s']:.1f}x",
        "of int8 peak": "" if share is None else f"{share:.1%}",
        "p50/p95/p99 ms": f"{row['p50_ms']:.1f}/{row['p95_ms']:.1f}/{row['p99_ms']:.1f} n={row['n_messages']}" if "p50_ms" in row else "",
        "peak MB": f"{row['peak_mb']:,.0f}",
        "start s": f"{row['cold_start_s']:.1f}" if "cold_start_s" in row else "",
        "J/1,000": f"{about}{row['joules_per_1000']:,.0f}",
        "gCO2e/1,000": f"{about}{row['gco2e_per_1000']:.3f}",
    }


def _unmeasured(row: Results) -> dict[str, object]:
    return {"system": row["title"], "batch": str(row["batch"] or ""), "tokens/s": "not measured"}


def _spread(row: Results) -> float:
    """Half the way from the slowest to the fastest round, as a share of the median."""
    low, high = row["tokens_per_s_range"]
    return float((high - low) / 2 / row["tokens_per_s"])


def notes(results: Results) -> list[str]:
    """What the table cannot say: on what, with which weights, why a row is empty."""
    documents, machine, peaks = results["documents"], results["machine"], results["peak_multiply_adds_per_s"]
    said = [
        f"{machine['processor']}; {documents['n']} documents of {documents['texts']}, {documents['tokens']:,} tokens: "
        "60 % short messages, 30 % abstracts, 10 % notes in windows of 512; every system has the same threads, windows and documents.",
        "ours reads whole documents as `predict` does: windows, all heads, rules. Peers give one label a window, no findings.",
        "+-: half the span of the rounds. p50/p95/p99: one message of 60 tokens, one thread. pipeline: transformers.pipeline.",
        f"peak of the cores: fp32 {_giga(peaks['fp32'])}, int8 {_giga(peaks['int8'])} billion multiply-adds/s: by torch's product, and in registers alone.",
    ]
    if any(row.get("weights") == "random" for row in results["systems"]):
        said.append("*: random weights, which cost what learned ones cost.")
    if any(row.get("energy_is") == "estimate" for row in results["systems"]):
        energy = results["energy"]
        constants = f"{energy['watts_a_core']} W a busy core ({energy['watts_source']}), {energy['grid_g_per_kwh']:g} g/kWh ({energy['grid_source']})"
        said.append(f"~: an estimate, processor seconds x {constants}; no counter of the processor can be read here.")
    if machine["load_before"] > BUSY * machine["cores"]:
        said.append(f"The machine was busy before the bench began (load {machine['load_before']} on {machine['cores']} cores): repeat it on a quiet one.")
    for row in results["systems"]:
        if not row["measured"]:
            remedy = f" To have it: {row['remedy']}." if row["remedy"] else ""
            batch = f", batch {row['batch']}" if row["batch"] else ""
            said.append(f"{row['title']}{batch}: {row['reason']}.{remedy}")
        elif "note" in row:
            said.append(f"{row['title']}: {row['note']}.")
    return said


def _giga(rate: float | None) -> str:
    return "not measured" if rate is None else f"{rate / 1e9:,.0f}"


def page(results: Results) -> str:
    """docs/results/speed.md."""
    machine = results["machine"]
    lines = ["# Speed", "", f"Written by `make results-speed` on {machine['measured']}: {machine['processor']}."]
    lines += ["Machines are noisy: ratios within one run count.", "", "| figure | |", "|---|---:|"]
    lines += [f"| {words} (`{key}`) | {_cell(results[key])} |" for key, words in FIGURES.items() if key in results]
    rows = table_rows(results)
    lines += ["", "![Tokens per second and energy of each system](speed.png)", "", *_markdown(rows), ""]
    lines += [f"- {note}" for note in notes(results)]
    used = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return "\n".join([*lines, "", f"Python {machine['python']}, {used}."]) + "\n"


def _markdown(rows: Sequence[Mapping[str, object]]) -> list[str]:
    names = list(rows[0])
    head = [f"| {' | '.join(names)} |", "|---|" + "---:|" * (len(names) - 1)]
    return head + ["| " + " | ".join(str(row.get(name, "")).replace("*", "\\*") for name in names) + " |" for row in rows]


def _cell(value: object) -> str:
    return "not measured" if value is None else f"{value:,.3g}" if isinstance(value, float) and value < 100 else f"{value:,.0f}"
