"""Secrets stand outside the file: in the environment, or in a credential that systemd hands over."""

from collections.abc import Mapping
from hmac import compare_digest
from pathlib import Path
from typing import Any

_HOW = "write {env: NAME} or {credential: NAME}; a secret never stands in this file"


class Secret:
    """A text that does not show itself."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    @classmethod
    def read(cls, told: Any, environ: Mapping[str, str]) -> "Secret":
        """From `{env: NAME}` or `{credential: NAME}`. Raises ValueError, never with the value."""
        if not isinstance(told, dict) or len(told) != 1:
            raise ValueError(_HOW)
        ((kind, name),) = told.items()
        if kind == "env":
            value = environ.get(str(name))
        elif kind == "credential":
            value = _credential(str(name), environ)
        else:
            raise ValueError(_HOW)
        if value is None:
            raise ValueError(_absent(kind, str(name), environ))
        value = value.strip().removeprefix("\ufeff").strip()
        if not value or any(c.isspace() or not c.isprintable() for c in value):
            raise ValueError(f"{kind} {name!r} is empty, or holds blanks or control characters")
        return cls(value)

    def reveal(self) -> str:
        """The text itself, for the one place that sends it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(****)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)


def _absent(kind: str, name: str, environ: Mapping[str, str]) -> str:
    if kind == "env":
        return f"the environment variable {name!r} is not set"
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if folder is None:
        return (
            f"credential {name!r} cannot be read: systemd sets CREDENTIALS_DIRECTORY; elsewhere set it to the folder "
            "that holds the file"
        )
    return f"there is no credential {name!r} in {folder}"


def _credential(name: str, environ: Mapping[str, str]) -> str | None:
    """A file of systemd's LoadCredential=, which names those of a whole folder `gateway_NAME` (systemd.exec(5))."""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if folder is None or "/" in name:
        return None
    for file in (name, f"gateway_{name}"):
        try:
            return (Path(folder) / file).read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            continue
    return None
