"""Script files, which set the replies to matching requests in users' own tests."""

import fnmatch
import re
from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec import Struct

from gateway.emulator.replies import Reply, failure, parts_reply, reply_to
from gateway.emulator.request import prompt


class Match(Struct, frozen=True, forbid_unknown_fields=True):
    """Conditions of a rule; all must hold."""

    model: str = "*"
    prompt: str = ""
    """A regular expression that is searched for in the last turn."""

    def __post_init__(self) -> None:
        """Raise ValueError for a prompt that is not a regular expression."""
        try:
            re.compile(self.prompt)
        except re.error as error:
            raise ValueError(f"{self.prompt!r} is not a regular expression: {error}") from error


class Answer(Struct, frozen=True, forbid_unknown_fields=True):
    """A reply: a text, parts, a command, a status with a message, a whole Gemini answer, or its chunks."""

    text: str | None = None
    parts: list[dict[str, Any]] | None = None
    """A candidate's parts; `finish` is its finishReason."""
    finish: str = "STOP"
    command: str | None = None
    status: int | None = None
    message: str = "scripted failure"
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
_KINDS = ("text", "parts", "command", "status", "raw", "chunks")


class Rule(Struct, forbid_unknown_fields=True):
    """A reply to the requests that match."""

    reply: Answer
    match: Match = Match()
    times: int = -1
    """Number of requests that it replies to; negative for all."""


class Script:
    """Rules in order. The first that matches and is not used up replies."""

    def __init__(self, rules: list[Rule]) -> None:
        self._rules = rules

    def reply(self, model: str, request: dict[str, Any]) -> Reply:
        """Return the reply of the first matching rule, or the default reply."""
        for rule in self._rules:
            matches = fnmatch.fnmatchcase(model, rule.match.model) and re.search(
                rule.match.prompt, prompt(request)
            )
            if matches and rule.times:
                rule.times -= 1
                return _reply(rule.reply, model, request)
        return reply_to(model, request)


def load_script(path: Path) -> Script:
    """Read a script. Raises ValueError with the file and its mistake."""
    try:
        return Script(msgspec.convert(yaml.safe_load(path.read_text("utf-8")) or [], list[Rule]))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise ValueError(f"{path}: {error}") from error


def _reply(answer: Answer, model: str, request: dict[str, Any]) -> Reply:
    if answer.raw is not None:
        return Reply([answer.raw])
    if answer.chunks is not None:
        return Reply(list(answer.chunks))
    if answer.status is not None:
        return failure(answer.status, _STATUS.get(answer.status, "UNKNOWN"), answer.message)
    if answer.command is not None:
        contents = [{"role": "user", "parts": [{"text": f"[[{answer.command}]]"}]}]
        return reply_to(model, {**request, "contents": contents})
    parts = [{"text": answer.text or ""}] if answer.parts is None else answer.parts
    return parts_reply(model, parts, answer.finish, request)
