"""Bodies of POST and PUT webinar: what a client may say, and what is refused with 400."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from poller.simulator.answers import bad_request
from poller.simulator.model import Span, Webinar

LONGEST_SEQUENCE = 200

Body = TypeVar("Body")


Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Times(msgspec.Struct, rename="camel"):
    start_time: Moment
    end_time: Moment


class Changes(msgspec.Struct, rename="camel"):
    """PUT: at least one of these."""

    subject: str | None = None
    description: str | None = None
    time_zone: str | None = None
    locale: str | None = None
    times: list[Times] | None = None


class NewWebinar(msgspec.Struct, rename="camel"):
    """POST: `times` for one webinar or a series, the three recurrence fields for a sequence."""

    subject: str
    description: str = ""
    times: list[Times] = msgspec.field(default_factory=list)
    time_zone: str = "UTC"
    locale: str = "en_US"
    type: Literal["single_session", "series", "sequence"] = "single_session"
    experience_type: str = "CLASSIC"
    is_password_protected: bool = False
    recurrence_start: Times | None = None
    recurrence_end: date | None = None
    recurrence_pattern: Literal["daily", "weekly", "monthly"] | None = None


class Copy(msgspec.Struct, rename="camel"):
    """PUT copy: what is left out is as in the source, only the times are always said."""

    times: list[Times] = msgspec.field(default_factory=list)
    subject: str | None = None
    description: str | None = None
    time_zone: str | None = None
    locale: str | None = None
    type: Literal["single_session", "series", "sequence"] = "single_session"


@dataclass(frozen=True, slots=True)
class Draft:
    """What `World.draw_webinar` needs."""

    times: tuple[Span, ...]
    fields: dict[str, Any]


def parse_new(body: bytes) -> Draft:
    request = decode(body, NewWebinar)
    if not request.subject or len(request.subject) > 128:
        raise bad_request("subject is required and has at most 128 characters.")
    fields = {
        "subject": request.subject,
        "description": request.description,
        "time_zone": request.time_zone,
        "locale": request.locale,
        "recurrence": request.type,
        "experience": request.experience_type.lower(),
        "password_protected": request.is_password_protected,
    }
    return Draft(_times_of(request), fields)


def parse_changes(body: bytes) -> dict[str, Any]:
    """Fields of `Webinar` with their new values."""
    request = decode(body, Changes)
    said = {name: value for name, value in msgspec.structs.asdict(request).items() if value is not None}
    if not said:
        raise bad_request("At least one field is required.")
    if request.times is not None:
        said["times"] = spans_of(request.times)
    return said


def parse_copy(body: bytes, source: Webinar) -> Draft:
    """The copy has its own times, keys and registrants; the rest is the source's where the body says nothing."""
    request = decode(body, Copy)
    spans = spans_of(request.times)
    if (len(spans) > 1) != (request.type != "single_session"):
        raise bad_request("A single session has one time, a series or sequence two or more.")
    fields = {
        "subject": request.subject or source.subject,
        "description": source.description if request.description is None else request.description,
        "time_zone": request.time_zone or source.time_zone,
        "locale": request.locale or source.locale,
        "recurrence": request.type,
        "experience": source.experience,
        "approval": source.approval,
        "password_protected": source.password_protected,
    }
    return Draft(spans, fields)


def _times_of(request: NewWebinar) -> tuple[Span, ...]:
    if request.type == "sequence":
        return tuple(_sequence(request))
    spans = spans_of(request.times)
    if request.type == "single_session" and len(spans) > 1:
        raise bad_request("A single session has one time.")
    return spans


def spans_of(times: list[Times]) -> tuple[Span, ...]:
    if not times:
        raise bad_request("times is required.")
    return tuple(_span(pair) for pair in times)


def _span(pair: Times) -> Span:
    if pair.end_time <= pair.start_time:
        raise bad_request("times need startTime before endTime.")
    return Span(pair.start_time.astimezone(UTC), pair.end_time.astimezone(UTC))


def _sequence(request: NewWebinar) -> Iterator[Span]:
    start, end, pattern = request.recurrence_start, request.recurrence_end, request.recurrence_pattern
    if start is None or end is None or pattern is None:
        raise bad_request("A sequence needs recurrenceStart, recurrenceEnd and recurrencePattern.")
    first = _span(start)
    for turn in range(LONGEST_SEQUENCE):
        begin = _later(first.start, turn, pattern)
        if begin.date() > end:
            return
        yield Span(begin, begin + (first.end - first.start))


def _later(start: datetime, turns: int, pattern: Literal["daily", "weekly", "monthly"]) -> datetime:
    if pattern != "monthly":
        return start + timedelta(days=turns * (7 if pattern == "weekly" else 1))
    years, month = divmod(start.month - 1 + turns, 12)
    year, month = start.year + years, month + 1
    return start.replace(year=year, month=month, day=min(start.day, monthrange(year, month)[1]))


def decode(body: bytes, kind: type[Body]) -> Body:
    """A body of this kind; one that is not is a 400."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise bad_request(f"Invalid body: {error}") from error
