"""The emulator over HTTP: counting, models, embeddings, and scripts that fail as Google does."""

import json
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from gateway.emulator.embeddings import vector
from gateway.emulator.script import load_script
from gateway.emulator.server import build_fake, serve_fake

KEY = {"x-goog-api-key": "k"}
HI = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
Served = Callable[..., Awaitable[str]]


@pytest.fixture
async def served(aiohttp_server: Callable[..., Awaitable[TestServer]], tmp_path: Path) -> Served:
    """Starts an emulator with a script; its models' address."""

    async def start(script: str = "") -> str:
        file = tmp_path / "rules.yaml"
        file.write_text(script)
        return str((await aiohttp_server(build_fake(load_script(file), pace=0))).make_url("/v1beta/models"))

    return start


async def told(method: str, url: str, body: Any = None) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession(headers=KEY) as session,
        session.request(method, url, json=body) as response,
    ):
        text = await response.text()
        return response.status, [json.loads(line[6:]) for line in text.split("\r\n\r\n") if line] if "alt=sse" in url else json.loads(text)  # fmt: skip


async def test_tokens_are_counted(served: Served) -> None:
    url = f"{await served()}/gemini-2.5-flash:countTokens"

    status, answer = await told("POST", url, HI)
    assert (status, answer) == (200, {"totalTokens": 14})
    assert (await told("POST", url, {"generateContentRequest": HI}))[0] == 200
    assert (await told("POST", url, {"content": 1}))[0] == 400
    assert (await told("POST", f"{await served()}/none:countTokens", HI))[0] == 404


async def test_models_are_told_with_what_they_can(served: Served) -> None:
    base = await served()

    _, flash = await told("GET", f"{base}/gemini-2.5-flash")
    assert flash["supportedGenerationMethods"][:2] == ["generateContent", "countTokens"]
    assert (flash["name"], flash["thinking"], flash["outputTokenLimit"]) == ("models/gemini-2.5-flash", True, 65536)  # fmt: skip
    assert "thinking" not in (await told("GET", f"{base}/gemini-2.0-flash"))[1]
    assert (
        "embedContent" in (await told("GET", f"{base}/gemini-embedding-001"))[1]["supportedGenerationMethods"]
    )
    assert (await told("GET", f"{base}/no-such-model"))[0] == 404
    assert (await told("GET", f"{base}?pageSize=x"))[0] == 400
    _, whole = await told("GET", f"{base}?pageSize=0")
    assert "nextPageToken" not in whole
    async with aiohttp.ClientSession() as session, session.get(f"{base}/gemini-2.5-flash") as response:
        assert response.status == 403


def embed(text: str = "a", **fields: Any) -> dict[str, Any]:
    return {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": text}]}, **fields}


async def test_embeddings_are_the_same_each_time(served: Served) -> None:
    base = await served()
    old, new = f"{base}/gemini-embedding-001", f"{base}/gemini-embedding-2"

    _, both = await told("POST", f"{old}:batchEmbedContents", {"requests": [embed("a"), embed("b", taskType="CLUSTERING")]})  # fmt: skip
    _, one = await told("POST", f"{old}:embedContent", embed("a"))
    _, short = await told("POST", f"{old}:embedContent", embed("a", outputDimensionality=768))
    _, newer = await told("POST", f"{new}:embedContent", embed("a", outputDimensionality=768))

    a, b = (found["values"] for found in both["embeddings"])
    assert one == {"embedding": {"values": a}}
    assert a != b
    assert short["embedding"]["values"] == a[:768]
    assert math.hypot(*a) == pytest.approx(1)
    assert math.hypot(*a[:768]) < 0.6
    assert math.hypot(*newer["embedding"]["values"]) == pytest.approx(1)
    assert newer["usageMetadata"] == {"promptTokenCount": 1}
    assert vector("a", 3072, cut=True) == pytest.approx(a)


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("gemini-embedding-001:batchEmbedContents", {"requests": [embed()] * 101}, 400, "at most 100 requests can be in one batch"),
        ("gemini-embedding-001:batchEmbedContents", {}, 400, "must not be empty"),
        ("gemini-embedding-2:batchEmbedContents", {"requests": [embed()]}, 400, "requests[0].model"),
        ("gemini-embedding-001:embedContent", embed(outputDimensionality=64), 400, "[128, 3072]"),
        ("gemini-embedding-001:embedContent", embed(""), 400, "content is empty"), ("gemini-embedding-001:embedContent", {}, 400, "empty"),
        ("gemini-embedding-001:embedContent", [], 400, "Invalid JSON"), ("gemini-2.5-flash:embedContent", embed(), 404, "for embedContent"),
        ("gemini-embedding-001:generateContent", HI, 404, "is not supported for generateContent"),
    ],
)  # fmt: skip
async def test_what_cannot_be_embedded_is_refused(
    served: Served, path: str, body: Any, status: int, message: str
) -> None:
    found, answer = await told("POST", f"{await served()}/{path}", body)

    assert found == status
    assert message in answer["error"]["message"]


SCRIPT = """
- match: {prompt: malformed}
  reply: {parts: [], finish: MALFORMED_FUNCTION_CALL}
- match: {prompt: parts}
  reply: {parts: [{text: a}, {functionCall: {name: f}}], finish: OTHER}
- match: {prompt: unsigned}
  times: 1
  reply: {chunks: [{candidates: [{finishReason: MISSING_THOUGHT_SIGNATURE}]}]}
- match: {prompt: unsigned}
  times: 1
  reply: {raw: {}}
- match: {prompt: broken}
  reply: {chunks: [{candidates: [{content: {parts: [{text: a}]}}]}, {error: {code: 503, message: m, status: UNAVAILABLE}}]}
- match: {prompt: nothing}
  reply: {chunks: []}
- match: {prompt: status}
  reply: {status: 429, message: slow down}
"""


async def test_scripted_rules_follow_each_other(served: Served) -> None:
    base = f"{await served(SCRIPT)}/gemini-3.8-flash"

    async def ask(prompt: str, verb: str = "generateContent") -> tuple[int, Any]:
        return await told("POST", f"{base}:{verb}", {"contents": [{"parts": [{"text": prompt}]}]})

    assert (await ask("malformed"))[1]["candidates"][0]["finishReason"] == "MALFORMED_FUNCTION_CALL"
    given = (await ask("parts"))[1]["candidates"][0]
    assert given["content"]["parts"] == [{"text": "a"}, {"functionCall": {"name": "f"}}]
    assert given["finishReason"] == "OTHER"
    assert await ask("unsigned") == (200, {"candidates": [{"finishReason": "MISSING_THOUGHT_SIGNATURE"}]})
    assert await ask("unsigned") == (200, {})
    assert (await ask("unsigned"))[1]["candidates"][0]["finishReason"] == "STOP"
    error = {"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}
    assert await ask("broken") == (503, error)
    status, streamed = await ask("broken", "streamGenerateContent?alt=sse")
    assert (status, streamed[1]) == (200, error)
    assert await ask("nothing") == (200, {})
    assert await ask("nothing", "streamGenerateContent?alt=sse") == (200, [])
    assert (await ask("status"))[1]["error"]["status"] == "RESOURCE_EXHAUSTED"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("- {reply: {text: a, status: 5}}", "a reply is one of text, parts, command, status, raw, chunks; here are text and status"),
        ("- {match: {prompt: '('}, reply: {text: a}}", "is no regular expression"),
    ],
)  # fmt: skip
def test_a_script_that_means_nothing_is_refused(tmp_path: Path, script: str, message: str) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(script)

    with pytest.raises(ValueError, match=r"rules\.yaml") as refused:
        load_script(file)
    assert message in str(refused.value)


def test_a_bad_script_ends_the_program_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert serve_fake("127.0.0.1", 0, script=tmp_path / "none.yaml") == 1
    assert "none.yaml" in capsys.readouterr().err


async def test_what_is_told_in_the_prompt_happens_on_the_wire(served: Served) -> None:
    base = f"{await served()}/gemini-2.5-flash"
    stream = f"{base}:streamGenerateContent?alt=sse"

    def saying(command: str) -> dict[str, Any]:
        return {"contents": [{"parts": [{"text": f"[[{command}]]"}]}]}

    assert (await told("POST", stream, saying("error midstream")))[1][-1]["error"]["code"] == 503
    with pytest.raises(aiohttp.ClientPayloadError):
        await told("POST", stream, saying("cut"))
    async with (
        aiohttp.ClientSession(headers=KEY) as session,
        session.post(stream, json=saying("html 502")) as response,
    ):
        assert (response.status, response.content_type) == (502, "text/html")
    status, answer = await told("POST", stream[:-8], {**HI, "toolConfig": {"functionCallingConfig": {"mode": "ANY"}}})  # fmt: skip
    assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert answer["error"]["message"] == "Function calling config is set without function_declarations"
