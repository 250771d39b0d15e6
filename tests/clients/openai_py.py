"""openai (Python): chat completions, responses, embeddings, images, speech, models and files."""

import base64
import json
import tempfile
from pathlib import Path
from typing import Literal

import openai
from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionMessageParam
from openai.types.responses import FunctionToolParam, ResponseFunctionToolCall
from pydantic import BaseModel

from tests.clients import openai_jobs
from tests.clients.common import (
    API_KEY,
    BAD_KEY,
    BASE_URL,
    CHAT_PROMPT,
    EMBED_MODEL,
    IMAGE_PROMPT,
    MODEL,
    PICTURE_MODEL,
    PNG,
    PNG_URI,
    SCHEMA_PROMPT,
    SPEECH_MODEL,
    TOOL_PROMPT,
    TOOL_RESULT,
    TRANSCRIPTION_MODEL,
    WEATHER_PARAMETERS,
    excerpt,
    expect_error,
    is_paris,
    run,
    tool_note,
)

CLIENT = openai.OpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0, timeout=60)
CHAT_TOOL: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather for a city",
        "parameters": WEATHER_PARAMETERS,
        "strict": True,
    },
}
RESPONSES_TOOL: FunctionToolParam = {
    "type": "function",
    "name": "get_weather",
    "description": "Weather for a city",
    "parameters": WEATHER_PARAMETERS,
    "strict": True,
}


class Person(BaseModel):
    """What SCHEMA_PROMPT asks for."""

    name: str
    age: int


def user(text: str) -> list[ChatCompletionMessageParam]:
    """Return a conversation of one user message."""
    return [{"role": "user", "content": text}]


def models() -> str:
    ids = [model.id for model in CLIENT.models.list()]
    assert ids, "no models"
    assert CLIENT.models.retrieve(ids[0]).id == ids[0]
    return f"{len(ids)} models"


def chat() -> str:
    answer = CLIENT.chat.completions.create(
        model=MODEL, messages=user(CHAT_PROMPT), temperature=0, max_completion_tokens=500
    )
    assert answer.choices[0].finish_reason == "stop", answer.choices[0].finish_reason
    usage = answer.usage
    assert usage, "no usage"
    assert usage.prompt_tokens > 0, usage
    assert usage.total_tokens >= usage.prompt_tokens + usage.completion_tokens, usage
    return excerpt(answer.choices[0].message.content)


def stream() -> str:
    text, finish, usage, count = "", None, None, 0
    for chunk in CLIENT.chat.completions.create(
        model=MODEL, messages=user(CHAT_PROMPT), stream=True, stream_options={"include_usage": True}
    ):
        count += 1
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
    assert text, "no text"
    assert finish == "stop", finish
    assert usage, "no usage"
    assert usage.total_tokens, usage
    return f"{count} chunks"


def tools() -> str:
    messages = user(TOOL_PROMPT)
    first = CLIENT.chat.completions.create(
        model=MODEL, messages=messages, tools=[CHAT_TOOL], tool_choice="auto"
    )
    message = first.choices[0].message
    assert message.tool_calls, "no tool call"
    assert first.choices[0].finish_reason == "tool_calls", first.choices[0].finish_reason
    call = message.tool_calls[0]
    assert call.type == "function", call
    assert call.function.name == "get_weather", call
    assert is_paris(json.loads(call.function.arguments)["city"]), call
    messages += [message, {"role": "tool", "tool_call_id": call.id, "content": TOOL_RESULT}]  # type: ignore[list-item]  # the SDK takes its own messages back
    answer = CLIENT.chat.completions.create(model=MODEL, messages=messages, tools=[CHAT_TOOL])
    return tool_note(answer.choices[0].message.content)


def stream_tools() -> str:
    with CLIENT.chat.completions.stream(
        model=MODEL, messages=user(TOOL_PROMPT), tools=[CHAT_TOOL], tool_choice="required"
    ) as events:
        message = events.get_final_completion().choices[0].message
    assert message.tool_calls, "no tool call"
    arguments = message.tool_calls[0].function.arguments
    assert is_paris(json.loads(arguments)["city"]), arguments
    return arguments


def structured() -> str:
    answer = CLIENT.chat.completions.parse(model=MODEL, messages=user(SCHEMA_PROMPT), response_format=Person)
    person = answer.choices[0].message.parsed
    assert isinstance(person, Person), person
    return repr(person)


def image() -> str:
    answer = CLIENT.chat.completions.create(
        model=MODEL,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": IMAGE_PROMPT},
                    {"type": "image_url", "image_url": {"url": PNG_URI, "detail": "low"}},
                ],
            }
        ],
    )
    return excerpt(answer.choices[0].message.content)


def badkey() -> str:
    client = CLIENT.with_options(api_key=BAD_KEY)
    return expect_error(
        lambda: client.chat.completions.create(model=MODEL, messages=user("x")), openai.AuthenticationError
    )


def badmodel() -> str:
    return expect_error(
        lambda: CLIENT.chat.completions.create(model="no-such-model", messages=user("x")),
        openai.NotFoundError,
        status=404,
    )


def embeddings() -> str:
    """Without `encoding_format` the SDK asks for base64 and decodes it itself."""
    vectors = CLIENT.embeddings.create(model=EMBED_MODEL, input=["a", "b"]).data
    assert len(vectors) == 2, len(vectors)
    assert isinstance(vectors[0].embedding[0], float), vectors[0].embedding[0]
    return f"{len(vectors[0].embedding)} dimensions"


def embeddings_dimensions() -> str:
    """Gemini takes 128 to 3072 (https://ai.google.dev/gemini-api/docs/embeddings)."""
    answer = CLIENT.embeddings.create(model=EMBED_MODEL, input="a", encoding_format="float", dimensions=256)
    assert len(answer.data[0].embedding) == 256, len(answer.data[0].embedding)
    return "256 dimensions"


def responses() -> str:
    answer = CLIENT.responses.create(model=MODEL, input=CHAT_PROMPT, instructions="Be terse.")
    assert answer.status == "completed", answer.status
    return excerpt(answer.output_text)


def responses_stream() -> str:
    text, types = "", []
    for event in CLIENT.responses.create(model=MODEL, input=CHAT_PROMPT, stream=True):
        types.append(event.type)
        if event.type == "response.output_text.delta":
            text += event.delta
    assert text, "no text"
    assert (types[0], types[-1]) == ("response.created", "response.completed"), types
    return f"{len(types)} events"


def responses_tools() -> str:
    first = CLIENT.responses.create(model=MODEL, input=TOOL_PROMPT, tools=[RESPONSES_TOOL])
    call = next((item for item in first.output if isinstance(item, ResponseFunctionToolCall)), None)
    assert call, "no function call"
    answer = CLIENT.responses.create(
        model=MODEL,
        previous_response_id=first.id,
        tools=[RESPONSES_TOOL],
        input=[{"type": "function_call_output", "call_id": call.call_id, "output": TOOL_RESULT}],
    )
    return tool_note(answer.output_text)


def responses_structured() -> str:
    person = CLIENT.responses.parse(model=MODEL, input=SCHEMA_PROMPT, text_format=Person).output_parsed
    assert isinstance(person, Person), person
    return repr(person)


def responses_image() -> str:
    answer = CLIENT.responses.create(
        model=MODEL,
        input=[
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": IMAGE_PROMPT},
                    {"type": "input_image", "image_url": PNG_URI, "detail": "auto"},
                ],
            }
        ],
    )
    return excerpt(answer.output_text)


def responses_retrieve() -> str:
    answer = CLIENT.responses.create(model=MODEL, input=CHAT_PROMPT, store=True)
    assert CLIENT.responses.retrieve(answer.id).id == answer.id
    CLIENT.responses.delete(answer.id)
    return answer.id[:12]


def speech() -> str:
    """Each format has its beginning; the emulator speaks 50 ms for each character."""
    beginnings: dict[Literal["mp3", "opus", "aac", "flac", "wav"], bytes] = {
        "mp3": b"ID3",
        "opus": b"OggS",
        "aac": b"\xff\xf1",
        "flac": b"fLaC",
        "wav": b"RIFF",
    }
    for form, beginning in beginnings.items():
        answer = CLIENT.audio.speech.create(
            model=SPEECH_MODEL, voice="coral", input="Dinner is ready.", response_format=form, speed=1.0
        )
        assert answer.content.startswith(beginning), (form, answer.content[:16])
    return ", ".join(beginnings)


def speech_stream() -> str:
    """Streamed into a file as it arrives."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "speech.pcm")
        with CLIENT.audio.speech.with_streaming_response.create(
            model=SPEECH_MODEL, voice="alloy", input="Dinner is ready.", response_format="pcm",
            stream_format="audio",
        ) as response:  # fmt: skip
            assert response.headers["content-type"] == "audio/pcm", response.headers
            response.stream_to_file(path)
        size = path.stat().st_size
    assert size > 10_000, size
    return f"{size} bytes"


def speech_events() -> str:
    """Streamed as events, whose pieces are the sound."""
    with CLIENT.audio.speech.with_streaming_response.create(
        model=SPEECH_MODEL,
        voice="alloy",
        input="Dinner is ready.",
        response_format="pcm",
        stream_format="sse",
    ) as response:
        assert response.headers["content-type"].startswith("text/event-stream"), response.headers
        events = [json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: {")]
    sound = b"".join(
        base64.b64decode(event["audio"]) for event in events if event["type"] == "speech.audio.delta"
    )
    assert events[-1]["type"] == "speech.audio.done", events[-1]
    assert len(sound) > 10_000, len(sound)
    return f"{len(events)} events, {len(sound)} bytes"


def speech_home_assistant() -> str:
    """The call of Home Assistant's openai_conversation: its fields, whose instructions may be the word None."""
    beginnings: dict[Literal["mp3", "opus", "pcm"], bytes] = {"mp3": b"ID3", "opus": b"OggS", "pcm": b""}
    sizes = []
    for form, beginning in beginnings.items():
        with CLIENT.audio.speech.with_streaming_response.create(
            model=SPEECH_MODEL, voice="marin", input="The front door is open.", instructions="None", speed=1.0,
            response_format=form,
        ) as response:  # fmt: skip
            sound = b"".join(response.iter_bytes())
        assert sound.startswith(beginning), (form, sound[:16])
        sizes.append(len(sound))
    assert min(sizes) > 1000, sizes
    return f"{sizes} bytes"


def files() -> str:
    """Upload, list, read back, use in both APIs, delete."""
    text = b"The meeting is on Friday. " * 100_000  # 2.6 MB: the gateway keeps it on disk while it arrives
    file = CLIENT.files.create(
        file=('ü "x".txt', text), purpose="user_data", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert (file.filename, file.bytes, file.status) == ('ü "x".txt', len(text), "processed"), file
    assert file.expires_at == file.created_at + 3600
    assert file.id in [entry.id for entry in CLIENT.files.list(purpose="user_data", limit=1)]
    assert CLIENT.files.retrieve(file.id) == file
    content = CLIENT.files.content(file.id)
    assert content.read() == text
    assert CLIENT.files.wait_for_processing(file.id).id == file.id
    used = CLIENT.chat.completions.create(
        model=MODEL,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": CHAT_PROMPT},
                    {"type": "file", "file": {"file_id": file.id}},
                ],
            }
        ],
    )
    excerpt(used.choices[0].message.content)
    answer = CLIENT.responses.create(
        model=MODEL,
        input=[
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": CHAT_PROMPT},
                    {"type": "input_file", "file_id": file.id},
                ],
            }
        ],
    )
    assert CLIENT.files.delete(file.id).deleted
    expect_error(lambda: CLIENT.files.retrieve(file.id), openai.NotFoundError, status=404)
    return excerpt(answer.output_text)


def picture_of(data: str | None) -> bytes:
    """Return the bytes of a picture, which is a whole PNG, JPEG or WebP."""
    picture = base64.b64decode(data or "")
    assert picture.startswith((b"\x89PNG", b"\xff\xd8\xff", b"RIFF")), picture[:16]
    return picture


def image_generate() -> str:
    """Two pictures, whose size is told; and one in another format."""
    answer = CLIENT.images.generate(model=PICTURE_MODEL, prompt="a blue square", size="1536x1024", n=2)
    assert len([picture_of(image.b64_json) for image in answer.data or ()]) == 2, answer
    assert answer.usage, answer
    assert answer.usage.output_tokens > 0, answer.usage
    other = CLIENT.images.generate(model=PICTURE_MODEL, prompt="a blue square", output_format="webp")
    assert picture_of((other.data or [])[0].b64_json)[8:12] == b"WEBP"
    return f"{answer.size}, {answer.output_format}"


def image_edit() -> str:
    """Two pictures and a mask."""
    files = [("a.png", PNG), ("b.png", PNG)]
    answer = CLIENT.images.edit(model=PICTURE_MODEL, image=files, mask=("m.png", PNG), prompt="make it blue")
    picture_of((answer.data or [])[0].b64_json)
    return f"{answer.size}, {answer.output_format}"


def image_variation() -> str:
    """Two variations of a picture."""
    answer = CLIENT.images.create_variation(
        model=PICTURE_MODEL, image=("a.png", PNG), n=2, response_format="b64_json"
    )
    assert len([picture_of(image.b64_json) for image in answer.data or ()]) == 2, answer
    return "2 pictures"


def image_stream() -> str:
    """The events of a picture, and of an edit."""
    events = list(
        CLIENT.images.generate(model=PICTURE_MODEL, prompt="a red square", stream=True, partial_images=2)
    )
    edits = list(CLIENT.images.edit(model=PICTURE_MODEL, image=("a.png", PNG), prompt="blue", stream=True))
    for last in (events[-1], edits[-1]):
        assert last.type in ("image_generation.completed", "image_edit.completed"), last.type
        picture_of(last.b64_json)
    return f"{len(events)} and {len(edits)} events"


def transcription() -> str:
    """Speech of the emulator's is written down in each format."""
    audio = CLIENT.audio.speech.create(
        model=SPEECH_MODEL, voice="alloy", input="The train to Oslo leaves at noon.", response_format="wav"
    )
    file = ("a.wav", audio.content)
    create = CLIENT.audio.transcriptions.create
    plain = create(model=TRANSCRIPTION_MODEL, file=file, language="en")
    assert plain.text, plain
    text = create(model=TRANSCRIPTION_MODEL, file=file, response_format="text")
    assert text.strip() == plain.text, text
    srt = create(model=TRANSCRIPTION_MODEL, file=file, response_format="srt")
    assert srt.startswith("1\n00:00:0"), srt
    vtt = create(model=TRANSCRIPTION_MODEL, file=file, response_format="vtt")
    assert vtt.startswith("WEBVTT\n\n"), vtt
    verbose = create(
        model=TRANSCRIPTION_MODEL, file=file, response_format="verbose_json", timestamp_granularities=["word"]
    )
    assert verbose.words, verbose
    assert verbose.duration > 1, verbose
    diarized = create(
        model=TRANSCRIPTION_MODEL, file=file, response_format="diarized_json", chunking_strategy="auto"
    )
    assert diarized.segments[0].speaker == "A", diarized
    types = [event.type for event in create(model=TRANSCRIPTION_MODEL, file=file, stream=True)]
    assert types[-1] == "transcript.text.done", types
    by_chat = create(model=MODEL, file=file)
    assert by_chat.text, by_chat
    english = CLIENT.audio.translations.create(model=MODEL, file=file)
    assert english.text, english
    return excerpt(plain.text)


if __name__ == "__main__":
    run(
        "openai-python",
        {
            "models": models,
            "chat": chat,
            "stream": stream,
            "tools": tools,
            "stream_tools": stream_tools,
            "structured": structured,
            "image": image,
            "badkey": badkey,
            "badmodel": badmodel,
            "embeddings": embeddings,
            "embeddings_dimensions": embeddings_dimensions,
            "responses": responses,
            "responses_stream": responses_stream,
            "responses_tools": responses_tools,
            "responses_structured": responses_structured,
            "responses_image": responses_image,
            "responses_retrieve": responses_retrieve,
            "image_generate": image_generate,
            "image_edit": image_edit,
            "image_variation": image_variation,
            "image_stream": image_stream,
            "speech": speech,
            "speech_stream": speech_stream,
            "speech_events": speech_events,
            "speech_home_assistant": speech_home_assistant,
            "files": files,
            "transcription": transcription,
            **openai_jobs.checks(CLIENT),
        },
    )
