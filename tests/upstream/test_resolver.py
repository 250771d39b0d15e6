"""DNS for the way to Google."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.upstream import resolver
from gateway.upstream.resolver import PrivateAddressError, Resolver
from tests.support.waiting import eventually

PUBLIC = "8.8.8.8"


class Names:
    """A stub of the system's resolver."""

    def __init__(self) -> None:
        self.answer: str | Exception = PUBLIC
        self.lookups = 0
        self.free = threading.Event()
        self.free.set()

    def __call__(self, host: str, port: int, **_: Any) -> list[Any]:
        self.lookups += 1
        self.free.wait(10)
        if isinstance(self.answer, Exception):
            raise self.answer
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (self.answer, port))]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    stub = Names()
    monkeypatch.setattr(socket, "getaddrinfo", stub)
    yield stub
    stub.free.set()


async def hosts(dns: Resolver, host: str = "gemini.example") -> list[str]:
    return [result["host"] for result in await dns.resolve(host, 443)]


async def test_an_answer_is_used_again(names: Names) -> None:
    dns = Resolver(lambda _: True)

    assert [await hosts(dns) for _ in range(3)] == [[PUBLIC]] * 3
    assert names.lookups == 1


async def test_requests_at_once_share_a_lookup(names: Names) -> None:
    dns = Resolver(lambda _: True)
    names.free.clear()
    waiting = [asyncio.create_task(hosts(dns)) for _ in range(10)]
    await eventually(lambda: names.lookups)
    names.free.set()

    assert await asyncio.gather(*waiting) == [[PUBLIC]] * 10
    assert names.lookups == 1


async def test_old_addresses_serve_while_dns_is_silent(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "_FRESH", 0.0)
    dns = Resolver(lambda _: True)
    await hosts(dns)
    names.free.clear()
    names.answer = "9.9.9.9"

    assert await hosts(dns) == [PUBLIC]
    assert await hosts(dns) == [PUBLIC]
    await eventually(lambda: names.lookups == 2)
    names.free.set()
    await eventually(lambda: not dns._lookups)
    assert await hosts(dns) == ["9.9.9.9"]


async def test_old_addresses_serve_while_dns_fails(
    names: Names, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resolver, "_FRESH", 0.0)
    dns = Resolver(lambda _: True)
    await hosts(dns)
    names.answer = socket.gaierror(-2, "Name or service not known")

    assert await hosts(dns) == [PUBLIC]
    await eventually(lambda: not dns._lookups)
    assert await hosts(dns) == [PUBLIC]
    assert names.lookups == 2, "the next lookup waits some seconds"
    assert "DNS for gemini.example failed" in caplog.text


async def test_a_name_that_never_existed_is_looked_up_each_time(names: Names) -> None:
    dns = Resolver(lambda _: True)
    names.answer = socket.gaierror(-2, "Name or service not known")
    for _ in range(2):
        with pytest.raises(socket.gaierror):
            await hosts(dns)
    names.answer = PUBLIC

    assert await hosts(dns) == [PUBLIC]


async def test_a_machine_with_ipv6_only_reaches_google_by_nat64(names: Names) -> None:
    names.answer = "64:ff9b::808:808"

    assert await hosts(Resolver(lambda _: True)) == ["64:ff9b::808:808"]


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.0.1", "64:ff9b::7f00:1"]
)
async def test_a_private_address_is_refused_for_the_hosts_that_say_so(names: Names, address: str) -> None:
    names.answer = address
    dns = Resolver(lambda host: host == "gemini.example")

    with pytest.raises(PrivateAddressError, match=r"upstream\.private_addresses"):
        await hosts(dns)
    assert await hosts(dns, "proxy.example") == [address]


async def test_who_leaves_does_not_end_the_lookup(names: Names) -> None:
    dns = Resolver(lambda _: True)
    names.free.clear()
    leaving, staying = asyncio.create_task(hosts(dns)), asyncio.create_task(hosts(dns))
    await eventually(lambda: names.lookups)
    leaving.cancel()
    names.free.set()

    assert await staying == [PUBLIC]
    await dns.close()
