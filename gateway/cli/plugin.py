"""`gateway plugin`: install plugins into the gateway's environment, and again into that of each later version.

The same holds for the gateway's own optional parts (`--extra otel`), which are lines such as `[otel]` of the list.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from configparser import ConfigParser
from pathlib import Path
from shutil import copytree, ignore_patterns
from tempfile import TemporaryDirectory
from zipfile import BadZipFile, ZipFile

from msgspec import Struct

from gateway.cli.plugin_environment import (
    REQUIREMENT_NAME,
    EnvironmentCopy,
    distribution_of,
    extras,
    normal_name,
    own_versions,
)
from gateway.observability.console import say
from gateway.server.plugin_loader import BUILT_IN, GROUP

DEFAULT_LIST = Path(os.environ.get("GATEWAY_PLUGINS", "/etc/gateway/plugins.txt"))
_HEAD = """# Plugins of this server, written by `gateway plugin install`. Each version of the gateway installs them.
# A line is a wheel beside this file, a requirement of pip, or an optional part of the gateway, such as [otel].
"""
_NO_PIP = (
    "this environment has no pip, which installs packages: install the gateway into a virtual environment "
    "(make install does), or build the plugin into your own image or package."
)


class Failed(Exception):
    """A step that did not succeed."""


class Wheel(Struct, frozen=True):
    """A built plugin package."""

    path: Path
    name: str
    version: str
    plugins: tuple[str, ...]
    """Names of its entry points."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    texts = {
        "install": "install or upgrade plugins: names on the package index, folders, wheels, or anything pip takes",
        "remove": "uninstall plugin packages and take them off the list",
        "list": "print the listed packages and their plugins",
        "sync": "install what is listed into this environment; each new version of the gateway does so",
    }
    for name, text in texts.items():
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        command.add_argument(
            "--list",
            metavar="FILE",
            type=Path,
            default=DEFAULT_LIST,
            help="the list (default: $GATEWAY_PLUGINS, or /etc/gateway/plugins.txt)",
        )
        if name in ("install", "remove"):
            command.add_argument("packages", metavar="PACKAGE", nargs="*")
            command.add_argument(
                "--extra",
                metavar="NAME",
                action="append",
                default=[],
                help="an optional part of the gateway: otel (traces), tokens (embeddings of token ids), …",
            )
        command.set_defaults(act=_ACTIONS[name])


def run(options: argparse.Namespace) -> int:
    """Run a subcommand. Return 0, or 1 with a message."""
    try:
        if options.act in (install, remove) and not (options.packages or options.extra):
            raise Failed("name a PACKAGE, or an optional part of the gateway by --extra")
        options.act(options)
    except Failed as error:
        say(f"gateway plugin: {error}")
        return 1
    except OSError as error:
        say(f"gateway plugin: {error.filename or options.list}: {error.strerror or error}")
        return 1
    return 0


def install(options: argparse.Namespace) -> None:
    """Build a wheel of each package, install it, and list it. The same for the gateway's optional parts."""
    for extra in options.extra:
        _install(_requirements(extra), reinstall=False)
        _replace(options.list, f"[{extra}]", f"[{extra}]")
        print(f"installed {extra}; `gateway roll` uses it, and later versions of the gateway have it, too")
    names: list[str] = []
    for package in options.packages:
        with TemporaryDirectory(prefix="gateway-plugin-") as folder:
            wheel = _built(package, Path(folder))
            kept = options.list.parent / "plugins"
            kept.mkdir(parents=True, exist_ok=True)
            target = kept / wheel.path.name
            _install([str(wheel.path)], reinstall=True)
            target.write_bytes(wheel.path.read_bytes())
        _replace(options.list, wheel.name, f"./plugins/{target.name}")
        print(f"installed {wheel.name} {wheel.version}, with the plugins: {', '.join(wheel.plugins)}")
        names += wheel.plugins
    if names:
        print(
            f"Name {' and '.join(names)} under `plugins` in gateway.yaml, try it with `gateway check --deep`, then "
            "`gateway roll`."
        )


def remove(options: argparse.Namespace) -> None:
    """Uninstall packages, and take them off the list. Of an optional part, other packages may need the same ones."""
    listed = {name: line for line in _lines(options.list) if (name := _name_of(line))}
    for extra in options.extra:
        if f"[{extra}]" not in listed:
            raise Failed(f"[{extra}] is not in {options.list}. Listed: {', '.join(listed) or 'nothing'}.")
        _replace(options.list, f"[{extra}]", None)
        print(f"removed {extra} from the list; its packages stay until the next version of the gateway")
    for package in map(normal_name, options.packages):
        if package not in listed:
            raise Failed(f"{package} is not in {options.list}. Listed: {', '.join(listed) or 'nothing'}.")
        _replace(options.list, package, None)
        if distribution_of(package) is not None:
            _pip("uninstall", "--yes", package)
        print(f"removed {package}; take its plugins out of gateway.yaml, too, then `gateway roll`")


def show(options: argparse.Namespace) -> None:
    """Print a line for each listed package."""
    for line in _lines(options.list):
        name = _name_of(line)
        if line.startswith("["):
            names = [
                match[0] for text in _requirements(line[1:-1]) if (match := REQUIREMENT_NAME.match(text))
            ]
            missing = [name for name in names if distribution_of(name) is None]
            state = "; `gateway plugin sync` installs it" if missing else ""
            print(f"{line}: {'not installed here' if missing else 'installed'}{state}")
            continue
        installed = distribution_of(name) if name else None
        if installed is None:
            print(f"{name or line}: not installed here; `gateway plugin sync` installs it")
        else:
            plugins = ", ".join(sorted(installed.entry_points.select(group=GROUP).names))
            print(f"{name} {installed.version}: {plugins}")


def sync(options: argparse.Namespace) -> None:
    """Install all listed packages. Raises Failed with those that cannot be installed; the others are."""
    failures = []
    for line in _lines(options.list):
        wanted = [str(options.list.parent / line) if line.startswith("./") else line]
        try:
            _install(_requirements(line[1:-1]) if line.startswith("[") else wanted, reinstall=False)
        except Failed as error:
            failures.append(f"{line}: {error}")
        else:
            print(f"installed {_name_of(line) or line}")
    if failures:
        raise Failed("; ".join(failures))


_ACTIONS = {"install": install, "remove": remove, "list": show, "sync": sync}


def _requirements(extra: str) -> list[str]:
    """Return the packages of an optional part of the gateway. Raises Failed if there is none of that name."""
    known = extras()
    if extra not in known:
        raise Failed(
            f"the gateway has no optional part {extra!r}. It has: {', '.join(known) or 'none here'}."
        )
    return known[extra]


def _built(package: str, folder: Path) -> Wheel:
    """Return a wheel of a package, made by pip. Raises Failed if it has no plugins, or one with a built-in's name."""
    if Path(package).exists():
        package = str(Path(package).resolve())
        if Path(package).is_dir():
            package = _copied(Path(package), folder)
    _pip("wheel", "--no-deps", "--wheel-dir", str(folder / "wheels"), package)
    wheel = read_wheel(next((folder / "wheels").glob("*.whl")))
    if not wheel.plugins:
        raise Failed(
            f"{wheel.name} has no entry point in the group {GROUP}: it is no plugin of this gateway."
        )
    if any(line.startswith((f"{wheel.name}=", f"{wheel.name}<")) for line in own_versions()):
        raise Failed(
            f"{wheel.name} is the gateway itself or one of its dependencies, which a plugin cannot replace."
        )
    if taken := sorted(set(wheel.plugins) & set(BUILT_IN)):
        raise Failed(f"{wheel.name} has a plugin with the name of a built-in one: {', '.join(taken)}.")
    return wheel


def _copied(source: Path, folder: Path) -> str:
    """Return a copy of a package's folder, in which the build may leave its files."""
    ignored = ignore_patterns("build", "*.egg-info", "__pycache__", ".git", ".venv")
    return str(copytree(source, folder / "source" / source.name, ignore=ignored))


def read_wheel(path: Path) -> Wheel:
    """Return what a wheel's metadata says. Raises Failed for another file."""
    try:
        with ZipFile(path) as archive:
            names = archive.namelist()
            facts = next(name for name in names if name.endswith(".dist-info/METADATA"))
            text = archive.read(facts).decode()
            points = next((name for name in names if name.endswith(".dist-info/entry_points.txt")), None)
            parser = ConfigParser(delimiters=("=",))
            parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
            parser.read_string(archive.read(points).decode() if points is not None else "")
    except (BadZipFile, StopIteration, UnicodeDecodeError) as error:
        raise Failed(f"{path.name} is no wheel") from error
    fields = dict(line.partition(": ")[::2] for line in text.splitlines() if ": " in line)
    plugins = tuple(parser[GROUP]) if parser.has_section(GROUP) else ()
    return Wheel(path, normal_name(fields["Name"]), fields["Version"], plugins)


def _install(wanted: Sequence[str], *, reinstall: bool) -> None:
    """Install packages beside the gateway's own, which stay as they are. Raises Failed; then nothing has changed."""
    with TemporaryDirectory(prefix="gateway-plugin-") as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("".join(f"{line}\n" for line in own_versions()))
        again = ["--upgrade", "--force-reinstall", "--no-deps"] if reinstall else []
        before = EnvironmentCopy(Path(folder) / "before")
        try:
            for extra in [again, []] if reinstall else [[]]:  # the second brings what it depends on
                _pip("install", "--constraint", str(constraints), *extra, *wanted)
            if (change := before.change()) is not None:
                raise Failed(
                    f"it replaces a part of the gateway or of its dependencies ({change}); the installation was undone"
                )
        except BaseException:  # Ctrl-C, too
            before.undo()
            raise


def _pip(*arguments: str) -> None:
    """Run pip in this environment. Raises Failed with its last words."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--no-input",
        "--quiet",
        *arguments,
    ]
    # the service runs as another user, and must read the files whatever umask root has
    result = subprocess.run(command, capture_output=True, text=True, check=False, umask=0o022)  # noqa: S603
    if result.returncode:
        if "No module named pip" in result.stderr:
            raise Failed(_NO_PIP)
        lines = [line.strip(" │╰─>") for line in (result.stderr or result.stdout).splitlines()]
        errors = [line for line in lines if line.lower().startswith("error")] or [
            line for line in lines if line
        ][-1:]
        raise Failed(f"pip {arguments[0]} failed: {' / '.join(dict.fromkeys(errors))[:800]}")


def _lines(path: Path) -> list[str]:
    """Return the packages of a list; none if there is no list."""
    if not path.exists():
        return []
    lines = [line.partition(" #")[0].strip() for line in path.read_text("utf-8").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _name_of(line: str) -> str:
    """Return the name of a listed package; of an optional part of the gateway, the line itself."""
    if line.startswith("["):
        return line
    match = REQUIREMENT_NAME.match(line.removeprefix("./plugins/"))
    if match is None:
        return ""
    return normal_name(match[0].partition("-")[0] if line.endswith(".whl") else match[0])


def _replace(path: Path, name: str, line: str | None) -> None:
    """Put a line for a package into the list in place of its former one, whose wheel is deleted; None removes it."""
    before = path.read_text("utf-8").splitlines() if path.exists() else _HEAD.splitlines()
    old = [text for text in before if text.strip() and not text.startswith("#") and _name_of(text) == name]
    lines = [text for text in before if text not in old] + ([line] if line is not None else [])
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_name(f"{path.name}.new")
    written.write_text("\n".join(lines) + "\n", "utf-8")
    written.replace(path)
    for text in old:
        if text != line and text.startswith("./plugins/"):
            (path.parent / text).unlink(missing_ok=True)
