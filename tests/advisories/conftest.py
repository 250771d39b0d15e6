"""Fixtures of the advisory suite."""

from tests.server.conftest import google, team

__all__ = ["google", "team"]
