"""`gateway schema`: print the JSON Schema of the configuration, for editors."""

import argparse

from gateway.config.schema import json_schema


def add_arguments(_: argparse.ArgumentParser) -> None:
    """Add nothing: the schema is that of this version."""


def run(_: argparse.Namespace) -> int:
    """Print the schema."""
    print(json_schema(), end="")
    return 0
