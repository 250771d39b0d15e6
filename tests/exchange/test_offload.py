"""Heavy work runs in a thread, light work does not."""

import threading

import pytest

from gateway.exchange.offload import offload


@pytest.mark.parametrize("heavy", [False, True])
async def test_where_work_is_done(heavy: bool) -> None:
    thread = await offload(heavy, threading.get_ident)

    assert (thread != threading.get_ident()) is heavy


@pytest.mark.parametrize("heavy", [False, True])
async def test_an_error_is_raised(heavy: bool) -> None:
    def work() -> None:
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        await offload(heavy, work)
