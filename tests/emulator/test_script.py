"""Rules of script files."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.emulator.script import Answer, Match, Rule, Script, load_script
from tests.support.emulator import Served, call, user


def test_rules_apply_in_order_and_run_out() -> None:
    script = Script([
        Rule(Answer(text="once"), times=2), Rule(Answer(status=503), Match(prompt="fail")),
        Rule(Answer(command="blocked"), Match(model="gemma-*")), Rule(Answer(raw={"candidates": []}), Match(prompt="raw")),
    ])  # fmt: skip

    def reply(prompt: str, model: str = "gemini-x") -> str:
        answer = script.reply(model, {"contents": [user(prompt)]})
        return json.dumps([answer.status, answer.chunks])

    assert '"modelVersion": "gemini-y"' in json.dumps(
        script.reply("gemini-x", {"contents": [user("a")]}, "gemini-y").chunks
    )
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
        ("- {reply: {text: a, status: 5}}", "a reply is one of text, parts, calls, command, status, raw, chunks; this one has text and status"),
        ("- {match: {prompt: '('}, reply: {text: a}}", "is not a regular expression"),
    ],
)  # fmt: skip
def test_a_script_that_means_nothing_is_refused(tmp_path: Path, script: str, message: str) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(script)

    with pytest.raises(ValueError, match=r"rules\.yaml") as refused:
        load_script(file)
    assert message in str(refused.value)


ERROR = {"error": {"code": 400, "message": "m", "status": "INVALID_ARGUMENT"}}
WHOLE = {"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}]}
RECORDED = [
    {"status": 429, "body": {"error": {"code": 429}}}, ERROR, [WHOLE, WHOLE], {"status": 200, "body": WHOLE}, {"promptFeedback": {}},
]  # fmt: skip


@pytest.mark.row("T12")
@pytest.mark.parametrize("form", ["list.json", "case.json", "lines.jsonl", "list.yaml"])
def test_t12_recorded_answers_are_given_in_order(tmp_path: Path, form: str) -> None:
    file = tmp_path / form
    lines = "\n".join(json.dumps(item) for item in RECORDED)
    file.write_text({"lines.jsonl": lines, "case.json": json.dumps({"request": {}, "upstream": RECORDED})}.get(
        form, json.dumps(RECORDED)))  # fmt: skip
    script = load_script(file)
    replies = [script.reply("gemini-x", {"contents": [user("hi")]}) for _ in range(6)]

    assert [reply.status for reply in replies] == [429, 400, 200, 200, 200, 200]
    assert (replies[0].body, replies[1].body) == ({"error": {"code": 429}}, ERROR)
    assert [reply.chunks for reply in replies[2:5]] == [[WHOLE, WHOLE], [WHOLE], [{"promptFeedback": {}}]]
    assert "You " in json.dumps(replies[5].chunks)


@pytest.mark.row("T12")
def test_t12_a_rule_gives_an_error_as_it_was_recorded(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("- {reply: {status: 400, body: {error: {code: 400, details: [1]}}}}")
    reply = load_script(file).reply("gemini-x", {"contents": [user("hi")]})

    assert (reply.status, reply.body) == (400, {"error": {"code": 400, "details": [1]}})


@pytest.mark.parametrize("text", ['[{"candidates": []}, {"a": 1}]', "[[1]]", '{"upstream": [5]}'])
def test_what_is_neither_a_rule_nor_an_answer_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match="neither a rule with a reply nor a recorded answer"):
        load_script(file)


def test_a_rule_may_ask_for_the_results_of_calls_and_calls_are_signed() -> None:
    script = Script([
        Rule(Answer(calls=[{"name": "f", "args": {"x": 1}}, {"name": "g", "args": {}}]), Match(prompt="both")),
        Rule(Answer(text="seen"), Match(result="SUNNY-\\d+")),
    ])  # fmt: skip
    asked = user("both")
    (chunk, *_) = script.reply("gemini-3-flash-preview", {"contents": [asked]}).chunks
    first, second = chunk["candidates"][0]["content"]["parts"]
    response = {"functionResponse": {"name": "f", "response": {"output": "SUNNY-42"}}}
    turns = [asked, {"role": "model", "parts": [first, second]}, {"role": "user", "parts": [response]}]

    assert (first["functionCall"]["args"], second["functionCall"]["name"]) == ({"x": 1}, "g")
    assert first["functionCall"]["id"] != second["functionCall"]["id"]
    assert "thoughtSignature" in first
    assert "thoughtSignature" not in second
    assert "seen" in json.dumps(script.reply("gemini-3-flash-preview", {"contents": turns}).chunks)
    assert "seen" not in json.dumps(
        script.reply("gemini-3-flash-preview", {"contents": [user("SUNNY-42")]}).chunks
    )
    with pytest.raises(ValueError, match="regular expression"):
        Match(result="(")
