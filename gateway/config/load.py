"""Find the configuration, and load it as GatewayConfig."""

import os
from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from gateway.config.sections import GatewayConfig, ListenConfig
from gateway.config.source import Source, read_file
from gateway.errors import ConfigError, Fault

FILE_VARIABLE = "GATEWAY_CONFIG"
"""Environment variable with the path of the configuration file."""
TEXT_VARIABLE = "GATEWAY_CONFIG_YAML"
"""Environment variable with a whole configuration, for containers without a file."""
FILES = (Path("gateway.yaml"), Path("config/gateway.yaml"))
"""Files of the working directory that are used if nothing names one: of `gateway init`, and of a checkout."""
NO_FILE = "no configuration file"
"""Name of the source if there is no file: every setting has its default."""


def load(
    path: Path | None,
    *,
    listen: tuple[str, int] | None = None,
    upstream: str | None = None,
    lazy_secrets: bool = False,
) -> tuple[GatewayConfig, Source]:
    """Return the configuration of a file, or of the environment if the path is None, and its source.

    `listen` (host and port) and `upstream` (a base URL) replace what the file says. With `lazy_secrets`, those
    that a command does not reveal may be missing. Raises ConfigError.
    """
    source = find(os.environ) if path is None else read_file(path)
    source.lazy_secrets = lazy_secrets
    config = source.decode(GatewayConfig)
    config = beside(source, config)
    if listen is not None:
        config = replace(config, listen=ListenConfig(*listen))
    if upstream is not None:
        config = replace(config, upstream=replace(config.upstream, base_url=upstream))
    return config, source


def find(environ: Mapping[str, str]) -> Source:
    """Return the source that the environment names, otherwise the first of FILES that exists, otherwise an empty one.

    An empty variable counts as unset, as in compose files. Raises ConfigError.
    """
    text, file = environ.get(TEXT_VARIABLE), environ.get(FILE_VARIABLE)
    if text and file:
        message = f"{FILE_VARIABLE} is set, too: unset one of them, or name the file with --config"
        raise ConfigError((Fault(TEXT_VARIABLE, 1, 1, message),))
    if text:
        return Source(text, TEXT_VARIABLE, environ)
    if file:
        return read_file(Path(file))
    existing = next((path for path in FILES if path.exists()), None)
    return Source("", NO_FILE, environ) if existing is None else read_file(existing)


def folder_of(source: Source) -> Path | None:
    """Return the folder of the YAML file, or None for a configuration that is not in a file."""
    return None if source.file in (NO_FILE, TEXT_VARIABLE) else Path(source.file).absolute().parent


def beside(source: Source, config: GatewayConfig) -> GatewayConfig:
    """Return the configuration with the names of files as paths beside the YAML file `source.file`.

    The service has STATE_DIRECTORY (systemd.exec(5)) for them, which takes its place. The folder that a command is run
    in has no part in it, so that the gateway and its commands use the same files.
    """
    folder = folder_of(source)
    if os.environ.get("STATE_DIRECTORY") or folder is None:
        return config
    ledger, state = config.ledger, config.state
    url = ledger.url or ("ledger.db" if config.pool.projects else None)
    if url is not None and "://" not in url:
        ledger = replace(ledger, url=str(folder / url))
    if state.file is not None:
        state = replace(state, file=str(folder / state.file))
    return replace(config, ledger=ledger, state=state)
