"""The client's own JSON, element by element."""

import msgspec
import pytest
from msgspec import Raw, Struct

from gateway.conversation.foreign.originals import Originals, fitted, placeholder, value_of
from gateway.errors import BadRequest


class _Named(Struct):
    name: str


@pytest.mark.parametrize("elements", [Raw(b'[{"a":1},"x"]'), [{"a": 1}, "x"]])
def test_elements_are_plain_json(elements: Raw | list[object]) -> None:
    originals = Originals(elements)

    assert [originals[i] for i in range(len(originals))] == [{"a": 1}, "x"]
    assert originals[2] is None


@pytest.mark.parametrize("elements", [None, Raw(b"{}"), Raw(b'"x"')])
def test_what_is_no_list_has_no_elements(elements: Raw | None) -> None:
    assert len(Originals(elements)) == 0


@pytest.mark.row("G5")
def test_g05_only_what_does_not_fit_gets_a_stand_in() -> None:
    places = {
        "list": placeholder(_Named, b'{"name":""}'),
        "whole": placeholder(str | None, b'""', whole=True),
        "absent": placeholder(_Named, b"{}"),
    }
    fields = {"list": Raw(b'[{"name":"a"},{"name":5},7]'), "whole": Raw(b"[1]"), "other": Raw(b"3")}

    assert msgspec.json.decode(fitted(fields, places)) == {
        "list": [{"name": "a"}, {"name": ""}, {"name": ""}],
        "whole": "",
        "other": 3,
    }


def test_a_list_that_is_none_stays_for_the_type_of_the_body() -> None:
    assert fitted({"list": Raw(b"7")}, {"list": placeholder(_Named, b"{}")}) == b'{"list":7}'


def test_no_value_is_none() -> None:
    assert value_of(None) is None
    assert value_of(Raw(b"[1]")) == [1]


@pytest.mark.parametrize("number", [b"1e999", b"[-1e999]", b"-" + b"9" * 5000])
def test_a_number_beyond_all_ranges_is_the_clients_mistake(number: bytes) -> None:
    with pytest.raises(BadRequest):
        value_of(msgspec.Raw(number))
