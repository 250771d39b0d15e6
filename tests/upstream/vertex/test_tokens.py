"""Access tokens: one fetch at a time, ahead of their end, whatever the clock of this machine says."""

import asyncio
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.auth import exceptions

from gateway.errors import GatewayError
from gateway.policy.pool.call_outcome import Broken, Rejected, outcome
from gateway.upstream.vertex import tokens
from gateway.upstream.vertex.token_request import TokenRequest
from gateway.upstream.vertex.tokens import AccessTokens
from tests.support.waiting import eventually

TransportError: Any = exceptions.TransportError
RefreshError: Any = exceptions.RefreshError


class Account:
    """Credentials whose tokens are numbers. `ahead` is by how much their end is off."""

    def __init__(self) -> None:
        self.asked = 0
        self.at_once = self.most_at_once = 0
        self.life = 3600.0
        self.expiry: datetime | None = None
        self.failure: Exception | None = None
        self.go_on = threading.Event()
        self.go_on.set()

    def refresh(self, _: object) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.asked += 1
        self.go_on.wait(5)
        self.at_once -= 1
        if self.failure is not None:
            raise self.failure
        self.expiry = datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=self.life)

    def apply(self, headers: dict[str, str]) -> None:
        headers["authorization"] = f"Bearer {self.asked}"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the monotonic clock of the module forward."""
    now = [1000.0]
    monkeypatch.setattr(tokens, "monotonic", lambda: now[0])

    def pass_seconds(seconds: float) -> None:
        now[0] += seconds

    return pass_seconds


def of(account: Account) -> AccessTokens:
    load: Any = lambda: account  # noqa: E731
    return AccessTokens("blue", load, TokenRequest(None))


async def bearer(holder: AccessTokens) -> str:
    return (await holder.headers())["authorization"]


async def test_the_first_token_is_there_before_the_first_call(clock: Callable[[float], None]) -> None:
    account = Account()
    holder = of(account)
    holder.begin()
    holder.begin()
    await eventually(lambda: account.expiry is not None)

    assert (await bearer(holder), account.asked) == ("Bearer 1", 1)


async def test_many_calls_wait_for_one_token(clock: Callable[[float], None]) -> None:
    account = Account()
    holder = of(account)

    assert set(await asyncio.gather(*(bearer(holder) for _ in range(20)))) == {"Bearer 1"}
    assert (account.asked, account.most_at_once) == (1, 1)
    clock(3000)
    assert (await bearer(holder), account.asked) == ("Bearer 1", 1)


async def test_a_token_is_renewed_ahead_of_its_end_while_calls_go_on(clock: Callable[[float], None]) -> None:
    account = Account()
    holder = of(account)
    await bearer(holder)
    clock(3400)
    account.go_on.clear()

    assert [await bearer(holder) for _ in range(5)] == ["Bearer 1"] * 5
    account.go_on.set()
    await eventually(lambda: account.asked == 2)
    await holder.close()
    await eventually(lambda: account.at_once == 0)
    assert account.most_at_once == 1


async def test_at_its_end_calls_wait_for_another(clock: Callable[[float], None]) -> None:
    account = Account()
    holder = of(account)
    await bearer(holder)
    clock(3595)

    assert await bearer(holder) == "Bearer 2"


async def test_a_failed_renewal_ahead_of_the_end_harms_no_call(clock: Callable[[float], None]) -> None:
    account = Account()
    holder = of(account)
    await bearer(holder)
    account.failure = TransportError("no route")
    clock(3400)
    for _ in range(3):
        assert await bearer(holder) == "Bearer 1"
        await asyncio.sleep(0.01)
    assert account.asked == 2  # a pause follows
    account.failure = None
    clock(6)
    await bearer(holder)
    await eventually(lambda: account.asked == 3)


@pytest.mark.parametrize("ahead", [-7200, 7200])
async def test_a_wrong_clock_makes_no_token_eternal_and_none_useless(
    clock: Callable[[float], None], ahead: int
) -> None:
    """The end is told by Google's clock where a token is impersonated; this machine's is off by two hours."""
    account = Account()
    account.life -= ahead
    holder = of(account)

    assert await bearer(holder) == "Bearer 1"
    if ahead > 0:  # it seems to have ended already
        assert await bearer(holder) in ("Bearer 1", "Bearer 2")
        clock(61)
        assert await bearer(holder) != "Bearer 1"


async def test_a_token_that_google_refuses_is_not_used_again(clock: Callable[[float], None]) -> None:
    account = Account()
    holder = of(account)
    first = await holder.headers()
    holder.refuse(first)

    assert await bearer(holder) == "Bearer 2"
    holder.refuse(first)  # an older call comes back late
    assert await bearer(holder) == "Bearer 2"


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (RefreshError("invalid_grant: Invalid JWT", retryable=False), Rejected("bad")),
        (RefreshError("internal_failure", retryable=True), Broken(connection=True)),
        (TransportError("URLError: refused"), Broken(connection=True)),
        (TypeError("string indices must be integers"), Broken(connection=True)),
        (OverflowError("Python int too large"), Broken(connection=True)),
    ],
)
async def test_a_failure_is_the_keys_or_the_networks(
    clock: Callable[[float], None], caplog: pytest.LogCaptureFixture, failure: Exception, expected: object
) -> None:
    account = Account()
    account.failure = failure
    holder = of(account)
    for _ in range(3):
        with pytest.raises(GatewayError) as caught:
            await holder.headers()
        assert outcome(caught.value) == expected
        assert not caught.value.sent
    assert account.asked == 1
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "project blue: no access token" in caplog.text
    clock(6)
    account.failure = None
    assert await bearer(holder) == "Bearer 2"


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (ValueError("Could not deserialize key data"), Rejected("bad")),
        (OSError("no such file"), Rejected("bad")),
        (TransportError("URLError: refused"), Broken(connection=True)),
    ],
)
async def test_credentials_that_cannot_be_loaded_are_the_keys_fault(
    clock: Callable[[float], None], failure: Exception, expected: object
) -> None:
    def load() -> Any:
        raise failure

    with pytest.raises(GatewayError) as caught:
        await AccessTokens("blue", load, TokenRequest(None)).headers()
    assert outcome(caught.value) == expected


@pytest.mark.parametrize("token", ["", "a\r\nX-Evil: 1", "a\x00", "é"])
async def test_a_token_that_is_no_headers_value_is_not_sent(
    clock: Callable[[float], None], token: str
) -> None:
    class Odd(Account):
        def apply(self, headers: dict[str, str]) -> None:
            headers["authorization"] = token

    with pytest.raises(GatewayError) as caught:
        await of(Odd()).headers()
    assert outcome(caught.value) == Broken(connection=True)


async def test_a_clock_that_is_off_is_named(
    clock: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    account = Account()
    account.failure = RefreshError("invalid_grant: Invalid JWT: Token must be a short-lived token")
    request = TokenRequest(None)
    request.clock_offset = -7200.0
    load: Any = lambda: account  # noqa: E731

    with pytest.raises(GatewayError):
        await AccessTokens("blue", load, request).headers()

    assert "this machine's clock is -7200 s off Google's" in caplog.text


async def test_no_token_is_in_the_log(
    clock: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    account = Account()
    account.failure = RefreshError("refused: ya29.a0AfH6SMBx-secret_part0123456789")

    with pytest.raises(GatewayError) as caught:
        await of(account).headers()

    assert "secret_part" not in caplog.text + caught.value.message
