"""How late the loop was, by a clock that the test turns."""

import asyncio

import pytest

from gateway.observability.loop_lag import PERIOD, LoopLag
from tests.support.servers import Serve


class Nights:
    """A clock, and sleeps that last as long as they are told; then no more."""

    def __init__(self, *lengths: float) -> None:
        self.now = 100.0
        self._lengths = list(lengths)

    async def sleep(self, _: float) -> None:
        if not self._lengths:
            raise asyncio.CancelledError
        self.now += self._lengths.pop(0)

    async def lag(self) -> float:
        """What is told after all of them."""
        lag = LoopLag(lambda: self.now, self.sleep)
        with pytest.raises(asyncio.CancelledError):
            await lag.sample()
        return lag.largest


@pytest.mark.parametrize(
    ("lengths", "largest"),
    [
        ([], 0.0),
        ([PERIOD], 0.0),
        ([PERIOD, PERIOD + 0.25, PERIOD + 0.125], 0.25),
        ([PERIOD - 0.25], 0.0),  # never early
        ([PERIOD + 2, *[PERIOD] * 120], 2.0),
        ([PERIOD + 2, *[PERIOD] * 121], 0.0),  # a minute ago and more
        ([PERIOD + 1, PERIOD + 100], 100.0),
    ],
)
async def test_the_largest_lag_of_the_last_minute_is_reported(lengths: list[float], largest: float) -> None:
    assert await Nights(*lengths).lag() == largest


async def test_sampling_goes_on_until_the_context_is_left() -> None:
    slept, left = asyncio.Event(), asyncio.Event()

    async def sleep(_: float) -> None:
        slept.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    async with LoopLag(sleep=sleep).sampling(), asyncio.timeout(60):
        await slept.wait()
        assert not left.is_set()
    assert left.is_set()


def _samplers() -> int:
    return sum(task.get_name() == "loop lag" for task in asyncio.all_tasks())


async def test_the_application_samples_while_it_lives(serve: Serve) -> None:
    await serve()
    assert _samplers() == 1

    await serve.stop()
    assert _samplers() == 0
