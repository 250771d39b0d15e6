"""Reading a JSON body: what is refused, and how the error names the place."""

from typing import Any

import msgspec
import pytest
from msgspec import Struct

from gateway.errors import BadRequest
from gateway.exchange.offload import HEAVY
from gateway.exchange.request_body import parse


class Inner(Struct):
    n: int
    name: str = ""


class Outer(Struct):
    inner: list[Inner] = []
    by_name: dict[str, int] = {}
    limited: msgspec.UnsetType | int = msgspec.UNSET


decode = msgspec.json.Decoder(Outer).decode


def fault(text: str) -> tuple[str | None, str | None, str]:
    with pytest.raises(BadRequest) as caught:
        parse(text.encode()).decode(decode)
    return caught.value.param, caught.value.code, caught.value.message


@pytest.mark.parametrize("text", ["", "{", '{"a": }', "\udcff", '{"a": "\\ud800"'])
def test_a_body_that_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(text.encode("utf-8", "surrogateescape"))

    assert caught.value.code == "invalid_json"


@pytest.mark.parametrize("text", ["[]", "1", '"x"', "null"])
def test_a_body_that_is_not_an_object_is_refused(text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(text.encode())

    assert caught.value.code == "invalid_type"


@pytest.mark.parametrize(
    ("text", "param", "code"),
    [
        ('{"inner": 1}', "inner", "invalid_type"),
        ('{"inner": [{"n": 1}, {"n": "x"}]}', "inner[1].n", "invalid_type"),
        ('{"inner": [{}]}', "inner[0].n", "missing_required_parameter"),
        ('{"by_name": {"a": "x"}}', "by_name[...]", "invalid_type"),
    ],
)
def test_the_error_names_the_field(text: str, param: str, code: str) -> None:
    assert fault(text)[:2] == (param, code)


def test_fields_stay_undecoded() -> None:
    body = parse(b'{"a": [1, 2], "b": {"c": null}}')
    fields: dict[str, Any] = {name: bytes(raw) for name, raw in body.fields.items()}

    assert fields == {"a": b"[1, 2]", "b": b'{"c": null}'}


def test_a_large_body_is_heavy() -> None:
    small, large = parse(b'{"a": 1}'), parse(b'{"a": "%s"}' % (b"x" * HEAVY))

    assert (small.heavy, large.heavy) == (False, True)
