"""`/v1/files` of OpenAI's and Anthropic's clients: what is kept, listed, read back, bounded and deleted."""

import errno
import io
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from gateway.plugins.files import routes
from tests.support.files import ANTHROPIC, PDF, FileTeam, file_team
from tests.support.forms import BOUNDARY, form
from tests.support.servers import Serve
from tests.support.waiting import eventually


@pytest.fixture
async def team(serve: Serve, tmp_path: Path) -> AsyncIterator[FileTeam]:
    async with file_team(serve, tmp_path) as result:
        yield result


def names(team: FileTeam) -> list[str]:
    """The files in the folder, besides the database."""
    return [entry.name for entry in team.folder.iterdir() if not entry.name.startswith("files.db")]


async def test_fi1_a_file_is_kept(team: FileTeam) -> None:
    client = await team.start()
    file = await client.upload()

    digits = file["id"].removeprefix("file-")
    assert len(digits) == 24
    assert set(digits) <= set("0123456789abcdef")
    assert file | {"id": 0, "created_at": 0} == {
        "id": 0, "object": "file", "bytes": len(PDF), "created_at": 0, "filename": "a.pdf", "purpose": "user_data",
        "status": "processed", "status_details": None,
    }  # fmt: skip
    assert (await client.call("GET", f"/v1/files/{file['id']}")) == (200, file)
    assert team.seen == []


async def test_fi4_another_clients_file_is_404(team: FileTeam) -> None:
    other = team.team.issue()
    client = await team.start()
    file = (await client.upload())["id"]
    stranger = team.client(other)

    for method, path in (("GET", file), ("DELETE", file), ("GET", f"{file}/content")):
        status, answer = await stranger.call(method, f"/v1/files/{path}")
        assert (status, answer["error"]["message"]) == (404, f"No such File object: {file}")
    assert (await stranger.call("GET", "/v1/files"))[1]["data"] == []
    assert (await client.call("GET", "/v1/files/..%2f..%2fetc"))[0] == 404


async def test_fi5_a_list_is_read_page_by_page(team: FileTeam) -> None:
    client = await team.start()
    ids = [(await client.upload(name=f"{i}.pdf"))["id"] for i in range(3)]

    _, whole = await client.call("GET", "/v1/files?order=asc")
    assert [file["id"] for file in whole["data"]] == ids
    assert (whole["first_id"], whole["last_id"], whole["has_more"]) == (ids[0], ids[2], False)
    _, page = await client.call("GET", f"/v1/files?order=asc&after={ids[0]}&limit=1")
    assert ([file["id"] for file in page["data"]], page["has_more"]) == ([ids[1]], True)
    _, newest = await client.call("GET", "/v1/files?limit=1")
    assert newest["data"][0]["id"] == ids[2]
    assert (await client.call("GET", "/v1/files?purpose=vision"))[1]["data"] == []


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=10001", "limit=x", "order=up", "limit=-1", "limit=9999999999999"]
)
async def test_a_list_that_cannot_be_asked_for_is_400(team: FileTeam, query: str) -> None:
    client = await team.start()

    assert (await client.call("GET", f"/v1/files?{query}"))[0] == 400
    assert (await client.call("GET", "/v1/files?after=file-" + "0" * 24))[0] == 404


async def test_fi6_a_file_is_read_back(team: FileTeam) -> None:
    client = await team.start()
    data = bytes(range(256)) * 9000  # larger than what is kept in memory
    file = (await client.upload(data, 'ü \\"x\\".txt'))["id"]

    url = f"{client.base}/v1/files/{file}/content"
    async with aiohttp.ClientSession(headers=client.headers) as http:
        async with http.get(url, headers={"Accept": "application/binary"}) as response:
            assert await response.read() == data
            assert response.content_type == "application/octet-stream"
            assert response.content_disposition is not None
            assert response.content_disposition.type == "attachment"
            assert response.content_disposition.filename == 'ü "x".txt'
        async with http.get(url, headers={"Range": "bytes=1-3"}) as response:
            assert (response.status, await response.read()) == (206, data[1:4])


async def test_fi8_the_headers_decide_whose_list_it_is(team: FileTeam) -> None:
    client = await team.start()
    file = (await client.upload())["id"]

    _, openais = await client.call("GET", "/v1/files")
    assert openais["object"] == "list"
    _, anthropics = await client.call("GET", "/v1/files", headers=ANTHROPIC)
    assert anthropics["data"][0]["id"] == file.replace("-", "_")
    assert team.seen == []
    own = {"x-goog-api-key": "AIza-own-key", "Authorization": ""}
    assert (await client.call("GET", "/v1/files", headers=own))[0] == 200
    assert team.seen[-1][:2] == ("GET", "/v1/files")


async def test_anthropics_files_are_its_own_objects(team: FileTeam) -> None:
    client = await team.start()
    status, file = await client.post_form(
        "/v1/files", [("file", PDF, "a.pdf", "application/pdf")], **ANTHROPIC
    )

    assert status == 200, file
    assert file["created_at"].endswith("Z")
    assert file | {"id": 0, "created_at": 0} == {
        "id": 0, "type": "file", "filename": "a.pdf", "mime_type": "application/pdf", "size_bytes": len(PDF),
        "created_at": 0, "downloadable": False,
    }  # fmt: skip
    ids = [file["id"]] + [(await client.upload())["id"].replace("-", "_") for _ in range(2)]
    _, page = await client.call("GET", "/v1/files?limit=2", headers=ANTHROPIC)
    assert ([each["id"] for each in page["data"]], page["has_more"]) == ([ids[2], ids[1]], True)
    _, page = await client.call("GET", f"/v1/files?after_id={ids[1]}", headers=ANTHROPIC)
    assert [each["id"] for each in page["data"]] == [ids[0]]
    _, page = await client.call("GET", f"/v1/files?before_id={ids[0]}", headers=ANTHROPIC)
    assert [each["id"] for each in page["data"]] == [ids[2], ids[1]]
    status, answer = await client.call("GET", f"/v1/files/{ids[0]}/content", headers=ANTHROPIC)
    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")
    assert answer["error"]["details"] == {"error_code": "file_not_downloadable"}
    assert (await client.call("DELETE", f"/v1/files/{ids[0]}", headers=ANTHROPIC))[1] == {
        "id": ids[0], "type": "file_deleted",
    }  # fmt: skip
    status, answer = await client.call("GET", f"/v1/files/{ids[0]}", headers=ANTHROPIC)
    assert (status, answer["type"], answer["error"]["type"]) == (404, "error", "not_found_error")


async def test_fi9_a_file_expires_when_its_client_said(
    team: FileTeam, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await team.start()
    after = [("expires_after[anchor]", "created_at"), ("expires_after[seconds]", "3600")]
    fields: list[Any] = [("purpose", "user_data"), ("file", PDF, "a.pdf")]
    for seconds in ("10", "2592001", "x"):
        short = [*fields, ("expires_after[anchor]", "created_at"), ("expires_after[seconds]", seconds)]
        status, answer = await client.post_form("/v1/files", short)
        assert (status, answer["error"]["param"]) == (400, "expires_after.seconds")
    file = await client.upload(more=after)
    assert file["expires_at"] == file["created_at"] + 3600

    later = file["expires_at"] + 1
    monkeypatch.setattr(routes, "time", lambda: later)
    assert (await client.call("GET", f"/v1/files/{file['id']}"))[0] == 404
    assert (await client.call("GET", "/v1/files"))[1]["data"] == []


async def test_what_has_expired_is_removed(
    team: FileTeam, monkeypatch: pytest.MonkeyPatch, serve: Serve
) -> None:
    client = await team.start(options=", days: 0.5")
    file = await client.upload()
    assert file["expires_at"] == file["created_at"] + 43200
    assert names(team) == [file["id"][5:]]
    await serve.stop()
    monkeypatch.setattr(routes, "time", lambda: file["expires_at"] + 1)
    await team.start()

    await eventually(lambda: names(team) == [])


async def test_fi11_a_full_disk_is_507_and_leaves_nothing(
    team: FileTeam, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await team.start()

    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("gateway.store.files.file_store.os.fsync", fail)
    fields: list[Any] = [("purpose", "user_data"), ("file", PDF, "a.pdf")]
    status, answer = await client.post_form("/v1/files", fields)
    assert (status, answer["error"]["code"]) == (507, "insufficient_storage")
    assert names(team) == []
    assert (await client.call("GET", "/v1/files"))[1]["data"] == []
    monkeypatch.undo()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=100 * 2**30, free=2**30))
    assert (await client.post_form("/v1/files", fields))[0] == 507


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ([("file", PDF, "a.pdf")], "purpose", "missing_required_parameter"),
        ([("purpose", "vision")], "file", "missing_required_parameter"),
        ([("purpose", "fine-tune"), ("file", PDF, "a.pdf")], "purpose", "unsupported_value"),
        ([("purpose", "vision"), ("file", b"", "a.pdf")], "file", "empty_file"),
        ([("purpose", "batch"), ("file", b"x\n{}", "a.jsonl")], "file", "invalid_json_line"),
        ([("purpose", "vision"), ("expires_after[seconds]", "3600"), ("file", PDF, "a")], "expires_after.anchor",
         "missing_required_parameter"),
    ],
)  # fmt: skip
async def test_a_file_that_cannot_be_taken_is_400(team: FileTeam, fields: Any, param: str, code: str) -> None:
    client = await team.start()
    status, answer = await client.post_form("/v1/files", fields)

    assert (status, answer["error"]["param"], answer["error"]["code"]) == (400, param, code)
    assert names(team) == []


async def test_a_batchs_input_is_kept_for_thirty_days(team: FileTeam) -> None:
    client = await team.start()
    file = await client.upload(b'{"custom_id": "a"}\n{', "a.jsonl", "batch")

    assert file["expires_at"] - file["created_at"] == 30 * 86400


async def test_a_body_that_is_no_form_names_the_content_type(team: FileTeam) -> None:
    client = await team.start()
    status, answer = await client.call("POST", "/v1/files", json={"purpose": "vision"})

    assert (status, answer["error"]["code"]) == (400, "unsupported_content_type")
    assert "multipart/form-data" in answer["error"]["message"]


async def test_a_client_has_bounds_of_bytes_and_number(team: FileTeam) -> None:
    other = team.team.issue()
    client = await team.start(options=", each: 2, total: 3, count: 2")
    large: list[Any] = [("purpose", "vision"), ("file", bytes(2 * 2**20 + 1), "a")]
    assert (await client.post_form("/v1/files", large))[0] == 413
    await client.upload(b"x" * 2**21)
    half: list[Any] = [("purpose", "vision"), ("file", b"x" * (2**20 + 1), "a")]
    status, answer = await client.post_form("/v1/files", half)
    assert (status, answer["error"]["code"]) == (413, "storage_quota_exceeded")
    status, answer = await client.post_form("/v1/files", [("file", b"x" * (2**20 + 1), "a")], **ANTHROPIC)
    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")
    assert answer["error"]["details"] == {"error_code": "storage_quota_exceeded"}
    await client.upload(b"x")
    assert (await client.post_form("/v1/files", [("purpose", "vision"), ("file", b"x", "a")]))[0] == 413
    assert len(names(team)) == 2
    await team.client(other).upload(b"x" * 2**21)  # another client's are counted apart


async def test_an_announced_length_over_the_limit_is_413_before_the_body(team: FileTeam) -> None:
    client = await team.start(options=", each: 1")
    headers = client.headers | {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    body = form([("purpose", "vision"), ("file", bytes(3 * 2**20), "a")])

    async with (
        aiohttp.ClientSession() as http,
        http.post(
            f"{client.base}/v1/files", data=io.BytesIO(body), headers=headers, expect100=True
        ) as response,
    ):
        assert response.status == 413


async def test_a_client_that_leaves_leaves_nothing(team: FileTeam) -> None:
    client = await team.start()
    body = form([("purpose", "vision"), ("file", bytes(3 * 2**20), "a")])

    async def cut() -> AsyncIterator[bytes]:
        yield body[: 2 * 2**20]
        raise aiohttp.ClientError

    headers = client.headers | {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientError):
            await http.post(f"{client.base}/v1/files", data=cut(), headers=headers)
    assert (await client.call("GET", "/v1/files"))[1]["data"] == []
    assert names(team) == []


async def test_without_a_folder_files_are_not_kept(serve: Serve, http: aiohttp.ClientSession) -> None:
    base = await serve("")

    headers = {"Authorization": "Bearer AIza-own-key"}
    async with http.get(f"{base}/v1/files", headers=headers) as response:
        answer = await response.json()
    assert response.status == 404
    assert "plugins.files.path" in answer["error"]["message"]
