"""Chats of operators, under a key's rules or the console's own budget."""

import json
from typing import Any

import pytest

from gateway.config.admin import AdminConfig, OperatorConfig, PlaygroundConfig
from gateway.config.secret import Secret
from gateway.console.app import Admin
from gateway.console.process import Process
from gateway.plugin import SERVICES
from tests.support.servers import Serve
from tests.support.team import Google, Team, refused

CHAT = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
async def console(team: Team, serve: Serve, aiohttp_client: Any) -> Any:
    await team.start("ab")
    return await client(serve, aiohttp_client, PlaygroundConfig(dollars_day=1.0))


async def client(serve: Serve, aiohttp_client: Any, playground: PlaygroundConfig) -> Any:
    config = AdminConfig(
        Secret("hush"), {"wall": OperatorConfig(Secret("wall"), "read")}, playground=playground
    )
    process = Process(server=lambda: serve._runners[-1].server)
    app = Admin(lambda: serve.app[SERVICES], config, process).app()
    return await aiohttp_client(app, headers={"Authorization": "Bearer hush"})


async def play(console: Any, **body: Any) -> list[tuple[str, Any]]:
    async with console.post("/admin/play", json={"body": CHAT, **body}) as response:
        assert response.status == 200, await response.text()
        frames = (await response.text()).strip().split("\n\n")
    return [(f.split("\n")[0][7:], json.loads(f.split("data: ", 1)[1])) for f in frames]


async def test_a_chat_is_translated_answered_and_charged(
    event_lines: list[dict[str, Any]], team: Team, console: Any, serve: Serve
) -> None:
    events = await play(console)
    names = [name for name, _ in events]
    done = events[-1][1]
    async with console.get("/admin/play") as response:
        state = await response.json()

    assert (names[0], names[-1], set(names[1:-1])) == ("translated", "done", {"chunk"})
    assert events[0][1]["path"].startswith("models/gemini-2.5-flash:")
    assert events[0][1]["bodies"][0]["contents"][0]["parts"] == [{"text": "hello"}]
    assert (
        "".join(
            c["choices"][0]["delta"].get("content") or "" for n, c in events if n == "chunk" and c["choices"]
        )
        == "hi"
    )
    assert (done["status"], done["prompt_tokens"], done["completion_tokens"]) == (200, 10, 5)
    assert done["dollars"] > 0
    assert state["spent"] == pytest.approx(done["dollars"])
    (line,) = [line for line in event_lines if line["event"] == "admin"]
    assert (line["what"], line["on"]) == ("play", "console")
    assert [row.record.key for row in serve.app[SERVICES].observed.recent.newest_first()] == ["console"]


async def test_a_chat_as_a_key_obeys_its_rules(team: Team, console: Any) -> None:
    async with console.post(
        "/admin/keys", json={"name": "ada", "rules": {"requests_per_minute": 1}}
    ) as response:
        key_id = (await response.json())["id"]
    first = await play(console, **{"as": key_id})
    second = await play(console, **{"as": key_id})

    assert first[-1][1]["status"] == 200
    assert (second[1][0], second[1][1]["error"]["code"], second[-1][1]["status"]) == (
        "error",
        "rate_limit_exceeded",
        429,
    )


async def test_the_console_s_own_budget_is_a_limit(team: Team, serve: Serve, aiohttp_client: Any) -> None:
    await team.start("a")
    console = await client(serve, aiohttp_client, PlaygroundConfig(dollars_day=0.000001))
    events = await play(console)

    assert events[1][1]["error"]["code"] == "insufficient_quota"


async def test_the_lent_key_is_gone_after_the_chat(
    team: Team, console: Any, serve: Serve, google: Google
) -> None:
    await play(console)
    google.answers["AIza-a"] = google.answers["AIza-b"] = lambda: refused(503, "no")
    failed = await play(console)

    assert failed[-1][1]["status"] == 503
    assert serve.app[SERVICES].access._lent == {}


async def test_only_the_translation_costs_nothing(console: Any, google: Google) -> None:
    async with console.post("/admin/play", json={"body": CHAT, "translate_only": True}) as response:
        translated = (await response.json())["translated"]

    assert translated["model"] == "gemini-2.5-flash"
    assert not google.calls


@pytest.mark.parametrize(
    ("body", "token", "status", "code"),
    [
        ({"body": CHAT, "as": "key_none"}, "hush", 404, "not_found"), ({"body": CHAT}, "wall", 403, "read_only"),
        ({"body": []}, "hush", 400, "invalid_type"), ({}, "hush", 400, "missing_required_parameter"),
        ({"body": {"messages": 5}}, "hush", 400, "invalid_type"),
    ],
)  # fmt: skip
async def test_mistakes_are_named(console: Any, body: Any, token: str, status: int, code: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    async with console.post("/admin/play", json=body, headers=headers) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (status, code)


async def test_it_can_be_switched_off(team: Team, serve: Serve, aiohttp_client: Any) -> None:
    await team.start("a")
    console = await client(serve, aiohttp_client, PlaygroundConfig(enabled=False))
    async with console.post("/admin/play", json={"body": CHAT}) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (404, "playground_off")
