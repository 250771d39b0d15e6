"""What the models can do, by the table that the gateway ships, and the day whose prices and successors apply."""

from datetime import UTC, date, datetime

from gateway.config.capabilities import shipped
from gateway.gemini.capabilities import CapabilityTable

TABLE = CapabilityTable(shipped())


class Today:
    """A day, in Unix seconds."""

    def __init__(self) -> None:
        self.set(date(2026, 11, 26))

    def set(self, day: date) -> None:
        """Begin another day, in UTC."""
        self.at = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
