"""Faults before the first byte of an answer: connections, names, TLS."""

import pytest

from tests.support.site import Site
from tests.support.surfaces import CHAT, CHAT_STREAM, MESSAGES, Surface, assert_refused


@pytest.mark.row("U01")
@pytest.mark.parametrize("surface", [CHAT, CHAT_STREAM, MESSAGES])
async def test_u01_a_refused_connection_is_tried_twice(site: Site, surface: Surface) -> None:
    await site.start()
    await site.upstream.stop()

    reply = await site.ask(surface)

    assert_refused(reply, 502, "upstream_unreachable")
    assert await site.outcomes() == ["error", "error"]
