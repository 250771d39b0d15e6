"""`GET /admin/tail`: requests as they end, as server-sent events.

A viewer has no queue: it reads the ring of the last requests every quarter of a second, at its own speed. A slow one
misses records, which are counted for it, and delays nobody.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from time import monotonic, time
from typing import Any

from aiohttp import web

from gateway.console.endpoint import Endpoint, Query
from gateway.console.filter import Test, parse
from gateway.console.fleet import Parts
from gateway.console.merged import plain
from gateway.console.rows import encode, encoded, row
from gateway.console.sources import OPERATOR, Sources
from gateway.errors import RateLimited
from gateway.exchange.replies.event_stream import STREAM_HEADERS
from gateway.observability.recent import Recent
from gateway.policy.bounded import BoundedMapping

_MOST_VIEWERS = 8
_PAUSE = 0.25
"""Seconds between two looks at the ring."""
_MOST = 1000
"""Records that one look sends."""
_MOST_OF_OTHERS = 200
"""Records of another process in one answer."""
_PAUSE_OF_OTHERS = 1.0
"""Seconds between two questions to other processes."""
_SILENCE = 15.0
"""Seconds after which a comment is sent, so that proxies and browsers keep the connection."""


class Tail:
    """Follows the ring for up to eight viewers."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        sources.fleet.on("tail", self._asked)
        self._viewers = 0
        self._frames: BoundedMapping[int, bytes] = BoundedMapping(_MOST)
        """Encoded records by number, which all viewers share."""

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints."""
        query = (Query("filter", "as of /admin/requests"),)
        summary = "Send requests as they end: events `hello`, `exchange`, `pool`, `reload` and `lost`."
        return [Endpoint("GET", "/admin/tail", self.follow, summary, query, media="text/event-stream")]

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """Send events until the viewer leaves, its session ends or the gateway stops.

        Raises BadRequest, RateLimited.
        """
        passes = parse(request.query.get("filter", ""))
        if self._viewers >= _MOST_VIEWERS:
            raise RateLimited(
                f"{_MOST_VIEWERS} viewers follow already: close another tab.", code="busy", retry_after=5
            )
        response = web.StreamResponse(headers=STREAM_HEADERS)
        self._viewers += 1
        try:
            with suppress(ConnectionError):  # the viewer has left
                await response.prepare(request)
                await self._send(request, response, passes)
        finally:
            self._viewers -= 1
        return response

    async def _send(self, request: web.Request, response: web.StreamResponse, passes: Test) -> None:
        recent, expires = self._sources.services.observed.recent, request[OPERATOR].expires
        position, events = _position(request.headers.get("Last-Event-ID"), recent.newest), recent.noted
        hello = {"newest": recent.newest, "viewers": self._viewers}
        await response.write(b"retry: 2000\n" + _frame("hello", encode(hello)))
        sent = monotonic()
        others = _Others(self._sources, request.query.get("filter", ""))
        while not self._sources.services.draining() and (expires is None or time() < expires):
            entries = recent.since(position, _MOST)
            lost = recent.newest - position - len(entries)
            position = recent.newest
            frames = [_frame("lost", encode({"count": lost}))] if lost > 0 else []
            frames += self._exchanges(entries, passes)
            frames += [_frame(name, encoded(data)) for name, data in recent.notes_since(events)]
            events = recent.noted
            frames += await others.frames()
            if frames:
                await response.write(b"".join(frames))
                sent = monotonic()
            elif monotonic() - sent > _SILENCE:
                await response.write(b":\n\n")
                sent = monotonic()
            await asyncio.sleep(_PAUSE)

    async def _asked(self, values: dict[str, Any]) -> Any:
        """Return the records of this process after a number, for a viewer of another one."""
        recent, name = self._sources.services.observed.recent, self._sources.services.access.name
        after = values["after"].get(self._sources.fleet.name, recent.newest)
        passes, entries = parse(values["filter"]), recent.since(min(after, recent.newest), _MOST_OF_OTHERS)
        rows = [row(entry, name) for entry in entries if passes(entry, name)]
        lost = max(0, recent.newest - after - len(entries))
        return plain({"newest": recent.newest, "lost": lost, "rows": rows})

    def _exchanges(self, entries: list[Recent], passes: Test) -> Iterator[bytes]:
        name = self._sources.services.access.name
        for entry in entries:
            if passes(entry, name):
                frame = self._frames.get(entry.number)
                if frame is None:
                    frame = _frame("exchange", encoded(row(entry, name)), entry.number)
                    self._frames[entry.number] = frame
                yield frame


class _Others:
    """The records of the other processes, for one viewer: asked for once a second, and not waited for."""

    def __init__(self, sources: Sources, text: str) -> None:
        self._fleet = sources.fleet
        self._filter = text
        self._after: dict[str, int] = {}
        self._asking: asyncio.Task[Parts] | None = None
        self._asked = float("-inf")

    async def frames(self) -> list[bytes]:
        """Return the events that have arrived. They have no id: the browser resumes by this process's numbers."""
        frames: list[bytes] = []
        if self._asking is not None and self._asking.done():
            parts, self._asking = self._asking.result(), None
            for name, part in parts.data.items():
                self._after[name] = part["newest"]
                frames += [_frame("exchange", encoded({**entry, "instance": name})) for entry in part["rows"]]
                frames += [_frame("lost", encode({"count": part["lost"]}))] if part["lost"] else []
        if self._asking is None and self._fleet.has_others and monotonic() - self._asked > _PAUSE_OF_OTHERS:
            self._asked = monotonic()
            self._asking = asyncio.create_task(
                self._fleet.ask("tail", after=self._after, filter=self._filter)
            )
        return frames


def _position(last: str | None, newest: int) -> int:
    """Return the number after which a viewer goes on. Another process has counted a number that is too high."""
    if last is None or not last.isdecimal() or len(last) > 15:
        return newest
    return int(last) if int(last) <= newest else 0


def _frame(event: str, data: bytes, number: int | None = None) -> bytes:
    head = f"id: {number}\n" if number is not None else ""
    return f"{head}event: {event}\ndata: ".encode() + data + b"\n\n"
