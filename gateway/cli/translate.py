"""`gateway translate`: a dry run of the `chat` plugin on a file."""

import argparse
import asyncio
import sys
from pathlib import Path

import msgspec

from gateway.cli.arguments import add_config
from gateway.config.load import load
from gateway.errors import GatewayError
from gateway.exchange.incoming.request_body import parse
from gateway.plugin import SERVICES, Services
from gateway.plugins.dry_run import preview
from gateway.policy.clients.access import Client, digest
from gateway.server.application import build_app, open_in_memory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument("file", type=Path, help="a chat request or a Gemini answer; - reads standard input")


def run(options: argparse.Namespace) -> int:
    """Print JSON. Return 1 if the file cannot be read or translated."""
    try:
        data = sys.stdin.buffer.read() if str(options.file) == "-" else options.file.read_bytes()
        services = build_app(*load(options.config))[SERVICES]
        open_in_memory(services)
        print(msgspec.json.format(asyncio.run(_preview(data, services)), indent=2).decode())
    except GatewayError as error:
        place = f"{error.param}: " if error.param else ""
        print(f"{options.file}: {place}{error.message}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{options.file}: cannot be read: {error.strerror}", file=sys.stderr)
        return 1
    return 0


async def _preview(data: bytes, services: Services) -> bytes:
    async with services.media:  # remote files of the request are fetched
        return await preview(parse(data), Client("", "", digest("")), services)
