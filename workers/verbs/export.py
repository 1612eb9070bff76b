"""Writes a pack's results or findings to a file (.parquet, .csv, .jsonl), as predictions for Label Studio, or a clinical pack's as FHIR R4 or OMOP CDM 5.4.

No document text is in them, unless --with-text asks for it: that takes the right to read texts, and of sealed ones the master
key. CSV cells that a spreadsheet would run as a formula get an apostrophe in front; those of OMOP are exact, for databases.

example: python manage.py export finance results.parquet
         python manage.py export finance findings.csv --what findings
         python manage.py export finance tasks.json --format label-studio     and tasks.xml, the labelling configuration (docs/analysts.md)
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

FORMATS = ("parquet", "csv", "jsonl", "label-studio", "fhir", "omop")
CLINICAL = FORMATS[4:]


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pack")
    parser.add_argument("file", type=Path, help="with --format omop a new folder")
    parser.add_argument("--what", choices=("results", "findings"), default="results")
    parser.add_argument("--format", choices=FORMATS, help="default: by the file's suffix; .ndjson is fhir")
    parser.add_argument("--with-text", action="store_true", help="of label-studio, fhir and omop: the documents' texts and the words of findings too")
    clinical = parser.add_argument_group("of fhir and omop")
    clinical.add_argument("--with-patient", action="store_true", help="open sealed metadata for the patient; refuse where this is not allowed")
    clinical.add_argument("--also", action="append", default=[], metavar="TASK", help="a task that the pack withholds, such as identity")
    clinical.add_argument("--files", choices=("csv", "parquet"), default="csv", help="of omop")


def run(options: Namespace, settings: Settings) -> object:
    pack = find_pack(options.pack, settings.pack_folders)
    form = options.format or {".ndjson": "fhir"}.get(options.file.suffix.lower(), options.file.suffix.lower().removeprefix("."))
    if form in CLINICAL:
        return _clinical(options, settings, pack, form)
    if options.with_patient or options.also:
        raise UsageError("--with-patient and --also go with --format fhir or omop alone.")
    if form == "label-studio":
        return _label_studio(options, settings, pack)
    if options.with_text:
        raise UsageError("--with-text goes with --format label-studio, fhir or omop alone: results and findings hold no text.")
    return _view(options, settings, pack, form)


def _view(options: Namespace, settings: Settings, pack: Pack, form: str) -> object:
    from workers.export import export

    _record(settings, pack, {"what": options.what, "file": options.file.name[:200]})
    with progress_bar(quiet=options.json) as on_progress:
        n = export(settings.store_url, pack, options.what, options.file, on_progress, f".{form}" if form else "")
    words(f"{n_of(n, 'row')} in {options.file}")
    return {"file": str(options.file), "n_rows": n}


def _label_studio(options: Namespace, settings: Settings, pack: Pack) -> object:
    from workers.export.asked import Asked
    from workers.export.label_studio import export_label_studio
    from workers.keys import Keys

    if options.file.suffix.lower() != ".json":
        raise UsageError(f"{options.file}: expected a file that ends in .json; the labelling configuration is written beside it, in .xml.")
    _record(settings, pack, {"what": "label-studio", "file": options.file.name[:200], "with_text": int(options.with_text)})
    with progress_bar(quiet=options.json) as on_progress:
        written = export_label_studio(settings.store_url, pack, options.file, Asked(text=options.with_text), Keys.of(settings), on_progress)
    for line in written.told(options.file, with_text=options.with_text):
        words(line)
    return {"file": str(options.file), "config": str(options.file.with_suffix(".xml")), **vars(written)}


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
