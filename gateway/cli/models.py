"""`gateway models`: what the table says of models, and its differences from Google's own list."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from time import time
from typing import Any

import msgspec
from msgspec import Struct, structs
from yarl import URL

from gateway.cli.arguments import add_config
from gateway.config.capabilities import capability_table
from gateway.config.load import load
from gateway.config.model_table import age, model_table
from gateway.config.prices import prices, successors
from gateway.config.sections import GatewayConfig
from gateway.errors import GatewayError
from gateway.gemini.capabilities import CapabilityTable
from gateway.gemini.resources import ModelRecord, decode_page
from gateway.policy.models.catalog import Catalog
from gateway.policy.models.pricing import Prices
from gateway.server.application import build_app
from gateway.upstream.client import GeminiClient

_MAX_PAGES = 20
_GENERATES = "generateContent"
_NO_PRICE = "no price: it costs the dearest of each kind"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument(
        "model",
        nargs="*",
        help="names to show, as clients send them (default: the defaults, aliases, and names that others answer for)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON array in place of lines")
    parser.add_argument(
        "--compare",
        action="store_true",
        help="ask Google for its list of models, with a key of the pool, and print what the table lacks or says "
        "otherwise; exit code 1 if something does",
    )


class Entry(Struct, frozen=True, omit_defaults=True):
    """One model, as the table and, in a comparison, Google describe it."""

    model: str
    answered_by: str
    """The model whose capabilities and price apply; the model itself unless another one answers."""
    thinking: str
    output_tokens: int | None
    """The longest answer, where the table says it."""
    input: float
    """US dollars for a million tokens."""
    output: float
    differences: tuple[str, ...] = ()


def run(options: argparse.Namespace) -> int:
    """Print the models. Raises ConfigError with every mistake of the configuration."""
    config, source = load(options.config)
    build_app(config, source)
    table = prices(config.ledger, successors(config.models))
    abilities = capability_table(config.abilities, source)
    if options.compare:
        return _compare(config, table, abilities, as_json=options.json)
    at = time()
    chosen = [*config.models.defaults.values(), *config.models.aliases]
    names = options.model or [*chosen, *model_table().successors, *config.models.successors]
    try:
        entries = [asked(config, name, table, abilities, at) for name in dict.fromkeys(names)]
    except GatewayError as error:
        print(f"gateway models: {error}", file=sys.stderr)
        return 2
    _print(entries, as_json=options.json)
    return 0


def asked(config: GatewayConfig, name: str, table: Prices, abilities: CapabilityTable, at: float) -> Entry:
    """Return the entry of a name as a client sends it: an alias, or a name of the default model, is resolved.

    Raises BadRequest or NotFound for a name that the gateway refuses.
    """
    entry = _entry(Catalog(config.models).resolve(name).model, table, abilities, at)
    unknown = () if table.is_known(entry.answered_by) else (_NO_PRICE,)
    return structs.replace(entry, model=name, differences=unknown)


def _compare(config: GatewayConfig, table: Prices, abilities: CapabilityTable, *, as_json: bool) -> int:
    try:
        records = asyncio.run(listed(config))
    except (GatewayError, LookupError) as error:
        print(f"gateway models: {error}", file=sys.stderr)
        return 2
    entries = compared(records, table, abilities, time())
    if not as_json:
        print(
            f"{len(records)} models of Google's, and the table of {table.version} ({age(time())} days old)\n"
        )
    _print(entries, as_json=as_json)
    names = [record.name.removeprefix("models/") for record in records]
    if not as_json and (missing := _missing(names, config)):
        print(f"\nNot in Google's list: {', '.join(missing)}")
    return 1 if any(entry.differences for entry in entries) else 0


async def listed(config: GatewayConfig) -> list[ModelRecord]:
    """Return Google's models, by the first key of the pool that it accepts. Vertex AI has no list for keys.

    Raises LookupError without a pool, and GatewayError if it accepts none.
    """
    projects = [project for project in config.pool.projects if project.vertex is None]
    keys = [secret.reveal() for project in projects for secret in project.keys]
    if not keys:
        raise LookupError("there is no key to ask Google with: set pool.projects")
    async with GeminiClient(config.upstream) as upstream:
        for key in keys[:-1]:
            try:
                return await _pages(upstream, key)
            except GatewayError:
                continue
        return await _pages(upstream, keys[-1])


async def _pages(upstream: GeminiClient, key: str) -> list[ModelRecord]:
    records: list[ModelRecord] = []
    query = {"pageSize": "1000"}
    for _ in range(_MAX_PAGES):
        page = decode_page(await upstream.ask(str(URL("models").with_query(query)), None, key))
        records += page.models
        if not page.next_page_token:
            break
        query["pageToken"] = page.next_page_token
    return records


def compared(
    records: Sequence[ModelRecord], table: Prices, abilities: CapabilityTable, at: float
) -> list[Entry]:
    """Return an entry for each of Google's models, with what the table lacks or says otherwise."""
    entries = []
    for record in records:
        entry = _entry(record.name.removeprefix("models/"), table, abilities, at)
        differences = []
        if not table.is_known(entry.answered_by):
            differences.append(_NO_PRICE)
        if record.supported_generation_methods and _GENERATES in record.supported_generation_methods:
            limit = record.output_token_limit
            if limit and entry.output_tokens and limit != entry.output_tokens:
                differences.append(f"output_tokens {entry.output_tokens}, Google says {limit}")
            if record.thinking is not None and record.thinking != (entry.thinking != "none"):
                differences.append(f"thinking {entry.thinking}, Google says {str(record.thinking).lower()}")
        entries.append(msgspec.structs.replace(entry, differences=tuple(differences)))
    return entries


def _entry(model: str, table: Prices, abilities: CapabilityTable, at: float) -> Entry:
    answering = table.successors.of(model, at)
    capabilities, price = abilities.of(answering), table.of(model, at)
    depth = (
        f"level {' '.join(capabilities.levels)}"
        if capabilities.thinking == "level"
        else capabilities.thinking
    )
    return Entry(model, answering, depth, capabilities.output_tokens, price.input, price.output)


def _missing(names: Sequence[str], config: GatewayConfig) -> list[str]:
    """Return the models that the table or the configuration names and Google does not list."""
    rows = {**model_table().successors, **config.models.successors}
    chosen = {*rows, *(row.model for row in rows.values()), *config.models.defaults.values()}
    return sorted(name for name in chosen | set(config.models.aliases.values()) if name not in names)


def _print(entries: Sequence[Entry], *, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(entries)).decode())
        return
    lines: list[tuple[Any, ...]] = [("model", "answered by", "thinking", "output", "$ in", "$ out", "")]
    for entry in entries:
        other = entry.answered_by if entry.answered_by != entry.model else ""
        tokens = "" if entry.output_tokens is None else str(entry.output_tokens)
        differences = "; ".join(entry.differences)
        lines.append(
            (entry.model, other, entry.thinking, tokens, f"{entry.input:g}", f"{entry.output:g}", differences)
        )
    widths = [max(len(line[i]) for line in lines) for i in range(6)] + [0]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
