"""Advisories about requests that steer the gateway elsewhere, and about text that is taken for syntax."""

import asyncio
import copy
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.observability.json_log import JsonLog
from gateway.plugin import SERVICES
from tests.advisories.recorder import Recorder, recording
from tests.advisories.wire import answered, canary, raw, status
from tests.support.bodies import BODIES, LEAST
from tests.support.hostile import paths
from tests.support.servers import Serve

CHAT = "/v1/chat/completions"
MODEL = {"model": "gemini-2.5-flash"}
GENERATING = [path for path in LEAST if path != "/v1/moderations"]
"""Surfaces that ask Google; moderations are answered without it as shipped."""

ALL = "plugins: {chat: {}, responses: {}, messages: {}, completions: {}, embeddings: {}, images: {}, moderations: {}, native: {}, models: {}}"


@pytest.fixture
async def recorded(serve: Serve) -> AsyncIterator[tuple[str, Recorder]]:
    """The URL of a gateway with every surface, and its upstream."""
    async for pair in recording(serve, ALL):
        yield pair


STEERING = ("api_base", "base_url", "endpoint", "host", "proxy", "proxies", "extra_headers", "headers", "user_config",
            "router", "api_key", "api_version", "custom_host", "organization", "default_headers", "vertex_location",
            "model_list", "fallbacks", "litellm_params", "region", "url", "target", "provider", "timeout")  # fmt: skip


def steering(elsewhere: str) -> dict[str, Any]:
    """Return fields by which other gateways let a request choose the upstream, and the same inside others."""
    fields: dict[str, Any] = dict.fromkeys(STEERING, elsewhere)
    fields["extra_headers"] = fields["headers"] = {"Host": elsewhere, "x-goog-api-key": "x"}
    fields["model_list"] = [{"model_name": "x", "litellm_params": {"api_base": elsewhere}}]
    return fields | {"user_config": dict(fields), "metadata": dict(fields), "router": {"user_config": dict(fields)},
                     "extra_body": dict(fields)}  # fmt: skip


@pytest.mark.row("S02", "S03")
@pytest.mark.parametrize("path", GENERATING)
async def test_s02_no_field_of_a_body_chooses_where_the_request_goes(
    recorded: tuple[str, Recorder], http: aiohttp.ClientSession, path: str
) -> None:
    url, upstream = recorded
    evil = steering(upstream.elsewhere)
    least = MODEL | LEAST[path]
    bodies = [
        least | evil,
        least | {"metadata": evil},
        least | {"google": evil},
        least | {"extra_body": {"google": evil}},
    ]
    bodies += [least | {name: value} for name, value in evil.items()]
    if "messages" in least:
        bodies.append(least | {"messages": [least["messages"][0] | evil]})
    for body in bodies:
        async with http.post(url + path, json=body) as response:
            assert response.status < 500
    assert upstream.strays == 0
    assert upstream.sent
    for sent in upstream.sent:
        assert sent.headers["host"] == upstream.url.removeprefix("http://")
        assert sent.headers["x-goog-api-key"] == "test-key"
        assert sent.path.partition("?")[0].startswith(f"/v1beta/models/{least['model']}:")


FREE = {"parameters", "schema", "input_schema", "arguments", "args", "google", "extra_body", "properties", "$defs", "input",
        "thinking_config", "safety_settings", "video_metadata", "action", "operation", "outcome",
        "input_examples"}  # fmt: skip
"""Fields whose content is Gemini's, or the client's own data: schemas, arguments and results of tools, `google`."""


def holes(path: str) -> list[dict[str, Any]]:
    """Return the full body of a surface with an unknown field in each of its objects, where fields are the API's."""
    result = []
    for place in [(), *paths(BODIES[path])]:
        body = copy.deepcopy(BODIES[path])
        spot: Any = body
        for step in place:
            spot = spot[step]
        free = FREE - ({"input"} if path == "/v1/responses" else set())
        if isinstance(spot, dict) and not free & {step for step in place if isinstance(step, str)}:
            spot["zzUnknown"] = {"api_base": "http://zz.example/", "zzUnknown": "zzUnknown"}
            result.append(body)
    return result


@pytest.mark.row("S03")
@pytest.mark.parametrize("path", GENERATING)
async def test_s03_an_unknown_field_anywhere_is_refused_or_left_out(
    recorded: tuple[str, Recorder], http: aiohttp.ClientSession, path: str
) -> None:
    url, upstream = recorded
    bodies = holes(path)
    for body in bodies:
        async with http.post(url + path, json=body) as response:
            assert response.status < 500
    assert len(bodies) >= (5 if path in (CHAT, "/v1/responses", "/v1/messages") else 1)
    assert not [sent.body for sent in upstream.sent if "zzUnknown" in json.dumps(sent.body)]


HEADERS = {
    "x-portkey-custom-host": "{}", "x-forwarded-host": "{}", "forwarded": "host={}", "x-original-url": "{}/v1/models",
    "x-rewrite-url": "{}", "x-goog-user-project": "other", "x-goog-api-key-x": "other", "x-upstream": "{}", "x-target-url": "{}",
    "x-litellm-api-base": "{}", "helicone-openai-api-base": "{}", "x-api-base": "{}", "baggage": "langsmith-api_url={}",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "x={}", "via": "{}",
    "x-forwarded-for": "127.0.0.1", "x-real-ip": "127.0.0.1", "x-http-method-override": "DELETE", "cookie": "session={}",
    "referer": "{}", "origin": "{}", "proxy-authorization": "Basic x", "x-openai-base-url": "{}", "openai-organization": "o",
    "x-stainless-lang": "python", "cf-connecting-ip": "127.0.0.1", "x-envoy-original-path": "{}", "x-custom": "{}",
}  # fmt: skip
ALLOWED = {"host", "content-type", "content-length", "user-agent", "x-goog-api-client", "accept-encoding", "accept",
           "x-goog-api-key", "transfer-encoding", "x-server-timeout", "x-gemini-gateway-hop"}  # fmt: skip
"""Headers that Google is sent."""


@pytest.mark.row("S19", "S54")
async def test_s19_no_header_changes_the_upstream_and_none_is_passed_on(
    recorded: tuple[str, Recorder],
) -> None:
    url, upstream = recorded
    headers = {name: value.format(upstream.elsewhere) for name, value in HEADERS.items()}
    native = "/v1beta/models/gemini-2.5-flash:generateContent"
    async with aiohttp.ClientSession(headers={"x-goog-api-key": "k", **headers}) as http:
        for path, body in [*((path, MODEL | LEAST[path]) for path in GENERATING), (native, {"contents": []})]:
            async with http.post(url + path, json=body) as response:
                assert response.status == 200, path
    assert upstream.strays == 0
    assert len(upstream.sent) >= len(GENERATING) + 1
    for sent in upstream.sent:
        extra = set(sent.headers) - ALLOWED
        if native in sent.path:  # Google's own headers are part of Gemini's API for holders of Gemini keys
            extra = {name for name in extra if not name.startswith("x-goog-")}
        assert extra == set(), sent.path
        assert sent.headers["x-goog-api-key"] == "k"


HOSTS = [
    "localhost/v1/models?", "127.0.0.1", "x/healthz?", "x/healthz#", "x@localhost", "localhost:80@evil.example", "[::1]",
    "x\\healthz", "/healthz", "?", "#", "..", "x/../healthz", "a\\q", "\\g<0>", "%2fhealthz", "healthz", "x y", "x,y",
    "metadata.google.internal", "x" * 250, "xn--a", "0", "-", "é".encode().decode("latin-1"), "x:99999", "x:abc", "*", "{}", "''",
]  # fmt: skip


@pytest.mark.row("S40")
@pytest.mark.parametrize("key", ["", "k"])
async def test_s40_the_host_header_changes_no_decision(recorded: tuple[str, Recorder], key: str) -> None:
    url, upstream = recorded
    body = json.dumps(MODEL | LEAST[CHAT]).encode()
    for host in [*HOSTS, *(f"{host}/v1/models?x" for host in HOSTS)]:
        for path in (CHAT, "/v1/models", "/v1beta/models/gemini-2.5-flash:countTokens"):
            method = "GET" if path == "/v1/models" else "POST"
            head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
            auth = f"x-goog-api-key: {key}\r\n" if key else ""
            answer = await raw(url, f"{head}{auth}\r\n".encode("latin-1") + body)
            assert status(answer) in ((200, 400) if key else (400, 401)), (host, path)
    if not key:
        assert upstream.sent == []
    assert upstream.strays == 0


TEMPLATES = ["{{7*7}}", "${7*7}", "#{7*7}", "<%= 7*7 %>", "%(x)s", "{0.__class__}", "{x!r}", "%s%n", "$(id)", "`id`", "{% raw %}",
             "\\g<0>", "\\1", "$1", "{", "}}", "__import__('os')", "&lt;", "<script>", "';--", "\x00", "\\u0000"]  # fmt: skip


@pytest.mark.row("S07")
@pytest.mark.parametrize("path", [CHAT, "/v1/responses", "/v1/messages", "/v1/completions", "/v1/embeddings"])
async def test_s07_text_is_passed_on_as_it_is_and_never_rendered(
    recorded: tuple[str, Recorder], http: aiohttp.ClientSession, path: str
) -> None:
    url, upstream = recorded
    text = " ".join(TEMPLATES)
    upstream.text = text
    body = json.loads(json.dumps(MODEL | LEAST[path]).replace('"x"', json.dumps(text)))
    if path != "/v1/embeddings":
        body |= (
            {"instructions": text}
            if path == "/v1/responses"
            else {"system": text}
            if path == "/v1/messages"
            else {}
        )
    async with http.post(url + path, json=body) as response:
        answer = await response.text()
        assert response.status == 200
    assert json.dumps(text)[1:-1] in json.dumps(upstream.sent[0].body)
    assert "49" not in json.dumps(upstream.sent[0].body)
    if path != "/v1/embeddings":
        assert json.dumps(text)[1:-1] in json.dumps(json.loads(answer))


FORGERIES = ["\r\n\r\ndata: forged\r\n\r\n", "\n\nevent: error\ndata: {}\n\n", "\r\rdata: [DONE]\r\r", "\n\ndata: [DONE]\n\n",
             "\u2028data: x\u2029", "\u0085data: x", "\x0bdata: x\x0c", "id: 7\nretry: 1\n\n", ": comment\n\n", "\ufeffdata: x",
             "\x00\x1b[31m", "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"]  # fmt: skip


@pytest.mark.row("S53")
@pytest.mark.parametrize("path", [CHAT, "/v1/responses", "/v1/messages", "/v1/completions"])
@pytest.mark.parametrize("text", FORGERIES)
async def test_s53_no_text_of_a_model_makes_an_event(
    recorded: tuple[str, Recorder], http: aiohttp.ClientSession, path: str, text: str
) -> None:
    url, upstream = recorded
    counts = []
    for said in (text, "plain"):
        upstream.text = said
        async with http.post(url + path, json=MODEL | LEAST[path] | {"stream": True}) as response:
            body = (await response.read()).decode()
        events = [block for block in body.replace("\r\n", "\n").split("\n\n") if block.strip()]
        lines = [line for block in events for line in block.split("\n")]
        assert all(line.startswith(("data:", "event:", ": ")) for line in lines), lines
        decoded = [
            json.loads(line[5:]) for line in lines if line.startswith("data:") and line != "data: [DONE]"
        ]
        assert said in [string for event in decoded for string in strings(event)]
        assert body.splitlines().count("data: [DONE]") <= 1
        counts.append(len(events))
    assert counts[0] == counts[1]


def strings(value: Any) -> list[str]:
    """Return every string inside a value."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [string for item in inner for string in strings(item)]


@pytest.mark.row("S66")
@pytest.mark.parametrize(
    "bad", ["a\r\nX-Evil: 1", "a\nb", "a\x00b", "a\rb", 'a";x="', "a\r\n\r\n--boundary", "é\u2028x"]
)
async def test_s66_names_and_types_of_files_with_line_breaks_reach_no_header(
    recorded: tuple[str, Recorder], http: aiohttp.ClientSession, bad: str
) -> None:
    """No multipart is written: names and types are JSON, and only the bytes of JSON carry them."""
    url, upstream = recorded
    file = {"filename": bad, "file_data": f"data:{bad};base64,JVBERi0xLjQ="}
    image = {"url": f"data:image/{bad};base64,iVBORw0KGgo="}
    for part in ({"type": "file", "file": file}, {"type": "image_url", "image_url": image}):
        body = MODEL | {"messages": [{"role": "user", "content": [part]}]}
        async with http.post(url + CHAT, json=body) as response:
            assert response.status in (200, 400)
            assert "X-Evil" not in response.headers
    for sent in upstream.sent:
        assert "x-evil" not in sent.headers
        assert sent.headers["content-type"] == "application/json"


@pytest.mark.row("S66")
async def test_s66_a_native_upload_with_line_breaks_in_a_header_is_no_second_header(
    recorded: tuple[str, Recorder],
) -> None:
    url, upstream = recorded
    for bad in (b"a\r\n X-Evil: 1", b"a\rX-Evil: 1", b"a\x00b", b"a\nX-Evil: 1"):
        head = b"POST /upload/v1beta/files HTTP/1.1\r\nHost: x\r\nx-goog-api-key: k\r\nConnection: close\r\n"
        answer = await raw(
            url, head + b"X-Goog-Upload-Header-Content-Type: " + bad + b"\r\nContent-Length: 2\r\n\r\n{}"
        )
        assert status(answer) in (200, 400)
    assert not [sent for sent in upstream.sent if "x-evil" in sent.headers]


@pytest.mark.row("S74")
@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_s74_any_text_is_one_line_of_json(text: str) -> None:

    log = JsonLog()
    log._lines.clear()
    log.event("log", message=text)
    (line,) = log._lines
    assert b"\n" not in line
    assert b"\r" not in line
    assert json.loads(line)["message"] == text


@pytest.mark.row("S29")
@pytest.mark.parametrize("path", [*LEAST, "/v1beta/models/gemini-2.5-flash:generateContent", "/upload/v1beta/files",
                                  "/v1/translate", "/nothing"])  # fmt: skip
async def test_s29_without_a_key_the_body_is_not_read(serve: Serve, path: str) -> None:
    """The answer comes although 64 KiB of 25 MB are all that the client has sent."""
    url = await serve(f"{ALL[:-1]}, translate: {{}}, hello: {{}}}}")
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 25000000\r\n\r\n"
    answer = await answered(url, head.encode(), b'{"model": "' + b"x" * 65000, seconds=5)

    assert status(answer) in (401, 404)
    json.loads(answer.partition(b"\r\n\r\n")[2])


@pytest.mark.row("S46")
async def test_s46_big_bodies_without_a_key_hold_nobody_up(serve: Serve) -> None:
    url = await serve("plugins: {chat: {}, messages: {}, responses: {}, native: {}, health: {}}")
    slow: list[float] = []

    async def knock() -> None:
        async with aiohttp.ClientSession() as http:
            for _ in range(40):
                start = asyncio.get_running_loop().time()
                async with http.get(f"{url}/healthz") as response:
                    assert response.status == 200
                slow.append(asyncio.get_running_loop().time() - start)

    async def push(path: str) -> int:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 25000000\r\n\r\n".encode()
        return status(await answered(url, head, *[b"[" * 2**16] * 380))

    work = [
        push(path)
        for path in (CHAT, "/v1/messages", "/v1/responses", "/v1beta/models/x:generateContent")
        for _ in range(5)
    ]
    *codes, _ = await asyncio.gather(*work, knock())

    assert set(codes) <= {401, 0}  # 0: reset while still sending, as HTTP allows
    assert 401 in codes
    assert max(slow) < 5


@pytest.mark.row("S28")
@pytest.mark.parametrize(
    "field", ["user", "prompt_cache_key", "metadata", "safety_identifier", "service_tier", "client", "id"]
)
async def test_s28_no_field_of_a_client_chooses_its_account(
    serve: Serve, recorded: tuple[str, Recorder], field: str
) -> None:

    url, _ = recorded
    victim = canary("key_")
    async with aiohttp.ClientSession(headers={"x-api-key": "k"}) as http:
        body = MODEL | LEAST[CHAT] | {field: {"client": victim} if field == "metadata" else victim}
        async with http.post(url + CHAT, json=body) as response:
            assert response.status in (200, 400)
    counters: Any = serve.app[SERVICES].counters

    assert victim not in repr(vars(counters))
