"""Beginnings of prompts: where they may end, when they are worth a cache, and which cache holds them."""

import msgspec

from gateway.gemini.wire import GenerateContentRequest
from gateway.policy.prefixes import Cache, Prefix, PrefixMemory, prefixes

MODEL = "gemini-3.8-flash"
CALL = {"functionCall": {"name": "f", "args": {}}}
RESULT = {"functionResponse": {"name": "f", "response": {}}}


def request(*turns: tuple[str, object], system: str = "s" * 100) -> GenerateContentRequest:
    contents = [
        {"role": role, "parts": [part if isinstance(part, dict) else {"text": part}]} for role, part in turns
    ]
    body = {"systemInstruction": {"parts": [{"text": system}]}, "contents": contents}
    return msgspec.json.decode(msgspec.json.encode(body), type=GenerateContentRequest)


def test_a_beginning_ends_before_a_turn_of_the_users_and_never_between_a_call_and_its_result() -> None:
    asked = request(("user", "a"), ("model", CALL), ("user", RESULT), ("model", "b"), ("user", "c"))

    assert [prefix.contents for prefix in prefixes(asked, MODEL, 0)] == [0, 4]


def test_beginnings_are_equal_where_all_before_them_is() -> None:
    short = prefixes(request(("user", "a"), ("model", "b"), ("user", "c")), MODEL, 0)
    long = prefixes(
        request(("user", "a"), ("model", "b"), ("user", "d"), ("model", "e"), ("user", "f")), MODEL, 0
    )

    assert [prefix.digest for prefix in long[:2]] == [prefix.digest for prefix in short]
    for other in (
        prefixes(request(("user", "a"), ("model", "b"), ("user", "c"), system="t" * 100), MODEL, 0),
        prefixes(request(("user", "a"), ("model", "b"), ("user", "c")), "gemini-2.5-flash", 0),
    ):
        assert not {prefix.digest for prefix in other} & {prefix.digest for prefix in short}
    moved = prefixes(request(("user", "a"), ("model", "B"), ("user", "c")), MODEL, 0)
    assert [a.digest == b.digest for a, b in zip(moved, short, strict=True)] == [True, False]


def test_short_beginnings_are_left_out() -> None:
    asked = request(("user", "a" * 500), ("model", "b"), ("user", "c"))

    assert [prefix.contents for prefix in prefixes(asked, MODEL, 400)] == [2]
    assert prefixes(asked, MODEL, 4000) == []


def prefix(number: int, size: int = 100) -> Prefix:
    return Prefix(number, bytes([number]), size)


def test_a_beginning_is_worth_a_cache_when_it_came_often_enough_in_time() -> None:
    memory = PrefixMemory(2, 60.0, 1)
    one, two = prefix(1), prefix(2)

    assert memory.see("x", [one], 0) is None
    assert memory.see("y", [one], 1) is None, "another client's"
    assert memory.see("x", [one, two], 50) == one
    assert memory.see("x", [one, two], 60) == two, "the longest"
    assert memory.see("x", [two], 121) is None, "too late"
    assert memory.see("x", [two], 122) == two


def test_the_longest_cache_of_a_client_in_a_project_is_found_until_shortly_before_its_end() -> None:
    memory = PrefixMemory(2, 60.0, 1)
    short, long = (Cache(f"cachedContents/{n}", prefix(n), 9, 600.0) for n in (1, 2))
    memory.keep("x", "a", short)
    memory.keep("x", "a", long)

    both = [short.prefix, long.prefix]
    assert memory.find("x", "a", both, 0) == long
    assert memory.find("x", "a", both[:1], 0) == short
    assert memory.find("x", "b", both, 0) is memory.find("y", "a", both, 0) is None
    assert memory.find("x", "a", both, 580) is None


def test_a_client_has_a_number_of_caches_and_a_longer_one_replaces_one_of_half_its_size() -> None:
    memory = PrefixMemory(2, 60.0, 1)
    current = Cache("cachedContents/1", prefix(1), 9, 600.0)

    assert memory.wants("x", "a", prefix(1), None, 0)
    memory.keep("x", "a", current)
    assert not memory.wants("x", "a", prefix(2), None, 0)
    assert memory.wants("x", "a", prefix(2), None, 600)
    assert memory.wants("y", "a", prefix(2), None, 0)
    assert memory.wants("x", "a", prefix(2, size=200), current, 0)
    assert not memory.wants("x", "a", prefix(2, size=199), current, 0)


def test_many_short_turns_are_a_number_of_beginnings() -> None:
    asked = request(*[("user", "a")] * 1500)

    assert len(prefixes(asked, MODEL, 0)) == 1000
