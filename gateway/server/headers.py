"""HTTP headers that the gateway reads or sets; docs/refer/headers.md is generated from this table."""

from typing import Literal, NamedTuple

Direction = Literal["request", "response", "upstream"]
"""From the client; to the client; to Gemini or to a server of remote files."""


class Header(NamedTuple):
    """One header and its meaning in one direction."""

    name: str
    direction: Direction
    meaning: str


HEADERS: tuple[Header, ...] = (
    Header("Authorization", "request",
           "`Bearer KEY`: an issued key, or a Gemini key with `auth.passthrough`. Other schemes are ignored, but for"
           " `Token`, an ephemeral token of the Live API. "
           "On the admin listener, the admin token."),
    Header("x-api-key", "request", "The same key, as Anthropic's SDKs send it."),
    Header("x-goog-api-key", "request",
           "The same key, as Google's SDKs send it. Two different keys in one request are a 400."),
    Header("api-key", "request", "The same key, as Azure's SDKs send it."),
    Header("x-request-id", "request",
           "Id of the request, used in the log and the answer. Up to 64 of the characters `A-Za-z0-9_.:-`; any "
           "other value is replaced, and so is one that looks like a key."),
    Header("x-gateway-cache", "request",
           "Seconds for which the answer may be cached and a cached one served, up to `cache.seconds`; `off` "
           "disables it for this request."),
    Header("traceparent", "request", "Parent span (W3C Trace Context), if tracing is configured."),
    Header("x-server-timeout", "request",
           "On `native`, seconds after which Google gives up; such an end says nothing about the project."),
    Header(
        "Content-Encoding",
        "request",
        "`gzip`, `deflate`, and `zstd` where `backports.zstd` is installed; anything else is a 415. "
        "The native surface takes `identity` only.",
    ),
    Header("anthropic-version", "request",
           "Selects Anthropic's format for the model list and for the errors of unknown paths."),
    Header("anthropic-beta", "request", "The same."),
    Header("x-goog-api-client", "request",
           "Like `x-goog-api-key`, selects Google's API where several families have a path: `/v1/models`,"
           " `/v1/files`, `/v1/batches`."),
    Header("Api-Revision", "request", "On `native`, passed on: selects a revision of the Interactions API."),
    Header("Upgrade", "request",
           "`websocket` opens one on `/v1/responses` and the Live API's paths, and is a 426 on other paths of POST."),
    Header("Origin", "request", "Selects the CORS headers."),
    Header("Access-Control-Request-Headers", "request", "Repeated in the answer to a preflight."),
    Header("X-Goog-FieldMask", "request", "With an issued key, a 400: it could hide the token counts."),
    Header("X-HTTP-Method-Override", "request", "With an issued key, a 400."),
    Header("X-HTTP-Method", "request", "With an issued key, a 400."),
    Header("X-Method-Override", "request", "With an issued key, a 400."),
    Header("Host", "request", "Anything but a host with an optional port is a 400. No decision depends on it."),
    Header("Expect", "request",
           "`100-continue` is answered when the body is read: a refusal comes first. Other values are a 417."),
    Header("x-gemini-gateway-hop", "request", "Sent by a gateway whose upstream is a gateway: a 508."),
    Header("X-Console", "request",
           "`1` with each change that the console's pages ask for: no form of another page can send it."),
    Header("Accept", "request", "`text/html` on `/` asks for the page for browsers instead of `hello`."),
    Header("Accept-Language", "request", "English or Chinese, for the pages `/` and `/usage`."),
    Header("X-Forwarded-Proto", "request",
           "Scheme of upload URLs that the `native` plugin returns, and of the addresses on the page at `/`."),
    Header("X-Real-IP", "request", "Address of the client, believed on a Unix socket only: nginx sets it there."),
    Header("x-request-id", "response",
           "Id of the request, the client's own or a new one; `request_id` in the log."),
    Header("request-id", "response",
           "The same in answers of the Messages API, as Anthropic's SDKs expect it."),
    Header("x-gateway-model", "response", "Model that answered."),
    Header("x-gateway-notes", "response",
           "Comma-separated request fields that were not honoured, or honoured after a repair."),
    Header("x-gateway-cache", "response",
           "`hit`, `miss` or `off`, if the client or its key asked for the cache."),
    Header("x-gateway-fallback", "response",
           "Models of `models.fallbacks` that failed before this one, each with its error code, or"
           " `cooling_down` for one that was skipped."),
    Header("x-should-retry", "response", "Whether OpenAI's and Anthropic's SDKs should retry an error."),
    Header("retry-after", "response", "Seconds until a retry makes sense (RFC 9110, 10.2.3)."),
    Header("retry-after-ms", "response", "The same in milliseconds, which OpenAI's SDKs prefer."),
    Header("x-ratelimit-limit-requests", "response",
           "Requests allowed per minute or day, whichever has less left."),
    Header("x-ratelimit-remaining-requests", "response", "Requests left in that window."),
    Header("x-ratelimit-reset-requests", "response",
           "Time until that window is free again, such as `12.500s`."),
    Header("x-ratelimit-limit-tokens", "response", "The same for tokens."),
    Header("x-ratelimit-remaining-tokens", "response", "The same for tokens."),
    Header("x-ratelimit-reset-tokens", "response", "The same for tokens."),
    Header("Allow", "response", "Methods of the path, with a 405."),
    Header("Upgrade", "response", "`HTTP/1.1`, with a 426."),
    Header("Location", "response", "From `native`: the address of a file to download, with the gateway's host."),
    Header("Content-Type", "response",
           "`application/json`, `text/event-stream; charset=utf-8`, or Google's own."),
    Header("Cache-Control", "response", "`no-store` on streams and on the pages `/` and `/usage`."),
    Header("X-Accel-Buffering", "response", "`no` on streams, so that nginx passes each event on at once."),
    Header("Connection", "response", "`close` while the process drains, and if the request's body was not read."),
    Header("Server", "response", "`gemini-gateway`."),
    Header("Vary", "response", "`Origin` is added if `cors.origins` is restricted; `Accept` and "
           "`Accept-Language` on `/`."),
    Header("x-console-build", "response",
           "On the admin listener: hash of the console's files, by which an open page knows a new version."),
    Header("Content-Security-Policy", "response",
           "Of the pages `/` and `/usage`: their own style and script, nothing from elsewhere, no frame around them."),
    Header("Cross-Origin-Opener-Policy", "response", "`same-origin` on the pages `/` and `/usage`."),
    Header("X-Content-Type-Options", "response", "`nosniff` on the pages `/` and `/usage`."),
    Header("Referrer-Policy", "response", "`no-referrer` on the pages `/` and `/usage`."),
    Header("Access-Control-Allow-Origin", "response",
           "`*`, or the client's origin if `cors.origins` lists it."),
    Header("Access-Control-Expose-Headers", "response",
           "All headers of the answer, for requests with `Origin`."),
    Header("Access-Control-Allow-Methods", "response", "In answers to preflights."),
    Header("Access-Control-Allow-Headers", "response", "In answers to preflights: the requested names."),
    Header("Access-Control-Max-Age", "response", "In answers to preflights: `86400`."),
    Header("x-goog-upload-url", "response", "From `native`: Google's upload URL, with the gateway's host."),
    Header("x-goog-api-key", "upstream", "Key of the client or of the pool. No URL contains one."),
    Header("x-gemini-gateway-hop", "upstream", "`1`, so that a gateway that is its own upstream notices it."),
    Header("x-goog-api-client", "upstream", "`gemini-gateway/VERSION`."),
    Header("User-Agent", "upstream", "The same; without the version to servers of remote files."),
    Header("Content-Type", "upstream", "`application/json`, or the client's own from `native`."),
    Header("Content-Length", "upstream", "Of uploads by `native`, as the client states it, and by `files`."),
    Header("X-Goog-Upload-Protocol", "upstream", "`resumable`, for a copy of a kept file."),
    Header("X-Goog-Upload-Command", "upstream", "`start`, then `upload, finalize`, for such a copy."),
    Header("X-Goog-Upload-Offset", "upstream", "`0`, for such a copy."),
    Header("X-Goog-Upload-Header-Content-Length", "upstream", "Bytes of such a copy."),
    Header("X-Goog-Upload-Header-Content-Type", "upstream", "Type of such a copy."),
    Header("Accept-Encoding", "upstream", "`identity`: a decompressor could hold back events."),
)  # fmt: skip


def markdown() -> list[str]:
    """Return the tables of the page, one for each direction."""
    titles = {"request": "Request headers", "response": "Response headers", "upstream": "Headers to Gemini"}
    lines: list[str] = []
    for direction, title in titles.items():
        lines += [f"## {title}", "", "| header | meaning |", "|---|---|"]
        lines += [f"| `{h.name}` | {h.meaning} |" for h in HEADERS if h.direction == direction]
        lines.append("")
    return lines
