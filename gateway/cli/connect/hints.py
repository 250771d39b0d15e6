"""Lines for people after the settings of a program were written."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from gateway.cli.connect.arguments import is_loopback
from gateway.cli.connect.clients import Client
from gateway.cli.connect.places import Home, real
from gateway.cli.connect.probe import complaint
from gateway.cli.connect.settings import Settings

_EMULATOR = (
    "If `gateway demo` serves there, the answer is its emulator's, not Gemini's: the prompt, or made-up text."
)


def after_write(client: Client, settings: Settings, home: Home) -> Iterator[str]:
    """Yield what is left to do, what would defeat the settings, and a command to try."""
    if client.environment:
        shown = home.shown(home.profile(client))
        command = "source" if shown.endswith(".fish") else "."
        yield f"The variables are set in a new shell; to set them in this one: {command} {shown}"
    yield from rivals(client, settings, home)
    yield from project_files(client, home, Path.cwd())
    for step in client.steps:
        yield f"by hand: {settings.fill(step.replace('`{key}`', 'the key'))}"
    if problem := complaint(settings.url, settings.key):
        yield f"warning: {problem}"
    yield from attempt(client, settings)


def attempt(client: Client, settings: Settings) -> Iterator[str]:
    """Yield a command that shows that the program works, and what it answers on a demo."""
    if client.attempt:
        yield f"To try it: {client.attempt}"
        if is_loopback(urlsplit(settings.url).hostname or ""):
            yield _EMULATOR


def rivals(client: Client, settings: Settings, home: Home) -> Iterator[str]:
    """Yield a warning for each variable of the shell that counts more than the settings, and differs from them."""
    lines = "\n".join(settings.file(file).lines for file in client.files).splitlines()
    for name in client.rivals:
        value = home.environ.get(name, "")
        if value and f"{name}={value}" not in lines:
            yield f"warning: {name} is set in this shell, and counts more than these settings: unset {name}"


def project_files(client: Client, home: Home, folder: Path) -> Iterator[str]:
    """Yield a warning for each file in a folder that counts more there than the settings."""
    own = {real(path) for file in client.files for path in home.places(file)}
    for name, pattern in client.project:
        path = home.folder / name[2:] if name.startswith("~/") else folder / name
        try:
            text = "" if real(path) in own else path.read_text("utf-8", "replace")
        except OSError:
            continue
        if text and re.search(pattern, text, re.M):
            yield f"warning: {path} counts more than these settings: look into it"
