"""OpenAI's uploads: parts in any order, joined as they are named, whole or not at all."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from time import time
from typing import Any

import aiohttp
import pytest

from gateway.plugins.files import uploads
from tests.support.files import FileClient, FileTeam, file_team
from tests.support.servers import Serve


@pytest.fixture
async def team(serve: Serve, tmp_path: Path) -> AsyncIterator[FileTeam]:
    async with file_team(serve, tmp_path) as result:
        yield result


async def begun(client: FileClient, size: int = 6, **more: Any) -> str:
    body = {"bytes": size, "filename": "a.txt", "mime_type": "text/plain", "purpose": "user_data", **more}
    status, upload = await client.call("POST", "/v1/uploads", json=body)
    assert status == 200, upload
    return str(upload["id"])


async def part(client: FileClient, upload: str, data: bytes) -> tuple[int, Any]:
    return await client.post_form(f"/v1/uploads/{upload}/parts", [("data", data, "upload")])


async def completed(client: FileClient, upload: str, parts: list[str], **more: Any) -> tuple[int, Any]:
    return await client.call("POST", f"/v1/uploads/{upload}/complete", json={"part_ids": parts, **more})


async def test_fi7_parts_are_joined_in_the_order_that_is_named(team: FileTeam) -> None:
    client = await team.start()
    body = {"bytes": 6, "filename": "a.txt", "mime_type": "text/plain", "purpose": "user_data"}
    _, upload = await client.call("POST", "/v1/uploads", json=body)
    assert (upload["object"], upload["status"], upload["bytes"]) == ("upload", "pending", 6)
    assert upload["expires_at"] == upload["created_at"] + 3600
    (_, second), (_, first) = await asyncio.gather(
        part(client, upload["id"], b"def"), part(client, upload["id"], b"abc")
    )
    assert (first["object"], first["upload_id"]) == ("upload.part", upload["id"])

    md5 = hashlib.md5(b"abcdef", usedforsecurity=False).hexdigest()
    status, answer = await completed(client, upload["id"], [first["id"], second["id"]], md5=md5)
    assert (status, answer["status"], answer["file"]["bytes"]) == (200, "completed", 6)
    url = f"{client.base}/v1/files/{answer['file']['id']}/content"
    async with aiohttp.ClientSession(headers=client.headers) as http, http.get(url) as response:
        assert await response.read() == b"abcdef"
    assert (await completed(client, upload["id"], [first["id"]]))[0] == 400
    assert (await client.call("GET", f"/v1/uploads/{upload['id']}"))[1]["file"] == answer["file"]
    assert len(list(team.folder.iterdir())) == 4  # the database with its log, and the file


async def test_fi7_a_wrong_checksum_is_400_and_the_upload_goes_on(team: FileTeam) -> None:
    client = await team.start()
    upload = await begun(client)
    _, one = await part(client, upload, b"abcdef")

    status, answer = await completed(client, upload, [one["id"]], md5="0" * 32)
    assert (status, answer["error"]["param"]) == (400, "md5")
    assert (await completed(client, upload, [one["id"]]))[0] == 200


async def test_fi7_nothing_can_be_added_to_a_cancelled_upload(team: FileTeam) -> None:
    client = await team.start()
    upload = await begun(client)
    await part(client, upload, b"abc")

    status, answer = await client.call("POST", f"/v1/uploads/{upload}/cancel")
    assert (status, answer["status"]) == (200, "cancelled")
    status, answer = await part(client, upload, b"def")
    assert (status, answer["error"]["code"]) == (400, "upload_ended")
    assert (await client.call("POST", f"/v1/uploads/{upload}/cancel"))[0] == 400
    assert len(list(team.folder.iterdir())) == 3


async def test_an_upload_expires_after_an_hour(team: FileTeam, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await team.start()
    upload = await begun(client)
    later = time() + 3601
    monkeypatch.setattr(uploads, "time", lambda: later)

    assert (await part(client, upload, b"abcdef"))[0] == 400
    assert (await client.call("GET", f"/v1/uploads/{upload}"))[1]["status"] == "expired"


async def test_the_parts_must_be_the_announced_bytes(team: FileTeam) -> None:
    client = await team.start()
    upload = await begun(client)
    _, one = await part(client, upload, b"abc")

    for parts, param in (
        ([one["id"]], "part_ids"),
        ([one["id"], one["id"]], "part_ids[1]"),
        (["part_x"], "part_ids[0]"),
        ([one["id"], "part_../../x"], "part_ids[1]"),
        ([], "part_ids"),
    ):
        status, answer = await completed(client, upload, parts)
        assert (status, answer["error"]["param"]) == (400, param)
    assert (await part(client, upload, b"defg"))[0] == 400
    assert (await client.call("GET", f"/v1/uploads/{upload}"))[1]["status"] == "pending"


@pytest.mark.parametrize(
    ("change", "status"),
    [({"bytes": 0}, 400), ({"bytes": "6"}, 400), ({"purpose": "fine-tune"}, 400), ({"filename": ""}, 400),
     ({"bytes": 2**21}, 413), ({"expires_after": {"anchor": "x", "seconds": 3600}}, 400)],
)  # fmt: skip
async def test_an_upload_that_cannot_be_taken_is_refused(team: FileTeam, change: Any, status: int) -> None:
    client = await team.start(options=", each: 1")
    body = {"bytes": 6, "filename": "a.txt", "mime_type": "text/plain", "purpose": "user_data", **change}

    assert (await client.call("POST", "/v1/uploads", json=body))[0] == status


async def test_another_clients_upload_is_404(team: FileTeam) -> None:
    other = team.team.issue()
    client = await team.start()
    upload = await begun(client)
    stranger = team.client(other)

    assert (await part(stranger, upload, b"abc"))[0] == 404
    assert (await stranger.call("POST", f"/v1/uploads/{upload}/cancel"))[0] == 404


async def test_unfinished_uploads_count_for_their_client(team: FileTeam) -> None:
    client = await team.start(options=", each: 1, total: 1, count: 3")
    upload = await begun(client, 2**20)
    assert (await part(client, upload, bytes(2**19)))[0] == 200
    fields: list[Any] = [("purpose", "vision"), ("file", bytes(2**19 + 1), "a")]

    assert (await client.post_form("/v1/files", fields))[0] == 413
    assert (await client.call("POST", f"/v1/uploads/{upload}/cancel"))[0] == 200
    assert (await client.post_form("/v1/files", fields))[0] == 200
