"""Messages for people: written at once, or later where standard error takes nothing now."""

import os
import subprocess
import sys

import pytest

from gateway.observability.console import Console
from tests.support.waiting import eventually


def fill(fd: int) -> int:
    """Fill a pipe; return its bytes."""
    os.set_blocking(fd, False)
    filled = 0
    try:
        while True:
            filled += os.write(fd, b"x" * 4096)
    except BlockingIOError:
        return filled


def test_a_message_is_written_at_once(pipe: tuple[int, int]) -> None:
    Console(pipe[1]).say("cannot listen: \udcff")

    assert os.read(pipe[0], 100) == b"cannot listen: \\udcff\n"


async def test_a_message_waits_for_a_pipe_that_is_full(pipe: tuple[int, int]) -> None:
    filled = fill(pipe[1])
    os.set_blocking(pipe[1], True)  # so that a write would wait for ever
    Console(pipe[1]).say("serving")
    while filled:
        filled -= len(os.read(pipe[0], filled))
    os.set_blocking(pipe[0], False)

    assert await read_later(pipe[0]) == b"serving\n"


async def test_a_message_is_continued_where_the_pipe_was_full(pipe: tuple[int, int]) -> None:
    filled = fill(pipe[1])
    filled -= len(os.read(pipe[0], 8192))
    Console(pipe[1]).say("y" * 20_000)
    os.set_blocking(pipe[0], False)
    data = b""
    while not data.endswith(b"\n"):
        data += await read_later(pipe[0])

    assert data == b"x" * filled + b"y" * 20_000 + b"\n"


async def read_later(fd: int) -> bytes:
    data = b""

    def arrived() -> bool:
        nonlocal data
        try:
            data = os.read(fd, 2**20)
        except BlockingIOError:
            return False
        return bool(data)

    await eventually(arrived)
    return data


@pytest.mark.parametrize("target", ["/dev/full", "closed"])
def test_nothing_is_raised_where_nothing_can_be_written(target: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    fd = os.open(target, os.O_WRONLY) if target.startswith("/") else writing
    Console(fd).say("lost")  # outside a loop there is no later
    os.close(writing)


def test_a_closed_standard_error_is_no_other_file() -> None:
    code = (
        "import os; from gateway.observability.console import occupy_standard_files as occupy; occupy();"
        "file = os.open('/dev/zero', os.O_RDONLY); print(file > 2, os.readlink('/proc/self/fd/2'))"
    )
    command = ["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, code]

    assert subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout == b"True /dev/null\n"
