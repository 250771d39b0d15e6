"""Projects on Vertex AI in the configuration: hosts, paths, and an error for each mistake."""

from typing import Any

import pytest

from gateway.config import vertex
from gateway.config.key_pool import key_pool
from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.config.vertex import VertexConfig
from gateway.errors import ConfigError

ACCOUNT = (
    '{"type": "service_account", "client_email": "a@b", "private_key": "k\\nl", "token_uri": "https://t"}'
)
ENVIRON = {
    "K": "AQ.k",
    "SA": ACCOUNT,
    "TEXT": "AQ.text",
    "USER": '{"type": "authorized_user", "client_id": "c d"}',
}


def faults(project: str, environ: dict[str, str] = ENVIRON) -> list[str]:
    source = Source(f"pool: {{projects: [{{name: a, {project}}}]}}\n", "g", environ)
    try:
        key_pool(source.decode(GatewayConfig), source)
    except ConfigError as error:
        return [fault.message for fault in error.faults]
    return []


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({}, "https://aiplatform.googleapis.com/v1/"),
        ({"project": "p-1"}, "https://aiplatform.googleapis.com/v1/projects/p-1/locations/global/"),
        ({"project": "p-1", "location": "europe-west4", "api_version": "v1beta1"},
         "https://europe-west4-aiplatform.googleapis.com/v1beta1/projects/p-1/locations/europe-west4/"),
        ({"project": "p-1", "location": "eu"}, "https://aiplatform.eu.rep.googleapis.com/v1/projects/p-1/locations/eu/"),
        ({"base_url": "http://127.0.0.1:1"}, "http://127.0.0.1:1/v1/"),
    ],
)  # fmt: skip
def test_the_place_is_made_of_project_and_location(fields: dict[str, Any], url: str) -> None:
    config = VertexConfig(**fields)

    assert config.origin + config.root == url


@pytest.mark.parametrize(
    "project",
    [
        "keys: [{env: K}], vertex: {}",
        "vertex: {project: my-project-1, location: europe-west4, credentials: {env: SA}}",
        "vertex: {project: 'example.com:my-project'}",
    ],
)
def test_what_is_right_has_no_fault(project: str) -> None:
    assert faults(project) == []


@pytest.mark.parametrize(
    ("project", "words"),
    [
        ("models: []", "pool.projects.0.keys: expected at least one key"),
        ("vertex: {}", "pool.projects.0.vertex: expected express keys"),
        ("keys: [{env: K}], vertex: {location: us-east1}", "vertex.location: express keys have no location"),
        ("keys: [{env: K}], vertex: {credentials: {env: SA}}", "vertex.credentials: credentials are for"),
        ("keys: [{env: K}], vertex: {project: my-project-1}", "keys: a project with `vertex.project`"),
        (
            "vertex: {project: my-project-1, credentials: {env: TEXT}}",
            "the JSON key of a service account: no JSON",
        ),
        (
            "vertex: {project: my-project-1, credentials: {env: USER}}",
            "the JSON key of a service account: Invalid",
        ),
        (
            "vertex: {project: my-project-1, credentials: {env: NONE}}",
            "the environment variable 'NONE' is not set",
        ),
        ("vertex: {project: My_Project}", "matching regex"),
        ("vertex: {project: my-project-1, location: ../x}", "matching regex"),
        ("vertex: {project: my-project-1, location: 'us-east1.evil.example'}", "matching regex"),
        ("vertex: {base_url: 'https://user@host'}", "matching regex"),
        ("vertex: {kind: express}", "unknown key 'kind'"),
    ],
)
def test_each_mistake_is_named_without_the_secret(project: str, words: str) -> None:
    messages = faults(project)

    assert any(words in message for message in messages), messages
    assert not any(
        "AQ." in message or "client_email" in message.replace("`client_email`", "") for message in messages
    )


def test_without_google_auth_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> None:
        raise ModuleNotFoundError("google")

    monkeypatch.setattr(vertex, "find_spec", missing)

    (message,) = faults("vertex: {project: my-project-1}")
    assert "gateway plugin install --extra vertex" in message
    assert faults("keys: [{env: K}], vertex: {}") == []
