"""`gateway fake`: run the Gemini emulator (docs/emulator.md)."""

import argparse
from pathlib import Path

from gateway.cli.arguments import address
from gateway.emulator.server import serve_fake


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--listen",
        metavar="HOST:PORT",
        type=address,
        default=("127.0.0.1", 9090),
        help="address to listen on (default: 127.0.0.1:9090)",
    )
    parser.add_argument(
        "--script", metavar="FILE", type=Path, help="YAML rules that choose the answers (docs/emulator.md)"
    )


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    return serve_fake(*options.listen, script=options.script)
