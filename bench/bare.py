"""The smallest relay in aiohttp: what its server and client cost without a gateway. Arguments: port, upstream URL."""

import sys
from collections.abc import AsyncIterator

import aiohttp
import uvloop
from aiohttp import web

SESSION: web.AppKey[aiohttp.ClientSession] = web.AppKey("session", aiohttp.ClientSession)
_MODEL = "/v1beta/models/gemini-2.5-flash"


async def _relay(request: web.Request) -> web.StreamResponse:
    body = await request.read()
    streamed = b'"stream": true' in body
    url = sys.argv[2] + _MODEL + (":streamGenerateContent?alt=sse" if streamed else ":generateContent")
    async with request.app[SESSION].post(url, data=body, headers={"x-goog-api-key": "k"}) as response:
        if not streamed:
            return web.Response(body=await response.read(), content_type="application/json")
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        async for data in response.content.iter_any():
            await stream.write(data)
        return stream


async def _session(app: web.Application) -> AsyncIterator[None]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        app[SESSION] = session
        yield


def main() -> None:
    """Serve until terminated."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", _relay)
    app.cleanup_ctx.append(_session)
    web.run_app(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        access_log=None,
        print=None,
        loop=uvloop.new_event_loop(),
    )


if __name__ == "__main__":
    main()
