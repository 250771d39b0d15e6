"""`gateway doctor`: look for what would keep the gateway from serving, each with a remedy."""

import argparse
import os
import resource
import shutil
import site
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import time

import msgspec

from gateway.cli.arguments import add_config, base_url
from gateway.cli.doctor_network import Finding, failed, network_checks, passed, skipped
from gateway.config.load import NO_FILE, load
from gateway.config.model_table import OLD_DAYS, age, model_table
from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.errors import ConfigError
from gateway.server.application import build_app
from gateway.server.store_files import file_states
from gateway.server.stores import ledger_url

FINDINGS, NOT_RUN = 1, 2
"""Exit codes: something was found; the examination itself could not be made."""
_FILES_PER_REQUEST = 2
"""Descriptors: the client's connection and that to Google."""
_SPARE_FILES = 200
_MIN_FREE = 200 * 2**20
"""Bytes of free space below which the disk is reported."""
_KNOWN_PTH = ("distutils-precedence.pth", "__editable__.", "a1_coverage.pth")
"""Files that Python runs at each start: of setuptools, of packages installed with `pip install -e`, and of coverage."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of lines")
    parser.add_argument(
        "--online", action="store_true", help="try each key of the pool with one free call of Google"
    )
    parser.add_argument(
        "--url",
        type=base_url,
        help="public base URL, such as https://gateway.example.com: ask it for a streamed answer with the key in "
        "GATEWAY_API_KEY, to see whether a proxy holds it back",
    )
    parser.add_argument(
        "--model", default="gemini-flash-lite-latest", help="model for --url (default: %(default)s)"
    )


def run(options: argparse.Namespace) -> int:
    """Print all findings. Return 0 if all is well, 1 if something was found, 2 if the examination failed."""
    try:
        findings = list(examine(options))
    except Exception as error:  # noqa: BLE001 - a fault of the doctor is not one of the patient
        print(f"gateway doctor: could not be run: {type(error).__name__}: {error}", file=sys.stderr)
        return NOT_RUN
    has_failed = any(finding.result == "failed" for finding in findings)
    if options.json:
        print(msgspec.json.encode({"ok": not has_failed, "findings": findings}).decode())
    else:
        print("\n".join(map(str, findings)))
    return FINDINGS if has_failed else 0


def examine(options: argparse.Namespace) -> Iterator[Finding]:
    """Yield what each check finds. Checks of a configuration that cannot be read are left out."""
    yield from python()
    try:
        config, source = load(options.config)
        build_app(config, source)
    except ConfigError as error:
        for fault in error.faults:
            yield failed(
                "config", str(fault), "Correct the file; docs/refer/config.md describes each setting."
            )
        return
    is_file = source.file != NO_FILE
    yield passed(
        "config", f"{source.file} is valid" if is_file else f"{NO_FILE}: every setting has its default"
    )
    yield models(time())
    for check in (descriptors, keys, disk, ledger, stores):
        yield from _guarded(check, config, source)
    yield from network_checks(config, options)


def _guarded(
    check: "Callable[[GatewayConfig, Source], Iterator[Finding]]", config: GatewayConfig, source: Source
) -> Iterator[Finding]:
    """Run one check; an unexpected exception of it is a finding, and the others go on."""
    try:
        yield from check(config, source)
    except Exception as error:  # noqa: BLE001 - drivers raise exceptions of their own
        yield failed(
            check.__name__, f"the check failed: {type(error).__name__}: {error}", "Look at this first."
        )


def python() -> Iterator[Finding]:
    """Check Python, aiohttp's parsers in C, and code that Python runs at each start."""
    from aiohttp import http_parser

    if os.environ.get("AIOHTTP_NO_EXTENSIONS"):
        yield failed(
            "python",
            "AIOHTTP_NO_EXTENSIONS is set: HTTP is parsed in Python, slower and less strictly.",
            "Unset it for the service.",
        )
    elif http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        yield failed(
            "python",
            "aiohttp was installed without its parser in C.",
            "Install aiohttp from a wheel: make install does so.",
        )
    else:
        yield passed("python", f"Python {sys.version.split()[0]}, with aiohttp's parser in C")
    folders = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    unknown = [
        path
        for folder in folders
        for path in sorted(Path(folder).glob("*.pth"))
        if not path.name.startswith(_KNOWN_PTH) and _runs_code(path)
    ]
    for path in unknown:
        yield failed(
            "startup",
            f"{path} has code that Python runs at each start, with all rights of the gateway.",
            "Find out which package brought it; if none is known, install into a new environment.",
        )
    if not unknown:
        yield passed("startup", "no unknown code runs at the start of Python")


def _runs_code(path: Path) -> bool:
    """Return whether a .pth file has lines that are run (https://docs.python.org/3/library/site.html)."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return True
    return any(line.startswith(("import ", "import\t")) for line in lines)


def models(at: float) -> Finding:
    """Check the age of the table of models at a time in Unix seconds."""
    day, days = model_table().date, age(at)
    if days > OLD_DAYS:
        return failed(
            "models",
            f"the table of models and prices is of {day}, {days} days old: budgets may count wrong prices.",
            "Update the gateway, or compare the table: gateway models --compare, gateway prices --compare FILE.",
        )
    return passed("models", f"the table of models and prices is of {day}, {days} days old")


def descriptors(config: GatewayConfig, _: Source) -> Iterator[Finding]:
    """Check that there are descriptors for all requests that are allowed at once."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    needed = config.limits.streams * _FILES_PER_REQUEST + _SPARE_FILES
    if limit != resource.RLIM_INFINITY and limit < needed:
        yield failed(
            "descriptors",
            f"{limit} files may be open, and limits.streams: {config.limits.streams} needs {needed}.",
            f"Set LimitNOFILE={needed} in the unit (65536 as shipped), or lower limits.streams.",
        )
    else:
        yield passed("descriptors", f"{limit} files may be open; {needed} are needed")


def keys(config: GatewayConfig, _: Source) -> Iterator[Finding]:
    """Check the form of the pool's keys. Nothing of a key is shown."""
    if not config.pool.projects:
        yield skipped("keys", "there is no pool: clients bring their own keys")
        return
    odd = False
    for project in config.pool.projects:
        for number, secret in enumerate(project.keys, 1):
            key = secret.reveal()
            if not (key.startswith("AIza") and len(key) == 39) and not (
                key.startswith("AQ.") and len(key) > 20
            ):
                odd = True
                yield failed(
                    "keys",
                    f"key {number} of project {project.name} does not look like a Gemini key, which "
                    "begins with AQ. or is 39 characters that begin with AIza.",
                    "Compare it with https://aistudio.google.com/apikey.",
                )
    if not odd:
        yield passed("keys", "all keys of the pool have the form of a Gemini key; --online tries them")


def disk(config: GatewayConfig, _: Source) -> Iterator[Finding]:
    """Check that the folder of the state is writable and has space."""
    folder = Path(os.environ.get("STATE_DIRECTORY", "").partition(":")[0] or Path.cwd())
    url = ledger_url(config, os.environ)
    if url is not None and "://" not in url:
        folder = Path(url).parent
    elif config.state.file is None and "STATE_DIRECTORY" not in os.environ:
        yield skipped("disk", "nothing is stored on disk")
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        yield failed(
            "disk",
            f"{folder} is not writable, or does not exist.",
            "Create it for the user of the service; the unit has StateDirectory=gateway.",
        )
        return
    free = shutil.disk_usage(folder).free
    if free < _MIN_FREE:
        yield failed(
            "disk",
            f"{folder} has {free >> 20} MB of free space.",
            "Free some; a full disk loses rows of the ledger once its buffer is full.",
        )
    else:
        yield passed("disk", f"{folder} is writable and has {free >> 20} MB of free space")


def ledger(config: GatewayConfig, _: Source) -> Iterator[Finding]:
    """Check that the ledger's database is sound, without changing it."""
    url = ledger_url(config, os.environ)
    if url is None:
        yield skipped("ledger", "there is no ledger")
    elif "://" in url:
        yield _postgresql(url, config)
    elif not Path(url).exists():
        yield skipped("ledger", f"{url} does not exist yet; the first start creates it")
    else:
        from gateway.store.sqlite_file import damage

        error = EOFError("it is empty") if Path(url).stat().st_size == 0 else damage(Path(url))
        if error is None:
            yield passed("ledger", f"{url} is sound")
        else:
            yield failed(
                "ledger",
                f"{url} is corrupt: {' '.join(str(error).split())}.",
                "Restore it from a backup (docs/do/backup-upgrade.md, Back up), or set ledger.on_corrupt: fresh.",
            )


def stores(config: GatewayConfig, _: Source) -> Iterator[Finding]:
    """Check that no SQLite file is of a newer gateway, and say which ones a start would upgrade."""
    states = [state for state in file_states(config, os.environ) if state.kind != "unreadable"]
    newer = [state for state in states if state.kind == "newer"]
    for state in newer:
        message, remedy = state.fault.split(". ", 1)
        yield failed("stores", f"{message}.", f"{remedy}.")
    older = [state for state in states if state.version is not None and state.version < state.supported]
    if older:
        yield passed("stores", "; ".join(map(str, older)))
    elif not newer:
        yield (
            passed("stores", "all files have the schemas of this gateway")
            if states
            else skipped("stores", "nothing is stored in files")
        )


def _postgresql(url: str, config: GatewayConfig) -> Finding:
    import psycopg

    password = config.ledger.password
    try:
        with psycopg.connect(
            url, password=password.reveal() if password is not None else None, connect_timeout=5
        ):
            return passed("ledger", "PostgreSQL answers")
    except psycopg.Error as error:
        return failed(
            "ledger",
            f"PostgreSQL does not answer: {(str(error).splitlines() or [''])[0]}.",
            "Check the server, ledger.url and ledger.password; on a private address, add IPAddressAllow= to "
            "the unit.",
        )
