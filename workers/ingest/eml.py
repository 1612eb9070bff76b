"""A mail is one document: its subject and texts, then those of the mails it carries. Addresses and attachments are not kept."""

from __future__ import annotations

import codecs
import email
import email.policy
import re
from collections.abc import Iterator, Sequence
from email import errors
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from typing import BinaryIO, cast

from workers.ingest.files import AS_UTF8, Refused, line_bytes
from workers.ingest.options import ReadOptions
from workers.ingest.rows import Reject, Row, checked
from workers.ingest.visible import TAIL_CHARS, Endless, Visible

MAIL_BYTES = 48 << 20  # mail servers take 25 to 36 MB
MAIL_PARTS = 1_000
MAIL_DEPTH = 10  # mails inside mails: a chain that people forward as attachments has a few
# the header parsers of the standard library take quadratic time: 50 ms for 4,000 semicolons, at each of some ten look-ups
HEADER_CHARS, ALL_HEADERS_CHARS = 2_000, 200_000
# a header that says how a part is coded, with its folded lines; line ends as the standard library has them
_CODING = re.compile(rb"(?im)(?:^|(?<=\r))content-[\w-]*:[^\r\n]*(?:(?:\r\n|\r|\n)[ \t][^\r\n]*)*")
_CUT = (errors.CloseBoundaryNotFoundDefect, errors.StartBoundaryNotFoundDefect, errors.NoBoundaryInMultipartDefect)
_BASE64 = (errors.InvalidBase64PaddingDefect, errors.InvalidBase64CharactersDefect, errors.InvalidBase64LengthDefect)
_TEXTS = ("text/plain", "text/html")
_MAILS = ("message/rfc822", "message/global", "message/news")
# what a reader of the mail can see: no white space, control, soft hyphen, zero width, filler or variation selector, with which senders pad
_SEEN = re.compile(
    r"[^\s\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb]"
)
_NO_CHARSETS = ("idna", "punycode", "undefined")  # text codecs of Python that are no charset of mail


def rows(file: BinaryIO, label: str, options: ReadOptions) -> Iterator[Row]:
    """The mail as one document whose key is the label."""
    yield _document(file, label, options)


def _document(file: BinaryIO, label: str, options: ReadOptions) -> Row:
    data = file.read(MAIL_BYTES + 1)
    if len(data) > MAIL_BYTES:
        return Reject(label, "too_long", f"The mail has more than {MAIL_BYTES} bytes.", "Save it without its attachments.")
    if not data.strip():
        return checked(label, label, "", {}, options)
    _check_headers(data, label)
    try:
        return _mail(email.message_from_bytes(data, policy=email.policy.default), label, options)
    except Refused:
        raise
    except Exception as error:  # the standard library answers malformed headers with nearly any type
        return _bad(label, f"It cannot be parsed ({type(error).__name__})")


def _check_headers(data: bytes, label: str) -> None:
    """Raises Refused where the headers that the parser will look into are over their bounds."""
    lengths = [len(found[0]) for found in _CODING.finditer(data)]
    if max(lengths, default=0) > HEADER_CHARS or sum(lengths) > ALL_HEADERS_CHARS:
        raise Refused(_bad(label, f"A header of a part has more than {HEADER_CHARS} characters, or all have more than {ALL_HEADERS_CHARS}"))


def _mail(mail: EmailMessage, label: str, options: ReadOptions) -> Row:
    parts = _parts(mail, label)
    text = _Reader(label, options.max_chars).text(mail)
    meta: dict[str, object] = {"date": _date(mail), "n_attachments": _n_attachments(parts)}
    return checked(label, label, text, {name: value for name, value in meta.items() if value is not None}, options)


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


class _Reader:
    """Reads the texts of a mail. The bounds hold for all its HTML together: many parts may not cost more than one."""

    def __init__(self, label: str, max_chars: int) -> None:
        self._label = label
        self._bound = line_bytes(max_chars)
        self._n_html, self._n_tail = 0, 0

    def text(self, mail: EmailMessage, depth: int = 0) -> str:
        """The mail's subject and texts, then the same of each mail that it carries. Raises Refused where they lie too deep."""
        if depth > MAIL_DEPTH:
            raise Refused(_bad(self._label, f"Mails lie inside it more than {MAIL_DEPTH} deep"))
        subject = _subject(mail, self._label)
        body = _joined(self._texts(mail))
        own = f"Subject: {subject}\n\n{body}" if subject else body
        return _joined([own, *(self.text(inner, depth + 1) for inner in _carried(mail))])

    def _texts(self, part: EmailMessage) -> list[str]:
        """The texts of a part in the order in which they are shown. What is attached is not read, and mails are read by themselves."""
        kind = part.get_content_type()
        if part.is_attachment():
            return []
        if kind in _TEXTS:
            return [self._decoded(part, kind)]
        if kind == "multipart/alternative":
            return self._alternative(part)
        shown = _root(part) if kind == "multipart/related" else _inner(part) if kind.startswith("multipart/") else []
        return [text for inner in shown for text in self._texts(inner)]

    def _alternative(self, part: EmailMessage) -> list[str]:
        """The plain text; the next alternative where it shows nothing, as the plain text of many senders does."""
        first: list[str] = []
        for choice in sorted(_inner(part), key=lambda inner: inner.get_content_type() != "text/plain"):
            texts = self._texts(choice)
            if any(_SEEN.search(text) for text in texts):
                return texts
            first = first or texts
        return first

    def _decoded(self, part: EmailMessage, kind: str) -> str:
        content = _content(part, self._label).replace("\r\n", "\n")
        return self._visible(content) if kind == "text/html" else content

    def _visible(self, html: str) -> str:
        """The text of an HTML body, without blank lines. Raises Refused where it is too long or never ends."""
        self._n_html += len(html)
        if self._n_html > self._bound:
            raise Refused(Reject(self._label, "too_long", f"Its HTML has {self._n_html} characters > {self._bound}.", "Save the mail as plain text."))
        try:
            visible = Visible()
            visible.feed(html)
            self._n_tail += visible.n_tail
            if self._n_tail > TAIL_CHARS:
                raise Endless("a tag or comment that does not end")
            return visible.finished()
        except Endless as error:
            raise Refused(_bad(self._label, f"Its HTML has {error}")) from None


def _joined(texts: Sequence[str]) -> str:
    """The texts that show anything, a blank line between them; a single one as it was sent."""
    seen = [text for text in texts if _SEEN.search(text)]
    return "\n\n".join(text.strip("\n") for text in seen) if len(seen) > 1 else [*seen, *texts, ""][0]


def _inner(part: EmailMessage) -> list[EmailMessage]:
    return cast(list[EmailMessage], list(part.iter_parts()))


def _root(related: EmailMessage) -> list[EmailMessage]:
    """The part of a multipart/related that is shown (RFC 2387, section 3.2): the one that `start` names, else the first."""
    start, inner = related.get_param("start"), _inner(related)
    return [part for part in inner if start and part["content-id"] == start][:1] or inner[:1]


def _beside_root(related: EmailMessage) -> list[EmailMessage]:
    root = _root(related)
    return [part for part in _inner(related) if part not in root]


def _carried(part: EmailMessage) -> Iterator[EmailMessage]:
    """The mails that a mail carries, attached or forwarded, wherever they lie in it; not what they carry themselves."""
    is_mail = part.is_multipart() and part.get_content_type() in _MAILS
    for inner in _inner(part):
        if not is_mail:
            yield from _carried(inner)
        elif inner.keys():
            yield inner


def _n_attachments(parts: Sequence[EmailMessage]) -> int:
    """How many parts are attached, named, or hold text that is not read: nothing is left out in silence."""
    related = [part for part in parts if part.is_multipart() and part.get_content_type() == "multipart/related"]
    aside = [part for whole in related for part in _beside_root(whole) if part.get_content_type() in _TEXTS]
    return sum(map(_is_unread, parts)) + sum(not _is_unread(part) for part in aside)


def _is_unread(part: EmailMessage) -> bool:
    """Whether a part is attached, named, or of a kind that holds text and is not read."""
    kind = part.get_content_type()
    if part.is_attachment() or part.get_filename():
        return True
    if kind in _MAILS:  # without a header it is no mail, or one that is encoded although none may be (RFC 2046, section 5.2.1)
        return not any(inner.keys() for inner in _inner(part))
    return kind.startswith(("text/", "message/")) and kind not in _TEXTS


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


def _bad(label: str, reason: str) -> Reject:
    return Reject(label, "bad_eml", f"{reason}.", "Save the mail again as .eml, or its text as .txt.")
