"""A gateway with a pool and a ledger on the emulator, both processes of their own, and Debian's Chromium.

Playwright drives the browser. Each page of a test reports what it must never do: errors of scripts, reports of the
Content-Security-Policy, requests to other hosts, and answers with a secret.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from tests.support.paths import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AXE = ROOT / "tests" / "javascript" / "node_modules" / "axe-core" / "axe.min.js"
SECRETS = {
    "ADMIN": "canary-admin-7f3d9b52e1", "WALL": "canary-wall-0c4a6e8b21",
    "BLUE": "AQ.canary-blue-1b7c3d5e9f", "GREEN": "AQ.canary-green-2a4c6e8f0b",
}  # fmt: skip
"""Environment of the gateway, whose values no answer may hold."""
CONFIG = """
listen: {{port: {clients}}}
admin: {{port: {admin}, token: {{env: ADMIN}}, tokens: {{wall: {{token: {{env: WALL}}, may: read}}}}}}
upstream: {{base_url: "http://127.0.0.1:{emulator}", retry: {{attempts: 2, backoff: 0.01}}}}
ledger: {{url: "{folder}/ledger.db"}}
pool:
  projects:
    - {{name: blue, keys: [{{env: BLUE}}]}}
    - {{name: green, keys: [{{env: GREEN}}]}}
models: {{aliases: {{gpt-4o: gemini-2.5-flash}}}}
"""


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


class Console:
    """Addresses of the running gateway, and calls of it."""

    def __init__(self, folder: Path) -> None:
        self.emulator, clients, admin = free_ports(3)
        self.file = folder / "gateway.yaml"
        self.config = CONFIG.format(clients=clients, admin=admin, emulator=self.emulator, folder=folder)
        self.file.write_text(self.config)
        self.clients = f"http://127.0.0.1:{clients}"
        self.admin = f"http://127.0.0.1:{admin}"

    def commands(self) -> list[list[str]]:
        """Return the arguments of the emulator and of the gateway."""
        return [
            ["fake", "--listen", f"127.0.0.1:{self.emulator}"],
            ["serve", "--config", str(self.file)],
        ]

    def send(self, url: str, token: str, body: Any = None, method: str = "POST") -> tuple[int, Any]:
        """Return status and JSON of an answer."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        try:
            with urlopen(Request(url, data, headers, method=method), timeout=20) as response:
                return response.status, json.load(response)
        except HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"null")

    def ask(self, key: str, prompt: str = "hello", model: str = "gpt-4o") -> int:
        """Return the status of a chat completion."""
        body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
        return self.send(f"{self.clients}/v1/chat/completions", key, body)[0]

    def api(self, path: str, body: Any = None, method: str = "POST") -> Any:
        """Return the JSON of an answer of the admin API."""
        return self.send(f"{self.admin}{path}", SECRETS["ADMIN"], body, method)[1]

    def issue(self, name: str, **rules: Any) -> str:
        """Return a new key."""
        return str(self.api("/admin/keys", {"name": name, "rules": rules})["key"])


@pytest.fixture(scope="session")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A gateway under light traffic: answers, a 400, a 401, a 500, and keys with hostile names."""
    running = Console(tmp_path_factory.mktemp("console"))
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "gateway", *command], cwd=ROOT, env={**os.environ, **SECRETS},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for command in running.commands()
    ]  # fmt: skip
    try:
        for url in (running.clients, running.admin, f"http://127.0.0.1:{running.emulator}"):
            wait_until(partial(reachable, url))
        for name in ("<img src=x onerror=alert(1)>", "鍵" * 80):
            key = running.issue(name, dollars={"month": 5})
            for prompt in ("hello", "[[500]]", "[[too long]]"):
                running.ask(key, prompt)
        running.ask("sk-gw-unknown")
        yield running
    finally:
        for process in processes:
            process.kill()
            process.wait()


def reachable(url: str) -> bool:
    """Return whether the port of an address takes connections."""
    try:
        socket.create_connection((urlsplit(url).hostname or "", urlsplit(url).port or 0), 1).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this has not happened in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The browser. Playwright's event loop ends with the module, so that tests of asyncio may follow."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (make dev)")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Tab:
    """A page of the browser, with a protocol of its faults."""

    def __init__(self, context: Any, console: Console) -> None:
        self.error = import_module("playwright.sync_api").Error
        self.page = context.new_page()
        self.page.set_default_timeout(15_000)
        self.console = console
        self.faults: list[str] = []
        self.pending: set[Any] = set()
        """Requests without an answer."""
        self.page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        self.page.on("console", self._said)
        self.page.on("request", self._asked)
        self.page.on("response", self._answered)
        for event in ("requestfinished", "requestfailed"):
            self.page.on(event, lambda request: self.pending.discard(request))

    def _said(self, message: Any) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.faults.append(f"console: {message.text}")

    def _asked(self, request: Any) -> None:
        if request.resource_type != "eventsource":
            self.pending.add(request)
        own = {urlsplit(url).netloc for url in (self.console.admin, self.console.clients)}
        if not request.url.startswith(("blob:", "data:")) and urlsplit(request.url).netloc not in own:
            self.faults.append(f"asked {request.url}")

    def _answered(self, response: Any) -> None:
        if "event-stream" in response.headers.get("content-type", "") or response.status in (204, 304):
            return
        with suppress(self.error):  # the page was left while the answer arrived
            text = response.text()
            self.faults += [f"{name} in {response.url}" for name, value in SECRETS.items() if value in text]

    def sign_in(self, token: str = SECRETS["ADMIN"]) -> None:
        """Open the console and sign in by the keyboard."""
        self.page.goto(self.console.admin)
        self.page.wait_for_selector("#token:focus")
        self.page.keyboard.type(token)
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector(".figures")

    @property
    def instance(self) -> str:
        """Name of the gateway's instance."""
        return str(self.console.api("/admin/about", method="GET")["instance"])

    def keys(self, *names: str) -> None:
        """Press keys, one after the other."""
        for name in names:
            self.page.keyboard.press(name)

    def open(self, key: str, name: str) -> None:
        """Go to a page of the console by its key."""
        self.keys("g", key)
        self.page.wait_for_selector(f"#page-{name} > :visible")
        self.settle()

    def settle(self) -> None:
        """Wait until all requests are answered, and what they brought is drawn."""
        quiet = 0
        while quiet < 3:
            self.page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 5)))")
            quiet = 0 if self.pending else quiet + 1

    def tab_to(self, selector: str) -> None:
        """Press Tab until the focus is on an element that matches."""
        for _ in range(120):
            if self.page.evaluate("(s) => document.activeElement?.matches(s) ?? false", selector):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"the keyboard does not reach {selector}")

    def press(self, text: str, within: str = "main") -> None:
        """Reach a button by its text with Tab, and press it."""
        goal = self.page.locator(f"{within} button, {within} a").filter(has_text=text).first
        goal.wait_for()
        goal.evaluate("(node) => node.setAttribute('data-goal', '')")
        self.tab_to("[data-goal]")
        self.page.evaluate("document.querySelector('[data-goal]').removeAttribute('data-goal')")
        self.page.keyboard.press("Enter")

    def text(self, selector: str) -> str:
        """Return the text of the first element that matches."""
        return str(self.page.locator(selector).first.inner_text())

    def wait_count(self, selector: str, count: int) -> None:
        """Wait until so many elements match."""
        wait_until(lambda: self.page.locator(selector).count() == count)

    def wait_text(self, selector: str, text: str) -> None:
        """Wait until an element with a text is there."""
        self.page.locator(selector).filter(has_text=text).first.wait_for()


@pytest.fixture
def tab(chromium: Any, console: Console) -> Iterator[Callable[..., Tab]]:
    """Open pages: `tab(width, scheme, locale)`. None of them may have a fault at the end of the test."""
    contexts, tabs = [], []

    def opened(width: int = 1280, scheme: str = "light", locale: str = "en-US") -> Tab:
        contexts.append(
            chromium.new_context(
                viewport={"width": width, "height": 800},
                color_scheme=scheme,
                locale=locale,
                accept_downloads=True,
            )
        )
        tabs.append(Tab(contexts[-1], console))
        return tabs[-1]

    yield opened
    faults = [fault for page in tabs for fault in page.faults]
    for context in contexts:
        context.close()
    assert faults == []
