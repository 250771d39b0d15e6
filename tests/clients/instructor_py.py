"""instructor: structured output by tools, by JSON schema and by JSON mode; partial objects and lists."""

import instructor
import openai
from instructor import Mode
from instructor.core import InstructorRetryException
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel

from tests.clients.common import (
    API_KEY,
    BAD_KEY,
    BASE_URL,
    MODEL,
    PNG_B64,
    SCHEMA_PROMPT,
    Check,
    expect_error,
    run,
)

MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": SCHEMA_PROMPT}]


class Person(BaseModel):
    """What SCHEMA_PROMPT asks for."""

    name: str
    age: int


def connect(mode: Mode, key: str = API_KEY) -> instructor.Instructor:
    """Return a client of the gateway that asks for objects in one of instructor's ways."""
    return instructor.from_openai(openai.OpenAI(base_url=BASE_URL, api_key=key, max_retries=0), mode=mode)


def structured(mode: Mode) -> Check:
    """Return the check of one of instructor's ways."""

    def check() -> str:
        person = connect(mode).chat.completions.create(
            model=MODEL, response_model=Person, messages=MESSAGES, max_retries=0
        )
        assert isinstance(person, Person), person
        return repr(person)

    return check


def partial() -> str:
    persons = list(
        connect(Mode.TOOLS).chat.completions.create_partial(
            model=MODEL, response_model=Person, messages=MESSAGES
        )
    )
    assert persons, "no objects"
    assert persons[-1].age is not None, persons[-1]
    return f"{len(persons)} partial objects"


def iterable() -> str:
    persons = list(
        connect(Mode.TOOLS).chat.completions.create_iterable(
            model=MODEL, response_model=Person, messages=MESSAGES
        )
    )
    assert persons, "no objects"
    return f"{len(persons)} objects"


def image() -> str:
    question = "Who is this? Invent a name and an age."
    picture = instructor.Image.from_raw_base64(PNG_B64)
    person = connect(Mode.TOOLS).chat.completions.create(
        model=MODEL,
        response_model=Person,
        messages=[{"role": "user", "content": [question, picture]}],  # type: ignore[list-item,unused-ignore]  # instructor turns it into a part
    )
    assert isinstance(person, Person), person
    return repr(person)


def badkey() -> str:
    client = connect(Mode.TOOLS, BAD_KEY)
    return expect_error(
        lambda: client.chat.completions.create(
            model=MODEL, response_model=Person, messages=MESSAGES, max_retries=0
        ),
        openai.AuthenticationError,
        InstructorRetryException,
    )


if __name__ == "__main__":
    run(
        "instructor",
        {
            "chat": None,
            "stream": partial,
            "tools": structured(Mode.TOOLS),
            "structured": structured(Mode.JSON_SCHEMA),
            "structured_json": structured(Mode.JSON),
            "structured_md": structured(Mode.MD_JSON),
            "responses_tools": structured(Mode.RESPONSES_TOOLS),
            "iterable": iterable,
            "image": image,
            "badkey": badkey,
        },
    )
