"""Passes an answer of Gemini's API on to the client as it arrives, and ends one that breaks off."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from gateway.conversation.notes import brief
from gateway.errors import GatewayError, UpstreamTruncated, scrub
from gateway.exchange.context import CONTEXT
from gateway.exchange.incoming.client_address import origin
from gateway.exchange.replies.delivery import fail, limit_buffers
from gateway.gemini.sse import frame
from gateway.plugins.native.hooked import HookedAnswer
from gateway.plugins.native.interactions import InteractionReader
from gateway.plugins.native.response import STREAM, UsageReader, render_error, returned
from gateway.upstream.client import Forwarded

Keep = Callable[[str], Awaitable[None]]
_COPIES = 4
"""Copies of a whole answer that exist at once for hooks: pieces, bytes, what they decode to, and the new bytes."""


class Relay:
    """The client's side of one answer."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._response: web.StreamResponse | None = None
        self._last = b""
        """The last piece that was sent."""
        self.refusal: GatewayError | None = None
        """The error with which a hook has ended the answer."""
        self.is_read = False
        """Whether Google's answer was read to its end, where hooks may end the client's before."""

    @property
    def begun(self) -> bool:
        """Whether status and headers are sent."""
        return self._response is not None and self._response.prepared

    async def send(
        self, answer: Forwarded, usage: UsageReader | InteractionReader, keep: Keep | None = None
    ) -> web.StreamResponse:
        """Send status, headers and bytes as they arrive.

        `keep` stores the owner of a stored interaction. That is done before the client has read its id: it waits with
        the last bytes of a whole answer, and of a stream with those in which the id ends.
        """
        response = self._new_response(answer)
        await response.prepare(self._request)
        limit_buffers(self._request)
        held = b""
        while piece := await answer.read():
            usage.feed(piece)
            if keep is not None and isinstance(usage, InteractionReader):
                if usage.id:
                    await keep(usage.id)
                    keep = None
                elif not self._streams:
                    held, piece = piece, held
                    if not piece:
                        continue
            self._last = piece
            await response.write(piece)
        usage.close()  # the last event may come without a blank line after it
        if keep is not None and isinstance(usage, InteractionReader) and usage.id:
            await keep(usage.id)
        if held:
            await response.write(held)
        if self._streams and usage.is_unfinished:
            raise UpstreamTruncated("The upstream stream ended before completion.")
        self._request[CONTEXT].report.sent()
        await response.write_eof()
        return response

    async def send_hooked(
        self, answer: Forwarded, usage: UsageReader | InteractionReader, hooked: HookedAnswer
    ) -> web.StreamResponse:
        """Send an answer as hooks leave it. Where one refuses it, `refusal` is set for the caller to raise."""
        response = self._new_response(answer)
        hooks, pieces = hooked.hooks, []
        while piece := await answer.read():
            usage.feed(piece)
            if not hooked.changes:
                await hooked.observe(piece)
                await self._write(piece)
            elif self._streams:
                await self._write(await hooked.feed(piece))
            else:
                self._request[CONTEXT].memory.take(_COPIES * len(piece))
                pieces.append(piece)
            if hooks.ended:
                break
        else:
            self.is_read = True
            usage.close()
        if not hooked.changes:
            await hooked.observe(b"", last=True)
        elif not hooks.ended:
            last = await (hooked.close() if self._streams else hooked.whole(b"".join(pieces)))
            if self._streams or hooks.refusal is None:
                await self._write(last)
        self.refusal = hooks.refusal
        if self.refusal is not None:
            return response
        if self._streams and usage.is_unfinished and not hooks.is_stopped:
            raise UpstreamTruncated("The upstream stream ended before completion.")
        self._request[CONTEXT].report.sent()
        await response.write_eof()
        return response

    def _new_response(self, answer: Forwarded) -> web.StreamResponse:
        """Return the response with its headers, not sent yet."""
        headers = returned(answer.headers, origin(self._request))
        self._response = response = web.StreamResponse(status=answer.status, headers=headers)
        if notes := self._request[CONTEXT].report.notes:
            response.headers["x-gateway-notes"] = scrub(",".join(brief(notes)))
        if self._streams:
            response.headers.update({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        return response

    async def _write(self, data: bytes) -> None:
        """Send bytes, the first time after the headers."""
        response = self._response
        if not data or response is None:
            return
        if not response.prepared:
            await response.prepare(self._request)
            limit_buffers(self._request)
        self._last = data
        await response.write(data)

    async def fail(self, error: GatewayError) -> web.StreamResponse:
        """End the answer with an error: its own response, an event of a stream, or a connection that is cut."""
        response = self._response
        if response is None or not response.prepared:
            return fail(self._request, error)
        self._request[CONTEXT].report.fail(error)
        if self._streams:
            _, body = render_error(error, "")
            boundary = b"" if not self._last or self._last.endswith((b"\n\n", b"\r\n\r\n")) else b"\n\n"
            await response.write(boundary + frame(body))
            await response.write_eof()
        elif self._request.transport is not None:  # nothing else tells a client that the rest is missing
            self._request.transport.abort()
        return response

    @property
    def _streams(self) -> bool:
        response = self._response
        return response is not None and response.headers.get("Content-Type", "").startswith(STREAM)
