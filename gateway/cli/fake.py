"""`gateway fake`: run the Gemini emulator (docs/emulator.md)."""

import argparse
from functools import cache
from pathlib import Path
from time import time

from gateway.cli.arguments import address, amount
from gateway.config.model_table import model_table
from gateway.emulator.models import MODELS
from gateway.emulator.server import serve_fake
from gateway.policy.models.successors import Successors


def answering(model: str) -> str:
    """Return the model that answers today for a name, by the shipped models.yaml."""
    return _successors().listed(model, time())


@cache
def _successors() -> Successors:
    return Successors(model_table().successors)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--listen",
        metavar="HOST:PORT",
        type=address,
        default=("127.0.0.1", 8090),
        help="address to listen on (default: 127.0.0.1:8090)",
    )
    parser.add_argument(
        "--script", metavar="FILE", type=Path, help="YAML rules that choose the answers (docs/emulator.md)"
    )
    parser.add_argument(
        "--input-limit",
        metavar="MODEL=TOKENS",
        type=_limit,
        action="append",
        default=[],
        help="the most input tokens of a model, in place of Google's; may be given several times",
    )
    parser.add_argument(
        "--batch-seconds",
        metavar="SECONDS",
        type=amount,
        help="how long a batch takes; without it, a batch is done when it was read twice",
    )


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    return serve_fake(
        *options.listen,
        script=options.script,
        limits=dict(options.input_limit),
        answering=answering,
        batch_seconds=options.batch_seconds,
    )


def _limit(text: str) -> tuple[str, int]:
    model, _, tokens = text.partition("=")
    if model not in MODELS:
        raise argparse.ArgumentTypeError(f"{model!r} is none of the emulator's models: {', '.join(MODELS)}")
    if not tokens.isdecimal() or not int(tokens):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form MODEL=TOKENS, such as {model}=32000")
    return model, int(tokens)
