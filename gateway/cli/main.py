"""The command line: serve, check, routes, schema, translate, keys, usage, fake, demo."""

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway import __version__
from gateway.cli.keys import add_commands
from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.errors import ConfigError, GatewayError

DEFAULT_CONFIG = Path(os.environ.get("GATEWAY_CONFIG", "config/gateway.yaml"))
EX_CONFIG = 78
"""The exit code of sysexits.h for a configuration error; systemd shows it by name."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; its exit code: 0, 1 for a failure, 78 for a bad configuration."""
    options = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EX_CONFIG
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `gateway routes | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gateway", description="An OpenAI-compatible gateway to Google Gemini."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = _command(commands, "serve", _serve, "serve until SIGTERM")
    serve.add_argument("--listen", metavar="HOST:PORT", type=_address, help="instead of the file's `listen`")
    serve.add_argument(
        "--upstream", metavar="URL", type=_web_address, help="instead of the file's `upstream.base_url`"
    )
    _command(commands, "check", _check, "say what is wrong with a configuration, by file:line:column")
    _command(commands, "routes", _routes, "list what is served, and by which plugin")
    schema = commands.add_parser("schema", help="print the JSON Schema of the configuration")
    schema.set_defaults(command=_schema)
    translate = _command(
        commands,
        "translate",
        _translate,
        "print what Gemini would be asked for a chat request, or the reverse",
    )
    translate.add_argument(
        "file", type=Path, help="a chat request, or an answer of Gemini's; - is standard input"
    )
    add_commands(commands, _command)
    fake = commands.add_parser("fake", help="serve the Gemini emulator")
    fake.set_defaults(command=_fake)
    fake.add_argument("--listen", metavar="HOST:PORT", type=_address, default=("127.0.0.1", 9090))
    fake.add_argument("--script", metavar="FILE", type=Path, help="rules that choose the replies")
    demo = commands.add_parser(
        "demo", help="serve on the emulator, and show one unary and one streamed answer"
    )
    demo.set_defaults(command=_demo)
    demo.add_argument("--listen", metavar="HOST:PORT", type=_address, default=("127.0.0.1", 8080))
    demo.add_argument("--once", action="store_true", help="end after the calls instead of serving on")
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Callable[[argparse.Namespace], int],
    help_text: str,
) -> argparse.ArgumentParser:
    """A command that reads the configuration."""
    parser = commands.add_parser(name, help=help_text)
    parser.add_argument("--config", metavar="FILE", type=Path, default=DEFAULT_CONFIG)
    parser.set_defaults(command=run)
    return parser


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"expected HOST:PORT, got {text!r}")
    return host.strip("[]"), int(port)


def _web_address(text: str) -> str:
    if not re.fullmatch(r"https?://[^/?#@]+(/[^?#]*)?", text):
        raise argparse.ArgumentTypeError(f"expected http(s)://HOST, got {text!r}")
    return text


# Commands import what they need themselves: `gateway schema` should not wait for an HTTP server.


def _serve(options: argparse.Namespace) -> int:
    from gateway.server.serving import load, serve

    def again() -> tuple[GatewayConfig, Source]:
        return load(options.config, listen=options.listen, upstream=options.upstream)

    return serve(again, ignore_inherited=options.listen is not None)


def _check(options: argparse.Namespace) -> int:
    from gateway.server.application import build_app
    from gateway.server.serving import load

    build_app(*load(options.config))
    print(f"{options.config}: ok")
    return 0


def _routes(options: argparse.Namespace) -> int:
    from gateway.server.application import PLUGINS, build_app
    from gateway.server.serving import load

    for one in build_app(*load(options.config))[PLUGINS]:
        for route in one.routes:
            print(f"{route.method:<8}{route.path:<40} {one.name}")
    return 0


def _schema(options: argparse.Namespace) -> int:
    from gateway.config.schema import json_schema

    print(json_schema(), end="")
    return 0


def _translate(options: argparse.Namespace) -> int:
    import asyncio

    import msgspec

    from gateway.exchange.delivery import parse
    from gateway.plugin import SERVICES
    from gateway.plugins.dry_run import preview
    from gateway.policy.access import Client, digest
    from gateway.server.application import build_app
    from gateway.server.serving import load

    try:
        data = sys.stdin.buffer.read() if str(options.file) == "-" else options.file.read_bytes()
        services = build_app(*load(options.config))[SERVICES]

        async def run() -> bytes:
            async with services.media:  # remote files of the request are fetched
                return await preview(parse(data), Client("", "", digest("")), services)

        print(msgspec.json.format(asyncio.run(run()), indent=2).decode())
    except GatewayError as error:
        place = f"{error.param}: " if error.param else ""
        print(f"{options.file}: {place}{error.message}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{options.file}: cannot be read: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _fake(options: argparse.Namespace) -> int:
    from gateway.emulator.server import serve_fake

    return serve_fake(*options.listen, script=options.script)


def _demo(options: argparse.Namespace) -> int:
    from gateway.cli.demo import demo

    return demo(*options.listen, once=options.once)


if __name__ == "__main__":
    sys.exit(main())
