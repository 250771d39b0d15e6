"""Conditions for alerts, from numbers that the caller has read. Times are Unix seconds."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

from gateway.plugins.alert.outbox import Alert
from gateway.policy.clients.budgets import BudgetUse
from gateway.upstream.certificate import remedy_of

_REFUSALS = {
    "bad": "Google refuses the key: replace it.",
    "leaked": "Google says that the key was published: replace it.",
    "suspended": "Google has suspended the project.",
    "spent": "the project has no credit left, or has reached its spending cap.",
}
"""Reasons for which a key or a project serves nobody until somebody acts."""


def budget(use: BudgetUse, marks: Sequence[int], *, refuses: bool) -> Iterator[Alert]:
    """Yield an alert if a key has passed a mark of its budget, in percent.

    A call reserves the most that it can cost, so a budget `refuses` before it is spent: that counts as 100 percent.
    """
    limit, share = use.budget, 100 * use.share
    passed = [mark for mark in marks if refuses or share >= mark]
    if passed:
        amount = f"{limit.limit / 1_000_000:g} dollars" if limit.unit == "money" else f"{limit.limit} tokens"
        text = f"The key {use.key} has used {share:.0f} % of its budget ({amount}, {limit.period})."
        if refuses and share < 100:
            text += " It was refused a request that may have cost more than the rest."
        severity = "critical" if refuses or share >= 100 else "warning"
        yield Alert("budget", f"{use.key} {limit.unit} {limit.period}", text, severity, max(passed))


def projects(states: Iterable[tuple[str, str, str, str]]) -> Iterator[Alert]:
    """Yield an alert for each project or key that Google refuses: project, id of the key, model, and reason."""
    for project, key_id, _, reason in states:
        if reason in _REFUSALS:
            where = f"key {key_id} of project {project}" if key_id else f"project {project}"
            yield Alert(
                "project", f"{project} {key_id} {reason}", f"{where}: {_REFUSALS[reason]}", "critical"
            )


def prices(days: int, most: int) -> Iterator[Alert]:
    """Yield an alert if the table of models and prices is older than `most` days."""
    if days > most:
        yield Alert(
            "prices",
            "",
            f"The table of models and prices is {days} days old: budgets may count wrong prices. Update the gateway.",
        )


def certificate(host: str, days: float | None, fault: str, most: int) -> Iterator[Alert]:
    """Yield an alert for a certificate that ends within `most` days, or is not accepted (`days` is None)."""
    if days is None:
        text = f"The certificate of {host} cannot be used: {fault}. {remedy_of(fault)}".strip()
        yield Alert("certificate", host, text, "critical")
    elif days < most:
        severity = "critical" if days < 3 else "warning"
        yield Alert("certificate", host, f"The certificate of {host} ends in {days:.0f} days.", severity)


class ErrorRate:
    """Share of failed requests in the last minutes."""

    def __init__(self, seconds: float, share: float, requests: int) -> None:
        self._seconds = seconds
        self._share = share
        self._requests = requests
        self._readings: deque[tuple[float, int, int]] = deque()
        """Time, requests and failed ones since the start."""

    def begin(self, exchanges: Mapping[tuple[str, int], int], now: float) -> None:
        """Leave out the requests until now."""
        self._readings.clear()
        self._note(exchanges, now)

    def read(self, exchanges: Mapping[tuple[str, int], int], now: float) -> Iterator[Alert]:
        """Yield an alert if too many requests have failed with a status of 500 or more.

        `exchanges` counts requests since the start by model and status.
        """
        total, failed = self._note(exchanges, now)
        while len(self._readings) > 2 and self._readings[1][0] <= now - self._seconds:
            self._readings.popleft()
        _, total_before, failed_before = self._readings[0]
        requests, errors = total - total_before, failed - failed_before
        if requests >= self._requests and errors > self._share * requests:
            yield Alert(
                "errors",
                "",
                f"{errors} of the last {requests} requests failed ({100 * errors / requests:.0f} %).",
                "critical",
            )

    def _note(self, exchanges: Mapping[tuple[str, int], int], now: float) -> tuple[int, int]:
        total = sum(exchanges.values())
        failed = sum(number for (_, status), number in exchanges.items() if status >= 500)
        self._readings.append((now, total, failed))
        return total, failed
