"""Requests that no library makes: bytes on a socket, and the answers to them."""

import asyncio
import json
import random
from typing import Any

import pytest

from tests.support.canaries import hits
from tests.support.rawc import RawClient
from tests.support.site import Site
from tests.support.surfaces import (
    CHAT,
    MESSAGES,
    RESPONSES,
)

HELLO = json.dumps(CHAT.body()).encode()
SECRET = b"AIzaLmX2cVb4Ns8Tr1Yh6Pd3Gf5Jk0Zk7Qw9"


async def answers(site: Site, data: bytes) -> bytes:
    """Return what arrives for these bytes until the gateway closes; half-closes, so that it does."""
    async with await RawClient.open(site.base) as client, asyncio.timeout(60):
        client.writer.write(data)
        try:
            return await client.reader.read()
        except ConnectionResetError:
            return b""


def request(
    site: Site, *lines: str, body: bytes = HELLO, path: str = CHAT.path, method: str = "POST"
) -> bytes:
    """Return a good request with further header lines."""
    head = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {site.key}", *lines]
    return "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode("latin-1") + body


async def status(site: Site, data: bytes) -> tuple[int, dict[str, str], bytes]:
    """Return the first answer to these bytes."""
    async with await RawClient.open(site.base) as client, asyncio.timeout(60):
        await client.send(data)
        return await client.response()


POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
HIDDEN = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
SMUGGLED = {
    "length and chunks": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + HIDDEN,
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: 34\r\n\r\n" + HIDDEN,
    "a list of lengths": POST + b"Content-Length: 0, 34\r\n\r\n" + HIDDEN,
    "a signed length": POST + b"Content-Length: +7\r\n\r\n" + HIDDEN,
    "a negative length": POST + b"Content-Length: -1\r\n\r\n" + HIDDEN,
    "a hexadecimal length": POST + b"Content-Length: 0x22\r\n\r\n" + HIDDEN,
    "a length with an underscore": POST + b"Content-Length: 1_0\r\n\r\n" + HIDDEN,
    "a huge length": POST + b"Content-Length: 99999999999999999999999\r\n\r\n" + HIDDEN,
    "an unknown encoding": POST + b"Transfer-Encoding: cow\r\n\r\n" + HIDDEN,
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a tab before chunked": POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a folded header": POST + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "a bare line feed": POST.replace(b"\r\n", b"\n") + b"Content-Length: 0\n\n" + HIDDEN,
    "a NUL in a header": POST + b"X: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "a blank before the colon": POST + b"Content-Length : 0\r\n\r\n" + HIDDEN,
    "no name": POST + b": x\r\nContent-Length: 0\r\n\r\n",
    "a chunk size that overflows": POST
    + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff1\r\n"
    + HIDDEN,
    "a signed chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\n+4\r\nabcd\r\n0\r\n\r\n",
    "a chunk that is too short": POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n",
}


@pytest.mark.row("C30")
@pytest.mark.parametrize("name", SMUGGLED)
async def test_c30_a_request_whose_end_is_in_doubt_is_refused_and_nothing_follows(
    site: Site, name: str
) -> None:
    await site.start("http://127.0.0.1:9")
    data = await answers(site, SMUGGLED[name])
    head, _, body = data.partition(b"\r\n\r\n")

    assert head[:12] in (b"HTTP/1.0 400", b"HTTP/1.1 400", b"HTTP/1.1 401"), data
    assert b"connection: close" in head.lower()
    assert json.loads(body)["error"]["message"]
    assert data.count(b"HTTP/1.") == 1
    site.base = ""


@pytest.mark.row("C31")
@pytest.mark.parametrize("count", [10, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_c31_pipelined_requests_are_answered_in_order(site: Site, count: int) -> None:
    await site.start()
    async with await RawClient.open(site.base) as client:
        data = b"".join(
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nx-request-id: id-%d\r\n\r\n" % number
            for number in range(count)
        )
        sending = asyncio.create_task(client.send(data))
        for number in range(count):
            code, headers, _ = await client.response()
            assert (code, headers["x-request-id"]) == (200, f"id-{number}")
        await sending


@pytest.mark.row("C32")
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "BREW", "PROPFIND"])
@pytest.mark.parametrize("path", [CHAT.path, RESPONSES.path, "/v1/models", "/healthz"])
async def test_c32_a_method_that_a_path_does_not_have_is_a_405(site: Site, method: str, path: str) -> None:
    await site.start()
    if (method, path) in (("GET", "/v1/models"), ("GET", "/healthz")):
        pytest.skip("it has this method")
    code, headers, body = await status(site, request(site, method=method, path=path, body=b""))

    if method in ("CONNECT", "BREW"):  # the second is no method that the parser knows
        assert code in (400, 404, 405)
    else:
        assert code == 405
        assert headers["allow"]
    assert json.loads(body)["error"]["message"]


@pytest.mark.row("C32")
async def test_c32_head_is_get_without_a_body(site: Site) -> None:
    await site.start()
    async with await RawClient.open(site.base) as client:
        for _ in range(2):
            await client.send(b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            code, headers = await client.head()
            assert code == 200
            assert int(headers["content-length"]) > 0


PATHS = [
    "/v1/%63hat/completions", "/v1/chat%2Fcompletions", "/v1/chat/completions%00", "/v1//chat/completions", "//v1/chat/completions",
    "/v1/./chat/completions", "/v1/x/../chat/completions", "/v1/..;/chat/completions", "/v1/chat/completions/", "/V1/chat/completions",
    "/v1/chat/completions;a=b", "/v1/chat/completions%20", "/v1/chat\\completions", "/v1/chat/completions%0d%0aX:y", "/v1%2fchat%2fcompletions",
    "/%76%31/chat/completions", "/v1/chat/completions?x=%00", "/v1/chat/%c3%28", "/v1/chat/completions#x", "/admin/keys", "/admin/../admin/keys",
    "/%61dmin/keys", "/metrics", "/%6detrics", "//metrics", "/v1/../metrics", "/v1beta/models/..%2f..%2fadmin:generateContent",
]  # fmt: skip


@pytest.mark.row("C33")
@pytest.mark.parametrize("path", PATHS)
async def test_c33_no_spelling_of_a_path_gets_around_the_key(site: Site, path: str) -> None:
    await site.start()
    data = request(site, path=path).replace(f"Bearer {site.key}".encode(), b"Bearer sk-gw-of-nobody")
    code, _, body = await status(site, data)

    assert code in (400, 401, 404, 405), body
    assert json.loads(body)["error"]["message"]
    assert not site.upstream.requests


@pytest.mark.row("C34")
@pytest.mark.parametrize(
    ("data", "codes"),
    [
        (b"GET http://x/healthz HTTP/1.1\r\nHost: x\r\n\r\n", {200}),
        (b"GET http://evil.example/healthz HTTP/1.1\r\nHost: x\r\n\r\n", {200, 400}),
        (b"GET https://u:p@x/v1/models HTTP/1.1\r\nHost: x\r\n\r\n", {400, 401}),
        (b"GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n", {200, 400}),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", {200, 204, 400, 404}),
        (b"GET /healthz HTTP/1.0\r\n\r\n", {200}),
        (b"GET /healthz\r\n\r\n", {200, 400}),
        (b"GET /healthz HTTP/2.0\r\nHost: x\r\n\r\n", {200, 400}),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400}),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", {400}),
        (b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n", {400, 404}),
        (b"GET //[ HTTP/1.1\r\nHost: x\r\n\r\n", {200, 400, 404}),
        (b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", {200, 400, 404}),
        (b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", {400, 404, 405}),
    ],
)
async def test_c34_odd_targets_and_versions_are_served_or_refused_in_json(
    site: Site, data: bytes, codes: set[int]
) -> None:
    await site.start()
    async with await RawClient.open(site.base) as client, asyncio.timeout(60):
        await client.send(data)
        code, headers, body = await client.response()

    assert code in codes, body
    if code >= 400:
        assert headers["content-type"] == "application/json"
        assert json.loads(body)["error"]["message"]


@pytest.mark.row("C35")
@pytest.mark.parametrize(
    "data",
    [
        b"".join(b"X-%d: %s\r\n" % (number, SECRET) for number in range(200)),
        b"X: " + SECRET * 300 + b"\r\n",
        SECRET * 300 + b": x\r\n",
        b"Cookie: " + b"a=b; " * 3000 + b"\r\n",
    ],
    ids=["200 headers", "a long header", "a long name", "a long cookie"],
)
async def test_c35_too_much_in_the_headers_is_a_4xx_without_an_echo(site: Site, data: bytes) -> None:
    await site.start()
    code, headers, body = await status(site, POST + data + b"Content-Length: 0\r\n\r\n")

    assert code in (400, 431)
    assert headers["connection"] == "close"
    assert json.loads(body)["error"]["message"]
    assert hits(body) == []


@pytest.mark.row("C35")
async def test_c35_a_long_path_is_a_4xx_without_an_echo(site: Site) -> None:
    await site.start()
    code, _, body = await status(site, b"GET /" + SECRET * 300 + b" HTTP/1.1\r\nHost: x\r\n\r\n")

    assert code in (400, 414)
    assert hits(body) == []


@pytest.mark.row("C37")
@pytest.mark.parametrize(
    ("lines", "codes"),
    [
        (["Authorization: Bearer {key}", "Authorization: Bearer other"], {200, 400, 401}),
        (["Authorization: Bearer other", "Authorization: Bearer {key}"], {200, 400}),
        (["Authorization: Basic {key}"], {401}), (["Authorization: Basic x", "x-api-key: {key}"], {200}),
        (["authorization: bearer {key}"], {200}), (["AUTHORIZATION: BEARER {key}"], {200}),
        (["Authorization:\tBearer\t{key}"], {401}), (["Authorization: Bearer  {key} "], {200}),
        (["Authorization: {key}"], {401}), (["Authorization: Bearer " + "k" * 8000], {401}),
        (["Cookie: key={key}"], {401}), (["x-api-key: {key}", "x-goog-api-key: {key}"], {200}),
        (["x-api-key: {key}", "Authorization: Bearer other"], {400}), (['Authorization: Bearer "{key}"'], {401}),
        (["Authorization: Bearer Bearer {key}"], {401}), (["Proxy-Authorization: Bearer {key}"], {401}),
    ],
)  # fmt: skip
async def test_c37_a_key_counts_in_its_places_only(site: Site, lines: list[str], codes: set[int]) -> None:
    await site.start("http://127.0.0.1:9") if codes == {401} else await site.start()
    head = "\r\n".join(
        [f"POST {CHAT.path} HTTP/1.1", "Host: x", *lines, f"Content-Length: {len(HELLO)}", "", ""]
    )
    code, _, body = await status(site, head.replace("{key}", site.key).encode() + HELLO)

    assert code in codes, body
    assert site.key.encode() not in body
    if codes == {401}:
        site.base = ""


@pytest.mark.row("C37")
@pytest.mark.parametrize("place", ["?key={key}", "?api_key={key}", "?access_token={key}"])
async def test_c37_a_key_in_the_query_counts_on_google_s_api_only(site: Site, place: str) -> None:
    await site.start()
    data = request(site, path=CHAT.path + place.replace("{key}", site.key))
    code, _, _ = await status(site, data.replace(f"Authorization: Bearer {site.key}\r\n".encode(), b""))

    assert code == 401


@pytest.mark.row("C38", "C39")
@pytest.mark.parametrize(
    "line",
    [
        "Content-Type: text/plain", "Content-Type: application/x-www-form-urlencoded", "Content-Type: multipart/form-data; boundary=x",
        "Content-Type: ", "Content-Type: application/json; charset=latin-1", "Content-Type: \xff", "Accept: text/event-stream",
        "Accept: application/xml", "Accept: ", "Accept: */*;q=0",
    ],
)  # fmt: skip
async def test_c38_the_body_decides_not_the_headers_about_it(site: Site, line: str) -> None:
    await site.start()
    code, headers, body = await status(site, request(site, line))

    assert code == 200
    assert headers["content-type"] == "application/json"
    assert json.loads(body)["choices"]


@pytest.mark.row("C24")
@pytest.mark.parametrize("surface", [CHAT, RESPONSES, MESSAGES], ids=lambda surface: surface.name)
async def test_c24_of_a_key_that_occurs_twice_the_last_counts_everywhere(site: Site, surface: Any) -> None:
    await site.start()
    body = json.dumps(surface.body()).replace('"model":', '"model": "gemini-2.5-pro", "model":', 1)
    code, _, _ = await status(site, request(site, body=body.encode(), path=surface.path))

    assert code == 200
    assert b"/models/gemini-2.5-flash:" in site.upstream.requests[-1].partition(b"\r\n")[0]
    assert {row.model for row in site.rows()} == {"gemini-2.5-flash"}


@pytest.mark.row("C21")
@pytest.mark.parametrize("surface", [CHAT, RESPONSES, MESSAGES], ids=lambda surface: surface.name)
@pytest.mark.parametrize("count", [60, pytest.param(3_000, marks=pytest.mark.slow)])
async def test_c21_spoilt_json_is_refused_or_means_something_else(
    site: Site, surface: Any, count: int
) -> None:
    await site.start()
    rolls, good = random.Random(7), json.dumps(surface.body()).encode()
    async with await RawClient.open(site.base) as client:
        for _ in range(count):
            data = bytearray(good)
            for _ in range(rolls.randint(1, 3)):
                place = rolls.randrange(len(data))
                match rolls.randrange(3):
                    case 0:
                        data[place] = rolls.randrange(256)
                    case 1:
                        del data[place]
                    case _:
                        data.insert(place, rolls.choice(b'{}[]",:\\\x00\xff'))
            await client.send(request(site, body=bytes(data), path=surface.path))
            code, headers, body = await client.response()
            assert code in (200, 400, 404), (code, body, data)
            assert headers["content-type"] == "application/json"
            json.loads(body)


@pytest.mark.row("C41")
@pytest.mark.parametrize(
    "value", ["x" * 8000, "a b", '{"a":1}', "a\tb", "é", "'; DROP TABLE x", "../../x", "<b>", "%0d%0aX: y"]
)
async def test_c41_a_hostile_request_id_is_replaced(site: Site, value: str) -> None:
    await site.start()
    code, headers, _ = await status(site, request(site, f"x-request-id: {value}"))

    assert code == 200
    assert headers["x-request-id"].startswith("req_")


@pytest.mark.row("C44")
@pytest.mark.parametrize("count", [150, pytest.param(20_000, marks=pytest.mark.slow)])
async def test_c44_noise_is_refused_and_hardly_logged(
    site: Site, count: int, capfd: pytest.CaptureFixture[str]
) -> None:
    await site.start()
    rolls = random.Random(3)
    for _ in range(count):
        async with await RawClient.open(site.base) as client, asyncio.timeout(60):
            client.writer.write(
                rolls.randbytes(rolls.randint(1, 600)) + rolls.choice([b"", b"\r\n\r\n", b"\n\n"])
            )
            client.half_close()
            try:
                data = await client.reader.read()
            except ConnectionResetError:
                continue
        assert not data or data[9:12] in (b"400", b"404", b"405"), data

    assert len("".join(capfd.readouterr())) < 50 * count


@pytest.mark.row("C17")
@pytest.mark.parametrize("surface", [CHAT, RESPONSES, MESSAGES], ids=lambda surface: surface.name)
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "compress", "nonsense"])
async def test_c17_a_body_that_is_not_in_its_encoding_is_a_415(
    site: Site, surface: Any, encoding: str
) -> None:
    await site.start()
    code, _, body = await status(site, request(site, f"Content-Encoding: {encoding}", path=surface.path))

    assert code in (400, 415)
    assert json.loads(body)["error"]["message"]
    assert not site.upstream.requests


@pytest.mark.row("C47")
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "https://chat.example.evil", "HTTPS://CHAT.EXAMPLE"]
)
async def test_c47_a_restricted_gateway_grants_nothing_to_other_origins(site: Site, origin: str) -> None:
    await site.start(more="cors: {origins: ['https://chat.example']}\n")
    lines = (
        f"Origin: {origin}",
        "Access-Control-Request-Method: POST",
        "Access-Control-Request-Headers: authorization",
    )
    for method in ("OPTIONS", "POST"):
        _, headers, _ = await status(site, request(site, *lines, method=method))
        assert "access-control-allow-origin" not in headers
        assert "access-control-allow-credentials" not in headers


@pytest.mark.row("C45")
async def test_c45_an_upgrade_is_not_made(site: Site) -> None:
    await site.start()
    for name in ("websocket", "h2c"):
        lines = (
            "Connection: Upgrade",
            f"Upgrade: {name}",
            "Sec-WebSocket-Key: x",
            "Sec-WebSocket-Version: 13",
        )
        code, headers, _ = await status(site, request(site, *lines))
        assert code == 200
        assert "upgrade" not in headers
