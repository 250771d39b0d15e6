"""A program in a pseudo-terminal, for clients whose sessions go on only where a person types."""

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[\]P_][^\x07\x1b]*(?:\x07|\x1b\\)")
_SIZE = struct.pack("HHHH", 50, 160, 0, 0)
_PATIENCE = 60.0
"""Seconds that a wait lasts at most."""


class Terminal:
    """One program, and what it has drawn so far."""

    def __init__(
        self, program: Path, arguments: Sequence[str], environ: Mapping[str, str], folder: Path
    ) -> None:
        self._screen = ""
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.chdir(folder)
            os.execve(program, [str(program), *arguments], {**environ, "TERM": "xterm-256color"})
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, _SIZE)

    def wait(self, condition: Callable[[str], bool], patience: float = _PATIENCE) -> None:
        """Read until the condition holds for all that was drawn. Raises AssertionError if that takes too long."""
        deadline = time.monotonic() + patience
        while not condition(self._screen):
            assert time.monotonic() < deadline, f"the terminal shows: {self._screen[-300:]!r}"
            self._read()

    def enter(self, line: str, condition: Callable[[], bool]) -> None:
        """Type a line, and press Enter until the condition holds: a program that is still busy may miss the key."""
        begin = len(self._screen)
        os.write(self._fd, line.encode())
        self.wait(lambda screen: "".join(line.split()) in "".join(screen[begin:].split()))
        for _ in range(20):
            os.write(self._fd, b"\r")
            with contextlib.suppress(AssertionError):
                self.wait(lambda _: condition(), 3)
                return
        raise AssertionError(f"the terminal shows: {self._screen[-300:]!r}")

    def end(self) -> None:
        """End the program."""
        print(self._screen[-3000:], file=sys.stderr)
        os.kill(self._pid, 15)
        os.close(self._fd)
        os.waitpid(self._pid, 0)

    def _read(self) -> None:
        if select.select([self._fd], [], [], 0.1)[0]:
            self._screen += _CONTROL.sub("", os.read(self._fd, 1 << 16).decode(errors="replace"))
