"""A period of not being used, measured on the wall clock."""


class Cooldown:
    """The time until which a key, a project or a model is not used, and the reason.

    All times are seconds since 1970: a cooldown is stored and outlives the process. If the clock is set back, the
    remaining time stays what it was, so that a wrong clock never disables a project for hours.
    """

    __slots__ = ("reason", "since", "until")

    def __init__(self) -> None:
        self.reason, self.since, self.until = "", 0.0, 0.0

    def start(self, reason: str, now: float, until: float) -> None:
        """Cool down until a time, unless that is in the past or a longer cooldown is running."""
        self.remaining(now)  # corrects `until` when the clock was set back
        if until > max(now, self.until):
            self.reason, self.since, self.until = reason, now, until

    def remaining(self, now: float) -> float:
        """Return the seconds that are left, 0.0 when it is over."""
        if now < self.since:
            self.until -= self.since - now
            self.since = now
        seconds = self.until - now
        return seconds if seconds > 0 else 0.0
