"""The content of Responses' items: its own parts, and those of other dialects."""

from typing import Any

import aiohttp
import msgspec
import pytest

from gateway.errors import BadRequest
from gateway.plugins.responses.content import HISTORY, below, of_picture, output_parts
from tests.support.responses import gemini_body, translation

PNG = "iVBORw0KGgo="


@pytest.mark.row("G12")
@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        {"inlineData": {"mimeType": "image/png", "data": PNG}},
    ],
)
def test_g12_a_picture_of_another_dialect(part: dict[str, Any]) -> None:
    request = {"input": [{"role": "user", "content": [{"type": "input_text", "text": "look"}, part]}]}

    assert gemini_body(request)["contents"][0]["parts"][1]["inlineData"]["data"] == PNG
    assert len(translation(request).notes) == 1
    with pytest.raises((BadRequest, msgspec.ValidationError), match=r"content\[1\]|Supported values"):
        translation(request, strict=True)


def test_an_output_is_a_text_parts_or_an_object() -> None:
    assert output_parts("x", "at") == "x"
    assert output_parts(None, "at") == ""
    assert output_parts({"a": 1}, "at") == '{"a":1}'
    assert output_parts([], "at") == []


def test_stored_items_have_no_path_of_their_own() -> None:
    assert below("input[0]", ".content") == "input[0].content"
    assert below(HISTORY, "[0]") == HISTORY


@pytest.mark.row("G5")
def test_g05_a_foreign_item_in_a_stored_history_is_read() -> None:
    history: list[Any] = [
        {"role": "user", "content": [{"type": "zork", "a": 1}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "1"}]},
        "plain",
    ]
    body = gemini_body({"input": "so"}, history)

    assert body["contents"][0]["parts"] == [{"text": '[zork] {"a":1}'}]
    assert body["contents"][1]["parts"][0]["functionCall"]["name"] == "f"
    assert body["contents"][2]["parts"][0]["functionResponse"]["response"] == {"output": "1"}
    assert translation({"input": "so"}, history).notes == [
        f"{HISTORY}.type=zork",
        f"{HISTORY}.type=tool_use",
        f"{HISTORY}.type=tool_result",
        HISTORY,
    ]


@pytest.mark.row("G16")
@pytest.mark.parametrize(
    ("part", "place"),
    [
        ({"type": "input_image", "image_url": "data:image/png;base64,@@@@"}, "input[0].content[0]"),
        ({"type": "input_image", "image_url": "nowhere"}, "input[0].content[0]"),
        ({"type": "input_image", "image_url": "data:,x"}, "input[0].content[0]"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,@@@@"}}, "input[0].content[0]"),
        ({"type": "input_image", "image_url": "http://127.0.0.1:9/a.png"}, "input[0].content[0]"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_g16_a_bad_picture_is_told_as_codex_reads_it(
    http: aiohttp.ClientSession, gateway: str, part: dict[str, Any], place: str, stream: bool
) -> None:
    body = {"model": "gemini-2.5-flash", "stream": stream, "input": [{"role": "user", "content": [part]}]}
    async with http.post(gateway + "/v1/responses", json=body) as response:
        error = (await response.json())["error"]

    assert response.status == 400
    assert (error["code"], error["param"]) == ("invalid_value", f"{place}.image_url")


@pytest.mark.row("G16")
def test_g16_another_error_stays_as_it_is() -> None:
    error = BadRequest("no", param="input[0].content[0].file_url", code="invalid_image_url")

    assert of_picture(error) is error
