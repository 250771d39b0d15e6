"""A pool with projects on Vertex AI: calls that it does not have, and models that a project does without."""

import pytest

from gateway.errors import NotFound, NoUsableKey
from gateway.gemini.errors import from_status
from gateway.gemini.wire import ErrorStatus
from gateway.policy.pool.call_outcome import Unserved, outcome
from gateway.policy.pool.errors import NotOnVertex
from gateway.policy.pool.keypool import KeyPool
from gateway.policy.pool.projects import PUT_BACK, Kind, PoolConfig, Project
from tests.support.pools import NOON, M, succeed

GONE = from_status(404, ErrorStatus(message="Publisher Model `projects/p/locations/l/publishers/google/models/x` was not"))  # fmt: skip


def pool(**kinds: Kind) -> KeyPool:
    projects = [Project(name, (f"{name}-0",), kind=kind) for name, kind in kinds.items()]
    return KeyPool(projects, PoolConfig(select="round_robin", affinity=False))


def asked(keys: KeyPool, now: float, times: int = 6, **fields: bool) -> set[str]:
    return {keys.acquire(M, now, gemini_only=fields.get("gemini_only", False)).project for _ in range(times)}


def test_calls_that_vertex_does_not_have_go_to_the_gemini_api() -> None:
    keys = pool(a="vertex", b="gemini", c="gemini")

    assert asked(keys, NOON) == {"a", "b", "c"}
    assert asked(keys, NOON, gemini_only=True) == {"b", "c"}
    assert not pool(a="vertex").others(M, (), NOON, gemini_only=True)
    with pytest.raises(NotOnVertex, match="Vertex AI does not have this method") as caught:
        pool(a="vertex").acquire(M, NOON, gemini_only=True)
    assert (caught.value.status, caught.value.code, M in caught.value.message) == (400, "unsupported", True)
    with pytest.raises(NoUsableKey):
        KeyPool([Project("a", ("k",), ("other-*",), "vertex")], PoolConfig()).acquire(
            M, NOON, gemini_only=True
        )


def test_a_project_without_the_model_is_asked_last_for_a_while() -> None:
    keys = pool(a="vertex", b="vertex")
    lease = keys.acquire(M, NOON)
    keys.settle(lease, outcome(GONE), NOON, 0.0, "words")

    other = "b" if lease.project == "a" else "a"
    assert isinstance(GONE, NotFound)
    assert outcome(GONE) == Unserved()
    assert asked(keys, NOON + 599) == {other}
    assert {keys.acquire("gemini-3-pro", NOON).project for _ in range(6)} == {"a", "b"}
    assert asked(keys, NOON + 601) == {"a", "b"}
    assert not keys.others(M, (other,), NOON + 1)
    assert keys.others(M, (lease.project,), NOON + 1)


def test_a_project_that_lacks_the_model_is_asked_where_all_do() -> None:
    """Its words are the client's answer; and what has changed is found out."""
    keys = pool(a="vertex")
    keys.settle(keys.acquire(M, NOON), outcome(GONE), NOON, 0.0)

    assert asked(keys, NOON + 1) == {"a"}
    succeed(keys, NOON + 2)
    assert keys.others(M, (), NOON + 3)


def test_the_operator_puts_such_a_project_back() -> None:
    keys = pool(a="vertex", b="vertex")
    lease = keys.acquire(M, NOON)
    keys.settle(lease, outcome(GONE), NOON, 0.0)
    keys.order(lease.project, M, PUT_BACK, NOON + 1)

    assert asked(keys, NOON + 2) == {"a", "b"}
