"""Every error code with its cause and its remedy: for the console, and for docs/refer/errors.md."""

import re
from typing import NamedTuple


class Error(NamedTuple):
    """Codes of one cause. Words in `codes` that are no code stand in parentheses."""

    status: str
    codes: str
    cause: str
    remedy: str
    place: str = ""
    """Page of the console where it is seen or changed; of a setting: `config?setting=limits.body`."""
    refused_by: str = ""
    """Beginnings of the log's `refused_by` that the row is about; empty for all others."""


ERRORS: tuple[Error, ...] = (
    Error("400", "invalid_json, invalid_type, invalid_value, missing_required_parameter, empty_array, "
          "array_above_max_length, string_above_max_length, integer_below_min_value, integer_above_max_value,"
          " decimal_below_min_value, decimal_above_max_value, unsupported_value, unknown_parameter, "
          "invalid_base64, invalid_function_parameters, invalid_request",
          "the request; `param` names the field",
          "correct the client"),
    Error("400", "unsupported_parameter",
          "a field that cannot be honoured, with `compat: strict`",
          "leave it out, or `compat: lenient`"),
    Error("400", "context_length_exceeded",
          "more tokens than the model reads",
          "shorten the conversation"),
    Error("400", "invalid_image_url",
          "a remote file cannot be fetched or is not allowed (`media`)",
          "send it as a `data:` URL"),
    Error("400, 421", "invalid_host",
          "the header `Host` is missing or no host; from nginx: a host that it does not serve",
          "correct the client or the proxy"),
    Error("400", "unsupported_content_type",
          "a JSON body, or another, where a file in a form is needed",
          "send `multipart/form-data`; most clients choose it when they are given a file"),
    Error("400", "invalid_multipart_form, duplicate_parameter, too_many_parts",
          "a form that was cut, has no boundary, a part without a name, a field twice, or more than 128 parts",
          "the message names the fault; let a library write the form and its Content-Type"),
    Error("400, 404", "file_not_found",
          "a file that was deleted, has expired, or was uploaded with another key",
          "upload it again, with the key that uses it"),
    Error("400", "unsupported_file, empty_file, file_processing_failed, not_downloadable",
          "a file that Gemini does not read or could not process, an empty one, or, for Anthropic's clients, one"
          " that no tool has made",
          "convert it to PDF, text, a picture, sound or video"),
    Error("400", "invalid_json_line, invalid_part, size_mismatch, checksum_mismatch, upload_ended",
          "a file for batches that does not begin with JSON; an upload whose parts are not the announced bytes, or"
          " that was completed, cancelled or has expired",
          "the message says which; begin another upload"),
    Error("404", "upload_not_found",
          "an upload that never was, or of another key",
          "begin another upload"),
    Error("404", "files_not_kept",
          "`/v1/files` without a folder: no `plugins.files.path`, and no STATE_DIRECTORY",
          "set `plugins.files.path`"),
    Error("503", "file_not_ready",
          "Google has not processed a video within a minute",
          "try again a minute later"),
    Error("400", "conflicting_api_keys",
          "two different keys in one request",
          "send one"),
    Error("400", "unsupported_country_region_territory",
          "Google does not serve the place that the gateway is in",
          "another place, or a paid project"),
    Error("401", "invalid_api_key",
          "no key, or one that the gateway does not know, or that Google refuses",
          "the client sends a key that Keys (`gateway keys list`) shows; with a Gemini key, ask Google", "keys"),
    Error("401", "invalid_api_key",
          "an issued key that is suspended",
          "Keys: open it and resume it", "keys", "key.suspended"),
    Error("401", "invalid_api_key",
          "an issued key that has expired",
          "Keys: open it and set a later day, or issue another (`gateway keys add`)", "keys", "key.expired"),
    Error("401", "invalid_api_key",
          "an issued key that was revoked, which cannot be undone",
          "Keys: issue another for its holder (`gateway keys add`)", "keys", "key.revoked"),
    Error("401", "invalid_api_key",
          "a key that this gateway has not issued; with `auth: {passthrough: false}` also a Gemini key of the client's "
          "own. The client sees `Incorrect API key provided.`, and Google is not asked",
          "Keys: issue one for this client (`gateway keys add`); with `passthrough: true` such keys are passed through",
          "config?setting=auth.passthrough", "key.unknown"),
    Error("401", "signed_out, no_admin_token, invalid_admin_token",
          "the admin listener: nobody is signed in, no token is configured, or it is another one",
          "`admin.token` or `admin.tokens`; `gateway console`"),
    Error("429", "too_many_attempts",
          "five wrong admin tokens from one address within a minute",
          "wait a minute"),
    Error("403", "read_only",
          "an operator with `may: read` tried to change something",
          "another token of `admin.tokens`"),
    Error("403", "cross_site",
          "a change in the console that does not come from its own pages",
          "programs send `Authorization: Bearer`; a proxy must not change `Host`"),
    Error("421", "foreign_host",
          "a browser opened the console under a name that is not its own",
          "127.0.0.1, localhost, or a name of `admin.hosts`"),
    Error("400", "invalid_image_file",
          "a file of `/v1/images` that is no picture, has too many bytes or pixels, or needs the extra `images`",
          "send png, jpeg or webp; `gateway plugin install --extra images`"),
    Error("400", "moderation_blocked",
          "Google's filters refuse the prompt or the picture; the message has its reason",
          "another prompt; `safety` of the configuration, or the client's own thresholds"),
    Error("400", "no_image",
          "the model answered without a picture; the message has its words",
          "a prompt that asks for a picture"),
    Error("400", "model_not_supported",
          "a model of another kind, such as a chat model on `/v1/images`; Google is not asked",
          "a model of that kind, or a name of another vendor: `models.image` and its neighbours answer it"),
    Error("403", "permission_denied",
          "Google refuses the key for this model or file",
          "ask Google"),
    Error("403", "model_not_allowed",
          "the key's rules, or the files' project, do not allow the model",
          "Keys: the models of the key's rules (`gateway keys rules ID --models …`)", "keys"),
    Error("403", "not_for_issued_keys",
          "a part of Gemini's own API that needs a Gemini key of the client's own",
          "use one"),
    Error("403", "not_checked",
          "a Live session, where a plugin checks or changes prompts or answers",
          "use another API, or take the plugin out"),
    Error("403", "cached_content_not_found",
          "the cached content expired, or belongs to another project",
          "make it again"),
    Error("404", "model_not_found",
          "Google does not know the model, or `models.unknown: reject`",
          "name another; Models shows the names; `models.fallbacks`", "models"),
    Error("404", "not_found, response_not_found, previous_response_not_found",
          "it expired, never existed, or belongs to another key",
          "make it again"),
    Error("404", "no_ledger",
          "the admin API of a gateway without a ledger",
          "set `ledger.url` or `pool.projects`"),
    Error("404", "playground_off",
          "`admin.playground.enabled` is false",
          "set it to true"),
    Error("404", "no_pool",
          "the admin API of a gateway without a pool",
          "set `pool.projects`"),
    Error("404, 405", "unknown_url, method_not_allowed",
          "no such endpoint",
          "`gateway routes`"),
    Error("426", "upgrade_required",
          "a client asked for a WebSocket on a path that has none, or `plugins.responses.websockets` are open",
          "nothing: it goes on with HTTP. It is in the log, but not counted as an error"),
    Error("409", "conflict",
          "the object is being changed",
          "try again"),
    Error("413", "request_too_large",
          "the body exceeds `limits.body`, or Google's limit",
          "send large files by the Files API", "config?setting=limits.body"),
    Error("408", "request_timeout",
          "the body stopped arriving for `connections.body_timeout`",
          "try again on a better network"),
    Error("415", "unsupported_encoding",
          "a compressed body, other than gzip, deflate or (with `backports.zstd`) zstd, or one that is not in"
          " its coding",
          "send it plain"),
    Error("429", "rate_limit_exceeded",
          "a limit of the client's own key: requests or tokens per minute or day, or requests at once; `refused_by` in "
          "the log says which, and its use",
          "wait for `retry-after`, or raise it in Keys, in the key's rules (`gateway keys rules ID`)",
          "keys", "requests_per_ tokens_per_ streams"),
    Error("429", "rate_limit_exceeded",
          "every project of the pool is cooling down for this model, or has used up a limit that Google has told",
          "wait for `retry-after`; Pool (`/admin/pool`) says when each is back; another project, or `models.fallbacks`",
          "pool", "pool"),
    Error("429", "rate_limit_exceeded",
          "a quota per minute of Google's",
          "wait for `retry-after`; Pool (`/admin/pool`) shows which project rests", "pool"),
    Error("429", "insufficient_quota",
          "a budget of the client's issued key: what is left is less than the request may cost, which is reserved "
          "before the call. The message says how much is left, and how much the request needs",
          "a smaller `max_tokens` reserves less, and so does a smaller model; Keys shows the budgets and changes them "
          "(`gateway keys rules ID`); a new period begins at midnight UTC", "keys", "dollars. tokens."),
    Error("429", "insufficient_quota",
          "with a Gemini key of the client's own: Google's quota per day, or no credit",
          "another key, or wait until midnight in California"),
    Error("429", "gateway_overloaded",
          "`limits.streams`, or the places for background responses",
          "add a machine, or raise the limit", "config?setting=limits.streams"),
    Error("503", "gateway_overloaded",
          "more work than the process can do, or too little memory; `gateway_refused_total` says which",
          "add a machine", "health"),
    Error("500", "internal_error",
          "with `upstream_status`: Google's 500. Without: a fault of the gateway",
          "for the second, look for the `crash` line and report it"),
    Error("500", "upstream_cancelled",
          "Google cancelled the call",
          "try again"),
    Error("501", "unsupported",
          "Google does not implement this",
          ""),
    Error("502", "bad_gateway, upstream_bad_response",
          "an answer that is not Gemini's, such as a front end's page",
          "try again; check `upstream.base_url`", "config?setting=upstream.base_url"),
    Error("502", "upstream_unreachable",
          "no connection: DNS, firewall, proxy, certificate, the unit's IP filter. The message names the "
          "class",
          "Health (`gateway doctor`), and `cause` in the log: the host and the reason, also a private address that was"
          " refused (`upstream.private_addresses`)", "health"),
    Error("502", "upstream_dropped",
          "a connection that had waited for a request closed instead of answering, three times running",
          "rare; the network or the upstream closes connections within 50 s"),
    Error("400", "audio_too_short",
          "a recording that is empty",
          "send a file with sound in it"),
    Error("502", "no_audio",
          "a speech model answered twice without sound, and no filter explains it",
          "try again, with a shorter text or without instructions inside of it"),
    Error("502", "upstream_incomplete",
          "Google ended the answer before it was complete",
          "try again"),
    Error("502", "upstream_unusable",
          "an answer without content. It is asked for once more, and the second one is passed on; the code is"
          " then in `failures` of the log only",
          "another model, if it happens often"),
    Error("503", "overloaded",
          "Google's model is overloaded; retries did not help",
          "`models.fallbacks`", "config?setting=models.fallbacks"),
    Error("503", "gateway_overloaded",
          "requests in progress hold `limits.memory`",
          "clients try again by themselves; raise the limit, and `MemoryMax` with it", "config?setting=limits.memory"),
    Error("503", "no_usable_key",
          "no project serves this model, or Google refuses all keys, or their projects: suspended or without "
          "credit",
          "Pool (`/admin/pool`) says why; `models` of `pool.projects`; replace the keys", "pool"),
    Error("503", "ledger_unavailable",
          "the database fails, and the client has a budget or `ledger.on_failure` is `stop`",
          "repair the database", "health"),
    Error("503", "not_available",
          "a part of the admin API that only `gateway serve` has",
          "start the gateway with `gateway serve`"),
    Error("503", "gateway_misconfigured",
          "the process has started with a faulty configuration, or its ledger cannot be opened",
          "Config and the log say what is wrong; the corrected file is taken over by itself", "config"),
    Error("503", "shutting_down, gateway_down (from nginx)",
          "the gateway restarts",
          "clients try again by themselves"),
    Error("503", "cancelled_by_operator",
          "an operator has ended the request in the console",
          "ask the operator"),
    Error("400", "invalid_filter",
          "a filter of requests on the admin listener",
          "the message names the term"),
    Error("429", "busy",
          "eight viewers follow the requests already",
          "close another tab of the console"),
    Error("504", "timeout",
          "Google's own deadline",
          "try again with less"),
    Error("504", "upstream_timeout",
          "Google was silent for `upstream.timeouts.idle`, or did not read a request for "
          "`upstream.timeouts.write`",
          "try again"),
    Error("400, 403", "content_policy_violation",
          "a rule of the plugin `guard`",
          "[guard](../do/plugins.md#guard); the rule's name is in the log"),
    Error("403", "system_prompt_not_applied",
          "a method of Gemini's own API that cannot have the texts of the plugin `system_prompt`",
          "[another method](../do/plugins.md#system_prompt), or a rule that leaves out this client or model"),
    Error("500", "plugin_failed",
          "a hook of a plugin raised or hung, and its `on_error` is `refuse`",
          "the line of `gateway.plugins.<name>` in the log has the hook and the place in its code"),
    Error("507", "insufficient_storage",
          "a file is to be stored, and nine tenths of the disk are in use",
          "free space on the disk of `STATE_DIRECTORY`, or a larger one"),
    Error("508", "loop_detected",
          "`upstream.base_url` is the address of a gateway",
          "set it to Gemini's", "config?setting=upstream.base_url"),
)  # fmt: skip
"""By status; errors of plugins and of nginx are among them. Their Chinese is in `error_table_zh`."""


def codes(error: Error) -> list[str]:
    """Return the codes of a row, without the words in parentheses."""
    return re.findall(r"\w+", re.sub(r"\(.*?\)", "", error.codes))


def explained(code: str, status: int | None = None, refused_by: str | None = None) -> Error | None:
    """Return the row of a code, of several the one of what refused the request and of a status; None if unknown."""
    rows = [error for error in ERRORS if code in codes(error)]
    fitting = [error for error in rows if status is not None and str(status) in error.status] or rows
    begins = refused_by or "-"
    exact = [error for error in fitting if begins.startswith(tuple(error.refused_by.split()))]
    rest = [error for error in fitting if not error.refused_by]
    return next(iter(exact or rest or fitting), None)


def meaning(error: Error | None) -> dict[str, str]:
    """Return what the console shows of a row; empty texts without one."""
    if error is None:
        return {"cause": "", "remedy": "", "place": ""}
    return {"cause": error.cause, "remedy": error.remedy, "place": error.place}
