"""Lifespans of plugins: a fault in one is a message with the plugin's name, at the start, a reload and the end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from aiohttp import web

from gateway.config.source import Source
from gateway.errors import ConfigError, Fault, forget_frames
from gateway.observability.json_log import trace_of
from gateway.plugin import SERVICES, Services
from gateway.server.plugin_loader import Loaded

_LAST_HOOKS = 5.0
"""Seconds for hooks that still look at finished answers when the application ends."""
_LONGEST_START = 30.0
"""Seconds for a lifespan that is only tried."""


class PluginStartFailed(RuntimeError):
    """A plugin's lifespan raised before its `yield`. The text is one line with the plugin's name and the place."""


def lifespan_of(entry: Loaded) -> Callable[[web.Application], AsyncIterator[None]]:
    """Return a plugin's lifespan. Entering it raises PluginStartFailed; a failure at its end is logged."""

    async def lifespan(app: web.Application) -> AsyncIterator[None]:
        generator = await started(entry, app)
        yield
        await ended(entry, generator)

    return lifespan


async def started(entry: Loaded, app: web.Application) -> AsyncIterator[None]:
    """Run a plugin's lifespan to its `yield`. Raises PluginStartFailed, or ConfigError as the plugin raises it."""
    try:
        generator = aiter(entry.plugin.lifespan(app))
        await anext(generator)
    except ConfigError:
        raise
    except StopAsyncIteration:
        raise PluginStartFailed(
            f"plugin {entry.name!r} failed to start: its lifespan does not yield"
        ) from None
    except Exception as error:  # noqa: BLE001 - code of others
        place = trace_of(error).partition("\n")[2].partition("\n")[0]
        text = " ".join(f"{type(error).__name__}: {error}".split())
        message = f"plugin {entry.name!r} failed to start: {text} ({place})"
        raise PluginStartFailed(message) from None
    return generator


async def ended(entry: Loaded, generator: AsyncIterator[None]) -> None:
    """Run a plugin's lifespan to its end. A failure is logged: the other plugins end, too."""
    try:
        await anext(generator, None)
    except Exception as error:
        entry.plugin.logger.error("plugin %s failed at its end", entry.name, exc_info=error)  # noqa: TRY400
        forget_frames(error)


def tasks_of(services: Services) -> Callable[[web.Application], AsyncIterator[None]]:
    """Return the lifetime of the plugins' background tasks, which ends before their lifespans do."""

    async def lifetime(_: web.Application) -> AsyncIterator[None]:
        yield
        if services.hooks is not None and services.hooks.observing:
            await asyncio.wait(services.hooks.observing, timeout=_LAST_HOOKS)
        await services.background_tasks.stop()

    return lifetime


async def try_lifespans(entries: Sequence[Loaded], app: web.Application, source: Source) -> None:
    """Run each plugin's lifespan to its `yield` and to its end. Raises ConfigError with the plugins that fail."""
    faults: list[Fault] = []
    running: list[tuple[Loaded, AsyncIterator[None]]] = []
    for entry in entries:
        try:
            async with asyncio.timeout(_LONGEST_START):
                running.append((entry, await started(entry, app)))
        except TimeoutError:
            message = f"plugin {entry.name!r} has not started after {_LONGEST_START:g} s"
            faults.append(source.fault(("plugins", entry.name), message))
        except PluginStartFailed as error:
            faults.append(source.fault(("plugins", entry.name), str(error)))
        except ConfigError as error:
            faults += error.faults
    await app[SERVICES].background_tasks.stop()
    for entry, generator in reversed(running):
        await ended(entry, generator)
    if faults:
        raise ConfigError(tuple(faults))
