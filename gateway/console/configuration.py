"""Endpoints of the configuration: in effect, on disk, checked, reloaded. Nothing here writes the file."""

import asyncio
from collections.abc import Iterator
from hashlib import sha256
from os.path import exists
from time import time
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec
from aiohttp import web
from msgspec import Meta, Struct, structs

from gateway.config.secret import Secret
from gateway.config.sections import GatewayConfig
from gateway.console.endpoint import Endpoint
from gateway.console.process import RESTART_ONLY, Checked
from gateway.console.rows import encoded
from gateway.console.sources import Sources, answer
from gateway.errors import Fault, GatewayError
from gateway.exchange.incoming.request_body import read_body
from gateway.exchange.replies.delivery import json_response

_LARGEST = 2**20


class Draft(Struct, forbid_unknown_fields=True):
    """Body of `POST /admin/config/check`."""

    yaml: Annotated[str, Meta(max_length=_LARGEST)]


class Mistake(Struct, frozen=True):
    """One fault of a configuration."""

    file: str
    line: int
    column: int
    message: str


class CheckAnswer(Struct, frozen=True):
    """Result of a check."""

    ok: bool
    faults: list[Mistake]
    changes: list[str]
    restart: list[str]


class ReloadAnswer(Struct, frozen=True):
    """Result of a reload."""

    changed: bool
    """False if the new configuration was refused."""
    message: str
    differs: bool
    """Whether the configuration in use is another one than before."""


class Setting(Struct, frozen=True):
    """One setting in effect. A secret is shown as its reference, or as `****`."""

    path: str
    value: Any
    """As the file says it."""
    running: Any
    """The value in use. It differs from `value` until a restart."""
    default: Any
    own: bool
    """The file has it."""
    restart: bool
    """A change needs a restart."""
    description: str


_decode = msgspec.json.Decoder(Draft).decode


class Configuration:
    """Shows, checks and reloads the configuration."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints."""
        return [
            Endpoint("GET", "/admin/config", self.show, "Show the settings in effect, and what differs on disk."),
            Endpoint("POST", "/admin/config/check", self.check, "Check a configuration without using it.",
                     body=Draft, answer=CheckAnswer),
            Endpoint("POST", "/admin/config/reload", self.reload, "Read the configuration again and use it.",
                     answer=ReloadAnswer),
        ]  # fmt: skip

    async def show(self, _: web.Request) -> web.Response:
        """Answer with each setting, its default and its origin."""
        process = self._sources.process
        if process.configuration is None or process.on_disk is None:
            raise _unavailable()
        config, source, loaded = process.configuration()
        disk, is_file = await asyncio.to_thread(
            lambda on_disk: (on_disk(), exists(source.file)), process.on_disk
        )
        body = {
            "file": source.file,
            "hash": sha256(source.text.encode()).hexdigest()[:12],
            "loaded": loaded,
            "on_disk": _compared(disk) if is_file or disk.faults else None,
            "restart_needed": disk.restart,
            "settings": list(settings(config, source.data, process.opened and process.opened())),
        }
        return json_response(encoded(body), {})

    async def check(self, request: web.Request) -> web.Response:
        """Answer with the faults of a configuration, and what it would change."""
        if self._sources.process.check is None:
            raise _unavailable()
        text = (await read_body(request)).decode(_decode).yaml
        return answer(_shown(await asyncio.to_thread(self._sources.process.check, text)))

    async def reload(self, request: web.Request) -> web.Response:
        """Switch to the configuration on disk. A fault changes nothing."""
        process = self._sources.process
        if process.reload is None:
            raise _unavailable()
        before = process.configuration()[0] if process.configuration is not None else None
        outcome = await process.reload()
        after = process.configuration()[0] if process.configuration is not None else None
        await self._sources.audit(request, "config.reload", detail="done" if outcome.changed else "refused")
        note = {"changed": outcome.changed, "message": outcome.message, "at": time()}
        self._sources.services.observed.recent.note("reload", note)
        return answer(ReloadAnswer(outcome.changed, outcome.message, before != after))


def _compared(disk: Checked) -> dict[str, Any]:
    """Return how the file on disk differs from the configuration in use."""
    fault = "\n".join(map(str, disk.faults)) or None
    return {"differs": bool(disk.changes or disk.faults), "changes": disk.changes, "fault": fault}


def settings(config: GatewayConfig, own: Any, opened: GatewayConfig | None = None) -> Iterator[Setting]:
    """Yield each setting of a configuration. `own` is what the file says, `opened` what the sockets were opened by."""
    yield from _settings(config, type(config)(), own, opened or config, "")


def _settings(value: Struct, default: Any, own: Any, opened: Any, above: str) -> Iterator[Setting]:
    """Yield the settings of one section."""
    hints = get_type_hints(type(value), include_extras=True)
    for field in structs.fields(value):
        path, part = f"{above}{field.name}", getattr(value, field.name)
        preset = getattr(default, field.name, None)
        written = own.get(field.encode_name) if isinstance(own, dict) else None
        is_own = isinstance(own, dict) and field.encode_name in own
        running = getattr(opened, field.name, None)
        if isinstance(part, Struct):
            yield from _settings(part, preset, written, running, f"{path}.")
        else:
            restart = path.startswith(RESTART_ONLY)
            shown = written if is_own else _plain(part)
            in_use = _plain(running) if restart and running != part else shown
            yield Setting(
                path, shown, in_use, _plain(preset), is_own, restart, _description(hints[field.name])
            )


def _plain(value: Any) -> Any:
    """Return a value for JSON. A secret is `****`."""
    return msgspec.to_builtins(value, enc_hook=_hidden, str_keys=True)


def _hidden(value: Any) -> Any:
    return "****" if isinstance(value, Secret) else str(value)


def _description(hint: Any) -> str:
    """Return the description of a setting's type."""
    if get_origin(hint) is not Annotated:
        return ""
    texts = [meta.description for meta in get_args(hint)[1:] if isinstance(meta, Meta) and meta.description]
    return next(iter(texts), "")


def _shown(checked: Checked) -> CheckAnswer:
    return CheckAnswer(
        not checked.faults, [_mistake(fault) for fault in checked.faults], checked.changes, checked.restart
    )


def _mistake(fault: Fault) -> Mistake:
    return Mistake(fault.file, fault.line, fault.column, fault.message)


def _unavailable() -> GatewayError:
    return GatewayError("This process was not started by `gateway serve`.", status=503, code="not_available")
