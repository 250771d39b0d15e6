"""Replies to commands in the prompt."""

from typing import Any

import pytest

from gateway.emulator.replies import COMMANDS, reply_to
from tests.support.emulator import Served, call, user


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_each_command_changes_the_reply(command: str) -> None:
    reply = reply_to("gemini-2.5-flash", {"contents": [user(f"[[{command.replace('N', '2')}]]")]})
    plain = reply_to("gemini-2.5-flash", {"contents": [user("x")]})

    assert (reply.status, reply.delay, reply.ending, len(reply.chunks), [set(c) for c in reply.chunks], str(reply.chunks[-1:])[-9:]) != (
        plain.status, plain.delay, plain.ending, len(plain.chunks), [set(c) for c in plain.chunks], "")  # fmt: skip


def test_limits_and_stops_of_the_request_are_honoured() -> None:
    config = {"maxOutputTokens": 2, "stopSequences": ["!"]}
    short = reply_to("m", {"contents": [user("abcdefgh")], "generationConfig": config})
    stopped = reply_to("m", {"contents": [user("ab!cd")], "generationConfig": {"stopSequences": ["!"]}})

    assert short.chunks[-1]["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert (
        "".join(c["candidates"][0]["content"]["parts"][0]["text"] for c in stopped.chunks) == "You said: ab"
    )


@pytest.mark.row("T12", "M4")
async def test_t12_a_long_answer_comes_in_pieces(served: Served) -> None:
    base = f"{await served()}/gemini-4-argon"
    body: dict[str, Any] = {"contents": [user("[[hops 2]]")], "generationConfig": {"maxOutputTokens": 65536}}

    assert (await call("POST", f"{base}:generateContent", body))[0] == 400
    _, first = await call("POST", f"{base}:streamGenerateContent?alt=sse", body)
    end = first[-1]["candidates"][0]
    assert end["finishReason"] == "CONTINUATION"
    status, second = await call(
        "POST", f"{base}:generateContent", {**body, "continuationToken": end["continuationToken"]}
    )
    assert (status, second["candidates"][0]["finishReason"]) == (200, "STOP")
    assert second["candidates"][0]["content"]["parts"] == [{"text": "Part 2. "}]
    assert (await call("POST", f"{base}:generateContent", {**body, "continuationToken": "eA=="}))[0] == 400
