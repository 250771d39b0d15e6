"""The contract of plugins, and the loader. Built-in endpoint families use this and nothing else.

Installed makes a plugin possible, named in the YAML makes it active, in that order (design.md 2.8). Life cycle:
decode its options, construct (no side effects), check(), routes(), lifespan in, serve, lifespan out.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar

from aiohttp import web
from msgspec import Struct

from gateway.config.model import GatewayConfig
from gateway.config.source import Source
from gateway.errors import ConfigError, Fault
from gateway.exchange import Exchange
from gateway.policy.catalog import Catalog
from gateway.policy.limits import Admission
from gateway.record import Record
from gateway.totals import Totals
from gateway.translate.chat import Safety
from gateway.translate.family import Families
from gateway.upstream.media import MediaFetcher

GROUP = "gateway.plugins"
"""The entry point group third parties register under."""

BUILT_IN = {
    "chat": "gateway.plugins.chat:Chat",
    "embeddings": "gateway.plugins.embeddings:Embeddings",
    "models": "gateway.plugins.models:Models",
    "responses": "gateway.plugins.responses:Responses",
    "completions": "gateway.plugins.completions:Completions",
    "messages": "gateway.plugins.messages:Messages",
    "moderations": "gateway.plugins.moderations:Moderations",
    "native": "gateway.plugins.native:Native",
    "health": "gateway.plugins.health:Health",
    "hello": "gateway.plugins.hello:Hello",
    "metrics": "gateway.plugins.metrics:Metrics",
    "translate": "gateway.plugins.translate:Translate",
}
"""Resolved without a look at installed metadata, so they work from a checkout."""


class Services(Struct, frozen=True):
    """What the application lends its plugins."""

    config: GatewayConfig
    catalog: Catalog
    families: Families
    safety: Safety
    exchange: Exchange
    media: MediaFetcher
    admission: Admission
    totals: Totals
    finished: Callable[[Record, int], None]
    """Ends a record of work with a status: it is counted and told in the log."""
    running: set[asyncio.Task[Any]]
    """Work in progress, each in its task: a drain waits for it, and ends what takes too long."""


SERVICES: web.AppKey[Services] = web.AppKey("services", Services)


class NoOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """For plugins that have nothing to configure."""


class Plugin:
    """One family of endpoints. Subclass it, name the class as an entry point, name it in the YAML."""

    Config: ClassVar[type[Struct]] = NoOptions
    """A frozen Struct: the plugin's options, decoded strictly from its section."""

    catch_all: ClassVar[bool] = False
    """Answers what nobody else does: registered last, whatever its place in the file."""

    def __init__(self, config: Any, services: Services) -> None:
        self.config = config
        self.services = services

    def check(self) -> None:
        """Raise ValueError when the options make no sense together."""

    def routes(self) -> Iterable[web.RouteDef]:
        """What this plugin answers. Nobody else may claim the same method and path."""
        return ()

    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:
        """Set up, `yield` once, tear down."""
        yield


class Loaded(Struct, frozen=True):
    """A plugin in place."""

    name: str
    plugin: Plugin
    routes: tuple[web.RouteDef, ...]


def load_plugins(source: Source, config: GatewayConfig, services: Services) -> list[Loaded]:
    """The plugins the file names, catch-alls last. Raises ConfigError with a place for each fault."""
    loaded: list[Loaded] = []
    faults: list[Fault] = []
    for name in config.plugins:
        try:
            plugin = _load(name, source, services)
            loaded.append(Loaded(name, plugin, tuple(plugin.routes())))
        except ConfigError as error:
            faults += error.faults
        except ValueError as error:
            faults.append(source.fault(("plugins", name), str(error)))
    loaded.sort(key=lambda one: one.plugin.catch_all)
    faults += _clashes(loaded, source)
    if faults:
        raise ConfigError(tuple(faults))
    return loaded


def _load(name: str, source: Source, services: Services) -> Plugin:
    """One plugin, checked. Raises ValueError or ConfigError."""
    cls = _find(name)
    plugin = cls(source.decode(cls.Config, at=("plugins", name)), services)
    plugin.check()
    return plugin


def _find(name: str) -> type[Plugin]:
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        found = getattr(import_module(module), attribute)
    else:
        found = _entry_point(name).load()
    if not (isinstance(found, type) and issubclass(found, Plugin)):
        raise ValueError(  # noqa: TRY004 - a fault of the configuration, which is told with its place
            f"plugin {name!r} is not a subclass of gateway.plugin.Plugin"
        )
    return found


def _entry_point(name: str) -> EntryPoint:
    installed = {point.name: point for point in entry_points(group=GROUP)}
    if name in installed:
        return installed[name]
    known = sorted([*BUILT_IN, *installed])
    close = get_close_matches(name, known, 1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    raise ValueError(f"no plugin {name!r} is installed{hint} Known: {', '.join(known)}")


def _clashes(loaded: list[Loaded], source: Source) -> Iterable[Fault]:
    """aiohttp would let the first of two equal routes win in silence."""
    owners: dict[tuple[str, str], str] = {}
    for one in loaded:
        for route in one.routes:
            owner = owners.setdefault((route.method, route.path), one.name)
            if owner != one.name:
                message = (
                    f"plugin {one.name!r} claims {route.method} {route.path}, which belongs to {owner!r}"
                )
                yield source.fault(("plugins", one.name), message, key=True)
