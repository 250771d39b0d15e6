"""One file of a form: its bytes in memory, or in a temporary file once it is large.

A temporary file has no name (open(2), O_TMPFILE; elsewhere its name is removed at once), so that nothing is left of it
however the process ends. Disk work is done in a thread, and every byte that is held counts in `limits.memory`.
"""

import os
import shutil
import tempfile
from asyncio import to_thread
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import IO, Final

from gateway.conversation.media_types import of_file
from gateway.policy.load.memory import MemoryHold
from gateway.store.disk_space import check_space, refusal

IN_MEMORY = 2**20
"""Bytes of a file up to which it is kept in memory."""
PIECE: Final = 256 * 1024
"""Bytes that are written to a temporary file, or read from it, at once."""
HEAD = 1024
"""Bytes of a file that show its type."""


class UploadedFile:
    """A file that a client sent. Its form closes it."""

    def __init__(self, field: str, filename: str, declared: str | None, memory: MemoryHold) -> None:
        self.field = field
        """The form's field, without brackets."""
        self.filename = filename
        self.declared = declared
        """The part's Content-Type; None without one."""
        self.size = 0
        self._memory = memory
        self._data = bytearray()
        """Bytes that are not in the temporary file."""
        self._file: IO[bytes] | None = None
        self._head = b""

    @property
    def in_memory(self) -> bool:
        """Whether the bytes are in memory, not in a temporary file."""
        return self._file is None

    @property
    def head(self) -> bytes:
        """The first bytes, which show the type."""
        return self._head or bytes(self._data[:HEAD])

    @property
    def mime_type(self) -> str:
        """The type that was declared, or else the one that the bytes or the name show; "" if nothing does."""
        return of_file(self.declared, self.filename, self.head)

    async def add(self, data: bytes, folder: Path) -> None:
        """Take bytes that arrived. Large files go to `folder`. Raises Overloaded and InsufficientStorage."""
        self._memory.admit(len(data))
        self.size += len(data)
        self._data += data
        if self.size > IN_MEMORY and (self._file is None or len(self._data) >= PIECE):
            await self._flush(folder)

    async def finish(self, folder: Path) -> None:
        """Write what is left of a large file. Call it after the last `add`."""
        if self._file is not None:
            await self._flush(folder)

    async def read(self) -> bytes:
        """Return all bytes. Those of a temporary file count in the request's memory. Raises Overloaded."""
        if self._file is None:
            return bytes(self._data)
        self._memory.take(self.size)
        return await to_thread(self._read, 0, self.size)

    async def beginning(self, size: int) -> bytes:
        """Return the first bytes."""
        if self._file is None:
            return bytes(self._data[:size])
        return await to_thread(self._read, 0, size)

    def opened(self) -> IO[bytes]:
        """Return the bytes as a file to be read in a thread, one at a time. The form closes those on disk."""
        if self._file is None:
            return BytesIO(self._data)
        self._file.seek(0)
        return self._file

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the bytes in pieces of up to 256 KiB."""
        for start in range(0, self.size, PIECE):
            if self._file is None:
                yield bytes(self._data[start : start + PIECE])
            else:
                yield await to_thread(self._read, start, PIECE)

    def copy_to(self, target: IO[bytes]) -> None:
        """Write the bytes to an open file; call it in a thread. Raises OSError and InsufficientStorage."""
        try:
            if self._file is None:
                target.write(self._data)
            else:
                self._file.seek(0)
                shutil.copyfileobj(self._file, target, PIECE)
        except OSError as error:
            raise refusal(error) from None

    def close(self) -> None:
        """Remove the temporary file, and give the memory back."""
        self._memory.give(len(self._data))
        self._data = bytearray()
        if self._file is not None:
            self._file.close()

    async def _flush(self, folder: Path) -> None:
        data, self._data = self._data, bytearray()
        try:
            if self._file is None:
                self._head = bytes(data[:HEAD])
                self._file = await to_thread(_temporary, folder)
            await to_thread(_write, self._file, data)
        except OSError as error:
            raise refusal(error) from None
        finally:
            self._memory.give(len(data))

    def _read(self, start: int, size: int) -> bytes:
        if self._file is None:
            raise ValueError("the file is in memory")
        return os.pread(self._file.fileno(), size, start)


def _write(file: IO[bytes], data: bytearray) -> None:
    file.write(data)
    file.flush()


def _temporary(folder: Path) -> IO[bytes]:
    """Return a new file without a name. Raises InsufficientStorage and OSError."""
    check_space(folder, IN_MEMORY)
    return tempfile.TemporaryFile(dir=folder)
