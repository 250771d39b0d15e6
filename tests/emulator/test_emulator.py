"""The emulator refuses what Google refuses, and says what it is told to say."""

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.emulator.contract import check
from gateway.emulator.replies import COMMANDS, reply_to
from gateway.emulator.script import Answer, Match, Rule, Script, load_script
from tests.support.servers import Fake


def user(text: str = "hi") -> dict[str, Any]:
    return {"role": "user", "parts": [{"text": text}]}


def asking(**more: Any) -> dict[str, Any]:
    return {"contents": [user()], **more}


CALL = {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]}
RESULT = {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "Invalid JSON payload"),
        (asking(x=1), 'Unknown name "x": Cannot find field.'),
        (asking(generationConfig={"tempratur": 1}), "Unknown name \"tempratur\" at 'generationConfig'"),
        ({"contents": [{"parts": [{"txt": "x"}]}]}, "at 'contents[0].parts[0]'"),
        (asking(generationConfig={"maxOutputTokens": "5"}), "TYPE_INTEGER"),
        (asking(generationConfig={"topK": True}), "TYPE_NUMBER"),
        (asking(generationConfig=[]), "Invalid value at 'generationConfig'"),
        (asking(safetySettings={}), "expected a list"),
        (
            {"contents": [{"parts": [{"inlineData": {"mimeType": "a/b", "data": "$"}}]}]},
            "Base64 decoding failed",
        ),
        (asking(generationConfig={"stopSequences": list("123456")}), "stop_sequences"),
        (asking(generationConfig={"temperature": 3}), "temperature"),
        (asking(generationConfig={"presencePenalty": 1}), "Penalty is not enabled"),
        (
            asking(generationConfig={"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "LOW"}}),
            "Cannot set both",
        ),
        ({"contents": []}, "contents is not specified"),
        ({"contents": [{"role": "function", "parts": [{"text": "x"}]}]}, "valid role"),
        ({"contents": [{"role": "user", "parts": []}]}, "contents.parts must not be empty"),
        ({"contents": [CALL, RESULT]}, "function call turn comes immediately after a user turn"),
        ({"contents": [RESULT]}, "function response turn comes immediately after"),
        ({"contents": [user(), CALL, user()]}, "number of function response parts"),
    ],
)
def test_google_would_refuse_it(body: Any, message: str) -> None:
    refusal = check("gemini-2.5-flash", body)

    assert refusal is not None
    assert message in refusal.body()["error"]["message"]
    assert refusal.body()["error"]["status"] == "INVALID_ARGUMENT"


def test_rules_differ_by_model() -> None:
    several = asking(generationConfig={"candidateCount": 2})
    prefill = {"contents": [user(), {"role": "model", "parts": [{"text": "I"}]}]}

    assert check("gemini-2.0-flash", several) is None
    assert check("gemini-3.8-flash", several) is not None
    assert check("gemini-3.5-flash", prefill) is None
    assert check("gemini-3.8-flash", prefill) is not None


def test_good_requests_pass_in_both_spellings() -> None:
    config = {"max_output_tokens": 5, "responseJsonSchema": {"anything": 1}, "temperature": 1}
    body = {
        "contents": [user(), CALL, RESULT],
        "generation_config": config,
        "system_instruction": {"parts": [{"text": "x"}]},
    }

    assert check("gemini-2.5-flash", body) is None


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_each_command_changes_the_reply(command: str) -> None:
    told = reply_to("gemini-2.5-flash", {"contents": [user(f"[[{command.replace('N', '2')}]]")]})
    plain = reply_to("gemini-2.5-flash", {"contents": [user("x")]})

    assert (told.status, told.delay, told.ending, len(told.chunks), [set(c) for c in told.chunks], str(told.chunks[-1:])[-9:]) != (
        plain.status, plain.delay, plain.ending, len(plain.chunks), [set(c) for c in plain.chunks], "")  # fmt: skip


def test_limits_and_stops_of_the_request_are_honoured() -> None:
    config = {"maxOutputTokens": 2, "stopSequences": ["!"]}
    short = reply_to("m", {"contents": [user("abcdefgh")], "generationConfig": config})
    stopped = reply_to("m", {"contents": [user("ab!cd")], "generationConfig": {"stopSequences": ["!"]}})

    assert short.chunks[-1]["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert (
        "".join(c["candidates"][0]["content"]["parts"][0]["text"] for c in stopped.chunks) == "You said: ab"
    )


def test_rules_apply_in_order_and_run_out() -> None:
    script = Script([
        Rule(Answer(text="once"), times=1), Rule(Answer(status=503), Match(prompt="fail")),
        Rule(Answer(command="blocked"), Match(model="gemma-*")), Rule(Answer(raw={"candidates": []}), Match(prompt="raw")),
    ])  # fmt: skip

    def reply(prompt: str, model: str = "gemini-x") -> str:
        made = script.reply(model, {"contents": [user(prompt)]})
        return json.dumps([made.status, made.chunks])

    assert "once" in reply("a")
    assert "You " in reply("a")
    assert reply("fail").startswith("[503")
    assert "blockReason" in reply("x", "gemma-4")
    assert reply("raw") == '[200, [{"candidates": []}]]'


def test_a_script_is_read_strictly(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("")
    load_script(file)
    for text in ("- reply: 5", "- {", "x"):
        file.write_text(text)
        with pytest.raises(ValueError, match=r"rules\.yaml"):
            load_script(file)


@pytest.mark.parametrize(
    ("headers", "path", "status", "told"),
    [
        ({}, "models/gemini-2.5-flash:generateContent", 403, "unregistered callers"),
        ({"x-goog-api-key": "bad"}, "models/gemini-2.5-flash:generateContent", 400, "API_KEY_INVALID"),
        ({"x-goog-api-key": "k"}, "models/none:generateContent", 404, "models/none is not found"),
    ],
)
async def test_keys_and_models_are_checked(
    http: aiohttp.ClientSession, fake: Fake, headers: dict[str, str], path: str, status: int, told: str
) -> None:
    async with http.post(f"{fake.url}/v1beta/{path}", data="{", headers=headers) as response:
        assert (response.status, told in await response.text()) == (status, True)


async def test_models_come_in_pages(http: aiohttp.ClientSession, fake: Fake) -> None:
    names: list[str] = []
    page: dict[str, Any] = {"nextPageToken": "0"}
    while token := page.get("nextPageToken"):
        async with http.get(f"{fake.url}/v1beta/models?pageSize=4&pageToken={token}&key=k") as response:
            page = await response.json()
        names += [model["name"] for model in page["models"]]
    async with http.get(f"{fake.url}/v1beta/models") as response:
        assert response.status == 403

    assert len(names) == len(set(names)) > 4


async def test_without_alt_sse_a_stream_is_one_json_array(http: aiohttp.ClientSession, fake: Fake) -> None:
    url = f"{fake.url}/v1/models/gemini-2.5-flash:streamGenerateContent"
    async with http.post(url, json=asking(), headers={"x-goog-api-key": "k"}) as response:
        assert len(json.loads(await response.read())) == 3


async def test_a_slow_reply_whose_client_leaves_is_noticed(http: aiohttp.ClientSession, fake: Fake) -> None:
    url = f"{fake.url}/v1/models/gemini-2.5-flash:generateContent"
    slow = {"contents": [user("[[slow 60]]")]}
    with pytest.raises(TimeoutError):
        await http.post(url, json=slow, headers={"x-goog-api-key": "k"}, timeout=aiohttp.ClientTimeout(0.2))
    import asyncio

    while not fake.last.left:
        await asyncio.sleep(0.01)
