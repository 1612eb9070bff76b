"""Mutations of valid files, decided by a seeded generator: the same number gives the same input on every machine."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

MOST_BYTES = 1 << 16
TOKENS: tuple[bytes, ...] = (
    *(b"\0", b"\n", b"\r\n", b'"', b'""', b",", b"\t", b"{", b"}", b"[" * 50, b"\\ud800", b"\\u0000", b"NaN", b"-Infinity", b"1e999", b"9" * 5000),
    *(b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe4", b"\x1f\x8b", b"PK\x03\x04", b"PAR1", b"ustar", b"%PDF-"),
    *(b"../", b"/", b"C:\\", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0\0\0\0\0", b"\0\0\0\0", b"77777777777", b"text", b"id", b'"text":'),
    *(b"Content-Type: multipart/mixed; boundary=b\n", b"Content-Transfer-Encoding: base64\n", b"charset=utf-7", b"--b\n", b"<!--", b"<style>", b"=?utf-8?b?"),
    *(b" GNU.sparse.major=1\n", b"12 path=../a\n", b"\xe2\x80\xa8", b"\xf0\x9f\x98\x80", b"(" * 300, b";" * 300, b"=1+1"),
)


_PACKERS: dict[bytes, Callable[[bytes], bytes]] = {b"\x1f\x8b": lambda data: gzip.compress(data, 1, mtime=0), b"BZ": bz2.compress, b"\xfd7": lzma.compress}


def mutated(seeds: Sequence[bytes], random: Random) -> bytes:
    """One of the seeds after one to six changes; now and then plain bytes. At most MOST_BYTES long."""
    if random.random() < 0.05:
        return random.randbytes(random.randrange(200))
    data = random.choice(seeds)
    inner = _unpacked(data) if random.random() < 0.5 else None  # what is packed, not its packing alone
    return (_changed(data, random) if inner is None else _PACKERS[data[:2]](_changed(inner, random)))[:MOST_BYTES]


def _changed(data: bytes, random: Random) -> bytes:
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        data = random.choice(_CHANGES)(data, random)
    return data


def _unpacked(data: bytes) -> bytes | None:
    """What a packed file holds, MOST_BYTES of it at most; None of one that is not packed, or damaged."""
    makers: dict[bytes, Callable[[], Any]] = {b"\x1f\x8b": lambda: zlib.decompressobj(31), b"BZ": bz2.BZ2Decompressor, b"\xfd7": lzma.LZMADecompressor}
    make = makers.get(data[:2])
    if make is None:
        return None
    try:
        plain: bytes = make().decompress(data, MOST_BYTES)
    except (zlib.error, OSError, lzma.LZMAError):
        return None
    return plain


def _range(data: bytes, random: Random) -> tuple[int, int]:
    start = random.randrange(len(data) + 1)
    return start, min(len(data), start + random.choice((0, 1, 2, 4, 8, 64, 1000)))


def _flip(data: bytes, random: Random) -> bytes:
    if not data:
        return b"\0"
    at = random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << random.randrange(8))]) + data[at + 1 :]


def _cut(data: bytes, random: Random) -> bytes:
    start, end = _range(data, random)
    return data[:start] + data[end:]


def _end(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _again(data: bytes, random: Random) -> bytes:
    start, end = _range(data, random)
    return data[:end] + data[start:end] * random.choice((1, 2, 50)) + data[end:]


def _token(data: bytes, random: Random) -> bytes:
    start, end = _range(data, random)
    return data[:start] + random.choice(TOKENS) + data[random.choice((start, end)) :]


def _bytes(data: bytes, random: Random) -> bytes:
    start, end = _range(data, random)
    return data[:start] + random.randbytes(end - start) + data[end:]


def _swap(data: bytes, random: Random) -> bytes:
    start, end = _range(data, random)
    other, _ = _range(data, random)
    return data[:other] + data[start:end] + data[other + end - start :]


def _sum(data: bytes, random: Random) -> bytes:
    """The checksum of a tar header made right again, so that what it protects is looked at; else a CRC of what lies before."""
    at = random.randrange(len(data) // 512 + 1) * 512
    block = bytearray(data[at : at + 512])
    if len(block) == 512 and b"ustar" in block:
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        return data[:at] + bytes(block) + data[at + 512 :]
    start, end = _range(data, random)
    return data[:end] + zlib.crc32(data[start:end]).to_bytes(4, "little") + data[end + 4 :]


_CHANGES = (_flip, _cut, _end, _again, _token, _token, _bytes, _swap, _sum)
