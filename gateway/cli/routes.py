"""`gateway routes`: list the routes of a configuration."""

import argparse

from gateway.cli.arguments import add_config
from gateway.config.load import load
from gateway.server.application import PLUGINS, build_app

add_arguments = add_config


def run(options: argparse.Namespace) -> int:
    """Print method, path and plugin of each route."""
    for entry in build_app(*load(options.config))[PLUGINS]:
        for route in entry.routes:
            print(f"{route.method:<8}{route.path:<40} {entry.name}")
    return 0
