"""`gateway serve`: run the gateway."""

import argparse
from typing import TYPE_CHECKING

from gateway.server.process.light_imports import light_imports
from gateway.upstream.default_tls import late_certificates

with late_certificates(), light_imports():  # before any other import of aiohttp
    import aiohttp.web  # noqa: F401 - what imports it later finds it as it is made here
    import httptools  # noqa: F401
    from aiohttp.http_parser import HttpRequestParser, HttpRequestParserPy

from gateway.cli.arguments import add_config, add_listen, base_url
from gateway.config.load import NO_FILE, load
from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.observability.console import say
from gateway.observability.journal import ERROR
from gateway.server.process.serving import serve

if TYPE_CHECKING:
    from gateway.cli.doctor_network import Finding

EX_CONFIG = 78
"""sysexits.h"""
_NO_C_PARSER = (
    "aiohttp runs without its C parser; the parser in Python has had advisories about request smuggling "
    "(CVE-2023-47641, CVE-2025-69224). Unset AIOHTTP_NO_EXTENSIONS, or install aiohttp from a wheel."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    add_listen(parser, "address to listen on, in place of `listen`")
    parser.add_argument(
        "--upstream", metavar="URL", type=base_url, help="Gemini's base URL, in place of `upstream.base_url`"
    )


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT. `--listen` also overrides sockets inherited from systemd."""
    if HttpRequestParser is HttpRequestParserPy:
        say(_NO_C_PARSER, ERROR)
        return EX_CONFIG

    files: set[str] = set()

    def read() -> tuple[GatewayConfig, Source]:
        config, source = load(options.config, listen=options.listen, upstream=options.upstream)
        if options.config is None and source.file not in files:
            files.add(source.file)
            say(_origin(source))
        return config, source

    def examine(online: bool) -> "list[Finding]":
        from gateway.cli import doctor

        chosen = argparse.Namespace(config=options.config, online=online, url=None, model="")
        return list(doctor.examine(chosen))

    return serve(read, ignore_inherited=options.listen is not None, examine=examine)


def _origin(source: Source) -> str:
    """Return the message about a configuration that the command line does not name."""
    if source.file == NO_FILE:
        return f"gateway: {NO_FILE}: serving the defaults; `gateway init` writes a file with all settings"
    return f"gateway: configuration: {source.file}"
