"""Decides which alerts are sent: each once, again when it lasts, a word when it is over, and never too many."""

from collections.abc import Iterable

from msgspec import Struct, field

_HOUR = 3600.0


class Alert(Struct, frozen=True):
    """Something that an operator must know."""

    kind: str
    """`budget`, `project`, `errors`, `certificate` or `prices`."""
    subject: str
    """The key, project or host that it is about; alerts of the same kind and subject are the same."""
    text: str
    severity: str = "warning"

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

    def due(self, alerts: Iterable[Alert], now: float, repeat: float, most: int) -> list[Message]:
        """Return the messages to send now. `repeat` is in seconds, `most` the number of messages in an hour.

        A message counts as sent once `confirm` is called for it.
        """
        current = {alert.name: alert for alert in alerts}
        messages = [
            Message(alert)
            for name, alert in current.items()
            if (known := self.active.get(name)) is None
            or now - known.at >= repeat
            or worse(alert, known.alert)
        ]
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
    """Return whether an alert has become critical since it was sent."""
    return alert.severity == "critical" and before.severity != "critical"
