"""Failures in groups, with what they mean."""

from typing import Any

from gateway.observability.request_log import RequestLog
from gateway.plugin import SERVICES
from tests.support.servers import Serve


async def test_a_group_says_what_it_means_and_whom_it_hit(admin: Any, serve: Serve) -> None:
    async with admin.post("/admin/keys", json={"name": "ada"}) as response:
        key_id = (await response.json())["id"]
    for number in range(3):
        serve.app[SERVICES].observed.recent.add(
            RequestLog(f"r{number}", "POST", "/v1", 429, "m", key=key_id, error="rate_limit_exceeded")
        )
    async with admin.get("/admin/errors?window=3600") as response:
        (group,) = (await response.json())["data"]

    assert (group["code"], group["status"], group["model"], group["count"]) == (
        "rate_limit_exceeded",
        429,
        "m",
        3,
    )
    assert sum(group["strip"]) == 3
    assert group["keys"] == [{"id": key_id, "name": "ada", "count": 3}]
    assert group["samples"] == ["r2", "r1", "r0"]
    assert "a limit of the client's key" in group["cause"]
    assert "wait" in group["remedy"]


async def test_all_codes_are_listed(admin: Any) -> None:
    async with admin.get("/admin/errors/table") as response:
        codes = [row["code"] for row in (await response.json())["data"]]
    async with admin.get("/admin/errors?window=5") as response:
        assert response.status == 400

    assert {"invalid_api_key", "signed_out", "loop_detected"} <= set(codes)
