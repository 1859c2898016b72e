"""The tables of the settings file but the sinks', whose settings live with them. Attributes are the file's keys."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from poller.fields import (
    Duration,
    FieldError,
    LocalPath,
    PositiveDuration,
    Secret,
    Size,
    Start,
    StartFrom,
    WeeklyWindow,
    parse_window,
)
from poller.settings.addresses import GuardedUrl, ListenAddress, WebUrl, split_listen
from poller.settings.condition import checked
from poller.settings.event_types import pattern
from poller.settings.nearest import suggestion
from poller.settings.profiles import LIMITS, ProfileName


def _whole_number(value: object) -> object:
    if isinstance(value, bool):
        raise FieldError("takes a whole number such as 10, not true or false")
    return value


def _not_blank(text: str) -> str:
    if not text.strip():
        raise FieldError("must not be empty")
    return text.strip()


def _digits(value: object) -> object:
    """GoTo's keys are digits beyond what some programs can count; written without quotes they arrive as numbers."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError) as err:  # ZoneInfoNotFoundError is a KeyError in name, an OSError for folders
        raise FieldError(f'"{name}" is no time zone') from err
    except KeyError as err:
        raise FieldError(f'"{name}" is no time zone{suggestion(name, available_timezones())}') from err
    return name


def _listed(choices: tuple[str, ...]) -> tuple[str, ...]:
    if not choices:
        raise FieldError("must name at least one")
    return choices


Count = Annotated[int, BeforeValidator(_whole_number), Field(ge=0)]
PositiveCount = Annotated[int, BeforeValidator(_whole_number), Field(gt=0)]
Text = Annotated[str, AfterValidator(_not_blank)]
GoToKey = Annotated[Text, BeforeValidator(_digits)]
Patterns = Annotated[tuple[Text, ...], AfterValidator(_listed)]


def _beside_api(section: dict[str, Any]) -> str:
    """The administration API is on the same host as the others unless somebody says otherwise."""
    return str(section.get("api_url", ""))


class Section(BaseModel):
    """One table. Frozen, and strict about keys: a misspelt one must not pass for a default."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Engine(Section):
    state: LocalPath = Field(default=Path("poller.db"), validate_default=True)  # anchored like a written one
    interval: Duration = timedelta(seconds=120)
    nudge_interval: Duration = timedelta(seconds=2)
    max_interval: PositiveDuration = timedelta(hours=1)
    poll_timeout: PositiveDuration = timedelta(seconds=60)
    poll_concurrency: Annotated[PositiveCount, Field(le=1000)] = 8  # each is a task, a connection and a body in memory
    grace: Duration = timedelta(seconds=10)
    retention: PositiveDuration = timedelta(days=30)
    display_timezone: Annotated[str, AfterValidator(time_zone)] = "UTC"
    heartbeat_url: WebUrl = Field(default="", repr=False)  # the path of such a URL is its password
    key: Secret | None = None
    max_body: Annotated[Size, Field(gt=0)] = 64_000_000


class GoTo(Section):
    api_url: GuardedUrl = "https://api.getgo.com"
    admin_url: GuardedUrl = Field(default_factory=_beside_api)
    room_url: GuardedUrl = "https://api.goto.com"
    auth_url: GuardedUrl = "https://authentication.logmeininc.com"
    client_id: str = ""
    client_secret: Secret | None = None
    scopes: Text = "collab: identity:scim.me"
    redirect_uri: GuardedUrl = "http://127.0.0.1:8471/callback"
    proxy: WebUrl = Field(default="", repr=False)  # may hold a user and a password
    ca_file: LocalPath | None = None


class Limits(Section):
    """What one OAuth client may do, resolved: explicit keys win over the profile. 0 means no limit."""

    profile: ProfileName = "safe"
    per_second: Count = LIMITS["safe"]["per_second"]
    per_operation_per_second: Count = LIMITS["safe"]["per_operation_per_second"]
    per_connection_per_minute: Count = LIMITS["safe"]["per_connection_per_minute"]
    per_day: Count = LIMITS["safe"]["per_day"]
    maintenance: tuple[WeeklyWindow, ...] = (parse_window("Tue 07:00-08:00"),)

    @model_validator(mode="before")
    @classmethod
    def _resolve(cls, given: Any) -> Any:
        profile = given.get("profile") if isinstance(given, dict) else None
        return {**LIMITS[profile], **given} if isinstance(profile, str) and profile in LIMITS else given


class Connection(Section):
    """The credentials of one organizer or one account, and what is read with them."""

    name: Text
    organizer_key: GoToKey | None = None
    account: bool = False
    organizers: Patterns = ("*",)
    exclude_organizers: tuple[Text, ...] = ()
    products: Annotated[tuple[Literal["webinar", "meeting"], ...], AfterValidator(_listed)] = ("webinar",)
    pat: Secret | None = None
    client_id: Text | None = None
    client_secret: Secret | None = None
    active: bool = True
    start: StartFrom = Start(kind="now")
    past: Duration = timedelta(days=1)
    future: Duration = timedelta(days=730)
    count_hint: Literal["auto", "off"] = "auto"
    answers: bool = False
    enrich: bool = False
    page_above: Count = 20_000
    settle: Duration = timedelta(days=1)

    @model_validator(mode="after")
    def _globs_need_an_account(self) -> Connection:
        if not self.account and (self.organizers != ("*",) or self.exclude_organizers):
            raise FieldError("organizers and exclude_organizers choose within an account; add account = true")
        return self


class Trigger(Section):
    """Which events go to which sinks."""

    name: Text
    on: Annotated[tuple[Annotated[str, AfterValidator(pattern)], ...], AfterValidator(_listed)] = ("*",)
    connections: Patterns = ("*",)
    webinars: Annotated[tuple[GoToKey, ...], AfterValidator(_listed)] = ("*",)
    when: Annotated[str, AfterValidator(checked)] = ""
    sinks: tuple[Text, ...] = ()  # none: its events are there for those who pull
    flood: Count = 0


class Http(Section):
    listen: ListenAddress = "127.0.0.1:8470"
    public_url: WebUrl = ""
    api_keys: tuple[Secret, ...] = ()
    read_only_keys: tuple[Secret, ...] = ()
    allow_private: bool = False

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port, None if the surface is switched off."""
        return split_listen(self.listen) if self.listen else None


def _header_name(text: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9-]+", text) is None:
        raise FieldError(f'"{text}" is no name of a header; write one such as "X-Webhook-Signature"')
    return text


HeaderName = Annotated[str, AfterValidator(_header_name)]


class Webhooks(Section):
    """GoTo's webhooks: how they are known for GoTo's. The vendor says no more than the name of the header."""

    verify: bool = True
    header: HeaderName = "X-Webhook-Signature"
    hash: Literal["sha256", "sha512", "sha1"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    signed: Literal["body", "timestamp.body"] = "body"
    timestamp_header: HeaderName = "X-Webhook-Timestamp"
    window: PositiveDuration = timedelta(minutes=5)
    secrets: tuple[Secret, ...] = ()
