"""What aiohttp's parser refuses."""

import asyncio
import json

import pytest

CANARY = b"AIzaSyCanary0123456789"


RAW = {
    "no request line": b"\x00\x01\x02 " + CANARY + b"\r\n\r\n",
    "an odd method": b"BR@W / HTTP/1.1\r\nHost: " + CANARY + b"\r\n\r\n",
    "an odd version": b"GET / HTTP/9.9\r\nX: " + CANARY + b"\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\nK: " + CANARY + b"\r\n\r\n",
    "length and chunks": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\nK: " + CANARY + b"\r\n\r\n0\r\n\r\n",
    "a blank before the colon": b"GET / HTTP/1.1\r\nHost : " + CANARY + b"\r\n\r\n",
    "a long header": b"GET / HTTP/1.1\r\nHost: x\r\nA: " + CANARY * 1000 + b"\r\n\r\n",
    "a long line": b"GET /" + CANARY * 1000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS on the plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + CANARY + b"\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", RAW)
async def test_a_request_that_the_parser_refuses_is_answered_in_json_without_an_echo(
    gateway: str, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.rpartition(":")[2]))
    writer.write(RAW[name])
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")

    assert head.startswith((b"HTTP/1.0 4", b"HTTP/1.1 4"))
    assert b"Access-Control-Allow-Origin: *" in head
    assert json.loads(body)["error"]["type"] == "invalid_request_error"
    assert CANARY not in answer
    assert CANARY.decode() not in "".join(capfd.readouterr())
