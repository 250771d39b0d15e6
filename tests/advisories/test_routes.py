"""Advisories about routes that forgot to ask for a key: every route of both listeners with every kind of key."""

import json
from time import time
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from gateway.config.admin import AdminConfig
from gateway.config.consistency import contradictions
from gateway.config.secret import Secret
from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.console.app import Admin
from gateway.plugin import SERVICES, Plugin
from gateway.policy.clients.access import digest
from gateway.server.plugin_loader import BUILT_IN, find_plugin
from gateway.store.ledger import client_keys
from gateway.store.ledger.tables import open_engine
from tests.advisories.wire import canary, leaks
from tests.support.bodies import LEAST
from tests.support.servers import Serve
from tests.support.team import Google, Team

ADMIN_TOKEN = canary("adm-")
ALL_PLUGINS = f"plugins: {{{', '.join(f'{name}: {{}}' for name in BUILT_IN if find_plugin(name).routes is not Plugin.routes)}}}\n"
FLASH = "models/gemini-2.5-flash"

OPEN = "open"
"""Answered alike to everybody."""

MATRIX: dict[str, tuple[str, dict[str, Any]]] = {
    "/v1/chat/completions": ("/v1/chat/completions", {"POST": (200, 200)}),
    "/v1/embeddings": ("/v1/embeddings", {"POST": (200, 200)}),
    "/v1/audio/speech": ("/v1/audio/speech", {"POST": (400, 400)}),
    "/v1/audio/transcriptions": ("/v1/audio/transcriptions", {"POST": (400, 400)}),
    "/v1/audio/translations": ("/v1/audio/translations", {"POST": (400, 400)}),
    "/v1/audio/voices": ("/v1/audio/voices", {"GET": OPEN}),
    "/v1/audio/models": ("/v1/audio/models", {"GET": OPEN}),
    "/v1/models": ("/v1/models", {"GET": (200, 200)}),
    "/v1/key": ("/v1/key", {"GET": (200, 200)}),
    "/usage": ("/usage", {"GET": OPEN}),
    "/v1/models/{id}": ("/v1/models/gemini-2.5-flash", {"GET": (200, 200)}),
    "/v1/responses": ("/v1/responses", {"GET": 405, "POST": (200, 200)}),
    "/v1/responses/{id}": ("/v1/responses/resp_x", {"GET": (404, 404), "DELETE": (404, 404)}),
    "/v1/responses/{id}/cancel": ("/v1/responses/resp_x/cancel", {"POST": (404, 404)}),
    "/v1/responses/{id}/input_items": ("/v1/responses/resp_x/input_items", {"GET": (404, 404)}),
    "/v1/responses/input_tokens": ("/v1/responses/input_tokens", {"POST": (200, 200)}),
    "/v1/completions": ("/v1/completions", {"POST": (200, 200)}),
    "/v1/messages": ("/v1/messages", {"POST": (200, 200)}),
    "/v1/messages/count_tokens": ("/v1/messages/count_tokens", {"POST": (200, 200)}),
    "/v1/images/generations": (
        "/v1/images/generations",
        {"POST": (400, 400)},
    ),  # a model that makes no pictures
    "/v1/images/edits": ("/v1/images/edits", {"POST": (400, 400)}),
    "/v1/images/variations": ("/v1/images/variations", {"POST": (400, 400)}),
    "/v1/moderations": ("/v1/moderations", {"POST": (200, 200)}),
    "/v1/files": ("/v1/files?", {"GET": (404, 404), "POST": (404, 404)}),
    "/v1/files/{id}": (f"/v1/files/file-{'0' * 24}", {"GET": (404, 404), "DELETE": (404, 404)}),
    "/v1/files/{id}/content": (f"/v1/files/file-{'0' * 24}/content", {"GET": (404, 404)}),
    "/v1/batches": ("/v1/batches", {"GET": (404, 404), "POST": (400, 400)}),
    "/v1/batches/{id}": (f"/v1/batches/batch_{'0' * 24}", {"GET": (404, 404)}),
    "/v1/batches/{id}/cancel": (f"/v1/batches/batch_{'0' * 24}/cancel", {"POST": (404, 404)}),
    "/v1/messages/batches": ("/v1/messages/batches", {"GET": (404, 404), "POST": (400, 400)}),
    "/v1/messages/batches/{id}": (
        f"/v1/messages/batches/msgbatch_{'0' * 24}",
        {"GET": (404, 404), "DELETE": (404, 404)},
    ),
    "/v1/messages/batches/{id}/cancel": (
        f"/v1/messages/batches/msgbatch_{'0' * 24}/cancel",
        {"POST": (404, 404)},
    ),
    "/v1/messages/batches/{id}/results": (
        f"/v1/messages/batches/msgbatch_{'0' * 24}/results",
        {"GET": (404, 404)},
    ),
    "/v1/uploads": ("/v1/uploads", {"POST": (404, 404)}),
    "/v1/uploads/{id}": ("/v1/uploads/upload_x", {"GET": (404, 404)}),
    **{
        f"/v1/uploads/{{id}}/{step}": (f"/v1/uploads/upload_x/{step}", {"POST": (404, 404)})
        for step in ("parts", "complete", "cancel")
    },
    "/v1/translate": ("/v1/translate", {"POST": (200, 200)}),
    "/{version}/{tail}": (
        f"/v1beta/{FLASH}:generateContent",
        {"GET": (403, 200), "POST": (200, 200), "PATCH": (403, 200), "DELETE": (403, 200)},
    ),
    "/{kind}/{version}/{tail}": (
        "/upload/v1beta/files",
        {"GET": (403, 200), "POST": (200, 200), "PUT": (403, 200), "PATCH": (403, 200), "DELETE": (403, 200)},
    ),
    "/google/v1/{tail}": (
        f"/v1/{FLASH}:generateContent",
        {"GET": (403, 200), "POST": (200, 200), "PATCH": (403, 200), "DELETE": (403, 200)},
    ),
    "/ws/{service}": (
        "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent",
        {"GET": 405},
    ),
    "/healthz": ("/healthz", {"GET": OPEN}),
    "/readyz": ("/readyz", {"GET": OPEN}),
    "/metrics": ("/metrics", {"GET": OPEN}),
    "/{preflight}": ("/any", {"OPTIONS": OPEN}),
    "/{path}": ("/nothing", {"*": OPEN}),
}
"""Registered path to a path that it serves, and to the status of each method for an issued key and for a Gemini key.

A third status is that without a key, where it is not 401. A number is the status for everybody: `GET /v1/responses` and
`/ws/…` are served for a WebSocket only, which test_s12 does not open.
"""

SPELLINGS: dict[str, tuple[str, dict[str, Any]]] = {
    **{
        path: (path, {"POST": (200, 200)})
        for path in (
            "/chat/completions", "/any/chat/completions", "/v1beta/openai/chat/completions", "/embeddings", "/completions",
            "/moderations", "/api/v1/embeddings", "/v1/v1/chat/completions", "/openai/v1/completions", "/translate",
            "/v1//chat//completions/", "/openai/deployments/gemini-2.5-flash/chat/completions",
            f"/google/v1/{FLASH}:generateContent", f"/api/v1/{FLASH}:generateContent",
        )
    },
    "/models": ("/models", {"GET": (200, 200)}),
    "/models/{id}": ("/models/gemini-2.5-flash", {"GET": (200, 200)}),
    "/download": ("/download/v1/files/abc:download", {"GET": (404, 200), "POST": (403, 200)}),
    "/v1/files/abc": (
        "/v1/files/abc",
        {"GET": (404, 200), "POST": (403, 200, 405), "PATCH": (404, 200, 405), "DELETE": (404, 200)},
    ),
    **{
        path: (path, {"GET": (403, 200), "POST": (403, 200)})
        for path in ("/v1/fileSearchStores/x", "/v1/operations/x", "/v1/models/x/operations/y", "/v1/tunedModels")
    },
}  # fmt: skip
"""Other spellings of paths that are served, and Google's paths below `/v1`."""

ADMIN_MATRIX: dict[tuple[str, str], tuple[str, int]] = {
    ("GET", "/metrics"): ("/metrics", 200),
    ("GET", "/admin/keys"): ("/admin/keys", 200),
    ("POST", "/admin/keys"): ("/admin/keys", 400),
    ("PUT", "/admin/keys/{id}/rules"): ("/admin/keys/key_x/rules", 404),
    ("POST", "/admin/keys/{id}/rotate"): ("/admin/keys/key_x/rotate", 404),
    ("DELETE", "/admin/keys/{id}"): ("/admin/keys/key_x", 404),
    ("GET", "/admin/pool"): ("/admin/pool", 200),
    ("POST", "/admin/pool/put_back"): ("/admin/pool/put_back", 400),
    ("GET", "/admin/usage"): ("/admin/usage", 200),
    ("GET", "/v1/organization/usage/completions"): ("/v1/organization/usage/completions", 200),
}
"""Method and registered path of the admin listener to a path that it serves, and to its status with the token."""
FOR_EVERYBODY = {
    ("GET", "/"), ("GET", "/console"), ("GET", "/console/"), ("GET", "/console/{build}/{name}"), ("POST", "/console/session"), ("GET", "/console/session"),
    ("DELETE", "/console/session"), ("GET", "/admin/openapi.json"), ("GET", "/console/enter/{ticket}"),
}  # fmt: skip
"""The pages' files and the API's description, which hold no data, and signing in."""


def body_of(path: str) -> Any:
    """Return a body that a route accepts."""
    if path.startswith(("/v1beta/models", "/v1/models", "/upload")):
        return {"contents": []}
    if ":generateContent" in path:
        return {"contents": []}
    names = ("chat", "embeddings", "completions", "moderations", "messages", "responses", "translate")
    noun = next((name for name in names if name in path.split("/")), "")
    name = {"chat": "chat/completions", "translate": "chat/completions"}.get(noun, noun)
    return {"model": "gemini-2.5-flash", **LEAST.get(f"/v1/{name}", {})}


def anything() -> web.Response:
    """Return an answer that fits every method of Gemini's API."""
    candidate = {"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}
    return web.json_response({
        "candidates": [candidate], "totalTokens": 3, "models": [{"name": FLASH, "supportedGenerationMethods": ["generateContent"]}], "embeddings": [{"values": [1.0]}],
    })  # fmt: skip


class Caller:
    """Calls a route with one kind of key."""

    def __init__(self, base: str) -> None:
        self._base = base

    async def __call__(self, method: str, path: str, key: str, form: str = "Authorization") -> int:
        headers = {form: f"Bearer {key}" if form == "Authorization" else key} if key else {}
        headers |= {"x-goog-api-key": key} if key and path == "/v1/files/abc" else {}
        async with aiohttp.ClientSession(self._base, headers=headers) as http:
            body = body_of(path) if method in ("POST", "PUT", "PATCH") else None
            async with http.request(method, path, json=body) as response:
                await response.read()
                return response.status


@pytest.fixture
async def issued(team: Team) -> tuple[str, str]:
    """A good key and a revoked one, before the gateway starts."""
    key, revoked = team.issue(), team.issue()
    engine = open_engine(str(team.file), None)
    ids = {entry.hash: entry.id for entry in client_keys.issued(engine)}
    client_keys.revoke(engine, ids[digest(revoked)], time() - 1)
    engine.dispose()
    return key, revoked


@pytest.mark.row("S12", "S20", "S36")
@pytest.mark.parametrize("passthrough", [True, False])
async def test_s12_every_route_answers_every_kind_of_key_as_the_matrix_says(
    team: Team, google: Google, issued: tuple[str, str], passthrough: bool
) -> None:
    key, revoked = issued
    kinds = {"issued": key, "own": canary(), "none": "", "revoked": revoked, "unknown": canary("sk-gw-"),
             "admin": ADMIN_TOKEN, "hash": "0" * 64}  # fmt: skip
    google.answers = dict.fromkeys(["AIza-a", *kinds.values()], anything)
    await team.start("a", f"auth: {{passthrough: {str(passthrough).lower()}}}\n{ALL_PLUGINS}")
    call = Caller(team.base)
    got: dict[str, Any] = {}
    wanted: dict[str, Any] = {}
    for canonical, (path, methods) in {**MATRIX, **SPELLINGS}.items():
        for method, codes in methods.items():
            place = f"{method} {canonical}"
            method = "GET" if method == "*" else method
            got[place] = {kind: await call(method, path, value) for kind, value in kinds.items()}
            if isinstance(codes, int):
                wanted[place] = dict.fromkeys(kinds, codes)
                continue
            if codes == OPEN:
                wanted[place] = dict.fromkeys(kinds, got[place]["none"])
                assert got[place]["none"] < 300
                continue
            foreign = codes[1] if passthrough else 401
            wanted[place] = {"issued": codes[0], "own": foreign, "admin": foreign, "hash": foreign,
                             "none": codes[2] if codes[2:] else 401, "revoked": 401, "unknown": 401}  # fmt: skip

    assert got == wanted


@pytest.mark.row("S12", "S20")
async def test_s20_no_route_is_missing_from_the_matrix(team: Team, serve: Serve) -> None:
    await team.start("a", ALL_PLUGINS)
    registered = {
        (route.method, route.resource.canonical)
        for route in serve.app.router.routes()
        if route.resource is not None and route.method not in ("HEAD", "OPTIONS")
    } | {("OPTIONS", "/{preflight}")}

    assert registered == {(method, path) for path, (_, methods) in MATRIX.items() for method in methods}


@pytest.mark.row("S12", "S20")
async def test_s20_a_plugin_without_a_check_of_its_own_is_found(team: Team, serve: Serve) -> None:
    """The matrix sees what it looks for: a route that answers without a key."""
    await team.start("a", ALL_PLUGINS)

    async def careless(_: web.Request) -> web.Response:
        return web.json_response({})

    app = web.Application()
    app.router.add_post("/v1/careless", careless)
    (route,) = app.router.routes()
    assert route.resource is not None
    assert route.resource.canonical not in MATRIX


@pytest.fixture
async def admin(team: Team, serve: Serve, aiohttp_client: Any, issued: tuple[str, str]) -> Any:
    """A client of the admin listener of a running gateway."""
    await team.start("a", ALL_PLUGINS)
    return await aiohttp_client(Admin(lambda: serve.app[SERVICES], AdminConfig(Secret(ADMIN_TOKEN))).app())


@pytest.mark.row("S12", "S36")
async def test_s36_every_admin_route_wants_the_admin_token(
    admin: Any, issued: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.console.operators._GUESSES", 10_000)  # wrong tokens, and then 429
    kinds = {"none": "", "issued": issued[0], "own": canary(), "nearly": ADMIN_TOKEN[:-1], "longer": ADMIN_TOKEN + "x",
             "hash": "0" * 64}  # fmt: skip
    got: dict[Any, Any] = {}
    for (method, canonical), (path, _) in ADMIN_MATRIX.items():
        got[method, canonical] = {}
        for kind, value in (kinds | {"admin": ADMIN_TOKEN}).items():
            headers = {"Authorization": f"Bearer {value}"} if value else {}
            async with admin.request(method, path, headers=headers, json={}) as response:
                got[method, canonical][kind] = response.status
    wanted = {
        place: dict.fromkeys(kinds, 200 if path == "/metrics" else 401) | {"admin": code}
        for place, (path, code) in ADMIN_MATRIX.items()
    }

    assert got == wanted
    routes = {(r.method, r.resource.canonical) for r in admin.app.router.routes() if r.method != "HEAD"}
    assert routes >= set(ADMIN_MATRIX) | FOR_EVERYBODY
    refused = dict.fromkeys(kinds, 401)
    for method, canonical in routes - set(ADMIN_MATRIX) - FOR_EVERYBODY:
        statuses = {}
        for kind, value in kinds.items():
            headers = {"Authorization": f"Bearer {value}"} if value else {}
            path = canonical.replace("{", "").replace("}", "")
            async with admin.request(method, path, headers=headers, json={}) as response:
                statuses[kind] = response.status
        assert statuses == refused, f"{method} {canonical}"


@pytest.mark.row("S12", "S36")
@pytest.mark.parametrize(
    "path",
    ["/admin/keys/../keys", "//admin/keys", "/admin//keys", "/%61dmin/keys", "/metrics/../admin/keys", "/admin/keys/",
     "/metrics/admin/keys", "/admin/keys?x=/metrics", "/admin/keys;/metrics", "/admin/keys%2f..%2f..%2fmetrics"],
)  # fmt: skip
async def test_s36_no_spelling_of_a_path_skips_the_check(admin: Any, path: str) -> None:
    for method in ("GET", "POST", "HEAD"):
        url = URL(str(admin.make_url("")).rstrip("/") + path, encoded=True)
        async with admin.session.request(method, url, json={"name": "x"}) as response:
            assert response.status == 401, method


@pytest.mark.row("S31")
async def test_s31_no_list_shows_a_key_after_it_was_issued(admin: Any, team: Team, google: Google) -> None:
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    async with admin.post("/admin/keys", json={"name": "ada"}, headers=headers) as response:
        created = await response.json()
    assert (await team.ask(created["key"]))[0] == 200
    shown = ""
    for (method, _), (path, _) in ADMIN_MATRIX.items():
        if method == "GET":
            async with admin.get(
                path, headers=headers, params={"by": "client"} if "usage" in path else {}
            ) as response:
                shown += await response.text()

    assert created["id"] in shown
    assert leaks(shown, created["key"], ADMIN_TOKEN) == []
    assert digest(created["key"]) not in shown


@pytest.mark.row("S10")
async def test_s10_what_is_open_to_everybody_says_nothing_of_the_pool(
    team: Team, google: Google, serve: Serve, aiohttp_client: Any
) -> None:
    keys = [canary(), canary("AIza")]
    key = team.issue()
    serve.environ |= {"KEY_A": keys[0], "KEY_B": keys[1], "TOKEN": ADMIN_TOKEN}
    await team.start("ab", f"admin: {{token: {{env: TOKEN}}}}\n{ALL_PLUGINS}")
    assert (await team.ask(key))[0] == 200
    shown = []
    async with aiohttp.ClientSession(team.base) as http:
        for path, expected in (("/healthz", {"status": "ok"}), ("/readyz", {"status": "ready"})):
            async with http.get(path) as response:
                assert await response.json() == expected
        for path in (
            "/healthz",
            "/readyz",
            "/metrics",
            "/",
            "/v1/models",
            "/v1/models/gemini-2.5-flash",
            "/favicon.ico",
        ):
            async with http.get(path, headers={"x-api-key": key} if "models" in path else {}) as response:
                shown.append(f"{response.headers} {await response.text()}")
    client = await aiohttp_client(Admin(lambda: serve.app[SERVICES], AdminConfig(Secret(ADMIN_TOKEN))).app())
    for path in ("/metrics", "/admin/pool", "/admin/keys", "/admin/usage", "/admin/nothing"):
        async with client.get(path, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}) as response:
            shown.append(f"{response.headers} {await response.text()}")

    assert leaks("".join(shown), *keys, key, ADMIN_TOKEN) == []


@pytest.mark.row("S36")
@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("AQ.pool", "admin.token is also a key of pool.projects"),
        ("sk-gw-x", "admin.token begins with sk-gw-"),
    ],
)
def test_s36_the_admin_token_is_nobody_elses_key(token: str, message: str) -> None:
    text = "pool: {projects: [{name: a, keys: [{env: K}]}]}\nadmin: {port: 0, token: {env: T}}"
    source = Source(text, "g.yaml", {"K": "AQ.pool", "T": token})
    (fault,) = contradictions(source.decode(GatewayConfig), source)

    assert str(fault).startswith(f"g.yaml:2:25: {message}")
    assert token not in str(fault).replace("sk-gw-", "")


@pytest.mark.row("S26")
@pytest.mark.parametrize("client", ["%_" * 1000, "%" * 2500, "_" * 5000, "key_%", "\\%" * 1000, "' OR 1=1--"])
async def test_s26_wildcards_match_nothing_and_cost_nothing(
    admin: Any, team: Team, issued: tuple[str, str], client: str
) -> None:
    assert (await team.ask(issued[0]))[0] == 200
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    async with admin.get(
        "/admin/usage", params={"client": client, "by": "client"}, headers=headers
    ) as response:
        assert response.status in (200, 400)
        assert json.loads(await response.read()).get("data", []) == []
