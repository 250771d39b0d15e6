"""`gateway check`: check a configuration without serving."""

import argparse

from gateway.cli.arguments import add_config
from gateway.config.load import load
from gateway.server.application import build_app

add_arguments = add_config


def run(options: argparse.Namespace) -> int:
    """Print `FILE: ok`. Raises ConfigError with every mistake."""
    build_app(*load(options.config))
    print(f"{options.config}: ok")
    return 0
