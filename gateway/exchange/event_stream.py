"""The response of a streamed answer."""

from collections.abc import Mapping

from aiohttp import web
from aiohttp.http_writer import StreamWriter

from gateway.exchange.context import RequestContext

STREAM_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}


class EventStream(web.StreamResponse):
    """A response whose headers wait for the first data: both are one write."""

    _send_headers_immediately = False

    async def begin(
        self, request: web.Request, headers: Mapping[str, str], context: RequestContext
    ) -> StreamWriter:
        """Make the head of status 200, and return what writes it with the first data."""
        usual = context.stream_head and context.stream_head(request, {**STREAM_HEADERS, **headers}, context)
        if not usual:
            self.headers.update({**STREAM_HEADERS, **headers})
            writer = await self.prepare(request)
            self.headers.clear()  # they are made, and a stream may live for an hour
        else:
            writer = request.writer
            writer.enable_chunking()
            await writer.write_headers("HTTP/1.1 200 OK", usual)  # type: ignore[arg-type]  # any mapping
            # What aiohttp's `prepare` sets.
            self._req, self._payload_writer = request, writer
            self._keep_alive, self._must_be_empty_body = True, False
        assert isinstance(writer, StreamWriter)  # noqa: S101 - a response that is prepared now has one
        return writer
