"""Which family a path belongs to, and the spelling that routes are registered under."""

import pytest

from gateway.policy.api_paths import Address, ApiPaths, family_of_headers, is_api_path

PATHS = ApiPaths([
    "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/messages", "/v1/messages/count_tokens", "/v1/models",
    "/v1/models/{id:.+}", "/v1/moderations", "/v1/responses", "/v1/responses/{id}", "/google/v1/{tail:.+}", "/metrics",
    "/healthz", "/{path:.*}", "/{version:v1(?:beta|alpha)}/{tail:.+}",
])  # fmt: skip
OURS = (
    "chat/completions",
    "embeddings",
    "messages",
    "messages/count_tokens",
    "responses",
    "responses/resp_1/cancel",
)
BASES = (
    "",
    "/v1",
    "/api",
    "/api/v1",
    "/openai/v1",
    "/v1/v1",
    "/v1beta/openai",
    "/openai",
    "/anthropic/v1",
    "//v1",
    "/v1beta",
)


@pytest.mark.row("G11", "G10")
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("tail", OURS)
def test_g11_a_surface_is_found_by_its_end(base: str, tail: str) -> None:
    for path in (f"{base}/{tail}", f"{base}/{tail}/", f"{base}//{tail.replace('/', '//')}//"):
        address = PATHS.read(path)
        assert (address.path, address.original) == (f"/v1/{tail}", path)
        assert address.family == ("anthropic" if tail.startswith("messages") else address.family)


@pytest.mark.row("G11")
@pytest.mark.parametrize(
    "path",
    [
        "/", "//", "/metrics", "/metrics/", "//metrics", "/v1/metrics", "/api/metrics", "/healthz", "/healthz/", "/v1/healthz",
        "/v1", "/v1/", "/api", "/favicon.ico", "/foo/v1/messages", "/v1/../metrics", "/download/report.pdf", "/ws", "/openai",
        "/uploads/x", "/v1/responses%2f", "/api/tags", "/%6detrics",
    ],
)  # fmt: skip
def test_g11_other_paths_keep_their_spelling(path: str) -> None:
    assert PATHS.read(path).path == path


@pytest.mark.row("N2", "G11")
@pytest.mark.parametrize(
    ("path", "upstream"),
    [
        ("/v1/models/g:generateContent", "/google/v1/models/g:generateContent"),
        ("/v1/v1/models/g:countTokens", "/google/v1/models/g:countTokens"),
        ("/v1beta/v1/models/g:countTokens", "/google/v1/models/g:countTokens"),
        ("/v1/v1beta/models/g:embedContent", "/v1beta/models/g:embedContent"),
        ("//v1beta//models/g:generateContent/", "/v1beta/models/g:generateContent"),
        ("/api/v1alpha/models/g:generateContent", "/v1alpha/models/g:generateContent"),
        ("/models/g:generateContent", "/v1beta/models/g:generateContent"),
        ("/v1/models/g/operations/o", "/google/v1/models/g/operations/o"),
        ("/v1/interactions", "/google/v1/interactions"),
        ("/v1/interactions/i/cancel", "/google/v1/interactions/i/cancel"),
        ("/v1/cachedContents", "/google/v1/cachedContents"),
        ("/v1/fileSearchStores/s/documents", "/google/v1/fileSearchStores/s/documents"),
        ("/v1/auth_tokens", "/google/v1/auth_tokens"),
        ("/upload/v1/files", "/upload/v1/files"),
        ("/v1/upload/v1beta/files", "/upload/v1beta/files"),
        ("/api/download/v1/files/f:download", "/download/v1/files/f:download"),
        ("/google/v1beta/models", "/v1beta/models"),
        ("/google/v1/files", "/google/v1/files"),
    ],
)
def test_n2_googles_paths_are_known_by_their_names(path: str, upstream: str) -> None:
    address = PATHS.read(path)
    assert (address.path, address.family, address.google) == (upstream, "google", "")


@pytest.mark.row("N2")
@pytest.mark.parametrize(
    "tail",
    [
        "models", "models/g", "files", "files/f", "batches", "batches/b:cancel", "voices", "agents", "environments/e",
        "triggers", "webhooks", "credentials", "decisions", "something/new",
    ],
)  # fmt: skip
def test_n2_paths_of_several_families_are_googles_by_the_headers(tail: str) -> None:
    address = PATHS.read(f"/v1/{tail}")
    assert (address.path, address.family, address.google) == (f"/v1/{tail}", None, f"/google/v1/{tail}")


@pytest.mark.parametrize(
    "tail", ["chat/completions", "responses/x", "messages/batches", "images/generations"]
)
def test_paths_of_openai_and_anthropic_alone_are_not_googles(tail: str) -> None:
    assert PATHS.read(f"/v1/{tail}").google == ""


def test_without_googles_surface_nothing_is_googles() -> None:
    assert ApiPaths(["/v1/models"]).read("/v1/models").google == ""


@pytest.mark.row("G10")
def test_g10_googles_openai_paths_that_are_not_served_are_passed_on() -> None:
    assert PATHS.read("/v1beta/openai/videos/v_1").path == "/v1beta/openai/videos/v_1"
    assert PATHS.read("/v1beta//openai/foo/").path == "/v1beta/openai/foo"
    assert PATHS.read("/v1beta/openai/models") == Address("/v1/models", "/v1beta/openai/models", "openai")


@pytest.mark.row("G13")
@pytest.mark.parametrize(
    ("path", "served", "deployment"),
    [
        ("/openai/deployments/gemini-2.5-pro/chat/completions", "/v1/chat/completions", "gemini-2.5-pro"),
        ("/openai/deployments/google%2Fgemini-2.5-pro/embeddings", "/v1/embeddings", "google/gemini-2.5-pro"),
        ("/v1/deployments/gpt-4o/completions", "/v1/completions", "gpt-4o"),
        ("/openai/deployments/x/v1/responses/", "/v1/responses", "x"),
    ],
)
def test_g13_azures_path_names_the_model(path: str, served: str, deployment: str) -> None:
    assert PATHS.read(path) == Address(served, path, "openai", deployment=deployment)


@pytest.mark.row("G13")
@pytest.mark.parametrize("name", ["..%2f..", "%2e%2e", "a%00b", "a%20b", "%2Fetc", "a..b", "x" * 300])
def test_g13_a_deployment_that_is_no_name_is_no_path(name: str) -> None:
    path = f"/openai/deployments/{name}/chat/completions"
    assert PATHS.read(path) == Address(path, path, "openai")


def test_a_path_of_many_words_is_read_in_one_pass() -> None:
    path = "/v1" * 2000 + "/chat/completions"
    assert PATHS.read(path).path == "/v1/chat/completions"  # under any prefix
    assert PATHS.read("/v1" * 2000 + "/messages").path.startswith("/v1/v1")


@pytest.mark.parametrize(
    ("headers", "query", "family"),
    [
        ({"x-goog-api-key": "k"}, [], "google"),
        ({"x-goog-api-client": "c", "anthropic-version": "1"}, [], "google"),
        ({}, ["key"], "google"),
        ({"anthropic-version": "1"}, ["beta"], "anthropic"),
        ({"anthropic-beta": "files"}, [], "anthropic"),
        ({"Authorization": "Bearer k", "x-api-key": "k"}, [], "openai"),
    ],
)
def test_the_family_of_an_sdk_is_known_by_its_headers(
    headers: dict[str, str], query: list[str], family: str
) -> None:
    assert family_of_headers(headers, query) == family


@pytest.mark.row("G24")
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent", True),
        ("/upload/v1beta/files", True), ("/download/v1/files/x:download", True), ("/v1beta1/projects/p", True),
        ("/realtime", True), ("/x/embeddings", True), ("/v1", True), ("/v2/chat", True),
        ("/", False), ("/favicon.ico", False), ("/ws", False), ("/download/a.zip", False), ("/videos.html", False),
    ],
)  # fmt: skip
def test_g24_api_paths_are_no_pages(path: str, expected: bool) -> None:
    assert is_api_path(path) is expected
