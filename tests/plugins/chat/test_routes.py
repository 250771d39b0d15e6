"""What clients see over HTTP: the ancestor's behaviours and the surface's own."""

import json
from typing import Any

import aiohttp
import pytest

from tests.support.servers import Fake, Serve

HELLO = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "hello"}]}


async def ask(
    http: aiohttp.ClientSession, base: str, body: Any, path: str = "/v1/chat/completions", **kw: Any
) -> Any:
    async with http.post(base + path, json=body, **kw) as response:
        return response.status, response.headers, await response.json()


@pytest.mark.parametrize(
    "path",
    [
        "/chat/completions",
        "/v1/chat/completions",
        "/any/prefix/chat/completions",
        "/v1beta/openai/chat/completions",
    ],
)
async def test_any_path_with_the_suffix_is_chat(http: aiohttp.ClientSession, gateway: str, path: str) -> None:
    status, headers, answer = await ask(http, gateway, HELLO, path)

    assert status == 200
    assert answer["choices"][0]["message"]["content"] == "You said: hello"
    assert answer["id"].startswith("chatcmpl-")
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert (
        answer["usage"]["total_tokens"]
        == answer["usage"]["prompt_tokens"] + answer["usage"]["completion_tokens"]
    )
    assert headers["x-gateway-model"] == answer["model"] == "gemini-2.5-flash"
    assert headers["x-request-id"].startswith("req_")


async def test_json_is_read_whatever_the_content_type_says(gateway: str) -> None:
    headers = {"Content-Type": "application:json", "Authorization": "Bearer k"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(gateway + "/chat/completions", data=json.dumps(HELLO), headers=headers) as response,
    ):
        assert response.status == 200


async def test_the_bearer_token_becomes_googles_key_header(
    http: aiohttp.ClientSession, gateway: str, fake: Fake
) -> None:
    await ask(http, gateway, HELLO)

    sent = fake.last.headers
    assert sent["x-goog-api-key"] == "test-key"
    assert sent["x-goog-api-client"].startswith("gemini-gateway/")
    assert "authorization" not in sent
    assert fake.last.path == "/v1beta/models/gemini-2.5-flash:generateContent"


async def test_a_missing_key_is_a_401_in_openais_shape(gateway: str) -> None:
    async with aiohttp.ClientSession() as session:
        status, _, answer = await ask(session, gateway, HELLO)

    assert status == 401
    assert answer["error"]["code"] == "invalid_api_key"
    assert set(answer["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_a_wrong_method_is_a_405_with_the_allowed_ones(
    http: aiohttp.ClientSession, gateway: str, method: str
) -> None:
    async with http.request(method, gateway + "/v1/chat/completions") as response:
        error = (await response.json())["error"]

        assert response.status == 405
        assert "POST" in response.headers["Allow"]
        assert error["message"] == "The specified HTTP method is not allowed for the requested resource"


@pytest.mark.parametrize(
    ("requested", "model", "notes"),
    [("gemini-2.5-pro", "gemini-2.5-pro", None), ("models/gemini-2.5-pro", "gemini-2.5-pro", None),
     ("gpt-4o", "gemini-flash-latest", "model"), ("mini", "gemini-2.5-flash-lite", None)],
)  # fmt: skip
async def test_the_operators_model_rule_decides(
    http: aiohttp.ClientSession, serve: Serve, fake: Fake, requested: str, model: str, notes: str | None
) -> None:
    base = await serve("models: {aliases: {mini: gemini-2.5-flash-lite}}", fake.url)
    _, headers, answer = await ask(http, base, {**HELLO, "model": requested})

    assert fake.last.model == answer["model"] == headers["x-gateway-model"] == model
    assert headers.get("x-gateway-notes") == notes


async def test_safety_settings_are_sent_and_a_clients_own_wins(
    http: aiohttp.ClientSession, gateway: str, fake: Fake
) -> None:
    own = {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_ONLY_HIGH"}
    await ask(http, gateway, {**HELLO, "safety_settings": [own]})

    sent = {s["category"]: s["threshold"] for s in fake.last.body["safetySettings"]}
    assert sent.pop("HARM_CATEGORY_HARASSMENT") == "BLOCK_ONLY_HIGH"
    assert set(sent.values()) == {"BLOCK_NONE"}
    assert len(sent) == 4


async def test_images_and_sound_arrive(http: aiohttp.ClientSession, gateway: str) -> None:
    parts = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ]
    _, _, answer = await ask(http, gateway, {**HELLO, "messages": [{"role": "user", "content": parts}]})

    assert (
        answer["choices"][0]["message"]["content"]
        == "You said: look [image/png, 9 bytes] [audio/wav, 3 bytes]"
    )


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({**HELLO, "messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text", "missing_required_parameter"),
        ({**HELLO, "messages": [{"role": 5, "content": "x"}]}, "messages[0].role", "invalid_type"),
        ({**HELLO, "messages": [{"content": "x"}]}, "messages[0].role", "missing_required_parameter"),
        ({"model": "gemini-2.5-flash"}, "messages", "missing_required_parameter"),
        ({**HELLO, "messages": []}, "messages", "empty_array"),
        ({**HELLO, "temperature": 3}, "temperature", "decimal_above_max_value"),
        ({**HELLO, "temperature": "hot"}, "temperature", "invalid_type"),
        ({**HELLO, "stream": "yes"}, "stream", "invalid_type"),
        ({**HELLO, "tools": [{"type": "function"}]}, "tools[0].function", "missing_required_parameter"),
        ({**HELLO, "n": 9}, "n", "unsupported_value"),
        ({**HELLO, "model": "gemini-../x"}, "model", "invalid_value"),
        ({**HELLO, "model": "gemini-9-none"}, "model", "model_not_found"),
        ([], None, "invalid_type"),
    ],
)  # fmt: skip
async def test_a_clients_mistake_names_its_field(
    http: aiohttp.ClientSession, gateway: str, body: Any, param: str | None, code: str
) -> None:
    status, _, answer = await ask(http, gateway, body)

    assert status == (404 if code == "model_not_found" else 400)
    assert (answer["error"]["param"], answer["error"]["code"]) == (param, code)


@pytest.mark.parametrize(
    "data",
    [b"{", b"", b"\xff{}", b'{"temperature": NaN}', b'{"messages": "\xed\xa0\x80"}', b'{"a":' * 5000, b"[" * 100_000,
     b'{"messages": [{"role": "user", "content": "\\ud800"}]}', b'{"seed": 1e400, "messages": []}'],
    ids=lambda data: repr(data[:12]),
)  # fmt: skip
async def test_bytes_that_are_no_request_are_a_400(
    http: aiohttp.ClientSession, gateway: str, data: bytes
) -> None:
    async with http.post(gateway + "/v1/chat/completions", data=data) as response:
        assert response.status == 400
        assert (await response.json())["error"]["type"] == "invalid_request_error"


async def test_encoded_and_oversize_bodies_are_refused(
    http: aiohttp.ClientSession, serve: Serve, fake: Fake
) -> None:
    base = await serve("limits: {body: 2048}", fake.url)
    async with http.post(
        base + "/v1/chat/completions", data=b"x", headers={"Content-Encoding": "gzip"}
    ) as response:
        assert response.status in (400, 415)
    async with http.post(base + "/v1/chat/completions", data=b"x" * 5000) as response:
        assert response.status == 413
        assert (await response.json())["error"]["code"] == "request_too_large"


async def test_strict_mode_refuses_what_lenient_mode_notes(
    http: aiohttp.ClientSession, serve: Serve, fake: Fake
) -> None:
    body = {**HELLO, "logit_bias": {"1": 5}, "user": "u", "seed": 7}
    lenient, strict = await serve("", fake.url), await serve("compat: strict", fake.url)

    assert (await ask(http, lenient, body))[1]["x-gateway-notes"] == "logit_bias,user"
    status, _, answer = await ask(http, strict, body)
    assert (status, answer["error"]["param"]) == (400, "logit_bias")


async def test_too_much_at_once_is_a_429(http: aiohttp.ClientSession, serve: Serve, fake: Fake) -> None:
    base = await serve("limits: {streams: 1, queue: 0}", fake.url)
    slow = {"messages": [{"role": "user", "content": "[[chunks 500]]" + "x" * 500}], "stream": True}
    async with http.post(base + "/v1/chat/completions", json=slow) as first:
        assert first.status == 200
        status, headers, answer = await ask(http, base, HELLO)

    assert (status, answer["error"]["code"]) == (429, "gateway_overloaded")
    assert headers["retry-after"] == "1"


async def test_two_keys_in_one_request_are_refused(http: aiohttp.ClientSession, gateway: str) -> None:
    status, _, answer = await ask(http, gateway, HELLO, headers={"x-api-key": "another"})

    assert (status, answer["error"]["code"]) == (400, "conflicting_api_keys")


@pytest.mark.parametrize(
    ("command", "status", "code"),
    [("429", 429, "rate_limit_exceeded"), ("429 day", 429, "insufficient_quota"), ("429 spent", 429, "insufficient_quota"), ("500", 500, "internal_error"),
     ("503", 503, "overloaded"), ("html 502", 502, "bad_gateway")],
)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
async def test_an_upstream_failure_before_any_byte_is_a_status(
    http: aiohttp.ClientSession, gateway: str, command: str, status: int, code: str, stream: bool
) -> None:
    body = {"messages": [{"role": "user", "content": f"[[{command}]]"}], "stream": stream}
    found, headers, answer = await ask(http, gateway, body)

    assert (found, answer["error"]["code"]) == (status, code)
    assert headers.get("retry-after") == ({"429": "35", "429 day": "65205"}.get(command))
    assert headers.get("x-should-retry") == ("false" if command in ("429 day", "429 spent") else None)


async def test_a_blocked_prompt_and_an_empty_answer_are_answers(
    http: aiohttp.ClientSession, gateway: str, fake: Fake
) -> None:
    def saying(command: str) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": f"[[{command}]]"}]}

    blocked = (await ask(http, gateway, saying("blocked")))[2]["choices"][0]
    assert (blocked["finish_reason"], blocked["message"]["content"]) == ("content_filter", None)
    before = fake.calls
    empty = (await ask(http, gateway, saying("empty")))[2]["choices"][0]
    assert (empty["finish_reason"], empty["message"]["content"]) == ("stop", "")
    assert fake.calls == before + 2
