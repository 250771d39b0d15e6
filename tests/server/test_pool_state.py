"""What the pool has learnt outlives a restart."""

from tests.support.servers import Serve
from tests.support.team import Google, Team, spent


async def test_what_the_pool_learnt_survives_a_restart(team: Team, google: Google, serve: Serve) -> None:
    key = team.issue()
    await team.start("a")
    google.answers["AIza-a"] = lambda: spent("RequestsPerDay")
    assert (await team.ask(key))[2]["error"]["code"] == "rate_limit_exceeded"
    await serve.stop()
    await team.start("a")
    google.answers.clear()

    assert (await team.ask(key))[0] == 429
    assert google.calls == {"AIza-a": 1}
