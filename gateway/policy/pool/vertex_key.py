"""Keys of the pool's projects on Vertex AI."""

from typing import Self


class VertexKey(str):
    """The key of a project on Vertex AI: an express key, or a name in place of access tokens, which change.

    The type is what sends a call to Vertex AI. A client's own key is plain text, whatever it spells, so that no client
    reaches a project of the pool by naming it.
    """

    project: str
    """Name of the project in the pool."""

    def __new__(cls, text: str, project: str) -> Self:
        key = super().__new__(cls, text)
        key.project = project
        return key
