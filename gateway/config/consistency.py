"""Checks across settings: values that are valid alone and contradict each other."""

from collections.abc import Iterator
from ipaddress import ip_network

from gateway.config.admin import SINGLE
from gateway.config.capabilities import capability_table
from gateway.config.prices import successor_rows
from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.errors import ConfigError, Fault
from gateway.gemini.capabilities import CapabilityTable
from gateway.policy.clients.access import ISSUED
from gateway.policy.models.catalog import (
    ModelsConfig,
    alias_fault,
    fallback_fault,
    model_fault,
    successor_fault,
)
from gateway.policy.models.model_kinds import PURPOSES
from gateway.policy.models.pricing import order_fault
from gateway.policy.models.successors import cycle_fault

_SHIPPED = ModelsConfig().defaults


def contradictions(config: GatewayConfig, source: Source) -> list[Fault]:
    """Return a fault for each contradiction, at its place in the file."""
    faults = [
        source.fault(("models", "aliases", name), f"models.aliases.{name}: {message}")
        for name in config.models.aliases
        if (message := alias_fault(config.models, name)) is not None
    ]
    faults += [
        source.fault(("models", "fallbacks", pattern), f"models.fallbacks.{pattern}: {message}")
        for pattern in config.models.fallbacks
        if (message := fallback_fault(config.models, pattern)) is not None
    ]
    faults += _model_faults(config, source)
    if config.upstream.base_url.rstrip("/").endswith(("/v1", "/v1beta", "/v1alpha")):
        message = "upstream.base_url: without the API version, which is upstream.api_version"
        faults.append(source.fault(("upstream", "base_url"), message))
    admin, listen = config.admin, config.listen
    on_ports = admin.port and not admin.unix and not listen.unix
    if on_ports and (admin.host, admin.port) == (listen.host, listen.port):
        faults.append(source.fault(("admin", "port"), f"admin.port: {admin.port} is also listen.port"))
    faults += _admin_faults(config, source)
    for network in config.connections.trusted_proxies:
        try:
            ip_network(network)
        except ValueError as error:
            message = f"connections.trusted_proxies: {error}; expected a network such as 10.0.0.0/8"
            faults.append(source.fault(("connections", "trusted_proxies"), message))
    return faults


def _model_faults(config: GatewayConfig, source: Source) -> Iterator[Fault]:
    """Yield the faults of default models, successors and prices."""
    abilities = _abilities(config, source)
    for setting, model in config.models.defaults.items():
        message = model_fault(config.models, model)
        if setting in PURPOSES and (
            message is None or model == _SHIPPED[setting]
        ):  # other prefixes: not used
            message = _kind_fault(abilities, setting, model) if abilities else None
        if message is not None:
            yield source.fault(("models", setting), f"models.{setting}: {message}")
    rows = successor_rows(config.models)
    for name in config.models.successors:
        message = successor_fault(config.models, name) or cycle_fault(rows, name)
        if message is not None:
            yield source.fault(("models", "successors", name), f"models.successors.{name}: {message}")
    for pattern, prices in config.ledger.prices.items():
        message = model_fault(config.models, pattern)
        if message is None and isinstance(prices, tuple):
            message = order_fault(prices)
        if message is not None:
            yield source.fault(("ledger", "prices", pattern), f"ledger.prices.{pattern}: {message}")


def _abilities(config: GatewayConfig, source: Source) -> CapabilityTable | None:
    """Return the table of abilities, or None where `abilities` has faults, which are reported for themselves."""
    try:
        return capability_table(config.abilities, source)
    except ConfigError:
        return None


def _kind_fault(abilities: CapabilityTable, kind: str, model: str) -> str | None:
    """Return the fault of a default model of another kind, or None."""
    known = abilities.of(model)
    if known.kind == kind:
        return None
    return (
        f"{model!r} is a model of the kind {known.kind}, not {kind}. "
        f"If that is wrong, correct it: `abilities: {{{model}: {{kind: {kind}}}}}`"
    )


def _admin_faults(config: GatewayConfig, source: Source) -> Iterator[Fault]:
    """Yield the faults of the operators' tokens, and of the proxy that is trusted.

    Whoever holds a key that is an operator's token, too, could administer the gateway.
    """
    holders: dict[str, str] = {}
    for path, token in config.admin.secrets().items():
        setting, text, message = ".".join(path), token.reveal(), ""
        if text.startswith(ISSUED):
            message = f"begins with {ISSUED}, as the keys of clients do: choose a token of its own"
        elif any(token in project.keys for project in config.pool.projects):
            message = "is also a key of pool.projects: choose a token of its own"
        elif text in holders:
            message = f"is the same as {holders[text]}: the audit could not tell the operators apart"
        holders.setdefault(text, setting)
        if message:
            yield source.fault(path, f"{setting} {message}")
    if config.admin.token is not None and SINGLE in config.admin.tokens:
        message = f"admin.tokens.{SINGLE}: this is the name of the operator who holds admin.token"
        yield source.fault(("admin", "tokens", SINGLE), message, key=True)
    if config.admin.trust is not None:
        for message in config.admin.trust.faults():
            yield source.fault(("admin", "trust", "proxies"), f"admin.trust.proxies: {message}")
