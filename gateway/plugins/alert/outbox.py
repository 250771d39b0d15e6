"""Decides which alerts are sent: each once, again when it lasts, a word when it is over, and never too many."""

from collections.abc import Iterable

from msgspec import Struct, field

from gateway.policy.clients.budgets import BudgetUse

_HOUR = 3600.0


class Alert(Struct, frozen=True):
    """Something that an operator must know."""

    kind: str
    """`budget`, `project`, `errors`, `certificate` or `prices`."""
    subject: str
    """The key, project or host that it is about; alerts of the same kind and subject are the same."""
    text: str
    severity: str = "warning"
    level: int = 0
    """A higher one is worse at the same severity, such as the percentage of a budget."""

    @property
    def name(self) -> str:
        """Name of the same alert over time."""
        return f"{self.kind} {self.subject}".strip()


class Sent(Struct):
    """An alert that was sent and is not over."""

    at: float
    alert: Alert


class Message(Struct, frozen=True):
    """A message for the webhook."""

    alert: Alert
    resolved: bool = False
    left_out: int = 0
    """Messages that were left out since the last one, because there were too many."""


class Outbox(Struct):
    """Alerts that are known. It can be stored as JSON."""

    active: dict[str, Sent] = field(default_factory=dict)
    sent: list[float] = field(default_factory=list)
    """Times of the messages in the last hour."""
    left_out: int = 0
    refusals: dict[str, float] = field(default_factory=dict)
    """Budgets that have refused a request, with the beginning of the period in which they did."""

    def due(self, alerts: Iterable[Alert], now: float, repeat: float, most: int) -> list[Message]:
        """Return the messages to send now. `repeat` is in seconds, `most` the number of messages in an hour.

        A message counts as sent once `confirm` is called for it.
        """
        current = {alert.name: alert for alert in alerts}
        messages = []
        for name, alert in current.items():
            known = self.active.get(name)
            if known is None or now - known.at >= repeat or worse(alert, known.alert):
                messages.append(Message(alert))
            else:
                known.alert = alert  # if it has become better, it may become worse again
        messages += [Message(known.alert, True) for name, known in self.active.items() if name not in current]
        self.sent = [at for at in self.sent if now - at < _HOUR]
        room = max(0, most - len(self.sent))
        for message in messages[room:]:
            if not message.resolved and message.alert.name not in self.active:
                self.left_out += 1
            self._settle(message, now)
        sending = messages[:room]
        if sending and self.left_out:
            sending[-1] = Message(sending[-1].alert, sending[-1].resolved, self.left_out)
        return sending

    def refuses(self, use: BudgetUse, now: float) -> bool:
        """Return whether a budget has refused a request in its current period, as `use` or an earlier one says."""
        limit = use.budget
        name, start = f"{use.key_id} {limit.unit} {limit.period} {limit.limit}", limit.start(now)
        if use.refused and use.refused >= start:
            self.refusals[name] = start
        elif self.refusals.get(name, start) != start:
            del self.refusals[name]
        return name in self.refusals

    def confirm(self, message: Message, now: float) -> None:
        """Note that a message was sent."""
        self.sent.append(now)
        self.left_out -= message.left_out
        self._settle(message, now)

    def _settle(self, message: Message, now: float) -> None:
        if message.resolved:
            self.active.pop(message.alert.name, None)
        else:
            self.active[message.alert.name] = Sent(now, message.alert)


def worse(alert: Alert, before: Alert) -> bool:
    """Return whether an alert has become critical, or has reached a higher level, since it was sent."""
    return (alert.severity == "critical", alert.level) > (before.severity == "critical", before.level)
