"""Places of settings files: below the home directory, or where a variable of the program puts them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gateway.cli.connect.clients import Client, SettingsFile
from gateway.cli.connect.edits import ByHand

_POSIX, _FISH = "export {}={}\n", "set -gx {} '{}'\n"
_PROFILES = {
    "zsh": SettingsFile(".zshrc", "env", moved=(("ZDOTDIR", ""),)),
    "bash": SettingsFile(".bashrc", "env"),
    "fish": SettingsFile(".config/fish/config.fish", "env", moved=(("XDG_CONFIG_HOME", ".config"),)),
    "sh": SettingsFile(".profile", "env"),
}
"""The file that each shell reads. https://fishshell.com/docs/current/language.html#configuration-files"""
_LIKE_SH = ("", "dash", "ash", "ksh", "mksh")


@dataclass(frozen=True)
class Home:
    """A user's home directory, and the variables of the shell."""

    folder: Path
    environ: Mapping[str, str]

    def shown(self, file: SettingsFile) -> str:
        """Return the place of a file as people write it."""
        path = self.places(file)[0]
        return f"~/{path.relative_to(self.folder)}" if path.is_relative_to(self.folder) else str(path)

    def places(self, file: SettingsFile) -> list[Path]:
        """Return the paths at which a file can be. The first is the one that its program reads."""
        paths = [self.folder / file.path]
        for variable, folders in reversed(file.moved):
            value = self.environ.get(variable, "")
            if value.startswith("/"):
                paths.insert(0, Path(value) / PurePosixPath(file.path).relative_to(folders or "."))
        return list(dict.fromkeys(paths))

    def profile(self, client: Client) -> SettingsFile:
        """Return the shell's file with the variables of a program. Raises ByHand for a shell that is not known."""
        shell = PurePosixPath(self.environ.get("SHELL", "")).name
        name = "sh" if shell in _LIKE_SH else shell
        if name not in _PROFILES:
            raise ByHand(f"the files of the shell {shell!r} are not known: set the variables in its own form")
        line = _FISH if name == "fish" else _POSIX
        lines = "".join(line.format(*variable) for variable in client.environment)
        profile = _PROFILES[name]
        return SettingsFile(profile.path, "env", lines=lines, moved=profile.moved)

    def profiles(self) -> list[SettingsFile]:
        """Return the files of all shells, without lines."""
        return list(_PROFILES.values())


def home(environ: Mapping[str, str]) -> Home:
    """Return the home directory that an environment names."""
    return Home(Path(environ.get("HOME") or Path.home()), environ)


def real(path: Path) -> Path:
    """Return a path with its links followed."""
    return Path(os.path.realpath(path))
