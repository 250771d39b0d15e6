"""`gateway serve`: run the gateway."""

import argparse

from gateway.cli.arguments import add_config, address, base_url
from gateway.config.load import load
from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.server.serving import serve


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument(
        "--listen", metavar="HOST:PORT", type=address, help="address to listen on, in place of `listen`"
    )
    parser.add_argument(
        "--upstream", metavar="URL", type=base_url, help="Gemini's base URL, in place of `upstream.base_url`"
    )


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT. `--listen` also overrides sockets inherited from systemd."""

    def read() -> tuple[GatewayConfig, Source]:
        return load(options.config, listen=options.listen, upstream=options.upstream)

    return serve(read, ignore_inherited=options.listen is not None)
