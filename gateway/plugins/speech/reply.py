"""The client's side of a speech under way: samples in, encoded audio out, as bytes or as events.

Nothing is sent before the first sample, so that an error before it still has a status.
"""

from collections.abc import Callable, Mapping

from aiohttp import web

from gateway.errors import GatewayError
from gateway.exchange.context import RequestContext
from gateway.exchange.offload import in_codec_thread
from gateway.exchange.replies.delivery import limit_buffers
from gateway.exchange.replies.event_stream import STREAM_HEADERS
from gateway.gemini.audio_encoder import FORMATS, Encoder
from gateway.gemini.usage import TokenCounts
from gateway.plugins.speech.request import Stream
from gateway.plugins.speech.response import SoundStream, counts_of, delta, done, failed, usage


class SpeechReply:
    """A streamed speech. `headers` returns the headers of every answer, once the model is chosen."""

    push = None

    def __init__(
        self,
        request: web.Request,
        context: RequestContext,
        headers: Callable[[], Mapping[str, str]],
        form: str,
        speed: float,
        stream: Stream,
    ) -> None:
        self._request = request
        self._context = context
        self._headers = headers
        self._form, self._speed = form, speed
        self._is_sse = stream == "sse"
        self._response = web.StreamResponse()
        self._encoder: Encoder | None = None
        self._is_over = False
        self.begun = False
        self.sound = SoundStream()
        """Reader of the answer that is streamed now."""
        self.counts: list[TokenCounts] = []
        """Tokens of calls that were not streamed."""

    def new_sound(self) -> SoundStream:
        """Return the reader of another attempt."""
        self.sound = SoundStream()
        return self.sound

    async def write(self, data: bytes) -> None:
        """Encode and send samples. Waits for a slow client."""
        if not data or self.sound.error is not None:
            return
        if self._encoder is None:
            self._encoder = await in_codec_thread(Encoder, self._form, self.sound.rate, self._speed)
        encoded = await in_codec_thread(self._encoder.feed, data)
        await self._send(encoded)

    async def finish(self, last: bytes = b"") -> web.StreamResponse:
        """End the stream, if it has begun: properly, or so that the client notices that it is incomplete."""
        if self._is_over:
            return self._response
        if last and self.sound.error is None:
            await self.write(last)
        if self._encoder is None and not self.begun:
            return self._response
        self._is_over = True
        if (error := self.sound.error) is not None:
            return await self._cut(error)
        if self._encoder is not None:
            await self._send(await in_codec_thread(self._encoder.close))
        if not self.begun:
            await self._begin()
        if self._is_sse:
            await self._response.write(done(usage([*self.counts, counts_of(self.sound.events)])))
        await self._response.write_eof()
        return self._response

    async def _cut(self, error: GatewayError) -> web.StreamResponse:
        """End a stream that has failed. Bytes of audio have no place for an error: their connection is cut."""
        if self._is_sse:
            if not self.begun:
                await self._begin()
            await self._response.write(failed(error))
            await self._response.write_eof()
        elif self._request.transport is not None:
            self._request.transport.abort()
        return self._response

    async def _send(self, encoded: bytes) -> None:
        if not encoded:
            return
        if not self.begun:
            await self._begin()
        await self._response.write(delta(encoded) if self._is_sse else encoded)

    async def _begin(self) -> None:
        self.begun = True
        self._context.first_byte()
        own = STREAM_HEADERS if self._is_sse else {"Content-Type": FORMATS[self._form].content_type}
        self._response.headers.update({**own, **self._headers()})
        self._response.enable_chunked_encoding()
        await self._response.prepare(self._request)
        limit_buffers(self._request)
