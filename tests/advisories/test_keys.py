"""Advisories about keys: injection into the check, keys that are mistaken for others, keys in logs, and time."""

import ast
import asyncio
import gc
import itertools
import json
import random
import statistics
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa

from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.errors import ConfigError, Unauthorized
from gateway.plugin import SERVICES
from gateway.policy.clients.access import Access, AuthConfig, ClientKey, digest
from gateway.policy.clients.client_rules import Rules
from gateway.store.ledger import client_keys
from gateway.store.ledger.tables import open_engine
from tests.advisories.wire import canary, leaks
from tests.support.bodies import LEAST
from tests.support.servers import Serve
from tests.support.sources import sources
from tests.support.team import Google, Team, refused

KEY_FORMS = ("Authorization", "x-api-key", "x-goog-api-key", "?key=")
CHAT = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "x"}]}
_STARTS = ("", "'", '"', "\\'", "1'", "sk-gw-'", "%27", "`", "x');", "key_1' ")
_ENDS = (
    " OR 1=1--", "; DROP TABLE client_key;--", " UNION SELECT hash FROM client_key--", "/**/OR/**/1", "||'x", " LIKE '%",
    "{0}", "%s", ":hash", "?", "; ATTACH DATABASE '/tmp/x' AS y", " AND sleep(9)", "\\x00", " OR hash LIKE '%%", "#", "$1",
    " COLLATE NOCASE", ") OR (1=1", "; SELECT pg_sleep(9)", " RETURNING *",
)  # fmt: skip
INJECTIONS = [start + end for start, end in itertools.product(_STARTS, _ENDS)]
"""200 texts that would change an SQL statement into which they were pasted."""


def sent(form: str, key: str, path: str = "/v1/chat/completions") -> dict[str, Any]:
    """Return the arguments of a request with a key in one of the places in which clients put it."""
    if form == "?key=":
        return {"url": "/v1beta/models/gemini-2.5-flash:generateContent", "params": {"key": key}}
    return {"url": path, "headers": {form: f"Bearer {key}" if form == "Authorization" else key}}


@pytest.mark.row("S01")
async def test_s01_a_key_is_never_part_of_an_sql_statement(team: Team, google: Google, serve: Serve) -> None:
    assert len(set(INJECTIONS)) == 200
    await team.start("a", "auth: {passthrough: false}")
    ledger: Any = serve.app[SERVICES].exchange.accounting.ledger
    statements: list[str] = []

    def trace(_connection: Any, _cursor: Any, text: str, *_: Any) -> None:
        statements.append(text)

    sa.event.listen(ledger.engine, "before_cursor_execute", trace)
    shapes: set[tuple[int, str, str]] = set()
    async with aiohttp.ClientSession(team.base) as http:
        for form, text in zip(itertools.cycle(KEY_FORMS), INJECTIONS, strict=False):
            async with http.post(json=CHAT, **sent(form, text)) as response:
                error = json.loads(await response.read())["error"]
                shapes.add((response.status, error.get("code"), error["message"].partition(":")[0]))
    await client_keys_changed(team, statements)

    assert {status for status, _, _ in shapes} == {401}
    assert len(shapes) <= 4  # two messages, each in OpenAI's and in Google's form
    assert not [
        text for text in statements for injected in INJECTIONS if len(injected) > 8 and injected in text
    ]
    assert google.calls == {}


async def client_keys_changed(team: Team, statements: list[str]) -> None:
    """Let the gateway read its keys once more: the trace sees that it traces."""
    team.issue()
    async with asyncio.timeout(60):
        while not statements:
            await asyncio.sleep(0.01)


@pytest.mark.row("S01")
def test_s01_no_statement_is_pasted_together() -> None:
    """Static: what is executed is a constant, or an expression of SQLAlchemy."""
    executed = 0
    for path, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name(node.func) in EXECUTE and node.args:
                executed += 1
                assert not _pasted(node.args[0]), f"{path.name}:{node.lineno}"
    assert executed > 10


EXECUTE = {"execute", "executemany", "executescript", "exec_driver_sql", "text"}


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _pasted(node: ast.expr) -> bool:
    """Return whether an expression is an f-string with anything but constants, or a text joined or formatted."""
    if isinstance(node, ast.JoinedStr):
        values = [part.value for part in node.values if isinstance(part, ast.FormattedValue)]
        return not all(isinstance(value, ast.Name) and value.id.isupper() for value in values)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Mod | ast.Add)
    if isinstance(node, ast.Call) and _name(node.func) in ("format", "join", "replace"):
        return not all(ast.unparse(argument).startswith("','.join('?' *") for argument in node.args)
    return False


@pytest.mark.row("S11")
async def test_s11_keys_that_differ_in_their_last_character_share_nothing(
    team: Team, google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    stem = canary("sk-gw-")
    names = iter((stem + "a", stem + "b"))
    monkeypatch.setattr(client_keys, "_new", lambda: next(names))
    limited, free = team.issue(requests_per_minute=1), team.issue()
    await team.start("a", "cache: {seconds: 60}\nplugins: {chat: {}, responses: {}}")

    assert limited[:-1] == free[:-1]
    statuses = [(await team.ask(key))[0] for key in (limited, limited, free)]
    assert statuses == [200, 429, 200]
    assert google.calls == {"AIza-a": 2}  # no answer of one was served to the other
    rows = await team.settled()
    assert len({row.client for row in rows}) == 2


@pytest.mark.row("S11")
def test_s11_what_is_stored_for_a_key_is_stored_under_the_whole_sha256() -> None:
    access_ = Access(AuthConfig(), pooled=False)
    stem = canary()
    first, second = (access_.identify({"Authorization": f"Bearer {stem}{end}"}, 0) for end in ("a", "b"))

    assert (first.scope, second.scope) == (digest(stem + "a"), digest(stem + "b"))
    assert len(first.scope) == 64


@pytest.mark.row("S13")
@pytest.mark.parametrize("form", KEY_FORMS)
async def test_s13_neither_the_stored_hash_nor_the_id_is_a_key(team: Team, google: Google, form: str) -> None:
    key = team.issue()
    await team.start("a", "auth: {passthrough: false}")
    engine = open_engine(str(team.file), None)
    (row,) = client_keys.issued(engine)
    engine.dispose()
    async with aiohttp.ClientSession(team.base) as http:
        for presented in (
            row.hash,
            row.hash.upper(),
            row.id,
            f"sk-gw-{row.hash}",
            f"sk-gw-{row.id}",
            row.hash[:8],
        ):
            async with http.post(json=CHAT, **sent(form, presented)) as response:
                assert response.status == 401
        assert google.calls == {}
        async with http.post(json=CHAT, **sent(form, key)) as response:
            assert response.status == 200


@pytest.mark.row("S18")
@pytest.mark.parametrize("code", [400, 401, 403, 429])
async def test_s18_a_clients_own_key_that_google_refuses_is_not_replaced_by_the_pools(
    team: Team, google: Google, code: int
) -> None:
    info = {"reason": "API_KEY_INVALID", "domain": "googleapis.com"}
    own = canary()
    google.answers[own] = lambda: refused(
        code, "API key not valid. Please pass a valid API key.", ErrorInfo=info
    )
    await team.start("ab")
    async with aiohttp.ClientSession(team.base, headers={"Authorization": f"Bearer {own}"}) as http:
        for path, body in LEAST.items():
            if path == "/v1/moderations":
                continue  # answered without Google as shipped
            async with http.post(path, json={"model": "gemini-2.5-flash", **body}) as response:
                assert 400 <= response.status < 500, path
        async with http.post(
            "/v1beta/models/gemini-2.5-flash:generateContent", json={"contents": []}
        ) as response:
            assert 400 <= response.status < 500

    assert set(google.calls) == {own}


@pytest.mark.row("S09", "S35")
@pytest.mark.parametrize("form", KEY_FORMS)
@pytest.mark.parametrize("prefix", ["sk-gw-", "AQ.", "AIzaSy"])
async def test_s35_a_refused_key_is_logged_by_eight_digits_of_its_hash(
    serve: Serve, capfd: pytest.CaptureFixture[str], form: str, prefix: str
) -> None:
    key = canary(prefix)
    url = await serve("", "http://127.0.0.1:9") if prefix != "sk-gw-" else await serve()
    async with aiohttp.ClientSession(url) as http:
        for extra in ("", "\xe9", "x" * 600):
            async with http.post(json=CHAT, **sent(form, key + extra)) as response:
                answer = await response.read()
                assert response.status >= 400
                assert leaks(answer, key) == []
    await serve.stop()
    lines = capfd.readouterr().err

    assert lines.count('"event":"exchange"') == 3
    assert leaks(lines, key) == []


class Counted(dict[str, ClientKey]):
    """A mapping that records what is looked up."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.asked: list[str] = []

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.append(key)
        return super().get(key, default)


def _issued(key: str, **fields: Any) -> ClientKey:
    return ClientKey(**{"id": "key_1", "name": "x", "hash": digest(key), "created": 0.0, "expires": None,
                        "revoked": None, "rules": Rules(), **fields})  # fmt: skip


@pytest.mark.row("S51")
def test_s51_an_issued_key_is_looked_up_by_its_sha256_alone() -> None:
    """By construction: a mapping's time depends on the hash, which the client cannot steer towards a stored one."""
    key = canary("sk-gw-")
    access_ = Access(AuthConfig(passthrough=False), pooled=True)
    issued = Counted({digest(key): _issued(key)})
    access_.issued = issued

    assert access_.identify({"x-api-key": key}, 1).id == "key_1"
    with pytest.raises(Unauthorized):
        access_.identify({"x-api-key": key[:-1]}, 1)
    assert issued.asked == [digest(key), digest(key[:-1])]


@pytest.mark.row("S37", "S51")
def test_s37_no_secret_is_compared_by_the_equality_operator() -> None:
    """Static: `==` on a token, password, digest or revealed secret would tell its beginning by the time it takes."""
    compared: list[str] = []
    digests = 0
    for path, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name(node.func) == "compare_digest":
                digests += 1
            if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
                sides = [ast.unparse(side) for side in (node.left, *node.comparators)]
                if any(_secret(side) for side in sides):
                    compared.append(f"{path.name}:{node.lineno}: {ast.unparse(node)}")
    assert compared == []
    assert digests >= 2


def _secret(text: str) -> bool:
    last = text.removesuffix("()").rpartition(".")[2].lower()
    return last in (
        "token",
        "_token",
        "password",
        "secret",
        "reveal",
        "api_key",
        "hash",
        "digest",
        "authorization",
    )


@pytest.mark.row("S51")
@pytest.mark.slow
def test_s51_no_kind_of_wrong_key_takes_longer_than_another() -> None:
    """The medians of 20,000 samples each of a random key, a nearly right one and a right beginning."""
    key = canary("sk-gw-")
    access_ = Access(AuthConfig(passthrough=False), pooled=True)
    access_.issued = {digest(key): _issued(key), **{digest(canary()): _issued(canary()) for _ in range(1000)}}
    wrong: dict[str, Callable[[int], str]] = {
        "random": lambda i: f"sk-gw-{i:0{len(key) - 6}d}",
        "near": lambda i: f"{key[:-5]}{i:05d}",
        "beginning": lambda i: f"{key[:20]}{i:0{len(key) - 20}d}",
    }
    times: dict[str, list[int]] = {name: [] for name in wrong}
    requests = [(name, {"x-api-key": make(i)}) for name, make in wrong.items() for i in range(20_000)]
    random.Random(3).shuffle(requests)
    gc.disable()
    for name, headers in requests:
        start = perf_counter_ns()
        with suppress(Unauthorized):
            access_.identify(headers, 1)
        times[name].append(perf_counter_ns() - start)
    gc.enable()
    medians = [statistics.median(samples) for samples in times.values()]
    assert max(medians) < 1.02 * min(medians), dict(zip(times, medians, strict=True))


@pytest.mark.row("S37")
async def test_s37_the_databases_hold_no_key(team: Team, google: Google, tmp_path: Path) -> None:
    key, own = team.issue(), canary()
    await team.start("a")
    google.answers[own] = lambda: refused(400, f"API key not valid: {own}")
    assert (await team.ask(key))[0] == 200
    assert (await team.ask(own))[0] in (400, 401)
    await team.settled()
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())

    assert digest(key).encode() in stored
    assert leaks(stored, key, own, "AIza-aaaaaaaa") == []


@pytest.mark.row("S30", "S34")
@pytest.mark.parametrize("value", ["", " ", "\t", "\n", "\ufeff"])
@pytest.mark.parametrize("section", ["admin: {port: 0, token: {env: X}}",
                                     "pool: {projects: [{name: a, keys: [{env: X}]}]}",
                                     "ledger: {url: 'postgresql://h/d', password: {env: X}}"])  # fmt: skip
def test_s30_an_empty_secret_is_refused(section: str, value: str) -> None:
    source = Source(section, "g.yaml", {"X": value})
    with pytest.raises(ConfigError, match="is empty"):
        source.decode(GatewayConfig)
