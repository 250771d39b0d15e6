"""The verdicts of a webhook; test_plugin.py asks one."""

import msgspec
import pytest

from gateway.plugins.guard.webhook import Verdict


def test_a_verdict_has_one_of_three_actions() -> None:
    assert msgspec.json.decode(b'{"action": "allow", "more": 1}', type=Verdict) == Verdict("allow")
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"action": "perhaps"}', type=Verdict)
