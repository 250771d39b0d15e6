"""Batches of generateContent and embedContent (https://ai.google.dev/api/batch-api).

A batch is pending when it is created, running when it is read for the first time, and done when it is read again: its
requests are answered then. The answers of inlined requests are in the batch, those of a file's lines in a file that can
be downloaded. The operation repeats the state in `metadata`, where google-genai reads it, and the output in `response`
(https://github.com/maximhq/bifrost/pull/4904).
"""

from collections.abc import Callable
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
    "batchGenerateContent": ("BatchGenerateContentRequest", "generateContent", "GenerateContentBatch"),
    "asyncBatchEmbedContent": ("AsyncBatchEmbedContentRequest", "embedContent", "EmbedContentBatch"),
}
"""Type of the request, method of each of its requests, and type of the batch."""
_PENDING, _RUNNING, _SUCCEEDED, _CANCELLED = (
    f"BATCH_STATE_{state}" for state in ("PENDING", "RUNNING", "SUCCEEDED", "CANCELLED")
)
_CODES = {400: 3, 403: 7, 404: 5, 429: 8, 500: 13, 503: 14}
"""google.rpc.Code by HTTP status (https://cloud.google.com/apis/design/errors#handling_errors)."""
_TIME = "2026-01-01T00:00:00Z"


class BatchesApi:
    """Batches by name. `answerers` answer the requests, by the method that a single one would call."""

    def __init__(self, objects: Objects, files: FilesApi, answerers: dict[str, Answerer]) -> None:
        self._objects = objects
        self._files = files
        self._answerers = answerers

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
        type_, method, batch_type = _VERBS[verb]
        refusal = key_refusal(request) or model_refusal(model, method)
        if refusal is not None:
            return refused(refusal)
        body = decoded(await request.read())
        try:
            batch = decode(body, type_).get("batch") or {}
            config = batch.get("inputConfig") or {}
            lines = self._lines(request, config)
        except RefusedError as error:
            return refused(error.refusal)
        name = f"batches/{uuid4().hex}"
        metadata = {
            "@type": _TYPE + batch_type, "model": f"models/{model}",
            **{field: batch[field] for field in ("displayName", "priority") if field in batch},
            "createTime": _TIME, "updateTime": _TIME, "state": _PENDING, "name": name,
            **({"inputConfig": {"fileName": config["fileName"]}} if "fileName" in config else {}),
        }  # fmt: skip
        job = {"name": name, "metadata": metadata, " lines": lines, " method": method}
        _count(job, pending=len(lines))
        self._objects.add(key_of(request), name, job)
        return reply(_shown(job))

    async def list_batches(self, request: web.Request) -> web.Response:
        """List a key's batches; to be listed changes no state."""
        if (refusal := key_refusal(request)) is not None:
            return refused(refusal)
        jobs = [_shown(job) for job in reversed(self._objects.of(key_of(request), "batches/"))]
        try:
            return reply(page(request, jobs, "operations"))
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
        state = job["metadata"]["state"]
        if state == _PENDING:
            job["metadata"]["state"] = _RUNNING
        elif state == _RUNNING:
            self._finish(request, job)
        return reply(_shown(job))

    async def cancel(self, request: web.Request) -> web.Response:
        """Cancel a batch that is not done."""
        job = self._find(request)
        if isinstance(job, Refusal):
            return refused(job)
        if not job.get("done"):
            job["metadata"]["state"] = _CANCELLED
            job |= {"done": True, "error": {"code": 1, "message": "The operation was cancelled."}}
        return reply({})

    def _find(self, request: web.Request) -> Fields | Refusal:
        if (refusal := key_refusal(request)) is not None:
            return refusal
        return self._objects.get(key_of(request), f"batches/{request.match_info['id']}") or NOT_FOUND

    def _lines(self, request: web.Request, config: dict[str, Any]) -> list[Any]:
        """Return the requests of a batch, each with its `request`. Raises RefusedError if there are none."""
        if "fileName" in config:
            data = self._files.content(key_of(request), config["fileName"])
            lines: list[Any] = [decoded(line) for line in data.splitlines() if line.strip()]
        else:
            lines = (config.get("requests") or {}).get("requests") or []
        if not lines:
            raise RefusedError("* BatchGenerateContentRequest.batch.input_config: requests must not be empty")
        return lines

    def _finish(self, request: web.Request, job: Fields) -> None:
        metadata, answerer = job["metadata"], self._answerers[job[" method"]]
        model = metadata["model"].removeprefix("models/")
        answers = [_answered(answerer, request, model, line) for line in job[" lines"]]
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


def _answered(answerer: Answerer, request: web.Request, model: str, line: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to one request, with the `key` of a file's line, or the `metadata` of an inlined request."""
    named: dict[str, Any] = {name: line[name] for name in ("key", "metadata") if name in line}
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
