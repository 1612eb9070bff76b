"""Seals: AES-256-GCM over a text and its metadata, and keyed digests in place of what could be guessed.

What is sealed is bound to its place: to the document's id, its pack and the digest of its content. Moved to another row it
does not open. A nonce is 96 random bits; a key seals one job's documents, far fewer than the 2**32 that random nonces bear
(NIST SP 800-38D, 8.3).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
# between text and metadata: JSON holds none
END_OF_TEXT = "\0"


class BrokenSeal(Exception):
    """What is sealed was changed or moved, or another key sealed it."""


def new_key() -> bytes:
    """256 random bits."""
    return os.urandom(KEY_BYTES)


def seal(key: bytes, plain: bytes, bound_to: bytes) -> str:
    """The nonce and what was sealed, in base64; it opens only with the same `bound_to`."""
    nonce = os.urandom(NONCE_BYTES)
    return base64.b64encode(nonce + _cipher(key).encrypt(nonce, plain, bound_to)).decode("ascii")


def unseal(key: bytes, sealed: str, bound_to: bytes) -> bytes:
    """What `seal` was given. Raises BrokenSeal."""
    from cryptography.exceptions import InvalidTag

    try:
        raw = base64.b64decode(sealed, validate=True)
        return _cipher(key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], bound_to)
    except (InvalidTag, ValueError):
        raise BrokenSeal from None


def seal_document(key: bytes, place: bytes, text: str, meta: str) -> str:
    """A text and its metadata, JSON, under one seal."""
    return seal(key, f"{text}{END_OF_TEXT}{meta}".encode(), place)


def unseal_document(key: bytes, place: bytes, sealed: str) -> tuple[str, str]:
    """The text and its metadata. Raises BrokenSeal."""
    text, _, meta = unseal(key, sealed, place).decode().rpartition(END_OF_TEXT)
    return text, meta


def place_of(document_id: int, pack: str, digest: str) -> bytes:
    """What a document's seal is bound to."""
    return _joined("text", str(document_id), pack, digest)


def keyed_digest(key: bytes, *parts: str) -> str:
    """HMAC-SHA-256 of the parts in hex: nobody without the key can tell whether it is that of a text or id that they guess."""
    return hmac.digest(key, _joined(*parts), "sha256").hex()


def plain_digest(text: str) -> str:
    """SHA-256 of a text in UTF-8, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def _joined(*parts: str) -> bytes:
    """The parts, each with its length before it: no two lists of parts give the same bytes."""
    raw = [part.encode() for part in parts]
    return b"".join(len(part).to_bytes(8, "big") + part for part in raw)


def _cipher(key: bytes) -> AESGCM:
    # imported here: a process that never meets a sealed text does not load it
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM as Cipher

    return Cipher(key)
