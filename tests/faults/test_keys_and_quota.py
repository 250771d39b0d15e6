"""Faults that concern a key or its quota: refused keys, spent limits."""

import asyncio
import time as real
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from gateway.policy.pool.google_quota import midnight
from gateway.policy.pool.projects import KeyState
from tests.support.fakegem import Script, Step, good, head, refusal
from tests.support.site import Site
from tests.support.surfaces import (
    CHAT,
    CHAT_STREAM,
    MESSAGES,
    MESSAGES_STREAM,
    NATIVE,
    RESPONSES,
    RESPONSES_STREAM,
    TRANSLATED,
    Surface,
    assert_refused,
    assert_whole,
)

ALL = pytest.mark.parametrize("surface", [*TRANSLATED, NATIVE])
FEW = pytest.mark.parametrize("surface", [CHAT, CHAT_STREAM, MESSAGES_STREAM, RESPONSES])
LEAKED = "Your API key was reported as leaked. Please use another API key."
PER_DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"


class Clock:
    """The wall clock of the pool, which a test can advance, as the waits before other attempts do."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return real.time() + self.ahead

    async def sleep(self, seconds: float) -> None:
        self.ahead += seconds
        await asyncio.sleep(0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The pool's clock. It stays ahead while the conditions of this folder are checked."""
    clock = Clock()
    for module in ("exchange.calls.attempt", "exchange.calls.accounting", "server.pool_state"):
        monkeypatch.setattr(f"gateway.{module}.time", clock)
    monkeypatch.setattr("gateway.exchange.calls.recovery.asyncio", clock)
    return clock


def keys_of(requests: Iterable[bytes]) -> list[str]:
    """Return the key of each call of the upstream."""
    lines = (line for request in requests for line in request.partition(b"\r\n\r\n")[0].split(b"\r\n"))
    return [line[16:].decode() for line in lines if line.lower().startswith(b"x-goog-api-key: ")]


class OneKey:
    """A script that answers the first key that comes by an error, and all others well."""

    def __init__(self, *steps: Sequence[Step]) -> None:
        self.errors = list(steps)
        self.key = ""

    def __call__(self, request: bytes) -> Sequence[Step]:
        (key,) = keys_of([request])
        self.key = self.key or key
        return self.errors[0] if key == self.key else good(request)


def each_key(answer: Callable[[int], Sequence[Step]]) -> Script:
    """Return a script that answers each key by its position among those that have come."""
    seen: list[str] = []

    def script(request: bytes) -> Sequence[Step]:
        (key,) = keys_of([request])
        if key not in seen:
            seen.append(key)
        return answer(seen.index(key))

    return script


def states(site: Site, clock: Clock) -> list[KeyState]:
    """Return what of the pool is not ready."""
    return [state for state in site.services.metrics.pool.describe(clock()) if state.state != "ready"]


async def spread(site: Site, surface: Surface = CHAT, times: int = 12) -> list[str]:
    """Ask in several conversations, which spread over the projects. Return the keys that were used."""
    before = len(site.upstream.requests)
    for number in range(times):
        assert_whole(await site.ask(surface, f"conversation {number}"))
    return keys_of(site.upstream.requests[before:])


async def all_keys_serve(site: Site, surface: Surface) -> bool:
    """Return whether each key is used by one of the next conversations."""
    before = len(site.upstream.requests)
    for number in range(100):
        assert_whole(await site.ask(surface, f"conversation {number}"))
        if set(keys_of(site.upstream.requests[before:])) == set(site.keys):
            return True
    return False


@pytest.mark.row("U35")
@ALL
async def test_u35_a_400_is_the_clients_and_blames_no_key(site: Site, surface: Surface, clock: Clock) -> None:
    await site.start()
    violation = {"field": "generation_config.seed", "description": LEAKED}
    site.upstream.always = refusal(
        400,
        "INVALID_ARGUMENT",
        f"Invalid value at 'x', \"{LEAKED}\"",
        BadRequest={"fieldViolations": [violation]},
    )

    assert_refused(await site.ask(surface), 400, "invalid_value")
    assert len(site.upstream.requests) == 1
    assert states(site, clock) == []


REFUSED: dict[str, tuple[list[Step], str]] = {
    "401": (refusal(401, "UNAUTHENTICATED", "Request had invalid authentication credentials."), "bad"),
    "401 with a reason": (refusal(401, "UNAUTHENTICATED", ErrorInfo={"reason": "ACCESS_TOKEN_TYPE_UNSUPPORTED"}), "bad"),
    "invalid": (refusal(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.",
                        ErrorInfo={"reason": "API_KEY_INVALID"}), "bad"),
    "expired": (refusal(400, "INVALID_ARGUMENT", "API key expired. Please renew the API key.",
                        ErrorInfo={"reason": "API_KEY_INVALID"}), "bad"),
    "address": (refusal(403, "PERMISSION_DENIED", ErrorInfo={"reason": "API_KEY_IP_ADDRESS_BLOCKED"}), "bad"),
    "suspended": (refusal(403, "PERMISSION_DENIED", ErrorInfo={"reason": "CONSUMER_SUSPENDED"}), "suspended"),
    "denied": (refusal(403, "PERMISSION_DENIED", "Your project has been denied access. Please contact support."),
               "suspended"),
}  # fmt: skip


@pytest.mark.row("U36")
@FEW
@pytest.mark.parametrize("name", REFUSED)
async def test_u36_a_refused_key_makes_way_for_another_and_is_told_once(
    site: Site, surface: Surface, name: str, clock: Clock, event_lines: list[dict[str, Any]]
) -> None:
    await site.start()
    error, reason = REFUSED[name]
    site.upstream.always = script = OneKey(error)

    assert_whole(await site.ask(surface))
    assert len(site.upstream.requests) == 2
    assert script.key not in await spread(site, surface)
    (state,) = states(site, clock)
    assert (state.state, state.reason) == ("refused", reason)
    (line,) = [line for line in event_lines if line["event"] == "pool"]
    assert (line["project"], line["key"], line["reason"]) == (state.project, state.key_id, reason)


@pytest.mark.row("U36")
async def test_u36_a_403_about_what_was_asked_for_is_the_clients(site: Site, clock: Clock) -> None:
    await site.start()
    message = "You do not have permission to access the File x or it may not exist."
    site.upstream.always = refusal(403, "PERMISSION_DENIED", message)

    assert_refused(await site.ask(), 403, "permission_denied")
    assert len(site.upstream.requests) == 1
    assert states(site, clock) == []


@pytest.mark.row("U37")
@FEW
async def test_u37_a_leaked_key_stays_retired_across_restarts(
    site: Site, surface: Surface, clock: Clock, event_lines: list[dict[str, Any]]
) -> None:
    await site.start()
    site.upstream.always = script = OneKey(refusal(403, "PERMISSION_DENIED", LEAKED))
    assert_whole(await site.ask(surface))
    rows = len(site.upstream.requests)
    await site.serve.stop()
    clock.ahead = 300 * 86400.0
    await site.start()
    site.resent += rows  # calls of the process before, which its own statistics do not count

    assert script.key not in await spread(site, surface)
    assert [state.reason for state in states(site, clock)] == ["leaked"]
    assert len([line for line in event_lines if line["event"] == "pool"]) == 1


@pytest.mark.row("U38")
async def test_u38_without_any_good_key_the_upstream_is_not_hammered(site: Site, clock: Clock) -> None:
    await site.start()
    site.upstream.always = refusal(401, "UNAUTHENTICATED")
    for _ in range(10):
        assert_refused(await site.ask(), 503, "no_usable_key")
    assert len(site.upstream.requests) == 3
    clock.ahead = 3601.0
    for number in range(10):
        assert_refused(await site.ask(CHAT, f"{number}"), 503, "no_usable_key")
    assert len(site.upstream.requests) == 6

    clock.ahead = 7300.0


OWN = "AQ.Ab8client-brought-this"


@pytest.mark.row("U39")
@pytest.mark.parametrize("surface", [CHAT, CHAT_STREAM, RESPONSES_STREAM, MESSAGES, NATIVE])
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (refusal(401, "UNAUTHENTICATED"), 401),
        (REFUSED["invalid"][0], 401),
        (refusal(403, "PERMISSION_DENIED", LEAKED), 403),
        (refusal(429, "RESOURCE_EXHAUSTED", QuotaFailure={"violations": [{"quotaId": PER_DAY}]}), 429),
    ],
    ids=["401", "invalid", "leaked", "429"],
)
async def test_u39_a_clients_own_key_is_its_own_affair(
    site: Site, surface: Surface, error: list[Step], status: int, clock: Clock
) -> None:
    await site.start()
    site.upstream.always = error
    issued, site.key = site.key, OWN
    reply = await site.ask(surface)
    site.key = issued

    # Gemini's own API says what Google said
    assert reply.status == (400 if surface is NATIVE and error is REFUSED["invalid"][0] else status)
    assert keys_of(site.upstream.requests) == [OWN]
    assert states(site, clock) == []


@pytest.mark.row("U40")
@FEW
async def test_u40_a_project_rests_as_long_as_google_says(site: Site, surface: Surface, clock: Clock) -> None:
    await site.start()
    site.upstream.always = script = OneKey(
        refusal(429, "RESOURCE_EXHAUSTED", RetryInfo={"retryDelay": "34.07s"})
    )
    assert_whole(await site.ask(surface))
    assert len(site.upstream.requests) == 2
    (state,) = states(site, clock)
    assert (state.reason, state.model) == ("minute", "gemini-2.5-flash")
    for ahead in (1.0, 32.0):
        clock.ahead = ahead
        assert script.key not in await spread(site, surface)
    script.key = "none"
    clock.ahead = 34.07 * 1.1 + 1

    assert await all_keys_serve(site, surface)


def limited(**headers: object) -> list[Step]:
    """Return a 429 without details."""
    body = b'{"error": {"code": 429, "message": "Resource has been exhausted (e.g. check quota).", "status": "X"}}'
    fields = {"content_type": "application/json", "content_length": len(body), **headers}
    return [head("429 Too Many Requests", **fields) + body]


DATE = "Thu, 26 Nov 2026 06:00:00 GMT"
LIMITS: dict[str, tuple[list[Step], float, float]] = {
    "nothing": (limited(), 1, 60),
    "seconds": (limited(Retry_After=7), 6, 8),
    "a date": (limited(Retry_After="Thu, 26 Nov 2026 06:00:07 GMT", Date=DATE), 6, 8),
    "a date that is over": (limited(Retry_After="Thu, 26 Nov 2026 05:00:00 GMT", Date=DATE), 1, 2),
    "a date without another": (limited(Retry_After=DATE), 1, 60),
    "-1": (limited(Retry_After=-1), 1, 60),
    "0": (limited(Retry_After=0), 1, 2),
    "10⁹": (limited(Retry_After=10**9), 3500, 3961),
    "10²⁰⁰": (limited(Retry_After=10**200), 3500, 3961),
    "abc": (limited(Retry_After="abc"), 1, 60),
    "a negative delay": (refusal(429, "X", RetryInfo={"retryDelay": "-5s"}), 1, 60),
    "a delay of words": (refusal(429, "X", RetryInfo={"retryDelay": ["soon"]}), 1, 60),
    "an endless delay": (refusal(429, "X", RetryInfo={"retryDelay": "999999999s"}), 3500, 3961),
    "no delay": (refusal(429, "X", RetryInfo={"retryDelay": "0s"}), 1, 2),
}


@pytest.mark.row("U41")
@pytest.mark.parametrize("name", LIMITS)
async def test_u41_a_rest_is_bounded_on_both_sides(site: Site, name: str, clock: Clock) -> None:
    await site.start()
    error, least, most = LIMITS[name]
    site.upstream.always = OneKey(error)

    assert_whole(await site.ask())
    (state,) = states(site, clock)
    assert state.until is not None
    assert least - 0.5 <= state.until - clock() <= most


@pytest.mark.row("U41")
@pytest.mark.parametrize("attempts", [1, 3])
@pytest.mark.parametrize("name", LIMITS)
async def test_u41_what_a_client_is_told_is_bounded_too(
    site: Site, name: str, attempts: int, clock: Clock
) -> None:
    """With one attempt other projects are free, with three none is."""
    await site.start(retry=f"backoff: 0, attempts: {attempts}")
    site.upstream.always = LIMITS[name][0]
    reply = await site.ask()

    assert_refused(reply, 429, "rate_limit_exceeded")
    assert 1 <= int(reply.headers["retry-after"]) <= 3961
    clock.ahead = 7200.0


@pytest.mark.row("U42")
@FEW
async def test_u42_a_daily_quota_rests_until_the_reset(site: Site, surface: Surface, clock: Clock) -> None:
    await site.start()
    site.upstream.always = script = OneKey(
        refusal(
            429, "RESOURCE_EXHAUSTED", "You exceeded your current quota.",
            QuotaFailure={"violations": [{"quotaId": PER_DAY, "quotaValue": "250"}]}, RetryInfo={"retryDelay": "9s"},
        )
    )  # fmt: skip
    reset = midnight(clock())
    assert_whole(await site.ask(surface))
    (state,) = states(site, clock)
    assert (state.reason, state.until) == ("day", reset)
    clock.ahead = reset - real.time() - 60
    assert script.key not in await spread(site, surface)
    script.key = "none"
    clock.ahead = reset - real.time() + 1

    assert await all_keys_serve(site, surface)


@pytest.mark.row("U43")
@ALL
async def test_u43_when_all_are_limited_the_client_is_told_of_the_soonest(
    site: Site, surface: Surface, clock: Clock
) -> None:
    await site.start()
    delays = ("30s", "10s", "20s")
    site.upstream.always = each_key(
        lambda position: refusal(429, "RESOURCE_EXHAUSTED", RetryInfo={"retryDelay": delays[position]})
    )
    for _ in range(3):  # Gemini's own API asks one project for a request
        reply = await site.ask(surface)
    waits = [state.until - clock() for state in states(site, clock) if state.until is not None]
    reply = await site.ask(surface)

    assert_refused(reply, 429, "rate_limit_exceeded")
    assert len(site.upstream.requests) == len(waits) == 3
    assert abs(int(reply.headers["retry-after"]) - min(waits)) <= 1
    assert 9 <= min(waits) <= 11
    clock.ahead = 60.0
