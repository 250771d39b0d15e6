"""Endpoints as they are described."""

import msgspec

from gateway.console.endpoint import Done


def test_a_change_that_was_made() -> None:
    assert msgspec.json.encode(Done()) == b'{"done":true}'
