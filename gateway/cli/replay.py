"""`gateway replay`: show a request that the plugin `capture` has kept, or send it again."""

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import msgspec

from gateway.cli.arguments import add_config, base_url
from gateway.config.load import load
from gateway.observability.console import say
from gateway.plugins.capture import files
from gateway.plugins.capture.record import Captured
from gateway.store.state_folder import state_path

_TIMEOUT = 600.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("request", metavar="FILE|ID", help="file of a captured request, or the request's id")
    parser.add_argument(
        "--part",
        choices=["request", "calls", "answer"],
        help="print only this body, as JSON for other programs",
    )
    parser.add_argument(
        "--send", action="store_true", help="send the client's request again, with the key in GATEWAY_API_KEY"
    )
    parser.add_argument(
        "--url", type=base_url, help="gateway to send it to (default: `listen` of the configuration)"
    )
    add_config(parser)


def run(options: argparse.Namespace) -> int:
    """Show or send a captured request. Return 0, or 1 with the reason."""
    try:
        record = files.read(_path(options.request))
    except (OSError, ValueError) as error:
        say(f"gateway replay: {error}")
        return 1
    if options.send:
        return _send(record, options)
    if options.part:
        print(json.dumps(getattr(record, options.part), indent=2, ensure_ascii=False))
    else:
        print(json.dumps(msgspec.to_builtins(record), indent=2, ensure_ascii=False))
    return 0


def _path(name: str) -> Path:
    """Return the file of a request. Raises FileNotFoundError."""
    if Path(name).is_file():
        return Path(name)
    folder = state_path("plugins/capture", os.environ)
    path = files.find(folder, name)
    if path is None:
        raise FileNotFoundError(
            f"no file and no request in {folder} is named {name!r}; on a server, run it as the service's user with "
            "STATE_DIRECTORY=/var/lib/gateway"
        )
    return path


def _send(record: Captured, options: argparse.Namespace) -> int:
    """Send a request again, and print status and answer."""
    key = os.environ.get("GATEWAY_API_KEY")
    if record.request is None:
        say("gateway replay: the client's request was not kept")
        return 1
    if not key:
        say("gateway replay: set GATEWAY_API_KEY to the key to send it with")
        return 1
    url = (options.url or _own_url(options.config)) + record.path.removesuffix(" (background)")
    request = urllib.request.Request(url, json.dumps(record.request).encode(), method=record.method)  # noqa: S310
    request.add_header("Content-Type", "application/json")
    native = record.surface in ("native", "interactions")
    request.add_header("x-goog-api-key" if native else "Authorization", key if native else f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310 - checked by base_url
            return _print(answer, 0)
    except urllib.error.HTTPError as error:
        return _print(error, 1)
    except OSError as error:
        say(f"gateway replay: {url} does not answer: {getattr(error, 'reason', error)}")
        return 1


def _print(answer: Any, code: int) -> int:
    print(f"HTTP {answer.status}", file=sys.stderr)
    while piece := answer.read1(65536):
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
    print()
    return code


def _own_url(file: Path) -> str:
    listen = load(file, lazy_secrets=True)[0].listen
    return f"http://{f'[{listen.host}]' if ':' in listen.host else listen.host}:{listen.port}"
