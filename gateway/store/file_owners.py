"""Which Google project has a client's files and cached contents, kept as long as Google keeps them."""

from collections.abc import Iterable, Mapping

from gateway.errors import BadRequest, NotFound
from gateway.policy import file_refs as pins
from gateway.store.key_value import KeyValueStore, StoreLimits

BOUNDS = StoreLimits(megabytes=16, hours=720)
"""About a hundred thousand names; a cache may be kept for longer than this, but seldom is."""
_TOLD = 150
"""Characters of a name, which may be odd and long."""
_FILE_AGE = 48 * 3600
"""Seconds: then Google deletes a file, and its name may become another client's."""


class FileOwners:
    """Projects by name, each client's own: what another client made is not found."""

    def __init__(self, store: KeyValueStore) -> None:
        self.store = store

    async def project(self, scope: str, names: Mapping[str, str], now: float) -> str:
        """The one project of some names, each with the field it stands in; "" for no names.

        Raises NotFound for a name that is not this client's, BadRequest for names of two projects.
        """
        keys = {name: pins.key(scope, name) for name in names}
        kept = await self.store.get(list(keys.values()), now) if keys else {}
        found: dict[str, str] = {}
        for name, field in names.items():
            project = _alive(kept.get(keys[name], ""), now)
            if not project:
                raise absent(name)
            found.setdefault(project, field)
        if len(found) > 1:
            first, second = list(found.values())[:2]
            raise BadRequest(
                f"{first} and {second} belong to different Google projects, and no call reaches both: "
                "upload one of them again."
            )
        return next(iter(found), "")

    async def keep(self, scope: str, names: Iterable[str], project: str, now: float) -> None:
        """Remember where something was made."""
        found = {pins.key(scope, name): f"{now + _age(name):.0f} {project}" for name in names}
        if found:
            await self.store.put(found, now)

    async def begin(self, scope: str, upload: str, project: str, now: float) -> None:
        """Remember who began an upload, by its id, and where; "" is the client's own project."""
        await self.store.put({pins.key("", upload): f"{now + _FILE_AGE:.0f} {scope} {project}"}, now)

    async def upload(self, upload: str, now: float) -> tuple[str, str]:
        """Scope and project of an upload that goes on, or nothing. Its id is a secret: as good as a key to it."""
        key = pins.key("", upload)
        scope, _, project = _alive((await self.store.get([key], now)).get(key, ""), now).partition(" ")
        return scope, project

    async def forget(self, scope: str, name: str, now: float) -> None:
        """It was deleted."""
        await self.store.put({pins.key(scope, name): ""}, now)

    async def close(self) -> None:
        """As the store says."""
        await self.store.close()


def absent(name: str) -> NotFound:
    """Whether it is another client's is not told."""
    return NotFound(f"{name[:_TOLD]} does not exist, or belongs to another API key.", code="not_found")


def _alive(kept: str, now: float) -> str:
    """What is kept until its time, else nothing."""
    until, _, found = kept.partition(" ")
    return found if until.isdecimal() and int(until) > now else ""


def _age(name: str) -> float:
    return BOUNDS.age if name.startswith("cachedContents/") else _FILE_AGE
