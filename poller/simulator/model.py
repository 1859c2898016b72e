"""The values a simulated world is made of. Keys are decimal strings; `shapes` decides how answers write them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` to `end`, both aware UTC; the end is no longer part of it."""

    start: datetime
    end: datetime

    def holds(self, moment: datetime) -> bool:
        return self.start <= moment < self.end

    def overlaps(self, other: Span) -> bool:
        return self.start < other.end and other.start < self.end


@dataclass(frozen=True, slots=True)
class Organizer:
    """A person with a login. `pat` is the personal access token the token endpoint takes for this person."""

    organizer_key: str
    account_key: str
    first_name: str
    last_name: str
    email: str
    pat: str
    admin: bool = False

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"


@dataclass(frozen=True, slots=True)
class Webinar:
    """One webinar key. Occurrences of a series are webinars of their own that share `recurrence_key`."""

    webinar_key: str
    webinar_id: str
    organizer_key: str
    account_key: str
    subject: str
    description: str
    times: tuple[Span, ...]
    time_zone: str = "Europe/Berlin"
    locale: str = "en_US"
    approval: str = "AUTOMATIC"
    recurrence: str = "single_session"
    recurrence_key: str | None = None
    experience: str = "classic"
    impromptu: bool = False
    password_protected: bool = False
    coorganizers: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The subject line of events about this webinar."""
        return f"webinars/{self.webinar_key}"

    @property
    def ends(self) -> datetime:
        return max(span.end for span in self.times)

    def in_session(self, moment: datetime) -> bool:
        return any(span.holds(moment) for span in self.times)

    def hosted_by(self, organizer_key: str) -> bool:
        return organizer_key == self.organizer_key or organizer_key in self.coorganizers


@dataclass(frozen=True, slots=True)
class Registrant:
    """One registration. `details` are the fields beyond name and e-mail, under the vendor's names."""

    registrant_key: str
    webinar_key: str
    first_name: str
    last_name: str
    email: str
    status: str
    registered: datetime
    time_zone: str
    details: Mapping[str, object] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """The subject line of events about this registrant."""
        return f"webinars/{self.webinar_key}/registrants/{self.registrant_key}"

    @property
    def join_url(self) -> str:
        """Empty until the registration is approved, as the vendor documents it for webhooks."""
        if self.status != "APPROVED":
            return ""
        return f"https://global.gotowebinar.com/join/{self.webinar_key}/{self.registrant_key[-9:]}"
