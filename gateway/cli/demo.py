"""`gateway demo`: the gateway on its emulator, one complete and one streamed answer, and commands to try next."""

import argparse
import asyncio
import errno
import json
import sys
from typing import Any

import aiohttp
from aiohttp import web

from gateway.cli.arguments import add_listen, reachable
from gateway.cli.fake import answering
from gateway.config.sections import GatewayConfig, ListenConfig, UpstreamConfig
from gateway.config.source import Source
from gateway.emulator.server import CALLS, build_fake
from gateway.server.application import build_app
from gateway.server.lifecycle import DRAIN, drain, stop_signal
from gateway.server.listeners import refusal
from gateway.server.protocol import Runner

_MODEL = "gemini-flash-latest"
_HEADERS = {"Authorization": "Bearer demo-key"}

_NEXT = """
Try it yourself:

  curl {base}/chat/completions -H 'Authorization: Bearer demo-key' \\
    -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello!"}}]}}'

or with the openai SDK:

  from openai import OpenAI
  client = OpenAI(base_url="{base}", api_key="demo-key")
  messages = [{{"role": "user", "content": "Hello!"}}]
  answer = client.chat.completions.create(model="{model}", messages=messages)
  print(answer.choices[0].message.content)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_listen(parser, "address to listen on, 127.0.0.1:8080 by default", ("127.0.0.1", 8080))
    parser.add_argument("--once", action="store_true", help="exit after the answers instead of serving on")


def run(options: argparse.Namespace) -> int:
    """Show the answers, then serve until SIGTERM or SIGINT unless `--once` is given."""
    return asyncio.run(_demo(*options.listen, once=options.once))


async def _demo(host: str, port: int, *, once: bool) -> int:
    emulator = build_fake(answering=answering)
    upstream = web.AppRunner(emulator, access_log=None)
    await upstream.setup()
    await web.TCPSite(upstream, "127.0.0.1", 0).start()
    upstream_url = f"http://127.0.0.1:{upstream.addresses[0][1]}"
    listen = ListenConfig(host=host, port=port)
    config = GatewayConfig(listen=listen, upstream=UpstreamConfig(base_url=upstream_url))
    app = build_app(config, Source("", "demo"))
    runner = Runner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        by_make = ", or with `make demo PORT=...`" if error.errno == errno.EADDRINUSE else ""
        print(f"cannot listen: {refusal(error, listen)}{by_make}", file=sys.stderr)
        await runner.cleanup()
        await upstream.cleanup()
        return 1
    base = f"http://{_in_url(reachable(host))}:{runner.addresses[0][1]}/v1"
    try:
        await _show(base, emulator)
        print(_NEXT.format(base=base, model=_MODEL))
        if not once:
            print(f"Serving on {base} until Ctrl-C.", flush=True)
            await stop_signal().wait()
    finally:
        await drain(runner, runner, app[DRAIN], 5)
        await upstream.cleanup()
    return 0


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


async def _show(base: str, emulator: web.Application) -> None:
    """Print both answers and the request that the emulator received."""
    body: dict[str, Any] = {
        "model": _MODEL,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say hello."}],
        "temperature": 0.5,
    }
    async with aiohttp.ClientSession(headers=_HEADERS) as session:
        async with session.post(f"{base}/chat/completions", json=body) as response:
            response.raise_for_status()
            print(f"One answer:\n{json.dumps(await response.json(), indent=2, ensure_ascii=False)}\n")
        print(
            f"The request to Gemini:\n{json.dumps(emulator[CALLS][-1].body, indent=2, ensure_ascii=False)}\n"
        )
        async with session.post(f"{base}/chat/completions", json={**body, "stream": True}) as response:
            response.raise_for_status()
            print(f"Another answer, streamed:\n{(await response.read()).decode()}")
