"""Tokens, sessions and the trusted proxy."""

import pytest

from gateway.config.admin import AdminConfig, OperatorConfig, TrustConfig
from gateway.config.secret import Secret
from gateway.console.operators import IDLE, LONGEST, Operator, Operators
from gateway.errors import RateLimited

NOW = 1_800_000_000.0
WALL = OperatorConfig(Secret("wall-token"), "read")


def operators(token: str = "hush", **config: object) -> Operators:
    return Operators(AdminConfig(Secret(token), {"wall": WALL}, **config))  # type: ignore[arg-type]


def cookie(of: Operators, token: bytes = b"hush", now: float = NOW) -> str:
    operator = of.by_token(token, "a", now)
    assert operator is not None
    return of.begin_session(operator, now)[0]


def test_a_token_names_its_operator() -> None:
    known = operators()

    assert known.by_token(b"hush", "a", NOW) == Operator("admin", "write", "token")
    assert known.by_token(b"wall-token", "a", NOW) == Operator("wall", "read", "token")
    assert known.by_token(b"\xff", "a", NOW) is None
    assert not Operators(AdminConfig()).any


def test_five_wrong_tokens_a_minute_and_no_more_from_one_address() -> None:
    known = operators()
    for i in range(5):
        assert known.by_token(b"guess", "a", NOW + i) is None
    with pytest.raises(RateLimited) as caught:
        known.by_token(b"hush", "a", NOW + 9)

    assert (caught.value.code, caught.value.retry_after) == ("too_many_attempts", 51)
    assert known.by_token(b"hush", "b", NOW + 9) is not None
    assert known.by_token(b"hush", "a", NOW + 60.5) is not None


def test_a_session_slides_while_it_is_used_and_ends() -> None:
    known = operators()
    first = cookie(known)
    fresh = known.by_cookie(first, NOW + 300)
    used = known.by_cookie(first, NOW + IDLE - 60)
    assert fresh is not None
    assert used is not None

    assert (fresh.name, fresh.how, fresh.renewed) == ("admin", "cookie", "")
    assert known.by_cookie(first, NOW + IDLE) is None
    assert known.by_cookie(used.renewed, NOW + 2 * IDLE - 61) is not None
    assert known.by_cookie(used.renewed, NOW + 2 * IDLE - 60) is None


def test_a_session_lasts_a_week_at_most() -> None:
    known = operators()
    value, now = cookie(known), NOW
    while (session := known.by_cookie(value, now)) is not None:
        value, now = session.renewed or value, now + IDLE / 2

    assert LONGEST <= now - NOW <= LONGEST + IDLE / 2


def test_a_cookie_belongs_to_a_token() -> None:
    value = cookie(operators())

    assert operators().by_cookie(value, NOW) is not None  # another process, another machine
    assert operators("changed").by_cookie(value, NOW) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda value: value[:-1] + ("A" if value[-1] != "A" else "B"),
        lambda value: value.replace(".", "..", 1),
        lambda value: "d2FsbA" + value[value.index(".") :],
        lambda value: value.replace(str(int(NOW + IDLE)), str(int(NOW + 9 * IDLE))),
        lambda value: "ÿ" + value,
        lambda value: "a.b.c.d.e",
        lambda value: value + "x" * 500,
        lambda value: "",
        lambda value: "_.1.2." + value.rpartition(".")[0],
    ],
)  # fmt: skip
def test_a_forged_cookie_is_nobody_s(spoil: object) -> None:
    known = operators()
    value = cookie(known)

    assert known.by_cookie(value, NOW) is not None
    assert known.by_cookie(spoil(value), NOW) is None  # type: ignore[operator]


def test_an_ended_session_is_over_and_others_go_on() -> None:
    known = operators()
    value, other = cookie(known), cookie(known)
    known.end_session(value)
    known.end_session("nonsense")
    known.end_session(other[:-2] + "xx")

    assert known.by_cookie(value, NOW) is None
    assert known.by_cookie(other, NOW) is not None


@pytest.mark.parametrize(
    ("proxies", "peer", "name", "is_known"),
    [
        (("127.0.0.1",), "127.0.0.1", "ada@example.com", True),
        (("10.0.0.0/8",), "10.2.3.4", "ada", True),
        (("10.0.0.0/8",), "11.2.3.4", "ada", False),
        (("127.0.0.1",), "", "ada", False),
        (("unix",), "", "ada", True),
        (("unix",), "127.0.0.1", "ada", False),
        (("fe80::/10",), "fe80::1%eth0", "ada", True),
        (("127.0.0.1",), "127.0.0.1", "", False),
        (("127.0.0.1",), "127.0.0.1", "a\x07", False),
    ],
)
def test_a_proxy_is_believed_by_its_address(
    proxies: tuple[str, ...], peer: str, name: str, is_known: bool
) -> None:
    known = operators(trust=TrustConfig("X-User", proxies, "read"))
    operator = known.by_proxy({"X-User": name}, peer)

    assert operator == (Operator(name, "read", "header") if is_known else None)
    assert operators().by_proxy({"X-User": name}, peer) is None


def test_a_ticket_signs_in_once_and_within_an_hour() -> None:
    known = operators()
    first, second = known.ticket("admin", NOW), known.ticket("admin", NOW)

    assert known.by_ticket(first, NOW + 3599) == Operator("admin", "write", "token")
    assert known.by_ticket(first, NOW + 3599) is None
    assert known.by_ticket(second, NOW + 3600) is None
    assert known.by_ticket("", NOW) is None
    assert known.by_ticket(known.ticket("nobody", NOW), NOW) is None
