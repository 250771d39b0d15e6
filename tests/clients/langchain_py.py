"""langchain-openai: ChatOpenAI over chat completions and over the Responses API; embeddings."""

import base64
from typing import Any

import openai
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, SecretStr

from tests.clients.common import (
    API_KEY,
    BAD_KEY,
    BASE_URL,
    CHAT_PROMPT,
    EMBED_MODEL,
    IMAGE_PROMPT,
    MODEL,
    PNG_B64,
    SCHEMA_PROMPT,
    SPEECH_MODEL,
    TOOL_PROMPT,
    TOOL_RESULT,
    Checks,
    excerpt,
    expect_error,
    is_paris,
    prefixed,
    run,
    tool_note,
)


class Person(BaseModel):
    """A person."""

    name: str
    age: int


@tool
def get_weather(city: str) -> str:
    """Weather for a city."""
    return TOOL_RESULT


class Suite:
    """The checks of one of ChatOpenAI's two APIs."""

    def __init__(self, *, use_responses_api: bool) -> None:
        self._use_responses_api = use_responses_api
        self._model = self._connect(API_KEY)

    def checks(self) -> Checks:
        """Return the checks by name."""
        return {
            "chat": self._chat,
            "stream": self._stream,
            "tools": self._tools,
            "structured": self._structured,
            "structured_tools": self._structured_tools,
            "json_mode": self._json_mode,
            "image": self._image,
            "file": self._file,
            "audio": None if self._use_responses_api else self._audio,
            "badkey": self._badkey,
        }

    def _connect(self, key: str) -> ChatOpenAI:
        return ChatOpenAI(
            base_url=BASE_URL,
            api_key=SecretStr(key),
            model=MODEL,
            max_retries=0,
            timeout=60,
            stream_usage=True,
            use_responses_api=self._use_responses_api,
        )

    def _chat(self) -> str:
        message = self._model.invoke(CHAT_PROMPT)
        assert message.usage_metadata, "no usage"
        assert message.usage_metadata["total_tokens"], message.usage_metadata
        return excerpt(message.text)

    def _stream(self) -> str:
        chunks = list(self._model.stream(CHAT_PROMPT))
        message = chunks[0]
        for chunk in chunks[1:]:
            message += chunk
        assert isinstance(message, AIMessageChunk), message
        assert message.text, "no text"
        assert message.usage_metadata, "no usage"
        return f"{len(chunks)} chunks"

    def _tools(self) -> str:
        model = self._model.bind_tools([get_weather])
        question = HumanMessage(TOOL_PROMPT)
        message = model.invoke([question])
        assert message.tool_calls, "no tool call"
        call = message.tool_calls[0]
        assert is_paris(call["args"]["city"]), call
        result = ToolMessage(content=get_weather.invoke(call["args"]), tool_call_id=call["id"])
        return tool_note(model.invoke([question, message, result]).text)

    def _structured(self) -> str:
        person = self._model.with_structured_output(Person).invoke(SCHEMA_PROMPT)
        assert isinstance(person, Person), person
        return repr(person)

    def _structured_tools(self) -> str:
        model = self._model.with_structured_output(Person, method="function_calling")
        person = model.invoke(SCHEMA_PROMPT)
        assert isinstance(person, Person), person
        return repr(person)

    def _json_mode(self) -> str:
        model = self._model.with_structured_output(None, method="json_mode")
        value: Any = model.invoke("Reply with a JSON object with one key 'answer'.")
        assert isinstance(value, dict), value
        return repr(value)[:60]

    def _image(self) -> str:
        content: list[str | dict[str, Any]] = [
            {"type": "text", "text": IMAGE_PROMPT},
            {"type": "image", "base64": PNG_B64, "mime_type": "image/png"},
        ]
        return excerpt(self._model.invoke([HumanMessage(content)]).text)

    def _file(self) -> str:
        """LangChain's block of a file that was uploaded before, by its id."""
        files = self._model.root_client.files
        file = files.create(file=("notes.txt", b"The meeting is on Friday."), purpose="user_data")
        content: list[str | dict[str, Any]] = [
            {"type": "text", "text": CHAT_PROMPT},
            {"type": "file", "file_id": file.id},
        ]
        text = self._model.invoke([HumanMessage(content)]).text
        files.delete(file.id)
        return excerpt(text)

    def _audio(self) -> str:
        """LangChain's block of a sound, which chat completions take."""
        sound = self._model.root_client.audio.speech.create(
            model=SPEECH_MODEL, voice="alloy", input="Good morning.", response_format="wav"
        )
        data = base64.b64encode(sound.content).decode()
        content: list[str | dict[str, Any]] = [
            {"type": "text", "text": CHAT_PROMPT},
            {"type": "audio", "base64": data, "mime_type": "audio/wav"},
        ]
        return excerpt(self._model.invoke([HumanMessage(content)]).text)

    def _badkey(self) -> str:
        model = self._connect(BAD_KEY)
        return expect_error(lambda: model.invoke("x"), openai.AuthenticationError)


def embeddings() -> str:
    """Without `check_embedding_ctx_length` texts are sent as they are, not as tiktoken's tokens."""
    model = OpenAIEmbeddings(
        base_url=BASE_URL, api_key=SecretStr(API_KEY), model=EMBED_MODEL, check_embedding_ctx_length=False
    )
    vectors = model.embed_documents(["a", "b"])
    assert len(vectors) == 2, len(vectors)
    return f"{len(vectors[0])} dimensions"


if __name__ == "__main__":
    run(
        "langchain-openai",
        {
            **Suite(use_responses_api=False).checks(),
            "embeddings": embeddings,
            **prefixed("responses", Suite(use_responses_api=True).checks()),
        },
    )
