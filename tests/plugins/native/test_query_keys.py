"""Credentials in the query: which are found, and that none is sent to Google in a URL."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from gateway.errors import BadRequest, Unauthorized
from gateway.plugins.native.query_keys import (
    google_key,
    refuse_credentials,
    refuse_issued_keys,
    refuse_path,
    text_without_keys,
    without_keys,
)
from tests.support.servers import RawUpstream, Serve, whole

OWN = "AQ.Zm9yLXRoaXMtdGVzdC1vbmx5"
OTHER = "ya29.b3RoZXItdG9rZW4"
MODEL = "/v1beta/models/gemini-2.5-flash"
TARGETS = {
    "unary": ("POST", f"{MODEL}:generateContent", "a=b"),
    "events": ("POST", f"{MODEL}:streamGenerateContent", "alt=sse"),
    "list": ("GET", "/v1beta/files", "pageSize=3"),
    "alpha": ("POST", "/v1alpha/auth_tokens", ""),
    "v1": ("GET", "/v1/cachedContents", "pageToken=x"),
    "upload": ("POST", "/upload/v1beta/files", "upload_id=u1&upload_protocol=resumable"),
}
KEYS = ("key", "$key", "%24key", "%6bey", "%24%6B%65%79")
"""Spellings that are `key` and `$key` for Google's API, because it decodes percent-encoding once."""
OTHERS = (
    "Key", "KEY", "%4bey", "$KEY", "$.key", "%24.key", "$$key", ".key", "key[]", "key%5B0%5D", "key%20", "+key", "key%00",
    "%2524key", "%25256bey", "%EF%BD%8B%EF%BD%85%EF%BD%99", "ke%E2%80%8By", "api_key", "apiKey", "API-KEY", "api.key", "apikey2",
    "x-goog-api-key", "X_Goog_Api_Key", "access_token", "accessToken", "$access_token", "Access-Token", "%24.access_token",
    "oauth_token", "$oauth_token", "OAUTH_TOKEN", "oauth2_token", "bearer_token", "bearer", "token", "id_token", "refresh_token",
    "Authorization", "$authorization", "client_secret", "auth", "password", "$httpHeaders", "%24HTTPHEADERS", "proxy-authorization",
)  # fmt: skip


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """A client without a key."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def base(serve: Serve, raw_upstream: RawUpstream) -> str:
    """A gateway in front of an upstream that keeps the bytes of requests."""
    raw_upstream.scripts = [whole(b"{}")]
    return await serve("plugins: {native: {}}", raw_upstream.url)


async def call(
    client: aiohttp.ClientSession, base: str, target: str, query: str, **headers: str
) -> tuple[int, dict[str, Any]]:
    """Return the status and Google's error object, or an empty one."""
    method, path, usual = TARGETS[target]
    url = URL(f"{base}{path}?{'&'.join(filter(None, (usual, query)))}", encoded=True)
    data = b"{}" if method == "POST" else None
    async with client.request(method, url, data=data, headers=headers) as response:
        return response.status, (await response.json()).get("error", {})


@pytest.mark.row("S17", "C37")
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", KEYS)
async def test_s17_a_key_where_google_takes_it_is_moved_to_the_header(
    client: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream, target: str, name: str
) -> None:
    status, _ = await call(client, base, target, f"{name}={OWN}&{name}=&{name}={OWN}")

    head = raw_upstream.requests[-1].split(b"\r\n\r\n")[0].decode()
    assert status == 200
    assert head.splitlines()[0] == "{} {}{} HTTP/1.1".format(
        *TARGETS[target][:2], f"?{TARGETS[target][2]}" if TARGETS[target][2] else ""
    )
    assert head.lower().count(f"x-goog-api-key: {OWN}".lower()) == 1
    assert head.count(OWN) == 1


@pytest.mark.row("S17")
@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("value", [OTHER, "short", ""])
async def test_s17_a_credential_of_another_name_is_refused_in_googles_form(
    client: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream, name: str, value: str
) -> None:
    headers = {"x-goog-api-key": OWN}
    for target, query in (("unary", f"{name}={value}"), ("upload", f"{name}={value}&{name}={value}")):
        status, error = await call(client, base, target, query, **headers)
        assert (status, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
        assert "has a credential" in error["message"]
        assert OTHER not in error["message"]

    assert not raw_upstream.requests


@pytest.mark.row("S17")
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "query",
    [
        f"x={OWN}", f"{OWN}", f"{OWN}=1", f"quotaUser={OTHER}", f"filter=a;key={OWN}", f"alt=sse;access_token={OTHER}",
        f"pageToken={OWN}", f"upload_id={OWN}", f"x=Bearer%20{OWN}", f"x={quote(quote(OWN, safe=''), safe='')}",
        f"x=%2541Q.{OWN[3:]}", "updateMask=AIzaSyB-not_a_key_of_anyone_000", f"callback=https://u:{OTHER}@x/",
    ],
)  # fmt: skip
async def test_s17_a_credential_in_any_value_is_refused(
    client: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream, target: str, query: str
) -> None:
    status, error = await call(client, base, target, query, **{"x-goog-api-key": OWN})

    assert (status, error["status"]) == (400, "INVALID_ARGUMENT")
    assert not raw_upstream.requests


@pytest.mark.row("S17")
@pytest.mark.parametrize("name", ["Key", "api_key", "access_token", "$.key", "oauth_token", "$httpHeaders"])
async def test_s17_a_credential_of_another_name_is_no_key_of_the_client(
    client: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream, name: str
) -> None:
    status, error = await call(client, base, "unary", f"{name}={OWN}")

    assert (status, error["status"]) == (401, "UNAUTHENTICATED")
    assert not raw_upstream.requests


@pytest.mark.row("C37")
@pytest.mark.parametrize("target", TARGETS)
async def test_c37_one_key_may_be_in_several_places_and_two_are_refused_as_google_does(
    client: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream, target: str
) -> None:
    for query, header in ((f"key={OWN}", OWN), (f"%24key={OWN}", ""), (f"key={OWN}&$key={OWN}", OWN)):
        assert (await call(client, base, target, query, **{"x-goog-api-key": header}))[0] == 200
        assert f"x-goog-api-key: {OWN}".lower() in raw_upstream.requests[-1].decode().lower()
        assert raw_upstream.requests[-1].count(OWN.encode()) == 1
    sent = len(raw_upstream.requests)

    for query, header in (
        (f"key={OTHER}", OWN), (f"$key={OTHER}", OWN), (f"key={OWN}&$key={OTHER}", ""), (f"key={OWN}&key={OTHER}", OWN),
    ):  # fmt: skip
        status, error = await call(client, base, target, query, **{"x-goog-api-key": header})
        assert (status, error["status"]) == (400, "INVALID_ARGUMENT")
        assert error["message"] == "Multiple authentication credentials received. Please pass only one."
    assert len(raw_upstream.requests) == sent


@pytest.mark.row("C37", "S17")
@pytest.mark.parametrize("name", [OWN, "AIzaSyB-not_a_key_of_anyone_000", "sk-gw-abcdefgh", f"x{OWN}"])
@pytest.mark.parametrize(
    "path", ["/v1beta/files/{}", "/v1/models/{}", "/v1beta/batches/{}:cancel", "/v1/{}/x"]
)
async def test_c37_a_credential_in_the_path_is_refused(
    client: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream, path: str, name: str
) -> None:
    url = URL(base + path.format(name), encoded=True)
    async with client.post(url, headers={"x-goog-api-key": OWN}) as response:
        error = (await response.json())["error"]

    assert (response.status, error["status"]) == (400, "INVALID_ARGUMENT")
    assert not raw_upstream.requests


async def test_no_key_is_unauthenticated(client: aiohttp.ClientSession, base: str) -> None:
    assert (await call(client, base, "unary", "key=&%24key="))[1]["status"] == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    "query",
    [
        "alt=sse", "%24alt=sse", "filter=display_name%3d%22a+b%22", "pageToken=a%2Bb%2F%3D", "x=%C3%A9&x=&y", "a=b;c=d&e='~!*()",
        "updateMask=ttl%2CdisplayName", "updateMask=ttl,displayName",
    ],
)  # fmt: skip
async def test_the_query_reaches_google_as_it_was_spelled(
    client: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream, query: str
) -> None:
    for text in (query, f"key={OWN}&{query}", f"{query}&%24key={OWN}"):
        async with client.get(
            URL(f"{base}/v1beta/files?{text}", encoded=True), headers={"x-goog-api-key": OWN}
        ) as response:
            assert response.status == 200
        assert raw_upstream.requests[-1].split(b" ")[1].decode() == f"/v1beta/files?{query}"


def test_a_query_of_unusual_bytes_is_written_anew() -> None:
    assert text_without_keys("x=é", [("x", "é")]) is None
    assert text_without_keys("a=b", [("a", "b"), ("c", "d")]) is None
    assert text_without_keys("", []) == ""
    assert text_without_keys("key=a&x=1&&%24key=a", [("key", "a"), ("x", "1"), ("$key", "a")]) == "x=1"


def test_an_id_may_contain_the_form_of_a_key() -> None:
    refuse_path("/v1/interactions/v1_ChdBSXphU3lB-AIzaSyB0000000", OWN)
    with pytest.raises(BadRequest, match="Invalid path"):
        refuse_path(f"/v1/interactions/v1_{OWN}", OWN)


@pytest.mark.row("A23")
@pytest.mark.parametrize(
    "query", ["$.key={}", "x={}", "{}=x", "pageToken={}", "upload_id={}", "$httpHeaders=a:{}"]
)
async def test_a23_an_issued_key_anywhere_in_the_query_is_a_401(
    client: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream, query: str
) -> None:
    for key in ("sk-gw-abcdefgh", "%2573k-gw-abcdefgh"):
        status, error = await call(client, base, "list", query.format(key), **{"x-goog-api-key": OWN})
        assert (status, error["status"]) == (401, "UNAUTHENTICATED")

    assert not raw_upstream.requests


@pytest.mark.row("S17")
async def test_s17_a_websocket_s_path_is_not_passed_on(
    client: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    service = "google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
    async with asyncio.timeout(60):
        for path in (f"/ws/{service}?access_token={OWN}", f"/v1beta/{service}?access_token={OWN}"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
                await client.ws_connect(base + path)
            assert refusal.value.status in (401, 404)

    assert not raw_upstream.requests


@pytest.mark.parametrize(
    "query",
    [
        [("alt", "sse"), ("$alt", "json;enum-encoding=int")], [("pageToken", "a-sk-abcdefghij_AIza0000"), ("page_token", "ya29.abcdef")],
        [("upload_id", "AHmgZ1-gw-abcdefghij"), ("upload_protocol", "resumable"), ("uploadType", "media")],
        [("updateMask", "ttl,displayName"), ("filter", 'display_name="monkey"'), ("quotaUser", "anna@example.org")],
        [("$.xgafv", "2"), ("prettyPrint", "false"), ("$fields", "usageMetadata"), ("callback", "f")],
        [("last_event_id", "8"), ("keyword", "x"), ("maxTokens", "1"), ("author", "x"), ("", "")],
    ],
)  # fmt: skip
def test_what_is_no_credential_is_left(query: list[tuple[str, str]]) -> None:
    refuse_credentials(query, "short")
    refuse_issued_keys(text for pair in query for text in pair)

    assert without_keys(query) == query
    assert google_key(query, "") == ""


def test_only_googles_names_are_keys() -> None:
    query = [("key", ""), ("$key", "a"), ("Key", "b"), ("key", "a"), ("x", "c")]

    assert google_key(query, "") == google_key(query, "a") == "a"
    assert without_keys(query) == [("Key", "b"), ("x", "c")]
    with pytest.raises(BadRequest, match=r"`Key` has a credential"):
        refuse_credentials(query, "")
    with pytest.raises(BadRequest, match="Multiple authentication credentials"):
        google_key([*query, ("key", "d")], "")
    with pytest.raises(BadRequest, match="Multiple authentication credentials"):
        google_key(query, "d")
    with pytest.raises(Unauthorized, match="x-goog-api-key or Authorization only"):
        refuse_issued_keys(["%2573k-gw-abcdefgh"])


def test_the_own_key_is_found_in_a_random_value() -> None:
    refuse_credentials([("pageToken", f"x{OWN}")], "")
    with pytest.raises(BadRequest, match="pageToken"):
        refuse_credentials([("pageToken", f"x{OWN}")], OWN)


def test_a_long_name_takes_linear_time() -> None:
    refuse_credentials([("google" * 20_000 + "x!", "x"), ("%25" * 20_000, "x")], "")
