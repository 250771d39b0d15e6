"""`gateway alert`: send a test message to the webhook of `plugins.alert`."""

import argparse
import asyncio

import aiohttp

from gateway.cli.arguments import add_config
from gateway.config.load import load
from gateway.observability.console import say
from gateway.plugin import SERVICES
from gateway.plugins.alert.plugin import AlertPlugin
from gateway.server.application import build_app


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["test"], help="test: send one message that says that it is a test")
    add_config(parser)


def run(options: argparse.Namespace) -> int:
    """Send the message. Return 0, or 1 with the reason why it did not arrive."""
    app = build_app(*load(options.config))
    plugin = app[SERVICES].plugins.get("alert")
    if not isinstance(plugin, AlertPlugin):
        say(f"gateway alert: {options.config} has no `plugins.alert`")
        return 1
    try:
        asyncio.run(plugin.send_test())
    except aiohttp.ClientError as error:  # its text has the type of the cause, not the URL
        say(f"gateway alert: the message was not sent: {type(error).__name__}: {error}".rstrip(": "))
        return 1
    print("sent")
    return 0
