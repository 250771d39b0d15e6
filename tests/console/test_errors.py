"""Failures in groups, with what they mean."""

import re
from typing import Any

from gateway.observability.request_log import RequestLog
from gateway.plugin import SERVICES
from tests.support.servers import Serve


async def test_a_group_says_what_it_means_and_whom_it_hit(admin: Any, serve: Serve) -> None:
    async with admin.post("/admin/keys", json={"name": "ada"}) as response:
        key_id = (await response.json())["id"]
    for number in range(3):
        serve.app[SERVICES].observed.recent.add(
            RequestLog(
                f"r{number}",
                "POST",
                "/v1",
                429,
                "m",
                key=key_id,
                error="rate_limit_exceeded",
                refused_by="requests_per_minute 3/3",
            )
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
    assert group["refused_by"] == "requests_per_minute"
    assert "a limit of the client's own key" in group["cause"]
    assert "in Keys" in group["remedy"]
    assert group["place"] == "keys"


async def test_each_limit_has_a_group_of_its_own_and_its_remedy(admin: Any, serve: Serve) -> None:
    limits = {"pool": "pool", "tokens_per_day 9/9": "keys", "google GenerateRequestsPerMinute 15": "pool"}
    for limit in limits:
        record = RequestLog(limit, "POST", "/v1", 429, "m", error="rate_limit_exceeded", refused_by=limit)
        serve.app[SERVICES].observed.recent.add(record)
    async with admin.get("/admin/errors", headers={"Accept-Language": "zh-CN"}) as response:
        groups = (await response.json())["data"]
    async with admin.get("/admin/requests", params={"filter": "refused:pool upstream:none"}) as response:
        listed = await response.json()

    assert {group["samples"][0]: group["place"] for group in groups} == limits
    assert "重试" not in groups[0]["cause"]
    assert all(re.search(r"[\u4e00-\u9fff]", group["remedy"]) for group in groups)
    assert ([row["request_id"] for row in listed["data"]], listed["matched"], listed["held"]) == (
        ["pool"],
        1,
        3,
    )


async def test_all_codes_are_listed(admin: Any) -> None:
    async with admin.get("/admin/errors/table") as response:
        codes = [row["code"] for row in (await response.json())["data"]]
    async with admin.get("/admin/errors?window=5") as response:
        assert response.status == 400

    assert {"invalid_api_key", "signed_out", "loop_detected"} <= set(codes)
