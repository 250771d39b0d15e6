"""Download of remote files, and each of the three checks against SSRF alone."""

import asyncio
import base64
import itertools
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from gateway.errors import BadRequest, Overloaded
from gateway.policy.load.memory import MemoryAccount, MemoryHold
from gateway.policy.ssrf import MediaConfig, check_url, is_public
from gateway.upstream.media import MediaFetcher
from tests.support.media_spellings import NOT_PUBLIC, hosts

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
FETCH = {"url": "messages[0].content[0].image_url.url"}


class Server:
    """Server on loopback that records the requested paths."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.answers: dict[str, Callable[[web.Request], Any]] = {}
        self.url = ""
        self.port = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request.path_qs)
        answer = self.answers.get(request.path)
        if answer is None:
            return web.Response(body=PNG, content_type="image/png")
        result = answer(request)
        response: web.StreamResponse = await result if asyncio.iscoroutine(result) else result
        return response

    def redirect(self, path: str, location: str) -> None:
        self.answers[path] = lambda _: web.Response(status=302, headers={"Location": location})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    result = Server()
    app = web.Application()
    app.router.add_get("/{path:.*}", result.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    result.port = runner.addresses[0][1]
    result.url = f"http://127.0.0.1:{result.port}"
    yield result
    await runner.cleanup()


class Resolver(AbstractResolver):
    """Answers every name with the next of its addresses."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = itertools.cycle(addresses)

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        address = next(self._addresses)
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [{"hostname": host, "host": address, "port": port, "family": kind, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        pass


def anything(text: str, _: tuple[str, ...]) -> URL:
    """Accept every URL."""
    return URL(text)


def everybody(_: str) -> bool:
    """Accept every address."""
    return True


async def fetch(url: str, config: MediaConfig | None = None, **checks: Any) -> Any:
    async with MediaFetcher(config or MediaConfig(seconds=2), **checks) as fetcher:
        return (await fetcher.fetch({url: "at"}))[url]


async def refused(url: str, config: MediaConfig | None = None, **checks: Any) -> str:
    """The reason."""
    with pytest.raises(BadRequest) as caught:
        await fetch(url, config, **checks)
    error = caught.value
    assert (error.status, error.param, error.code) == (400, "at", "invalid_image_url")
    assert url[:300] in error.message
    return error.message.rpartition("could not be downloaded: ")[2]


OPEN: dict[str, Any] = {"allowed": anything, "public": everybody}


async def test_a_file_comes_with_its_type(server: Server) -> None:
    blob = await fetch(f"{server.url}/x.png", **OPEN)

    assert (blob.mime_type, base64.b64decode(blob.data)) == ("image/png", PNG)


async def test_a_large_file_is_encoded_as_it_arrives(server: Server) -> None:
    data = PNG + bytes(400_000)
    server.answers["/x"] = lambda _: web.Response(body=data, content_type="application/octet-stream")
    blob = await fetch(f"{server.url}/x", **OPEN)

    assert (blob.mime_type, base64.b64decode(blob.data)) == ("image/png", data)


@pytest.mark.row("T8")
@pytest.mark.parametrize(
    ("name", "body", "mime_type"),
    [
        ("notes.md", b"# Hi", "text/plain"),
        ("main.py", b"x = 1", "text/plain"),
        ("a.csv", b"a,b", "text/csv"),
        ("clip.mp4", b"whatever", "video/mp4"),
        ("x.bin", b"ID3\x04" + bytes(20), "audio/mpeg"),
    ],
)
async def test_t08_a_server_that_names_no_type_is_helped_by_the_name_and_the_bytes(
    server: Any, name: str, body: bytes, mime_type: str
) -> None:
    server.answers[f"/{name}"] = lambda _: web.Response(body=body, content_type="application/octet-stream")

    assert (await fetch(f"{server.url}/{name}", **OPEN)).mime_type == mime_type


@pytest.mark.row("T8")
@pytest.mark.parametrize("name", ["a.png", "a.pdf", "a.exe", "a"])
async def test_t08_a_name_makes_no_picture_of_a_text(server: Any, name: str) -> None:
    server.answers[f"/{name}"] = lambda _: web.Response(
        body=b"root:x:0:0", content_type="binary/octet-stream"
    )

    with pytest.raises(BadRequest):
        await fetch(f"{server.url}/{name}", **OPEN)


async def test_several_files_come_at_once(server: Server) -> None:
    async with MediaFetcher(MediaConfig(), **OPEN) as fetcher:
        result = await fetcher.fetch({f"{server.url}/{i}": "at" for i in range(20)})

    assert len(result) == len(server.seen) == 20


async def test_redirects_are_followed_and_looked_at(server: Server) -> None:
    server.redirect("/a", "/b")
    server.redirect("/b", f"{server.url}/c")
    assert (await fetch(f"{server.url}/a", **OPEN)).mime_type == "image/png"
    server.redirect("/a", "/a")
    assert await refused(f"{server.url}/a", **OPEN) == "it redirects too often"


async def test_the_answer_of_a_public_server_is_reported(server: Server) -> None:
    server.answers["/x"] = lambda _: web.Response(status=404)

    assert await refused(f"{server.url}/x", **OPEN) == "it answered 404"


@pytest.mark.parametrize("declared", [True, False])
async def test_a_file_that_is_too_large_is_left_alone(server: Server, declared: bool) -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "image/png"})
        if declared:
            response.content_length = 5000
        await response.prepare(request)
        await response.write(PNG + bytes(5000 - len(PNG)))
        return response

    server.answers["/x"] = stream

    assert await refused(f"{server.url}/x", MediaConfig(bytes=1024), **OPEN) == "it is larger than 1024 bytes"


async def test_a_server_that_does_not_answer_is_given_up(server: Server) -> None:
    never = asyncio.Event()

    async def wait(_: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    server.answers["/x"] = wait

    assert await refused(f"{server.url}/x", MediaConfig(seconds=0.05), **OPEN) == "it cannot be reached"


async def test_a_closed_port_and_a_private_address_look_the_same(server: Server) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}/"
        reasons = {
            await refused(closed, **OPEN),
            await refused(f"{server.url}/x", allowed=anything),
            await refused("http://nobody.example/", allowed=anything, resolver=Resolver("127.0.0.1")),
        }

    assert reasons == {"it cannot be reached"}


async def test_fetching_can_be_switched_off(server: Server) -> None:
    assert "media.fetch" in await refused(f"{server.url}/x", MediaConfig(fetch=False), **OPEN)
    assert server.seen == []


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("image/jpg", b"\xff\xd8\xff\xe0", "image/jpeg"),
        ("image/jpeg", PNG, "image/png"),
        ("text/plain; charset=utf-8", b"text", "text/plain"),
        ("video/mp4", b"anything", "video/mp4"),
        ("application/pdf", b"%PDF-1.7", "application/pdf"),
    ],
)
async def test_types_that_gemini_reads(server: Server, kind: str, body: bytes, expected: str) -> None:
    server.answers["/x"] = lambda _: web.Response(body=body, headers={"Content-Type": kind})

    assert (await fetch(f"{server.url}/x", **OPEN)).mime_type == expected


# The check of URLs alone.


@pytest.mark.row("S22", "C29")
async def test_the_check_of_urls_refuses_every_spelling_before_a_socket_is_made() -> None:
    asked: list[str] = []

    def public(address: str) -> bool:
        asked.append(address)
        return True

    for host in hosts():
        await refused(f"http://{host}/x.png", public=public)
        assert asked == [], host


@pytest.mark.row("S43")
async def test_the_check_of_urls_refuses_redirects(server: Server) -> None:
    asked: list[str] = []

    def allowed(text: str, schemes: tuple[str, ...]) -> URL:
        return URL(text) if text.startswith(server.url) else check_url(text, schemes)

    def public(address: str) -> bool:
        asked.append(address)
        return True

    targets = [f"http://{host}/" for host in itertools.islice(hosts(), 0, None, 5)]
    for target in [
        *targets,
        "file:///etc/passwd",
        "gopher://x.example/",
        "https://a@b.example/",
        "https://b.example:22/",
    ]:
        server.redirect("/r", target)
        await refused(f"{server.url}/r", allowed=allowed, public=public)
        assert set(asked) == {"127.0.0.1"}, target
    assert set(server.seen) == {"/r"}


# The check of addresses alone.


@pytest.mark.row("S22")
@pytest.mark.parametrize("address", NOT_PUBLIC)
async def test_the_check_of_addresses_refuses_names_of_private_hosts(server: Server, address: str) -> None:
    url = f"http://evil.example:{server.port}/x"
    reason = await refused(url, allowed=anything, resolver=Resolver(address))

    assert (reason, server.seen) == ("it cannot be reached", [])


async def test_the_check_of_addresses_refuses_literals_and_redirects(server: Server) -> None:
    assert await refused(f"{server.url}/x", allowed=anything) == "it cannot be reached"
    assert (
        await refused(f"http://[::ffff:127.0.0.1]:{server.port}/", allowed=anything) == "it cannot be reached"
    )
    assert server.seen == []


@pytest.mark.row("S22")
async def test_a_name_whose_answer_changes_gains_nothing(server: Server) -> None:
    """Rebinding: what was looked up before does not count, the address that is dialled does."""
    dialled: list[str] = []

    def public(address: str) -> bool:
        dialled.append(address)
        return is_public(address)

    url = f"http://evil.example:{server.port}/x"
    resolver = Resolver("127.0.0.1", "10.0.0.1", "::1")
    for _ in range(6):
        await refused(url, allowed=anything, resolver=resolver, public=public)

    assert set(dialled) == {"127.0.0.1", "10.0.0.1", "::1"}
    assert server.seen == []


# The check of types alone.


@pytest.mark.parametrize(
    ("kind", "body"),
    [("text/x-secret", b"x"), ("image/svg+xml", b"<svg/>"), ("image/png", b"<html>"), ("application/pdf", b"root:x:0:0"),
     ("application/octet-stream", b"root:x:0:0"), ("", b"root"), ("image/png", b""), ("multipart/x-mixed-replace", b"x")],
)  # fmt: skip
async def test_the_check_of_types_refuses_what_gemini_does_not_read(
    server: Server, kind: str, body: bytes
) -> None:
    server.answers["/x"] = lambda _: web.Response(body=body, headers={"Content-Type": kind} if kind else {})

    assert await refused(f"{server.url}/x", **OPEN) in (
        "its type is not one that Gemini reads",
        "its bytes do not match its type",
    )


@pytest.mark.row("A6")
async def test_a06_a_request_may_name_so_many_files_only(server: Server) -> None:
    async with MediaFetcher(MediaConfig(files=3), **OPEN) as fetcher:
        with pytest.raises(BadRequest, match=r"at most 3 .*media\.files") as caught:
            await fetcher.fetch({f"{server.url}/{i}": f"messages[{i}]" for i in range(4)})

    assert caught.value.param == "messages[3]"
    assert server.seen == []


@pytest.mark.row("A6")
@pytest.mark.parametrize("announced", [True, False])
async def test_a06_all_files_together_have_a_limit(server: Server, *, announced: bool) -> None:
    data = PNG + bytes(100_000)

    async def answer(request: web.Request) -> web.StreamResponse:
        if announced:
            return web.Response(body=data, content_type="image/png")
        response = web.StreamResponse(headers={"Content-Type": "image/png"})
        await response.prepare(request)
        await response.write(data)
        return response

    for i in range(5):
        server.answers[f"/{i}"] = answer
    async with MediaFetcher(MediaConfig(total=350_000), **OPEN) as fetcher:
        urls = {f"{server.url}/{i}": "at" for i in range(5)}
        with pytest.raises(BadRequest, match="larger than 350000 bytes together"):
            await fetcher.fetch(urls)
        assert len(await fetcher.fetch(dict(list(urls.items())[:3]))) == 3


@pytest.mark.row("A6")
async def test_a06_the_first_failure_ends_the_other_downloads(server: Server) -> None:
    begun, left = asyncio.Event(), asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        raise AssertionError

    async def fail(_: web.Request) -> web.Response:
        await begun.wait()
        return web.Response(status=404)

    server.answers = {"/hang": hang, "/fail": fail}
    async with MediaFetcher(MediaConfig(), **OPEN) as fetcher, asyncio.timeout(60):
        with pytest.raises(BadRequest, match="answered 404"):
            await fetcher.fetch({f"{server.url}/hang": "a", f"{server.url}/fail": "b"})
        await left.wait()


@pytest.mark.row("A6")
async def test_a06_a_client_that_leaves_ends_its_downloads(server: Server) -> None:
    begun, left = asyncio.Event(), asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        raise AssertionError

    server.answers = {"/hang": hang}
    async with MediaFetcher(MediaConfig(), **OPEN) as fetcher, asyncio.timeout(60):
        task = asyncio.create_task(fetcher.fetch({f"{server.url}/hang": "a"}))
        await begun.wait()
        task.cancel()
        await left.wait()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.row("A6")
async def test_a06_one_client_leaves_places_to_others(server: Server) -> None:
    held = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await held.wait()
        return web.Response(body=PNG, content_type="image/png")

    server.answers = {f"/{i}": hang for i in range(64)}
    account = MemoryAccount(10**9)

    def hold(owner: str) -> MemoryHold:
        result = account.open()
        result.owner = owner
        return result

    async with MediaFetcher(MediaConfig(concurrent=8, per_client=3), **OPEN) as fetcher, asyncio.timeout(60):
        first = [
            asyncio.create_task(fetcher.fetch({f"{server.url}/{i}": "a" for i in part}, hold("greedy")))
            for part in (range(32), range(32, 64))
        ]
        while len(server.seen) < 3:
            await asyncio.sleep(0.005)
        assert await fetcher.fetch({f"{server.url}/x": "a"}, hold("other"))
        assert len([path for path in server.seen if path != "/x"]) == 3
        held.set()
        assert [len(files) for files in await asyncio.gather(*first)] == [32, 32]
        assert fetcher._clients == {}


@pytest.mark.row("A6")
async def test_a06_what_arrives_is_accounted_for(server: Server) -> None:
    server.answers = {
        f"/{i}": lambda _: web.Response(body=PNG + bytes(500_000), content_type="image/png") for i in range(4)
    }
    account = MemoryAccount(4_000_000)
    hold, other = account.open(), account.open()
    other.take(1)
    async with MediaFetcher(MediaConfig(), **OPEN) as fetcher:
        await fetcher.fetch({f"{server.url}/{i}": "a" for i in range(2)}, hold)
        assert hold.size == account.used - 1 == 3 * 2 * (len(PNG) + 500_000)
        with pytest.raises(Overloaded):
            await fetcher.fetch({f"{server.url}/{i}": "a" for i in range(2, 4)}, hold)
    hold.release()
    assert account.used == 1
