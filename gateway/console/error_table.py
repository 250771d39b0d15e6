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
          "the client must be corrected: its own log has the message"),
    Error("400", "unsupported_parameter",
          "a field that cannot be honoured, with `compat: strict`",
          "the client leaves the field out; or set `compat: lenient`, which ignores it with a note"),
    Error("400", "context_length_exceeded",
          "more tokens than the model reads",
          "the client shortens the conversation; or give it a model that reads more"),
    Error("400", "invalid_image_url",
          "a remote file cannot be fetched or is not allowed (`media`)",
          "the client sends the file as a `data:` URL; or allow more in `media`"),
    Error("400, 421", "invalid_host",
          "the header `Host` is missing or no host; from nginx: a host that it does not serve",
          "correct the client or the proxy"),
    Error("400", "unsupported_content_type",
          "a JSON body, or another, where a file in a form is needed",
          "the client sends `multipart/form-data`; most choose it when they are given a file"),
    Error("400", "invalid_multipart_form, duplicate_parameter, too_many_parts",
          "a form that was cut, has no boundary, a part without a name, a field twice, or more than 128 parts",
          "the client's message names the fault; a library should write the form and its Content-Type"),
    Error("400, 404", "file_not_found",
          "a file that was deleted, has expired, or was uploaded with another key",
          "the client uploads it again, with the key that uses it"),
    Error("400", "unsupported_file, empty_file, file_processing_failed, not_downloadable",
          "a file that Gemini does not read or could not process, an empty one, or, for Anthropic's clients, one"
          " that no tool has made",
          "the client converts it to PDF, text, a picture, sound or video"),
    Error("400", "invalid_json_line, invalid_part, size_mismatch, checksum_mismatch, upload_ended",
          "a file for batches that does not begin with JSON; an upload whose parts are not the announced bytes, or"
          " that was completed, cancelled or has expired",
          "the client's message says which; it begins another upload"),
    Error("404", "upload_not_found",
          "an upload that never was, or of another key",
          "the client begins another upload"),
    Error("404", "files_not_kept",
          "`/v1/files` without a folder: no `plugins.files.path`, and no STATE_DIRECTORY",
          "set `plugins.files.path`, or start the gateway with a STATE_DIRECTORY"),
    Error("400", "invalid_purpose",
          "the input file of a batch was not uploaded with the purpose `batch`",
          "the client uploads it with `purpose=batch`"),
    Error("404", "batch_not_found",
          "a batch that never was, or of another key",
          "the client asks with the key that created it"),
    Error("404", "batches_not_kept",
          "`/v1/batches` without a folder: no `plugins.batches.path`, and no STATE_DIRECTORY",
          "set `plugins.batches.path`, or start the gateway with a STATE_DIRECTORY"),
    Error("409", "batch_ended",
          "a batch that has ended cannot be cancelled",
          "nothing: its results are in its files"),
    Error("500", "batch_failed",
          "in the error file of a batch: Google has failed, or not answered, the line",
          "the client sends the lines of its error file again"),
    Error("503", "file_not_ready",
          "Google has not processed a video within a minute",
          "clients try again a minute later; a shorter video is ready sooner"),
    Error("400", "conflicting_api_keys",
          "two different keys in one request",
          "the client sends one key, in one place"),
    Error("400", "unsupported_country_region_territory",
          "Google does not serve the place that the gateway is in",
          "run the gateway in another place, or use a paid project"),
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
          "sign in with a token of `admin.token` or `admin.tokens`; `gateway console` prints the way in"),
    Error("429", "too_many_attempts",
          "five wrong admin tokens from one address within a minute",
          "wait a minute, then sign in with a token of the configuration"),
    Error("403", "read_only",
          "an operator with `may: read` tried to change something",
          "sign in with another token of `admin.tokens`"),
    Error("403", "cross_site",
          "a change in the console that does not come from its own pages",
          "programs send `Authorization: Bearer`; a proxy must not change `Host`"),
    Error("421", "foreign_host",
          "a browser opened the console under a name that is not its own",
          "open it as 127.0.0.1 or localhost, or add the name to `admin.hosts`"),
    Error("400", "invalid_image_file",
          "a file of `/v1/images` that is no picture, has too many bytes or pixels, or needs the extra `images`",
          "the client sends png, jpeg or webp; `gateway plugin install --extra images` adds the extra"),
    Error("400", "moderation_blocked",
          "Google's filters refuse the prompt or the picture; the message has its reason",
          "the client asks otherwise, or sets its own thresholds; `safety` of the configuration has the gateway's"),
    Error("400", "no_image",
          "the model answered without a picture; the message has its words",
          "the client's prompt should ask for a picture"),
    Error("400", "model_not_supported",
          "a model of another kind, such as a chat model on `/v1/images`; Google is not asked",
          "the client names a model of that kind, or one of another vendor: `models.image` and its neighbours answer "
          "it"),
    Error("403", "permission_denied",
          "Google refuses the key for this model or file",
          "check at Google whether the key's project may use the model and owns the file"),
    Error("403", "model_not_allowed",
          "the key's rules, or the files' project, do not allow the model",
          "Keys: the models of the key's rules (`gateway keys rules ID --models …`)", "keys"),
    Error("403", "not_for_issued_keys",
          "a part of Gemini's own API that needs a Gemini key of the client's own",
          "the client uses a Gemini key of its own"),
    Error("403", "not_checked",
          "a Live session, where a plugin checks or changes prompts or answers",
          "the client uses another API; or take the plugin out of `plugins`"),
    Error("403", "cached_content_not_found",
          "the cached content expired, or belongs to another project",
          "the client makes it again"),
    Error("404", "model_not_found",
          "Google does not know the model, or `models.unknown: reject`",
          "the client names another: Models shows the names. `models.aliases` maps a name to a model", "models"),
    Error("404", "not_found, response_not_found, previous_response_not_found",
          "it expired, never existed, or belongs to another key",
          "the client makes it again"),
    Error("404", "no_ledger",
          "the admin API of a gateway without a ledger",
          "set `ledger.url` or `pool.projects` in the configuration"),
    Error("404", "playground_off",
          "`admin.playground.enabled` is false",
          "set `admin.playground.enabled` to true"),
    Error("404", "no_pool",
          "the admin API of a gateway without a pool",
          "set `pool.projects` in the configuration"),
    Error("404, 405", "unknown_url, method_not_allowed",
          "no such endpoint",
          "the client's base URL or path is wrong; `gateway routes` prints all endpoints"),
    Error("426", "upgrade_required",
          "a client asked for a WebSocket on a path that has none, or `plugins.responses.websockets` are open",
          "nothing: it goes on with HTTP. It is in the log, but not counted as an error"),
    Error("409", "conflict",
          "the object is being changed",
          "clients try again; if it lasts, look at Google's status and at Health"),
    Error("413", "request_too_large",
          "the body exceeds `limits.body`, or Google's limit",
          "the client sends large files by the Files API; or raise `limits.body`", "config?setting=limits.body"),
    Error("413", "storage_quota_exceeded",
          "a client's files are as many, or as large in all, as `plugins.files` allows",
          "the client deletes files; or raise the limits of `plugins.files`", "config?setting=plugins.files"),
    Error("408", "request_timeout",
          "the body stopped arriving for `connections.body_timeout`",
          "the client tries again on a better network; or raise `connections.body_timeout`"),
    Error("415", "unsupported_encoding",
          "a compressed body, other than gzip, deflate or (with `backports.zstd`) zstd, or one that is not in"
          " its coding",
          "the client sends it without compression"),
    Error("429", "rate_limit_exceeded",
          "a limit of the client's own key: requests or tokens per minute or day, or requests at once; `refused_by` in "
          "the log says which, and its use",
          "nothing, if the limit is meant: the client waits for `retry-after`. To allow more, raise it in Keys, in "
          "the key's rules (`gateway keys rules ID`)",
          "keys", "requests_per_ tokens_per_ streams"),
    Error("429", "rate_limit_exceeded",
          "every project of the pool is cooling down for this model, or has used up a limit that Google has told",
          "add a project to `pool.projects`, or another model to `models.fallbacks`; Pool (`/admin/pool`) says when "
          "each is back. Clients wait for `retry-after`",
          "pool", "pool"),
    Error("429", "rate_limit_exceeded",
          "a quota per minute of Google's",
          "more projects or a higher tier at Google allow more; Pool (`/admin/pool`) shows which project rests. "
          "Clients wait for `retry-after`", "pool"),
    Error("429", "insufficient_quota",
          "a budget of the client's issued key: what is left is less than the request may cost, which is reserved "
          "before the call. The message says how much is left, and how much the request needs",
          "Keys shows the budgets and changes them (`gateway keys rules ID`); a new period begins at midnight UTC. A "
          "client's smaller `max_tokens` or smaller model reserves less", "keys", "dollars. tokens."),
    Error("429", "insufficient_quota",
          "with a Gemini key of the client's own: Google's quota per day, or no credit",
          "the client's own project needs credit or a higher tier at Google; its quota per day is new at midnight in "
          "California"),
    Error("429", "gateway_overloaded",
          "`limits.streams`, or the places for background responses",
          "raise `limits.streams`, or add a machine", "config?setting=limits.streams"),
    Error("503", "gateway_overloaded",
          "more work than the process can do, or too little memory; `gateway_refused_total` says which",
          "look at Health; then add memory, a core or a machine", "health"),
    Error("500", "internal_error",
          "with `upstream_status`: Google's 500. Without: a fault of the gateway",
          "for the second, look for the `crash` line and report it"),
    Error("500", "upstream_cancelled",
          "Google cancelled the call",
          "clients try again; if it lasts, look at Google's status and at Health"),
    Error("501", "unsupported",
          "Google does not implement this",
          "the client must do without it"),
    Error("502", "bad_gateway, upstream_bad_response",
          "an answer that is not Gemini's, such as a front end's page",
          "check `upstream.base_url` and what stands between the gateway and Google; clients try again",
          "config?setting=upstream.base_url"),
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
          "the client sends a file with sound in it"),
    Error("502", "no_audio",
          "a speech model answered twice without sound, and no filter explains it",
          "the client tries again, with a shorter text or without instructions inside of it"),
    Error("502", "upstream_incomplete",
          "Google ended the answer before it was complete",
          "clients try again; if it lasts, look at Google's status and at Health"),
    Error("502", "upstream_unusable",
          "an answer without content. It is asked for once more, and the second one is passed on; the code is"
          " then in `failures` of the log only",
          "if it happens often, name another model in `models.fallbacks`"),
    Error("503", "overloaded",
          "Google's model is overloaded; retries did not help",
          "clients try again. Name other models in `models.fallbacks`, which answer while this one is overloaded",
          "config?setting=models.fallbacks"),
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
          "nothing: the audit (`GET /admin/audit`) says who ended it"),
    Error("400", "invalid_filter",
          "a filter of requests on the admin listener",
          "the message names the term"),
    Error("429", "busy",
          "eight viewers follow the requests already",
          "close another tab of the console"),
    Error("504", "timeout",
          "Google's own deadline",
          "the client tries again with less"),
    Error("504", "upstream_timeout",
          "Google was silent for `upstream.timeouts.idle`, or did not read a request for "
          "`upstream.timeouts.write`",
          "clients try again; if it lasts, look at Google's status and at Health"),
    Error("400, 403", "content_policy_violation",
          "a rule of the plugin `guard`",
          "[guard](../do/plugins.md#guard); the rule's name is in the log"),
    Error("403", "system_prompt_not_applied",
          "a method of Gemini's own API that cannot have the texts of the plugin `system_prompt`",
          "the client uses [another method](../do/plugins.md#system_prompt); or write a rule that leaves out this "
          "client or model"),
    Error("500", "plugin_failed",
          "a hook of a plugin raised or hung, and its `on_error` is `refuse`",
          "the line of `gateway.plugins.<name>` in the log has the hook and the place in its code"),
    Error("507", "insufficient_storage",
          "a file is to be stored, and nine tenths of the disk are in use",
          "free space on the disk of `STATE_DIRECTORY`, or move it to a larger one"),
    Error("508", "loop_detected",
          "`upstream.base_url` is the address of a gateway",
          "set `upstream.base_url` to Gemini's address, or leave it out", "config?setting=upstream.base_url"),
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
