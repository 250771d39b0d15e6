"""Treatments of fields in Chinese."""

from collections.abc import Iterator

from gateway.console.notes_zh import TEXTS, in_language
from gateway.conversation.field_policy import Policy
from gateway.plugin import SERVICES
from tests.support.servers import Serve


def policies(serve: Serve) -> Iterator[Policy]:
    for plugin in serve.app[SERVICES].plugins.values():
        for table in plugin.fields.values():
            yield from table.values()


async def test_what_is_not_honoured_has_its_chinese(serve: Serve) -> None:
    await serve()
    known = {policy.how: policy.treatment for policy in policies(serve)}
    noted = {how for how, treatment in known.items() if treatment in ("ignored", "dropped", "clamped")}

    assert noted - set(TEXTS) == set()


def test_a_browser_gets_its_language() -> None:
    assert in_language("no counterpart", "zh-CN") == "没有对应项"
    assert in_language("no counterpart", "en-US") == "no counterpart"
    assert in_language("what a plugin of a third party says", "zh") == "what a plugin of a third party says"
