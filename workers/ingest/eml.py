"""A mail is one document: its subject and its text body. Addresses are not kept."""

from __future__ import annotations

import codecs
import email
import email.policy
import re
from collections.abc import Iterator
from email import errors
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import BinaryIO, cast

from workers.ingest.files import AS_UTF8, Refused, line_bytes, rows_of
from workers.ingest.rows import Reject, Row, checked

MAIL_BYTES = 48 << 20  # mail servers take 25 to 36 MB
MAIL_PARTS = 1_000
# the header parsers of the standard library take quadratic time: 50 ms for 4,000 semicolons, at each of some eight look-ups
HEADER_CHARS, ALL_HEADERS_CHARS = 2_000, 200_000
HTML_TAIL_CHARS = 10_000  # so does html.parser over what stands behind a construct that never ends
# a header that says how a part is coded, with its folded lines; line ends as the standard library has them
_CODING = re.compile(rb"(?im)(?:^|(?<=\r))content-[\w-]*:[^\r\n]*(?:(?:\r\n|\r|\n)[ \t][^\r\n]*)*")
_CUT = (errors.CloseBoundaryNotFoundDefect, errors.StartBoundaryNotFoundDefect, errors.NoBoundaryInMultipartDefect)
_BASE64 = (errors.InvalidBase64PaddingDefect, errors.InvalidBase64CharactersDefect, errors.InvalidBase64LengthDefect)
_NO_CHARSETS = ("idna", "punycode", "undefined")  # text codecs of Python that are no charset of mail
_HIDDEN = ("script", "style", "title")
_HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
_BLOCKS = _HEADINGS | {"blockquote", "br", "dd", "div", "dl", "dt", "hr", "li", "ol", "p", "pre", "section", "table", "td", "th", "tr", "ul"}


class _Text(HTMLParser):
    """Collects what a reader of the page would see; a block begins a new line."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self.hidden = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hidden = self.hidden or (tag if tag in _HIDDEN else "")
        if tag in _BLOCKS:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self.hidden = "" if tag == self.hidden else self.hidden
        if tag in _BLOCKS:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.pieces.append(data.replace("\n", " "))


def read(path: Path, label: str, max_chars: int) -> Iterator[Row]:
    """The mail as one document whose key is the label."""
    return rows_of(path, label, lambda file: iter([_document(file, label, max_chars)]))


def _document(file: BinaryIO, label: str, max_chars: int) -> Row:
    data = file.read(MAIL_BYTES + 1)
    if len(data) > MAIL_BYTES:
        return Reject(label, "too_long", f"The mail has more than {MAIL_BYTES} bytes.", "Save it without its attachments.")
    if not data.strip():
        return checked(label, label, "", {}, max_chars)
    _check_headers(data, label)
    try:
        return _mail(email.message_from_bytes(data, policy=email.policy.default), label, max_chars)
    except Refused:
        raise
    except Exception as error:  # the standard library answers malformed headers with nearly any type
        return _bad(label, f"It cannot be parsed ({type(error).__name__})")


def _check_headers(data: bytes, label: str) -> None:
    """Raises Refused where the headers that the parser will look into are over their bounds."""
    lengths = [len(found[0]) for found in _CODING.finditer(data)]
    if max(lengths, default=0) > HEADER_CHARS or sum(lengths) > ALL_HEADERS_CHARS:
        raise Refused(_bad(label, f"A header of a part has more than {HEADER_CHARS} characters, or all have more than {ALL_HEADERS_CHARS}"))


def _mail(mail: EmailMessage, label: str, max_chars: int) -> Row:
    parts = _parts(mail, label)
    subject = _subject(mail, label)
    body = _body(mail, label, max_chars)
    text = f"Subject: {subject}\n\n{body}" if subject else body
    meta: dict[str, object] = {"date": _date(mail), "n_attachments": sum(part.is_attachment() or bool(part.get_filename()) for part in parts)}
    return checked(label, label, text, {name: value for name, value in meta.items() if value is not None}, max_chars)


def _parts(mail: EmailMessage, label: str) -> list[EmailMessage]:
    """All parts of the mail. Raises Refused where it is no mail, is cut off, or has too many."""
    if not mail.keys():
        raise Refused(_bad(label, "It has no header"))
    parts: list[EmailMessage] = []
    for part in mail.walk():
        parts.append(part)
        if len(parts) > MAIL_PARTS:
            raise Refused(_bad(label, f"It has more than {MAIL_PARTS} parts"))
        if any(isinstance(defect, _CUT) for defect in part.defects):
            raise Refused(_bad(label, "It ends before its last part does"))
    return parts


def _raw(mail: EmailMessage, header: str) -> str:
    """The header's first value on one line, as it was sent."""
    found = next((str(value) for name, value in mail.raw_items() if name.lower() == header), "")
    return " ".join(found.split())


def _subject(mail: EmailMessage, label: str) -> str:
    raw = _raw(mail, "subject")
    if len(raw) > HEADER_CHARS:
        raise Refused(_bad(label, f"Its subject has {len(raw)} characters > {HEADER_CHARS}"))
    try:
        sent = raw.encode("utf-8", "surrogateescape").decode("utf-8")  # many senders leave UTF-8 unencoded
    except UnicodeDecodeError as error:
        raise Refused(Reject(label, "bad_encoding", f"Byte {error.start} of the subject is not UTF-8.", "Save the mail again from its source.")) from None
    return " ".join(str(email.policy.default.header_factory("subject", sent)).split())


def _date(mail: EmailMessage) -> str | None:
    raw = _raw(mail, "date")
    if len(raw) > HEADER_CHARS:
        return None
    try:
        return parsedate_to_datetime(raw).isoformat()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _body(mail: EmailMessage, label: str, max_chars: int) -> str:
    part = mail.get_body(("plain", "html"))
    if part is None:
        return ""
    content = _content(cast(EmailMessage, part), label).replace("\r\n", "\n")
    return _visible(content, label, max_chars) if part.get_content_subtype() == "html" else content


def _content(part: EmailMessage, label: str) -> str:
    """The part's text, decoded as it says. Raises Refused: nothing is replaced or guessed."""
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes) or any(isinstance(defect, _BASE64) for defect in part.defects):
        raise Refused(_bad(label, "Its text is not valid base64 or has no content"))
    charset = part.get_content_charset("utf-8")
    try:
        name = codecs.lookup(charset).name
        # a mail that claims ASCII, or nothing, and is UTF-8
        return data.decode("utf-8" if name == "ascii" else "unknown" if name in _NO_CHARSETS else name)
    except UnicodeDecodeError as error:
        raise Refused(Reject(label, "bad_encoding", f"Byte {error.start} of the decoded text is not in the charset it declares.", AS_UTF8)) from None
    except LookupError:
        raise Refused(Reject(label, "bad_encoding", "The text declares a charset that is not known.", AS_UTF8)) from None


def _visible(html: str, label: str, max_chars: int) -> str:
    """The text of an HTML body, without blank lines. Raises Refused where it is too long or never ends."""
    if len(html) > line_bytes(max_chars):
        raise Refused(Reject(label, "too_long", f"Its HTML has {len(html)} characters > {line_bytes(max_chars)}.", "Save the mail as plain text."))
    parser = _Text()
    parser.feed(html)
    if len(parser.rawdata) > HTML_TAIL_CHARS:
        raise Refused(_bad(label, "Its HTML has a tag or comment that does not end"))
    parser.close()
    if parser.hidden:
        raise Refused(_bad(label, f"Its HTML has a <{parser.hidden}> that does not end and would hide the rest"))
    lines = (" ".join(line.split()) for line in "".join(parser.pieces).split("\n"))
    return "\n".join(line for line in lines if line)


def _bad(label: str, reason: str) -> Reject:
    return Reject(label, "bad_eml", f"{reason}.", "Save the mail again as .eml, or its text as .txt.")
