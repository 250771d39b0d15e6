"""Stored responses, and their items by id. Both can be read only with the key that created them.

An output item has an entry of its own. The ids of other items lead to the newest response that has them: the client's
by an entry, and the gateway's by the response's id, which is part of them.
"""

import hashlib
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from gateway.errors import BadRequest, NotFound
from gateway.exchange.ids import unique
from gateway.exchange.offload import offload
from gateway.gemini.thought_signatures import SignatureKeys
from gateway.plugin import Services
from gateway.plugins.responses.wire import is_reference
from gateway.policy.clients.access import Client

Object = dict[str, Any]
UNFINISHED = ("queued", "in_progress")
"""Statuses of a response in progress."""
HEARTBEAT = 15.0
"""Seconds between two heartbeats of a background response."""
STALE = 4 * HEARTBEAT
"""Seconds without a heartbeat after which the process that makes a response is taken for dead."""
_LARGE = 64 * 1024
"""Characters of an output item from which on its entry is its response's id: images are not stored twice."""
_MANY = 1000
"""Ids from which on their keys are made in a thread, and responses that are read to find items, at most."""
_MOST_IDS = 10_000
"""Input items of one response, the last ones, that are found by the client's id."""
_COPIES = 8
"""Responses of so many times the size of the items may be read to find these: each holds its input twice."""
_INPUT_ID = re.compile(r"item_([0-9a-f]{24})_[0-9a-f]{1,6}")
"""The id of an input item that the gateway has named, with the digits of its response's id."""


class StoredResponses:
    """The responses of all clients."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def find(self, name: str, client: Client) -> Object | None:
        """Return what is stored under a response's id for this key: `response`, `input`, `items` and `beat`."""
        key = response_key(name, client)
        text = (await self._services.stored_responses.get([key], time.time())).get(key)
        return _alive(msgspec.json.decode(text)) if text else None

    async def get(self, name: str, client: Client) -> Object:
        """Return the same. Raises NotFound."""
        stored = await self.find(name, client)
        if stored is None:
            raise NotFound(f"Response with id '{name[:80]}' not found.", code="response_not_found")
        return stored

    async def previous(self, name: str, client: Client) -> Object:
        """Return the same for `previous_response_id`. Raises BadRequest."""
        stored = await self.find(name, client)
        if stored is None:
            raise BadRequest(
                f"Previous response with id '{name[:80]}' not found.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        if stored["response"]["status"] in UNFINISHED:
            raise BadRequest(
                f"Response '{name[:80]}' is still in progress: "
                "wait until its status is `completed`, or cancel it.",
                param="previous_response_id",
            )
        return stored

    async def keep(
        self, name: str, client: Client, kept: Object, ids: Sequence[str], *, heavy: bool = False
    ) -> None:
        """Store a response, and once it has ended the entries of its items. `ids` are those of its input.

        A heavy one is encoded in a thread.
        """
        entries = await offload(heavy, _entries, name, client, kept, ids)
        await self._services.stored_responses.put(entries, time.time())

    async def forget(self, name: str, client: Client) -> None:
        """Delete a response, and its output items. Raises NotFound."""
        stored = await self.get(name, client)
        ids = [item["id"] for item in stored["response"]["output"]]
        keys = [response_key(name, client), *map(_keys("item", client), ids)]
        await self._services.stored_responses.put(dict.fromkeys(keys, ""), time.time())

    async def items(self, references: Mapping[str, int], client: Client, most: int) -> "StoredItems":
        """Return the stored items among some ids. `references` says how often each is referred to.

        Raises BadRequest if they have more than `most` characters together, or are in too many responses.
        """
        store, many = self._services.stored_responses, len(references) > _MANY
        keys = await offload(many, _keys_of, references, client)
        texts = await store.get([key for pair in keys.values() for key in pair], time.time())
        result = StoredItems(references, most)
        large = many or sum(map(len, texts.values())) > _LARGE
        await offload(large, result.read_entries, keys, texts)
        if len(result.elsewhere) > _MANY:
            raise BadRequest(
                f"The items that 'input' refers to are in more than {_MANY} responses.", param="input"
            )
        read = 0
        for place, names in result.elsewhere.items():
            _within(read, _COPIES * most)
            key = response_key(place, client)
            text = (await store.get([key], time.time())).get(key) or ""
            read += len(text)
            await offload(len(text) > _LARGE, result.read_response, text, names)
        return result


class StoredItems:
    """Stored items that a request refers to, at most `most` characters of them."""

    def __init__(self, references: Mapping[str, int], most: int) -> None:
        self._references = references
        self._most = most
        self._size = 0
        self.items: dict[str, Object] = {}
        self.elsewhere: dict[str, list[str]] = {}
        """Response to the ids of its items, for items without an entry of their own."""

    @property
    def heavy(self) -> bool:
        """So large that they are translated and encoded in a thread."""
        return self._size > _LARGE

    def read_entries(self, keys: Mapping[str, tuple[bytes, bytes]], texts: Mapping[bytes, str]) -> None:
        """Take the items that have entries. Raises BadRequest."""
        for name, (own, elsewhere) in keys.items():
            text = texts.get(own)
            if text and text.startswith("{"):
                self._take(name, text)
            elif place := text or texts.get(elsewhere) or _named_in(name):
                self.elsewhere.setdefault(place, []).append(name)

    def read_response(self, text: str, names: Sequence[str]) -> None:
        """Take some items of a stored response. Raises BadRequest."""
        items = msgspec.json.decode(text)["items"] if text else ()
        by_id = {item["id"]: item for item in items if isinstance(item, dict) and _has_id(item)}
        for name in names:
            if name in by_id:
                self._take(name, msgspec.json.encode(by_id[name]).decode())

    def _take(self, name: str, text: str) -> None:
        self._size = _within(self._size + self._references[name] * len(text), self._most)
        self.items[name] = msgspec.json.decode(text)


def response_key(name: str, client: Client) -> bytes:
    """Return the store's key of a response."""
    return SignatureKeys(client.scope).by_id(name, "response")


def input_items(
    data: msgspec.Raw | None, name: str, referenced: Mapping[str, Object]
) -> tuple[list[Any], list[str]]:
    """Return the input of the response `name` as items with ids, and the ids that it came with.

    A text is a user's message. A reference is replaced by its item.
    """
    value = msgspec.json.decode(data) if data is not None else []
    if isinstance(value, str):
        value = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": value}]}]
    items, ids = [], []
    for i, item in enumerate(value if isinstance(value, list) else ()):
        if not isinstance(item, dict):
            items.append(item)
            continue
        if _has_id(item):
            ids.append(item["id"])
            items.append(referenced[item["id"]] if _refers(item) and item["id"] in referenced else item)
        else:
            items.append({**item, "id": f"item_{name.removeprefix('resp_')}_{i:x}"})
    return items, ids[-_MOST_IDS:]


def new_name() -> str:
    """Return an id for a response."""
    return unique("resp_")


def _has_id(item: Object) -> bool:
    """Return whether an item has an id; one of another dialect may have anything there."""
    name = item.get("id")
    return isinstance(name, str) and bool(name)


def _refers(item: Object) -> bool:
    return is_reference(item.get("type"), item.get("role"), item.get("content"))


def _entries(name: str, client: Client, kept: Object, ids: Sequence[str]) -> dict[bytes, str]:
    entries = {response_key(name, client): msgspec.json.encode(kept).decode()}
    if kept["response"]["status"] not in UNFINISHED:
        own, elsewhere = _keys("item", client), _keys("in", client)
        entries |= {elsewhere(item): name for item in ids}
        for item in kept["response"]["output"]:
            text = msgspec.json.encode(item).decode()
            entries[own(item["id"])] = text if len(text) < _LARGE else name
    return entries


def _keys(kind: str, client: Client) -> Callable[[str], bytes]:
    """Return what makes the store's key of an item's id."""
    scope = hashlib.blake2b(f"{client.scope}\0".encode(), digest_size=16, key=kind.encode())

    def key(name: str) -> bytes:
        digest = scope.copy()
        digest.update(name.encode())
        return digest.digest()

    return key


def _keys_of(references: Iterable[str], client: Client) -> dict[str, tuple[bytes, bytes]]:
    """Return the keys of the entry of each item, and of the entry that leads to its response."""
    own, elsewhere = _keys("item", client), _keys("in", client)
    return {name: (own(name), elsewhere(name)) for name in references}


def _named_in(name: str) -> str | None:
    """Return the response of an input item that the gateway has named."""
    match = _INPUT_ID.fullmatch(name)
    return f"resp_{match[1]}" if match else None


def _within(size: int, most: int) -> int:
    if size > most:
        raise BadRequest(
            "The items that 'input' refers to are together larger than `limits.body` allows.", param="input"
        )
    return size


def _alive(stored: Object) -> Object:
    """Return what is stored. A response in progress without a recent heartbeat has failed: its process has died."""
    response = stored["response"]
    if response["status"] in UNFINISHED and time.time() - stored.get("beat", 0) > STALE:
        message = "The gateway was restarted while this response was in progress."
        response.update(status="failed", error={"code": "server_error", "message": message})
    return stored
