"""Authentication: keys in headers, and issued keys."""

import pytest
from msgspec import structs

from gateway.errors import BadRequest, GatewayError, Unauthorized
from gateway.policy.clients.access import Access, AuthConfig, Client, ClientKey, UnknownKey, digest, identify
from gateway.policy.clients.client_rules import Rules


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer k"},
        {"Authorization": "bearer  k"},
        {"x-api-key": "k"},
        {"x-goog-api-key": "k"},
        {"Authorization": "Bearer k", "x-api-key": "k"},
    ],
)
def test_the_key_is_found_in_any_header(headers: dict[str, str]) -> None:
    client = identify(headers)

    assert client.key == "k"
    assert len(client.fingerprint) == 8
    assert client.fingerprint != "k"


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({}, Unauthorized),
        ({"Authorization": "Basic a2V5"}, Unauthorized),
        ({"Authorization": "Bearer "}, Unauthorized),
        ({"Authorization": "Bearer a b"}, Unauthorized),
        ({"Authorization": "Bearer é"}, Unauthorized),
        ({"Authorization": "Bearer " + "k" * 513}, Unauthorized),
        ({"Authorization": "Bearer a", "x-api-key": "b"}, BadRequest),
    ],
)
def test_no_usable_key_is_refused(headers: dict[str, str], error: type[GatewayError]) -> None:
    with pytest.raises(error):
        identify(headers)


ISSUED_KEY, NOW = "sk-gw-secret", 1000.0


def access(*, passthrough: bool = True, expires: float | None = None, revoked: float | None = None) -> Access:
    result = Access(AuthConfig(passthrough=passthrough), pooled=True)
    rules = Rules(models=("gemini-*",))
    key = ClientKey("key_1", "ada", digest(ISSUED_KEY), 0.0, expires, revoked, rules)
    result.issued = {key.hash: key}
    return result


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_an_issued_key_stands_for_its_id_and_rules_and_is_never_passed_on() -> None:
    client = access().identify(bearer(ISSUED_KEY), NOW)

    assert client == Client("", digest(ISSUED_KEY)[:8], "key_1", "key_1", Rules(models=("gemini-*",)))
    assert access().holder("key_1", NOW) == client


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ({"revoked": NOW}, "Incorrect API key provided: it is revoked."),
        ({"expires": NOW}, "Incorrect API key provided: it is expired."),
        ({"revoked": NOW + 1, "expires": NOW + 1}, None),
    ],
)
def test_a_revoked_or_expired_key_is_refused(times: dict[str, float], message: str | None) -> None:
    if message is None:
        assert access(**times).identify(bearer(ISSUED_KEY), NOW).id == "key_1"  # type: ignore[arg-type]
        return
    for refused in (lambda a: a.identify(bearer(ISSUED_KEY), NOW), lambda a: a.holder("key_1", NOW)):
        with pytest.raises(Unauthorized) as caught:
            refused(access(**times))  # type: ignore[arg-type, no-untyped-call]
        assert caught.value.message == message


@pytest.mark.parametrize(("key", "passthrough"), [("sk-gw-other", True), ("AIza-own", False)])
def test_an_unknown_key_is_refused_in_openai_s_words(key: str, passthrough: bool) -> None:
    with pytest.raises(Unauthorized) as caught:
        access(passthrough=passthrough).identify(bearer(key), NOW)

    assert (caught.value.message, caught.value.code) == ("Incorrect API key provided.", "invalid_api_key")


def test_a_gemini_key_is_passed_through() -> None:
    assert access().identify(bearer("AIza-own"), NOW) == identify(bearer("AIza-own"))
    assert identify(bearer("AIza-own")).key == "AIza-own"


def test_no_client_holds_an_unknown_id() -> None:
    with pytest.raises(Unauthorized):
        access().holder("key_2", NOW)


@pytest.mark.parametrize(("pooled", "needed"), [(True, "API"), (False, "Gemini API")])
def test_a_request_without_a_key_is_told_which_kind_is_needed(pooled: bool, needed: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        Access(AuthConfig(), pooled=pooled).identify({}, NOW)

    assert caught.value.message == (
        f"You didn't provide an API key. You need to provide your {needed} key in an Authorization header using "
        "Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
    )


def test_a_key_of_our_own_form_is_refused_before_any_key_was_issued() -> None:
    with pytest.raises(Unauthorized, match=r"^Incorrect API key provided\.$"):
        Access(AuthConfig(), pooled=False).identify(bearer(ISSUED_KEY), NOW)


def test_the_client_of_an_id_has_no_key_that_could_be_passed_on() -> None:
    assert access().holder("key_1", NOW).key == ""


def test_only_the_first_word_of_the_header_is_the_scheme() -> None:
    with pytest.raises(Unauthorized, match="invalid characters"):
        identify({"Authorization": "Bearer Bearer key"})


SPOILT = {
    "quoted": '"sk-gw-{}"',
    "quoted singly": "'sk-gw-{}'",
    "in capitals": "SK-GW-{}",
    "without its first word": "gw-{}",
    "without it and quoted": '"gw-{}"',
    "with the word of another header": "key=sk-gw-{}",
    "with a scheme and no blank": "Bearer:gw-{}",
    "with a scheme in its place": "Token=gw-{}",
    "percent-encoded": "%73k%2Dgw%2D{}",
    "quoted and percent-encoded": "%22gw-{}%22",
    "in brackets": "<sk-gw-{}>",
    "with text before it": "xsk-gw-{}",
}


@pytest.mark.row("A23")
@pytest.mark.parametrize("passthrough", [True, False])
@pytest.mark.parametrize("header", ["Authorization", "x-api-key", "x-goog-api-key"])
@pytest.mark.parametrize("spelling", SPOILT)
def test_a23_a_spoilt_issued_key_is_refused_and_never_passed_through(
    spelling: str, header: str, passthrough: bool
) -> None:
    key = SPOILT[spelling].format("Zm9vYmFyYmF6cXV4")
    value = f"Bearer {key}" if header == "Authorization" else key
    with pytest.raises(Unauthorized) as caught:
        access(passthrough=passthrough).identify({header: value}, NOW)

    assert caught.value.status == 401
    assert key not in caught.value.message


@pytest.mark.row("A23")
@pytest.mark.parametrize(
    "value", ["Bearer Bearer sk-gw-x", "Bearer  sk-gw- x", "Bearer\tsk-gw-x", "bearer bearer gw-x"]
)
def test_a23_a_key_with_blanks_or_two_schemes_is_refused(value: str) -> None:
    with pytest.raises(Unauthorized):
        access().identify({"Authorization": value}, NOW)


@pytest.mark.row("A23")
@pytest.mark.parametrize("key", ["AIza-own", "AIzaSyB-gw-5xTz", "AQ.Ab8-gw-RN6", "my-gw-key"])
def test_a23_a_gemini_key_is_not_mistaken_for_an_issued_one(key: str) -> None:
    assert access().identify(bearer(key), NOW).key == key


BODY = "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF"
MISSPELT = [
    "k-gw-{}", "s-gw-{}", "skgw-{}", "sk-g-{}", "sk-w-{}", "sk-gw{}", "sk_gw-{}", "sk-gw_{}", "sk-gv-{}", "ak-gw-{}",
    "ks-gw-{}", "s-kgw-{}", "skg-w-{}", "sk-wg-{}", "sk-g-w{}", "ssk-gw-{}", "sk--gw-{}", "sk-ggw-{}", "SK_GW-{}",
]  # fmt: skip


@pytest.mark.parametrize("spelling", MISSPELT)
def test_o22_a_misspelt_issued_key_is_refused_and_never_passed_through(spelling: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        access().identify(bearer(spelling.format(BODY)), NOW)

    assert not isinstance(caught.value, UnknownKey)
    assert BODY not in caught.value.message


@pytest.mark.parametrize("tail", [BODY[:-1], BODY + "x", BODY[:5], "", BODY[:20] + "." + BODY[21:]])
def test_o22_an_issued_key_of_another_length_is_refused_at_once(tail: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        access().identify(bearer(f"sk-gw-{tail}"), NOW)

    assert not isinstance(caught.value, UnknownKey), "no look for it is worth while"


def test_o22_a_key_that_may_be_new_is_told_apart() -> None:
    with pytest.raises(UnknownKey, match=r"^Incorrect API key provided\.$"):
        access().identify(bearer(f"sk-gw-{BODY}"), NOW)


@pytest.mark.parametrize(
    "key",
    [
        "sk-proj-4x",
        "sk-ant-api03-x",
        "sk-or-v1-x",
        "sk-gemini",
        "AQ.Ab8RN6x",
        "AIzaSyB5xTz",
        "gwen",
        "sk-x-gw",
        "k",
    ],
)
def test_o22_other_keys_pass(key: str) -> None:
    assert access().identify(bearer(key), NOW).key == key


class Task:
    """Work that remembers why it was cancelled."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def cancel(self, msg: str) -> None:
        self.messages.append(msg)


@pytest.mark.row("A26")
def test_a26_work_ends_with_its_key() -> None:
    access = Access(AuthConfig(), pooled=True)
    keys = {name: ClientKey(name, name, f"hash_{name}", 0, None, None, Rules()) for name in ("a", "b", "c")}
    access.issued = {key.hash: key for key in keys.values()}
    clients = {name: Client("", "f", name, name) for name in keys}
    works = {name: [Task(), Task()] for name in keys}
    for name, tasks in works.items():
        for task in tasks:
            access.begin(clients[name], task)
    access.end(clients["a"], works["a"][0])
    access.issued = {
        "hash_a": structs.replace(keys["a"], revoked=5.0),
        "hash_b": structs.replace(keys["b"], expires=20.0),
    }

    assert access.cut(10.0) == {"a": 1, "c": 2}  # c is gone
    assert access.cut(10.0) == {}
    assert access.cut(20.0) == {"b": 2}
    assert [[task.messages for task in tasks] for tasks in works.values()] == [
        [[], ["revoked"]], [["revoked"], ["revoked"]], [["revoked"], ["revoked"]],
    ]  # fmt: skip
    access.end(clients["a"], works["a"][1])  # after the cut: nothing to do


def test_work_for_a_key_of_the_clients_own_is_never_cut() -> None:
    access, task = Access(AuthConfig(), pooled=True), Task()
    client = Client("a Gemini key", "f")
    access.begin(client, task)

    assert access.cut(10.0) == {}
    assert task.messages == []
    access.end(client, task)
