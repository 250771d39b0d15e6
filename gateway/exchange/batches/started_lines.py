"""Lines that are being asked for: a process that is killed leaves a mark of each, so that none is paid for twice."""

import os
from pathlib import Path


class StartedLines:
    """Marks of one part, in a file. A mark is on disk before its line is asked for. All methods block."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> set[int]:
        """Return the numbers of the lines that were asked for and not refused. Call before the first mark."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return set()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):  # a power cut, before the line was asked for
            os.truncate(self._path, whole)
        numbers = set[int]()
        for mark in map(int, data[:whole].split()):
            if mark > 0:
                numbers.add(mark - 1)
            else:
                numbers.discard(-mark - 1)
        return numbers

    def begin(self, number: int) -> None:
        """Mark a line that is about to be asked for."""
        self._append(number + 1)

    def withdraw(self, number: int) -> None:
        """Take the mark of a line back that a limit has refused: it has cost nothing."""
        self._append(-number - 1)

    def _append(self, mark: int) -> None:
        with self._path.open("ab", buffering=0) as file:
            file.write(b"%d\n" % mark)
            os.fsync(file.fileno())
