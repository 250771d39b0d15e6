"""Which alerts are sent: each once, again when it lasts, a word when it is over, never too many."""

import msgspec

from gateway.plugins.alert.outbox import Alert, Message, Outbox
from gateway.policy.clients.budgets import Budget, BudgetUse

DAY, HOUR = 86400.0, 3600.0
ONE, TWO = Alert("project", "a", "a is refused"), Alert("project", "b", "b is refused")


def sent(outbox: Outbox, alerts: list[Alert], now: float, most: int = 20) -> list[Message]:
    """Return the messages that are due, as if all could be sent."""
    messages = outbox.due(alerts, now, DAY, most)
    for message in messages:
        outbox.confirm(message, now)
    return messages


def test_o20_an_alert_is_sent_once_and_again_after_a_day() -> None:
    outbox = Outbox()

    assert sent(outbox, [ONE], 0) == [Message(ONE)]
    assert sent(outbox, [ONE], 60) == []
    assert sent(outbox, [ONE, TWO], 120) == [Message(TWO)]
    assert sent(outbox, [ONE], DAY) == [Message(ONE), Message(TWO, resolved=True)]
    assert sent(outbox, [ONE], DAY + 60) == []


def test_o20_one_that_is_over_is_told_once_and_may_come_again() -> None:
    outbox = Outbox()
    sent(outbox, [ONE], 0)

    assert sent(outbox, [], 60) == [Message(ONE, resolved=True)]
    assert sent(outbox, [], 120) == []
    assert sent(outbox, [ONE], 180) == [Message(ONE)]


def test_o20_one_that_gets_worse_is_sent_at_once() -> None:
    outbox = Outbox()
    worse = Alert("project", "a", "a is gone", "critical")
    sent(outbox, [ONE], 0)

    assert sent(outbox, [worse], 60) == [Message(worse)]
    assert sent(outbox, [ONE], 120) == []


def test_o20_one_that_reaches_a_higher_level_is_sent_at_once_and_the_lower_one_is_not_over() -> None:
    outbox = Outbox()
    low, high = (Alert("budget", "carl", f"carl: {n} %", level=n) for n in (50, 80))

    assert sent(outbox, [low], 0) == [Message(low)]
    assert sent(outbox, [high], 60) == [Message(high)]
    assert sent(outbox, [low], 120) == []
    assert sent(outbox, [high], 180) == [Message(high)]
    assert sent(outbox, [], 240) == [Message(high, resolved=True)]


def test_o20_a_budget_refuses_until_its_period_ends_or_its_limit_changes() -> None:
    outbox, day = Outbox(), Budget("tokens", "day", 10)
    use = BudgetUse("carl", day, 9, "id", refused=DAY + 5)

    assert not outbox.refuses(use._replace(refused=0.0), DAY + 10)
    assert outbox.refuses(use, DAY + 10)
    assert outbox.refuses(use._replace(refused=0.0), DAY + 20)
    assert not outbox.refuses(BudgetUse("carl", Budget("tokens", "day", 20), 9, "id"), DAY + 20)
    assert not outbox.refuses(use, 2 * DAY + 1)
    assert not outbox.refuses(use._replace(refused=0.0), 2 * DAY + 2)


def test_o20_too_many_are_counted_in_the_last_and_in_the_next() -> None:
    outbox = Outbox()
    many = [Alert("project", str(i), "x") for i in range(5)]

    assert [message.left_out for message in sent(outbox, many, 0, most=2)] == [0, 3]
    assert sent(outbox, [*many, ONE], 60, most=2) == []
    assert sent(outbox, [*many, ONE, TWO], HOUR + 1, most=2) == [Message(TWO, left_out=1)]


def test_a_message_that_could_not_be_sent_is_due_again() -> None:
    outbox = Outbox()

    assert outbox.due([ONE], 0, DAY, 20) == outbox.due([ONE], 60, DAY, 20) == [Message(ONE)]


def test_it_survives_a_restart() -> None:
    outbox = Outbox()
    sent(outbox, [ONE], 0)
    again = msgspec.json.decode(msgspec.json.encode(outbox), type=Outbox)

    assert sent(again, [ONE], 60) == []
