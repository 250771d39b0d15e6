"""The requests of a connection, one after another, without a task for each.

aiohttp runs every handler in a task of its own, so that the context variables that it sets end with its request. To
make the task, to begin it and to wake the connection's own task at its end costs as much as parsing the request. Here,
the connection's task runs the handler itself. Once a handler has set a variable, the connection goes on in a new task
with the context that it began with, in aiohttp's way.
"""

import asyncio
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.http import RawRequestMessage, StreamWriter
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler


class InTurn(RequestHandler):
    """aiohttp's connection handler with a shorter way for all but upgrades, and what the parser refuses."""

    __slots__ = ()

    async def start(self) -> None:
        """Answer the requests of the connection until it ends: what aiohttp's method does, with fewer steps."""
        loop, context = self._loop, copy_context()
        while not self._force_close:
            if not self._messages:
                self._waiter = loop.create_future()
                try:
                    await self._waiter
                finally:
                    self._waiter = None
            message, payload = self._messages[0]
            if type(message) is not RawRequestMessage or message.upgrade:
                await super().start()
                return
            is_kept = await self._answer(message, payload)
            if not is_kept:
                break
            if copy_context() != context:
                self._task_handler = loop.create_task(super().start(), context=context)
                return
            if self._messages:  # pipelined: other connections have their turn
                await asyncio.sleep(0)
        if not self._force_close:
            self._task_handler = None
            if self.transport is not None:
                self.transport.close()

    async def _answer(self, message: RawRequestMessage, payload: StreamReader) -> bool:
        """Answer the next request. Return whether the connection stays open."""
        self._messages.popleft()
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()
        assert self._manager is not None  # noqa: S101 - of a connection that is not lost
        assert self._request_factory is not None  # noqa: S101
        assert self._request_handler is not None  # noqa: S101
        self._manager.requests_count += 1
        task: Any = self._task_handler
        request = self._request_factory(message, payload, self, StreamWriter(self, self._loop), task)
        self._request_in_progress, self._current_request = True, request
        try:
            try:
                response = await self._request_handler(request)
            except BaseException as error:  # noqa: BLE001 - aiohttp answers or raises it
                response, is_gone = await self._handle_request(request, None, partial(_raise, error))
            else:
                if self.finish_sent(request, response):
                    self._request_in_progress, self._current_request, is_gone = False, None, False
                    if self._handler_waiter is not None:  # a shutdown waits for it
                        self._handler_waiter.set_result(None)
                else:
                    response, is_gone = await self._handle_request(request, None, partial(_return, response))
            if not is_gone and not payload.is_eof():
                await self._discard(payload)
        except ConnectionError:
            return False
        except Exception as error:  # noqa: BLE001 - as aiohttp does
            self.log_exception("Unhandled exception", exc_info=error)
            self.force_close()
            return False
        except BaseException:
            self.force_close()
            raise
        finally:
            request._task = None  # type: ignore[assignment]  # noqa: SLF001 - a reference cycle
        if task is not None:
            while task.cancelling():  # the handler has answered, although it was cancelled
                task.uncancel()
        if is_gone:
            return False
        return self._keep(response)

    def finish_sent(self, request: web.BaseRequest, response: web.StreamResponse) -> bool:
        """Finish a response that its handler has sent whole. Return False, having changed nothing, for any other."""
        return False

    async def _discard(self, payload: StreamReader) -> None:
        """Read the rest of a body, so that the client can read the answer to what it has sent."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._lingering_time):
                while not payload.is_eof() and not self._force_close:
                    await payload.readany()
        if not payload.is_eof():
            self.close()

    def _keep(self, response: web.StreamResponse) -> bool:
        """Return whether the connection stays open after a response, and begin its time between two requests."""
        self._keepalive = is_kept = bool(response.keep_alive)
        if not is_kept or self._close or self._force_close:
            return False
        self._next_keepalive_close_time = close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(close_time, self._process_keepalive)
        return True


async def _raise(error: BaseException, request: web.BaseRequest) -> web.StreamResponse:
    """Raise what a handler has raised, for aiohttp, which calls handlers."""
    raise error


async def _return(response: web.StreamResponse, request: web.BaseRequest) -> web.StreamResponse:
    """Return what a handler has returned, for aiohttp, which calls handlers."""
    return response
