"""Requests of `make bench`."""

import json

import pytest

from bench.bodies import Request, chat, gemini, paced, unusual
from gateway.plugins.chat.wire import decode_request


@pytest.mark.parametrize("name", ["tools", "schema", "image", "history"])
def test_chat_requests_are_valid(name: str) -> None:
    request = unusual()[name]

    assert request.path == "/v1/chat/completions"
    decode_request(request.body)


def test_a_history_has_forty_turns() -> None:
    roles = [message["role"] for message in json.loads(unusual()["history"].body)["messages"]]

    assert roles == ["system", *["user", "assistant"] * 20, "user"]


def test_streams_are_asked_for_in_each_dialect() -> None:
    assert json.loads(chat(streamed=True).body)["stream"] is True
    assert "stream" not in json.loads(chat().body)
    assert gemini(streamed=True).path.endswith(":streamGenerateContent?alt=sse")
    assert "pace=4 events=0" in paced(4, 0, is_gemini=True).body.decode()


def test_the_bytes_of_a_request() -> None:
    assert Request("/x", b"{}").wire("k") == (
        b"POST /x HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\n"
        b"Content-Length: 2\r\n\r\n{}"
    )
