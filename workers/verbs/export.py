"""Writes a pack's results or findings to a file (.parquet, .csv, .jsonl), or a clinical pack's findings as FHIR R4 or OMOP CDM 5.4.

No document text is in them, unless --with-text asks for it: that takes the right to read texts, and of sealed ones the master
key. CSV cells that a spreadsheet would run as a formula get an apostrophe in front; those of OMOP are exact, for databases.

example: python manage.py export finance results.parquet
         python manage.py export finance findings.csv --what findings
         python manage.py export clinical out.ndjson                      a Bundle of FHIR R4 a document
         python manage.py export clinical omop/ --format omop             NOTE and NOTE_NLP of OMOP CDM 5.4
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from suites.discover import Pack, find_pack
from suites.errors import UsageError
from workers.settings import Settings
from workers.show import n_of, progress_bar, words

FORMATS = ("parquet", "csv", "jsonl", "fhir", "omop")
CLINICAL = FORMATS[3:]


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pack")
    parser.add_argument("file", type=Path, help="with --format omop a new folder")
    parser.add_argument("--what", choices=("results", "findings"), default="results")
    parser.add_argument("--format", choices=FORMATS, help="default: by the file's suffix; .ndjson is fhir")
    clinical = parser.add_argument_group("of fhir and omop")
    clinical.add_argument("--with-text", action="store_true", help="the documents' texts and the words of findings too")
    clinical.add_argument("--with-patient", action="store_true", help="open sealed metadata for the patient; refuse where this is not allowed")
    clinical.add_argument("--also", action="append", default=[], metavar="TASK", help="a task that the pack withholds, such as identity")
    clinical.add_argument("--files", choices=("csv", "parquet"), default="csv", help="of omop")


def run(options: Namespace, settings: Settings) -> object:
    pack = find_pack(options.pack, settings.pack_folders)
    form = options.format or {".ndjson": "fhir"}.get(options.file.suffix.lower(), options.file.suffix.lower().removeprefix("."))
    if form in CLINICAL:
        return _clinical(options, settings, pack, form)
    if options.with_text or options.with_patient or options.also:
        raise UsageError("--with-text, --with-patient and --also go with --format fhir or omop alone: results and findings hold no text.")
    return _view(options, settings, pack, form)


def _view(options: Namespace, settings: Settings, pack: Pack, form: str) -> object:
    from workers.export import export

    _record(settings, pack, {"what": options.what, "file": options.file.name[:200]})
    with progress_bar(quiet=options.json) as on_progress:
        n = export(settings.store_url, pack, options.what, options.file, on_progress, f".{form}" if form else "")
    words(f"{n_of(n, 'row')} in {options.file}")
    return {"file": str(options.file), "n_rows": n}


def _clinical(options: Namespace, settings: Settings, pack: Pack, form: str) -> object:
    from workers.export.asked import Asked
    from workers.export.clinical import export_fhir, export_omop, plan_of
    from workers.keys import Keys

    asked = Asked(text=options.with_text, patient=options.with_patient, also=frozenset(options.also))
    plan = plan_of(pack, asked)
    told = {"what": form, "file": options.file.name[:200], "with_text": int(asked.text), "with_patient": int(asked.patient)}
    _record(settings, pack, told | ({"also": ", ".join(sorted(asked.also))[:200]} if asked.also else {}))
    given = (settings.store_url, pack, plan, options.file, asked, Keys.of(settings))
    with progress_bar(quiet=options.json) as on_progress:
        written = export_fhir(*given, on_progress) if form == "fhir" else export_omop(*given, on_progress, options.files)
    for line in written.told(form, options.file):
        words(line)
    return {"file": str(options.file), **vars(written)}


def _record(settings: Settings, pack: Pack, detail: dict[str, int | str]) -> None:
    from workers.audit import record_alone
    from workers.store import Store

    store = Store(settings.store_url)
    record_alone(store, "export", f"pack {pack.name}", detail)
    store.close()
