"""Reader of a tar of a few files, as a stream, in bounded memory.

`tarfile` reads each extended header into memory whatever its size, and follows sparse maps and links. A backup needs
none of them: an extended header gives at most the size of a file above 8 GiB
(https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html).
"""

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tarfile import (
    AREGTYPE,
    BLOCKSIZE,
    DIRTYPE,
    GNUTYPE_LONGNAME,
    REGTYPE,
    XGLTYPE,
    XHDTYPE,
    TarError,
    TarInfo,
)

_GZIP = b"\x1f\x8b"
_MAX_HEADER = 2**16
_MAX_HEADERS = 1000
_PIECE = 2**20
_EXTENSIONS = (XHDTYPE, XGLTYPE, GNUTYPE_LONGNAME)
_PAX_SIZE = re.compile(rb"(?:^|\n)\d{1,4} size=(\d{1,18})\n")


class TarReader:
    """An open tar or tar.gz. All methods raise TarError for what is none, OSError if it cannot be read."""

    def __init__(self, path: Path, limit: int) -> None:
        self.limit = limit
        """Number of bytes of the unpacked tar that are read at most."""
        self._file = path.open("rb")
        self._stream = self._file
        if self._file.peek(len(_GZIP)).startswith(_GZIP):
            self._stream = gzip.GzipFile(fileobj=self._file)  # type: ignore[assignment]  # a binary reader, too
        self._end = self._next = self._headers = 0

    def close(self) -> None:
        self._file.close()

    def find(self, name: str) -> int:
        """Move to the contents of a file, and return their size. It takes least if files are sought in their order.

        Raises KeyError without such a file.
        """
        with _as_tar_error():
            for _ in range(2):
                while (header := self._header()) is not None:
                    if header.name == name:
                        if header.type not in (REGTYPE, AREGTYPE):
                            raise TarError(f"{name} is no file")
                        return header.size
                self._stream.seek(0)
                self._end = self._next = self._headers = 0
        raise KeyError(f"there is no {name} in it")

    def pieces(self) -> Iterator[bytes]:
        """Yield the contents of the file that was found last. Raises TarError if they are not complete."""
        while (left := self._end - self._stream.tell()) > 0:
            with _as_tar_error():
                piece = self._stream.read(min(left, _PIECE))
            if not piece:
                raise TarError("it ends within a file")
            yield piece

    def _header(self) -> TarInfo | None:
        """Return the next header that is not of an extension; None at the end."""
        size: int | None = None
        while (header := self._block()) is not None:
            if header.type in _EXTENSIONS:
                if header.size > _MAX_HEADER:
                    raise TarError(f"a header of {header.size} bytes")
                self._enter(header.size)
                extension = b"".join(self.pieces())
                if header.type == XHDTYPE and (match := _PAX_SIZE.search(extension)) is not None:
                    size = int(match[1])
                continue
            if size is not None:
                header.size = size
            self._enter(header.size if header.type in (REGTYPE, AREGTYPE) else 0)
            if header.type not in (REGTYPE, AREGTYPE, DIRTYPE):
                raise TarError(f"{header.name} is no file")
            return header
        return None

    def _block(self) -> TarInfo | None:
        self._stream.seek(self._next)
        block = self._stream.read(BLOCKSIZE)
        if not block.strip(b"\0"):
            return None
        self._headers += 1
        if self._headers > _MAX_HEADERS:
            raise TarError(f"more than {_MAX_HEADERS} headers")
        return TarInfo.frombuf(block, "utf-8", "surrogateescape")

    def _enter(self, size: int) -> None:
        """Note where the contents after a header end, and where the next header is."""
        start = self._next + BLOCKSIZE
        self._end = start + size
        self._next = start + -(-size // BLOCKSIZE) * BLOCKSIZE
        if size < 0 or self._next > self.limit:
            raise TarError(f"a file of {size} bytes, which is more than its manifest announces")


@contextmanager
def _as_tar_error() -> Iterator[None]:
    """Raise TarError for compressed data that is damaged."""
    try:
        yield
    except (EOFError, zlib.error) as error:
        raise TarError(f"damaged: {error}") from error
