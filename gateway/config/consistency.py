"""Checks across settings: values that are valid alone and contradict each other."""

from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.errors import Fault
from gateway.policy.catalog import alias_fault, fallback_fault


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
    if config.upstream.base_url.rstrip("/").endswith(("/v1", "/v1beta", "/v1alpha")):
        message = "upstream.base_url: without the API version, which is upstream.api_version"
        faults.append(source.fault(("upstream", "base_url"), message))
    admin, listen = config.admin, config.listen
    on_ports = admin.port and not admin.unix and not listen.unix
    if on_ports and (admin.host, admin.port) == (listen.host, listen.port):
        faults.append(source.fault(("admin", "port"), f"admin.port: {admin.port} is also listen.port"))
    return faults
