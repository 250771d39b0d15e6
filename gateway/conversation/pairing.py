"""Pairing: which result belongs to which call of a history.

By id first, then by order. Some agents give two calls of a turn one id (https://github.com/brainlid/langchain/pull/620)
or empty ids (https://github.com/openai/openai-agents-python/pull/1959), so an id names a queue of calls.
"""

from collections import deque
from collections.abc import Callable, Sequence

from msgspec import Struct, field

from gateway.conversation.parts import AnyPart
from gateway.gemini.server_runs import Run

Place = tuple[int, int]
"""A call: the position of its turn among the items, and its own among the turn's calls."""


class Call(Struct, frozen=True, gc=False):
    """A function call of an earlier answer."""

    id: str
    name: str
    """The client's name of the function."""
    arguments: str
    """A JSON text, as the client sent it."""
    at: str
    arguments_at: str
    signature: str | None = None


class Turn(Struct, gc=False):
    """Something that was said by `system`, `user` or `model`; a model's turn may end with calls."""

    role: str
    parts: list[AnyPart]
    at: str
    calls: list[Call] = field(default_factory=list)
    run: Run | None = None
    """Parts that Google's own tools made in this answer, as the client gives them; None where the store may know."""
    run_at: str = ""


class Result(Struct, frozen=True, gc=False):
    """The result of a function."""

    call_id: str
    name: str
    """The function's name, for dialects without ids."""
    parts: list[AnyPart]
    at: str
    error: bool = False


Item = Turn | Result


def pair(items: Sequence[Item]) -> tuple[dict[Place, Result], set[int]]:
    """Return the result of each call, and the positions of the results that belong to none.

    A result answers the first unanswered call with its id in the nearest step before it. Of more results than calls
    the last one counts, and the one in its place belongs to none. A result without an id is paired by its name or by
    order, and one with an id that no call has with the calls that have none.
    """
    pairs = _Pairs(items)
    rest = pairs.by_id()
    if rest:
        pairs.by_order(rest)
    return {place: pairs.result(i) for place, i in pairs.answers.items()}, pairs.orphans


class _Queue:
    """Unanswered calls, in a queue for each step; the nearest step is the last."""

    __slots__ = ("_steps",)

    def __init__(self) -> None:
        self._steps: list[tuple[int, deque[Place]]] = []

    def add(self, step: int, place: Place) -> None:
        if not self._steps or self._steps[-1][0] != step:
            self._steps.append((step, deque()))
        self._steps[-1][1].append(place)

    def take(self, answers: dict[Place, int]) -> Place | None:
        """Remove and return the first unanswered call of the nearest step that has one."""
        while self._steps:
            places = self._steps[-1][1]
            while places:
                place = places.popleft()
                if place not in answers:
                    return place
            self._steps.pop()
        return None


class _Pairs:
    """Pairs the results of one history."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = items
        self.answers: dict[Place, int] = {}
        """By call, the position of its result."""
        self.orphans: set[int] = set()

    def result(self, i: int) -> Result:
        item = self._items[i]
        assert isinstance(item, Result)  # noqa: S101 - the walk keeps positions of results
        return item

    def by_id(self) -> set[int]:
        """Pair the results whose id a call before them has. Return the positions of the others."""
        waiting: dict[str, _Queue] = {}
        last: dict[str, Place] = {}
        rest: set[int] = set()

        def called(step: int, place: Place, call: Call) -> None:
            if call.id:
                queue = waiting.get(call.id)
                if queue is None:
                    queue = waiting[call.id] = _Queue()
                queue.add(step, place)

        def answered(i: int, result: Result) -> None:
            queue = waiting.get(result.call_id) if result.call_id else None
            if queue is None:
                rest.add(i)
                return
            place = queue.take(self.answers)
            if place is None:
                place = last[result.call_id]
                self._replace(self.answers[place], result)
            self.answers[place] = i
            last[result.call_id] = place

        self._walk(called, answered)
        return rest

    def by_order(self, rest: set[int]) -> None:
        """Pair the results in `rest` by name, or by order."""
        named: dict[str, _Queue] = {}
        nameless: dict[str, _Queue] = {}
        """Calls without an id by name, and all of them under an empty name."""
        every = _Queue()

        def called(step: int, place: Place, call: Call) -> None:
            if place in self.answers:
                return
            every.add(step, place)
            named.setdefault(call.name, _Queue()).add(step, place)
            if not call.id:
                nameless.setdefault(call.name, _Queue()).add(step, place)
                nameless.setdefault("", _Queue()).add(step, place)

        def answered(i: int, result: Result) -> None:
            if i not in rest:
                return
            queues = [nameless.get(result.name)]
            if not result.call_id:
                queues.append(named.get(result.name) if result.name else every)
            places = (queue.take(self.answers) for queue in queues if queue is not None)
            place = next((place for place in places if place is not None), None)
            if place is None:
                self.orphans.add(i)
            else:
                self.answers[place] = i

        self._walk(called, answered)

    def _replace(self, i: int, result: Result) -> None:
        """Leave an earlier result of a call without one, unless the later result says the same."""
        earlier = self.result(i)
        if (earlier.parts, earlier.error) != (result.parts, result.error):
            self.orphans.add(i)

    def _walk(
        self, called: Callable[[int, Place, Call], None], answered: Callable[[int, Result], None]
    ) -> None:
        """Call back for each call, with the number of its step, and for each result with its position.

        A step ends where the user, or a result, comes after its calls.
        """
        step, open_ = 0, False
        for i, item in enumerate(self._items):
            if isinstance(item, Result):
                answered(i, item)
                open_ = False
                continue
            if item.role != "model":
                open_ = False
            for j, call in enumerate(item.calls):
                step, open_ = (step, True) if open_ else (step + 1, True)
                called(step, (i, j), call)


def distinct_ids(calls: Sequence[Call]) -> list[str]:
    """Return the ids of one turn's calls, with a number at each that repeats another. Empty ids stay."""
    ids = [call.id for call in calls]
    used = set(ids)
    if len(used) == len(ids):
        return ids
    seen: set[str] = set()
    numbers: dict[str, int] = {}
    for i, call_id in enumerate(ids):
        if call_id in seen:
            ids[i] = _numbered(call_id, used, numbers)
        elif call_id:
            seen.add(call_id)
    return ids


def _numbered(call_id: str, used: set[str], numbers: dict[str, int]) -> str:
    number = numbers.get(call_id, 1)
    while True:
        number += 1
        candidate = f"{call_id}_{number}"
        if candidate not in used:
            numbers[call_id] = number
            used.add(candidate)
            return candidate
