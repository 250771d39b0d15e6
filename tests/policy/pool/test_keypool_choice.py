"""The key pool: which project and which key a call gets."""

import pytest

from gateway.errors import Forbidden, GatewayError, NotFound, NoUsableKey, PoolExhausted, Quota
from gateway.policy.pool.keypool import KeyPool
from gateway.policy.pool.projects import PoolConfig, Project
from tests.support.pools import NOON, PER_MINUTE, M, fail, limited, pool, refused, succeed


def test_the_project_with_the_fewest_calls_in_flight_is_chosen() -> None:
    keys = pool("a", "b", "c")
    for project in "aac":
        keys.acquire(M, NOON, only=project)

    assert [succeed(keys, NOON).project for _ in range(5)] == ["b"] * 5
    keys.acquire(M, NOON, only="b")
    assert {succeed(keys, NOON).project for _ in range(6)} == {"b", "c"}


def test_keys_of_a_project_take_turns() -> None:
    keys = pool("a", keys=3)
    used = [succeed(keys, NOON).key for _ in range(6)]

    assert sorted(used[:3]) == ["a-0", "a-1", "a-2"]
    assert used[3:] == used[:3]


def test_round_robin_ignores_calls_in_flight() -> None:
    keys = pool("a", "b", "c", select="round_robin")
    for _ in range(3):
        keys.acquire(M, NOON, only="b")

    assert [keys.acquire(M, NOON).project for _ in range(6)] == ["b", "c", "a", "b", "c", "a"]


def test_patterns_decide_which_projects_serve_a_model() -> None:
    keys = KeyPool([Project("a", ("k",), ("gemini-2*",)), Project("b", ("l",), ("gemma-*",))], PoolConfig())

    assert keys.acquire("gemma-3", NOON).project == "b"
    both = KeyPool([Project("a", ("k",)), Project("b", ("l",), ("gemma-*",))], PoolConfig())
    assert {both.acquire("gemma-3", NOON).project for _ in range(2)} == {"a", "b"}
    with pytest.raises(NoUsableKey, match=r"No Google project of this gateway serves imagen-4\.$"):
        keys.acquire("imagen-4", NOON)


@pytest.mark.parametrize(("model", "purpose"), [(M, f" for {M}"), ("", "")])
def test_where_all_keys_are_refused_the_message_says_so(model: str, purpose: str) -> None:
    keys = pool("a")
    fail(keys, refused(), NOON, model)
    with pytest.raises(
        NoUsableKey, match=f"^No key of this gateway can be used{purpose}: Google refuses all keys"
    ):
        keys.acquire(model, NOON)


def test_a_conversation_stays_on_its_project_while_that_is_free() -> None:
    keys = pool("a", "b", "c", "d")

    def homes() -> dict[int, str]:
        return {i: succeed(keys, NOON, affinity=b"%d" % i).project for i in range(40)}

    before = homes()
    assert set(before.values()) == {"a", "b", "c", "d"}
    assert homes() == before
    fail(keys, limited(Quota(PER_MINUTE), after=30), NOON, affinity=b"0")
    after = homes()

    assert all(after[i] == home for i, home in before.items() if home != before[0])
    assert before[0] not in after.values()


def test_tried_projects_are_chosen_last() -> None:
    keys = pool("a", "b")
    assert {succeed(keys, NOON, tried={"a"}).project for _ in range(5)} == {"b"}
    assert {succeed(keys, NOON, tried={"a", "b"}).project for _ in range(5)} == {"a", "b"}
    fail(keys, limited(after=30), NOON, only="b")

    assert keys.acquire(M, NOON, tried={"a"}).project == "a"


def test_others_are_free_projects_with_a_usable_key_that_serve_the_model() -> None:
    keys = KeyPool(
        [Project("a", ("k",)), Project("b", ("l",)), Project("c", ("m",), ("gemma-*",))], PoolConfig()
    )
    assert keys.others(M, {"a"}, NOON)
    assert not keys.others(M, {"a", "b"}, NOON)
    assert keys.others("gemma-3", {"a", "b"}, NOON)
    fail(keys, limited(after=30), NOON, only="b")
    assert not keys.others(M, {"a"}, NOON)
    assert keys.others(M, {"a"}, NOON + 31)
    fail(keys, refused(), NOON + 31, only="b")
    assert not keys.others(M, {"a"}, NOON + 32)


def test_a_request_with_files_is_tied_to_their_project() -> None:
    keys = KeyPool(
        [Project("a", ("k",), ("gemma-*",)), Project("b", ("l",)), Project("c", ("m",))], PoolConfig()
    )
    homes = [keys.acquire(M, NOON, only="c", affinity=b"%d" % i, tried=("c",)).project for i in range(9)]
    assert set(homes) == {"c"}
    fail(keys, limited(Quota(PER_MINUTE), after=30), NOON, only="c")
    fail(keys, refused(), NOON, only="b")

    with pytest.raises(PoolExhausted, match="holds these files") as caught:
        keys.acquire(M, NOON, only="c")
    assert caught.value.retry_after == pytest.approx(30)
    with pytest.raises(NoUsableKey):
        keys.acquire(M, NOON, only="b")


FILES = "The Google project that holds these files "


@pytest.mark.parametrize(
    ("project", "error", "code", "message"),
    [
        ("a", Forbidden, "model_not_allowed", FILES + "does not serve gemini-2.5-flash. "
         + "Choose a model that it serves, or upload the files again."),
        ("d", NotFound, "not_found", FILES + "is no longer in this gateway's pool. Upload them again."),
    ],
)  # fmt: skip
def test_files_of_a_project_that_cannot_take_the_call(
    project: str, error: type[GatewayError], code: str, message: str
) -> None:
    keys = KeyPool([Project("a", ("k",), ("gemma-*",)), Project("b", ("l",))], PoolConfig())
    with pytest.raises(error) as caught:
        keys.acquire(M, NOON, only=project)

    assert (caught.value.message, caught.value.code) == (message, code)


def test_a_pool_without_projects_is_false() -> None:
    assert pool("a")
    assert not KeyPool([], PoolConfig())


def test_files_of_a_client_stay_together_on_a_project_that_serves_all_models() -> None:
    projects = [Project("a", ("k",), ("gemma-*",)), Project("b", ("l",)), Project("c", ("m",))]
    keys = KeyPool(projects, PoolConfig(affinity=False, select="round_robin"))
    homes = [{keys.acquire("", NOON, affinity=b"%d" % i).project for _ in range(5)} for i in range(20)]

    assert {len(home) for home in homes} == {1}
    assert set.union(*homes) == {"b", "c"}
    assert KeyPool(projects[:1], PoolConfig()).acquire("", NOON).project == "a"
