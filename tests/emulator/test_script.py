"""Rules of script files."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.emulator.script import Answer, Match, Rule, Script, load_script
from tests.support.emulator import Served, call, user


def test_rules_apply_in_order_and_run_out() -> None:
    script = Script([
        Rule(Answer(text="once"), times=1), Rule(Answer(status=503), Match(prompt="fail")),
        Rule(Answer(command="blocked"), Match(model="gemma-*")), Rule(Answer(raw={"candidates": []}), Match(prompt="raw")),
    ])  # fmt: skip

    def reply(prompt: str, model: str = "gemini-x") -> str:
        answer = script.reply(model, {"contents": [user(prompt)]})
        return json.dumps([answer.status, answer.chunks])

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
        return await call("POST", f"{base}:{verb}", {"contents": [{"parts": [{"text": prompt}]}]})

    assert (await ask("malformed"))[1]["candidates"][0]["finishReason"] == "MALFORMED_FUNCTION_CALL"
    candidate = (await ask("parts"))[1]["candidates"][0]
    assert candidate["content"]["parts"] == [{"text": "a"}, {"functionCall": {"name": "f"}}]
    assert candidate["finishReason"] == "OTHER"
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
        ("- {reply: {text: a, status: 5}}", "a reply is one of text, parts, command, status, raw, chunks; this one has text and status"),
        ("- {match: {prompt: '('}, reply: {text: a}}", "is not a regular expression"),
    ],
)  # fmt: skip
def test_a_script_that_means_nothing_is_refused(tmp_path: Path, script: str, message: str) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(script)

    with pytest.raises(ValueError, match=r"rules\.yaml") as refused:
        load_script(file)
    assert message in str(refused.value)
