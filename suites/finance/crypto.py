"""Addresses of crypto-currencies: the coin and the address as it is compared, where its checksum holds."""

from __future__ import annotations

import hashlib

# first byte of a base58check address: public key or script hash of Bitcoin, Litecoin, Dogecoin; Tron's accounts
_VERSIONS = {0x00: "BTC", 0x05: "BTC", 0x30: "LTC", 0x32: "LTC", 0x1E: "DOGE", 0x16: "DOGE", 0x41: "TRX"}
# what human-readable parts of bech32 addresses belong to (BIP 173, Litecoin the same)
_PREFIXES = {"bc": "BTC", "ltc": "LTC"}
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
# what the checksum of witness version 0 and of all later ones leaves (BIP 173, BIP 350)
_BECH32_REST, _BECH32M_REST = 1, 0x2BC830A3


def address(written: str) -> tuple[str, str, bool] | None:
    """The address, its coin, and whether a checksum vouches for it; None where one fails.

    An Ethereum address in one case has no checksum (EIP-55): its form alone says what it is.
    """
    if written[:2].lower() == "0x":
        return _ethereum(written)
    prefix, one, _ = written.lower().rpartition("1")
    if one and prefix in _PREFIXES:
        return _segwit(written, prefix)
    return _base58check(written)


def _base58check(written: str) -> tuple[str, str, bool] | None:
    from stdnum import bitcoin

    if not set(written) <= set(_BASE58):
        return None
    whole = bitcoin.b58decode(written)
    coin = _VERSIONS.get(whole[0])
    body, check = whole[:-4], whole[-4:]
    if coin is None or len(whole) != 25 or hashlib.sha256(hashlib.sha256(body).digest()).digest()[:4] != check:
        return None
    return written, coin, True


def _segwit(written: str, prefix: str) -> tuple[str, str, bool] | None:
    from stdnum import bitcoin

    lower = written.lower()
    data = [_BECH32.find(c) for c in lower[len(prefix) + 1 :]]
    if written not in (lower, written.upper()) or len(written) > 90 or len(data) < 10 or min(data) < 0:
        return None
    expanded = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    rest = bitcoin.bech32_checksum(expanded + data)
    return (lower, _PREFIXES[prefix], True) if rest == (_BECH32_REST if data[0] == 0 else _BECH32M_REST) else None


def _ethereum(written: str) -> tuple[str, str, bool] | None:
    digits = written[2:]
    if len(digits) != 40:
        return None
    lower = digits.lower()
    if digits in (lower, digits.upper()):
        return "0x" + lower, "ETH", False
    from Crypto.Hash import keccak

    marks = keccak.new(digest_bits=256, data=lower.encode("ascii")).hexdigest()
    summed = "".join(c.upper() if int(mark, 16) > 7 else c for c, mark in zip(lower, marks, strict=False))
    return ("0x" + summed, "ETH", True) if digits == summed else None
