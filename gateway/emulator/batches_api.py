"""Batches of generateContent and embedContent (https://ai.google.dev/api/batch-api).

A batch is pending when it is created, running when it is read for the first time, and done when it is read again: its
requests are answered then. With a time, it is pending for a third of it and running for the rest. The answers of
inlined requests are in the batch, those of a file's lines in a file that can be downloaded. The operation repeats the
state in `metadata`, where google-genai reads it, and the output in `response`
(https://github.com/maximhq/bifrost/pull/4904).

A batch that is cancelled before it runs ends CANCELLED, one that runs ends SUCCEEDED with an error of code 1 for each
request that was not answered (tests of https://github.com/dgml-io/dgml with live-shaped operations). The lines of a
file are checked when the batch is created (https://github.com/UKGovernmentBEIS/inspect_ai/issues/3257).
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import msgspec
from aiohttp import web

from gateway.emulator.errors import Refusal, RefusedError, key_refusal, model_refusal
from gateway.emulator.files_api import FilesApi
from gateway.emulator.messages import decode
from gateway.emulator.objects import Fields, Objects
from gateway.emulator.rest import NOT_FOUND, VERSION, decoded, key_of, page, refused, reply

Answerer = Callable[[web.Request, str, Any], dict[str, Any]]
"""Returns the answer of a model to the body of a request. Raises RefusedError."""

_TYPE = "type.googleapis.com/google.ai.generativelanguage.v1main."
_VERBS = {
    "batchGenerateContent": (
        "BatchGenerateContentRequest", "generateContent", "GenerateContentBatch", "BatchLine",
    ),
    "asyncBatchEmbedContent": (
        "AsyncBatchEmbedContentRequest", "embedContent", "EmbedContentBatch", "EmbedContentBatchLine",
    ),
}  # fmt: skip
"""Type of the request, method of each of its requests, type of the batch, and of a line of its file."""
_PENDING, _RUNNING, _SUCCEEDED, _CANCELLED = (
    f"BATCH_STATE_{state}" for state in ("PENDING", "RUNNING", "SUCCEEDED", "CANCELLED")
)
ENDINGS = {
    b"[[batch failed]]": ("BATCH_STATE_FAILED", 13, "Internal error encountered."),
    b"[[batch expired]]": ("BATCH_STATE_EXPIRED", 4, "The batch has expired."),
}
"""Commands in a batch's requests, with the state that it ends in, and the error of its operation."""
_CANCELLED_CODE, _INTERNAL = 1, 13
_MOST_INLINE = 20 * 1024 * 1024
"""The largest request that creates a batch, in bytes (https://ai.google.dev/gemini-api/docs/batch-api)."""
_NO_FIELD = re.compile(r'Unknown name "(.*?)"')
_CODES = {400: 3, 403: 7, 404: 5, 429: 8, 500: 13, 503: 14}
"""google.rpc.Code by HTTP status (https://cloud.google.com/apis/design/errors#handling_errors)."""
_TIME = "2026-01-01T00:00:00Z"


class BatchesApi:
    """Batches by name. `answerers` answer the requests, by the method that a single one would call.

    `clock` returns the time in seconds. A batch takes `seconds`, or is done when it was read twice if they are None.
    """

    def __init__(
        self,
        objects: Objects,
        files: FilesApi,
        answerers: Mapping[str, Answerer],
        clock: Callable[[], float],
        seconds: float | None = None,
    ) -> None:
        self._objects = objects
        self._files = files
        self._answerers = answerers
        self._clock = clock
        self._seconds = seconds

    def routes(self) -> list[web.RouteDef]:
        model, batches = VERSION + "/models/{model:[^/:]+}", VERSION + "/batches"
        return [
            web.post(model + ":{verb:batchGenerateContent|asyncBatchEmbedContent}", self.create),
            web.get(batches, self.list_batches),
            web.get(batches + "/{id:[^/:]+}", self.one),
            web.delete(batches + "/{id:[^/:]+}", self.one),
            web.post(batches + "/{id:[^/:]+}:cancel", self.cancel),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """Create a batch of the requests in the body, or of a file."""
        model, verb = request.match_info["model"], request.match_info["verb"]
        type_, method, batch_type, line_type = _VERBS[verb]
        refusal = key_refusal(request) or model_refusal(model, method)
        if refusal is not None:
            return refused(refusal)
        data = await request.read()
        try:
            if len(data) > _MOST_INLINE:
                raise RefusedError(f"Request payload size exceeds the limit: {_MOST_INLINE} bytes.")
            batch = decode(decoded(data), type_).get("batch") or {}
            config = batch.get("inputConfig") or {}
            lines = self._lines(request, config, line_type)
        except RefusedError as error:
            return refused(error.refusal)
        name = f"batches/{uuid4().hex}"
        metadata = {
            "@type": _TYPE + batch_type, "model": f"models/{model}",
            **{field: batch[field] for field in ("displayName", "priority") if field in batch},
            "createTime": _TIME, "updateTime": _TIME, "state": _PENDING, "name": name,
            **({"inputConfig": {"fileName": config["fileName"]}} if "fileName" in config else {}),
        }  # fmt: skip
        job = {
            "name": name, "metadata": metadata, " lines": lines, " method": method, " began": self._clock(),
        }  # fmt: skip
        _count(job, pending=len(lines))
        self._objects.add(key_of(request), name, job)
        return reply(_shown(job))

    async def list_batches(self, request: web.Request) -> web.Response:
        """List a key's batches; to be listed counts as no reading."""
        if (refusal := key_refusal(request)) is not None:
            return refused(refusal)
        jobs = self._objects.of(key_of(request), "batches/")[::-1]
        for job in jobs if self._seconds is not None else ():
            self._proceed(request, job)
        try:
            return reply(page(request, [_shown(job) for job in jobs], "operations"))
        except RefusedError as error:
            return refused(error.refusal)

    async def one(self, request: web.Request) -> web.Response:
        """Answer GET, by which a batch proceeds, and DELETE."""
        job = self._find(request)
        if isinstance(job, Refusal):
            return refused(job)
        if request.method == "DELETE":
            self._objects.remove(job["name"])
            return reply({})
        self._proceed(request, job)
        return reply(_shown(job))

    async def cancel(self, request: web.Request) -> web.Response:
        """Cancel a batch that is not done."""
        job = self._find(request)
        if isinstance(job, Refusal):
            return refused(job)
        if self._seconds is not None:
            self._proceed(request, job)
        state = job["metadata"]["state"]
        if state == _PENDING:
            _end(job, _CANCELLED, _INTERNAL, "Batch was cancelled.")
        elif state == _RUNNING:
            self._succeed(request, job, [
                {**_named(line), "error": {"code": _CANCELLED_CODE}} for line in job[" lines"]
            ])  # fmt: skip
        return reply({})

    def _proceed(self, request: web.Request, job: Fields) -> None:
        """Bring a batch to the state that it has by now."""
        metadata = job["metadata"]
        if metadata["state"] not in (_PENDING, _RUNNING):
            return
        if self._seconds is not None:
            age = self._clock() - job[" began"]
            ended, runs = age >= self._seconds, age >= self._seconds / 3
        else:
            ended, runs = metadata["state"] == _RUNNING, True
        if ended:
            self._finish(request, job)
        elif runs:
            metadata["state"] = _RUNNING

    def _find(self, request: web.Request) -> Fields | Refusal:
        if (refusal := key_refusal(request)) is not None:
            return refusal
        return self._objects.get(key_of(request), f"batches/{request.match_info['id']}") or NOT_FOUND

    def _lines(self, request: web.Request, config: dict[str, Any], line_type: str) -> list[Any]:
        """Return the requests of a batch, each with its `request`. Raises RefusedError if there are none."""
        if "fileName" in config:
            lines = _lines_of(self._files.content(key_of(request), config["fileName"]), line_type)
        else:
            lines = (config.get("requests") or {}).get("requests") or []
        if not lines:
            raise RefusedError("* BatchGenerateContentRequest.batch.input_config: requests must not be empty")
        return lines

    def _finish(self, request: web.Request, job: Fields) -> None:
        lines, answerer = job[" lines"], self._answerers[job[" method"]]
        text = msgspec.json.encode(lines)
        for command, ending in ENDINGS.items():
            if command in text:
                _end(job, *ending)
                return
        model = job["metadata"]["model"].removeprefix("models/")
        self._succeed(request, job, [_answered(answerer, request, model, line) for line in lines])

    def _succeed(self, request: web.Request, job: Fields, answers: list[Fields]) -> None:
        """End a batch with its answers."""
        metadata = job["metadata"]
        failed = sum("error" in answer for answer in answers)
        if "inputConfig" in metadata:
            file = f"files/batch-{job['name'].rpartition('/')[2][:12]}"
            data = b"".join(msgspec.json.encode(answer) + b"\n" for answer in answers)
            self._files.generate(key_of(request), file, "application/jsonl", data)
            output: dict[str, Any] = {"responsesFile": file}
        else:
            output = {"inlinedResponses": {"inlinedResponses": answers}}
        metadata |= {"state": _SUCCEEDED, "endTime": _TIME, "output": output}
        _count(job, successful=len(answers) - failed, failed=failed)
        job |= {"done": True, "response": {"@type": f"{metadata['@type']}Output", **output}}


def _lines_of(data: bytes, line_type: str) -> list[Fields]:
    """Return the requests of a file. Raises RefusedError with each line that Google would not decode.

    Google's words for an unknown field are recorded; for other mistakes they are the emulator's.
    """
    lines: list[Fields] = []
    mistakes: list[str] = []
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            lines.append(decode(json.loads(line), line_type))
        except (ValueError, RecursionError) as error:
            column = error.colno if isinstance(error, json.JSONDecodeError) else 1
            mistakes.append(f"Error on line {number}: invalid JSON, near column {column}: syntax error")
        except RefusedError as error:
            mistakes += [f"Error on line {number}: {why}" for why in _reasons(line, error)]
    if mistakes:
        raise RefusedError("\n".join(mistakes))
    return lines


def _reasons(line: bytes, error: RefusedError) -> list[str]:
    """Return the mistakes of a line of a file."""
    reasons: list[str] = []
    for violation in error.refusal.violations:
        field = _NO_FIELD.search(violation.description)
        if field is None:
            reasons.append(violation.description)
            continue
        column = line.find(field[1].encode()) + len(field[1].encode()) + 2
        reasons.append(f"invalid JSON, near column {column}: no such field: '{field[1]}'")
    return reasons or ["invalid JSON, near column 1: expected an object"]


def _end(job: Fields, state: str, code: int, message: str) -> None:
    """End a batch without answers."""
    job["metadata"] |= {"state": state, "endTime": _TIME}
    job |= {"done": True, "error": {"code": code, "message": message}}


def _named(line: Fields) -> Fields:
    """Return the `key` of a file's line, or the `metadata` of an inlined request."""
    return {name: line[name] for name in ("key", "metadata") if name in line}


def _answered(answerer: Answerer, request: web.Request, model: str, line: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to one request, with the `key` of a file's line, or the `metadata` of an inlined request."""
    named = _named(line)
    try:
        return {**named, "response": answerer(request, model, line.get("request"))}
    except RefusedError as error:
        refusal = error.refusal
        status = {"code": _CODES.get(refusal.code, 2), "message": refusal.message}
        return {**named, "error": status}


def _count(job: Fields, **counts: int) -> None:
    """Set the counts of a batch, which are 64-bit integers, in JSON texts; none is sent that is 0."""
    named = {f"{kind}RequestCount": str(count) for kind, count in counts.items() if count}
    job["metadata"]["batchStats"] = {"requestCount": str(sum(counts.values())), **named}


def _shown(job: Fields) -> Fields:
    """Return a batch as Google does: what only the emulator needs has a name that begins with a blank."""
    return {name: value for name, value in job.items() if not name.startswith(" ")}
