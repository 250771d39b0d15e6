"""Owners of files and cached contents: which Google project holds a client's file, for as long as Google keeps it."""

from collections.abc import Iterable, Mapping

from gateway.errors import BadRequest, NotFound
from gateway.policy import file_refs
from gateway.store.key_value import KeyValueStore, StoreLimits

LIMITS = StoreLimits(megabytes=16, hours=720)
"""About a hundred thousand names. A cached content may live for longer than 30 days, but seldom does."""
_MAX_NAME = 150
"""Characters of a name in a message; a client may send anything as a name."""
_FILE_AGE = 48 * 3600
"""Seconds after which Google deletes a file (https://ai.google.dev/gemini-api/docs/files)."""

_LASTING = ("cachedContents/", "interactions/", "batches/")
"""Beginnings of names that Google keeps for longer."""


class FileOwners:
    """Projects by client and name. A client finds only what it made itself."""

    def __init__(self, store: KeyValueStore) -> None:
        self._store = store

    async def project(self, scope: str, names: Mapping[str, str], now: float) -> str:
        """Return the one project that holds all names, or "" without names. `names` gives the field of each name.

        Raises NotFound for a name that is not this client's, BadRequest for names of two projects.
        """
        keys = {name: file_refs.key(scope, name) for name in names}
        entries = await self._store.get(list(keys.values()), now) if keys else {}
        fields: dict[str, str] = {}
        """A field of each project."""
        for name, field in names.items():
            project = _unless_expired(entries.get(keys[name], ""), now)
            if not project:
                raise absent(name)
            fields.setdefault(project, field)
        if len(fields) > 1:
            first, second = list(fields.values())[:2]
            raise BadRequest(
                f"{first} and {second} belong to different Google projects and cannot be used in one request. "
                "Upload one of them again."
            )
        return next(iter(fields), "")

    async def keep(self, scope: str, names: Iterable[str], project: str, now: float) -> None:
        """Store the project in which a client made files or cached contents."""
        entries = {file_refs.key(scope, name): f"{now + _age(name):.0f} {project}" for name in names}
        if entries:
            await self._store.put(entries, now)

    async def begin(self, scope: str, upload: str, project: str, now: float) -> None:
        """Store who began an upload, by the upload's id. `project` is "" for the client's own project."""
        await self._store.put({file_refs.key("", upload): f"{now + _FILE_AGE:.0f} {scope} {project}"}, now)

    async def upload(self, upload: str, now: float) -> tuple[str, str]:
        """Return scope and project of an upload, or two empty strings. The id of an upload is a secret, like a key."""
        key = file_refs.key("", upload)
        scope, _, project = _unless_expired((await self._store.get([key], now)).get(key, ""), now).partition(
            " "
        )
        return scope, project

    async def note(self, scope: str, name: str, text: str, now: float) -> None:
        """Store a text about a name, "" for none."""
        key = file_refs.key(scope, f"{name} note")
        await self._store.put({key: f"{now + _age(name):.0f} {text}" if text else ""}, now)

    async def noted(self, scope: str, name: str, now: float) -> str:
        """Return the text about a name, or ""."""
        key = file_refs.key(scope, f"{name} note")
        return _unless_expired((await self._store.get([key], now)).get(key, ""), now)

    async def forget(self, scope: str, name: str, now: float) -> None:
        """Delete the owner of a file or cached content that was deleted."""
        await self._store.put({file_refs.key(scope, name): ""}, now)


def absent(name: str) -> NotFound:
    """Return the error for a name that does not exist or is another client's, which must not be told apart."""
    return NotFound(f"{name[:_MAX_NAME]} does not exist, or belongs to another API key.", code="not_found")


def _unless_expired(entry: str, now: float) -> str:
    """Return the text after an entry's end time, or "" when the time is over."""
    until, _, text = entry.partition(" ")
    return text if until.isdecimal() and int(until) > now else ""


def _age(name: str) -> float:
    return LIMITS.age if name.startswith(_LASTING) else _FILE_AGE
