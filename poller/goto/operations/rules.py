"""What GoTo asks of whole bodies, beyond the single fields: which go together, and which times make sense. Pure.

Rules are those of the vendor's OpenAPI document (createWebinar's prose on series and sequences) and of the reference
page of GoTo Meeting. Each raises UsageError, or says what should be known about a body that is sent nevertheless.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from poller.errors import UsageError

Body = Any
Note = Callable[[str], None]
Rule = Callable[[Body, datetime, Note], None]

_RECURRENCE: Final = ("recurrenceStart", "recurrencePattern", "recurrenceEnd")


def apply(operation: str, body: Body, now: datetime, note: Note) -> None:
    """`body` fits its type already."""
    rule = _RULES.get(operation)
    if rule is not None:
        rule(body, now, note)
    elif isinstance(body, list) and not body:
        raise UsageError(f"{operation}: the list in the body is empty; it must hold at least one")


def check_range(since: str, params: Mapping[str, object], until: str) -> None:
    """A range must not end before it begins."""
    if since in params and until in params and _moment(params[since]) > _moment(params[until]):
        raise UsageError(f"{until} lies before {since}; exchange them")


def _moment(value: object) -> datetime:
    return datetime.fromisoformat(str(value))


def _new_webinar(body: Body, now: datetime, note: Note) -> None:
    kind = body.get("type", "single_session")
    if kind == "sequence":
        _sequence(body)
    else:
        _times(body, kind)
    _zone(body, note)


def _sequence(body: Body) -> None:
    missing = [name for name in _RECURRENCE if name not in body]
    if missing:
        raise UsageError(f"a sequence also needs {', '.join(missing)}")
    if "times" in body:
        raise UsageError("a sequence has recurrenceStart, recurrencePattern and recurrenceEnd instead of times")
    _span("recurrenceStart", body["recurrenceStart"])


def _times(body: Body, kind: str) -> None:
    count = len(body.get("times", ()))
    if kind == "single_session" and count != 1:
        raise UsageError(f'times holds {count} spans, a single session has one; more need type "series"')
    if kind == "series" and count < 2:
        raise UsageError(f"times holds {count} spans, a series needs two or more")
    _spans(body)


def _changed_webinar(body: Body, now: datetime, note: Note) -> None:
    if not body:
        raise UsageError("updateWebinar: the body changes nothing; give at least one field")
    _spans(body)
    _zone(body, note)


def _copied_webinar(body: Body, now: datetime, note: Note) -> None:
    if body.get("type", "single_session") != "single_session" and len(body.get("times", ())) < 2:
        raise UsageError(f"a {body['type']} needs two or more spans in times")
    _spans(body)
    _zone(body, note)


def _spans(body: Body) -> None:
    if "times" in body and not body["times"]:
        raise UsageError("times is empty; it must hold at least one span")
    for place, span in enumerate(body.get("times", ())):
        _span(f"times[{place}]", span)


def _span(where: str, span: Mapping[str, str]) -> None:
    if _moment(span["endTime"]) <= _moment(span["startTime"]):
        raise UsageError(f"{where}: endTime must lie after startTime")


def _zone(body: Body, note: Note) -> None:
    if "timeZone" not in body:
        note("no timeZone is given: GoTo takes the one of the organizer's profile")


def _coorganizers(body: Body, now: datetime, note: Note) -> None:
    if not body:
        raise UsageError("createCoorganizers: the list in the body is empty; it must hold at least one")
    for place, person in enumerate(body):
        needed = ("givenName", "email") if person["external"] else ("organizerKey",)
        missing = [name for name in needed if name not in person]
        if missing:
            external = str(person["external"]).lower()
            raise UsageError(f"body[{place}]: a co-organizer with external {external} needs {' and '.join(missing)}")


def _meeting(body: Body, now: datetime, note: Note) -> None:
    starts, ends = _moment(body["starttime"]), _moment(body["endtime"])
    if starts <= now:
        raise UsageError("starttime must lie in the future")
    if ends <= starts:
        raise UsageError("endtime must lie after starttime")
    body.setdefault("timezonekey", "")  # deprecated, and yet expected


_RULES: Final[dict[str, Rule]] = {
    "createWebinar": _new_webinar,
    "updateWebinar": _changed_webinar,
    "copyWebinar": _copied_webinar,
    "createCoorganizers": _coorganizers,
    "createMeeting": _meeting,
    "updateMeeting": _meeting,
}
