"""Packed files and archives: streamed within bounds, names as labels alone, and every member told."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from workers.ingest import Incoming, Reject, archive, content, packed, read_paths, tar
from workers.ingest.rows import Row

from .fuzz.seeds import parquet, tarred, zipped
from .test_ingest import GOOD, SECRET, codes, mail, rows_in, the_document, the_reject, written

JSONL = b'{"id": "a", "text": "One."}\n{"text": "Two."}\n'
PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: bytes(pa.compress(data, codec="zstd", asbytes=True)),
}


def by_place(rows: list[Row]) -> dict[str, str]:
    return {row.place: "ok" if isinstance(row, Incoming) else row.code for row in rows}


# ── packed files ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("packing", PACK)
def test_a_packed_file_reads_as_the_file_itself(tmp_path: Path, packing: str) -> None:
    """Every format packed by gzip, bzip2, xz or Zstandard gives the rows of the file as it is, a Parquet file and a mail too."""
    for name, data in {"d.jsonl": GOOD["d.jsonl"], "d.csv": GOOD["d.csv"], "d.parquet": GOOD["d.parquet"], "m.eml": mail(SECRET), "n.txt": b"Note."}.items():
        plain, unpacked = rows_in(written(tmp_path, name, data)), rows_in(written(tmp_path, name + packing, PACK[packing](data)))
        assert codes(unpacked) == ["ok"] * len(plain)
        assert [row.text for row in unpacked if isinstance(row, Incoming)] == [row.text for row in plain if isinstance(row, Incoming)]


@pytest.mark.parametrize("packing", PACK)
def test_streams_behind_each_other(tmp_path: Path, packing: str) -> None:
    """Packed files that were joined are read to the end, as their tools read them."""
    data = PACK[packing](JSONL) + PACK[packing](b'{"text": "Three."}\n')
    assert codes(rows_in(written(tmp_path, f"a.jsonl{packing}", data))) == ["ok", "ok", "ok"]


@pytest.mark.parametrize("packing", PACK)
def test_packed_data_that_is_cut_off(tmp_path: Path, packing: str) -> None:
    """The rows before a cut are read, and one reject says that the data is damaged."""
    lines = b"".join(b'{"text": "%s"}\n' % os.urandom(40).hex().encode() for _ in range(20_000))
    rows = rows_in(written(tmp_path, f"a.jsonl{packing}", PACK[packing](lines)[:-100]))
    assert codes(rows)[-1] == ("bad_gzip" if packing == ".gz" else "bad_archive")
    assert len(rows) > 1
    assert set(codes(rows)[:-1]) == {"ok"}


@pytest.mark.parametrize("packing", PACK)
def test_a_bomb_ends_at_the_bound(tmp_path: Path, packing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file that unpacks to more than its share is given up at the bound, before its rows end."""
    monkeypatch.setattr(packed, "SMALL_BYTES", 1 << 20)
    data = PACK[packing](b'{"text": "x"}\n' * 700_000)
    assert len(data) * packed.RATIO < 9_800_000
    rows = rows_in(written(tmp_path, f"a.jsonl{packing}", data))
    assert codes(rows)[-1] == "archive_too_large"
    assert codes(rows).count("ok") < 700_000
    assert "not read further" in the_reject(rows).reason


def test_an_xz_that_asks_for_too_much_memory(tmp_path: Path) -> None:
    """An xz file that wants a dictionary of a gigabyte is refused: what it asks for is its sender's choice."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 16 << 20}]
    data = bytearray(lzma.compress(JSONL, filters=filters))
    assert codes(rows_in(written(tmp_path, "a.jsonl.xz", bytes(data)))) == ["ok", "ok"]
    at = data.index(b"\x21\x01", 12)  # the filter's id and the length of its properties: the size follows, then the header's CRC
    data[at + 2] = 36  # 1 GiB
    length = (data[12] + 1) * 4
    data[12 + length - 4 : 12 + length] = zlib.crc32(data[12 : 12 + length - 4]).to_bytes(4, "little")
    assert codes(rows_in(written(tmp_path, "b.jsonl.xz", bytes(data)))) == ["bad_archive"]


def test_a_packed_parquet_file_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read from front to back is read in memory, and refused above a bound."""
    monkeypatch.setattr(content, "MEMBER_BYTES", 100)
    assert codes(rows_in(written(tmp_path, "a.parquet.gz", gzip.compress(GOOD["d.parquet"])))) == ["member_too_large"]


# ── archives ────────────────────────────────────────────────────────────────────────────────────────────────────────

DOCUMENTS = [("a/one.txt", b"One."), ("rows.jsonl", JSONL), ("./b/t.csv", GOOD["d.csv"]), ("t.parquet", parquet()), ("m.eml", mail("Body."))]
ARCHIVES: dict[str, Callable[[list[tuple[str, bytes]]], bytes]] = {
    ".zip": zipped,
    ".tar": lambda members: plain_tar(members),
    ".tar.gz": lambda members: gzip.compress(plain_tar(members)),
    ".tgz": lambda members: gzip.compress(plain_tar(members, tarfile.GNU_FORMAT)),
    ".tar.bz2": lambda members: bz2.compress(plain_tar(members, tarfile.USTAR_FORMAT)),
    ".tar.xz": lambda members: lzma.compress(plain_tar(members)),
    ".tar.zst": lambda members: PACK[".zst"](plain_tar(members)),
}


def plain_tar(members: list[tuple[str, bytes]], form: int = tarfile.PAX_FORMAT) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=form) as made:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return sink.getvalue()


@pytest.mark.parametrize("suffix", ARCHIVES)
def test_members_read_as_files(tmp_path: Path, suffix: str) -> None:
    """The members of an archive give the rows that they would give as files, in order, under labels below the archive's."""
    rows = rows_in(written(tmp_path, f"in{suffix}", ARCHIVES[suffix](DOCUMENTS)))
    assert codes(rows) == ["ok"] * 8
    assert [row.place.removeprefix(f"in{suffix}/") for row in rows] == [
        *("a/one.txt", "rows.jsonl:1", "rows.jsonl:2", "b/t.csv:2", "b/t.csv:3", "t.parquet:1", "t.parquet:2", "m.eml"),
    ]
    ((source, _),) = read_paths([tmp_path / f"in{suffix}"], 100)
    assert source.label == f"in{suffix}"


@pytest.mark.parametrize("suffix", ARCHIVES)
def test_nothing_in_an_archive_is_silent(tmp_path: Path, suffix: str) -> None:
    """Each member that is not read is a reject with its own code, its neighbours are read, and hidden ones are passed over as in a folder."""
    warnings.simplefilter("ignore", UserWarning)  # zipfile's, to whom writes a name twice
    members = [
        *(("ok.txt", b"x"), ("../out.txt", b"x"), ("a/../../out.txt", b"x"), ("/etc/abs.txt", b"x"), ("C:\\w.txt", b"x"), ("a\\..\\b.txt", b"x")),
        *(("OK.txt", b"y"), ("ok.txt", b"z"), ("n.zip", zipped()), ("n.txt.gz", gzip.compress(b"x")), ("n.txt", zipped()), ("x.docx", b"PK\x03\x04")),
        *(
            ("README.txt", b"x"),
            (".DS_Store", b"x"),
            ("__MACOSX/._ok.txt", b"x"),
            ("e.jsonl", b""),
            ("e.txt", b""),
            ("bad.csv", b"id\n1\n"),
            ("last.txt", b"x"),
        ),
    ]
    name = f"in{suffix}"
    rows = rows_in(written(tmp_path, name, ARCHIVES[suffix](members)))
    found = [(row.place.removeprefix(f"{name}/"), "ok" if isinstance(row, Incoming) else row.code) for row in rows]
    assert found == [
        *(("ok.txt", "ok"), ("../out.txt", "unsafe_name"), ("a/../../out.txt", "unsafe_name"), ("/etc/abs.txt", "unsafe_name")),
        *(("C:\\w.txt", "unsafe_name"), ("a\\..\\b.txt", "unsafe_name"), ("OK.txt", "name_collision"), ("ok.txt", "name_collision")),
        *(("n.zip", "nested_archive"), ("n.txt.gz", "nested_archive"), ("n.txt", "unsupported_format"), ("x.docx", "unsupported_format")),
        *(("README.txt", "unsupported_format"), ("e.jsonl", "empty_file"), ("e.txt", "empty_text"), ("bad.csv", "no_text"), ("last.txt", "ok")),
    ]
    assert all(row.reason and row.remedy for row in rows if isinstance(row, Reject))
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


def test_special_members_of_tar(tmp_path: Path) -> None:
    """Links, FIFOs and devices in a tar archive are rejects, folders are passed over, and a long name is kept whole."""
    rows = rows_in(written(tmp_path, "a.tar", tarred([("x.txt", b"x")])))
    found = {place.removeprefix("a.tar/"): code for place, code in by_place(rows).items()}
    assert found.pop("x.txt") == "ok"
    assert found.pop("long/" * 40 + "ü.txt") == "bad_id"  # its place is its key, and that is too long: a whole name all the same
    assert found == {f"special{kind}.txt": "not_a_file" for kind in (1, 2, 3, 6)}


def test_special_members_of_zip(tmp_path: Path) -> None:
    """Links, encrypted members and other methods than deflate are rejects, told by what the archive says of them."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as made:
        link = zipfile.ZipInfo("link.txt")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        made.writestr(link, "/etc/passwd")
        made.writestr("folder/", "")
        made.writestr(zipfile.ZipInfo("lzma.txt"), "x", zipfile.ZIP_LZMA)
        made.writestr("secret.txt", "x")
        made.writestr("ok.txt", "x")
    data = bytearray(sink.getvalue())
    at = data.rindex(b"secret.txt") - 46 + 8  # its flags in the directory
    data[at] |= 1
    found = by_place(rows_in(written(tmp_path, "a.zip", bytes(data))))
    assert found == {"a.zip/link.txt": "not_a_file", "a.zip/lzma.txt": "unsupported_format", "a.zip/secret.txt": "encrypted_member", "a.zip/ok.txt": "ok"}


def test_a_damaged_member_of_zip_is_told_alone(tmp_path: Path) -> None:
    """A member whose bytes do not fit its checksum is one reject behind its rows; the next member is read."""
    members = [("a.txt", b"Hello there."), ("a.pdf", b"Hello."), ("b.txt", b"Fine.")]
    data = zipped(members, zipfile.ZIP_STORED).replace(b"Hello", b"Jello")
    rows = rows_in(written(tmp_path, "a.zip", data))
    assert by_place(rows) == {"a.zip/a.txt": "bad_archive", "a.zip/a.pdf": "bad_archive", "a.zip/b.txt": "ok"}


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_an_archive_that_is_cut_off(tmp_path: Path, suffix: str) -> None:
    """An archive that ends too early is one reject, and what a tar holds before that is read."""
    data = ARCHIVES[suffix]([("a.txt", b"One."), ("b.txt", b"x" * 900)])
    cut = data[:2_000] if suffix == ".tar" else data[:-10]
    found = by_place(rows_in(written(tmp_path, f"a{suffix}", cut)))
    assert found.pop(f"a{suffix}") == "bad_archive"
    assert found == ({"a.tar/a.txt": "ok"} if suffix == ".tar" else {})


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_too_many_members(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive is given up behind as many members as it may have; those before are read."""
    monkeypatch.setattr(archive, "MEMBERS", 5)
    rows = rows_in(written(tmp_path, f"a{suffix}", ARCHIVES[suffix]([(f"{n}.txt", b"x") for n in range(6)])))
    assert codes(rows) == ["ok"] * 5 + ["archive_too_large"]


def test_a_zip_bomb_ends_at_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The members of an archive share one budget of bytes, also where they are many and each is small."""
    monkeypatch.setattr(packed, "SMALL_BYTES", 100_000)
    monkeypatch.setattr(packed, "RATIO", 1)
    rows = rows_in(written(tmp_path, "a.zip", zipped([(f"{n}.txt", b"x" * 900) for n in range(200)])))
    assert codes(rows)[-1] == "archive_too_large"
    assert 100 <= codes(rows).count("ok") < 120


def test_a_zip_directory_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ZIP file that claims a huge directory is refused before that is loaded."""
    monkeypatch.setattr(archive, "DIRECTORY_BYTES", 400)
    rows = rows_in(written(tmp_path, "a.zip", zipped([(f"{n}.txt", b"x") for n in range(20)])))
    assert codes(rows) == ["archive_too_large"]


def test_headers_of_tar_have_a_bound(tmp_path: Path) -> None:
    """A pax or GNU header that claims to be long is refused before it is loaded."""
    for kind in (b"x", b"L"):
        header = bytearray(plain_tar([("a.txt", b"x")], tarfile.USTAR_FORMAT)[:512])
        header[156:157] = kind
        header[124:136] = b"\x80" + struct.pack(">3xQ", 8 << 30)
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        rows = rows_in(written(tmp_path, "a.tar", bytes(header)))
        assert codes(rows) == ["bad_archive"]
        assert f"more than {tar.EXTENDED_BYTES} bytes" in the_reject(rows).reason


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_tar_as_the_standard_library_has_it(form: int) -> None:
    """Names, kinds and sizes of members are those that `tarfile` finds, in all three dialects."""
    members = [("a.txt", b"x" * 700), ("d/" * 60 + "b.txt", b""), ("p/" + "n" * 90, b"y"), *([("ü" * 80 + "/ñ", b"z")] if form != tarfile.USTAR_FORMAT else [])]
    data = plain_tar(members, form)
    with tarfile.open(fileobj=io.BytesIO(data)) as theirs:
        expected = [(info.name, info.size) for info in theirs]
    ours = tar.Tar(io.BytesIO(data))
    assert [(member.name, member.size) for member in ours.members() if member.kind == ""] == expected


# ── names that lie ──────────────────────────────────────────────────────────────────────────────────────────────────

LIES: list[tuple[str, bytes, str]] = [
    ("a.txt", b"%PDF-1.7\n%\xe2\xe3", "a PDF document"),
    ("a.csv", zipped([("x.txt", b"x")]), "a ZIP archive"),
    ("a.txt", zipped([("[Content_Types].xml", b"<Types/>"), ("word/document.xml", b"x")]), "an Office document"),
    ("a.zip", zipped([("[Content_Types].xml", b"<Types/>")]), "an Office document"),
    ("a.docx", zipped([("[Content_Types].xml", b"<Types/>")]), "an Office document"),
    ("a.txt", zipped([("mimetype", b"application/vnd.oasis.opendocument.text")], zipfile.ZIP_STORED), "an OpenDocument file"),
    ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 60, "of the old kind"),
    ("a.txt", b"{\\rtf1\\ansi x}", "an RTF document"),
    ("a.txt", b"\n<!DOCTYPE HTML><html><body>x</body></html>", "an HTML page"),
    ("a.eml", b"<html><p>x</p></html>", "an HTML page"),
    ("a.docm", b"<html><p>x</p></html>", "an HTML page"),
    ("a.txt", b'<?xml version="1.0"?><x/>', "XML"),
    ("a.jsonl", gzip.compress(JSONL), "gzip data"),
    ("a.jsonl.gz", bz2.compress(JSONL), "bzip2 data"),
    ("a.jsonl.gz", zipped([("x.txt", b"x")]), "a ZIP archive"),
    ("a.jsonl.gz", gzip.compress(gzip.compress(JSONL)), "gzip data"),
    ("a.txt.zst", lzma.compress(b"x"), "xz data"),
    ("a.txt", plain_tar([("x.txt", b"x")]), "a tar archive"),
    ("a.txt", GOOD["d.parquet"], "a Parquet file"),
    ("a.parquet", b"SQLite format 3\0" + b"\0" * 80, "an SQLite database"),
    ("a.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG image"),
    ("a.txt", b"\xff\xd8\xff\xe0\0\x10JFIF", "a JPEG image"),
    ("a.txt", b"GIF89a\x01\0\x01\0\x80", "a GIF image"),
    ("scan.dcm", b"\0" * 128 + b"DICM\x02\0", "a DICOM image"),
    ("a.txt", b"\x7fELF\x02\x01\x01\0", "a program (ELF)"),
    ("a.txt", b"MZ\x90\0\x03\0\0\0", "a program (Windows)"),
    ("a.jsonl", b"\x80\x04\x95\x05\0\0\0\0\0\0\0", "a Python pickle"),
    ("a.7z", b"7z\xbc\xaf\x27\x1c\0\x04", "a 7z archive"),
]


@pytest.mark.parametrize(("name", "data", "says"), LIES, ids=[f"{name}-{says}" for name, _, says in LIES])
def test_a_name_that_lies(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    """A file that is something else than its suffix says is one reject that names what it is, alone and inside an archive."""
    reject = the_reject(rows_in(written(tmp_path, name, data)))
    assert reject.code == "unsupported_format"
    assert says in reject.reason
    inside = the_reject(rows_in(written(tmp_path, "in.tar", plain_tar([(name, data)]))))
    assert inside.code == ("nested_archive" if name.endswith((".gz", ".zst", ".zip")) else "unsupported_format")
    assert inside.code == "nested_archive" or says in inside.reason


@pytest.mark.parametrize(
    "text", ["MZ is a place", "PAR1 no Parquet", "GIF89a is a format", "RIFF and RAFF", "ID3 tags", "BZhang wrote", "BMI 31", "PK was seen", "a <html> b"]
)
def test_letters_alone_are_no_magic(tmp_path: Path, text: str) -> None:
    """A text that begins with the letters of a format is a text."""
    assert the_document(rows_in(written(tmp_path, "a.txt", text))).text == text
