"""The tar of a backup is read in bounded memory, whatever its headers say."""

import gzip
import io
import tarfile
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gateway.store.backup.tar_reader import TarReader

LIMIT = 2**21


def pack(path: Path, *members: tuple[str, bytes], mode: str = "w", **fields: object) -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for field, value in fields.items():
                setattr(info, field, value)
            tar.addfile(info, io.BytesIO(data))
    return path


def read(path: Path, *names: str, limit: int = LIMIT) -> list[bytes]:
    """Return the contents of files. Their sizes must be those that were announced."""
    contents = []
    with closing(TarReader(path, limit)) as reader:
        for name in names:
            size = reader.find(name)
            contents.append(b"".join(reader.pieces()))
            assert len(contents[-1]) == size
    return contents


def header(size: int, kind: bytes) -> bytes:
    info = tarfile.TarInfo("x")
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_files_are_found_in_any_order(tmp_path: Path, mode: str) -> None:
    files = {"a": b"1" * 512, "b": b"", "c": b"3" * 1_500_000, "d": b"4"}
    path = pack(tmp_path / "x", *files.items(), mode=mode)
    order = ("a", "c", "b", "d", "a")
    assert read(path, *order) == [files[name] for name in order]
    with pytest.raises(KeyError, match="no e in it"):
        read(path, "e")


def test_the_size_of_an_extended_header_counts(tmp_path: Path) -> None:
    path = pack(tmp_path / "x", ("a", b"text"), pax_headers={"comment": "x", "size": "4"})
    data = bytearray(path.read_bytes())
    assert data[156:157] == tarfile.XHDTYPE
    data[1024:1536] = tarfile.TarInfo("a").tobuf(tarfile.USTAR_FORMAT)  # as of a file above 8 GiB: no size
    path.write_bytes(data)

    assert read(path, "a") == [b"text"]


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_large_header_is_refused_before_it_is_read(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "x"
    with gzip.open(path, "wb", 1) as file:
        file.write(header(40_000_000, kind) + bytes(40_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(tarfile.TarError, match="a header of 40000000 bytes"):
            read(path, "a", limit=2**30)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE]
)
def test_only_plain_files_are_read(tmp_path: Path, kind: bytes) -> None:
    (tmp_path / "x").write_bytes(header(0, kind) + bytes(1024))
    with pytest.raises(tarfile.TarError, match="x is no file"):
        read(tmp_path / "x", "x")


def test_a_folder_is_skipped(tmp_path: Path) -> None:
    folder = tarfile.TarInfo("folder")
    folder.type = tarfile.DIRTYPE
    path = pack(tmp_path / "x", ("a", b"text"))
    path.write_bytes(folder.tobuf() + path.read_bytes())

    assert read(path, "a") == [b"text"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _: header(LIMIT, tarfile.REGTYPE), "more than its manifest announces"),
        (lambda _: header(-1, tarfile.REGTYPE), "a file of -1 bytes"),
        (lambda _: header(0, tarfile.REGTYPE) * 1001, "more than 1000 headers"),
        (lambda _: header(0, tarfile.XHDTYPE) * 1001, "more than 1000 headers"),
        (lambda data: b"\x1f\x8b" + data, "damaged|Unknown compression"),
        (lambda data: gzip.compress(data)[:100], "damaged"),
        (lambda data: data[:700], "ends within a file"),
        (lambda data: data[:300], "truncated"),
        (lambda _: b"hello" * 200, "bad checksum|invalid"),
    ],
)
def test_what_is_no_tar_is_refused(tmp_path: Path, change: Callable[[bytes], bytes], message: str) -> None:
    path = pack(tmp_path / "x", ("a", bytes(range(256)) * 4))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises((tarfile.TarError, OSError), match=message):
        read(path, "a", "b")
