"""`gateway demo`: the gateway on its emulator, one complete and one streamed answer, and commands to try next."""

import argparse
import asyncio
import errno
import json
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
from aiohttp import web

from gateway.cli import demo_console
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

_CONSOLE = """
The operators' console, with requests that the demo sends itself:

  {url}
  token: {token}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_listen(parser, "address to listen on, 127.0.0.1:8080 by default", ("127.0.0.1", 8080))
    parser.add_argument("--once", action="store_true", help="exit after the answers instead of serving on")


def run(options: argparse.Namespace) -> int:
    """Show the answers, then serve until SIGTERM or SIGINT unless `--once` is given."""
    with TemporaryDirectory() as folder:
        return asyncio.run(_demo(*options.listen, folder=None if options.once else Path(folder)))


async def _demo(host: str, port: int, *, folder: Path | None) -> int:
    """Show the answers; then serve on, with the console's ledger in `folder`, unless that is None."""
    emulator = build_fake(answering=answering)
    upstream = web.AppRunner(emulator, access_log=None)
    await upstream.setup()
    await web.TCPSite(upstream, "127.0.0.1", 0).start()
    upstream_url = f"http://127.0.0.1:{upstream.addresses[0][1]}"
    listen = ListenConfig(host=host, port=port)
    config = GatewayConfig(listen=listen, upstream=UpstreamConfig(base_url=upstream_url))
    token = secrets.token_urlsafe(9)
    has_console = folder is not None and demo_console.is_available()
    if folder is not None and has_console:
        config = demo_console.with_console(config, folder, token)
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
        if folder is not None:
            async with _console(app, config, base, token) if has_console else nullcontext():
                print(f"Serving on {base} until Ctrl-C.", flush=True)
                await stop_signal().wait()
    finally:
        await drain(runner, runner, app[DRAIN], 5)
        await upstream.cleanup()
    return 0


@asynccontextmanager
async def _console(app: web.Application, config: GatewayConfig, base: str, token: str) -> AsyncIterator[None]:
    """Serve the console on the next port, and keep the gateway busy."""
    port = config.listen.port and config.listen.port + 1
    runner = await demo_console.serve_console(app, config, base.removesuffix("/v1"), port)
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    print(_CONSOLE.format(url=f"{url}/", token=token))
    traffic = asyncio.create_task(demo_console.keep_busy(base, url, token))
    try:
        yield
    finally:
        traffic.cancel()
        await asyncio.gather(traffic, return_exceptions=True)
        await runner.cleanup()


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
