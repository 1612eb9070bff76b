"""medspaCy's ConText, and its section detection: what each says of one concept of a text. Its default rules, its own tokenizer.

medspaCy imports QuickUMLS, a dictionary that ConText has no use for and that must be compiled; it is hidden at import.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from tests.bench.packs.adapter import Options, Read, Row, cased, serve

FLAGS = ("negated", "uncertain", "historical", "hypothetical", "family")


def load(options: Options) -> Read:
    """A reader of rows with `text`, `start` and `end`.

    Options: `case`; `sentences`: `pyrush`, medspaCy's own choice, `pysbd`, or `one`: the text is a sentence; `sections`: `yes` or `no`.
    """
    hidden = ModuleType("quickumls")
    hidden.spacy_component = None  # type: ignore[attr-defined]
    sys.modules["quickumls"] = hidden
    from loguru import logger

    logger.disable("PyRuSH")  # it logs every token
    pipeline = _pipeline(options)

    def read(row: Row) -> dict[str, Any]:
        doc = pipeline.make_doc(cased(row["text"], row["start"], row["end"], options["case"]))
        concept = doc.char_span(row["start"], row["end"], label="CONCEPT", alignment_mode="expand")
        doc.ents = [concept]
        for token in doc if options["sentences"] == "one" else ():
            token.is_sent_start = token.i == 0
        for _, component in pipeline.pipeline:
            doc = component(doc)
        return {flag: bool(getattr(doc.ents[0]._, f"is_{flag}")) for flag in FLAGS}

    return read


def _pipeline(options: Options) -> Any:
    import medspacy

    pipeline = medspacy.load(medspacy_enable=["medspacy_tokenizer"])
    if options["sentences"] != "one":
        pipeline.add_pipe(f"medspacy_{options['sentences']}")
    if options["sections"] == "yes":
        pipeline.add_pipe("medspacy_sectionizer")
    pipeline.add_pipe("medspacy_context")
    return pipeline


if __name__ == "__main__":
    serve(load, ["medspacy", "PyRuSH", "spacy"])
