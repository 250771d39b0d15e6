"""Group commit: order, batches, retries and the end."""

import threading
from queue import SimpleQueue

from gateway.store.group_commit import GroupCommit


class Recorder:
    """A commit that can be held up, and that records its batches."""

    def __init__(self) -> None:
        self.batches: SimpleQueue[list[int]] = SimpleQueue()
        self.open = threading.Event()
        self.open.set()
        self.waits: list[float | None] = []
        self.finished = False

    def commit(self, items: list[int]) -> float | None:
        self.batches.put(items)
        self.open.wait(10)
        return self.waits.pop(0) if self.waits else None

    def finish(self) -> None:
        self.finished = True

    def next(self) -> list[int]:
        return self.batches.get(timeout=10)


def test_writes_during_a_commit_are_committed_together_and_in_order() -> None:
    recorder = Recorder()
    recorder.open.clear()
    thread = GroupCommit("test", recorder.commit, recorder.finish)
    thread.start()
    thread.put(0)
    assert recorder.next() == [0]
    for number in range(1, 100):
        thread.put(number)
    recorder.open.set()

    assert recorder.next() == list(range(1, 100))
    assert thread.end(10)
    assert recorder.finished


def test_a_commit_that_failed_is_called_again_although_nothing_comes() -> None:
    recorder = Recorder()
    recorder.waits = [0.01, 0.01]
    thread = GroupCommit("test", recorder.commit)
    thread.start()
    thread.put(1)

    assert [recorder.next() for _ in range(3)] == [[1], [], []]
    assert thread.end(10)


def test_at_the_end_everything_is_committed() -> None:
    recorder = Recorder()
    thread = GroupCommit("test", recorder.commit)
    for number in range(3):
        thread.put(number)
    thread.start()

    assert thread.end(10)
    assert recorder.next() == [0, 1, 2]


def test_the_end_does_not_wait_for_ever() -> None:
    recorder = Recorder()
    recorder.open.clear()
    thread = GroupCommit("test", recorder.commit)
    thread.start()
    thread.put(1)
    recorder.next()

    assert not thread.end(0.0)
    recorder.open.set()
    thread.join(10)
    assert not thread.is_alive()
