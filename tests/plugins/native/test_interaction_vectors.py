"""The vectors IN1 to IN5 of the Interactions API, by number."""

import json

import pytest

from tests.plugins.native.test_interactions import DONE, EVENTS, Google, M, call, frames, post, settled
from tests.support.team import Team


@pytest.fixture
async def google() -> Google:
    return Google()


async def test_in1_the_path_and_the_revision_are_as_sent_and_the_row_has_the_usage(
    team: Team, google: Google
) -> None:
    await team.start("a")
    status, _ = await post(team, "AIza-own", {"model": M, "input": "hi"}, **{"Api-Revision": "2026-05-20"})
    ((path, headers, _),) = google.requests
    assert (status, path, headers["api-revision"]) == (200, "/v1/interactions", "2026-05-20")
    row = await settled(team)
    assert (row.surface, row.prompt, row.completion, row.thoughts) == ("interactions", 1000, 100, 50)


@pytest.mark.parametrize("cut", [False, True])
async def test_in2_events_are_unchanged_and_the_last_one_settles(
    team: Team, google: Google, *, cut: bool
) -> None:
    key = team.issue(tokens={"total": 1_000_000})
    await team.start("a")
    if cut:
        google.events, google.end, google.cut = EVENTS[:3], "", True
    status, data = await post(team, key, {"model": M, "input": "hi", "stream": True})
    assert status == 200
    assert data.startswith(frames(google.events, google.end)) if cut else data == frames(EVENTS)
    row = await settled(team)
    assert row.exact is not cut
    assert (row.completion == 100) is not cut


async def test_in3_agents_and_the_interactions_of_others_are_refused_in_googles_shape(
    team: Team, google: Google
) -> None:
    mine, other = team.issue(), team.issue()
    await team.start("a", "plugins: {native: {interactions: {store: true}}}\n")
    status, data = await post(team, mine, {"agent": "deep-research-pro", "input": "hi"})
    assert (status, json.loads(data)["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert (await post(team, mine, {"model": M, "input": "hi"}))[0] == 200
    status, data = await post(team, other, {"model": M, "input": "hi", "previous_interaction_id": DONE["id"]})
    assert (status, json.loads(data)["error"]["status"]) == (404, "NOT_FOUND")
    assert (await call(team, other, "GET", f"/v1/interactions/{DONE['id']}"))[0] == 404


async def test_in4_without_storage_nothing_is_stored(team: Team, google: Google) -> None:
    key = team.issue()
    await team.start("a")
    assert (await post(team, key, {"model": M, "input": "hi"}))[0] == 200
    assert google.requests[0][2]["store"] is False


async def test_in5_uses_of_the_search_are_searches(team: Team, google: Google) -> None:
    await team.start("a")
    await post(team, "AIza-own", {"model": M, "input": "hi"})
    assert (await settled(team)).searches == 3
