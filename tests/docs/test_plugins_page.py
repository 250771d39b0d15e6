"""docs/plugin-guide.md: its examples are tested files, and its lists are what the built-in plugins use."""

import ast
import json
import re
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.plugin import Services
from tests.support.fakegem import LAST_CHUNK, FakeGem, either, message, stream
from tests.support.fakegem import whole as gem_whole
from tests.support.hooks import SERVED, ask, asked
from tests.support.paths import ROOT, TESTS
from tests.support.servers import Fake, RawUpstream, Serve, whole
from tests.support.surfaces import CHAT, GENERATING, Surface
from tests.support.waiting import eventually

PAGE = (ROOT / "docs" / "plugin-guide.md").read_text("utf-8")
ACME = TESTS / "acme_gateway"
EXAMPLES = (
    "acme_gateway/echo.py",
    "acme_gateway/tokens.py",
    "acme_gateway/teams.py",
    "acme_gateway/ping.py",
    "acme_gateway/rules.py",
    "acme_gateway/journal.py",
    "setup.cfg",
    "pyproject.toml",
)


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_of_the_page_is_a_file(name: str) -> None:
    assert (ACME / name).read_text("utf-8") in PAGE


def listed(heading: str) -> list[str]:
    """Return the first column of the table below a heading."""
    section = PAGE.partition(f"\n### {heading}\n")[2].partition("\n## ")[0].partition("\n### ")[0]
    return re.findall(r"^\| `([\w.]+)[^`]*` \|", section, re.M)


def trees() -> Iterator[ast.Module]:
    """Yield the modules of the built-in plugins."""
    for path in (ROOT / "gateway" / "plugins").rglob("*.py"):
        yield ast.parse(path.read_text("utf-8"))


def imports() -> Iterator[tuple[str, str]]:
    """Yield module and name of what the built-in plugins import from the gateway outside their own folders."""
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("gateway."):
                for alias in node.names:
                    as_module = f"{node.module}.{alias.name}"
                    is_module = (ROOT / (as_module.replace(".", "/") + ".py")).exists()
                    yield (as_module, "") if is_module else (node.module, alias.name)


def test_built_in_plugins_import_what_the_page_lists_and_nothing_else() -> None:
    imported = {module for module, _ in imports() if not module.startswith("gateway.plugins.")}
    for_others = {"gateway.store.key_value"}  # what `open_store` returns; the built-in plugins have no store

    assert sorted(imported - set(listed("Modules"))) == [], (
        "document them in docs/plugin-guide.md, or do without"
    )
    assert sorted(set(listed("Modules")) - imported - for_others) == []


def test_built_in_plugins_import_no_private_name() -> None:
    assert [f"{module}.{name}" for module, name in imports() if name.startswith("_")] == []


def test_built_in_plugins_use_the_listed_members_of_services() -> None:
    used = {
        node.attr
        for tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("self.services", "self._services", "services")
    }  # fmt: skip

    assert sorted(used - set(listed("`self.services`"))) == []
    assert [name for name in listed("`self.services`") if name not in Services.__dataclass_fields__ and not hasattr(Services, name)] == []  # fmt: skip


@pytest.fixture
def acme(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the examples, as their setup.cfg declares them."""
    points = [
        EntryPoint(name, place, "gateway.plugins")
        for name, place in re.findall(r"^    (acme_\w+) = (\S+)$", (ACME / "setup.cfg").read_text(), re.M)
    ]
    monkeypatch.setattr("gateway.server.plugin_loader.entry_points", lambda: points)
    monkeypatch.syspath_prepend(str(ACME))


@pytest.mark.usefixtures("acme")
async def test_the_echo_answers(http: aiohttp.ClientSession, serve: Serve) -> None:
    base = await serve("plugins: {acme_echo: {prefix: /x}}")
    async with http.post(base + "/x/echo", json={"a": 1}) as response:
        assert await response.json() == {"you_said": {"a": 1}}
    async with http.post(base + "/x/echo", data=b"no JSON") as response:
        assert response.status == 400


@pytest.mark.usefixtures("acme")
async def test_tokens_are_counted_once_and_then_stored(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream, event_lines: list[dict[str, Any]]
) -> None:
    raw_upstream.scripts = [whole(b'{"totalTokens": 3}')]
    base = await serve("plugins: {acme_tokens: {hours: 1}}", raw_upstream.url)
    counts = []
    for _ in range(2):
        async with http.post(
            base + "/acme/tokens", json={"text": "one two three", "model": "gpt-4o"}
        ) as response:
            assert response.headers["x-gateway-model"] == "gemini-flash-latest"
            counts.append((await response.json())["tokens"])
    async with http.post(base + "/acme/tokens", json={"text": ""}) as response:
        assert (response.status, (await response.json())["error"]["param"]) == (400, "text")
    await serve.stop()

    assert counts == [3, 3]
    assert [request.partition(b" HTTP")[0] for request in raw_upstream.requests] == [
        b"POST /v1beta/models/gemini-flash-latest:countTokens"
    ]
    assert event_lines == [
        {"event": "log", "logger": "gateway.plugins.acme_tokens", "level": "info", "message": "closing"}
    ]


@pytest.mark.usefixtures("acme")
async def test_ping_says_which_model_answered_and_what_was_not_honoured(
    http: aiohttp.ClientSession, serve: Serve, fake: Fake
) -> None:
    fallbacks = "models: {fallbacks: {gemini-gone: [gemini-2.0-flash]}}"
    base = await serve(f"plugins: {{acme_ping: {{}}}}\n{fallbacks}", fake.url)
    body = {"text": "hi", "model": "gemini-gone", "tempo": 3}
    async with http.post(base + "/v1/ping", json=body) as response:
        answer = await response.json()
        headers = response.headers

    assert (response.status, answer["model"], answer["finish_reason"]) == (200, "gemini-2.0-flash", "stop")
    assert answer["pong"]
    assert headers["x-gateway-model"] == "gemini-2.0-flash"
    assert headers["x-gateway-notes"] == "tempo,model"


@pytest.mark.usefixtures("acme")
async def test_ping_says_that_a_prompt_was_blocked(
    http: aiohttp.ClientSession, serve: Serve, fake: Fake
) -> None:
    base = await serve("plugins: {acme_ping: {}}", fake.url)
    async with http.post(base + "/ping", json={"text": "[[blocked]]"}) as response:
        answer = await response.json()

    assert (answer["pong"], answer["finish_reason"]) == ("", "content_filter")


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize("text", ["", 5, None])
async def test_ping_names_a_wrong_field(http: aiohttp.ClientSession, serve: Serve, text: object) -> None:
    base = await serve("plugins: {acme_ping: {}}")
    async with http.post(base + "/ping", json={"text": text}) as response:
        assert (response.status, (await response.json())["error"]["param"]) == (400, "text")


@pytest.mark.usefixtures("acme")
async def test_a_hook_is_around_every_request(http: aiohttp.ClientSession, serve: Serve, fake: Fake) -> None:
    base = await serve("plugins: {acme_teams: {teams: [blue]}, chat: {}, health: {}}", fake.url)
    body = {"messages": [{"role": "user", "content": "hi"}]}
    answers = []
    for path, team in (
        ("/v1/chat/completions", "blue"),
        ("/v1/chat/completions", "red"),
        ("/v1/nowhere", "red"),
    ):
        async with http.post(base + path, json=body, headers={"x-acme-team": team}) as response:
            answers.append((response.status, "x-request-id" in response.headers))
    async with http.get(base + "/healthz") as response:
        answers.append((response.status, True))

    assert answers == [(200, True), (403, True), (403, True), (200, True)]


@pytest.fixture
async def gem() -> AsyncIterator[FakeGem]:
    upstream = FakeGem()
    await upstream.start()
    yield upstream
    await upstream.stop()


surfaces = pytest.mark.parametrize(
    "surface", GENERATING, ids=[f"{s.name}{'-stream' * s.streamed}" for s in GENERATING]
)


@pytest.mark.usefixtures("acme")
@surfaces
async def test_o20_the_rules_hold_on_every_surface(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, surface: Surface
) -> None:
    parts = [{"text": "thinking", "thought": True}, {"text": "one \N{EM DASH} two"}]
    answer = message() | {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}
    gem.always = either(gem_whole(answer), [*stream(answer), LAST_CHUNK])
    base = await serve(f"plugins: {{acme_rules: {{rule: Be brief.}}, {SERVED}}}", gem.url)
    reply = await ask(http, base, surface)

    assert reply.status == 200
    assert "one - two" in reply.text
    assert b"thinking" not in reply.body
    assert asked(gem.requests[0])["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert (await ask(http, base, surface, tools=[{}] * 101)).status == 400


@pytest.mark.usefixtures("acme")
async def test_o20_the_rules_hold_for_endpoints_of_other_plugins(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem
) -> None:
    gem.always = gem_whole(message("one \N{EM DASH} two"))
    base = await serve("plugins: {acme_ping: {}, acme_rules: {rule: Be brief.}}", gem.url)
    async with http.post(base + "/ping", json={"text": "hi", "user": "carl"}) as response:
        assert (await response.json())["pong"] == "one - two"
        assert "x-gateway-notes" not in response.headers  # the hook has taken `user` away

    assert asked(gem.requests[0])["systemInstruction"] == {"parts": [{"text": "Be brief."}]}


@pytest.mark.usefixtures("acme")
async def test_o20_the_rules_stop_an_answer(http: aiohttp.ClientSession, serve: Serve, gem: FakeGem) -> None:
    answer = message() | {
        "candidates": [{"content": {"parts": [{"functionCall": {"name": "rm"}}]}, "finishReason": "STOP"}]
    }
    gem.always = gem_whole(answer)
    base = await serve(f"plugins: {{acme_rules: {{}}, {SERVED}}}", gem.url)
    choice = (await ask(http, base, CHAT)).json["choices"][0]

    assert (choice["finish_reason"], choice["message"].get("tool_calls")) == ("content_filter", None)
    assert choice["message"]["refusal"] == "The tool rm may not be used."


@pytest.mark.usefixtures("acme")
@surfaces
async def test_o20_the_journal_has_a_line_for_each_answer(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, surface: Surface,
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    base = await serve(f"plugins: {{acme_journal: {{}}, {SERVED}}}", gem.url)
    await ask(http, base, surface)
    file = tmp_path / "plugins" / "acme_journal" / "answers.jsonl"
    await eventually(lambda: file.exists() and file.read_text().endswith("\n"))
    line = json.loads(file.read_text())

    assert (line["text"], line["reason"], line["status"]) == ("fine", "stop", 200)
    assert (line["surface"], line["model"], line["tokens"]) == (surface.name, "gemini-2.5-flash", 15)
    assert line["dollars"] > 0
