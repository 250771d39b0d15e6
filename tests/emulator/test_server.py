"""The emulator over HTTP: counting, streams, and commands that break them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.emulator.server import build_fake, serve_fake
from tests.support.emulator import KEY, Served, call, user
from tests.support.servers import Fake
from tests.support.waiting import eventually

HI = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


def asking(**more: Any) -> dict[str, Any]:
    return {"contents": [user("hi")], **more}


async def test_tokens_are_counted(served: Served) -> None:
    url = f"{await served()}/gemini-2.5-flash:countTokens"

    status, answer = await call("POST", url, HI)
    assert (status, answer) == (200, {"totalTokens": 1})
    assert (await call("POST", url, {"generateContentRequest": HI}))[0] == 200
    assert (await call("POST", url, {"content": 1}))[0] == 400
    assert (await call("POST", f"{await served()}/none:countTokens", HI))[0] == 404


def test_a_bad_script_ends_the_program_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert serve_fake("127.0.0.1", 0, script=tmp_path / "none.yaml") == 1
    assert "none.yaml" in capsys.readouterr().err


async def test_a_command_in_the_prompt_happens_on_the_wire(served: Served) -> None:
    base = f"{await served()}/gemini-2.5-flash"
    stream = f"{base}:streamGenerateContent?alt=sse"

    def saying(command: str) -> dict[str, Any]:
        return {"contents": [{"parts": [{"text": f"[[{command}]]"}]}]}

    assert (await call("POST", stream, saying("error midstream")))[1][-1]["error"]["code"] == 503
    with pytest.raises(aiohttp.ClientPayloadError):
        await call("POST", stream, saying("cut"))
    async with (
        aiohttp.ClientSession(headers=KEY) as session,
        session.post(stream, json=saying("html 502")) as response,
    ):
        assert (response.status, response.content_type) == (502, "text/html")
    status, answer = await call("POST", stream[:-8], {**HI, "toolConfig": {"functionCallingConfig": {"mode": "ANY"}}})  # fmt: skip
    assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert answer["error"]["message"] == "Function calling config is set without function_declarations"


async def test_without_alt_sse_a_stream_is_one_json_array(http: aiohttp.ClientSession, fake: Fake) -> None:
    url = f"{fake.url}/v1/models/gemini-2.5-flash:streamGenerateContent"
    async with http.post(url, json=asking(), headers={"x-goog-api-key": "k"}) as response:
        assert len(json.loads(await response.read())) == 3


async def test_a_disconnect_during_a_slow_reply_is_recorded(http: aiohttp.ClientSession, fake: Fake) -> None:
    url = f"{fake.url}/v1/models/gemini-2.5-flash:generateContent"
    slow = {"contents": [user("[[slow 60]]")]}
    asking_task = asyncio.ensure_future(http.post(url, json=slow, headers={"x-goog-api-key": "k"}))

    await eventually(lambda: fake.calls)
    assert not fake.last.left
    asking_task.cancel()
    await eventually(lambda: fake.last.left)


async def test_the_answering_model_is_named_and_its_rules_hold(aiohttp_server: Any) -> None:
    """https://ai.google.dev/gemini-api/docs/deprecations: another model answers under a retired name."""
    app = build_fake(
        pace=0, answering=lambda model: {"gemini-3.5-flash": "gemini-3.6-flash"}.get(model, model)
    )
    base = str((await aiohttp_server(app)).make_url("/v1beta"))
    ended = {
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}, {"role": "model", "parts": [{"text": "a"}]}]
    }
    for model, version, status in (
        ("gemini-3.5-flash", "gemini-3.6-flash", 400),
        ("gemini-3.1-flash-lite", "gemini-3.1-flash-lite", 200),
    ):
        url = f"{base}/models/{model}"
        _, answer = await call("POST", f"{url}:generateContent", {"contents": ended["contents"][:1]})
        assert answer["modelVersion"] == version
        _, chunks = await call(
            "POST", f"{url}:streamGenerateContent?alt=sse", {"contents": ended["contents"][:1]}
        )
        assert {chunk["modelVersion"] for chunk in chunks} == {version}
        assert (await call("POST", f"{url}:generateContent", ended))[0] == status
        assert (await call("GET", url))[1]["name"] == f"models/{model}"
