"""`GET /admin/about`: the version, the process, and what is switched on."""

import asyncio
import os
import platform
import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, metadata, requires
from typing import Any

from aiohttp import web
from msgspec import Struct

from gateway import __version__
from gateway.console.endpoint import Endpoint
from gateway.console.instance import instance
from gateway.console.process import Listener
from gateway.console.sources import Sources, answer

LINKS = {
    "Gateway: admin API (OpenAPI)": "/admin/openapi.json",
    "Gateway: metrics": "/metrics",
    "Google: keys": "https://aistudio.google.com/apikey",
    "Google: usage": "https://aistudio.google.com/usage",
    "Google: spending caps": "https://ai.studio/spend",
    "Google: rate limits": "https://ai.google.dev/gemini-api/docs/rate-limits",
    "Google: prices": "https://ai.google.dev/gemini-api/docs/pricing",
}
"""Pages that operators need beside the console."""


class Feature(Struct, frozen=True):
    """A part of the gateway that the configuration switches on."""

    name: str
    on: bool
    detail: str = ""


class Link(Struct, frozen=True):
    """An address to read on."""

    name: str
    url: str


class Library(Struct, frozen=True):
    """A library that the gateway is installed with."""

    name: str
    version: str
    licence: str
    url: str
    """Its sources or its home, as its metadata names them."""


class AboutAnswer(Struct, frozen=True):
    """The process and its features."""

    version: str
    python: str
    started: float
    instance: str
    pid: int
    listeners: tuple[Listener, ...]
    features: list[Feature]
    plugins: list[str]
    licence: str
    links: list[Link]
    libraries: list[Library]
    build: str


_DISTRIBUTION = "gemini-openai-gateway"
_DEVELOPMENT = 'extra == "dev"'
_SOURCES = ("source", "source code", "repository", "github", "homepage", "home-page", "code")
"""Labels of the address of a project's sources, the best first."""


@cache
def libraries() -> tuple[Library, ...]:
    """Return the gateway and the libraries of its requirements that are installed, from their metadata."""
    try:
        entries = [entry for entry in requires(_DISTRIBUTION) or () if _DEVELOPMENT not in entry]
    except PackageNotFoundError:  # a checkout that was never installed
        entries = []
    names = [re.split(r"[\s<>=!~;\[]", entry)[0] for entry in entries]
    return tuple(_installed(dict.fromkeys([_DISTRIBUTION, *names])))


def _installed(names: Iterable[str]) -> Iterator[Library]:
    for name in names:
        try:
            data: dict[str, Any] = metadata(name).json
        except PackageNotFoundError:  # of an extra that is not installed
            continue
        pairs = [entry.partition(",") for entry in data.get("project_url", ())]
        urls = {label.strip().lower(): url.strip() for label, _, url in pairs}
        urls.setdefault("home-page", data.get("home_page", ""))
        url = next((urls[label] for label in _SOURCES if urls.get(label, "").startswith("https://")), "")
        licence = data.get("license_expression") or _classified(data.get("classifier", ()))
        words = data.get("license", "").partition("\n")[0][:40]
        yield Library(name, data["version"], licence or words, url)


def _classified(classifiers: Iterable[str]) -> str:
    """Return the licence that classifiers name, "" for none."""
    licences = [entry.rpartition(" :: ")[2] for entry in classifiers if entry.startswith("License ::")]
    return ", ".join(entry for entry in licences if entry != "OSI Approved")


class About:
    """Tells what runs here."""

    def __init__(self, sources: Sources, build: str) -> None:
        self._sources = sources
        self._build = build

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints."""
        return [
            Endpoint("GET", "/admin/about", self.show, "Show the version, the process and its features.",
                     answer=AboutAnswer)
        ]  # fmt: skip

    async def show(self, _: web.Request) -> web.Response:
        """Answer with the version, the process and its features."""
        process, services = self._sources.process, self._sources.services
        installed = await asyncio.to_thread(libraries)
        return answer(
            AboutAnswer(
                __version__,
                platform.python_version(),
                process.started,
                instance(),
                os.getpid(),
                process.listeners,
                self._features(),
                sorted(services.plugins),
                "MIT",
                [Link(name, url) for name, url in LINKS.items()],
                list(installed),
                self._build,
            )
        )

    def _features(self) -> list[Feature]:
        services, engine = self._sources.services, self._sources.engine_or_none
        config, tracing = services.config, services.tracing
        projects = config.pool.projects
        keys = sum(len(project.keys) for project in projects)
        return [
            Feature("pool", bool(projects), f"{len(projects)} projects, {keys} keys" if projects else ""),
            Feature("ledger", engine is not None, engine.dialect.name if engine is not None else ""),
            Feature("redis", config.state.redis is not None),
            Feature("passthrough", config.auth.passthrough),
            Feature(
                "cache",
                config.cache.seconds > 0,
                f"{config.cache.seconds:g} s" if config.cache.seconds else "",
            ),
            Feature("fallbacks", bool(config.models.fallbacks)),
            Feature("tracing", tracing is not None),
        ]
