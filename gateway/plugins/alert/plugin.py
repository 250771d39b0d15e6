"""The plugin `alert`."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from time import time
from typing import Annotated, Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from gateway.config.model_table import OLD_DAYS, age
from gateway.config.secret import Secret
from gateway.plugin import Plugin, Services
from gateway.plugins.alert import conditions
from gateway.plugins.alert.outbox import Alert, Message, Outbox
from gateway.upstream.certificate import OLD_DAYS as OLD_CERTIFICATE
from gateway.upstream.certificate import days_left

_TIMEOUT = aiohttp.ClientTimeout(total=10)
_HANDSHAKE = 10.0
"""Seconds."""


class ErrorOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """Options of `plugins.alert.errors`."""

    share: Annotated[
        float,
        Meta(gt=0, lt=1, description="Share of requests answered 500 or more above which an alert is sent."),
    ] = 0.1
    requests: Annotated[
        int, Meta(ge=1, description="Requests within `minutes` below which none is sent.")
    ] = 20
    minutes: Annotated[float, Meta(gt=0, le=1440, description="Length of the time that is looked at.")] = 5.0


class CertificateOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """Options of `plugins.alert.certificate`."""

    host: Annotated[str, Meta(min_length=1, description="Name of the server that clients use.")]
    port: Annotated[int, Meta(ge=1, le=65535, description="Its port.")] = 443
    days: Annotated[int, Meta(ge=1, le=365, description="Days of validity below which an alert is sent.")] = (
        OLD_CERTIFICATE
    )


class AlertPlugin(Plugin):
    """Sends alerts to one webhook."""

    class Config(Struct, frozen=True, forbid_unknown_fields=True):
        """Options of `plugins.alert`."""

        url: Annotated[
            Secret, Meta(description="URL of the webhook: a POST with JSON, as Slack and Mattermost take it.")
        ]
        text_field: Annotated[
            str, Meta(min_length=1, description="Name of the text in the JSON: `content` for Discord.")
        ] = "text"
        every: Annotated[float, Meta(ge=1, le=3600, description="Seconds between two looks.")] = 60.0
        repeat: Annotated[
            float, Meta(ge=60, description="Seconds after which an alert that lasts is sent again.")
        ] = 86400.0
        most_per_hour: Annotated[
            int, Meta(ge=1, le=1000, description="Messages per hour. The next message counts those left out.")
        ] = 20
        budgets: Annotated[
            tuple[Annotated[int, Meta(ge=1, le=100)], ...],
            Meta(description="Percentages of an issued key's budget that are told; none for no alerts."),
        ] = (80, 100)
        projects: Annotated[
            bool, Meta(description="Tell of keys and projects of the pool that Google refuses.")
        ] = True
        prices: Annotated[
            int,
            Meta(
                ge=0,
                description="Age in days of the table of models and prices that is told; 0 for no alerts.",
            ),
        ] = OLD_DAYS
        errors: Annotated[
            ErrorOptions | None, Meta(description="Tell of failed requests; null for no alerts.")
        ] = ErrorOptions()
        certificate: Annotated[
            CertificateOptions | None, Meta(description="A certificate whose end is told.")
        ] = None

    def __init__(self, config: "AlertPlugin.Config", services: Services) -> None:
        super().__init__(config, services)
        self._outbox = Outbox()
        errors = config.errors
        self._errors = (
            conditions.ErrorRate(errors.minutes * 60, errors.share, errors.requests)
            if errors is not None
            else None
        )

    def check(self) -> None:
        parts = urlsplit(self.config.url.reveal())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("`url` must refer to an http(s) URL")

    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:
        self._file = self.services.folder(self.name) / "state.json"
        await asyncio.to_thread(self._load)
        if self._errors is not None:  # what a reload finds is no news
            self._errors.begin(self.services.metrics.statistics.exchanges, time())
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            self._session = session
            self.services.background(f"{self.name} watch", self._watch)
            yield
        self.services.metrics.statistics.certificates.clear()  # after a reload, the next look finds it again

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.config.every)
            await self.look()

    async def look(self) -> None:
        """Look at everything once, and send what is due."""
        alerts = [*self._known(), *await self._budgets(), *await self._certificate()]
        now = time()
        for message in self._outbox.due(alerts, now, self.config.repeat, self.config.most_per_hour):
            await self.send(self._session, message)
            self._outbox.confirm(message, now)
            self.services.count(
                self.name, f"{message.alert.kind} {'resolved' if message.resolved else 'sent'}"
            )
        await asyncio.to_thread(self._save)

    def _known(self) -> Iterator[Alert]:
        """Yield the alerts that need no waiting."""
        now, config = time(), self.config
        if config.projects:
            states = self.services.pool_states()
            yield from conditions.projects((s.project, s.key_id, s.model, s.reason) for s in states)
        if config.prices:
            yield from conditions.prices(age(now), config.prices)
        if self._errors is not None:
            yield from self._errors.read(self.services.metrics.statistics.exchanges, now)

    async def _budgets(self) -> list[Alert]:
        if not self.config.budgets:
            return []
        alerts: list[Alert] = []
        now = time()
        for use in await self.services.budgets_used():
            refuses = self._outbox.refuses(use, now)
            alerts += conditions.budget(use, self.config.budgets, refuses=refuses)
        return alerts

    async def _certificate(self) -> list[Alert]:
        options = self.config.certificate
        if options is None:
            return []
        days, fault = await remaining(options.host, options.port)
        certificates = self.services.metrics.statistics.certificates
        certificates[options.host,] = 0.0 if days is None else time() + days * 86400
        return list(conditions.certificate(options.host, days, fault, options.days))

    async def send(self, session: aiohttp.ClientSession, message: Message) -> None:
        """Send a message. Raises aiohttp.ClientError, without the URL in it, also for an answer of 300 or more."""
        alert = message.alert
        text = f"Resolved: {alert.text}" if message.resolved else alert.text
        if message.left_out:
            text += f" ({message.left_out} more alerts were left out.)"
        body: dict[str, Any] = {
            self.config.text_field: f"[{socket.gethostname()}] {text}", "alert": alert.kind, "subject": alert.subject,
            "severity": alert.severity, "resolved": message.resolved, "instance": socket.gethostname(),
        }  # fmt: skip
        try:
            async with session.post(
                self.config.url.reveal(), data=msgspec.json.encode(body),
                headers={"Content-Type": "application/json"}, allow_redirects=False,
            ) as response:  # fmt: skip
                status = response.status
        except (aiohttp.ClientError, OSError, ValueError) as error:  # their texts may have the URL
            raise aiohttp.ClientError(f"the webhook did not answer: {type(error).__name__}") from None
        if status >= 300:
            raise aiohttp.ClientError(f"the webhook answered {status}")

    async def send_test(self) -> None:
        """Send one message that says that it is a test. Raises aiohttp.ClientError."""
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            await self.send(
                session, Message(Alert("test", "", "This is a test of the gateway's alerts.", "info"))
            )

    def _load(self) -> None:
        try:
            self._outbox = msgspec.json.decode(self._file.read_bytes(), type=Outbox)
        except FileNotFoundError:
            pass
        except (OSError, msgspec.DecodeError):
            self.logger.warning(
                "%s cannot be read: alerts that were sent before may be sent again", self._file
            )

    def _save(self) -> None:
        written = self._file.with_name(f"{self._file.name}.new")
        written.write_bytes(msgspec.json.encode(self._outbox))
        written.replace(self._file)


async def remaining(host: str, port: int) -> tuple[float | None, str]:
    """Return the days for which a server's certificate is valid; None with the reason if it cannot be used."""
    try:
        async with asyncio.timeout(_HANDSHAKE):
            _, writer = await asyncio.open_connection(
                host, port, ssl=ssl.create_default_context(), server_hostname=host
            )
    except ssl.SSLCertVerificationError as error:
        return None, error.verify_message
    except (OSError, TimeoutError) as error:
        return None, f"{host}:{port} does not answer ({type(error).__name__})"
    try:
        return days_left(writer.get_extra_info("peercert"), time()), ""
    finally:
        writer.close()
