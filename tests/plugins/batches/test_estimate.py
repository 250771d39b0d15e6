"""The most that a batch can cost, against budgets."""

import resource
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.batches import BatchTeam, batch_team, chat_body, line
from tests.support.servers import Serve


@pytest.fixture
async def team(serve: Serve, tmp_path: Path) -> AsyncIterator[BatchTeam]:
    async with batch_team(serve, tmp_path) as result:
        yield result


async def test_ba13_a_budget_refuses_a_batch_that_it_cannot_pay(team: BatchTeam) -> None:
    client = await team.begin(key=team.team.issue(dollars={"month": 1.0}))
    lines = [line(str(i), chat_body(max_tokens=60_000)) for i in range(100)]

    status, answer = await client.create(lines)
    assert (status, answer["error"]["code"]) == (429, "insufficient_quota")
    assert team.seen == []
    status, answer = await client.create([line("a", chat_body(max_tokens=100))])
    assert (status, answer["object"]) == (200, "batch")


@pytest.mark.parametrize("number", [1_000_000_000, 10**400])
async def test_a_number_of_choices_takes_no_memory(team: BatchTeam, number: int) -> None:
    client = await team.begin(key=team.team.issue(dollars={"month": 1.0}))
    before, limits = resource.getrlimit(resource.RLIMIT_AS), 4 * 2**30
    resource.setrlimit(resource.RLIMIT_AS, (limits, before[1]))
    try:
        status, answer = await client.create([line("a", chat_body(n=number))])
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)

    assert (status, answer["error"]["code"]) == (429, "insufficient_quota")
    assert team.seen == []
