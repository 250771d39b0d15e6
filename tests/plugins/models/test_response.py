"""Google's model records in the shapes of OpenAI and Anthropic."""

import msgspec
import pytest

from gateway.gemini.resources import ModelRecord
from gateway.plugins.models.response import model, model_list, with_aliases
from gateway.plugins.models.wire import Model, encode

RECORD = ModelRecord("models/gemini-x", display_name="Gemini X", input_token_limit=10, output_token_limit=5)


def test_a_record_keeps_its_limits_and_loses_its_prefix() -> None:
    assert msgspec.json.decode(encode(model(RECORD))) == {
        "id": "gemini-x", "object": "model", "created": 1733961600, "owned_by": "google", "display_name": "Gemini X",
        "context_window": 10, "max_output_tokens": 5,
    }  # fmt: skip


def test_fields_that_google_leaves_out_are_absent() -> None:
    assert msgspec.json.decode(encode(model(ModelRecord("models/y")))).keys() == {
        "id",
        "object",
        "created",
        "owned_by",
    }


def test_an_alias_follows_the_models_unless_it_is_one() -> None:
    listed = with_aliases([Model("a", 1), Model("b", 1)], {"gpt": "a", "b": "a"})

    assert [(entry.id, entry.owned_by) for entry in listed] == [
        ("a", "google"),
        ("b", "google"),
        ("gpt", "gateway"),
    ]


@pytest.mark.parametrize(
    ("models", "first", "last"), [([], None, None), ([Model("a", 0), Model("b", 0)], "a", "b")]
)
def test_anthropics_list_is_one_page(models: list[Model], first: str | None, last: str | None) -> None:
    page = msgspec.json.decode(encode(model_list(models, anthropic=True)))

    assert (page["first_id"], page["last_id"], page["has_more"]) == (first, last, False)
    assert [entry["created_at"] for entry in page["data"]] == ["1970-01-01T00:00:00Z"] * len(models)
    assert [entry["display_name"] for entry in page["data"]] == [entry.id for entry in models]
