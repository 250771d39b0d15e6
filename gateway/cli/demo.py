"""`gateway demo`: the gateway on its embedded emulator, one unary and one streamed answer, and how to go on."""

import asyncio
import json
import sys
from typing import Any

import aiohttp
from aiohttp import web

from gateway.config.sections import GatewayConfig, ListenConfig, UpstreamConfig
from gateway.config.source import Source
from gateway.emulator.server import CALLS, build_fake
from gateway.server.application import build_app
from gateway.server.lifecycle import DRAIN, drain, until_told_to_stop
from gateway.server.protocol import Runner
from gateway.server.serving import taken

_MODEL = "gemini-flash-latest"
_HEADERS = {"Authorization": "Bearer demo-key"}

_HOW_TO = """
Ask it yourself:

  curl {base}/chat/completions -H 'Authorization: Bearer demo-key' \\
    -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello!"}}]}}'

or with the openai SDK:

  from openai import OpenAI
  client = OpenAI(base_url="{base}", api_key="demo-key")
  messages = [{{"role": "user", "content": "Hello!"}}]
  answer = client.chat.completions.create(model="{model}", messages=messages)
  print(answer.choices[0].message.content)
"""


def demo(host: str, port: int, *, once: bool) -> int:
    """Serve the demonstration; with `once` end after the calls. The exit code."""
    return asyncio.run(_demo(host, port, once=once))


async def _demo(host: str, port: int, *, once: bool) -> int:
    fake = build_fake()
    upstream = web.AppRunner(fake, access_log=None)
    await upstream.setup()
    await web.TCPSite(upstream, "127.0.0.1", 0).start()
    address = f"http://127.0.0.1:{upstream.addresses[0][1]}"
    listen = ListenConfig(host=host, port=port)
    config = GatewayConfig(listen=listen, upstream=UpstreamConfig(base_url=address))
    app = build_app(config, Source("", "demo"))
    runner = Runner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        print(f"cannot listen: {taken(error, listen)}", file=sys.stderr)
        await runner.cleanup()
        await upstream.cleanup()
        return 1
    base = f"http://{host}:{runner.addresses[0][1]}/v1"
    try:
        await _show(base, fake)
        print(_HOW_TO.format(base=base, model=_MODEL))
        if not once:
            print(f"Serving on {base} until Ctrl-C.", flush=True)
            await until_told_to_stop()
    finally:
        await drain(runner, runner, app[DRAIN], 5)
        await upstream.cleanup()
    return 0


async def _show(base: str, fake: web.Application) -> None:
    """Both answers and the request that reached Gemini."""
    body: dict[str, Any] = {
        "model": _MODEL,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say hello."}],
        "temperature": 0.5,
    }
    async with aiohttp.ClientSession(headers=_HEADERS) as session:
        async with session.post(f"{base}/chat/completions", json=body) as response:
            response.raise_for_status()
            print(f"One answer:\n{json.dumps(await response.json(), indent=2, ensure_ascii=False)}\n")
        print(f"What Gemini was asked:\n{json.dumps(fake[CALLS][-1].body, indent=2, ensure_ascii=False)}\n")
        async with session.post(f"{base}/chat/completions", json={**body, "stream": True}) as response:
            response.raise_for_status()
            print(f"The same, streamed:\n{(await response.read()).decode()}")
