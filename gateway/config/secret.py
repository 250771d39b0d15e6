"""Secrets, read from environment variables or from systemd credentials (systemd.exec(5), LoadCredential=)."""

from collections.abc import Mapping
from hmac import compare_digest
from pathlib import Path
from typing import Any

import msgspec

_HOW = "expected {env: NAME} or {credential: NAME}; secrets are not written in this file"


class UnreadableSecretError(ValueError):
    """A secret is missing, or is none. The text names it without its content."""


class Secret:
    """A text that `repr` does not show."""

    __slots__ = ("_value", "reference")

    def __init__(self, value: str, reference: tuple[str, str] = ("", "")) -> None:
        self._value = value
        self.reference = reference
        """`("env", NAME)` or `("credential", NAME)`; two empty texts if it was not read from a configuration."""

    @classmethod
    def read(cls, value: Any, environ: Mapping[str, str], *, lazy: bool = False) -> "Secret":
        """Return the secret that `{env: NAME}` or `{credential: NAME}` refers to.

        Raises ValueError if it is missing or malformed; the message does not contain the secret. With `lazy`, the
        secret is missing or malformed when it is revealed.
        """
        try:
            return cls._read(value, environ)
        except UnreadableSecretError as error:
            if lazy:
                return _Unreadable(str(error), _reference(value))
            raise

    @classmethod
    def _read(cls, value: Any, environ: Mapping[str, str]) -> "Secret":
        if not isinstance(value, dict) or len(value) != 1:
            raise ValueError(_HOW)
        ((kind, name),) = value.items()
        if kind == "env":
            text = environ.get(str(name))
        elif kind == "credential":
            text = _credential(str(name), environ)
        else:
            raise ValueError(_HOW)
        if text is None:
            raise UnreadableSecretError(_absent(kind, str(name), environ))
        text = text.strip().removeprefix("\ufeff").strip()
        if not text or (not _is_json(text) and any(c.isspace() or not c.isprintable() for c in text)):
            raise UnreadableSecretError(f"{kind} {name!r} is empty, or contains blanks or control characters")
        return cls(text, _reference(value))

    def reveal(self) -> str:
        """Return the text."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(****)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)


class _Unreadable(Secret):
    """A secret that a command does without."""

    __slots__ = ()

    def reveal(self) -> str:
        """Raise UnreadableSecretError."""
        raise UnreadableSecretError(self._value)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


def _reference(value: dict[str, Any]) -> tuple[str, str]:
    ((kind, name),) = value.items()
    return kind, str(name)


def _is_json(text: str) -> bool:
    """Return whether a secret is a JSON object, such as the key of a service account, which has blanks."""
    if not text.startswith("{"):
        return False
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False


def _absent(kind: str, name: str, environ: Mapping[str, str]) -> str:
    if kind == "env":
        return f"the environment variable {name!r} is not set"
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if folder is None:
        return (
            f"credential {name!r} cannot be read: CREDENTIALS_DIRECTORY is not set. systemd sets it; elsewhere, "
            "set it to the folder of the file"
        )
    if folder.startswith("/run/credentials/"):  # systemd's copies, made when the process started
        return (
            f"there is no credential {name!r}: put it into a file of this name where LoadCredential= of the unit reads "
            "(/etc/gateway/credentials), then run `gateway roll`. systemd reads credentials when a process starts"
        )
    return f"there is no credential {name!r} in {folder}"


def _credential(name: str, environ: Mapping[str, str]) -> str | None:
    """Return the content of a credential, or None.

    systemd names the files of a folder that is loaded as `gateway` `gateway_NAME` (systemd.exec(5), LoadCredential=).
    """
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if folder is None or "/" in name:
        return None
    for file in (name, f"gateway_{name}"):
        try:
            return (Path(folder) / file).read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            continue
    return None
