"""FHIR R4 (4.0.1) DocumentReference, one resource a line, as Bulk Data exports write them: its attachment is the document."""

from __future__ import annotations

import base64
import binascii
import codecs
import hashlib
import io
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast
from urllib.parse import unquote

from workers.ingest import htmlfile, jsonl, pdf
from workers.ingest.encoding import NAME_IT
from workers.ingest.files import Line, Refused, line_bytes, line_too_long, lines
from workers.ingest.options import UTF8, ReadOptions
from workers.ingest.rows import Reject, Row, checked, names

LINE_BYTES = 32 << 20  # 24 MiB of attachments in base64
FILE_BYTES = 48 << 20  # of a text or page that lies beside; a PDF file has its own bound
# where one document is there in several formats (DocumentReference.content), the first of these
ATTACHMENTS = 50  # parts of one document; each may be a file
_FORMATS = ("text/plain", "text/html", "application/xhtml+xml", "application/pdf")
_PAGES = ("text/html", "application/xhtml+xml")
_TYPE = re.compile(r"\s*([\w.+-]+/[\w.+-]+)\s*(?:;.*)?", re.DOTALL)
_CHARSET = re.compile(r"""(?i);\s*charset\s*=\s*["']?([\w.:-]{1,40})""")
_MEANT = {"ascii": UTF8}  # what claims ASCII and is more is UTF-8, as in mails
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//")
# what was withdrawn says what is not so, or not of this patient; what replaces it is read
_WITHDRAWN = {"entered-in-error": "entered_in_error", "superseded": "superseded"}
_AGAIN = "Export it again."


@dataclass(frozen=True, slots=True)
class _Attachment:
    """One attachment: its media type, its charset ("" where it says none), and the object itself."""

    kind: str
    charset: str
    fields: Mapping[str, object]


def rows(file: BinaryIO, label: str, options: ReadOptions, folder: Path | None = None) -> Iterator[Row]:
    """The rows of a file of JSON lines; DocumentReferences give their attachments. `folder`: where files lie that they name, if anywhere."""
    bound, longest = line_bytes(options.max_chars), max(LINE_BYTES, line_bytes(options.max_chars))
    others = _Others()
    for line in lines(file, label, longest):
        place = f"{label}:{line.number}"
        if line.is_cut:
            row: Row | None = line_too_long(place, line.n_bytes, longest)
        elif not line.data.strip():
            continue
        else:
            row = _row(line, place, bound, options, folder, others)
        if row is not None:
            yield from others.told()
            yield row
    yield from others.told()


class _Others:
    """Resources of other types that stand behind each other: one reject for all, as an export has files of millions."""

    def __init__(self) -> None:
        self._place, self._n = "", 0
        self._types: set[str] = set()

    def add(self, place: str, kind: str) -> None:
        self._place, self._n = self._place or place, self._n + 1
        if len(self._types) < 20:
            self._types.add(kind)

    def told(self) -> Iterator[Reject]:
        """The reject of those since the last, if there were any."""
        if self._n:
            reason = f"{self._n} rows from here on are FHIR resources of other types: {names(sorted(self._types))}."
            yield Reject(self._place, "not_a_document", reason, "Give the files of DocumentReferences alone.")
            self._place, self._n, self._types = "", 0, set()


def _row(line: Line, place: str, bound: int, options: ReadOptions, folder: Path | None, others: _Others) -> Row | None:
    row = jsonl.parsed(line, place, options)
    if isinstance(row, Reject):
        return row
    kind = row.get("resourceType")
    if not isinstance(kind, str) or isinstance(row.get("text"), str):  # a resource's `text` is an object
        return line_too_long(place, line.n_bytes, bound) if line.n_bytes > bound else jsonl.document(row, place, options)
    if kind != "DocumentReference":
        others.add(place, kind)
        return None
    try:
        return _document(row, place, options, folder)
    except Refused as refused:
        return refused.reject


def _document(row: Mapping[str, object], place: str, options: ReadOptions, folder: Path | None) -> Row:
    for status in (row.get("status"), row.get("docStatus")):
        if isinstance(status, str) and status in _WITHDRAWN:
            remedy = "Nothing: it was withdrawn. If it should be read, export it with another status."
            return Reject(place, _WITHDRAWN[status], f"Its status is '{status}'.", remedy)
    attachments = _attachments(row, place)
    chosen = _chosen(attachments, place)
    if len(chosen) > ATTACHMENTS:
        reason = f"It has {len(chosen)} attachments of one format > {ATTACHMENTS}."
        raise Refused(Reject(place, "too_long", reason, "Give each as a document of its own."))
    meta = _meta(row) | {"content_type": chosen[0].kind}
    if len(attachments) > len(chosen):
        meta["n_attachments_unread"] = len(attachments) - len(chosen)
    if chosen[0].kind != "application/pdf":
        parts: list[str] = []
        for attachment in chosen:
            if sum(map(len, parts)) > options.max_chars:  # too long already, whatever the others hold
                break
            parts.append(_text(attachment, _content(attachment, place, folder), place, options))
        return checked(place, row.get("id"), "\n\n".join(parts), meta, options)
    found: list[pdf.Pages] = []
    for attachment in chosen:
        if sum(len(pages.text) for pages in found) > options.max_chars:
            break
        found.append(_pages(attachment, place, options, folder))
    joined = pdf.PAGE_BREAK.join(pages.text for pages in found)
    whole = pdf.Pages(joined, sum(pages.n_pages for pages in found), sum(pages.n_without_text for pages in found))
    return pdf.document(place, row.get("id"), whole, meta, options)


# ── what the resource says ──────────────────────────────────────────────────────────────────────────────────────────


def _attachments(row: Mapping[str, object], place: str) -> list[_Attachment]:
    content = row.get("content")
    found = [entry.get("attachment") for entry in content if isinstance(entry, dict)] if isinstance(content, list) else []
    if not found or not all(isinstance(fields, dict) for fields in found):
        raise Refused(Reject(place, "no_attachment", "It has no 'content' with an 'attachment' in each entry.", _AGAIN))
    return [_attachment(cast(Mapping[str, object], fields)) for fields in found]


def _attachment(fields: Mapping[str, object]) -> _Attachment:
    said = str(fields.get("contentType") or "")[:1_000]
    kind, charset = _TYPE.match(said), _CHARSET.search(said)
    return _Attachment(kind[1].lower() if kind else "", charset[1] if charset else "", fields)


def _chosen(attachments: list[_Attachment], place: str) -> list[_Attachment]:
    """The attachments of the format that is best read: one, or several that are parts."""
    for kind in _FORMATS:
        if found := [attachment for attachment in attachments if attachment.kind == kind]:
            return found
    said = names(sorted({attachment.kind for attachment in attachments} - {""})) if any(a.kind for a in attachments) else "none is said"
    reason = f"None of its {len(attachments)} attachments is of a format that is read. Formats: {said}."
    raise Refused(Reject(place, "unsupported_attachment", reason, f"Give it as one of: {', '.join(_FORMATS)}."))


def _meta(row: Mapping[str, object]) -> dict[str, object]:
    """What findings are looked up by. Who wrote, signed or keeps the document is left out."""
    context = _first(_in(row, "context").get("encounter"))
    kind = _in(row, "type")
    coding = _first(kind.get("coding"))
    found = {
        "patient": _in(row, "subject").get("reference"),
        "encounter": context.get("reference"),
        "date": row.get("date"),
        "type": kind.get("text") or coding.get("display"),
        "type_code": coding.get("code"),
        "status": row.get("status"),
        "doc_status": row.get("docStatus"),
    }
    return {name: value for name, value in found.items() if isinstance(value, str) and value}


def _in(row: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = row.get(name)
    return value if isinstance(value, dict) else {}


def _first(value: object) -> Mapping[str, object]:
    """The first of a list of objects; R4 has a list of encounters, older exports one."""
    first = value[0] if isinstance(value, list) and value else value
    return first if isinstance(first, dict) else {}


# ── what the attachment holds ───────────────────────────────────────────────────────────────────────────────────────


def _content(attachment: _Attachment, place: str, folder: Path | None) -> bytes:
    """The attachment's bytes, from the row or from a file beside it. Raises Refused."""
    if "data" in attachment.fields:
        data = _decoded(attachment.fields["data"], place)
    else:
        with _beside(attachment, place, folder) as file:
            data = file.read(FILE_BYTES + 1)
        if len(data) > FILE_BYTES:
            raise Refused(Reject(place, "too_long", f"The file it names has more than {FILE_BYTES} bytes.", "Split it."))
    if "hash" in attachment.fields:
        _check(hashlib.sha1(data, usedforsecurity=False).digest(), attachment, place)
    return data


def _decoded(data: object, place: str) -> bytes:
    try:
        if isinstance(data, str):
            return base64.b64decode("".join(data.split()), validate=True)  # older versions of the standard allow white space
    except (binascii.Error, ValueError):
        pass
    raise Refused(Reject(place, "bad_attachment", "Its 'data' is not base64.", _AGAIN))


def _check(digest: bytes, attachment: _Attachment, place: str) -> None:
    """Raises Refused where the attachment is not the one that its SHA-1 was taken of."""
    if base64.b64encode(digest).decode() != attachment.fields["hash"]:
        raise Refused(Reject(place, "hash_mismatch", "The SHA-1 of its attachment is not what 'hash' says.", "It was changed or cut off: export it again."))


def _text(attachment: _Attachment, data: bytes, place: str, options: ReadOptions) -> str:
    if attachment.kind in _PAGES:
        return htmlfile.text_of(data, place, options, _charset(attachment.charset, place, htmlfile.MEANT) if attachment.charset else "")
    encoding = _charset(attachment.charset or UTF8, place, _MEANT)
    try:
        return data.removeprefix(codecs.BOM_UTF8).decode(encoding, options.errors)
    except UnicodeDecodeError as error:
        reason = f"Byte {error.start} of the attachment is not in the charset that it has, {encoding.upper()}."
        raise Refused(Reject(place, "bad_encoding", reason, "Export it with the charset in 'contentType'.")) from None


def _charset(name: str, place: str, meant: Mapping[str, str]) -> str:
    found = htmlfile.encoding_of(name, meant)
    if not found:
        raise Refused(Reject(place, "bad_encoding", "The attachment declares a charset that is not known.", NAME_IT))
    return found


def _pages(attachment: _Attachment, place: str, options: ReadOptions, folder: Path | None) -> pdf.Pages:
    if "data" in attachment.fields:
        file: BinaryIO = io.BytesIO(_content(attachment, place, folder))
        with pdf.descriptor_of(file, place) as descriptor:
            return pdf.read(descriptor, place, options)
    with _beside(attachment, place, folder) as beside, pdf.descriptor_of(beside, place) as descriptor:
        if "hash" in attachment.fields:
            _check(hashlib.file_digest(beside, lambda: hashlib.sha1(usedforsecurity=False)).digest(), attachment, place)
        return pdf.read(descriptor, place, options)


def _beside(attachment: _Attachment, place: str, folder: Path | None) -> io.BufferedReader:
    """The file that the attachment's `url` names, below the folder of its row. Raises Refused: nothing is fetched, and no name leads out."""
    url = attachment.fields.get("url")
    if not isinstance(url, str) or not url:
        raise Refused(Reject(place, "no_attachment", "Its attachment has neither 'data' nor 'url'.", _AGAIN))
    if _SCHEME.match(url):
        reason = "Its attachment lies elsewhere, under a URL; nothing is fetched."
        raise Refused(Reject(place, "remote_attachment", reason, "Put the file beside this one and its name into 'url', or export it with 'data'."))
    if folder is None:
        raise Refused(Reject(place, "missing_attachment", "Its attachment is a file, and none is looked for from inside an archive.", "Unpack the archive."))
    url = unquote(url)
    parts = PurePosixPath(url).parts
    # what begins with a dot is hidden, and a folder that is submitted leaves it out too
    if url.startswith("/") or any(part.startswith(".") for part in parts) or "\0" in url or "\\" in url or not parts:
        reason = "The path to its attachment is absolute, hidden, or leads out of the folder."
        raise Refused(Reject(place, "unsafe_name", reason, "Give a relative path whose parts do not begin with a dot."))
    return _opened(folder, parts, place)


def _opened(folder: Path, parts: tuple[str, ...], place: str) -> io.BufferedReader:
    """The file below the folder, opened step by step: no link is followed anywhere on the way."""
    at = -1
    try:
        at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for name in parts[:-1]:
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            os.close(at)
            at = inner
        file = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY, dir_fd=at)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise OSError
    except (OSError, ValueError):
        reason = "The file of its attachment is not there, is no regular file, or cannot be read."
        raise Refused(Reject(place, "missing_attachment", reason, "Put it where 'url' says, below the folder of this file.")) from None
    finally:
        if at >= 0:
            os.close(at)
    return os.fdopen(file, "rb")
