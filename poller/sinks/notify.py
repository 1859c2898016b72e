"""Events as messages to people (e-mail, chat, push), through any of the services that apprise knows.

Its answer is yes or no, and its calls block: a thread makes them one after the other. Not for programs, which want an
id and every field.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import partial
from typing import Annotated, Any, Final, NamedTuple

from pydantic import BeforeValidator, Field, model_validator

from poller.errors import Refused, UsageError, Wait
from poller.fields import FieldError, Secret
from poller.formats import TEXT, Template
from poller.ports import Outcome, Outgoing
from poller.sinks.base import BaseSink, PositiveCount, Preview, SinkContext, SinkSettings, TemplateText, one_by_one
from poller.sinks.lane import Lane
from poller.sinks.server import driver

TITLE: Final = """\
{%- set words = {
  "registrant.added": "New registration", "registrant.changed": "Registration changed",
  "registrant.removed": "Registration removed", "webinar.created": "New webinar",
  "webinar.changed": "Webinar changed", "webinar.cancelled": "Webinar cancelled",
} -%}
{{ words[short_type] | default(short_type) }}:
{{ data.webinarSubject | default(data.subject, true) | default(subject, true) }}
"""

BODY: Final = """\
{%- set changed = data.changed | default([], true) -%}
{%- if short_type.startswith("registrant.") -%}
{{ [data.firstName | default("", true), data.lastName | default("", true)] | select | join(" ") }}
{{- " <" ~ data.email ~ ">" if data.email | default("") }}
{%- if data.status | default("") and "status" not in changed %}
Status: {{ data.status }}
{%- endif %}
{%- endif %}
{%- for span in data.times | default([], true) %}
{{ [span.startTime | default("", true), span.endTime | default("", true)] | select | join(" to ") }}
{%- endfor %}
{%- for field in changed %}
{%- if data[field] is string and data.previous[field] is string %}
{{ field }}: {{ data.previous[field] }}, now {{ data[field] }}
{%- else %}
{{ field }} changed
{%- endif %}
{%- endfor %}
{%- if data.registrationUrl is string %}
{{ data.registrationUrl }}
{%- endif %}
{%- if data.reason is string %}
{{ data.reason }}
{%- endif %}
{{ time }}
"""

_SCHEMA: Final = re.compile(r"([A-Za-z][\w.+-]*)://")
_STATUS: Final = re.compile(r"error=(\d{3})\b")
_REMEMBERED: Final = 1000  # events of which one service was told and another was not

# While this holds a list, what apprise and its HTTP library log goes in there and nowhere else: it may hold addresses,
# which are passwords here, and what was sent.
_overheard: ContextVar[list[str] | None] = ContextVar("poller_notify_overheard", default=None)
_LOGGERS: Final = ("apprise", "urllib3.connectionpool", "requests_oauthlib")


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


class NotifySettings(SinkSettings):
    urls: Annotated[tuple[Secret, ...], BeforeValidator(_as_tuple)] = Field(
        min_length=1, description="one for each service that is told; most of them hold a password"
    )
    title: TemplateText = Field(default=TITLE, description="its line breaks become spaces")
    body: TemplateText = Field(default=BODY, description="the text")
    concurrency: PositiveCount = 1

    @model_validator(mode="after")
    def _texts_are_title_and_body(self) -> NotifySettings:
        if self.format != "cloudevent":
            raise FieldError(f'sink "{self.name}" sends title and body; write them instead of format and template')
        return self


class NotifySink(BaseSink):
    """A service that has taken an event is not told again when another one has failed, until the process ends.

    A call that has begun is finished in its thread, whoever has stopped waiting for it.
    """

    settings_type = NotifySettings

    def __init__(self, settings: NotifySettings, context: SinkContext) -> None:
        super().__init__(settings, context)
        self._settings = settings
        self._title, self._body = Template(settings.title), Template(settings.body)
        self._schemas = [_schema(url.reveal()) for url in settings.urls]
        self._seconds = self.timeout.total_seconds()
        self._lane = Lane(f"sink {self.name}")
        self._services: list[Any] = []
        self._told: OrderedDict[str, set[int]] = OrderedDict()  # id → places in `urls`

    async def connect(self) -> None:
        """Reads the addresses; connections are made by messages."""
        if not self._services:
            self._services = await self._lane.run(self._read)

    async def send(self, batch: Sequence[Outgoing]) -> Sequence[Outcome]:
        return await one_by_one(batch, self._send_one)

    async def check(self) -> str:
        """Whether a service takes messages shows when it is sent one."""
        await self.connect()
        return f"{len(self._services)} addresses can be read ({self._targets()}); no message was sent to try them"

    async def close(self) -> None:
        self._services = []
        self._lane.close()

    def preview(self, outgoing: Outgoing) -> Preview:
        title, body = self._texts(outgoing)
        return Preview(body.encode(), TEXT, self._targets(), {"title": title})

    async def _send_one(self, outgoing: Outgoing) -> None:
        title, body = self._texts(outgoing)
        services, told = self._services, self._told.setdefault(outgoing.id, set())
        while len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        try:
            async with asyncio.timeout(self._seconds):
                await self._lane.run(lambda: self._tell(services, told, title, body))
        except TimeoutError as err:
            raise Wait(f"{self._targets()} did not take the message within {self._seconds:g} s") from err
        self._told.pop(outgoing.id, None)

    def _texts(self, outgoing: Outgoing) -> tuple[str, str]:
        title = " ".join(self._title.render(outgoing).split())
        body = self._body.render(outgoing).strip()
        if not title and not body:
            raise Refused("title and body are both empty")
        return title, body

    def _targets(self) -> str:
        return ", ".join(f"{schema}://…" for schema in self._schemas)

    # ── in the lane ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _read(self) -> list[Any]:
        """One manager per address, since its answer does not say which one failed."""
        apprise = driver("apprise", "notify")
        asset = apprise.AppriseAsset(
            app_id="goto-poller", app_desc="GoTo events", app_url="", async_mode=False, secure_logging=True
        )
        services: list[Any] = []
        for place, url in enumerate(self._settings.urls):
            service = apprise.Apprise(asset=asset)
            heard = _quietly(partial(service.add, url.reveal()))
            if heard.raised:
                raise UsageError(f'sink "{self.name}", urls[{place}]: apprise fails to read it ({heard.raised})')
            if not heard.yes or len(service) != 1:
                raise UsageError(
                    f'sink "{self.name}", urls[{place}]: is not one address of a service that apprise knows;'
                    " see https://github.com/caronc/apprise/wiki for how they are written"
                )
            services.append(service)
        return services

    def _tell(self, services: Sequence[Any], told: set[int], title: str, body: str) -> None:
        """Everyone who has not been told yet. Raises Wait, about the first who could not be, at the end."""
        failure: Wait | None = None
        for place, service in enumerate(services):
            if place in told:
                continue
            heard = _quietly(partial(service.notify, body=body, title=title, body_format="text"))
            if heard.yes:
                told.add(place)
            else:
                failure = failure or Wait(f"urls[{place}] ({self._schemas[place]}) {_reason(heard)}")
        if failure is not None:
            raise failure


class _Muffler(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        heard = _overheard.get()
        if heard is None:
            return True
        heard.append(record.getMessage())
        return False


_MUFFLER: Final = _Muffler()


class _Heard(NamedTuple):
    yes: bool
    logged: Sequence[str] = ()
    raised: str = ""  # an exception's type; its text may hold the address


def _quietly(call: Callable[[], object]) -> _Heard:
    """What `call` answers, logs and raises."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.addFilter(_MUFFLER)  # adding it again changes nothing
        if logger.level == logging.NOTSET:  # a program that logs errors only would not let us hear the reason
            logger.setLevel(logging.WARNING)
    logged: list[str] = []
    token = _overheard.set(logged)
    try:
        return _Heard(bool(call()), logged)
    except Exception as err:  # whatever a plugin may raise
        return _Heard(False, logged, type(err).__name__)
    finally:
        _overheard.reset(token)


def _reason(heard: _Heard) -> str:
    """Of what was logged only the status is known to hold no secret."""
    if heard.raised:
        return f"failed ({heard.raised})"
    status = next((found[1] for text in heard.logged if (found := _STATUS.search(text))), "")
    return f"answered {status}" if status else "did not take the message: it cannot be reached, or refuses it"


def _schema(url: str) -> str:
    """What stands before `://`; the rest may be a password."""
    found = _SCHEMA.match(url.strip())
    return found[1].lower() if found else "?"
