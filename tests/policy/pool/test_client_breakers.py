"""Failures of one client keep only that client away from a project."""

import pytest

from gateway.policy.pool.client_breakers import ClientBreakers


def fail(breakers: ClientBreakers, client: str, times: int, *, connection: bool = False) -> None:
    for _ in range(times):
        breakers.failed(client, 0.0, 0.0, may_open=True, connection=connection)


def test_one_client_alone_is_kept_away() -> None:
    breakers = ClientBreakers()
    fail(breakers, "eve", 4)
    assert breakers.remaining("eve", 0.0) == 0
    fail(breakers, "eve", 100)

    assert breakers.remaining("eve", 0.0) == 1
    assert breakers.remaining("ada", 0.0) == 0
    assert not breakers.shared.tripped


@pytest.mark.parametrize(("others", "seconds"), [({"ada": 1}, 0), ({"ada": 2}, 1), ({"ada": 1, "bob": 1}, 1)])
def test_two_failures_of_others_keep_all_away(others: dict[str, int], seconds: float) -> None:
    breakers = ClientBreakers()
    fail(breakers, "eve", 100)
    for client, times in others.items():
        fail(breakers, client, times)

    assert breakers.remaining("cyd", 0.0) == seconds


@pytest.mark.parametrize("client", ["", "eve"])
def test_failed_connections_keep_all_away(client: str) -> None:
    breakers = ClientBreakers()
    fail(breakers, client, 5, connection=True)

    assert breakers.remaining("ada", 0.0) == 1


def test_a_success_ends_what_was_counted_but_not_what_another_client_met() -> None:
    breakers = ClientBreakers()
    fail(breakers, "eve", 5)
    fail(breakers, "ada", 1)
    breakers.succeeded("ada")
    fail(breakers, "ada", 1)
    assert (breakers.remaining("ada", 0.0), breakers.remaining("eve", 0.0)) == (0, 1)

    breakers.succeeded("eve")
    assert breakers.remaining("eve", 0.0) == 0


def test_a_thousand_clients_take_little_memory() -> None:
    breakers = ClientBreakers()
    for i in range(1000):
        fail(breakers, f"c{i}", 1)

    assert breakers.own is not None
    assert len(breakers.own) == 64
    assert len(breakers._counted) < 10
