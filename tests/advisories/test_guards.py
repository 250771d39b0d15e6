"""A guard that exists and that nobody calls: each guard is replaced by one that lets everything pass.

The attack must fail with the guard, and succeed without it: then the guard is what stops it, in the real gateway.
(LiteLLM's URL guard existed, was tested, and was called by no code: BerriAI/litellm#37053.)
"""

import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from yarl import URL

from gateway import errors
from gateway.config.admin import AdminConfig
from gateway.config.secret import Secret
from gateway.console.app import Admin
from gateway.console.guard import Guard
from gateway.console.operators import Operator
from gateway.gemini import json_shape
from gateway.plugin import SERVICES
from gateway.plugins.native import issued_keys, routes
from gateway.plugins.native.request import Permitted
from gateway.policy.clients import access
from gateway.policy.clients.access import Access, Client, ClientKey
from gateway.policy.clients.client_rules import Rules
from gateway.policy.load.admission import Admission
from gateway.server.connection.protocol import Protocol
from gateway.store.file_owners import FileOwners
from gateway.store.ledger import client_keys
from gateway.store.ledger.tables import open_engine
from gateway.store.rate_counters import MemoryCounters
from gateway.upstream.media import MediaFetcher
from tests.advisories.wire import canary, leaks, raw
from tests.support.servers import Serve, whole
from tests.support.team import Google, Team, good, refused

Patch = pytest.MonkeyPatch
FLASH = "/v1beta/models/gemini-2.5-flash:generateContent"


class World(NamedTuple):
    """What an attack needs."""

    team: Team
    google: Google
    serve: Serve
    folder: Path
    client: Any
    """aiohttp's fixture `aiohttp_client`."""


Attack = Callable[[World], Awaitable[bool]]
"""Returns whether it succeeded."""
Removal = Callable[[Patch], None]


async def _post(world: World, path: str, key: str, body: Any) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession(world.team.base, headers={"x-goog-api-key": key}) as http,
        http.post(path, data=body if isinstance(body, bytes) else json.dumps(body).encode()) as response,
    ):
        return response.status, await response.text()


async def unknown_key(world: World) -> bool:
    """Use a key that was never issued."""
    await world.team.start("a", "auth: {passthrough: false}")
    return (await world.team.ask("sk-gw-guessed"))[0] == 200


async def revoked_key(world: World) -> bool:
    """Use a key that was revoked."""
    key = world.team.issue()
    engine = open_engine(str(world.team.file), None)
    (entry,) = client_keys.issued(engine)
    client_keys.revoke(engine, entry.id, 1.0)
    engine.dispose()
    await world.team.start("a")
    return (await world.team.ask(key))[0] == 200


async def other_model(world: World) -> bool:
    """Use a model that the key does not allow."""
    key = world.team.issue(models=("gemini-2.5-flash-lite",))
    await world.team.start("a")
    return (await world.team.ask(key))[0] == 200


async def too_often(world: World) -> bool:
    """Send more requests than the key allows."""
    key = world.team.issue(requests_per_minute=1)
    await world.team.start("a")
    return [(await world.team.ask(key))[0] for _ in range(3)] == [200] * 3


async def other_endpoint(world: World) -> bool:
    """List what belongs to the whole project."""
    key = world.team.issue()
    await world.team.start("a")
    async with (
        aiohttp.ClientSession(world.team.base, headers={"x-goog-api-key": key}) as http,
        http.get("/v1beta/files") as response,
    ):
        return response.status == 200


async def foreign_file(world: World) -> bool:
    """Name a file of another client."""
    key = world.team.issue()
    await world.team.start("a")
    body = {
        "contents": [
            {
                "parts": [
                    {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}}
                ]
            }
        ]
    }
    return (await _post(world, FLASH, key, body))[0] == 200


async def odd_path(world: World) -> bool:
    """Leave the API by the path."""
    await world.team.start("a")
    async with aiohttp.ClientSession(headers={"x-goog-api-key": "AQ.own"}) as http:
        url = URL(f"{world.team.base}/v1beta/models/x%2f..%2f..%2fother", encoded=True)
        async with http.get(url) as response:
            return response.status == 200


async def deep_body(world: World) -> bool:
    """Nest 150 levels, which the decoder would take."""
    await world.team.start("a")
    text = (
        b'{"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "x"}], "metadata": '
        + b"[" * 150
        + b"]" * 150
        + b"}"
    )
    return (await _post(world, "/v1/chat/completions", "AQ.own", text))[0] == 200


async def too_many(world: World) -> bool:
    """Be more at once than `limits.streams`."""
    await world.team.start("a", "limits: {streams: 1}")
    admission = world.serve.app[SERVICES].admission
    admission.enter()
    status = (await world.team.ask("AQ.own"))[0]
    admission.leave()
    return status == 200


OPERATOR = Operator("nobody", "write", "header")


async def admin_without_token(world: World) -> bool:
    """List the keys without the admin token."""
    await world.team.start("a")
    client = await world.client(Admin(lambda: world.serve.app[SERVICES], AdminConfig(Secret("hush"))).app())
    async with client.get("/admin/keys") as response:
        return bool(response.status == 200)


async def echoed_key(world: World) -> bool:
    """Find the pool's key in the error that Google writes."""
    key = "AQ." + "k" * 40
    world.serve.environ["KEY_A"] = key
    issued = world.team.issue()
    world.google.answers[key] = lambda: refused(400, f"Invalid request for {key}")
    await world.team.start("a")
    _, _, answer = await world.team.ask(issued)
    return key in json.dumps(answer)


async def two_keys(world: World) -> bool:
    """Be one client for the limits, and another for Google."""
    await world.team.start("a")
    async with (
        aiohttp.ClientSession(
            world.team.base, headers={"x-goog-api-key": "AQ.own", "x-api-key": "AQ.other"}
        ) as http,
        http.post(FLASH, json={"contents": []}) as response,
    ):
        return response.status == 200


async def echoed_line(world: World) -> bool:
    """Find the line that the parser refuses in the answer."""
    await world.team.start("a")
    secret = canary()
    answer = await raw(
        world.team.base,
        b"GET / HTTP/9.9\r\nX: " + secret.encode() + b"\r\n\r\n",
        b"BR@W /" + secret.encode() + b" HTTP/1.1\r\n\r\n",
    )
    return bool(leaks(answer, secret)) or b"text/plain" in answer


def _returns(value: Any) -> Callable[..., Any]:
    return lambda *_, **__: value


def _without_identity(patch: Patch) -> None:
    def anyone(self: Access, client: Client, now: float) -> Client:
        return Client("", client.fingerprint, "key_x", "key_x", Rules())

    patch.setattr(Access, "_issued", anyone)


def _without_limits(patch: Patch) -> None:
    take = MemoryCounters.take_now

    def unlimited(self: MemoryCounters, client: str, windows: Any, n: int, now: float) -> Any:
        return take(self, client, [], n, now)

    patch.setattr(MemoryCounters, "take_now", unlimited)


async def _any_project(self: FileOwners, *_: Any) -> str:
    return ""


def _first_key(patch: Patch) -> None:
    real = access._client

    def first(needed: str, authorization: str, *others: str | None) -> Client:
        return real(
            needed,
            next(key for key in (authorization, *others) if key) if authorization else "",
            *[k for k in others if k][:1],
        )

    patch.setattr(access, "_client", first)


def _stock_protocol(patch: Patch) -> None:
    patch.setattr(Protocol, "handle_error", RequestHandler.handle_error)


GUARDS: dict[str, tuple[Attack, Removal]] = {
    "access": (unknown_key, _without_identity),
    "revocation": (revoked_key, lambda patch: patch.setattr(ClientKey, "fault", _returns(None))),
    "models of a key": (other_model, lambda patch: patch.setattr(Rules, "allows", _returns(True))),
    "limits of a key": (too_often, _without_limits),
    "methods of an issued key": (
        other_endpoint,
        lambda patch: patch.setattr(issued_keys, "permitted", _returns(Permitted("list"))),
    ),
    "owners of files": (foreign_file, lambda patch: patch.setattr(FileOwners, "project", _any_project)),
    "native paths": (odd_path, lambda patch: patch.setattr(routes, "check_path", _returns(None))),
    "depth of JSON": (deep_body, lambda patch: patch.setattr(json_shape, "check", _returns(None))),
    "places": (too_many, lambda patch: patch.setattr(Admission, "enter", _returns(None))),
    "admin token": (
        admin_without_token,
        lambda patch: patch.setattr(Guard, "_by_browser", _returns(OPERATOR)),
    ),
    "redaction": (echoed_key, lambda patch: patch.setattr(errors, "_SECRET", re.compile("(?!)"))),
    "two keys": (two_keys, _first_key),
    "answers to what the parser refuses": (echoed_line, _stock_protocol),
}


@pytest.mark.row("S04")
@pytest.mark.parametrize("name", GUARDS)
@pytest.mark.parametrize("removed", [False, True], ids=["with", "without"])
async def test_s04_an_attack_succeeds_only_without_its_guard(
    team: Team,
    google: Google,
    serve: Serve,
    tmp_path: Path,
    aiohttp_client: Any,
    monkeypatch: Patch,
    name: str,
    removed: bool,
) -> None:
    attack, removal = GUARDS[name]
    if removed:
        removal(monkeypatch)
    world = World(team, google, serve, tmp_path, aiohttp_client)

    assert await attack(world) is removed


def _any_url(text: str, _: tuple[str, ...]) -> URL:
    return URL(text)


def _any_address(_: str) -> bool:
    return True


@pytest.mark.row("S04", "S33")
@pytest.mark.parametrize(
    ("walls", "reached"), [("both", False), ("url", False), ("address", False), ("none", True)]
)
async def test_s04_a_private_address_is_reached_only_without_both_walls(
    serve: Serve,
    aiohttp_server: Any,
    http: aiohttp.ClientSession,
    raw_upstream: Any,
    monkeypatch: Patch,
    walls: str,
    reached: bool,
) -> None:
    """Through the whole gateway: the check of URLs and the check of addresses, each alone and both."""
    seen: list[str] = []

    async def image(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(body=b"\x89PNG\r\n\x1a\n" + bytes(20), content_type="image/png")

    app = web.Application()
    app.router.add_get("/{path:.*}", image)
    private = str((await aiohttp_server(app)).make_url("/latest/meta-data"))
    defaults: dict[str, Any] = MediaFetcher.__init__.__kwdefaults__ or {}
    if walls in ("address", "none"):
        monkeypatch.setitem(defaults, "allowed", _any_url)
    if walls in ("url", "none"):
        monkeypatch.setitem(defaults, "public", _any_address)
    raw_upstream.scripts = [whole(good().body)]  # type: ignore[arg-type]
    url = await serve("", raw_upstream.url)
    content = [{"type": "image_url", "image_url": {"url": private}}]
    async with http.post(
        f"{url}/v1/chat/completions", json={"messages": [{"role": "user", "content": content}]}
    ) as response:
        assert response.status == (200 if reached else 400)
    assert bool(seen) is reached
