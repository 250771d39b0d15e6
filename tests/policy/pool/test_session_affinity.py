"""Conversations: what keeps two calls on one project."""

import pytest

from gateway.gemini.call import GeminiCall
from gateway.gemini.wire import Content, GenerateContentRequest, Part
from gateway.policy.clients.access import Client
from gateway.policy.pool.session_affinity import affinity

CLIENT = Client("", "f", "key_1", "key_1")


def call(*texts: str, system: str = "Be brief.", model: str = "m", cache_key: str = "") -> GeminiCall:
    contents = [Content([Part(text=text)], "user") for text in texts]
    request = GenerateContentRequest(contents, system_instruction=Content([Part(text=system)]))
    return GeminiCall(model, request, cache_key=cache_key)


def test_later_turns_stay_with_the_beginning() -> None:
    assert affinity(call("hi"), CLIENT) == affinity(call("hi", "hello", "more"), CLIENT)
    assert len(affinity(call("hi"), CLIENT)) == 16


@pytest.mark.parametrize(
    ("other", "client"),
    [
        (call("bye"), CLIENT),
        (call("hi", system="Be verbose."), CLIENT),
        (call("hi", model="n"), CLIENT),
        (call("hi", cache_key="k"), CLIENT),
        (call("hi"), Client("", "f", "key_2", "key_2")),
    ],
)
def test_another_beginning_model_or_client_is_another_conversation(other: GeminiCall, client: Client) -> None:
    assert affinity(other, client) != affinity(call("hi"), CLIENT)


def test_a_cache_key_stands_for_the_beginning() -> None:
    assert affinity(call("hi", cache_key="k"), CLIENT) == affinity(call("bye", cache_key="k"), CLIENT)
    assert affinity(call("hi", cache_key="k"), CLIENT) != affinity(call("hi", cache_key="l"), CLIENT)
