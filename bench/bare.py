"""The smallest relay in aiohttp: what its server and client cost without a gateway. Arguments: port, upstream URL."""

import sys
from collections.abc import AsyncIterator

import aiohttp
import uvloop
from aiohttp import web

SESSION: web.AppKey[aiohttp.ClientSession] = web.AppKey("session", aiohttp.ClientSession)


async def _relay(request: web.Request) -> web.Response:
    body = await request.read()
    async with request.app[SESSION].post(sys.argv[2], data=body, headers={"x-goog-api-key": "k"}) as response:
        return web.Response(body=await response.read(), content_type="application/json")


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
