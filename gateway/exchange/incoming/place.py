"""Wait for a place among the requests in progress."""

import asyncio

from gateway.policy.load.admission import Admission


async def wait_for_place(admission: Admission) -> None:
    """Take a place when the queue has come so far. Raises RateLimited if there is no hope, or it takes too long."""
    turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    admission.join(turn)
    try:
        async with asyncio.timeout(admission.patience):
            await turn
    except BaseException as error:
        if turn.done() and not turn.cancelled():  # the place came at the same moment
            admission.leave()
        else:
            admission.withdraw(turn)
        if isinstance(error, TimeoutError):
            raise admission.refusal("patience") from None
        raise
