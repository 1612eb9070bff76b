"""negspaCy's NegEx: whether one concept of a text is negated."""

from __future__ import annotations

from typing import Any

from tests.bench.packs.adapter import Options, Read, Row, cased, serve


def load(options: Options) -> Read:
    """A reader of rows with `text`, `start` and `end`. Options: `case`; `terms`: one of negspaCy's English term sets."""
    import spacy
    from negspacy.negation import Negex  # noqa: F401 (registers the component)
    from negspacy.termsets import termset

    pipeline = spacy.blank("en")
    sentences = pipeline.add_pipe("sentencizer")
    negex = pipeline.add_pipe("negex", config={"neg_termset": termset(options["terms"]).get_patterns()})

    def read(row: Row) -> dict[str, Any]:
        doc: Any = sentences(pipeline.make_doc(cased(row["text"], row["start"], row["end"], options["case"])))
        doc.ents = [doc.char_span(row["start"], row["end"], label="CONCEPT", alignment_mode="expand")]
        return {"negated": bool(negex(doc).ents[0]._.negex)}

    return read


if __name__ == "__main__":
    serve(load, ["negspacy", "spacy"])
