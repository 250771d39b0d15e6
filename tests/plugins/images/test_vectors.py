"""Pictures end to end: what a client sends, what Gemini is sent, and what the client gets, numbered IM1 to IM16."""

import asyncio
import base64
import json
from collections.abc import Sequence
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.plugins.images import pillow
from tests.support.pictures import BLUE, JPEG, PNG, Painter, drawn, failed, inline, picture, pixel
from tests.support.servers import Serve
from tests.support.team import Google, Team

M21, LITE, FLASH, PRO, M25 = (
    "gemini-nano-banana-2.1", "gemini-3.1-flash-lite-image", "gemini-3.1-flash-image", "gemini-3-pro-image",
    "gemini-2.5-flash-image",
)  # fmt: skip
GENERATIONS, EDITS = "/v1/images/generations", "/v1/images/edits"
REFUSED = {"candidates": [{"finishReason": "IMAGE_SAFETY", "index": 0, "finishMessage": "Unsafe."}]}


@pytest.fixture
async def painter(aiohttp_server: Any) -> Painter:
    return await Painter().start(aiohttp_server)


@pytest.fixture
async def base(serve: Serve, painter: Painter) -> str:
    return await serve("", painter.url)


Answer = tuple[int, Any, Any]
"""Status, headers and JSON."""


async def ask(http: aiohttp.ClientSession, base: str, path: str = GENERATIONS, **body: Any) -> Answer:
    async with http.post(base + path, json={"prompt": "a cat", **body}) as response:
        return response.status, response.headers, await response.json()


async def send(
    http: aiohttp.ClientSession, base: str, fields: Sequence[tuple[str, Any]], path: str = EDITS
) -> Answer:
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields:
        if isinstance(value, bytes):
            form.add_field(name, value, filename=f"{name}.png", content_type="image/png")
        else:
            form.add_field(name, value)
    async with http.post(base + path, data=form) as response:
        return response.status, response.headers, await response.json()


def notes(headers: Any) -> list[str]:
    return [name for name in headers.get("x-gateway-notes", "").split(",") if name]


async def test_im01_a_name_of_openais_becomes_the_default_model(
    http: aiohttp.ClientSession, base: str, painter: Painter
) -> None:
    status, headers, _ = await ask(http, base, model="dall-e-3")
    [(path, body)] = painter.calls

    assert (status, path) == (200, f"/v1beta/models/{M21}:generateContent")
    assert body["contents"] == [{"role": "user", "parts": [{"text": "a cat"}]}]
    assert body["generationConfig"] == {"responseModalities": ["IMAGE"]}
    assert body.keys() == {"contents", "generationConfig", "safetySettings"}
    assert (notes(headers), headers["x-gateway-model"]) == (["model"], M21)


@pytest.mark.parametrize(
    ("model", "fields", "config", "noted"),
    [
        pytest.param(M21, {"size": "1792x1024"}, {"aspectRatio": "16:9", "imageSize": "1K"}, [], id="IM2"),
        pytest.param(M25, {"size": "1792x1024"}, {"aspectRatio": "16:9"}, [], id="IM2-one-size"),
        pytest.param(FLASH, {"size": "512x512"}, {"aspectRatio": "1:1", "imageSize": "512"}, [], id="IM3"),
        pytest.param(M21, {"size": "512x512"}, {"aspectRatio": "1:1", "imageSize": "1K"}, [], id="IM3-no-512"),
        pytest.param(M21, {"size": "512x2048"}, {"aspectRatio": "1:4", "imageSize": "1K"}, [], id="IM3-wide"),
        pytest.param(PRO, {"size": "512x2048"}, {"aspectRatio": "9:16", "imageSize": "1K"}, ["size"], id="IM3-note"),
        pytest.param(M21, {"size": "auto", "quality": "hd"}, {"imageSize": "2K"}, [], id="IM4"),
        pytest.param(LITE, {"size": "auto", "quality": "hd"}, None, [], id="IM4-lite"),
        pytest.param(M21, {"size": "1536x1024", "quality": "high", "n": 1},
                     {"aspectRatio": "3:2", "imageSize": "1K"}, ["quality"], id="W1"),
    ],
)  # fmt: skip
async def test_size_and_quality(
    http: aiohttp.ClientSession,
    base: str,
    painter: Painter,
    model: str,
    fields: Any,
    config: Any,
    noted: list[str],
) -> None:
    status, headers, _ = await ask(http, base, model=model, **fields)

    assert (status, painter.models, notes(headers)) == (200, [model], noted)
    assert painter.config == {"responseModalities": ["IMAGE"], **({"imageConfig": config} if config else {})}


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        pytest.param({"size": "big"}, "size", "invalid_value", id="IM4-big"),
        pytest.param({"size": "0x0"}, "size", "invalid_value", id="IM4-0x0"),
        pytest.param({"size": "1024x"}, "size", "invalid_value", id="IM4-1024x"),
        pytest.param({"size": "16385x1"}, "size", "invalid_value", id="IM4-too-large"),
        pytest.param({"output_format": "svg"}, "output_format", "unsupported_value", id="IM10-svg"),
        pytest.param({"output_format": "gif"}, "output_format", "unsupported_value", id="IM10-gif"),
        pytest.param({"model": "gemini-3.8-flash"}, "model", "model_not_supported", id="IM15"),
        pytest.param({"n": 0}, "n", "integer_below_min_value", id="IM16-n-0"),
        pytest.param({"n": 11}, "n", "integer_above_max_value", id="IM16-n-11"),
        pytest.param({"prompt": ""}, "prompt", "missing_required_parameter", id="no-prompt"),
        pytest.param({"frame_count": 3}, "frame_count", "unsupported_value", id="frames"),
        pytest.param({"svg": {"model": "x"}}, "svg", "unsupported_value", id="svg"),
        pytest.param({"response_format": "hex"}, "response_format", "unsupported_value", id="response-format"),
        pytest.param({"quality": "best"}, "quality", "unsupported_value", id="quality"),
        pytest.param({"partial_images": 4}, "partial_images", "integer_above_max_value", id="partial-images"),
        pytest.param({"output_compression": 101}, "output_compression", "integer_above_max_value", id="compression"),
    ],
)  # fmt: skip
async def test_what_is_refused_costs_no_call(
    http: aiohttp.ClientSession, base: str, painter: Painter, fields: Any, param: str, code: str
) -> None:
    status, headers, body = await ask(http, base, **fields)

    assert (status, body["error"]["param"], body["error"]["code"]) == (400, param, code)
    assert (headers["x-should-retry"], painter.calls) == ("false", [])


async def test_im05_counts_and_money_without_the_signature(
    team: Team, google: Google, http: aiohttp.ClientSession
) -> None:
    counts = {
        "promptTokenCount": 5, "candidatesTokenCount": 1518, "totalTokenCount": 1523,
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1120}],
    }  # fmt: skip
    answer = drawn(inline(JPEG, "image/jpeg", thoughtSignature="c2ln" * 350_000), usage=counts)
    google.answers["AIza-a"] = lambda: web.json_response(answer)
    key = team.issue(dollars={"day": 0.05})
    await team.start("a", "plugins: {images: {}}")
    body = {"prompt": "a cat", "model": LITE}
    headers = {"Authorization": f"Bearer {key}"}
    async with http.post(team.base + GENERATIONS, json=body, headers=headers) as response:
        text = await response.text()
    picture = json.loads(text)

    assert response.status == 200, text
    assert "c2lnc2ln" not in text
    assert (picture["output_format"], picture["size"], picture["quality"]) == ("jpeg", "8x6", "low")
    assert picture["usage"] == {
        "input_tokens": 5, "input_tokens_details": {"text_tokens": 5, "image_tokens": 0},
        "output_tokens": 1518, "output_tokens_details": {"image_tokens": 1120, "text_tokens": 398},
        "total_tokens": 1523,
    }  # fmt: skip
    [row] = await team.settled()
    assert (row.micros, row.surface) == (34_199, "images")


async def test_im06_of_several_pictures_the_last_that_is_no_thought_counts(
    http: aiohttp.ClientSession, base: str, painter: Painter
) -> None:
    painter.answers = [drawn(inline(PNG, thought=True), inline(PNG), inline(picture(colour=BLUE)))]
    _, headers, body = await ask(http, base)

    [image] = body["data"]
    assert pixel(base64.b64decode(image["b64_json"])) == BLUE
    assert notes(headers) == ["n"]


async def test_im07_some_pictures_of_several(
    http: aiohttp.ClientSession, base: str, painter: Painter
) -> None:
    painter.answers = [drawn(), REFUSED, drawn()]
    status, headers, body = await ask(http, base, n=3)
    assert (status, len(body["data"]), notes(headers), len(painter.calls)) == (200, 2, ["n"], 3)

    painter.answers = [REFUSED]
    status, headers, body = await ask(http, base, n=3)
    error = body["error"]
    assert (status, error["type"], error["code"]) == (
        400,
        "image_generation_user_error",
        "moderation_blocked",
    )
    assert ("Unsafe." in error["message"], headers["x-should-retry"]) == (True, "false")


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        pytest.param(drawn({"text": "I can't draw that"}), "no_image", "I can't draw that", id="IM8"),
        pytest.param({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}, "moderation_blocked",
                     "PROHIBITED_CONTENT", id="IM8-blocked"),
        pytest.param(drawn({"text": "A"}, finish="RECITATION"), "moderation_blocked", "RECITATION", id="IM8-recitation"),
        pytest.param({"candidates": [{"finishReason": "NO_IMAGE"}]}, "no_image", "NO_IMAGE", id="IM8-no-image"),
        pytest.param({"candidates": [{"finishReason": "OTHER"}]}, "no_image", "OTHER", id="IM8-other"),
        pytest.param({"candidates": [{"finishReason": "MAX_TOKENS"}]}, "no_image", "token limit", id="IM8-length"),
        pytest.param({"candidates": [{"finishReason": "STOP"}]}, "no_image", "no reason", id="IM8-empty"),
    ],
)  # fmt: skip
async def test_an_answer_without_a_picture_is_a_400_and_is_not_repeated(
    http: aiohttp.ClientSession, base: str, painter: Painter, answer: Any, code: str, words: str
) -> None:
    painter.answers = [answer]
    status, headers, body = await ask(http, base)

    assert (status, body["error"]["type"], body["error"]["code"]) == (
        400,
        "image_generation_user_error",
        code,
    )
    assert words in body["error"]["message"]
    assert (headers["x-should-retry"], len(painter.calls)) == ("false", 1)


async def test_im09_a_url_is_a_data_url(http: aiohttp.ClientSession, base: str, painter: Painter) -> None:
    painter.answers = [drawn(inline(JPEG, "image/jpeg"))]
    _, _, body = await ask(http, base, response_format="url")

    assert body["data"] == [{"url": f"data:image/jpeg;base64,{base64.b64encode(JPEG).decode()}"}]


async def test_im10_another_format_is_made_by_pillow(
    http: aiohttp.ClientSession, base: str, painter: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    painter.answers = [drawn(inline(JPEG, "image/jpeg"))]
    _, headers, body = await ask(http, base, output_format="webp")
    made = base64.b64decode(body["data"][0]["b64_json"])
    assert (made[:4], made[8:12], body["output_format"], notes(headers)) == (b"RIFF", b"WEBP", "webp", [])
    assert all(abs(a - b) < 4 for a, b in zip(pixel(made), (254, 0, 0), strict=True))

    monkeypatch.setattr(pillow, "is_installed", lambda: False)
    status, headers, body = await ask(http, base, output_format="webp")
    assert (status, body["output_format"], notes(headers)) == (200, "jpeg", ["output_format"])
    assert base64.b64decode(body["data"][0]["b64_json"]) == JPEG


async def test_im11_pictures_to_edit_come_in_their_order_before_the_prompt(
    http: aiohttp.ClientSession, base: str, painter: Painter
) -> None:
    status, _, body = await send(http, base, [("image[]", PNG), ("image[]", JPEG), ("prompt", "join")])
    assert (status, "data" in body) == (200, True)
    assert painter.parts == [inline(PNG), inline(JPEG, "image/jpeg"), {"text": "join"}]

    for count in (0, 17):
        status, _, body = await send(http, base, [*[("image[]", PNG)] * count, ("prompt", "join")])
        assert (status, body["error"]["param"]) == (400, "image")
    assert len(painter.calls) == 1


async def test_im12_a_mask_is_a_picture_and_a_sentence(
    http: aiohttp.ClientSession, base: str, painter: Painter
) -> None:
    mask = picture(colour=(0, 0, 0, 0))
    _, headers, _ = await send(http, base, [("image", PNG), ("mask", mask), ("prompt", "a hat")])
    first, second, text = painter.parts

    assert first == inline(PNG)
    assert pixel(base64.b64decode(second["inlineData"]["data"])) == (255, 255, 255)
    assert text["text"].startswith("a hat")
    assert text["text"].endswith("The last image is a mask: change only what is white.")
    assert notes(headers) == ["mask"]


async def test_im13_an_address_inside_the_network_is_not_fetched(
    http: aiohttp.ClientSession, base: str, painter: Painter
) -> None:
    connections: list[str] = []
    inside = await asyncio.start_server(lambda *_: connections.append("one"), "127.0.0.1", 0)
    port = inside.sockets[0].getsockname()[1]
    for url in ("http://169.254.169.254/x", f"http://127.0.0.1:{port}/x", f"http://localhost:{port}/x"):
        status, _, body = await ask(http, base, EDITS, images=[{"image_url": url}])

        assert (status, body["error"]["param"], painter.calls) == (400, "images[0].image_url", [])
    inside.close()
    assert connections == []


@pytest.mark.parametrize("path", [GENERATIONS, EDITS])
async def test_im14_a_stream_is_one_event_for_each_picture(
    http: aiohttp.ClientSession, base: str, painter: Painter, path: str
) -> None:
    images = {"images": [{"image_url": f"data:image/png;base64,{base64.b64encode(PNG).decode()}"}]}
    body = {"prompt": "a cat", "stream": True, "partial_images": 2, **(images if path == EDITS else {})}
    async with http.post(base + path, json=body) as response:
        text = await response.text()
    [frame] = text.strip().split("\n\n")
    name, data = frame.split("\n")
    event = json.loads(data.removeprefix("data: "))

    kind = "image_edit.completed" if path == EDITS else "image_generation.completed"
    assert (response.content_type, name, event["type"]) == ("text/event-stream", f"event: {kind}", kind)
    assert event.keys() == {
        "type", "b64_json", "background", "created_at", "output_format", "quality", "size", "usage",
    }  # fmt: skip
    assert base64.b64decode(event["b64_json"]) == PNG


async def test_go3_pictures_at_googles_base_url_have_counts(
    http: aiohttp.ClientSession, base: str, painter: Painter
) -> None:
    status, _, body = await ask(http, base, "/v1beta/openai/images/generations", model="models/" + M21)

    assert (status, painter.models, body["usage"]["total_tokens"]) == (200, [M21], 1334)
    assert base64.b64decode(body["data"][0]["b64_json"]) == PNG


@pytest.mark.parametrize(("n", "calls"), [("2", 2), ("0", 0), ("11", 0)])
async def test_im16_numbers_of_a_form(
    http: aiohttp.ClientSession, base: str, painter: Painter, n: str, calls: int
) -> None:
    status, _, body = await send(http, base, [("image", PNG), ("prompt", "x"), ("n", n)])

    assert len(painter.calls) == calls
    if calls:
        assert (status, len(body["data"])) == (200, 2)
    else:
        assert (status, body["error"]["param"]) == (400, "n")


async def test_w1_the_worked_example(http: aiohttp.ClientSession, base: str, painter: Painter) -> None:
    large = picture("jpeg", (1264, 848))
    painter.answers = [drawn(inline(large, "image/jpeg", thoughtSignature="EpwB"), modelVersion=M21)]
    _, headers, body = await ask(
        http, base, model="gpt-image-2.5-sunburst", prompt="a red fox", size="1536x1024", quality="high", n=1
    )

    assert isinstance(body.pop("created"), int)
    assert notes(headers) == ["quality", "model"]
    assert body == {
        "data": [{"b64_json": base64.b64encode(large).decode()}],
        "background": "opaque", "output_format": "jpeg", "size": "1264x848", "quality": "low",
        "usage": {
            "input_tokens": 4, "input_tokens_details": {"text_tokens": 4, "image_tokens": 0},
            "output_tokens": 1330, "output_tokens_details": {"image_tokens": 1120, "text_tokens": 210},
            "total_tokens": 1334,
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "status", "calls"),
    [
        ([failed(503), drawn()], 200, 2),
        ([failed(503), failed(503), drawn()], 503, 2),
        ([failed(500), drawn()], 500, 1),
        ([failed(400, "Aspect ratio is not enabled for this model"), drawn()], 200, 2),
        ([drawn(inline(b""))], 502, 1),
        ([drawn({"inlineData": {"mimeType": "image/png", "data": "%%%"}})], 502, 1),
    ],
)
async def test_a_failed_call_is_repeated_once_where_it_was_not_billed(
    http: aiohttp.ClientSession, base: str, painter: Painter, answers: list[Any], status: int, calls: int
) -> None:
    painter.answers = list(answers)
    result, headers, body = await ask(http, base, size="1024x1024")

    assert (result, len(painter.calls)) == (status, calls), body
    if isinstance(answers[0], tuple) and answers[0][0] == 400:
        assert (notes(headers), painter.config["imageConfig"]) == (["size"], {"aspectRatio": "1:1"})
