"""Load a configuration file as GatewayConfig."""

from pathlib import Path

from msgspec.structs import replace

from gateway.config.sections import GatewayConfig, ListenConfig
from gateway.config.source import Source, read_file


def load(
    path: Path, *, listen: tuple[str, int] | None = None, upstream: str | None = None
) -> tuple[GatewayConfig, Source]:
    """Return a file's configuration and its source. Raises ConfigError.

    `listen` (host and port) and `upstream` (a base URL) replace what the file says.
    """
    source = read_file(path)
    config = source.decode(GatewayConfig)
    if listen is not None:
        config = replace(config, listen=ListenConfig(*listen))
    if upstream is not None:
        config = replace(config, upstream=replace(config.upstream, base_url=upstream))
    return config, source
