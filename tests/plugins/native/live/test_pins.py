"""Tokens and handles: where they may stand, what is stored of them, and when they end."""

import msgspec
import pytest
from multidict import CIMultiDict, MultiDict

from gateway.errors import BadRequest, Unauthorized
from gateway.plugins.native.live.pins import LIMITS, Minted, Pins, decode_token, token_of, until_of
from gateway.store.memory import MemoryStore

NOW = 1_800_000_000.0
MINTED = Minted("auth_tokens/google-secret", "key_1", "a", "")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(LIMITS)


async def test_a_token_is_found_until_it_ends(store: MemoryStore) -> None:
    pins = Pins(store)
    token = await pins.mint(MINTED, NOW + 60, NOW)
    assert await pins.minted(token, NOW + 59) == MINTED
    assert token != await pins.mint(MINTED, NOW + 60, NOW)
    for name, now in ((token, NOW + 61), (token + "x", NOW), ("auth_tokens/gw-", NOW)):
        with pytest.raises(Unauthorized):
            await pins.minted(name, now)
    assert await pins.minted("auth_tokens/google", NOW) is None


async def test_neither_token_is_stored(store: MemoryStore) -> None:
    kept: list[str] = []

    async def put(entries: dict[bytes, str], now: float) -> None:
        kept.extend(entries.values())

    store.put = put  # type: ignore[method-assign, assignment]
    token = await Pins(store).mint(MINTED, NOW + 60, NOW)
    assert kept
    assert "google-secret" not in kept[0]
    assert token not in kept[0]


async def test_a_handle_is_its_clients(store: MemoryStore) -> None:
    pins = Pins(store)
    await pins.keep("key_1", "h", "a", NOW)
    assert await pins.project("key_1", "h", NOW) == "a"
    assert await pins.project("key_2", "h", NOW) == ""


def test_a_token_may_stand_in_several_places_but_there_is_one() -> None:
    token = "auth_tokens/abc"
    for headers, query in (
        ({"Authorization": f"Token {token}"}, {}), ({"x-goog-api-key": token}, {}), ({}, {"access_token": token}),
        ({"Authorization": f"token {token}", "x-goog-api-key": token}, {"key": token}),
    ):  # fmt: skip
        assert token_of(CIMultiDict(headers), MultiDict(query)) == token
    assert token_of(CIMultiDict({"Authorization": "Bearer x", "x-goog-api-key": "AIza"}), MultiDict()) == ""
    with pytest.raises(BadRequest):
        token_of(CIMultiDict({"x-goog-api-key": token}), MultiDict({"access_token": "auth_tokens/other"}))
    for bad in ("ya29.oauth", "auth_tokens/", "auth_tokens/a b"):
        with pytest.raises(Unauthorized):
            token_of(CIMultiDict(), MultiDict({"access_token": bad}))


def test_a_token_lasts_as_long_as_was_asked_for() -> None:
    assert until_of("2027-01-15T08:10:00Z", NOW) == NOW + 600
    assert until_of("2100-01-01T00:00:00Z", NOW) == NOW + LIMITS.age
    assert until_of("", NOW) == until_of("soon", NOW) == NOW + 1800


def test_an_answer_without_a_token_is_none() -> None:
    assert decode_token(b'{"name": "auth_tokens/x", "uses": 2}') == {"name": "auth_tokens/x", "uses": 2}
    for answer in (b"{}", b"[]", b"", b'{"name": 1}'):
        with pytest.raises(msgspec.DecodeError):
            decode_token(answer)
