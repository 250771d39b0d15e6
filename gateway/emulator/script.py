"""Script files: rules that set the replies to matching requests, or recorded answers that are given in order."""

import fnmatch
import re
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec import Struct

from gateway.emulator.replies import Reply, calls_reply, failure, parts_reply, reply_to
from gateway.emulator.request import prompt, results
from gateway.emulator.turns import result_text


class Match(Struct, frozen=True, forbid_unknown_fields=True):
    """Conditions of a rule; all must hold."""

    model: str = "*"
    prompt: str = ""
    """A regular expression that is searched for in the last turn."""
    result: str = ""
    """The same, for the results of functions that the last turn brings."""

    def __post_init__(self) -> None:
        """Raise ValueError for what is not a regular expression."""
        for pattern in (self.prompt, self.result):
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error

    def fits(self, model: str, request: dict[str, Any]) -> bool:
        """Return whether all conditions hold for a request."""
        return (
            fnmatch.fnmatchcase(model, self.model)
            and re.search(self.prompt, prompt(request)) is not None
            and (not self.result or re.search(self.result, result_text(results(request))) is not None)
        )


class Answer(Struct, frozen=True, forbid_unknown_fields=True):
    """A reply: a text, parts, calls, a command, a status with a message, a whole Gemini answer, or its chunks."""

    text: str | None = None
    parts: list[dict[str, Any]] | None = None
    """A candidate's parts; `finish` is its finishReason."""
    calls: list[dict[str, Any]] | None = None
    """Function calls with `name` and `args`; their ids and signature are made as for any call."""
    finish: str = "STOP"
    command: str | None = None
    status: int | None = None
    message: str = "scripted failure"
    body: Any = None
    """The whole body of the status, in place of `message`."""
    raw: dict[str, Any] | None = None
    chunks: list[dict[str, Any]] | None = None
    """A stream's chunks; joined for a unary call."""

    def __post_init__(self) -> None:
        """Raise ValueError if more than one kind is set."""
        kinds = [name for name in _KINDS if getattr(self, name) is not None]
        if len(kinds) > 1:
            raise ValueError(f"a reply is one of {', '.join(_KINDS)}; this one has {' and '.join(kinds)}")


_STATUS = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ABORTED",
    429: "RESOURCE_EXHAUSTED", 499: "CANCELLED", 500: "INTERNAL", 501: "UNIMPLEMENTED", 503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}  # fmt: skip
_ANSWER_FIELDS = {"candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId"}
_KINDS = ("text", "parts", "calls", "command", "status", "raw", "chunks")


class Rule(Struct, forbid_unknown_fields=True):
    """A reply to the requests that match."""

    reply: Answer
    match: Match = Match()
    times: int = -1
    """Number of requests that it replies to; negative for all."""


class Script:
    """Rules in order: the first that matches and is not used up replies. Recorded answers come before them."""

    def __init__(self, rules: list[Rule], recorded: Iterable[Reply] = ()) -> None:
        self._rules = rules
        self._recorded = deque(recorded)

    def reply(self, model: str, request: dict[str, Any], version: str = "") -> Reply:
        """Return the next recorded answer, the reply of the first matching rule, or the default reply.

        `version` is the model that answers, `model` by default, which is the one that rules match.
        """
        if self._recorded:
            return self._recorded.popleft()
        for rule in self._rules:
            if rule.times and rule.match.fits(model, request):
                rule.times -= 1
                return _reply(rule.reply, version or model, request)
        return reply_to(version or model, request)


def load_script(path: Path) -> Script:
    """Read a script: a list of rules, or recorded answers. Raises ValueError with the file and its mistake.

    Recorded answers are a list, the lines of a `.jsonl` file, or the field `upstream` of an object.
    """
    try:
        text = path.read_text("utf-8")
        if path.suffix == ".jsonl":
            return Script(
                [], [recorded(msgspec.json.decode(line)) for line in text.splitlines() if line.strip()]
            )
        value = yaml.safe_load(text) or []
        if isinstance(value, dict) and isinstance(value.get("upstream"), list):
            return Script([], map(recorded, value["upstream"]))
        if isinstance(value, list) and value and _is_recorded(value[0]):
            return Script([], map(recorded, value))
        return Script(msgspec.convert(value, list[Rule]))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, msgspec.DecodeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def _is_recorded(value: Any) -> bool:
    """Return whether the first item of a list is a recorded answer, and no rule."""
    return isinstance(value, list) or (
        isinstance(value, dict) and bool(value.keys() & {"error", "body", *_ANSWER_FIELDS})
    )


def recorded(value: Any) -> Reply:
    """Return a recorded answer as a reply: a whole answer, a stream's list of chunks, an error, or a status and a body.

    Raises ValueError for anything else.
    """
    if isinstance(value, list) and all(isinstance(chunk, dict) for chunk in value):
        return Reply(value)
    if isinstance(value, dict) and isinstance(value.get("status"), int) and "body" in value:
        return (
            Reply(status=value["status"], body=value["body"])
            if value["status"] != 200
            else recorded(value["body"])
        )
    if isinstance(value, dict) and isinstance(value.get("error"), dict):
        code = value["error"].get("code")
        return Reply(status=code if isinstance(code, int) and code in range(400, 600) else 500, body=value)
    if isinstance(value, dict) and (not value or value.keys() & _ANSWER_FIELDS):
        return Reply([value])
    raise ValueError(f"neither a rule with a reply nor a recorded answer of Gemini: {str(value)[:80]}")


def _reply(answer: Answer, model: str, request: dict[str, Any]) -> Reply:
    if answer.raw is not None:
        return Reply([answer.raw])
    if answer.chunks is not None:
        return Reply(list(answer.chunks))
    if answer.status is not None and answer.body is not None:
        return Reply(status=answer.status, body=answer.body)
    if answer.status is not None:
        return failure(answer.status, _STATUS.get(answer.status, "UNKNOWN"), answer.message)
    if answer.command is not None:
        contents = [{"role": "user", "parts": [{"text": f"[[{answer.command}]]"}]}]
        return reply_to(model, {**request, "contents": contents})
    if answer.calls is not None:
        return calls_reply(model, answer.calls, request)
    parts = [{"text": answer.text or ""}] if answer.parts is None else answer.parts
    return parts_reply(model, parts, answer.finish, request)
