"""Lines become the requests of parts; a bad line fails the batch, or is an error of its own."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import BadRequest, GatewayError, UpstreamError, openai_error
from gateway.exchange.batches.charges import Charges
from gateway.exchange.batches.google import requests
from gateway.exchange.batches.lines import BatchLine
from gateway.exchange.batches.reading import LineReader, RawLine
from gateway.exchange.context import RequestContext, dry_context
from gateway.exchange.incoming.request_body import Body
from gateway.gemini.usage import TokenCounts
from gateway.policy.clients.access import Client
from gateway.policy.clients.kept_batches import Batch, LineError, Part
from gateway.store.batches.batch_store import BatchStore


class Listed:
    """Lines in a list."""

    def __init__(self, *bodies: str, keeps: bool = False, most: int = 0) -> None:
        self._bodies = bodies
        self.keeps_bad_lines = keeps
        self.most_requests = most

    def faults(self) -> list[LineError]:
        return []

    def read(self) -> Iterator[RawLine]:
        for number, body in enumerate(self._bodies):
            yield RawLine(number, f"id{number}", body.encode())


class Free(Charges):
    def __init__(self) -> None:
        pass

    def most(self, model: str, counts: object) -> tuple[int, int]:
        return 2, 3


async def translate(body: Body, context: RequestContext) -> BatchLine | None:
    fields = json.loads(body.data)
    model, n = fields["model"], fields.get("n", 1)
    if model == "bad":
        raise BadRequest("No such model.", param="model", code="model_not_found")
    if model == "busy":
        raise UpstreamError("Google is busy.", upstream_status=503)
    if model == "here":
        return None
    return BatchLine(
        "batchGenerateContent", model, [b"{}"] * n, b"", [TokenCounts()] * n, fields.get("project", "")
    )


class Reading:
    def __init__(self, folder: Path, *, here: bool = False) -> None:
        self.store = BatchStore(folder)
        self.batch = Batch("a", "s", "", "openai", "/", 1, 2)
        self.store.add(self.batch)
        self.reader = LineReader(self.store, Free(), self.batch, here=here)

    async def run(self, lines: Listed) -> list[Part]:
        def render(error: GatewayError) -> bytes:
            return openai_error(error)

        return await self.reader.run(lines, translate, dry_context(Client("k", "f", "s")), render)


async def test_lines_of_a_model_and_a_project_are_one_part(tmp_path: Path) -> None:
    reading = Reading(tmp_path)
    lines = ['{"model":"x"}', '{"model":"y","n":2}', '{"model":"x"}', '{"model":"x","project":"p"}']

    parts = await reading.run(Listed(*lines))

    assert [(part.model, part.project, part.is_pinned, part.calls) for part in parts] == [
        ("x", "", False, 2), ("y", "", False, 2), ("x", "p", True, 1),
    ]  # fmt: skip
    keys = [[key for key, _ in requests(reading.store.requests(part.id))] for part in parts]
    assert keys == [["0", "2"], ["1.0", "1.1"], ["3"]]
    assert [part.size for part in parts] == [reading.store.requests(part.id).stat().st_size for part in parts]
    assert (parts[0].micros, parts[0].tokens, reading.batch.total) == (4, 6, 4)
    assert [line.choices for line, _ in reading.store.lines(reading.batch)] == [1, 2, 1, 1]


async def test_bad_lines_fail_the_batch_by_their_numbers(tmp_path: Path) -> None:
    reading = Reading(tmp_path)

    assert await reading.run(Listed('{"model":"x"}', '{"model":"bad"}', '{"model":"bad"}')) == []
    assert [(error.line, error.code, error.param) for error in reading.reader.errors] == [
        (2, "model_not_found", "model"), (3, "model_not_found", "model"),
    ]  # fmt: skip


async def test_bad_lines_are_errors_of_their_own_where_the_surface_has_it_so(tmp_path: Path) -> None:
    reading = Reading(tmp_path)

    (part,) = await reading.run(Listed('{"model":"bad"}', '{"model":"x"}', keeps=True))

    lines = [line for line, _ in reading.store.lines(reading.batch)]
    assert [(line.part, b"No such model." in line.error) for line in lines] == [("", True), (part.id, False)]
    assert reading.reader.errors == []


async def test_a_failure_of_googles_is_no_fault_of_a_line(tmp_path: Path) -> None:
    with pytest.raises(UpstreamError):
        await Reading(tmp_path).run(Listed('{"model":"busy"}'))


@pytest.mark.parametrize("here", [False, True])
async def test_lines_without_googles_batches_keep_their_bodies(tmp_path: Path, here: bool) -> None:
    reading = Reading(tmp_path, here=here)
    bodies = ['{"model":"here"}', '{"model":"here","n":2}']

    (part,) = await reading.run(Listed(*bodies))

    assert (part.method, part.calls) == ("here", 2)
    assert dict(requests(reading.store.requests(part.id))) == {
        "0": bodies[0].encode(),
        "1": bodies[1].encode(),
    }


async def test_all_requests_together_are_bounded(tmp_path: Path) -> None:
    reading = Reading(tmp_path)

    assert await reading.run(Listed('{"model":"x","n":3}', '{"model":"x"}', most=3)) == []
    assert [(error.code, error.line) for error in reading.reader.errors] == [("too_many_requests", 2)]


async def test_models_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.exchange.batches.reading._MOST_PARTS", 2)
    reading, lines = Reading(tmp_path), [json.dumps({"model": name}) for name in "xyxzyz"]

    assert await reading.run(Listed(*lines)) == []
    assert [(error.line, error.param) for error in reading.reader.errors] == [(4, "model"), (6, "model")]
