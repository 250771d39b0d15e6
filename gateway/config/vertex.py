"""Projects of the pool that are on Vertex AI, as the configuration names them."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.config.secret import Secret

MULTI_REGIONS = ("us", "eu")
"""Locations of several regions, whose hosts are named differently (google-genai, `_MULTI_REGIONAL_LOCATIONS`)."""


class VertexConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A project on Vertex AI: with an express key among `keys`, or with access tokens of a Google Cloud project."""

    project: Annotated[
        Annotated[str, Meta(pattern="^[a-z][a-z0-9:.-]{3,60}[a-z0-9]$")] | None,
        Meta(
            description="Id of the Google Cloud project, which is called with access tokens. Without it, `keys` are "
            "express keys."
        ),
    ] = None
    location: Annotated[
        str,
        Meta(
            pattern="^[a-z]+(-[a-z]+[0-9]+)?$",
            description="Region that answers, such as europe-west4; `global` for any. Express keys have no region.",
        ),
    ] = "global"
    credentials: Annotated[
        Secret | None,
        Meta(
            description="JSON key of a service account, as {env: NAME} or {credential: NAME}. Without it, Application "
            "Default Credentials are used: GOOGLE_APPLICATION_CREDENTIALS, gcloud's, or the machine's service account."
        ),
    ] = None
    api_version: Annotated[Literal["v1", "v1beta1"], Meta(description="API version of Vertex AI.")] = "v1"
    base_url: Annotated[
        Annotated[str, Meta(pattern="^https?://[^/?#@]+$")] | None,
        Meta(description="Scheme and host, in place of Google's for the location: a relay, or the emulator."),
    ] = None

    @property
    def origin(self) -> str:
        """Scheme and host of the API."""
        if self.base_url is not None:
            return self.base_url
        if self.project is None or self.location == "global":
            return "https://aiplatform.googleapis.com"
        if self.location in MULTI_REGIONS:
            return f"https://aiplatform.{self.location}.rep.googleapis.com"
        return f"https://{self.location}-aiplatform.googleapis.com"

    @property
    def root(self) -> str:
        """Path above `publishers/google/models`, with a slash at its end."""
        place = f"projects/{self.project}/locations/{self.location}/" if self.project is not None else ""
        return f"/{self.api_version}/{place}"

    @property
    def name(self) -> str:
        """The text in place of a key, from which the id of the key in logs is made."""
        return f"vertex:{self.project}/{self.location}"


class _ServiceAccount(Struct):
    """The fields of a service account's key that must be there."""

    type: Literal["service_account"]
    client_email: str
    private_key: str
    token_uri: str


def vertex_faults(config: VertexConfig, *, keys: int) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the place below the project and the text of each contradiction. `keys` is the number of its keys."""
    if config.project is None:
        if not keys:
            yield ("vertex",), "expected express keys in `keys`, or `vertex.project`"
        if config.location != "global":
            yield (
                ("vertex", "location"),
                "express keys have no location: name `vertex.project`, or leave it out",
            )
        if config.credentials is not None:
            yield (
                ("vertex", "credentials"),
                "credentials are for a Google Cloud project: name `vertex.project`",
            )
        return
    if keys:
        yield ("keys",), "a project with `vertex.project` is called with access tokens: leave `keys` out"
    if not _has_google_auth():
        message = (
            "access tokens need the package google-auth: on a server, `gateway plugin install --extra vertex`, then "
            "`gateway roll`; in a checkout, pip install '.[vertex]'"
        )
        yield ("vertex", "project"), message
    if config.credentials is not None and (fault := _key_fault(config.credentials.reveal())) is not None:
        yield ("vertex", "credentials"), fault


def _has_google_auth() -> bool:
    try:
        return find_spec("google.auth") is not None
    except ModuleNotFoundError:
        return False


def _key_fault(text: str) -> str | None:
    """Return the fault of a service account's key, without its content."""
    try:
        msgspec.json.decode(text, type=_ServiceAccount)
    except (msgspec.DecodeError, UnicodeError) as error:
        why = str(error).partition(" - at ")[0] if isinstance(error, msgspec.ValidationError) else "no JSON"
        return f"expected the JSON key of a service account: {why}"
    return None
