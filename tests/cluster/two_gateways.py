"""Checks what must hold across two gateways of one team, and what happens while their Redis fails.

FOLDER is a folder for logs; REDIS_URL, REDIS_PID and GATEWAY_TEST_POSTGRES are set by servers.sh.
"""

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp

from tests.cluster.cluster import MACHINES, MODEL, Client, Cluster

REDIS_PID = int(os.environ["REDIS_PID"])
REDIS_CLI = ["redis-cli", "-u", os.environ["REDIS_URL"]]


class Results:
    """Prints a line for each check, and counts the failures."""

    def __init__(self) -> None:
        self.failures = 0

    def check(self, name: str, passed: bool, note: object) -> None:
        """Print one result."""
        self.failures += not passed
        print(f"{'PASS' if passed else 'FAIL'} {name}: {note}", flush=True)


async def revocation(client: Client, results: Results) -> None:
    """A revoked key is refused by both machines within a second."""
    key_id, key = await client.issue()
    begin = time.perf_counter()
    await client.admin("DELETE", 0, f"/admin/keys/{key_id}")
    seconds = []
    for machine in MACHINES:
        async with asyncio.timeout(5):
            while (await client.ask(key, machine))[0] != 401:
                await asyncio.sleep(0.01)
        seconds.append(time.perf_counter() - begin)
    note = [f"{value:.2f} s" for value in seconds]
    results.check("a revoked key is refused by both within a second", max(seconds) <= 1.0, note)


async def cooldown(client: Client, results: Results) -> None:
    """A cooldown that one pool learns from Google's 429 holds in the other one, too."""
    _, key = await client.issue()
    model = "gemini-2.5-pro"
    first, _, _ = await client.ask(key, 0, "[[429 day]]", model=model)
    begin = time.perf_counter()
    async with asyncio.timeout(10):
        while True:
            states = (await client.admin("GET", 1, "/admin/pool"))["data"]
            if {state["project"] for state in states if state["model"] == model} == {"a", "b"}:
                break
            await asyncio.sleep(0.02)
    second, answer, _ = await client.ask(key, 1, model=model)
    seconds = time.perf_counter() - begin
    passed = (first, second) == (429, 429) and seconds < 3
    note = f"{seconds:.2f} s, {answer['error']['code']}"
    results.check("one pool's cooldown holds in the other", passed, note)


async def budget(client: Client, results: Results) -> None:
    """A key's token budget is spent once, not once on each machine."""
    key_id, key = await client.issue(tokens={"total": 4000}, models=[MODEL])
    statuses = Counter(status for status, _ in await client.ask_many(key, 1500, at_once=40))
    status = 200
    while status == 200:  # reservations that were not used up are free again
        status, _, _ = await client.ask(key, statuses[status] % 2, max_tokens=8)
        statuses[status] += 1
    rows = await client.admin("GET", 1, f"/admin/usage?client={key_id}")
    spent = sum(row["prompt"] + row["completion"] for row in rows["data"])
    passed = 0.98 * 4000 <= spent <= 4000
    results.check("a budget of 4,000 tokens holds across both", passed, (spent, dict(statuses)))


async def many_budgets(client: Client, results: Results) -> None:
    """Several budgets of several keys, changed by both machines at once, end in no deadlock."""
    rules: dict[str, Any] = {
        "dollars": {"month": 1000, "day": 1000},
        "tokens": {"total": 10**9, "day": 10**9},
    }
    keys = [(await client.issue(**rules))[1] for _ in range(4)]
    batches = await asyncio.gather(*(client.ask_many(key, 300, at_once=16) for key in keys))
    statuses = Counter(status for batch in batches for status, _ in batch)
    errors = [await client.metric(machine, "gateway_ledger_errors_total") for machine in MACHINES]
    passed = set(statuses) == {200} and errors == [0, 0]
    results.check("budgets of four keys on both at once", passed, (dict(statuses), errors))


async def rate_limit(client: Client, results: Results) -> None:
    """A key's requests per minute are counted once for both machines."""
    while time.time() % 60 > 30:  # within one minute of the clock, so that the number is exact
        await asyncio.sleep(1)
    _, key = await client.issue(requests_per_minute=200, models=[MODEL])
    statuses = Counter(status for status, _ in await client.ask_many(key, 400))
    # A few of the 200 were used while issue() waited for both machines.
    passed = 0.96 * 200 <= statuses[200] <= 1.02 * 200
    results.check("a limit of 200 a minute holds across both", passed, dict(statuses))


async def console(client: Client, results: Results) -> None:
    """The console of each machine shows the requests, errors and calls of both, and says where each was."""
    key_id, key = await client.issue()
    slow = [asyncio.create_task(client.ask(key, machine, "[[slow 20]] hi")) for machine in MACHINES]
    for machine in MACHINES:
        await client.ask(key, machine)
        await client.ask(key, machine, "[[too long]]")
    seen: list[tuple[int, ...]] = []
    running: list[dict[str, Any]] = []
    for machine in MACHINES:
        async with asyncio.timeout(10):
            while len((await client.admin("GET", machine, "/admin/running"))["data"]) < len(slow):
                await asyncio.sleep(0.05)
        running = (await client.admin("GET", machine, "/admin/running"))["data"]
        listed = (await client.admin("GET", machine, f"/admin/requests?filter=key:{key_id}%20surface:chat"))[
            "data"
        ]
        groups = (await client.admin("GET", machine, "/admin/errors"))["data"]
        long = next(group for group in groups if group["code"] == "context_length_exceeded")
        summary = await client.admin("GET", machine, "/admin/summary")
        shown = [
            {row["instance"] for row in running}, {row["instance"] for row in listed}, set(long["instances"]),
            {one["name"] for one in summary["instances"]},
        ]  # fmt: skip
        seen.append((*map(len, shown), len(set.union(*shown)), long["count"], len(listed)))
    for row in running:  # those of the other machine, too
        await client.admin("DELETE", 1, f"/admin/running/{row['id']}")
    stopped = [(await task)[0] for task in slow]
    spent = (await client.admin("GET", 1, f"/admin/usage?client={key_id}"))["data"][0]["calls"]
    passed = seen[0] == seen[1] and seen[0][:6] == (2, 2, 2, 2, 2, 2) and stopped == [503, 503]
    results.check("the console of each shows both, by instance", passed, (seen, stopped, spent))


class RedisFaults:
    """Requests go on while Redis is stopped, slow, flushed, out of memory, and killed."""

    def __init__(self, client: Client, results: Results, key: str) -> None:
        self._client = client
        self._results = results
        self._key = key

    async def run(self) -> None:
        """Make one fault after the other; the last one ends Redis."""
        await self._p99("well, to warm up")
        before = await self._p99("well")
        await self._stopped(before)
        await self._slow(before)
        self._redis("flushall")
        await self._compare("flushed", before)
        self._redis("config", "set", "maxmemory", "1")
        await self._compare("out of memory", before)
        self._redis("config", "set", "maxmemory", "0")
        await self._used_again()
        os.kill(REDIS_PID, signal.SIGKILL)
        await self._compare("killed", before)

    async def _stopped(self, before: float) -> None:
        os.kill(REDIS_PID, signal.SIGSTOP)
        await self._first("stopped")
        await self._compare("stopped", before)
        os.kill(REDIS_PID, signal.SIGCONT)
        seconds = await self._used_again()
        self._results.check("Redis is used again within 5 s", seconds <= 5, f"{seconds:.1f} s")

    async def _slow(self, before: float) -> None:
        command = [*REDIS_CLI, "-r", "1000", "debug", "sleep", "0.2"]  # every command waits for up to 200 ms
        sleeping = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            await self._first("slow")
            await self._compare("slow", before)
        finally:
            sleeping.kill()
            sleeping.wait(10)
        await self._used_again()

    async def _first(self, fault: str) -> None:
        """Check that the requests in which the fault shows itself are answered."""
        answers = await self._client.ask_many(self._key, 20, at_once=2)
        passed = all(status == 200 for status, _ in answers)
        slowest = max(seconds for _, seconds in answers) * 1000
        self._results.check(f"Redis {fault}: the first requests", passed, f"slowest {slowest:.0f} ms")

    async def _p99(self, state: str) -> float:
        """Return the 99th percentile in seconds, and check for 5xx.

        It is the median of five batches, because all of this runs on one machine.
        """
        batches = [await self._client.ask_many(self._key, 300, at_once=2) for _ in range(5)]
        errors = Counter(status for batch in batches for status, _ in batch if status >= 500)
        self._results.check(f"Redis {state}: no 5xx", not errors, dict(errors) or "none")
        return statistics.median(
            statistics.quantiles([seconds for _, seconds in batch], n=100)[98] for batch in batches
        )

    async def _compare(self, fault: str, before: float) -> None:
        p99 = await self._p99(fault)
        note = f"{p99 * 1000:.1f} ms, before {before * 1000:.1f} ms"
        self._results.check(f"Redis {fault}: p99 within 5 ms", p99 - before <= 0.005, note)

    async def _used_again(self) -> float:
        """Wait until both gateways use Redis, and return the seconds that took."""
        begin = time.perf_counter()
        async with asyncio.timeout(20):
            for machine in MACHINES:
                while await self._client.metric(machine, "gateway_shared_degraded"):
                    await asyncio.sleep(0.05)
        return time.perf_counter() - begin

    @staticmethod
    def _redis(*command: str) -> None:
        subprocess.run([*REDIS_CLI, *command], check=True, stdout=subprocess.DEVNULL)


async def redis_faults(client: Client, results: Results) -> None:
    """No answer fails and none is late while Redis does not work."""
    _, key = await client.issue(requests_per_minute=1_000_000, streams=1000)
    await RedisFaults(client, results, key).run()


async def main() -> int:
    """Return the exit code."""
    cluster, results = Cluster(Path(os.environ["FOLDER"])), Results()
    try:
        await cluster.start()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            client = Client(http, cluster)
            for step in (revocation, cooldown, console, budget, many_budgets, rate_limit, redis_faults):
                await step(client, results)
    finally:
        cluster.stop()
    return min(results.failures, 1)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
