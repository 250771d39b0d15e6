"""Plugin loader: find the plugins that the YAML names, construct and check them, refuse routes that clash."""

import logging
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web
from msgspec import Struct

from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.errors import ConfigError, Fault
from gateway.exchange.hooks import HOOKS, HookName, HookOptions, Hooks
from gateway.exchange.replies.delivery import ErrorRenderer
from gateway.plugin import Plugin, Services
from gateway.policy.api_paths import Family

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "gateway.plugins"
"""Entry point group of third-party plugins."""

BUILT_IN = {
    "chat": "gateway.plugins.chat.routes:Chat",
    "embeddings": "gateway.plugins.embeddings.routes:Embeddings",
    "speech": "gateway.plugins.speech.routes:SpeechPlugin",
    "images": "gateway.plugins.images.routes:Images",
    "transcription": "gateway.plugins.transcription.routes:TranscriptionPlugin",
    "models": "gateway.plugins.models.routes:Models",
    "responses": "gateway.plugins.responses.routes:Responses",
    "completions": "gateway.plugins.completions.routes:Completions",
    "messages": "gateway.plugins.messages.routes:Messages",
    "files": "gateway.plugins.files.routes:Files",
    "batches": "gateway.plugins.batches.routes:Batches",
    "moderations": "gateway.plugins.moderations.routes:Moderations",
    "native": "gateway.plugins.native.routes:Native",
    "health": "gateway.plugins.health:Health",
    "hello": "gateway.plugins.hello.routes:Hello",
    "key": "gateway.plugins.key.routes:Key",
    "metrics": "gateway.plugins.metrics:Metrics",
    "translate": "gateway.plugins.dry_run:Translate",
    "system_prompt": "gateway.plugins.system_prompt:SystemPrompt",
    "guard": "gateway.plugins.guard.plugin:Guard",
    "alert": "gateway.plugins.alert.plugin:AlertPlugin",
    "capture": "gateway.plugins.capture.plugin:Capture",
    "caching": "gateway.plugins.caching.plugin:Caching",
}
"""Built-in plugins, found without installed metadata, so that they work from a checkout."""


class Loaded(Struct, frozen=True):
    """A constructed plugin and its routes."""

    name: str
    plugin: Plugin
    routes: tuple[web.RouteDef, ...]
    error_formats: Mapping[Family, ErrorRenderer]


def load_plugins(source: Source, config: GatewayConfig, services: Services) -> list[Loaded]:
    """Return the plugins that the YAML names, catch-alls last.

    Raises ConfigError with one fault per plugin, each at its place in the file and naming the plugin.
    """
    loaded: list[Loaded] = []
    faults: list[Fault] = []
    for point in entry_points():
        if point.name in BUILT_IN:
            message = (
                f"the entry point {point.name!r} of the installed package {_package(point)} has the name of a built-in "
                "plugin, which would hide it: rename it, or uninstall the package."
            )
            faults.append(source.fault(("plugins", point.name), message))
    for name in config.plugins:
        try:
            plugin = _load(name, source, services)
            routes = tuple(plugin.routes())
            web.Application().add_routes(routes)  # raises for what is not a route, and for invalid paths
            loaded.append(Loaded(name, plugin, routes, dict(plugin.error_formats())))
        except ConfigError as error:
            faults += error.faults
        except ValueError as error:
            faults.append(source.fault(("plugins", name), f"plugin {name!r}: {error}"))
        except Exception as error:  # noqa: BLE001 - third-party code may raise anything
            message = f"plugin {name!r} failed: {type(error).__name__}: {error} ({_place(error)})"
            faults.append(source.fault(("plugins", name), message))
    loaded.sort(key=lambda entry: entry.plugin.catch_all)
    faults += _clashes(loaded, source)
    if faults:
        raise ConfigError(tuple(faults))
    return loaded


def hooks_of(cls: type[Plugin]) -> list[HookName]:
    """Return the names of the hooks that a plugin has."""
    return [name for name in HOOKS if getattr(cls, name) is not getattr(Plugin, name)]


def installed_hooks(plugins: Sequence[Plugin], services: Services) -> Hooks | None:
    """Return the hooks of plugins in the order of the YAML, or None if there are none."""
    hooked = [(plugin, names) for plugin in plugins if (names := hooks_of(type(plugin)))]
    return Hooks(hooked, services.statistics, services.spawn) if hooked else None


def _load(name: str, source: Source, services: Services) -> Plugin:
    """Return one constructed and checked plugin. Raises ValueError or ConfigError."""
    cls = find_plugin(name)
    if (names := hooks_of(cls)) and not issubclass(cls.Config, HookOptions):
        raise ValueError(
            f"it has hooks ({', '.join(names)}), so its Config must be a subclass of gateway.plugin.HookOptions, "
            "which has their options on_error and deadline"
        )
    plugin = cls(source.decode(cls.Config, at=("plugins", name)), services)
    plugin.name, plugin.logger = name, logging.getLogger(f"{GROUP}.{name}")
    plugin.check()
    return plugin


def _place(error: BaseException) -> str:
    """Return file and line of the innermost frame."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{frame.filename}:{frame.lineno}"


def missing_api(plugins: Iterable[Loaded]) -> str:
    """Return a sentence if no plugin answers a POST; "" otherwise. A section `plugins` replaces the shipped list."""
    if any(route.method == "POST" for entry in plugins for route in entry.routes):
        return ""
    names = ", ".join(entry.name for entry in plugins) or "none"
    return (
        f"no plugin serves an API: `plugins` names {names}. A list of your own replaces the shipped one: add "
        "`chat: {}` and the others that you want."
    )


def find_plugin(name: str) -> type[Plugin]:
    """Import the class of a plugin. Raises ValueError for an unknown name, or if it is not a Plugin."""
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        cls = getattr(import_module(module), attribute)
    else:
        cls = _entry_point(name).load()
    if not (isinstance(cls, type) and issubclass(cls, Plugin)):
        raise ValueError("not a subclass of gateway.plugin.Plugin")  # noqa: TRY004 - reported with its place
    return cls


def entry_points() -> "Sequence[EntryPoint]":
    """Return the entry points of plugins.

    `importlib.metadata` reads the metadata of all packages, which takes a tenth of a start. It is asked only where a
    package's entry points name the group.
    """
    if not _may_have_plugins():
        return ()
    from importlib import metadata

    return tuple(metadata.entry_points(group=GROUP))


def _may_have_plugins() -> bool:
    """Return whether a package in a folder of `sys.path` names the group, or packages may be found elsewhere."""
    if any(hasattr(finder, "find_distributions") and finder is not PathFinder for finder in sys.meta_path):
        return True
    group = GROUP.encode()
    for folder in map(Path, sys.path):
        if folder.is_file():
            return True
        for file in (
            *folder.glob("*.dist-info/entry_points.txt"),
            *folder.glob("*.egg-info/entry_points.txt"),
        ):
            if group in file.read_bytes():
                return True
    return False


def _package(point: "EntryPoint") -> str:
    """Return the name of the package that an entry point belongs to."""
    return point.dist.name if point.dist is not None else point.value


def _entry_point(name: str) -> "EntryPoint":
    installed = {point.name: point for point in entry_points()}
    if name in installed:
        return installed[name]
    known = sorted([*BUILT_IN, *installed])
    from difflib import get_close_matches  # for a mistake only

    close = get_close_matches(name, known, 1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    raise ValueError(f"not installed{hint} Known: {', '.join(known)}")


def _clashes(loaded: Iterable[Loaded], source: Source) -> Iterator[Fault]:
    """Yield a fault for each route that two plugins claim; aiohttp would silently use the first."""
    owners: dict[tuple[str, str], str] = {}
    for entry in loaded:
        for route in entry.routes:
            owner = owners.setdefault((route.method, route.path), entry.name)
            if owner != entry.name:
                message = (
                    f"plugin {entry.name!r} claims {route.method} {route.path}, which belongs to {owner!r}"
                )
                yield source.fault(("plugins", entry.name), message, key=True)
