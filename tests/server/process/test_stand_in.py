"""The application of a process whose configuration is faulty, and how instances know of each other."""

from pathlib import Path
from typing import Any

import pytest

from gateway.server.process.stand_in import ServingLock, stand_in


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
async def test_o04_every_request_is_answered_503_with_retry_after(aiohttp_client: Any, method: str) -> None:
    client = await aiohttp_client(stand_in())

    response = await client.request(method, "/v1/chat/completions", data=b"{}" if method == "POST" else None)

    assert response.status == 503
    assert response.headers["Retry-After"] == "5"
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert (await response.json())["error"]["code"] == "gateway_misconfigured"


def test_o04_an_instance_knows_whether_another_one_serves(tmp_path: Path) -> None:
    environ = {"RUNTIME_DIRECTORY": str(tmp_path)}
    blue, green, third = ServingLock(environ), ServingLock(environ), ServingLock(environ)
    assert not green.is_held_elsewhere()

    blue.hold()
    third.hold()
    assert green.is_held_elsewhere()
    blue.release()
    assert green.is_held_elsewhere()
    third.release()
    assert not green.is_held_elsewhere()


def test_without_a_runtime_directory_nobody_knows_of_another(tmp_path: Path) -> None:
    for environ in ({}, {"RUNTIME_DIRECTORY": str(tmp_path / "none")}):
        first, second = ServingLock(environ), ServingLock(environ)
        first.hold()
        assert not second.is_held_elsewhere()
        first.release()
