"""Declarations that are known are neither read nor translated again, and are bounded."""

import pytest
from msgspec import structs

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.declarations import KnownDeclarations
from gateway.conversation.plain import NO_DECLARATIONS, Declarations, Declared, PlainConversation
from gateway.errors import BadRequest
from gateway.gemini.call_names import NO_CALLS
from gateway.gemini.wire import Content, FunctionDeclaration, GenerateContentRequest, Part, Tool
from tests.support.models import TABLE

FLASH, OTHER = TABLE.of("gemini-2.5-flash"), TABLE.of("gemini-3.5-flash")
TOOLS: Declarations = (b"chat", b'[{"type":"function"}]')
CONTENTS = [Content([Part("hi")], "user")]
REQUEST = GenerateContentRequest(CONTENTS, tools=[Tool([FunctionDeclaration("f")])])


class Reader:
    """Reads a request by the long way, and counts how often."""

    def __init__(self) -> None:
        self.reads = 0

    def __call__(self) -> ConversationBuilder:
        self.reads += 1
        builder = ConversationBuilder("messages")
        builder.tools.function("f", None, None, "tools[0]", "tools[0].parameters")
        self.change(builder)
        return builder

    def change(self, builder: ConversationBuilder) -> None:
        """Say more."""


def plain(declarations: Declarations = TOOLS) -> PlainConversation:
    return PlainConversation(CONTENTS, None, Reader(), declarations=declarations)


def test_a_request_without_any_is_not_looked_up() -> None:
    known, read = KnownDeclarations(), Reader()

    assert known.are_plain((), read)
    assert known.of((), FLASH) is NO_DECLARATIONS
    assert read.reads == 0


def test_they_are_read_once_and_translated_once_for_each_model() -> None:
    known, read = KnownDeclarations(), Reader()
    assert known.of(TOOLS, FLASH) is None
    assert known.are_plain(TOOLS, read)

    known.learn(plain(), FLASH, (), REQUEST, NO_CALLS)

    assert known.are_plain(TOOLS, read)
    assert read.reads == 1
    assert known.of(TOOLS, FLASH) == Declared(REQUEST.tools)
    assert known.of(TOOLS, structs.replace(FLASH)) is None
    assert known.of(TOOLS, OTHER) is None


class Noted(Reader):
    def change(self, builder: ConversationBuilder) -> None:
        builder.notes.add("tools[0]")


class Searching(Reader):
    def change(self, builder: ConversationBuilder) -> None:
        builder.tools.built_in("google_search", {}, "tools[1]")


@pytest.mark.parametrize("read", [Noted(), Searching()], ids=["note", "search"])
def test_those_that_say_more_are_not_plain_and_not_read_again(read: Reader) -> None:
    known = KnownDeclarations()

    assert [known.are_plain(TOOLS, read) for _ in range(2)] == [False, False]
    assert read.reads == 1


def test_those_that_cannot_be_read_are_not_kept() -> None:
    known = KnownDeclarations()

    class Broken(Reader):
        def change(self, builder: ConversationBuilder) -> None:
            raise BadRequest("no")

    for _ in range(2):
        with pytest.raises(BadRequest):
            known.are_plain(TOOLS, Broken())
    assert known.size == 0


def test_a_translation_that_depends_on_more_is_never_used() -> None:
    known = KnownDeclarations()
    known.are_plain(TOOLS, Reader())

    known.learn(plain(), FLASH, (), structs.replace(REQUEST, labels={"a": "b"}), NO_CALLS)
    known.learn(plain(), FLASH, (), REQUEST, NO_CALLS)

    assert known.of(TOOLS, FLASH) is None


def test_the_oldest_are_forgotten_and_the_largest_are_not_kept() -> None:
    known, read = KnownDeclarations(100), Reader()
    names: list[Declarations] = [(b"chat", b"%030d" % i) for i in range(5)]

    assert all(known.are_plain(name, read) for name in names)

    assert known.size <= 100
    known.are_plain(names[-1], read)
    assert read.reads == 5
    known.are_plain(names[0], read)
    assert read.reads == 6
    assert not KnownDeclarations().are_plain((b"chat", b"x" * 65_536), read)
    assert read.reads == 6
    known.clear()
    assert known.size == 0


def test_the_first_of_many_models_is_forgotten_first() -> None:
    known = KnownDeclarations()
    known.are_plain(TOOLS, Reader())
    models = [structs.replace(FLASH) for _ in range(12)]

    for model in models:
        known.learn(plain(), model, (), REQUEST, NO_CALLS)

    assert known.of(TOOLS, models[0]) is None
    assert known.of(TOOLS, models[-1]) is not None
