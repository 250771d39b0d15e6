"""Paths that no other plugin serves."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import aiohttp
import pytest

from gateway.errors import ConfigError
from gateway.plugin import SERVICES
from tests.support.servers import RawUpstream, Serve, ok

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
"""What Firefox sends; Chrome's begins alike."""


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200), ("HEAD", "/", 200), ("GET", "/favicon.png", 200), ("POST", "/", 404),
        ("GET", "/v1", 404), ("GET", "/v1/unknown", 404), ("GET", "/videos", 404), ("GET", "/x/embeddings", 404),
        ("POST", "/v1/videos", 404), ("GET", "/v1gamma/models", 404), ("GET", "/%00%0d%0a/models", 404),
    ],
)  # fmt: skip
async def test_hello_for_people_and_404_where_an_sdk_would_read_it(
    http: aiohttp.ClientSession, gateway: str, method: str, path: str, status: int
) -> None:
    async with http.request(method, gateway + path) as response:
        text = await response.text()

        assert response.status == status
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        if method != "HEAD":
            assert text == "hello" if status == 200 else json.loads(text)["error"]["code"] == "unknown_url"


class Page(HTMLParser):
    """The tags, attributes and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: dict[str, str] = {}
        self.codes: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "pre" and data.strip():
            self.codes.append(data)
        if self.tags and data.strip():
            self.texts[self.tags[-1]] = self.texts.get(self.tags[-1], "") + data


async def test_o21_a_browser_gets_a_page_that_says_what_is_here(
    http: aiohttp.ClientSession, gateway: str
) -> None:
    async with http.get(gateway, headers={"Accept": BROWSER}) as response:
        page, headers = Page(await response.text()), response.headers

    assert (response.status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert page.texts["h1"] == page.texts["title"] == "hello"
    assert "OpenAI-compatible gateway to Google Gemini" in page.texts["p"]
    assert "ready" in page.texts["p"]
    assert f"{gateway}/v1" in page.texts["code"]
    assert len(page.codes) == 4
    assert all("gemini-flash-latest" in code and gateway in code for code in page.codes)
    assert page.codes[0].startswith(f"curl {gateway}/v1/chat/completions ")
    assert {"form", "img", "link", "iframe"} & set(page.tags) == set()
    assert page.tags.count("script") == 1
    assert [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "style")] == []
    assert [value for name, value in page.attributes if name == "href"] == [
        "https://aistudio.google.com/apikey"
    ]


async def test_o21_the_page_may_load_and_run_nothing(http: aiohttp.ClientSession, gateway: str) -> None:
    async with http.get(gateway, headers={"Accept": BROWSER}) as response:
        headers, policy = response.headers, response.headers["Content-Security-Policy"].split("; ")

        text = await response.text()

    assert {"default-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} < set(
        policy
    )
    assert {"require-trusted-types-for 'script'", "trusted-types 'none'"} < set(policy)
    for name in ("style", "script"):
        (source,) = re.findall(f"<{name}>(.*?)</{name}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    assert not any("unsafe" in rule or "connect" in rule for rule in policy)
    assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"]) == ("nosniff", "no-referrer")
    assert (headers["Cache-Control"], headers["Vary"]) == ("no-store", "Accept, Accept-Language")


async def test_o21_the_command_of_the_page_works(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [
        ok({"candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}]})
    ]
    base = await serve("plugins: {chat: {}, hello: {}}", raw_upstream.url)
    async with http.get(base, headers={"Accept": BROWSER}) as response:
        command = Page(await response.text()).codes[0]
    found = re.fullmatch(r"curl (\S+) -H \"(.+?): (.+?)\" -d '(.+)'", command)
    assert found is not None
    url, name, value, body = found.groups()
    async with http.post(url, data=body, headers={name: value.replace("$API_KEY", "AQ.own")}) as response:
        assert (response.status, (await response.json())["choices"][0]["message"]["content"]) == (200, "hi")
    assert b"AQ.own" in raw_upstream.requests[0]


@pytest.mark.parametrize(
    "accept",
    ["*/*", "", None, "application/json", "application/json, text/plain, */*", "text/*", "text/html;q=0", "text/htmlx",
     "application/xhtml+xml", "x-text/html"],
)  # fmt: skip
async def test_o21_everybody_else_gets_hello(
    http: aiohttp.ClientSession, gateway: str, accept: str | None
) -> None:
    headers = {"Accept": accept} if accept is not None else {}
    async with http.get(gateway, headers=headers, skip_auto_headers=["Accept"]) as response:
        assert (response.status, await response.text()) == (200, "hello")
        assert response.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize("accept", ["text/html", "TEXT/HTML; charset=utf-8", "image/webp , text/html;q=0.1"])
async def test_o21_html_may_be_asked_for_in_any_spelling(
    http: aiohttp.ClientSession, gateway: str, accept: str
) -> None:
    async with http.get(gateway, headers={"Accept": accept}) as response:
        assert response.content_type == "text/html"
    async with http.head(gateway, headers={"Accept": accept}) as response:
        assert (response.status, response.content_type, await response.read()) == (200, "text/html", b"")
    async with http.get(f"{gateway}/about", headers={"Accept": accept}) as response:
        assert await response.text() == "hello"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Host", "evil.example"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Proto", "javascript"),
        ("X-Forwarded-Proto", '"><script>'),
    ],
)  # fmt: skip
async def test_o21_nothing_of_a_request_is_markup(
    http: aiohttp.ClientSession, gateway: str, name: str, value: str
) -> None:
    async with http.get(gateway, headers={"Accept": "text/html", name: value}) as response:
        text = await response.text()

    assert text.count("<script") == 1
    assert "javascript:" not in text
    scheme = "https" if value == "https" else "http"
    host = value if name == "Host" else gateway.partition("//")[2]
    assert f"{scheme}://{host}/v1" in Page(text).texts["code"]


async def test_o21_the_page_says_which_keys_are_taken(
    http: aiohttp.ClientSession, serve: Serve, tmp_path: Path
) -> None:
    serve.environ["K"] = "AQ.pool-canary"
    pool = (
        f"pool: {{projects: [{{name: blue-canary, keys: [{{env: K}}]}}]}}\nledger: {{url: {tmp_path}/l.db}}\n"
    )
    shown = []
    for text in ("", pool, f"{pool}auth: {{passthrough: false}}\n"):
        base = await serve(f"{text}plugins: {{hello: {{}}}}")
        async with http.get(base, headers={"Accept": "text/html"}) as response:
            shown.append(await response.text())

    assert ["own Gemini API key" in text for text in shown] == [True, True, False]
    assert ["this gateway has issued" in text for text in shown] == [False, True, True]
    assert "canary" not in "".join(shown)


async def test_o21_a_process_that_drains_says_so(http: aiohttp.ClientSession, serve: Serve) -> None:
    base = await serve("plugins: {hello: {}}")
    serve.app[SERVICES].draining = lambda: True
    async with http.get(base, headers={"Accept": "text/html"}) as response:
        assert "about to restart" in await response.text()


async def test_o21_there_is_no_icon(http: aiohttp.ClientSession, gateway: str) -> None:
    async with http.get(f"{gateway}/favicon.ico", headers={"Accept": "image/*"}) as response:
        assert (response.status, await response.read()) == (204, b"")


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/metrics", "/swagger.json"])
@pytest.mark.parametrize("accept", ["*/*", "text/html"])
async def test_o21_what_programs_look_for_is_a_404(
    http: aiohttp.ClientSession, serve: Serve, path: str, accept: str
) -> None:
    base = await serve("plugins: {chat: {}, hello: {}}")
    async with http.get(base + path, headers={"Accept": accept}) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (404, "unknown_url")


async def test_the_page_is_for_the_address_and_the_contact_of_the_file(
    http: aiohttp.ClientSession, serve: Serve, tmp_path: Path
) -> None:
    serve.environ["K"] = "AQ.pool"
    base = await serve(
        f"pool: {{projects: [{{name: blue, keys: [{{env: K}}]}}]}}\nledger: {{url: {tmp_path}/l.db}}\n"
        "plugins: {key: {}, hello: {url: 'https://gw.example/', contact: '<b>Ada</b>'}}"
    )
    async with http.get(base, headers={"Accept": "text/html", "Host": "evil.example"}) as response:
        text = await response.text()

    assert "https://gw.example/v1</code>" in text
    assert "ask &lt;b&gt;Ada&lt;/b&gt; for one" in text
    assert "evil.example" not in text
    assert "href='usage'" in text


async def test_the_page_can_be_turned_off(http: aiohttp.ClientSession, serve: Serve) -> None:
    base = await serve("plugins: {hello: {page: false}}")
    async with http.get(base, headers={"Accept": BROWSER}) as response:
        assert await response.text() == "hello"


@pytest.mark.parametrize(
    "url", ["gw.example", "ftp://gw.example", "https://gw.example/v1", "https://u@gw.example"]
)
async def test_an_address_that_is_none_is_a_fault_of_the_file(serve: Serve, url: str) -> None:
    with pytest.raises(ConfigError, match=r"test.yaml:2:.*hello.*url: expected 'https://' and a host"):
        await serve(f"plugins: {{hello: {{url: '{url}'}}}}")


async def test_search_engines_are_asked_to_stay_away(http: aiohttp.ClientSession, gateway: str) -> None:
    async with http.get(f"{gateway}/robots.txt") as response:
        assert await response.text() == "User-agent: *\nDisallow: /\n"
