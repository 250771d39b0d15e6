"""Memory of a stream: of its text, and of events that are not complete."""

import pytest

from gateway.errors import Overloaded
from gateway.exchange.replies.stream_memory import StreamMemory
from gateway.policy.load.memory import MemoryAccount

KB = 1024


def test_the_text_so_far_and_an_unfinished_event_count() -> None:
    account = MemoryAccount(10**9)
    with StreamMemory(account.open()) as memory:
        for _ in range(4):
            memory.arrived(16 * KB, 0)
        assert account.used == 0
        memory.arrived(16 * KB, 0)
        assert account.used == 80 * KB
        memory.arrived(16 * KB, 100 * KB)
        assert account.used == 96 * KB + 400 * KB
        memory.arrived(16 * KB, 0)
        assert account.used == 112 * KB
    assert account.used == 0


def test_a_stream_without_end_is_refused_and_gives_everything_back() -> None:
    account = MemoryAccount(10**7)
    with StreamMemory(account.open()) as memory:
        for _ in range(7_000_000 // (16 * KB)):
            memory.arrived(16 * KB, 0)
        account.unsent = 10**7
        with pytest.raises(Overloaded):
            memory.arrived(80 * KB, 0)
    assert account.used == 0
    assert account.refused == 1
