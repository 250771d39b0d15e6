"""`gateway demo`: the gateway on its emulator, a complete and a streamed answer, commands to try, and the console."""

import argparse
import asyncio
import errno
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
from aiohttp import web

from gateway.cli import demo_console
from gateway.cli.arguments import add_listen, reachable
from gateway.cli.fake import answering
from gateway.config.sections import GatewayConfig
from gateway.emulator.server import CALLS, build_fake
from gateway.server.application import build_app
from gateway.server.connection.listeners import refusal
from gateway.server.process.lifecycle import stop_signal
from gateway.server.process.reload import AppSwitcher

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
    with TemporaryDirectory(prefix="gateway-demo-") as folder:
        return asyncio.run(_demo(*options.listen, folder=None if options.once else folder))


async def _demo(host: str, port: int, *, folder: str | None) -> int:
    """Show the answers. With a folder for the ledger, then serve on, with the console and traffic to look at."""
    emulator = build_fake(answering=answering)
    upstream = web.AppRunner(emulator, access_log=None, shutdown_timeout=0.2)
    await upstream.setup()
    await web.TCPSite(upstream, "127.0.0.1", 0).start()
    source = demo_console.source((host, port), f"http://127.0.0.1:{upstream.addresses[0][1]}", folder)
    config = source.decode(GatewayConfig)
    switcher = AppSwitcher(config, build_app(config, source), lambda: (config, source))
    switcher.source = source
    try:
        address = await switcher.start([])
    except OSError as error:
        by_make = ", or with `make demo PORT=...`" if error.errno == errno.EADDRINUSE else ""
        print(f"cannot listen: {refusal(error, config.listen)}{by_make}", file=sys.stderr)
        await switcher.stop()
        await upstream.cleanup()
        return 1
    base = f"http://{_in_url(reachable(host))}:{address.rpartition(':')[2]}/v1"
    try:
        await _show(base, emulator)
        print(_NEXT.format(base=base, model=_MODEL))
        if folder is not None:
            log = Path(folder) / "gateway.log"
            with demo_console.log_to(log):
                async with demo_console.console(switcher, base) as lines:
                    print(f"{lines}\n\nServing on {base} until Ctrl-C. The log is {log}.", flush=True)
                    await stop_signal().wait()
    finally:
        await switcher.stop()
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
