"""Files in requests: copied to the project that is asked, once, and anew when they are gone."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from time import time
from typing import Any

import aiohttp
import pytest

from gateway.exchange.files import file_copies, google_files
from tests.support.files import ANTHROPIC, FileTeam, file_team
from tests.support.servers import Serve
from tests.support.team import refused, spent
from tests.support.waiting import eventually

MP4 = b"\x00\x00\x00\x18ftypisom" + bytes(40)
GONE = "You do not have permission to access the File abc or it may not exist."


@pytest.fixture
async def team(serve: Serve, tmp_path: Path) -> AsyncIterator[FileTeam]:
    async with file_team(serve, tmp_path) as result:
        yield result


def is_copy(part: Any) -> bool:
    data = part["fileData"]
    return bool(data["fileUri"].startswith("https://") and "/files/" in data["fileUri"])


async def test_fi2_a_file_is_uploaded_once_for_each_project(team: FileTeam) -> None:
    client = await team.start("ab")
    file = (await client.upload())["id"]

    status, answer = await client.ask(file)
    assert status == 200, answer
    assert team.parts()[0][1]["fileData"]["mimeType"] == "application/pdf"
    assert is_copy(team.parts()[0][1])
    (first,) = team.uploads()
    assert (await client.ask(file, temperature=0.5))[0] == 200
    assert team.uploads() == [first]
    team.answers["generateContent"] = spent()
    assert (await client.ask(file))[0] == 200
    assert sorted(team.uploads()) == ["a", "b"]
    assert team.parts()[-1] != team.parts()[0]


async def test_fi3_a_copy_is_renewed_before_google_deletes_it(
    team: FileTeam, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await team.start()
    file = (await client.upload())["id"]
    await client.ask(file)
    later = time() + 47 * 3600
    monkeypatch.setattr(file_copies, "time", lambda: later)

    assert (await client.ask(file))[0] == 200
    assert team.uploads() == ["a", "a"]


async def test_fi4_another_clients_file_is_none(team: FileTeam) -> None:
    other = team.team.issue()
    client = await team.start()
    file = (await client.upload())["id"]

    status, answer = await team.client(other).ask(file)
    assert status == 400
    assert answer["error"]["param"] == "messages[0].content[1].file.file_id"
    assert answer["error"]["code"] == "file_not_found"
    assert team.seen == []


async def test_fi10_a_video_is_waited_for(team: FileTeam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(google_files, "_POLLS", [0.0] * 9)
    client = await team.start()
    file = (await client.upload(MP4, "a.mp4"))["id"]

    assert (await client.ask(file))[0] == 200
    looks = [path for method, path, *_ in team.seen if method == "GET"]
    assert len(looks) == 3  # PROCESSING, PROCESSING, ACTIVE
    assert "enerateContent" in team.seen[-1][1]
    assert (await client.ask(file))[0] == 200
    assert len([path for method, path, *_ in team.seen if method == "GET"]) == 3


async def test_fi10_a_video_that_cannot_be_processed_is_400(
    team: FileTeam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(google_files, "_POLLS", [0.0] * 9)
    client = await team.start()
    file = (await client.upload(MP4, "broken.mp4"))["id"]

    status, answer = await client.ask(file)
    assert (status, answer["error"]["code"]) == (400, "file_processing_failed")
    assert team.parts() == []


async def test_a_video_that_is_processed_for_too_long_is_503(
    team: FileTeam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(google_files, "_POLLS", [0.0])
    client = await team.start()
    file = (await client.upload(MP4, "a.mp4"))["id"]

    status, answer = await client.ask(file)
    assert (status, answer["error"]["code"]) == (503, "file_not_ready")


@pytest.mark.parametrize("prefix", ["file-", "file_"])
async def test_fi12_anthropics_and_openais_ids_are_one_file(team: FileTeam, prefix: str) -> None:
    client = await team.start()
    file = prefix + (await client.upload())["id"][5:]
    source = {"type": "file", "file_id": file}
    body = {"model": "gemini-2.5-flash", "max_tokens": 9, "messages": [
        {"role": "user", "content": [{"type": "document", "source": source}, {"type": "text", "text": "?"}]}
    ]}  # fmt: skip

    status, answer = await client.call("POST", "/v1/messages", json=body, headers=ANTHROPIC)
    assert status == 200, answer
    assert is_copy(team.parts()[0][0])
    body = {"model": "gemini-2.5-flash", "input": [
        {"role": "user", "content": [{"type": "input_file", "file_id": file}, {"type": "input_text", "text": "?"}]}
    ]}  # fmt: skip
    assert (await client.call("POST", "/v1/responses", json=body))[0] == 200
    assert is_copy(team.parts()[1][0])
    assert len(team.uploads()) == 1


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_file", "file_id": "ID"},
        {"type": "document", "source": {"type": "file", "file_id": "ID"}},
        {"type": "file", "file_id": "ID"},
    ],
)
async def test_a_file_is_found_in_the_shapes_of_other_dialects(team: FileTeam, part: Any) -> None:
    client = await team.start()
    file = (await client.upload())["id"]
    part = json.loads(json.dumps(part).replace("ID", file))
    body = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": [part]}]}

    status, answer = await client.call("POST", "/v1/chat/completions", json=body)
    assert status == 200, answer
    assert is_copy(team.parts()[0][0])


@pytest.mark.parametrize("url", ["gateway://file-" + "0" * 24, "gateway://x"])
async def test_a_client_cannot_write_the_address_of_a_kept_file(team: FileTeam, url: str) -> None:
    client = await team.start()
    for part in (
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "file", "file": {"file_id": url}},
        {"type": "file", "file": {"file_data": url}},
    ):
        body = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": [part]}]}
        assert (await client.call("POST", "/v1/chat/completions", json=body))[0] == 400
    assert team.seen == []


async def test_a_stream_and_a_count_have_the_file_too(team: FileTeam) -> None:
    client = await team.start()
    file = (await client.upload())["id"]
    content = [{"type": "input_file", "file_id": file}]
    body = {"model": "gemini-2.5-flash", "input": [{"role": "user", "content": content}]}

    status, counted = await client.call("POST", "/v1/responses/input_tokens", json=body)
    assert (status, counted["object"]) == (200, "response.input_tokens")
    message = {"role": "user", "content": [{"type": "file", "file": {"file_id": file}}]}
    chat = {"model": "gemini-2.5-flash", "messages": [message], "stream": True}
    async with (
        aiohttp.ClientSession(headers=client.headers) as http,
        http.post(f"{client.base}/v1/chat/completions", json=chat) as response,
    ):
        text = await response.text()
    assert "[DONE]" in text
    assert is_copy(team.parts()[-1][0])
    assert len(team.uploads()) == 1


@pytest.mark.parametrize("status", [403, 404])
async def test_a_copy_that_google_has_lost_is_made_once_more(team: FileTeam, status: int) -> None:
    client = await team.start()
    file = (await client.upload())["id"]
    await client.ask(file)
    team.answers["generateContent"] = refused(status, GONE)

    assert (await client.ask(file))[0] == 200
    assert len(team.uploads()) == 2


async def test_an_upload_that_google_refuses_is_tried_again(team: FileTeam) -> None:
    client = await team.start("ab")
    file = (await client.upload())["id"]
    team.answers["/upload/"] = spent()

    assert (await client.ask(file))[0] == 200
    assert sorted(team.uploads()) == ["a", "b"]


async def test_choices_share_one_upload(team: FileTeam) -> None:
    client = await team.start()
    file = (await client.upload())["id"]

    status, answer = await client.ask(file, n=3)
    assert (status, len(answer["choices"])) == (200, 3)
    assert len(team.uploads()) == 1


async def test_a_type_that_gemini_does_not_read_is_400(team: FileTeam) -> None:
    client = await team.start()
    file = (await client.upload(b"PK\x03\x04" + bytes(range(20)), "a.docx"))["id"]

    status, answer = await client.ask(file)
    assert (status, answer["error"]["code"]) == (400, "unsupported_file")
    assert team.seen == []


async def test_a_deleted_file_is_deleted_at_google(team: FileTeam) -> None:
    client = await team.start()
    file = (await client.upload())["id"]
    await client.ask(file)

    status, answer = await client.call(
        "DELETE", f"/v1/files/{file}", headers={"Content-Type": "application/json"}
    )
    assert (status, answer) == (200, {"id": file, "object": "file", "deleted": True})
    await eventually(lambda: team.seen[-1][0] == "DELETE")
    assert (await client.ask(file))[0] == 400


async def test_uploads_are_rows_of_the_ledger_without_cost(team: FileTeam) -> None:
    client = await team.start()
    await client.ask((await client.upload())["id"])

    rows = {(row.surface, row.model): row.micros for row in await team.team.settled()}
    assert rows["files", ""] == 0
    assert rows["chat", "gemini-2.5-flash"] > 0


async def test_a_restart_keeps_files_and_copies(team: FileTeam, serve: Serve) -> None:
    client = await team.start()
    file = (await client.upload())["id"]
    await client.ask(file)
    await serve.stop()
    client = await team.start()

    assert (await client.ask(file))[0] == 200
    assert len(team.uploads()) == 1


async def test_a_client_with_its_own_key_uses_its_own_project(team: FileTeam) -> None:
    await team.start()
    own = team.client("AIza-own-key-of-a-client")
    file = (await own.upload())["id"]

    assert (await own.ask(file))[0] == 200
    assert team.uploads() == ["own-key-of-a-client"]
