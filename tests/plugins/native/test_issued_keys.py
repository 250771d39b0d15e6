"""Files and caches of issued keys: they are where they were made, and nobody else's."""

import asyncio
from pathlib import Path
from time import time
from typing import Any

import pytest
from aiohttp import web
from google import genai
from google.genai import types

from gateway.store.ledger import client_keys
from gateway.store.ledger.tables import open_engine
from tests.support.pinned import GOOGLE, M, Pinned, contents
from tests.support.servers import Fake, RawUpstream, Serve, whole


@pytest.fixture
async def team(serve: Serve, tmp_path: Path, fake: Fake) -> Pinned:
    return Pinned(serve, tmp_path, fake)


async def test_a_file_is_used_where_it_was_uploaded_also_after_a_restart(team: Pinned, fake: Fake) -> None:
    mine = team.issue()
    await team.start()
    name = await team.upload(mine)
    keys = set()
    for _ in range(10):
        assert (await team.generate(mine, name))[0] == 200
        keys.add(team.key())
    await team.start()
    assert (await team.generate(mine, name, verb="streamGenerateContent"))[0] == 200
    keys.add(team.key())
    assert (await team.chat(mine, name))[0] == 200
    keys.add(team.key())
    for verb in ("countTokens", "generateContent"):
        assert (await team.generate(mine, name, verb=verb))[0] == 200
    status, answer, _ = await team.call(mine, "GET", f"/v1beta/{name}")

    assert len(keys) == 1
    assert (status, answer["name"]) == (200, name)
    free = set()
    for _ in range(2):
        await team.generate(mine)
        free.add(team.key())
    assert len(free) == 2


async def test_other_files_of_one_client_lie_beside_the_first(team: Pinned) -> None:
    mine = team.issue()
    await team.start()
    names = [await team.upload(mine) for _ in range(4)]

    assert (await team.generate(mine, *names))[0] == 200


@pytest.mark.row("A8", "S32")
async def test_files_of_another_client_do_not_exist(team: Pinned, fake: Fake) -> None:
    mine, other = team.issue(), team.issue()
    await team.start("a")
    name = await team.upload(mine)
    cached = (await team.cache(mine, name))[1]["name"]
    asked = fake.calls
    answers = [await team.call(other, method, f"/v1beta/{entry}") for method in ("GET", "DELETE", "PATCH")
               for entry in (name, cached)]  # fmt: skip
    answers += [await team.generate(other, name), await team.generate(other, cachedContent=cached)]
    answers += [await team.generate(other, cached_content=cached), await team.cache(other, name)]
    chats = [await team.chat(other, name), await team.chat(other, google={"cached_content": cached})]

    assert [(status, answer["error"]["status"]) for status, answer, _ in answers] == [(404, "NOT_FOUND")] * 10
    assert [(status, answer["error"]["code"]) for status, answer, _ in chats] == [(404, "not_found")] * 2
    assert fake.calls == asked
    assert (await team.call(mine, "GET", f"/v1beta/{name}"))[0] == 200


@pytest.mark.parametrize(
    "spelt",
    [
        "{}?x=1", "{}:download", "HTTPS://Generativelanguage.googleapis.com/v1beta/{}", " " + GOOGLE + "{}",
        "https://generativelanguage.googleapis.com:443/v1beta/{}", "https://gener%61tivelanguage.googleapis.com/v1beta/{}",
        "http://generativelanguage.googleapis.com/v1beta/{}", "//generativelanguage.googleapis.com/v1beta/{}",
    ],
)  # fmt: skip
async def test_odd_spellings_reach_nothing(team: Pinned, fake: Fake, spelt: str) -> None:
    mine = team.issue()
    await team.start("a")
    name = await team.upload(mine)
    body = {"contents": [{"role": "user", "parts": [{"file_data": {"file_uri": spelt.format(name)}}]}]}
    status, _, _ = await team.call(mine, "POST", f"/v1beta/models/{M}:generateContent", body)

    assert (status, fake.calls) == (404, 0)


@pytest.mark.row("A8", "S32")
async def test_google_gets_the_body_that_was_checked(team: Pinned, fake: Fake) -> None:
    mine, other = team.issue(), team.issue()
    await team.start("a")
    name = await team.upload(mine)
    theirs = f'"contents":[{{"role":"user","parts":[{{"fileData":{{"fileUri":"{GOOGLE}{name}"}}}}]}}]'
    own = '"contents":[{"role":"user","parts":[{"text":"hi"}]}]'
    url = f"/v1beta/models/{M}:generateContent"
    json = {"Content-Type": "application/json"}
    twice = await team.call(other, "POST", url, data=f"{{{theirs},{own}}}".encode(), headers=json)
    assert int(fake.last.headers["content-length"]) < len(theirs)  # only what was read is told on
    escaped = theirs.replace("fileUri", "file\\u0055ri")
    hidden = await team.call(other, "POST", url, data=f"{{{escaped}}}".encode(), headers=json)
    broken = await team.call(other, "POST", url, data=f"{{{theirs},}}".encode(), headers=json)
    plain = await team.call(
        other, "POST", url, data=f"{{{own}}}".encode(), headers={"content-type": "application/x-protobuf"}
    )

    assert (twice[0], hidden[0], broken[0], plain[0]) == (200, 404, 400, 200)
    assert fake.calls == 2
    assert fake.last.headers["content-type"] == "application/json"


async def test_while_its_project_rests_no_other_is_asked(team: Pinned, fake: Fake) -> None:
    mine = team.issue()
    await team.start()
    name = await team.upload(mine)
    assert (await team.generate(mine, name, text="[[429]]"))[0] == 429
    asked = fake.calls
    for status, answer, headers in (await team.generate(mine, name), await team.chat(mine, name)):
        assert status == 429
        assert 25 <= int(headers["retry-after"]) <= 38
        assert "holds these files" in answer["error"]["message"]

    assert fake.calls == asked
    assert (await team.generate(mine))[0] == 200


async def test_names_of_two_projects_and_of_one_that_is_gone(team: Pinned, fake: Fake) -> None:
    mine = team.issue()
    await team.start("a")
    first = await team.upload(mine)
    await team.start("b")
    second = await team.upload(mine)
    gone = await team.generate(mine, first)
    await team.start("ab")
    asked = fake.calls
    native, chat = await team.generate(mine, first, second), await team.chat(mine, first, second)

    assert (gone[0], "no longer in this gateway's pool" in gone[1]["error"]["message"]) == (404, True)
    assert (native[0], chat[0], native[1]["error"]["status"]) == (400, 400, "INVALID_ARGUMENT")
    for i in (1, 2):
        assert f"contents[0].parts[{i}].fileData.fileUri" in native[1]["error"]["message"]
    assert first in chat[1]["error"]["message"]
    assert second in chat[1]["error"]["message"]
    assert fake.calls == asked
    assert [(await team.generate(mine, entry))[0] for entry in (first, second)] == [200, 200]


async def test_a_cache_lies_where_its_files_are_until_it_is_deleted(team: Pinned, fake: Fake) -> None:
    mine = team.issue(models=("gemini-2.5-*",))
    await team.start()
    name = await team.upload(mine)
    status, answer, _ = await team.cache(mine, name)
    cached = answer["name"]
    assert (status, cached.startswith("cachedContents/")) == (200, True)
    for _ in range(4):
        assert (await team.generate(mine, name, cachedContent=cached))[0] == 200
        assert (await team.chat(mine, google={"cached_content": cached}))[0] == 200
    _, changed, _ = await team.call(mine, "PATCH", f"/v1beta/{cached}", {"ttl": "7200s"})
    assert changed["expireTime"] > answer["expireTime"]
    assert (await team.call(mine, "DELETE", f"/v1beta/{cached}"))[0] == 200
    asked = fake.calls

    assert (await team.generate(mine, cachedContent=cached))[0] == 404
    assert fake.calls == asked
    other = {"model": "models/gemini-3-pro", "contents": contents()}
    assert (await team.call(mine, "POST", "/v1beta/cachedContents", other))[0] == 403
    assert (await team.call(mine, "POST", "/v1beta/cachedContents", {"contents": []}))[0] == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1beta/files"), ("GET", "/v1beta/cachedContents"), ("GET", "/v1beta/tunedModels"),
        ("POST", "/v1beta/files:register"), ("GET", "/v1beta/batches"),
        ("POST", f"/v1beta/models/{M}:predictLongRunning"), ("POST", "/upload/v1beta/fileSearchStores/x:uploadToFileSearchStore"),
    ],
)  # fmt: skip
async def test_resources_of_a_whole_project_are_refused(
    team: Pinned, fake: Fake, method: str, path: str
) -> None:
    mine = team.issue()
    await team.start()
    status, answer, _ = await team.call(mine, method, path, {} if method == "POST" else None)

    assert (status, answer["error"]["status"]) == (403, "PERMISSION_DENIED")


async def test_only_the_client_that_began_an_upload_continues_it(team: Pinned, tmp_path: Path) -> None:
    mine, other = team.issue(), team.issue()
    await team.start()
    start = {"X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start"}
    _, _, headers = await team.call(mine, "POST", "/upload/v1beta/files", {"file": {}}, headers=start)
    url = headers["X-Goog-Upload-URL"]
    last = {"X-Goog-Upload-Command": "upload, finalize"}

    assert (await team.call(other, "POST", url, data=b"x", headers=last))[0] == 404
    assert (await team.call(mine, "POST", url + "&upload_id=y", data=b"x", headers=last))[0] == 404
    assert (await team.call("", "POST", url.replace("_id=", "_id=y"), data=b"x", headers=last))[0] == 401
    elsewhere = f"/v1beta/models/{M}:generateContent?{url.partition('?')[2]}"
    assert (await team.call("", "POST", elsewhere, {"contents": contents()}))[0] == 401
    assert (await team.call("", "POST", url, data=b"x", headers=last))[0] == 200
    engine = open_engine(f"{tmp_path}/ledger.db", None)
    for entry in client_keys.issued(engine):
        client_keys.revoke(engine, entry.id, time())
    engine.dispose()
    async with asyncio.timeout(30):
        while (await team.call("", "POST", url, data=b"x", headers=last))[0] != 401:
            await asyncio.sleep(0.05)


@pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")
@pytest.mark.parametrize(("own", "absent"), [("", 404), ("AIza-own", 403)])
async def test_googles_sdk_uploads_and_asks(team: Pinned, tmp_path: Path, own: str, absent: int) -> None:
    """It goes on with its upload without a key, and asks for files below /v1."""
    mine = own or team.issue()
    await team.start()
    (tmp_path / "note.txt").write_text("hello")
    options = types.HttpOptions(base_url=team.base)
    async with genai.Client(api_key=mine, http_options=options).aio as sdk:
        file = await sdk.files.upload(file=tmp_path / "note.txt")
        assert file.name
        asked: Any = ["What is in this file?", file]
        answers = [await sdk.models.generate_content(model=M, contents=asked) for _ in range(4)]
        got = await sdk.files.get(name=file.name)
        await sdk.files.delete(name=file.name)
        with pytest.raises(genai.errors.ClientError) as caught:
            await sdk.files.get(name=file.name)

    assert all(answer.text for answer in answers)
    assert (got.name, got.size_bytes) == (file.name, 5)
    assert caught.value.code == absent


async def test_openais_files_are_not_googles(team: Pinned) -> None:
    await team.start()
    bearer = {"Authorization": "Bearer AIza-own"}
    status, answer, _ = await team.call("", "GET", "/v1/files/file-abc", headers=bearer)

    assert (status, answer["error"]["code"]) == (404, "files_not_kept")
    assert "plugins.files.path" in answer["error"]["message"]


async def test_a_client_with_its_own_gemini_key_is_passed_through(team: Pinned, fake: Fake) -> None:
    await team.start()
    name = await team.upload("AIza-own")
    answers = [await team.generate("AIza-own", name), await team.chat("AIza-own", name)]
    answers += [
        await team.generate("AIza-own", "files/unknown"),
        await team.call("AIza-own", "GET", "/v1beta/files"),
    ]

    assert [status for status, _, _ in answers] == [200] * 4
    assert team.key() == "AIza-own"


@pytest.mark.row("A8")
@pytest.mark.parametrize(
    ("query", "headers", "body", "status"),
    [
        ("?$ct=application/x-protobuf", {}, b"{}", 400),
        ("", {"content-type": "application/x-protobuf"}, b"\x0a\x05hello", 400),
        ("", {"content-type": "text/plain"}, b"{'contents': []}", 400),
        ("?fields=candidates", {}, b"{}", 400),
        ("", {"X-Goog-FieldMask": "candidates"}, b"{}", 400),
        ("", {"X-HTTP-Method-Override": "GET"}, b"{}", 400),
    ],
)
async def test_a08_what_could_be_read_otherwise_is_refused_by_name_in_googles_form(
    team: Pinned, fake: Fake, query: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    mine = team.issue()
    await team.start("a")
    url = f"/v1beta/models/{M}:generateContent{query}"
    code, answer, _ = await team.call(mine, "POST", url, data=body, headers=headers)

    assert (code, answer["error"]["status"], fake.calls) == (status, "INVALID_ARGUMENT", 0)
    named = [*(name for name in headers if name.startswith("X-")), query[1:].partition("=")[0]]
    assert all(name.lower() in answer["error"]["message"].lower() for name in named)


@pytest.mark.row("A7")
async def test_a07_what_sdks_send_beside_is_dropped_or_passed_on(team: Pinned, fake: Fake) -> None:
    mine = team.issue()
    await team.start("a")
    url = f"/v1beta/models/{M}:generateContent?%24alt=json%3Benum-encoding%3Dint&prettyPrint=false&key={mine}"
    headers = {"x-goog-api-client": "gl-python/3.12", "x-goog-request-params": f"model=models/{M}"}
    status, _, _ = await team.call(mine, "POST", url, {"contents": contents()}, headers=headers)

    assert status == 200
    assert fake.last.path.endswith(":generateContent")
    assert "x-goog-request-params" not in fake.last.headers


@pytest.mark.row("A23", "S17")
@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("$key={mine}", 200), ("key={mine}&%24key={mine}", 200), ("KEY={mine}", 401), ("pageToken={other}", 401),
        ("pageSize={other}", 401), ("api_key=AIza-someone", 400), ("pageToken=1&access_token=", 400), ("pageSize=ya29.someone", 400),
    ],
)  # fmt: skip
async def test_a23_no_credential_in_the_query_is_sent_to_google(
    serve: Serve, tmp_path: Path, raw_upstream: RawUpstream, query: str, status: int
) -> None:
    raw_upstream.scripts = [whole(b"{}")]
    team = Pinned(serve, tmp_path, Fake(web.Application(), raw_upstream.url))
    mine, other = team.issue(), team.issue()
    await team.start("a")
    url = "/v1beta/models?" + query.format(mine=mine, other=other)
    for header in (mine, "") if "ey={mine}" in query else (mine,):
        assert (await team.call(header, "GET", url))[0] == status

    heads = [request.decode() for request in raw_upstream.requests]
    assert len(heads) == (2 if status == 200 else 0)
    assert all(head.startswith("GET /v1beta/models HTTP/1.1\r\n") and mine not in head for head in heads)


@pytest.mark.row("A7")
async def test_a07_a_budget_in_dollars_holds_no_storage(team: Pinned, fake: Fake) -> None:
    rich, mine = team.issue(), team.issue(dollars={"total": 100.0})
    await team.start("a")
    assert (await team.cache(rich))[0] == 200
    name = (await team.cache(rich))[1]["name"]
    calls = fake.calls
    for answer in (
        await team.cache(mine),
        await team.call(mine, "PATCH", f"/v1beta/{name}", {"ttl": "9999999s"}),
    ):
        assert (answer[0], answer[1]["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert fake.calls == calls
