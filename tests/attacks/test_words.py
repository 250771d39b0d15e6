"""Clients' words in Google's error messages decide nothing: not about keys, not about other clients' requests.

The phrases are made from the patterns of the code itself, so that a new pattern is planted as well.
"""

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.gemini import errors, remedies, request_changes
from gateway.gemini.errors import from_response
from gateway.plugin import SERVICES
from tests.support.paths import ROOT
from tests.support.phrases import RPC, Refusal, examples, planted
from tests.support.servers import Fake, Serve, upstream_of
from tests.support.team import Google, Team, good
from tests.support.waiting import eventually

HARMLESS = "x_y"


def _patterns(value: Any) -> Iterator[re.Pattern[str]]:
    """Yield every pattern in a table."""
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _patterns(item)
    elif isinstance(value, remedies.Remedy):
        yield value.refusal


PATTERNS = list(
    dict.fromkeys(
        p
        for module in (errors, remedies, request_changes)
        for v in vars(module).values()
        for p in _patterns(v)
    )
)
REASONS = sorted({reason for _, reason in errors._KEY_REASONS})
PHRASES = list(dict.fromkeys([
    *(text for pattern in PATTERNS for text in examples(pattern.pattern)), *REASONS,
    "reported as leaked", "Your API key was reported as leaked. Please use another API key.", "API key not valid",
    "API key not valid. Please pass a valid API key.", "has been suspended", "UNAUTHENTICATED", "PerDay",
    "Thinking is not supported", "Developer instruction is not enabled", "JSON mode is not enabled",
]))  # fmt: skip
PLACES = list(planted(HARMLESS))


def judged(refusal: Refusal) -> tuple[Any, ...]:
    """Return all that the gateway concludes from an error, without the text that the client gets."""
    error = from_response(refusal.status, json.dumps(refusal.body()).encode())
    features = [remedy.feature for remedy in remedies.matching(error, ())]
    return type(error), error.code, error.status, error.key_fault, features


def test_the_phrases_are_those_of_all_patterns() -> None:
    """A phrase that Google itself writes is understood, so that the tests below plant what would be believed."""
    assert len(PATTERNS) > 30
    for row in remedies.REMEDIES:
        texts = examples(row.refusal.pattern)
        assert all(row.refusal.match(text) for text in texts)
        assert all(row.feature in judged(Refusal(400, text))[-1] for text in texts)
    for status, pattern, fault in errors._KEY_MESSAGES:
        assert {judged(Refusal(status, text))[3] for text in examples(pattern.pattern)} == {fault}
    for (status, reason), fault in errors._KEY_REASONS.items():
        info = {"@type": RPC + "ErrorInfo", "reason": reason, "metadata": {"service": errors._SERVICES[0]}}
        assert judged(Refusal(status, "no", (info,)))[3] == fault
        assert (
            judged(Refusal(status, "no", ({**info, "metadata": {"service": "maps.googleapis.com"}},)))[3]
            is None
        )
        assert judged(Refusal(404, "no", (info,)))[3] is None


@pytest.mark.row("A1", "A2")
@pytest.mark.parametrize("place", PLACES)
def test_a01_a02_a_planted_phrase_means_what_any_other_word_means(place: str) -> None:
    expected = judged(planted(HARMLESS)[place])
    different = {phrase: judged(planted(phrase)[place]) for phrase in PHRASES}

    assert {phrase: result for phrase, result in different.items() if result != expected} == {}
    opaque = (
        ["image_opaque", "schema_bounds", "unforced", "answer_in_words"]
        if place == "a localized message"
        else []
    )
    assert expected[3:] == (
        None,
        opaque,
    )  # Google's whole message names nothing there, so nothing is planted in it


@pytest.mark.row("A1")
def test_a01_a_key_has_leaked_only_by_a_403() -> None:
    message = "Your API key was reported as leaked. Please use another API key."

    assert judged(Refusal(403, message))[3] == "leaked"
    assert {judged(Refusal(status, message))[3] for status in (400, 404, 429, 500, 503)} == {None}
    assert judged(Refusal(403, message + " x"))[3] is None
    assert judged(Refusal(403, message, ({"@type": RPC + "ErrorInfo", "reason": "X"},)))[3] is None


@pytest.mark.row("A1")
@pytest.mark.parametrize(
    "message", [f"API key not valid. {tail}" for tail in ("x", "Please pass a valid API key.\nx")]
)
def test_a01_a_message_that_only_begins_like_a_refused_key_is_none(message: str) -> None:
    assert judged(Refusal(400, message))[3] is None


def by_the_model_that_was_asked(answer: web.Response, request: web.Request) -> web.Response:
    """Return the answer with the model of the request: another model's name would teach something of its own."""
    asked = re.search(r"models/([\w.-]+)", request.path)
    assert isinstance(answer.body, bytes)
    if asked:
        answer.body = answer.body.replace(b'"gemini-2.5-flash"', b'"%s"' % asked[1].encode())
    return answer


class Echo:
    """An upstream that answers bodies with a marker by a refusal, and all others well."""

    def __init__(self) -> None:
        self.refusal = planted(HARMLESS)["a name"]
        self.form = "status"
        """How the refusal arrives: with its `status`, in an `array`, or `inside` a 200."""
        self.only = ""
        """The key that is refused, if it is one only; `first` for the one that comes first."""
        self.keys: list[str] = []
        """Keys of the calls that were refused."""
        self.bodies: list[str] = []
        """The other bodies."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        text, key = await request.text(), request.headers["x-goog-api-key"]
        is_planted = "PLANT" in text or "PLANT" in request.path
        if is_planted and self.only == "first":
            self.only = key
        if not is_planted or self.only not in ("", key):
            self.bodies.append(text)
            answer = by_the_model_that_was_asked(good(), request)
            if "embed" in request.path:
                return web.json_response({"embeddings": [{"values": [1.0]}], "embedding": {"values": [1.0]}})
            if "stream" in request.path:
                assert isinstance(answer.body, bytes)
                data = b"data: " + answer.body + b"\r\n\r\n"
                return web.Response(body=data, headers={"Content-Type": "text/event-stream"})
            return answer
        self.keys.append(key)
        body = json.dumps(self.refusal.body())
        if self.form == "inside" and "stream" in request.path:
            headers = {"Content-Type": "text/event-stream"}
            return web.Response(text=f"data: {body}\r\n\r\n", headers=headers)
        text = f"[{body}]" if self.form == "array" else body
        status = 200 if self.form == "inside" else self.refusal.status
        return web.Response(text=text, status=status, content_type="application/json")


@pytest.fixture
async def echo(aiohttp_server: Any) -> Echo:
    return Echo()


@pytest.fixture
async def team(serve: Serve, echo: Echo, tmp_path: Any, aiohttp_server: Any) -> Team:
    """A gateway with three projects in front of the echo."""
    return Team(serve, tmp_path, await upstream_of(aiohttp_server, echo.answer))


MODEL, F2 = "gemini-2.5-flash", "gemini-2.0-flash"
USER = [{"role": "user", "content": "PLANT"}]
NATIVE = {"contents": [{"role": "user", "parts": [{"text": "PLANT"}]}]}
SURFACES: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"model": MODEL, "messages": USER}),
    "chat stream": ("/v1/chat/completions", {"model": MODEL, "messages": USER, "stream": True}),
    "chat n": ("/v1/chat/completions", {"model": MODEL, "messages": USER, "n": 2, "seed": 1}),
    "responses": ("/v1/responses", {"model": MODEL, "input": "PLANT"}),
    "responses stream": ("/v1/responses", {"model": MODEL, "input": "PLANT", "stream": True}),
    "messages": ("/v1/messages", {"model": MODEL, "messages": USER, "max_tokens": 9}),
    "messages stream": ("/v1/messages", {"model": MODEL, "messages": USER, "max_tokens": 9, "stream": True}),
    "count": ("/v1/messages/count_tokens", {"model": MODEL, "messages": USER}),
    "completions": ("/v1/completions", {"model": MODEL, "prompt": "PLANT"}),
    "completions stream": ("/v1/completions", {"model": MODEL, "prompt": "PLANT", "stream": True}),
    "embeddings": ("/v1/embeddings", {"model": "gemini-embedding-001", "input": "PLANT"}),
    "native": (f"/v1beta/models/{MODEL}:generateContent", NATIVE),
    "native stream": (f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse", NATIVE),
    "native embedding": ("/v1beta/models/gemini-embedding-001:embedContent", {"content": {"parts": [{"text": "PLANT"}]}}),
    "native count": (f"/v1beta/models/{MODEL}:countTokens", NATIVE),
}  # fmt: skip
VICTIM: dict[str, Any] = {
    "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}],
    "reasoning_effort": "high", "service_tier": "flex", "presence_penalty": 1, "logprobs": True, "n": 1,
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {
        "type": "object", "properties": {"a": {"type": "string", "minLength": 2}}}}},
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {
        "a": {"type": "string"}}}}}],
}  # fmt: skip
"""A request with every feature that a remedy could take away."""


async def post(base: str, path: str, key: str, body: Any) -> tuple[int, bytes]:
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as http,
        http.post(base + path, json=body) as response,
    ):
        return response.status, await response.read()


async def victim_bodies(team: Team, echo: Echo, key: str) -> list[str]:
    """Return what Google is sent for another client's requests to two models."""
    del echo.bodies[:]
    for model in (MODEL, F2):
        assert (await team.ask(key, model, **VICTIM))[0] == 200
    return echo.bodies[:]


def pool_states(serve: Serve) -> set[str]:
    pool = serve.app[SERVICES].metrics.pool
    return {state.reason or state.state for state in pool.describe(0.0)}


@pytest.mark.row("A1", "A2")
@pytest.mark.parametrize("form", ["status", "array", "inside"])
@pytest.mark.parametrize("surface", SURFACES)
async def test_a01_a02_on_every_surface_a_phrase_costs_one_call_and_no_key(
    team: Team, serve: Serve, echo: Echo, event_lines: list[dict[str, Any]], surface: str, form: str
) -> None:
    attacker, victim = team.issue(), team.issue()
    await team.start()
    before = await victim_bodies(team, echo, victim)
    path, body = SURFACES[surface]
    echo.form = form
    calls = 2 if surface == "chat n" else 1
    phrases = (
        "reported as leaked",
        "API key not valid. Please pass a valid API key.",
        "Thinking is not supported",
    )
    for phrase in phrases:
        for place in ("names", "a name that closes its quotes", "a value", "a file", "a model"):
            del echo.keys[:]
            echo.refusal = planted(phrase)[place]
            await post(team.base, path, attacker, body)
            assert 1 <= len(echo.keys) <= calls, (phrase, place)

    assert await victim_bodies(team, echo, victim) == before
    assert pool_states(serve) == {"ready"}
    assert [line for line in event_lines if line["event"] == "pool"] == []


LEAKED = Refusal(403, "Your API key was reported as leaked. Please use another API key.")


@pytest.mark.row("A1")
@pytest.mark.parametrize("form", ["status", "array", "inside"])
@pytest.mark.parametrize("surface", SURFACES)
async def test_a01_on_every_surface_a_refused_key_is_noticed(
    team: Team, serve: Serve, echo: Echo, surface: str, form: str
) -> None:
    """The counterpart: what Google really says of a key is believed, in every form that its errors have."""
    if form == "inside" and "stream" not in surface:
        pytest.skip("an error inside a 200 is an event of a stream")
    key = team.issue()
    await team.start()
    path, body = SURFACES[surface]
    echo.form, echo.refusal, echo.only = form, LEAKED, "first"
    for _ in range(3):
        status, text = await post(team.base, path, key, body)
        assert status in ((200, 403) if "native" in surface else (200,)), text

    assert echo.keys == [echo.only] * (2 if surface == "chat n" else 1)
    assert pool_states(serve) == {"ready", "leaked"}


@pytest.mark.row("A1", "A2")
@pytest.mark.parametrize("surface", ["chat", "native stream"])
async def test_a01_a02_every_phrase_of_the_code_is_harmless(
    team: Team, serve: Serve, echo: Echo, surface: str
) -> None:
    attacker, other, victim = team.issue(), team.issue(), team.issue()
    await team.start()
    before = await victim_bodies(team, echo, victim)
    path, body = SURFACES[surface]
    for phrase in PHRASES:
        echo.refusal = planted(phrase)["a name that closes its quotes"]
        for key in (attacker, other):
            await post(team.base, path, key, body)

    assert len(echo.keys) == 2 * len(PHRASES)
    assert await victim_bodies(team, echo, victim) == before
    assert pool_states(serve) == {"ready"}


@pytest.mark.row("A1", "A2")
async def test_a01_a02_names_that_the_emulator_repeats(
    serve: Serve, fake: Fake, tmp_path: Any, event_lines: list[dict[str, Any]]
) -> None:
    """As the attack was found: the phrases are names in `google.image_config` and in a native body."""
    team = Team(serve, tmp_path, fake.url)
    attacker, victim = team.issue(), team.issue()
    await team.start()
    calls = 0
    for phrase in (
        "reported as leaked",
        "API key not valid",
        "Thinking is not supported",
        "JSON mode is not enabled",
    ):
        status, _, answer = await team.ask(attacker, google={"image_config": {phrase: 1}})
        assert (status, phrase in answer["error"]["message"]) == (400, True)
        native = {"contents": [{"parts": [{"text": "hi", phrase: 1}]}], "generationConfig": {phrase: phrase}}
        status, text = await post(team.base, f"/v1beta/models/{MODEL}:generateContent", attacker, native)
        assert (status, text.count(phrase.encode()) > 1) == (400, True)
        calls += 2
        assert fake.calls == calls

    status, headers, _ = await team.ask(
        victim, reasoning_effort="low", response_format={"type": "json_object"}
    )
    assert (status, "x-gateway-notes" in headers) == (200, False)
    assert pool_states(serve) == {"ready"}
    assert [line for line in event_lines if line["event"] == "pool"] == []


def _bodies(phrase: str) -> dict[str, dict[str, Any]]:
    """Return bodies of Gemini's own API whose refusal repeats a phrase, by its place."""

    def asking(part: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
        return {
            "contents": [{"role": "user", "parts": [{"text": "hi"}, *([part] if part else [])]}],
            **fields,
        }

    def declaring(*names: str, **fields: Any) -> dict[str, Any]:
        return {"tools": [{"functionDeclarations": [{"name": name, **fields} for name in names]}]}

    properties = {"type": "OBJECT", "properties": {phrase: {}}}
    return {
        "a name": asking() | {phrase: 1},
        "a name of a part": asking({"text": "a", phrase: 1}),
        "a name of a schema": asking(**declaring("f", parameters={"type": "OBJECT", phrase: 1})),
        "a level": asking(generationConfig={"thinkingConfig": {"thinkingLevel": phrase}}),
        "a category": asking(safetySettings=[{"category": phrase, "threshold": "OFF"}]),
        "a number": asking(generationConfig={"seed": phrase}),
        "bytes": asking({"inlineData": {"mimeType": "image/png", "data": phrase + "?"}}),
        "a MIME type": asking({"inlineData": {"mimeType": phrase, "data": ""}}),
        "an address": asking({"fileData": {"fileUri": f"gs://{phrase}"}}),
        "a function's name": asking(**declaring(phrase, phrase)),
        "an allowed name": asking(toolConfig={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": [phrase]}},
                                  **declaring("f")),
        "a property": asking(**declaring("f", parameters=properties)),
    }  # fmt: skip


@pytest.mark.row("A1", "A2")
@pytest.mark.parametrize("place", _bodies(""))
async def test_a01_a02_bodies_that_the_emulator_refuses(
    serve: Serve, fake: Fake, tmp_path: Any, place: str
) -> None:
    team = Team(serve, tmp_path, fake.url)
    key = team.issue()
    await team.start()
    phrases = (
        "reported as leaked",
        "API key not valid. Please pass a valid API key.",
        "Thinking is not supported",
    )
    for count, phrase in enumerate(phrases, 1):
        path = f"/v1beta/models/{MODEL}:generateContent"
        status, answer = await post(team.base, path, key, _bodies(phrase)[place])
        assert (status, phrase.encode() in answer, fake.calls) == (400, True, count), answer
    assert pool_states(serve) == {"ready"}


MINIMAL = Refusal(
    400, "Thinking level MINIMAL is not supported for this model. Please retry with other thinking level."
)


class Refusing(Google):
    """An upstream that refuses bodies that contain a text."""

    def __init__(self, text: str, refusal: Refusal, *, always: bool = False, beside: str = "") -> None:
        super().__init__()
        self.text, self.refusal, self.always, self.beside = text, refusal, always, beside
        self.refused: list[str] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        if (self.text in body and self.beside in body) or self.always:
            self.refused.append(body)
            return web.json_response(self.refusal.body(), status=self.refusal.status)
        result = await super().answer(request)
        self.bodies[-1] = json.loads(body)  # it has been read already
        return by_the_model_that_was_asked(result, request) if isinstance(result, web.Response) else result


async def behind(upstream: Google, serve: Serve, aiohttp_server: Any) -> str:
    """Return a gateway that passes clients' own keys through to an upstream."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", upstream.answer)
    server = await aiohttp_server(app)
    return await serve("", f"http://127.0.0.1:{server.port}")


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": "gemini-3-flash-preview", "messages": [{"role": "user", "content": "hi"}], **fields}


@pytest.mark.row("A2")
@pytest.mark.parametrize("stream", [False, True])
async def test_a02_a_refusal_is_shared_when_a_second_key_has_met_it(
    serve: Serve, aiohttp_server: Any, stream: bool
) -> None:
    upstream = Refusing("MINIMAL", MINIMAL)
    base = await behind(upstream, serve, aiohttp_server)
    refused = []
    for key in ("one", "one", "two", "three", "two"):
        status, _ = await post(
            base, "/v1/chat/completions", key, chat(reasoning_effort="minimal", stream=stream)
        )
        assert status == 200
        refused.append(len(upstream.refused))

    assert refused == [1, 1, 2, 2, 2]


@pytest.mark.row("A2")
async def test_a02_what_a_model_lacks_with_another_output_is_not_taken_from_others(
    serve: Serve, aiohttp_server: Any
) -> None:
    upstream = Refusing(
        "IMAGE", Refusal(400, "Developer instruction is not enabled for models/x"), beside="systemInstruction"
    )
    base = await behind(upstream, serve, aiohttp_server)
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
    for key in ("one", "two", "three"):
        fields = {"messages": messages, "google": {"response_modalities": ["TEXT", "IMAGE"]}}
        assert (await post(base, "/v1/chat/completions", key, chat(**fields)))[0] == 200
    await post(base, "/v1/chat/completions", "victim", chat(messages=messages))

    assert len(upstream.refused) == 3
    assert "systemInstruction" in upstream.bodies[-1]


@pytest.mark.row("A2")
async def test_a02_nothing_is_learned_when_the_changed_request_is_refused_too(
    serve: Serve, aiohttp_server: Any
) -> None:
    upstream = Refusing("MINIMAL", MINIMAL, always=True)
    base = await behind(upstream, serve, aiohttp_server)
    for key in ("one", "two", "one"):
        assert (await post(base, "/v1/chat/completions", key, chat(reasoning_effort="minimal")))[0] == 400
    upstream.always = False
    del upstream.refused[:]
    await post(base, "/v1/chat/completions", "one", chat(reasoning_effort="minimal"))

    assert len(upstream.refused) == 1


@pytest.mark.row("A2")
async def test_a02_a_refused_level_takes_no_budget_from_others(serve: Serve, aiohttp_server: Any) -> None:
    """Two keys of one attacker make Google say truly that a model has no levels; others keep their reasoning."""
    upstream = Refusing("thinkingLevel", Refusal(400, "Thinking level is not supported for this model."))
    base = await behind(upstream, serve, aiohttp_server)
    for key in ("one", "two", "three"):
        fields = chat(model=MODEL, google={"thinking_config": {"thinking_level": "low"}})
        assert (await post(base, "/v1/chat/completions", key, fields))[0] == 200
    await eventually(lambda: len(upstream.bodies) == 3)
    await post(base, "/v1/chat/completions", "victim", chat(model=MODEL, reasoning_effort="high"))

    thinking = upstream.bodies[-1]["generationConfig"]["thinkingConfig"]
    assert thinking["thinkingBudget"] > 0
    assert len(upstream.refused) == 2


@pytest.mark.row("A2")
async def test_a02_a_tier_that_one_project_lacks_is_not_taken_from_others(
    serve: Serve, aiohttp_server: Any
) -> None:
    violation = {
        "field": "service_tier",
        "description": "Invalid value at 'service_tier' (x.ServiceTier), \"flex\"",
    }
    details = ({"@type": RPC + "BadRequest", "fieldViolations": [violation]},)
    upstream = Refusing("flex", Refusal(400, violation["description"], details))
    base = await behind(upstream, serve, aiohttp_server)
    for key in ("one", "two", "three"):
        assert (await post(base, "/v1/chat/completions", key, chat(service_tier="flex")))[0] == 200
    assert len(upstream.refused) == 3
    upstream.text = "never"
    await post(base, "/v1/chat/completions", "victim", chat(service_tier="flex"))
    await post(base, "/v1/chat/completions", "one", chat(service_tier="flex"))

    assert [body.get("serviceTier") for body in upstream.bodies[-2:]] == ["flex", None]


def _reads() -> set[tuple[str, str]]:
    """Return the functions that read the text of an error, as module and name. `self.message` is something else."""
    result = set()
    for path in sorted((ROOT / "gateway").rglob("*.py")):
        module = path.relative_to(ROOT / "gateway").as_posix()
        if module.startswith(("emulator/", "cli/")):
            continue
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for node in ast.walk(function):
                    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and _is_text(node):
                        result.add((module, function.name))
    return result


def _is_text(node: ast.Attribute) -> bool:
    holder = ast.unparse(node.value)
    return node.attr in ("message", "violations", "details", "finish_message", "key_fault") and holder in (
        "error", "answer", "failed", "last", "refused", "candidate", "response.error", "message.error", "status",
    )  # fmt: skip


DECIDING = {
    ("gemini/errors.py", "from_status"), ("gemini/errors.py", "_rate_limited"), ("gemini/request_changes.py", "texts"),
    ("gemini/request_changes.py", "accepted_modalities"), ("policy/pool/call_outcome.py", "outcome"),
    ("plugins/speech/routes.py", "_again"),
}  # fmt: skip
"""In docs/why/how-a-request-travels.md."""
PASSING_ON = {
    ("errors.py", "openai_error"), ("plugins/chat/routes.py", "render"), ("plugins/messages/response.py", "_error_message"),
    ("plugins/native/response.py", "render_error"), ("plugins/responses/response.py", "fail"),
    ("plugins/responses/content.py", "of_picture"), ("gemini/turn_reader.py", "_read"),
    ("exchange/calls/attempt.py", "_report_to_pool"), ("console/pool.py", "probe"), ("exchange/files/google_files.py", "delete"),
    ("plugins/caching/caches.py", "_refuse"), ("plugins/caching/caches.py", "_delete"),
    ("plugins/native/live/closing.py", "ending_of"), ("exchange/batches/parts.py", "submit"),
    ("exchange/batches/parts.py", "_find"), ("exchange/batches/parts.py", "cancel"), ("exchange/batches/parts.py", "fail"),
    ("exchange/batches/engine.py", "_finish"), ("exchange/batches/reading.py", "_line"),
    ("exchange/batches/google.py", "line_error"), ("exchange/batches/here.py", "_answer"),
}  # fmt: skip
"""These show a text to the client or the operator and conclude nothing from it."""


@pytest.mark.row("A1", "A2")
def test_a01_a02_no_other_place_reads_googles_words() -> None:
    """Whoever adds one says in docs/why/how-a-request-travels.md what it may conclude."""
    assert _reads() == DECIDING | PASSING_ON


@pytest.mark.row("A1", "A2")
def test_a01_a02_no_pattern_is_searched_for_within_a_message() -> None:
    calls = {
        (module, call.func.attr)
        for module in ("errors.py", "remedies.py", "request_changes.py")
        for call in ast.walk(ast.parse((ROOT / "gateway" / "gemini" / module).read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
    }

    assert {name for _, name in calls} & {
        "search",
        "finditer",
        "lower",
        "find",
        "index",
        "startswith",
    } == set()
    assert ("errors.py", "findall") not in calls


def test_the_page_names_every_place_that_decides() -> None:
    page = (ROOT / "docs" / "why" / "how-a-request-travels.md").read_text()
    section = page.partition("### What Google's words decide")[2].partition("\n### ")[0]

    for name in (
        "_key_fault",
        "_rate_limited",
        "_meaning",
        "_violations",
        "matching",
        "drop_category",
        "accepted_modalities",
    ):
        assert f"`{name}`" in section
        assert any(hasattr(module, name) for module in (errors, remedies, request_changes))
    assert {module for module, _ in DECIDING} <= set(re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)`", section))
