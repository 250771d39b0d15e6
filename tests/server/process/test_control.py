"""The control socket: a reload that is asked for there, and its outcome."""

import asyncio
import socket
import stat
from pathlib import Path

import pytest

from gateway.server.process.control import Outcome, ask, control


async def refused() -> Outcome:
    return Outcome(False, "g.yaml:1:1: no")


async def test_o01_the_outcome_is_the_answer_and_only_the_owner_may_ask(tmp_path: Path) -> None:
    path = tmp_path / "blue.sock"
    async with control(str(path), refused):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        answers = [await asyncio.to_thread(ask, str(path)) for _ in range(2)]

    assert answers == [Outcome(False, "g.yaml:1:1: no")] * 2
    assert not path.exists()


async def test_o01_the_socket_of_a_killed_process_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "blue.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    async with control(str(path), refused):
        assert (await asyncio.to_thread(ask, str(path))).message == "g.yaml:1:1: no"


async def test_a_client_that_leaves_changes_nothing(tmp_path: Path) -> None:
    path, asked = tmp_path / "s", asyncio.Event()

    async def slow() -> Outcome:
        asked.set()
        await asyncio.sleep(0.05)
        return Outcome(True, "x" * 1_000_000)

    async with control(str(path), slow):
        _, writer = await asyncio.open_unix_connection(str(path))
        await asked.wait()
        writer.close()
        assert (await asyncio.to_thread(ask, str(path))).changed


async def test_without_a_path_or_a_folder_there_is_no_socket(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with control("", refused):
        pass
    async with control(str(tmp_path / "none" / "s"), refused):
        with pytest.raises(OSError, match="No such file"):
            await asyncio.to_thread(ask, str(tmp_path / "none" / "s"))
    assert "GATEWAY_CONTROL" in capsys.readouterr().err


async def test_an_answer_of_another_program_is_an_error(tmp_path: Path) -> None:
    async def other(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    server = await asyncio.start_unix_server(other, tmp_path / "s")
    with pytest.raises(OSError, match="no answer"):
        await asyncio.to_thread(ask, str(tmp_path / "s"))
    server.close()
